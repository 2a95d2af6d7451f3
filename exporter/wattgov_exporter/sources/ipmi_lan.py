"""A BMC on the network: IPMI 2.0 over UDP, through `pyghmi` (the optional extra `ipmi`)."""

from importlib import import_module
from typing import Any

from wattgov_exporter.config import Ipmi as Settings
from wattgov_exporter.reading import Clock, NoMeter, Reason
from wattgov_exporter.secret import Password

USER_PRIVILEGE = 2
"""Enough to read; pyghmi would ask for Administrator."""

IDLE_SECONDS = 45.0
"""A BMC ends a session after 60 s of silence (IPMI 2.0, 6.12.15); ours is let go before."""

REFUSED = ("password", "Unauthorized", "role", "username", "integrity check", "privelege")
"""Words in pyghmi's errors that mean the account, the password or the privilege (its spelling)."""

Answers = list[dict[str, Any]]

SILENT = ("timeout", "failed to initialize")


class Lan:
    """One session, kept between questions; it is opened anew when anything goes wrong.

    pyghmi's callbacks are used and not its blocking calls: those wait for 40 s.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._host = settings.host or ""
        self._port = settings.port
        self._where = f"{settings.host}:{settings.port}"
        self._username = settings.username
        self._seconds = settings.timeout_seconds
        self._clock = clock
        self._password = Password(settings.password_file, clock)
        self._session: Any = None
        self._asked_at = 0.0

    def ask(self, netfn: int, command: int, data: bytes) -> bytes:
        """Return the answer, completion code first; NoMeter when there is none."""
        try:
            return self._ask(netfn, command, data)
        except NoMeter:
            self.close()
            raise
        except Exception as error:
            # pyghmi lets out whatever its parser meets.
            self.close()
            raise NoMeter(
                Reason.INVALID, f"{self._where}: pyghmi: {type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """End the session, without waiting for the BMC's consent."""
        session, self._session = self._session, None
        if session is not None:
            _release(session)
            session.logout(False)

    def _ask(self, netfn: int, command: int, data: bytes) -> bytes:
        now = self._clock()
        deadline = now + self._seconds
        if self._session is not None and now - self._asked_at > IDLE_SECONDS:
            self.close()
        if self._session is None:
            self._log_in(deadline)
        self._asked_at = now
        answers: Answers = []
        self._session.raw_command(
            netfn=netfn, command=command, data=tuple(data), callback=answers.append
        )
        answer = self._wait(answers, deadline)
        _release(self._session)
        return bytes([answer["code"], *answer["data"]])

    def _log_in(self, deadline: float) -> None:
        if self._username is None:
            raise NoMeter(Reason.INVALID, "sources.ipmi needs username and password_file")
        try:
            pyghmi = import_module("pyghmi.ipmi.command")
        except ImportError as error:
            raise NoMeter(
                Reason.UNSUPPORTED, "IPMI over the network needs: pip install 'wattgov[ipmi]'"
            ) from error
        password = self._password.read()
        answers: Answers = []
        try:
            command = pyghmi.Command(
                bmc=self._host,
                port=self._port,
                # Bytes: pyghmi finds text again as bytes only, and would revive a dead session.
                userid=self._username.encode(),
                password=password.encode(),
                privlevel=USER_PRIVILEGE,
                onlogon=lambda answer, _: answers.append(answer),
            )
        except OSError as error:
            raise NoMeter(Reason.ABSENT, f"{self._where}: {error.strerror or error}") from error
        self._session = command.ipmi_session
        self._wait(answers, deadline)

    def _wait(self, answers: Answers, deadline: float) -> dict[str, Any]:
        """Return the first answer; NoMeter when it is an error, or late."""
        while not answers and self._clock() < deadline:
            self._session.wait_for_rsp(max(deadline - self._clock(), 0.0))
        error = answers[0].get("error") if answers else "timeout"
        if error is None:
            return answers[0]
        if any(word in error for word in SILENT):
            raise NoMeter(
                Reason.TIMEOUT,
                f"{self._where} (UDP) did not answer within {self._seconds:g} s: is IPMI over LAN "
                "switched on in the BMC, and the username known to it?",
            )
        if any(word in error for word in REFUSED):
            self._password.refused()
            raise NoMeter(
                Reason.PERMISSION, f"{self._where}: {error}; check username and password_file"
            )
        raise NoMeter(Reason.INVALID, f"{self._where}: {error}")


def _release(session: Any) -> None:  # noqa: ANN401  pyghmi is untyped
    """Free the session for its next command: pyghmi leaves that to whoever gives a callback."""
    session.incommand = False
    while session.evq:
        session.evq.popleft().set()
