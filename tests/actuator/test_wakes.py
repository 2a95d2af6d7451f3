"""Who is told that a target is awake, and who is forgotten."""

from wattgov_actuator.cycle.wakes import Wakes
from wattgov_actuator.orders import PATIENCE_SECONDS, Wake


def test_who_waits_is_told_once_and_not_waited_with_for_ever() -> None:
    """A proxy asks again each few seconds for as long as a server does not wake."""
    wakes, gone, here = Wakes(), Wake("chat"), Wake("chat")
    wakes.add(gone, 0.0)
    wakes.answer((), PATIENCE_SECONDS)
    assert not wakes

    wakes.add(here, PATIENCE_SECONDS)
    wakes.answer({"other"}, PATIENCE_SECONDS + 1)
    assert wakes
    wakes.answer({"chat"}, PATIENCE_SECONDS + 2)

    assert ("", False) == (here.answer.get_nowait(), bool(wakes))
    assert gone.answer.empty()
