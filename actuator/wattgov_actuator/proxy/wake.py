"""The call that wakes the server."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp

from wattgov_actuator.proxy.secret import Unreadable, read
from wattgov_actuator.proxy.waking import NotYet

SHOWN, SUCCESS = 200, 2
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WakeCall:
    """Asks the actuator."""

    url: str
    token_file: Path | None
    session: aiohttp.ClientSession

    async def __call__(self) -> str:
        """Return what is wrong; "" when the server is awake, for as long as one call waits for it.

        Raises NotYet when that was not long enough.
        """
        try:
            token = None if self.token_file is None else read(self.token_file)
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            async with self.session.post(
                self.url,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            ) as answer:
                if answer.status // 100 == SUCCESS:
                    return ""
                if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
                    raise NotYet
                said = (await answer.content.read(SHOWN)).decode(errors="replace").strip()
                return f"{self.url} says {answer.status}: {said}"
        except (aiohttp.ClientError, OSError, ValueError, Unreadable) as error:
            return f"{self.url}: {error}"
