"""How many replicas a workload has; where KEDA owns it, the number that KEDA is paused at."""

import json

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.kubernetes.api import Api
from wattgov_actuator.knobs.kubernetes.scale import Scale
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe


class Replicas:
    """The number of one workload."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._way, self._scale = way, Scale(api, way)
        self._allowed = False

    def probe(self) -> Probe:
        """Return the one target; none where a HorizontalPodAutoscaler would set it back.

        Whether we may turn it is tried once, dry.
        """
        pause = self._scale.pause()
        if pause is None and (name := self._scale.autoscaler()):
            detail = f"HorizontalPodAutoscaler {name} scales {self._scale}, and would set it back"
            raise KnobError(Fault.UNSUPPORTED, f"{detail}; turn its own limits, or remove it")
        if not self._allowed:
            self._scale.try_out(pause)
            self._allowed = True
        return counted(self._way, "replicas")

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the number; where KEDA decides, the most that it may take.

        The text is KEDA's annotation, or nothing where it does not own the workload.
        """
        pause = self._scale.pause()
        if pause is None:
            return InForce(float(self._scale.replicas()[0]))
        at = pause.replicas
        return InForce(float(pause.most if at is None else at), text=json.dumps(pause.text))

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Scale, or pause KEDA at the number."""
        pause = self._scale.pause()
        if pause is None:
            self._scale.set(round(value))
        else:
            self._scale.set_pause(pause, str(round(value)))

    def restore(self, target: str, value: float, text: str) -> None:
        """Put back the number, or KEDA's annotation as it was."""
        if not text:
            self._scale.set(round(value))
            return
        pause = self._scale.pause()
        if pause is None:
            detail = f"no ScaledObject owns {self._scale} any more; {target} stays as it is"
            raise KnobError(Fault.LOST, detail)
        self._scale.set_pause(pause, json.loads(text))

    def close(self) -> None:
        """Close the connection."""
        self._scale.close()
