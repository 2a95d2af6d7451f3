"""Which targets a rule or a group is about, by the labels that the targets have here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wattgov_actuator.reading import Labels

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
Patterns = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """All of *only* must match, and none of *but*; a label that is not there is empty."""

    only: Patterns = ()
    but: Patterns = ()

    def takes(self, labels: Labels) -> bool:
        """Tell whether a target with these labels is meant."""
        return all(_matches(labels, *each) for each in self.only) and not any(
            _matches(labels, *each) for each in self.but
        )


def patterns(written: Mapping[str, str]) -> Patterns:
    """Compile what a rule file says; raises ValueError with a sentence."""
    found = []
    for label, text in written.items():
        if not LABEL.fullmatch(label):
            raise ValueError(f"'{label}' cannot be a label")
        try:
            found.append((label, re.compile(text)))
        except re.error as error:
            raise ValueError(f"'{text}' is no regular expression: {error}") from None
    return tuple(found)


def _matches(labels: Labels, label: str, pattern: re.Pattern[str]) -> bool:
    """Match the whole value, as Prometheus does."""
    return pattern.fullmatch(labels.get(label, "")) is not None
