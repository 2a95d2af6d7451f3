"""What of a head goes on, as a pure function."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from wattgov_actuator.proxy.headers import passed, target_of, wants_websocket


def head(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    """Return a head of these fields."""
    return CIMultiDictProxy(CIMultiDict(fields))


def test_names_keep_their_spelling_and_order() -> None:
    """Two of one name stay two."""
    fields = (("x-Odd", "1"), ("Set-Cookie", "a"), ("set-cookie", "b"))

    assert list(fields) == list(passed(head(*fields)).items())


def test_a_connection_field_cannot_hide_what_the_next_hop_needs() -> None:
    """It names its own fields only."""
    given = head(("Connection", "Host, content-length, X-A"), ("Host", "a"), ("X-A", "1"))

    assert {"Host": "a"} == dict(passed(given))


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/", ("/", "")),
        ("//evil.example/x", ("//evil.example/x", "")),
        ("/a?b#c", ("/a?b", "")),
        ("http://user:secret@host:1/a?b", ("/a?b", "host:1")),
        ("https://host", ("/", "host")),
    ],
)
def test_a_target_is_a_path_or_a_url(raw: str, target: tuple[str, str]) -> None:
    """The path as it came, and the host that was named."""
    assert target == target_of(raw)


@pytest.mark.parametrize("raw", ["*", "a/b", "host:443", "ftp://host/", "http:///a"])
def test_another_target_is_none(raw: str) -> None:
    """It is refused."""
    with pytest.raises(ValueError, match=r".*"):
        target_of(raw)


def test_only_a_get_that_upgrades_is_a_websocket() -> None:
    """Both fields are needed."""
    fields = {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"}

    assert wants_websocket("GET", fields)
    assert not wants_websocket("POST", fields)
    assert not wants_websocket("GET", {"Upgrade": "websocket"})
