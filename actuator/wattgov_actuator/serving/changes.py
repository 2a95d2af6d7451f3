"""What the service may be asked to do: reload, pause, resume, restore. The loop does it."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import unquote

from wattgov_actuator.acting.restoring import is_left
from wattgov_actuator.document.quantity import seconds_of
from wattgov_actuator.orders import Asking, Heed, Reload, Restore, Wake
from wattgov_actuator.pause import Pause, PauseFile
from wattgov_actuator.serving.questions import body, flag_of, text_of
from wattgov_actuator.serving.replies import Refusal, data, text
from wattgov_actuator.when import LONGEST_SECONDS
from wattgov_web.client import Client
from wattgov_web.request import Request, Response

LONGEST_WHY = 500
WAKE = "/api/v1/wake/"  # and the name of the target
LATER = "the loop has not come to it yet; see /api/v1/status"


class Changes:
    """Takes what a client who may change things asks for, and answers with what came of it."""

    def __init__(self, ask: Asking, brake: PauseFile, unix: Callable[[], float]) -> None:
        self._ask, self._brake, self._unix = ask, brake, unix

    def reload(self, request: Request, client: Client) -> Response:
        """Read the rules again."""
        del request, client
        mistakes = self._ask(Reload())
        if mistakes is None:
            return text(HTTPStatus.GATEWAY_TIMEOUT, "not reloaded yet; see the log\n")
        if mistakes:
            told = "\n".join((*mistakes, "the old rules stay in force\n"))
            return text(HTTPStatus.INTERNAL_SERVER_ERROR, told)
        return text(HTTPStatus.OK, "reloaded\n")

    def pause(self, request: Request, client: Client) -> Response:
        """Begin a pause, or replace one."""
        given, now = body(request, ("duration", "why", "restore")), self._unix()
        duration = text_of(given, "duration", 20)
        seconds = seconds_of(duration) if duration else None
        if duration and (seconds is None or not 0 < seconds <= LONGEST_SECONDS):
            sentence = (
                f"'duration' is a length of time such as 30m, at most 366d, not '{duration}'; "
                "leave it out to pause until somebody resumes"
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, sentence)
        until = None if seconds is None else now + seconds
        why, restore = text_of(given, "why", LONGEST_WHY), flag_of(given, "restore")
        pause = Pause(now, until, str(client), why, restore)
        try:
            self._brake.write(pause)
        except OSError as error:
            raise _unwritten(self._brake, error) from None
        return self._heeded({"paused": pause})

    def resume(self, request: Request, client: Client) -> Response:
        """End a pause; without one it is as well."""
        del client
        body(request, ())
        before = self._brake.read(self._unix())
        try:
            self._brake.end()
        except OSError as error:
            raise _unwritten(self._brake, error) from None
        return self._heeded({"resumed": before})

    def restore(self, request: Request, client: Client) -> Response:
        """Put everything back, once."""
        del client
        body(request, ())
        decisions = self._ask(Restore())
        if decisions is None:
            return data({"restored": None, "note": LATER}, HTTPStatus.ACCEPTED)
        left = sum(map(is_left, decisions))
        status = HTTPStatus.INTERNAL_SERVER_ERROR if left else HTTPStatus.OK
        return data({"restored": decisions, "left": left}, status)

    def wake(self, request: Request, client: Client) -> Response:
        """Wake the target that the path names, and answer when it is awake: 2xx says that it is."""
        del client
        body(request, ())
        target = unquote(request.path.removeprefix(WAKE))
        wrong = self._ask(Wake(target))
        if wrong is None:
            raise Refusal(HTTPStatus.GATEWAY_TIMEOUT, f"{target} is not awake yet; ask again")
        if wrong:
            raise Refusal(HTTPStatus.NOT_FOUND, wrong)
        return data({"awake": target})

    def _heeded(self, told: dict[str, object]) -> Response:
        """Have the loop look at the pause file, which it would also do by itself."""
        left = self._ask(Heed())
        if left is None:
            return data({**told, "open_undos": None, "note": LATER}, HTTPStatus.ACCEPTED)
        return data({**told, "open_undos": left})


def _unwritten(brake: PauseFile, error: OSError) -> Refusal:
    sentence = f"{brake.path} cannot be written: {error.strerror}"
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, sentence)
