"""Basic authentication by bcrypt: slow on purpose, so each login is checked once."""

import base64
import binascii
import os
import threading
from collections.abc import Callable, Mapping

Check = Callable[[bytes, bytes], bool]
"""Whether a password and a bcrypt hash belong together."""

REMEMBERED = 128
"""So many verified logins are kept, the latest."""

BCRYPT_BYTES = 72
"""bcrypt looks at no more of a password; its Python library refuses a longer one since 5.0."""

_DECOY_TAIL = b"$TOCN0R2LUdxAkSt5CdgXY.DNNo/bVHE0nO0CnKq9L0pYS0eo9cxAi"


def bcrypt_check(password: bytes, hashed: bytes) -> bool:
    """Check one password; takes about 70 ms at cost 10."""
    import bcrypt  # noqa: PLC0415  an optional extra, needed only by those who have users

    try:
        return bcrypt.checkpw(password[:BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL byte in the password, for older releases
        return False


class Logins:
    """Who has proved to know a password; what is kept is a keyed hash, never the password."""

    def __init__(self, check: Check = bcrypt_check) -> None:
        self._check = check
        self._key = os.urandom(32)
        self._verified: dict[bytes, None] = {}
        # One at a time: guessing keeps one CPU busy, not all.
        self._one = threading.Lock()

    def good(self, users: Mapping[str, bytes], authorization: str) -> bool:
        """Tell whether the Authorization header names a user and his password.

        An unknown user costs as much time as a known one with a wrong password.
        """
        given = _basic(authorization)
        if given is None:
            return False
        user, password = given
        known = user in users
        hashed = users.get(user, _decoy(users))
        mark = self._mark(user.encode(), hashed, password)
        if known and mark in self._verified:
            return True
        with self._one:
            if known and mark in self._verified:  # another connection was first
                return True
            if not self._check(password, hashed) or not known:
                return False
            while len(self._verified) >= REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[mark] = None
            return True

    def _mark(self, *parts: bytes) -> bytes:
        import hashlib  # noqa: PLC0415  OpenSSL takes 4 MiB: no users, no OpenSSL

        digest = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def user_of(authorization: str) -> str:
    """Return the user whom the header names, whoever sent it; "" when it names none."""
    given = _basic(authorization)
    return given[0] if given else ""


def cost(hashed: bytes) -> int:
    """Return the cost in a bcrypt hash: 2 to the power of it rounds."""
    return int(hashed[4:6])


def _decoy(users: Mapping[str, bytes]) -> bytes:
    """Return a hash that nobody's password has, as costly as the users' own."""
    return b"$2b$%02d%b" % (
        max((cost(hashed) for hashed in users.values()), default=10),
        _DECOY_TAIL,
    )


def _basic(authorization: str) -> tuple[str, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None
