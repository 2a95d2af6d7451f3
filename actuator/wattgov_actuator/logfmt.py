"""One line per event, key=value, as Prometheus and its kin log."""

import json
import logging
import re
import traceback
from datetime import UTC, datetime

PLAIN = re.compile(r"[^\s=\"]+")


def line(event: str, **fields: object) -> str:
    """Return the line of *event*; a field that is None is left out."""
    given = {"event": event, **{key: each for key, each in fields.items() if each is not None}}
    return " ".join(f"{key}={_value(each)}" for key, each in given.items())


def _value(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class Formatter(logging.Formatter):
    """Puts time and level before an event, and an exception's place behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, whatever happened."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        text = f"ts={time} level={record.levelname.lower()} {record.getMessage()}"
        if record.exc_info is None or record.exc_info[1] is None:
            return text
        error = record.exc_info[1]
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{each.name}:{each.lineno}" for each in reversed(frames))
        return f"{text} error={_value(repr(error))} where={_value(where)}"


def log_to_stderr() -> None:
    """Log what happens from now on, one line an event."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
