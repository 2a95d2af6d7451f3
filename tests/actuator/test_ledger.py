"""What the loop has done so far, in bounds."""

from dataclasses import replace

from wattgov_actuator.cycle.ledger import Ledger
from wattgov_actuator.decision import Decision, Reason

ROW = Decision("gpus", "trim", "cpu_priority", "box", "percent", Reason.UNCHANGED, "quiet", 1.0)


def test_the_same_again_is_no_news() -> None:
    """Another reason is."""
    ledger = Ledger()
    same = [ledger.decided([ROW], ["gpus"]) for _ in range(3)]

    assert [[ROW], [], []] == same
    changed = replace(ROW, reason=Reason.COOLDOWN)
    assert [changed] == ledger.decided([changed], ["gpus"])


def test_who_is_long_gone_is_forgotten() -> None:
    """Containers come and go, each with a name of its own: one that comes back is news."""
    ledger = Ledger()
    stays = replace(ROW, target="stays")
    ledger.decided([ROW, stays], ["gpus"])
    for number in range(10):
        ledger.decided([replace(ROW, target=f"box-{number}"), stays], ["gpus"])

    assert [ROW] == ledger.decided([ROW, stays], ["gpus"])
