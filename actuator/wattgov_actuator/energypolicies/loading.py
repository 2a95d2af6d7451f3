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
        rules = self._load(())
        kept: list[Document] = []
        refused: list[Mistake] = []
        for each in self._documents():
            for version in (each, self._good.get(each.name, each)):
                try:
                    rules = self._load([*kept, version])
                except Invalid as error:
                    refused += error.mistakes if version is each else ()
                else:
                    kept.append(version)
                    break
        self._good = {each.name: each for each in kept}
        found = rules.policies or Policies()
        policies = replace(found, refused=tuple(dict.fromkeys(refused)))
        self._tell(policies)
        return replace(rules, policies=policies)

    def _tell(self, policies: Policies) -> None:
        """Log what is refused, when it is news."""
        for each in policies.refused:
            if each not in self._told:
                LOG.error(line("policy_refused", mistake=each))
        self._told = policies.refused
