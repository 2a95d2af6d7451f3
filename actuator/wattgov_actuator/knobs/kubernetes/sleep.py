"""Sleep by scaling to zero: nothing runs, and all that it held is free for others.

Waking takes what starting takes. A HorizontalPodAutoscaler leaves a workload alone that is scaled
to zero (`ScalingDisabled`), and goes on where it is put back; KEDA is paused at zero instead.
"""

import json

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api
from wattgov_actuator.knobs.kubernetes.scale import Scale
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

ASLEEP, AWAKE = 0.0, 1.0


class Sleep:
    """One workload."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._way, self._scale = way, Scale(api, way)
        self._allowed = False

    def probe(self) -> Probe:
        """Return the one target; whether we may turn it is tried once, dry."""
        if not self._allowed:
            pause = self._scale.pause()
            if pause is None:
                self._scale.set(self._scale.replicas()[0], dry=True)
            else:
                self._scale.set_pause(pause, pause.text, dry=True)
            self._allowed = True
        way = self._way
        return Probe((Target(way.knob, way.name, way.labels, ASLEEP, AWAKE, "level", 0.5),))

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it sleeps; the text is the number of replicas, or KEDA's annotation."""
        pause = self._scale.pause()
        if pause is not None:
            return InForce(ASLEEP if pause.replicas == 0 else AWAKE, text=json.dumps(pause.text))
        wanted, _ = self._scale.replicas()
        return InForce(AWAKE if wanted else ASLEEP, text=str(wanted))

    def write(self, target: str, value: float) -> None:
        """Put it to sleep, or wake one of it; what is so already stays as it is."""
        awake, pause = value > (ASLEEP + AWAKE) / 2, self._scale.pause()
        if self.read(target).value == (AWAKE if awake else ASLEEP):
            return
        if pause is None:
            self._scale.set(int(awake))
        else:
            self._scale.set_pause(pause, None if awake else "0")

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Scale to as many as there were, or put back KEDA's annotation as it was."""
        pause, said = self._scale.pause(), json.loads(text)
        if pause is not None:
            # A number says that nobody owned it when it was put to sleep: then KEDA decides now.
            self._scale.set_pause(pause, None if isinstance(said, int) else said)
        elif isinstance(said, int):
            self._scale.set(said)
        else:
            detail = f"no ScaledObject owns {self._scale} any more: how many it had is not known"
            raise KnobError(Fault.LOST, detail)

    def close(self) -> None:
        """Close the connection."""
        self._scale.close()
