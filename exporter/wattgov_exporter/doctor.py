"""What each source says of this machine: how far off what is on may be, and why the rest is off."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wattgov_exporter.collect import choose
from wattgov_exporter.poll import Answer
from wattgov_exporter.reading import Energy, Reason, Source

WIDTH = 100
LABEL = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """A source and two answers of it, some time apart."""

    source: Source
    first: Answer
    second: Answer


def report(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the report as lines: a paragraph a source, then what that makes of the node."""
    for finding in findings:
        yield from _paragraph(finding)
    yield from _verdict(findings)


def _paragraph(finding: Finding) -> Iterator[str]:
    answer = finding.second
    word = "on" if answer.reason is Reason.OK else f"off: {answer.reason.value}"
    yield f"{finding.source.name:<{LABEL}}{word}"
    if answer.readings is None:
        yield from _indented(answer.detail)
    else:
        for energy, watts in _powers(finding):
            meter = energy.meter
            place = " ".join(part for part in (meter.package, meter.zone) if part)
            counted = "" if meter.component else ", published only: it overlaps another zone"
            yield f"{'':<{LABEL}}{place}: {watts:.1f} W, {meter.method.value}{counted}"
        yield from _indented(f"expected error: {finding.source.expected_error}")
    yield ""


def _powers(finding: Finding) -> Iterator[tuple[Energy, float]]:
    """Yield each meter with its mean power between the two answers."""
    before = {
        energy.meter: energy
        for energy in (finding.first.readings.energies if finding.first.readings else ())
    }
    for energy in finding.second.readings.energies if finding.second.readings else ():
        old = before.get(energy.meter, energy)
        seconds = energy.at - old.at
        yield energy, (energy.joules - old.joules) / seconds if seconds > 0 else 0.0


def _verdict(findings: Iterable[Finding]) -> Iterator[str]:
    chosen = choose({one.source.name: one.second.readings for one in findings})
    for component, meter in chosen.items():
        yield f"{component.value:<{LABEL}}is metered by {meter.source}, {meter.method.value}"
    if not chosen:
        yield "nothing on this machine can be metered or estimated"


def _indented(text: str) -> list[str]:
    pad = " " * LABEL
    return textwrap.wrap(
        text, WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False
    )
