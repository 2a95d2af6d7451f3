"""What of a message's head goes on to the next hop (RFC 9110, section 7.6)."""

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

NAME = "wattgov"
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Of a handshake; each side of a relay does its own.
WEBSOCKET = frozenset(
    {
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
    }
)
NEVER_NAMED = frozenset({"host", "content-length"})  # `Connection: host` must not hide it
EXPECT = frozenset({"expect"})  # we have answered that ourselves
NO_MORE: frozenset[str] = frozenset()

Head = CIMultiDictProxy[str]


def passed(head: Head, *, but: frozenset[str] = NO_MORE) -> CIMultiDict[str]:
    """Return the fields that are for the other end, spelt as they came."""
    dropped = HOP_BY_HOP | but | _named(head)
    return CIMultiDict((name, value) for name, value in head.items() if name.lower() not in dropped)


def introduced(
    fields: CIMultiDict[str], *, version: Iterable[int], peer: str | None, scheme: str, host: str
) -> CIMultiDict[str]:
    """Add who asked, and that we are between. What nearer proxies said stays in front."""
    fields.add("Via", f"{'.'.join(map(str, version))} {NAME}")
    if peer:
        before = fields.popall("X-Forwarded-For", [])
        fields["X-Forwarded-For"] = ", ".join((*before, peer))
    fields.setdefault("X-Forwarded-Proto", scheme)
    if host:
        fields.setdefault("X-Forwarded-Host", host)
    return fields


def target_of(raw: str) -> tuple[str, str]:
    """Return path and query as they came, and the host that a target in absolute form names.

    ValueError when it is neither of the two forms.
    """
    if raw.startswith("/"):
        return raw.partition("#")[0], ""
    url = URL(raw, encoded=True)
    if url.scheme not in {"http", "https"} or not url.raw_authority:
        raise ValueError(raw)
    return url.raw_path_qs, url.raw_authority.rpartition("@")[2]


def wants_websocket(method: str, head: Mapping[str, str]) -> bool:
    """Tell whether a request asks to become a websocket."""
    named = {each.strip().lower() for each in head.get("Connection", "").split(",")}
    return method == "GET" and "upgrade" in named and head.get("Upgrade", "").lower() == "websocket"


def _named(head: Head) -> frozenset[str]:
    """Return the fields that `Connection` calls hop-by-hop."""
    values = head.getall("Connection", ())
    names = (each.strip().lower() for value in values for each in value.split(","))
    return frozenset(names) - NEVER_NAMED
