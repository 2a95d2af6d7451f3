"""Sleep by scaling to zero: nothing runs, and all that it held is free for others.

Waking takes what starting takes. A HorizontalPodAutoscaler leaves a workload alone that is scaled
to zero (`ScalingDisabled`), and goes on where it is put back; KEDA is paused at zero instead.
"""

import json

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api
from wattgov_actuator.knobs.kubernetes.scale import Scale
from wattgov_actuator.knobs.level import ASLEEP, AWAKE, is_asleep, sleeper
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe


class Sleep:
    """One workload."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._way, self._scale = way, Scale(api, way)
        self._met = Once(lambda: self._scale.try_out(self._scale.pause()))

    def probe(self) -> Probe:
        """Return the one target; whether we may turn it is tried once, dry."""
        self._met()
        return sleeper(self._way)

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it sleeps; the text is the number of replicas, or KEDA's annotation."""
        pause = self._scale.pause()
        if pause is not None:
            return InForce(ASLEEP if pause.replicas == 0 else AWAKE, text=json.dumps(pause.text))
        wanted, _ = self._scale.replicas()
        return InForce(AWAKE if wanted else ASLEEP, text=str(wanted))

    def write(self, target: str, value: float) -> None:
        """Put it to sleep, or wake one of it; what is so already stays as it is."""
        awake, pause = not is_asleep(value), self._scale.pause()
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
