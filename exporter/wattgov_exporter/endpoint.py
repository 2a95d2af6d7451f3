"""An address to ask, and how text that comes from there may be repeated."""

import ipaddress
from urllib.parse import urlsplit

MAX_WORDS = 300


def is_loopback(url: str) -> bool:
    """Tell whether *url* is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_clear_text(url: str) -> bool:
    """Tell whether others on the way could read what is sent."""
    return urlsplit(url).scheme != "https" and not is_loopback(url)


def plain(text: str) -> str:
    """Return text from outside as one printable, short line."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= MAX_WORDS else f"{line[:MAX_WORDS]}..."
