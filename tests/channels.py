"""Turn channels of alerting/alertmanager.yml on and off, as its comments tell a user to."""

import re
from collections.abc import Container, Iterator


def with_channels(text: str, kinds: Container[str]) -> str:
    """Return the configuration with these channels, and no others, on."""
    return "\n".join(_lines(text, kinds)) + "\n"


def _lines(text: str, kinds: Container[str]) -> Iterator[str]:
    block = ""  # the channel whose lines these are
    for line in text.splitlines():
        start = re.match(r"    (# )?(\w+)_configs:$", line)
        inside = re.match(r"    (# )?  ", line)
        block = start[2] if start else block if inside else ""
        if not block:
            yield line
        elif block in kinds:
            yield re.sub(r"^    # ", "    ", line)
