"""Replicas: a knob of connections only, which goes both ways, and what a rule says of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actuator.bench import Bench
from actuator.builders import loaded
from actuator.stands import STANDS, Stand
from wattgov_actuator.document.strict import Invalid

RULES = """
version: 1
knobs:
  - {{knob: replicas, backend: kubernetes, name: chat, namespace: shop, object: chat{more}}}
groups:
  - name: pods
    rules:
      - {{action: fewer, expr: quiet, knob: replicas, set: 2, min: 1}}
"""


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """Return its cluster."""
    with STANDS["replicas/kubernetes"].served() as found:
        found.plant(tmp_path)
        yield found


def test_replicas_may_grow_beyond_what_was_there_before_us(stand: Stand, tmp_path: Path) -> None:
    """In whole pods, in steps that are ratios, and they come back."""
    bench = Bench(tmp_path, stand.name, lambda: stand.open(tmp_path))
    target = bench.observe().target
    grown, odd = bench.act(15), bench.act(2.4)

    assert (target.both_ways, target.multiplicative, target.unit) == (True, True, "replicas")
    assert (15, 2) == (grown.read_back, odd.read_back)
    bench.writer.restore()
    assert () == bench.journal.undos()
    bench.close()


def test_a_rule_names_it(tmp_path: Path) -> None:
    """In a cluster its entry says what and how far, and nothing of where."""
    (way,) = loaded(tmp_path / "rules.yml", RULES.format(more=", high: 9")).connections

    assert ("chat", 1.0, 9.0, "Deployment") == (
        way.text("object"),
        way.number("low"),
        way.number("high"),
        way.text("kind"),
    )


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("", "an entry has no 'high'"),
        (", high: 9, selector: a=b", "unknown key 'selector'"),
        (", high: 9, kind: ReplicaSet", "kind: unknown 'ReplicaSet'"),
        (", high: 9, url: 'http://10.0.0.1'", "without authentication"),
    ],
)
def test_what_its_entry_may_not_say(tmp_path: Path, more: str, mistake: str) -> None:
    """Keys of another knob of the same backend are unknown here."""
    with pytest.raises(Invalid, match=mistake):
        loaded(tmp_path / "rules.yml", RULES.format(more=more))
