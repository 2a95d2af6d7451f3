"""How the strict API server tells of what changes: from a version on, in pieces, until it ends."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from fakes.api import Reply

Thing = dict[str, Any]
GONE = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}
TOO_OLD = {**GONE, "message": "too old resource version"}


@dataclass
class Changes:
    """What has changed, by version; each watch waits for more."""

    told: list[tuple[int, str, str, Thing]] = field(default_factory=list)  # version, list, type
    oldest: int = 0  # what came up to here is forgotten
    opened: int = 0  # watches, so far
    hung_up: int = 0  # those opened up to here have ended
    news: Condition = field(default_factory=Condition)

    def tell(self, version: int, whole: str, kind: str, thing: Thing) -> None:
        """Note that an object of a list was ADDED, MODIFIED or DELETED."""
        with self.news:
            self.told.append((version, whole, kind, json.loads(json.dumps(thing))))
            self.news.notify_all()

    def hang_up(self) -> None:
        """End every watch that is open."""
        with self.news:
            self.hung_up = self.opened
            self.news.notify_all()

    def watch(self, whole: str, query: dict[str, list[str]]) -> Reply:
        """Answer to a watch; one without bookmarks or an end is not for us to be asked."""
        missing = {"resourceVersion", "allowWatchBookmarks", "timeoutSeconds"} - query.keys()
        if missing:
            return Reply(400, {"kind": "Status", "message": f"{missing} are missing"})
        since = int(query["resourceVersion"][0])
        if since < self.oldest:
            return Reply(410, TOO_OLD)
        with self.news:
            self.opened += 1
            return Reply(200, self._events(whole, since, self.opened))

    def _events(self, whole: str, since: int, number: int) -> Iterator[bytes]:
        while True:
            with self.news:
                while not (due := self._due(whole, since)) and number > self.hung_up:
                    self.news.wait()
                ended, forgotten = number <= self.hung_up, since < self.oldest
            if forgotten:
                yield _line("ERROR", TOO_OLD)
                return
            for version, kind, thing in due:
                yield _line(kind, thing)
                since = version
            if ended:
                return

    def _due(self, whole: str, since: int) -> list[tuple[int, str, Thing]]:
        return [
            (version, kind, thing)
            for version, where, kind, thing in self.told
            if version > since and where in {whole, ""}
        ]


def _line(kind: str, thing: Thing) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"
