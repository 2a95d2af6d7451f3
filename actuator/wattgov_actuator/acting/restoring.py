"""Put everything back, and tell."""

import logging
from collections.abc import Callable

from wattgov_actuator.acting.journal import Journal
from wattgov_actuator.acting.undo import State
from wattgov_actuator.acting.writer import Writer, nobody
from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.logfmt import line

LOG = logging.getLogger(__name__)
SETTLE_SECONDS, LOOK_SECONDS = 120, 1  # how long a device that is at work is waited for
Tell = Callable[[Decision], None]


def put_back(writer: Writer, tell: Tell | None = None, alive: Callable[[], None] = nobody) -> bool:
    """Restore everything, and tell; return whether something could not be."""
    decisions = settled(writer, alive)
    for decision in decisions:
        (tell or log_decision)(decision)
    return any(map(is_left, decisions))


def settled(
    writer: Writer, alive: Callable[[], None] = nobody, *, give_up_conflicts: bool = False
) -> tuple[Decision, ...]:
    """Restore everything; return what became of each target.

    What is still at work on an order, such as a server that loads a model, is waited for; *alive*
    is called meanwhile, so that nobody takes the waiting for a hang.
    """
    writer.heed(alive)
    last: dict[tuple[str, str], Decision] = {}
    for _ in range(SETTLE_SECONDS // LOOK_SECONDS):
        done = writer.restore(give_up_conflicts=give_up_conflicts, alive=alive)
        last |= {(each.knob, each.target): each for each in done}
        if all(each.reason is not Reason.BUSY for each in last.values()):
            break
        alive()
        writer.settle(LOOK_SECONDS)
    return tuple(last.values())


def is_left(decision: Decision) -> bool:
    """Tell whether what was to be put back is still as we changed it."""
    return decision.reason not in {Reason.RESTORED, Reason.CONFLICT}


def open_undos(journal: Journal) -> int:
    """Return how many targets hold a value of ours."""
    return sum(undo.state is State.OPEN for undo in journal.undos())


def log_decision(decision: Decision) -> None:
    """Write one line about a decision."""
    LOG.info(
        line(
            "decision",
            reason=decision.reason,
            rule=decision.rule,
            knob=decision.knob,
            target=decision.target or None,
            in_force=decision.current,
            wanted=decision.wanted,
            prior=decision.prior,
            detail=decision.detail,
        )
    )
