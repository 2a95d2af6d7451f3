"""Batch work of a namespace: CronJobs, and if so said Jobs, suspended and let go.

Each that we suspend is marked in the same request, so what was suspended before us stays so, and a
crash half way through leaves no doubt. A CronJob that is suspended starts nothing; what it has
started runs on. **A Job that is suspended loses its pods**, and with them what it has not saved.
"""

from collections.abc import Iterator
from http import HTTPStatus

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api, Thing, path_of
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe, Target

PAUSED, RUNNING = 0.0, 1.0
BATCH = "batch/v1"
MARK = "wattgov.io/suspended-by"  # with the name of the connection
TRIES = 3  # somebody else may change it at the same time


class Jobs:
    """What a selector of labels finds, or one of a name."""

    def __init__(self, api: Api, way: Connection) -> None:
        self._api, self._way = api, way
        self._allowed: set[str] = set()  # the resources of which we may suspend

    def probe(self) -> Probe:
        """Return the one target; whether we may turn it is tried once for each resource, dry."""
        for resource, path, each in self._found():
            if resource not in self._allowed:
                same = {"spec": {"suspend": _suspended(each)}}
                self._api.patch(path, same, dry=True)
                self._allowed.add(resource)
        way = self._way
        return Probe((Target(way.knob, way.name, way.labels, PAUSED, RUNNING, "level", 0.5),))

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return whether it is paused: by us, or all of it by others."""
        found = [each for _, _, each in self._found()]
        ours = any(self._is_ours(each) and _suspended(each) for each in found)
        others = bool(found) and all(map(_suspended, found))
        return InForce(PAUSED if ours or others else RUNNING)

    def write(self, target: str, value: float) -> None:
        """Suspend all that run, or let go what we have suspended."""
        if value > (PAUSED + RUNNING) / 2:
            self.restore(target, value, "")
            return
        for _, path, each in self._found():
            self._turn(path, each, suspend=True)

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Let go what we have suspended, and nothing else."""
        for _, path, each in self._found():
            self._turn(path, each, suspend=False)

    def close(self) -> None:
        """Close the connection."""
        self._api.close()

    def _turn(self, path: str, thing: Thing, *, suspend: bool) -> None:
        """Change one, unless it is not for us to change; nobody else's change is lost."""
        for _ in range(TRIES):
            done = _suspended(thing) if suspend else not self._is_ours(thing)
            if done:
                return
            mark = self._way.name if suspend else None
            version = thing["metadata"]["resourceVersion"]
            meta = {"resourceVersion": version, "annotations": {MARK: mark}}
            change = {"metadata": meta, "spec": {"suspend": suspend}}
            reply = self._api.ask("PATCH", path, change)
            if reply.status == HTTPStatus.NOT_FOUND:
                return  # it is done, or was deleted
            if reply.status != HTTPStatus.CONFLICT:
                self._api.told("PATCH", path, reply)
                return
            thing = self._api.get(path)
        raise KnobError(Fault.REFUSED, f"{path} was changed by others, {TRIES} times in a row")

    def _found(self) -> Iterator[tuple[str, str, Thing]]:
        """Yield what there is to suspend: its resource, its path and itself."""
        way = self._way
        query = {"labelSelector": way.text("selector")} if way.text("selector") else {}
        if way.text("only"):
            query["fieldSelector"] = f"metadata.name={way.text('only')}"
        for resource in ("cronjobs", *(["jobs"] if way.settings.get("jobs") else [])):
            whole = path_of(BATCH, way.text("namespace"), resource)
            for each in self._api.items(whole, query):
                if resource == "cronjobs" or not _over(each):
                    yield resource, f"{whole}/{each['metadata']['name']}", each

    def _is_ours(self, thing: Thing) -> bool:
        marks = thing["metadata"].get("annotations") or {}
        return bool(marks.get(MARK) == self._way.name)


def _suspended(thing: Thing) -> bool:
    return bool(thing["spec"].get("suspend"))


def _over(job: Thing) -> bool:
    """Tell whether a Job has ended."""
    conditions = job.get("status", {}).get("conditions") or []
    return any(
        each["type"] in {"Complete", "Failed"} and each["status"] == "True" for each in conditions
    )
