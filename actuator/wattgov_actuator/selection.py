"""Which targets a rule or a group is about, by the labels that the targets have here."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from wattgov_actuator.document.tree import line_of
from wattgov_actuator.reading import Labels

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LONGEST = 1000
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
    for label in written:
        if not LABEL.fullmatch(label):
            raise ValueError(f"'{line_of(label)}' cannot be a label")
    return tuple((label, compiled(text)) for label, text in written.items())


def compiled(text: str) -> re.Pattern[str]:
    """Compile a regular expression of a rule file; raises ValueError with a sentence."""
    shown = line_of(text)
    if len(text) > LONGEST:
        raise ValueError(f"'{shown}' is longer than {LONGEST} characters; give several rules")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what may mean something else one day
            return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"'{shown}' is no regular expression: {line_of(str(error))}") from None


def _matches(labels: Labels, label: str, pattern: re.Pattern[str]) -> bool:
    """Match the whole value, as Prometheus does."""
    return pattern.fullmatch(labels.get(label, "")) is not None
