"""Which connections lead to what all machines have, and not to a part of this one."""

from collections.abc import Mapping

from wattgov_actuator.connection import Connection
from wattgov_actuator.rules import Kind, RuleSet


def shared_ways(rules: RuleSet, kinds: Mapping[str, Kind]) -> tuple[Connection, ...]:
    """Return the connections that lead to what all machines have."""
    return tuple(way for way in rules.connections if is_shared(way, kinds))


def is_shared(way: Connection, kinds: Mapping[str, Kind]) -> bool:
    """Tell whether a connection leads there; one of another version's journal does not."""
    backend = kinds[way.knob].backends.get(way.backend) if way.knob in kinds else None
    return backend is not None and backend.shared
