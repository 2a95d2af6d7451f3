"""Whose program is at the other end: as real sockets have it, and as a table could say it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from another import ANOTHER, another_user
from wattgov_web.peer import NOBODY, Ends, agreed

V4, V6 = socket.AF_INET, socket.AF_INET6
FAMILIES = [  # where is listened, and how and by what socket the client comes
    ("127.0.0.1", V4, "127.0.0.1"),
    ("127.0.0.1", V6, "::ffff:127.0.0.1"),
    ("::1", V6, "::1"),
    ("::", V4, "127.0.0.1"),
    ("::", V6, "::ffff:127.0.0.1"),
    ("::", V6, "::1"),
]


@contextmanager
def connected(
    listen: str = "127.0.0.1", family: socket.AddressFamily = V4, to: str = "127.0.0.1"
) -> Iterator[tuple[socket.socket, Ends]]:
    """Give the client's socket, and the ends as the server has them."""
    with socket.socket(V6 if ":" in listen else V4) as listener, socket.socket(family) as client:
        try:
            listener.bind((listen, 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        listener.listen()
        client.settimeout(20)
        client.connect((to, listener.getsockname()[1]))
        server, peer = listener.accept()
        with server:
            yield client, Ends(peer[:2], server.getsockname()[:2])


@pytest.mark.parametrize(("listen", "family", "to"), FAMILIES)
def test_a_socket_belongs_to_who_made_it(
    listen: str, family: socket.AddressFamily, to: str
) -> None:
    """However the two ends spell their addresses."""
    with connected(listen, family, to) as (_, ends):
        assert os.geteuid() == ends.owner()
    with another_user(), connected(listen, family, to) as (_, ends):
        assert ANOTHER == ends.owner()


def test_who_has_hung_up_is_nobody() -> None:
    """The kernel says root of a socket that its program has closed: anybody could pass for him."""
    with another_user(), connected() as (client, ends):
        client.close()
        assert ends.owner() is None


def test_who_has_half_hung_up_is_nobody() -> None:
    """He may close the rest at any moment."""
    with connected() as (client, ends):
        client.shutdown(socket.SHUT_WR)
        assert ends.owner() is None


def test_a_connection_that_is_not_there_belongs_to_nobody() -> None:
    """As one that comes from another network namespace, or another machine."""
    with connected() as (_, ends):
        peer, here = ends.peer, ends.here
        assert Ends((peer[0], 1), here).owner() is None
        assert Ends(peer, (here[0], 1)).owner() is None
        assert Ends(here, peer).owner() is not None  # the server's own socket is the peer's peer


@pytest.mark.parametrize(
    ("looks", "seen"),
    [("aa", "a"), ("-aa", "a"), ("a-aa", "a"), ("abb", "b"), ("a-a-a-", None), ("------", None)],
)
def test_two_looks_in_a_row_agree(looks: str, seen: str | None) -> None:
    """The kernel may leave a socket out while others come and go; one that changes is not told."""
    entries = [None if each == "-" else (each, "7") for each in looks]

    assert agreed(entries) == (None if seen is None else (seen, "7"))


ENDS = Ends(("127.0.0.1", 0xD431), ("127.0.0.1", 0x24FF))
ROW = " 0: 0100007F:D431 0100007F:24FF {state} 0:0 00:0 0 {user} 0 {inode} 1 0 20 4 30 10 -1\n"


@pytest.mark.parametrize(
    ("table", "owner"),
    [
        (ROW.format(state="01", user=1000, inode=7), 1000),
        (ROW.format(state="01", user=0, inode=0), None),
        (ROW.format(state="06", user=0, inode=0), None),
        (ROW.format(state="08", user=0, inode=7), None),
        (ROW.format(state="01", user=NOBODY, inode=7), None),
        (ROW.format(state="01", user=1000, inode=7) * 2, None),
        ("", None),
        (None, None),
    ],
    ids=["open", "closed", "time_wait", "close_wait", "unmapped", "two", "none", "no table"],
)
def test_what_a_table_says(tmp_path: Path, table: str | None, owner: int | None) -> None:
    """One open socket of a user whom we know; all else is not known."""
    (tmp_path / "net").mkdir()
    if table is not None:
        (tmp_path / "net" / "tcp").write_text(f"  sl  local_address rem_address   st\n{table}")

    assert owner == ENDS.owner(tmp_path)
