"""The way to the cluster, for what is no knob: an election, the policies of a namespace."""

from collections.abc import Mapping

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.backends import ACCOUNT
from wattgov_actuator.rules import Kind, RuleSet
from wattgov_actuator.shared import shared_ways


def cluster_of(rules: RuleSet, kinds: Mapping[str, Kind]) -> Connection:
    """Return the way to the cluster that the entries under `knobs` lead to, else to our own."""
    here = Connection("", "", "", {}, {"account": ACCOUNT})
    return next(iter(shared_ways(rules, kinds)), here)
