"""How many processes each app has and what they hold, kept up from change to change. Pure.

Thousands of processes that sleep need not be counted anew each second.
"""

from collections import Counter


class Census:
    """Of all processes: the app of each, and by app their number and resident pages."""

    def __init__(self) -> None:
        self.apps: dict[int, str] = {}
        self.processes: Counter[str] = Counter()
        self.pages: Counter[str] = Counter()
        self._held: dict[int, int] = {}

    def enter(self, pid: int, app: str, pages: int) -> None:
        """Take what a process is and holds now."""
        if self.apps.get(pid) != app:
            self.leave(pid)
            self.apps[pid] = app
            self.processes[app] += 1
        self.pages[app] += pages - self._held.get(pid, 0)
        self._held[pid] = pages

    def leave(self, pid: int) -> None:
        """Let a process go, if it is known; an app without any is none."""
        app = self.apps.pop(pid, None)
        if app is not None:
            self.pages[app] -= self._held.pop(pid)
            self.processes[app] -= 1
            if not self.processes[app]:
                del self.processes[app], self.pages[app]
