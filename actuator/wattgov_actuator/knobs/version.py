"""Versions of servers, as they tell them: 0.5.23, 0.32.0+cpu, 0.33.0rc1."""

import re

from wattgov_actuator.knobs.web import plain
from wattgov_actuator.reading import Fault, KnobError

Version = tuple[int, int, int]


def at_least(oldest: Version, found: object, name: str) -> None:
    """Raise KnobError unless the version that *name* tells is one that was looked at, or later."""
    text = plain(str(found))
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if numbers is None or tuple(int(each or 0) for each in numbers.groups()) < oldest:
        since = ".".join(map(str, oldest))
        detail = f"it is {name} {text}; how it sleeps so was looked at from {since} on"
        raise KnobError(Fault.UNSUPPORTED, detail)
