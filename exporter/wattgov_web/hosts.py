"""By which names a listener may be asked.

A web page can point its own name at this machine after it has been loaded (DNS rebinding). Its
browser then takes our answers for its server's, and lets the page read them; but it still asks for
that name.
"""

import ipaddress
import re
from collections.abc import Collection

_HOST = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(:[0-9]*)?")


def known(host: str, names: Collection[str]) -> bool:
    """Tell whether a Host header has an address, localhost, or one of *names*; any port.

    An address cannot be pointed elsewhere. No header at all is no browser.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return not host
    name = (match["six"] or match["name"]).lower().removesuffix(".")
    return name in {"localhost", *(each.lower() for each in names)} or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
