"""The loop: when it ticks, what it waits for, and how it ends."""

from collections.abc import Iterable, Mapping
from queue import Empty, SimpleQueue
from threading import Event

from actuator.builders import rule, ruleset, watts
from actuator.stage import Make
from wattgov_actuator.laws.threshold import Set
from wattgov_actuator.reading import Answer, Fault

TRIM = rule("trim", "quiet", cooldown_seconds=30)
NIGHT = rule("night", "dark", Set(watts(200)), cooldown_seconds=0)


def test_every_stop_puts_back(make: Make) -> None:
    """A signal ends the loop after its tick, and the last thing done is the restore."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()

    assert (0, 300) == (stage.stop(), stage.knob.watts())


def test_a_stop_waits_for_no_answer_of_prometheus(make: Make) -> None:
    """All is put back while a question is open; the next one is not asked any more.

    Who waits for answers gives no sign of life: a question without an end is a hang.
    """
    stage = make(ruleset(NIGHT))
    stage.say("dark")
    stage.play()
    stage.clock.advance(15)
    asked: list[str] = []
    stopped, ended = Event(), Event()
    signs: list[None] = []
    looks: list[int] = []
    stage.governor._alive = stage.loop._alive = lambda: signs.append(None)  # noqa: SLF001 (edges)

    def ask(expressions: Iterable[str]) -> Mapping[str, Answer]:
        for each in expressions:
            asked.append(each)
            assert stopped.wait(30)
        ended.set()
        return {}

    class Orders:
        def get(self, block: bool = True, timeout: float | None = None, /) -> object:
            assert (block, timeout) == (False, None)
            looks.append(len(signs))
            if len(looks) == 1:
                raise Empty
            return "SIGTERM"

    stage.loop._ask = ask  # noqa: SLF001 (the same)

    assert 1 < len({expr for group in stage.rules.groups for expr in group.expressions()})
    assert (0, 300) == (stage.loop.run(Orders()), stage.knob.watts())
    assert 1 == len(set(looks))

    stopped.set()

    assert (True, 1) == (ended.wait(30), len(asked))


def test_an_error_in_a_tick_puts_back_and_is_told(make: Make) -> None:
    """A bug is counted, everything is put back, and the status says so."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    del stage.said
    status = stage.loop.run(SimpleQueue())

    assert (1, 300) == (status, stage.knob.watts())
    assert 1 == stage.governor.snapshot.tick_failures


def test_what_cannot_be_put_back_is_in_the_exit_status(make: Make) -> None:
    """Whoever watches the process learns that something stays changed."""
    stage = make(ruleset(TRIM))
    stage.say("quiet")
    stage.play()
    stage.knob.refuses = Fault.REFUSED

    assert 1 == stage.stop()


def test_a_tick_that_begins_late_says_so(make: Make) -> None:
    """By how much later than planned; the ones after it are on time again."""
    stage = make(ruleset())
    seen: list[float] = []
    waits = iter((15.0, 0.0, 18.0, 0.0, 12.0, 0.0))

    class Waiting:
        def get(self, block: bool = True, timeout: float | None = None, /) -> object:
            assert (block, timeout is not None) == (True, True)
            passed = next(waits, None)
            if passed is None:
                return "SIGTERM"
            if passed:
                seen.append(stage.governor.snapshot.late_seconds)
            stage.clock.advance(passed)
            raise Empty

    stage.loop.run(Waiting())

    assert ([0, 0, 3], 0) == (seen, stage.governor.snapshot.late_seconds)
