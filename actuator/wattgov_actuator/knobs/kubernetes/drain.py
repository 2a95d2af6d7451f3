"""The emptying of a cordoned node, on a thread of its own: it takes as long as its pods take.

One pod at a time, by the eviction API, which keeps disruption budgets; what a budget refuses is
waited for, and so is the successor of what was evicted: where it finds no room, the next one would
find none either. Nothing is ever forced or deleted. A drain that does not come to its end uncordons
the node: an emptied half saves nothing, and who found no room comes back.
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from threading import Event, Thread

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import CORE, DRY, Api, Thing, path_of, wait_seconds
from wattgov_actuator.knobs.kubernetes.cordon import Cordon, Standing
from wattgov_actuator.knobs.kubernetes.pods import Terms, called, ending, hindrance, leaving, owner
from wattgov_actuator.knobs.web import Reply, plain
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import Fault, KnobError

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 5.0  # between two looks at a pod that ends, or at a budget
PASSING = {Fault.LOST, Fault.BUSY}  # an API server may be away for a while
GONE = HTTPStatus.NOT_FOUND
CHANGED = HTTPStatus.CONFLICT  # another one of its name, or newer than we know


class Drain:
    """One node, until it is empty, or given up."""

    def __init__(
        self,
        way: Connection,
        terms: Terms,
        steady: Callable[[], float],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Take the connection, the *terms* of `hindrance`, and a clock."""
        self._way, self._terms, self._steady = way, terms, steady
        self._look_seconds = look_seconds
        self._api = Api(way)  # of its own: a session is for one thread
        self._cordon = Cordon(self._api, way)
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True, name="drain")
        self._owners: dict[str, str] = {}  # of whom we have evicted: their namespaces
        self.word = "is being emptied"  # how far it is
        self.failed = ""  # why it was given up
        self.ended = 0.0  # steady seconds; when that was

    def begin(self) -> None:
        """Start."""
        self._thread.start()

    def at_work(self) -> bool:
        """Tell whether it goes on."""
        return self._thread.is_alive()

    def end(self, seconds: float) -> None:
        """Give it up, and wait so long at most until it has uncordoned the node."""
        self._stop.set()
        self._thread.join(seconds)

    def left(self) -> list[Thing]:
        """Return the pods that have to leave; raises KnobError for one that must not."""
        left = self._pods()
        for each in left:
            why = "" if ending(each) else hindrance(each, self._terms)
            if why:
                raise KnobError(Fault.REFUSED, f"pod {called(each)} stays where it is: {why}")
        return left

    def trial(self) -> None:
        """Ask whether we might find pods and evict one, and change nothing; raises KnobError."""
        for each in self._pods()[:1]:
            path, body = _eviction(each)
            reply = self._api.once("POST", path + DRY, body)
            if reply.status == HTTPStatus.FORBIDDEN:
                self._api.told("POST", path, reply)

    def _run(self) -> None:
        began, limit = self._steady(), self._way.number("drain")
        wait: float | None = 0.0
        while wait is not None and not self.failed and not self._stop.wait(wait):
            try:
                wait = self._step()
            except KnobError as error:
                wait, self.word = self._look_seconds, error.detail
                self.failed = "" if error.fault in PASSING else error.detail
            except Exception as error:  # a bug must leave no node half empty
                LOG.exception(line("drain_failed", node=self._cordon.name))
                self.failed = repr(error)
            if wait is not None and not self.failed and self._steady() - began >= limit:
                self.failed = f"not empty after {limit:g} s: {self.word}"
        self.ended, node = self._steady(), self._cordon.name
        if wait is None:
            LOG.info(line("drained", node=node, seconds=round(self.ended - began)))
        else:
            why = self.failed or "it was asked to end"
            LOG.warning(line("drain_given_up", node=node, detail=why))
            self._open()
        self._api.close()

    def _step(self) -> float | None:
        """Evict one pod at most; return how long to wait for the next look, None at the end."""
        if self._cordon.standing(self._cordon.node()) is not Standing.OURS:
            raise KnobError(Fault.REFUSED, "somebody has uncordoned it meanwhile")
        left = self.left()
        if coming := self._coming():
            self._say(f"waits for pod {called(coming[0])} to run, instead of one evicted", left)
            return self._look_seconds
        if not left:
            return None
        if going := [each for each in left if ending(each)]:
            self._say(f"waits for pod {called(going[0])} to end", left)
            return self._look_seconds
        return self._evict(left)

    def _evict(self, left: list[Thing]) -> float:
        """Evict the first that may go; return how long to wait for the next look."""
        wait, why = self._look_seconds, ""
        for pod in left:
            if self._stop.is_set():
                break
            path, body = _eviction(pod)
            reply = self._api.once("POST", path, body)
            if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
                why = why or f"waits for pod {called(pod)}: {_refusal(reply)}"
                wait = max(wait, wait_seconds(reply, wait))
                continue
            if reply.status not in {GONE, CHANGED}:
                self._api.told("POST", path, reply)
            self._owners[owner(pod)] = pod["metadata"]["namespace"]
            self._say(f"has evicted pod {called(pod)}", left)
            return self._look_seconds
        self._say(why, left)
        return wait

    def _coming(self) -> list[Thing]:
        """Return the pods that were made for those evicted, and do not run yet."""
        waiting = {"fieldSelector": "status.phase=Pending"}
        return [
            each
            for namespace in sorted(set(self._owners.values()))
            for each in self._api.items(path_of(CORE, namespace, "pods"), waiting)
            if owner(each) in self._owners
        ]

    def _pods(self) -> list[Thing]:
        node = {"fieldSelector": f"spec.nodeName={self._cordon.name}"}
        return leaving(self._api.items(path_of(CORE, "", "pods"), node))

    def _say(self, what: str, left: list[Thing]) -> None:
        """Note how far it is; a line of the log for what is new."""
        word = f"{what}; {len(left)} had still to leave"
        if word != self.word:
            LOG.info(line("drain", node=self._cordon.name, detail=word))
        self.word = word

    def _open(self) -> None:
        """Uncordon the node; tried until it is, or whoever has asked for our end does so."""
        while True:
            try:
                self._cordon.lift()
            except KnobError as error:
                self.word = f"given up, and cannot be uncordoned: {error.detail}"
            else:
                return
            if self._stop.wait(self._look_seconds):
                return


def _eviction(pod: Thing) -> tuple[str, Thing]:
    """Return where to ask for the eviction of a pod, and how: of this one, not of its successor."""
    meta = pod["metadata"]
    path = path_of(CORE, meta["namespace"], "pods", meta["name"], "eviction")
    return path, {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        "deleteOptions": {"preconditions": {"uid": meta["uid"]}},
    }


def _refusal(reply: Reply) -> str:
    """Return in words why the server lets nobody go now: which budget, or that it is busy."""
    body = reply.json()
    details = body.get("details") if isinstance(body, dict) else None
    causes = details.get("causes") if isinstance(details, dict) else None
    said = [str(each["message"]) for each in causes or [] if "message" in each]
    return plain(said[0] if said else str(body["message"] if isinstance(body, dict) else body))
