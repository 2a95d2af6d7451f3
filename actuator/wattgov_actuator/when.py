"""Moments and spans of time as people write and read them."""

from datetime import UTC, datetime

SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def clock_text(unix: float) -> str:
    """Return a moment as a person and a machine can read it, to the second."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_text(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded."""
    for size, name in SPANS:
        if abs(seconds) >= size:
            return f"{round(seconds / size, 1):g} {name}"
    return f"{seconds:.3g} s" if abs(seconds) < 1 else f"{seconds:.0f} s"


def moment_of(text: str) -> float | None:
    """Return the unix seconds of an ISO 8601 moment, UTC where it names no zone; else None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
