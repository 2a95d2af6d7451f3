"""The table says what is known, and `-` for what is not."""

from collections.abc import Mapping

from rich.console import Console

from wattgov_stack.ask import Facts, Sample
from wattgov_stack.table import render
from wattgov_stack.webhook import Notice


def shown(facts: Facts, *notices: Notice) -> list[str]:
    """Return the table as lines of words."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(render(facts, notices, "heading"))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def sample(value: float, **labels: str) -> tuple[Sample, ...]:
    """Return an answer of one series."""
    return (Sample(labels, value),)


def test_nothing_is_known() -> None:
    """Before the first sample there is a table, and the part that is silent is named."""
    assert "no answer from the actuator (ConnectionError)" in shown(
        Facts({}, (), ("the actuator (ConnectionError)",))
    )


def test_power_and_its_source() -> None:
    """Watts stand with their source, how it knows, and what is off and why."""
    lines = shown(
        Facts(
            {
                "watts": sample(1939.2, component="gpu"),
                "sources": sample(1, component="gpu", source="nvml", method="measured"),
                "idle": sample(280.0, component="gpu", basis="observed"),
                "off": sample(0, source="rapl", reason="permission"),
            }
        )
    )

    assert "gpu 1,939 280 nvml measured at rest: observed" in lines
    assert "rapl permission" in lines


def test_an_app_and_its_targets() -> None:
    """Joules per request and p95 stand beside their targets; the sum of the books is told."""
    lines = shown(
        Facts(
            {
                "app_watts": (*sample(96.61, app="chat"), *sample(1.5, app="_other")),
                "joules": sample(96.6, app="chat"),
                "joules_target": sample(110, app="chat"),
                "p95": sample(0.1804, app="chat"),
                "p95_target": sample(2, app="chat"),
                "unbooked": sample(2e-16),
            }
        )
    )

    assert "chat 96.6 - - 96.6 of 110 180 ms of 2.00 s" in lines
    assert "_other 1.50 - - - -" in lines
    assert "apps, _other and _unattributed add up to the node within 2e-16" in lines


def decision(target: str, **more: object) -> Mapping[str, object]:
    """Return one decision of the actuator's API."""
    return {
        "rule": "trim",
        "target": target,
        "current": 700.0,
        "wanted": 680.0,
        "unit": "watts",
        "reason": "would_apply",
        "detail": "a dry run",
    } | more


def test_decisions_that_are_alike_are_one_line() -> None:
    """Four cards with one decision are one line; another decision is another line."""
    lines = shown(
        Facts(
            {},
            (
                *(decision(f"GPU-{card}") for card in range(4)),
                decision("GPU-00001234567", wanted=None, reason="held_stale", detail="45 s old"),
            ),
        )
    )

    assert "trim 4 alike 700 W → 680 W would_apply a dry run" in lines
    assert "trim …01234567 700 W held_stale 45 s old" in lines


def test_alerts_and_notices() -> None:
    """What fires and what was sent are told."""
    lines = shown(
        Facts({"alerts": sample(1, alertname="ActuatorDown", app="")}),
        Notice("ActuatorDown", "firing", "The actuator is gone"),
    )

    assert "firing: ActuatorDown" in lines
    assert "notified: ActuatorDown firing: The actuator is gone" in lines
