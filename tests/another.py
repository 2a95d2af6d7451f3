"""To be another user for a moment, as far as new sockets go."""

import codecs
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ANOTHER = 4321


@contextmanager
def another_user(user: int = ANOTHER) -> Iterator[None]:
    """Make new sockets of this thread another user's; skips the test where we are not root."""
    if os.geteuid() != 0:
        pytest.skip("only root can make sockets of another user")
    for name in ("ascii", "idna"):  # he may not read where Python lies
        codecs.lookup(name)
    libc = ctypes.CDLL(None)
    libc.setfsuid(user)
    try:
        yield
    finally:
        libc.setfsuid(0)
