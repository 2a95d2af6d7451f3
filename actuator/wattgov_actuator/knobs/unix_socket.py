"""HTTP over a Unix socket, as daemons of this machine take orders: one try, bounded, in words."""

import http.client
import socket

from wattgov_actuator.knobs.web import MAX_BYTES, Headers, Reply
from wattgov_actuator.reading import Fault, KnobError

NOTHING: Headers = {}


class UnixSocket:
    """One daemon."""

    def __init__(self, name: str, path: str, wait_seconds: float, fix: str) -> None:
        """Take what it is called, where it listens, and what helps who may not ask it."""
        self._name, self._path, self._wait_seconds, self._fix = name, path, wait_seconds, fix

    def ask(
        self, verb: str, path: str, headers: Headers = NOTHING, wait_seconds: float | None = None
    ) -> Reply:
        """Return the answer of whatever status to one request; raises KnobError.

        *headers* hold the secrets. *wait_seconds* is for what takes long.
        """
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = file = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            file.settimeout(self._wait_seconds)
            file.connect(self._path)
            file.settimeout(wait)
            connection.request(verb, path, headers={"Content-Length": "0", **headers})
            answer = connection.getresponse()
            content = answer.read(MAX_BYTES)
        except TimeoutError:
            detail = f"{self._name} at {self._path} did not answer within {wait:g} s"
            raise KnobError(Fault.LOST, detail) from None
        except PermissionError:
            detail = f"{self._path} is not open to this user; {self._fix}"
            raise KnobError(Fault.REFUSED, detail) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            detail = f"{self._name} at {self._path} cannot be asked: {why}"
            raise KnobError(Fault.LOST, detail) from None
        finally:
            connection.close()
        secrets = tuple(each.rpartition(" ")[2] for each in headers.values())
        return Reply(
            f"{self._name}{path}", answer.status, dict(answer.getheaders()), content, secrets
        )
