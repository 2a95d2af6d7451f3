"""What is kept up from change to change is what a count would find."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.apps.census import Census

PIDS = st.integers(1, 5)
CHANGE = st.tuples(PIDS, st.sampled_from(["chat", "train", "_other"]), st.integers(0, 9))


@given(st.lists(CHANGE | PIDS))
def test_as_if_counted_anew(changes: list[tuple[int, str, int] | int]) -> None:
    """Processes come, are named anew, grow and go; an app that has none is not there."""
    census = Census()
    now: dict[int, tuple[str, int]] = {}
    for change in changes:
        if isinstance(change, int):
            census.leave(change)
            now.pop(change, None)
        else:
            census.enter(*change)
            now[change[0]] = change[1:]

    pages: Counter[str] = Counter()
    for app, held in now.values():
        pages[app] += held
    assert {pid: app for pid, (app, _) in now.items()} == census.apps
    assert dict(Counter(app for app, _ in now.values())) == dict(census.processes)
    assert dict(pages) == dict(census.pages)
