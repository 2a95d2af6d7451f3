"""The rules of the files together with those of a cluster's policies.

A policy with a mistake must keep neither the files nor other policies from being in force: of it
alone the last good version stays, or none where there never was one.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from wattgov_actuator.document.strict import Invalid, Mistake
from wattgov_actuator.logfmt import line
from wattgov_actuator.rules import Document, Policies, RuleSet

LOG = logging.getLogger(__name__)
Load = Callable[[Sequence[Document]], RuleSet]
"""Reads the files, and documents with them; raises Invalid."""


class Loading:
    """Reads the rules, and remembers of each policy the last good version."""

    def __init__(self, load: Load, documents: Callable[[], Sequence[Document]]) -> None:
        self._load, self._documents = load, documents
        self._good: dict[str, Document] = {}  # by name
        self._told: tuple[Mistake, ...] = ()

    def __call__(self) -> RuleSet:
        """Return the rules now; raises Invalid for what is wrong with the files."""
        tried = newest = {each.name: each for each in self._documents()}
        refused: list[Mistake] = []
        while True:
            try:
                rules = self._load(tuple(tried.values()))
                break
            except Invalid as error:
                wrong = [each for each in error.mistakes if each.file in tried]
                if not wrong:
                    raise
            refused += [each for each in wrong if tried[each.file] is newest[each.file]]
            bad = {each.file for each in wrong}
            versions = (self._older(each) if name in bad else each for name, each in tried.items())
            tried = {each.name: each for each in versions if each is not None}
        self._good = tried
        policies = replace(rules.policies or Policies(), refused=tuple(refused))
        self._tell(policies)
        return replace(rules, policies=policies)

    def _older(self, document: Document) -> Document | None:
        """Return the last good version of a bad one, if there is another."""
        good = self._good.get(document.name)
        return None if good == document else good

    def _tell(self, policies: Policies) -> None:
        """Log what is refused, when it is news."""
        for each in policies.refused:
            if each not in self._told:
                LOG.error(line("policy_refused", mistake=each))
        self._told = policies.refused
