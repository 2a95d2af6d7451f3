"""How a knob reaches what is no part of this machine: a server, a BMC, somebody who may turn it.

It stands in a rule file under `knobs`, and goes into the journal with each undo, so that putting
back needs no rule file. A secret is never in it, only the file or the variable that holds it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address

from wattgov_actuator.reading import Fault, KnobError, Labels

Setting = str | float | bool


@dataclass(frozen=True, slots=True)
class Connection:
    """One entry under `knobs`."""

    knob: str
    backend: str
    name: str  # of its target, where it leads to one only
    labels: Labels  # how series name the target
    settings: Mapping[str, Setting]  # the backend's own keys
    timeout_seconds: float = 5.0  # that a tick waits for an answer

    @property
    def place(self) -> tuple[str, str]:
        """What no two connections share."""
        return self.knob, self.name

    def __str__(self) -> str:
        """Return it as text for the journal."""
        return json.dumps(asdict(self), sort_keys=True)

    def text(self, key: str) -> str:
        """Return the text of a setting; empty where it is not given."""
        return str(self.settings.get(key, ""))

    def number(self, key: str) -> float:
        """Return the number of a setting that has one; raises KnobError.

        The journal of another version may know none of that name.
        """
        if key not in self.settings:
            detail = f"this version's backend {self.backend} needs '{key}', which is not given"
            raise KnobError(Fault.UNSUPPORTED, detail)
        return float(self.settings[key])


def connection_of(text: str) -> Connection:
    """Return what `str` of a connection gave; raises ValueError for anything else."""
    try:
        return Connection(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"'{text}' is no connection: {error}") from None


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
