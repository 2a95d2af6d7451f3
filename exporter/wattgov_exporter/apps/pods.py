"""The names that Kubernetes has told, and the ones that are still waited for.

A pod is often seen here before the next list of pods tells its name. For a short time its processes
wait for it, and what they use meanwhile is in `_other`: it stays there, as for any app that is not
published yet. After that they go by the uid. If the name comes later still (the kubelet was down),
they change over: the app named by the uid keeps what it has and ends as any app without processes,
and the named one starts at nothing. So no counter falls, and no joule is in two rows.
"""

from collections.abc import Mapping

from wattgov_exporter.reading import Clock, Pods

PATIENCE_SECONDS = 10.0
"""How long a process waits for its pod's name: three tries at the kubelet, and time to answer."""

MOST_UNKNOWN = 1_000


class NotYet(Exception):
    """The name may still come."""


class Directory:
    """What is known; nobody waits with *patience_seconds* of 0."""

    def __init__(self, clock: Clock, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._told = Pods()
        self._asked: dict[str, float] = {}

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a name, so that the next list should come soon."""
        return any(self._clock() < since + self._patience_seconds for since in self._asked.values())

    def learn(self, told: Pods) -> bool:
        """Take a new list; return whether it names what was given up, so must be named anew."""
        if told is self._told:
            return False
        self._told = told
        found = [key for key in self._asked if key in told.pods or key in told.containers]
        late = [self._asked.pop(key) + self._patience_seconds <= self._clock() for key in found]
        return any(late)

    def pod(self, uid: str) -> str | None:
        """Return namespace/name, None when nobody tells; raise NotYet while it may still come."""
        return self._find(uid, self._told.pods)

    def container(self, number: str) -> str | None:
        """Return namespace/pod/container, as `pod` does, by the first digits of its id."""
        return self._find(number, self._told.containers)

    def _find(self, key: str, names: Mapping[str, str]) -> str | None:
        name = names.get(key)
        if name is None and self._patience_seconds:
            if len(self._asked) >= MOST_UNKNOWN:
                self._asked.clear()
            if self._clock() < self._asked.setdefault(key, self._clock()) + self._patience_seconds:
                raise NotYet
        return name
