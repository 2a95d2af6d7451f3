"""The scale of a workload, and who else decides it: KEDA, or a HorizontalPodAutoscaler.

What a ScaledObject owns is not scaled past it. Its own annotation pauses it at a number; without
the annotation KEDA decides, up to its maximum. What somebody has paused where it was (`paused`) is
left alone: KEDA would go to our number, and not come back from it when ours is taken off.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api, Thing, path_of
from wattgov_actuator.reading import Fault, KnobError

PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
PAUSED = "autoscaling.keda.sh/paused-replicas"
FROZEN = "autoscaling.keda.sh/paused"
NO = {"0", "f", "F", "false", "FALSE", "False"}  # as KEDA reads it; anything else means yes
KEDA, APPS, AUTOSCALING = "keda.sh/v1alpha1", "apps/v1", "autoscaling/v2"
MOST = 100  # of KEDA, where a ScaledObject does not say


@dataclass(frozen=True, slots=True)
class Pause:
    """What a ScaledObject says of a workload that it owns."""

    name: str
    text: str | None  # of its annotation, to the letter; None: it is not paused
    most: int

    @property
    def replicas(self) -> int | None:
        """The number that it is paused at, if it is; raises KnobError for what is none."""
        if self.text is None:
            return None
        if not self.text.isdecimal():
            detail = f"ScaledObject {self.name} is paused at '{self.text}', which is no number"
            raise KnobError(Fault.UNSUPPORTED, detail)
        return int(self.text)


class Scale:
    """One Deployment or StatefulSet."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._api = api
        self._kind, self._name = way.text("kind"), way.text("object")
        self._namespace = way.text("namespace")
        self._path = path_of(APPS, self._namespace, PLURALS[self._kind], self._name, "scale")

    def __str__(self) -> str:
        """Return it as a person says it."""
        return f"{self._kind} {self._namespace}/{self._name}"

    def replicas(self) -> tuple[int, int]:
        """Return how many there shall be, and how many there are."""
        found = self._api.get(self._path)
        # The API leaves out a number that is 0.
        wanted, there = (found.get(part, {}).get("replicas", 0) for part in ("spec", "status"))
        if not isinstance(wanted, int) or not isinstance(there, int):
            raise KnobError(Fault.LOST, f"{self._path} has no number of replicas")
        return wanted, there

    def set(self, replicas: int, *, dry: bool = False) -> None:
        """Scale it."""
        self._api.patch(self._path, {"spec": {"replicas": replicas}}, dry=dry)

    def pause(self) -> Pause | None:
        """Return what KEDA says of it; None where no ScaledObject owns it.

        Raises KnobError where somebody has paused KEDA.
        """
        path = path_of(KEDA, self._namespace, "scaledobjects")
        reply = self._api.ask("GET", path)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None  # the cluster has no KEDA
        for each in self._api.told("GET", path, reply).get("items") or []:
            if self._is_ours(each["spec"].get("scaleTargetRef", {})):
                meta: dict[str, Any] = each["metadata"]
                notes = meta.get("annotations") or {}
                if notes.get(FROZEN, "false") not in NO:
                    detail = f"somebody has paused ScaledObject {meta['name']}, of {self}"
                    raise KnobError(Fault.UNSUPPORTED, f"{detail}, by {FROZEN}: it is left alone")
                text = notes.get(PAUSED)
                return Pause(meta["name"], text, int(each["spec"].get("maxReplicaCount", MOST)))
        return None

    def set_pause(self, pause: Pause, text: str | None, *, dry: bool = False) -> None:
        """Pause KEDA at a number, or let it go on."""
        path = path_of(KEDA, self._namespace, "scaledobjects", pause.name)
        self._api.patch(path, {"metadata": {"annotations": {PAUSED: text}}}, dry=dry)

    def try_out(self, pause: Pause | None) -> None:
        """Turn it to what it is, dry; raises KnobError where we may not turn it."""
        if pause is None:
            self.set(self.replicas()[0], dry=True)
        else:
            self.set_pause(pause, pause.text, dry=True)

    def autoscaler(self) -> str:
        """Return the name of the HorizontalPodAutoscaler that scales it, if one does."""
        found = self._api.items(path_of(AUTOSCALING, self._namespace, "horizontalpodautoscalers"))
        ours = (each for each in found if self._is_ours(each["spec"]["scaleTargetRef"]))
        return next((str(each["metadata"]["name"]) for each in ours), "")

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def _is_ours(self, ref: Thing) -> bool:
        return (ref.get("kind", "Deployment"), ref.get("name")) == (self._kind, self._name)
