"""What each source says of this machine: how far off what is on may be, and why the rest is off."""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wattgov_exporter.choice import choose
from wattgov_exporter.doubt import SOCKET_STILL_SECONDS
from wattgov_exporter.pace import too_slow
from wattgov_exporter.poll import Answer, Poller
from wattgov_exporter.reading import Clock, Energy, Reason, Source

WIDTH = 100
LABEL = 12
STRANGERS = (
    "not in /proc, so their joules go to _other: the driver tells the host's pids; "
    "run in the host's pid namespace (hostPID: true, docker run --pid=host)"
)


LOOK_SECONDS = 2.0
"""Between the two looks; the mean power over it is shown."""

DOUBT_SECONDS = SOCKET_STILL_SECONDS
"""So much later is the second look where a counter stands still: then it is known to be stuck."""

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A source and two answers of it, some time apart."""

    source: Source
    first: Answer
    second: Answer


def report(findings: Sequence[Finding], interval_seconds: float = 1.0) -> Iterator[str]:
    """Yield the report as lines: a paragraph a source, then what that makes of the node.

    *interval_seconds* is that of the ticks.
    """
    for finding in findings:
        yield from _paragraph(finding, interval_seconds)
    yield from _verdict(findings)


def examined(
    sources: Sequence[Source], clock: Clock, sleep: Callable[[float], None]
) -> tuple[list[Answer], list[Answer]]:
    """Return two answers of each source, some time apart; all are asked at once."""
    pollers = [_polled(source, clock) for source in sources]
    first = _answers(pollers, clock)
    sleep(LOOK_SECONDS)
    # A poller would keep a slow source's answer for an interval; one that hangs is left alone.
    pollers = [
        poller if answer.reason is Reason.TIMEOUT else _polled(source, clock)
        for source, poller, answer in zip(sources, pollers, first, strict=True)
    ]
    second = _answers(pollers, clock)
    findings = [Finding(*one) for one in zip(sources, first, second, strict=True)]
    if any(map(_is_in_doubt, findings)):
        sleep(DOUBT_SECONDS)
        second = _answers(pollers, clock)
    for poller in pollers:
        poller.close()
    return first, second


def _polled(source: Source, clock: Clock) -> Poller:
    poller = Poller(source, clock)
    poller.start()
    return poller


def _is_in_doubt(finding: Finding) -> bool:
    """Tell a source that is read at every tick and has a counter that stands still."""
    told = (watts for energy, watts in _powers(finding) if energy.meter.component)
    return not finding.source.interval_seconds and None in told


def _answers(pollers: Sequence[Poller], clock: Clock) -> list[Answer]:
    for poller in pollers:
        poller.ask()
    end = clock() + PATIENCE_SECONDS
    return [poller.wait(max(end - clock(), 0.0)) for poller in pollers]


def _paragraph(finding: Finding, interval_seconds: float) -> Iterator[str]:
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
            power = "stands still" if watts is None else f"{watts:.1f} W"
            yield f"{'':<{LABEL}}{place}: {power}, {meter.method.value}{counted}"
        for one in answer.readings.refused:
            yield from _indented(f"warning: {one.detail}")
        for sentence in _slow(finding, interval_seconds):
            yield from _indented(f"warning: {sentence}")
        if answer.anomalies:
            kinds = ", ".join(sorted(set(answer.anomalies)))
            yield from _indented(f"warning: values left out that cannot be true: {kinds}")
        pods = answer.readings.pods
        if pods is not None:
            count = len(set(pods.pods.values()))  # a static pod may have two uids
            yield from _indented(f"names {count} pods, {len(pods.containers)} containers")
        yield from _indented(f"expected error: {finding.source.expected_error}")
        strangers = sum(dict(gpu.processes).get("false", 0.0) for gpu in answer.readings.gpus)
        if strangers:
            yield from _indented(f"warning: {strangers:.0f} pids on its cards are {STRANGERS}")
    yield ""


def _slow(finding: Finding, interval_seconds: float) -> Iterator[str]:
    """Yield which meters are read too seldom for their counters."""
    seconds = max(interval_seconds, finding.source.interval_seconds)
    for energy in finding.second.readings.energies if finding.second.readings else ():
        sentence = too_slow(energy.meter, seconds)
        if sentence is not None:
            yield sentence


def _powers(finding: Finding) -> Iterator[tuple[Energy, float | None]]:
    """Yield each meter with its mean power between the two answers, None if it told nothing new."""
    before = {
        energy.meter: energy
        for energy in (finding.first.readings.energies if finding.first.readings else ())
    }
    for energy in finding.second.readings.energies if finding.second.readings else ():
        old = before.get(energy.meter, energy)
        seconds = energy.at - old.at
        yield energy, (energy.joules - old.joules) / seconds if seconds > 0 else None


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
