"""GPUs that zeusd sets for us, read back through NVML."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.zeusd import Zeusd, serving
from testbed.nvml import Fault as Broken
from testbed.nvml import VirtualGpus
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, Hidden, InForce, Knob, KnobError

pytest_plugins = ["testbed.fixtures"]


class Desk:
    """A daemon, and the knobs that ask it."""

    def __init__(self, daemon: Zeusd, socket: str) -> None:
        self.daemon, self.socket, self.opened = daemon, socket, list[Knob]()

    def knob(self, name: str = "gpu_power_limit", **more: Setting) -> Knob:
        """Return one that has found its cards."""
        settings = {"socket": self.socket, **more}
        way = Connection(name, "zeusd", "node", {"app": "node"}, settings, timeout_seconds=5)
        self.opened.append(open_knob(name, [way]))
        assert len(self.opened[-1].probe().targets) == 4
        return self.opened[-1]


@pytest.fixture
def desk(gpus: VirtualGpus, tmp_path: Path) -> Iterator[Desk]:
    """Return a daemon for four cards."""
    assert gpus.count() == 4
    daemon = Zeusd()
    with serving(daemon, tmp_path / "z.sock") as socket:
        made = Desk(daemon, socket)
        yield made
        for each in made.opened:
            each.close()


def uuid(knob: Knob, number: int) -> str:
    """Return the name of the card that NVML gives this number."""
    return next(each.name for each in knob.probe().targets if each.labels["gpu"] == str(number))


@pytest.mark.parametrize("reverse", [False, True])
def test_the_right_card_is_limited_and_read_back(
    desk: Desk, gpus: VirtualGpus, reverse: bool
) -> None:
    """By its place on the bus, whatever number zeusd has for it; to the milliwatt and back."""
    desk.daemon.reverse = reverse
    knob = desk.knob()
    card = uuid(knob, 1)
    before = [gpus.card(each).limit_watts for each in range(4)]
    was = knob.read(card)
    knob.write(card, 512.5)
    after = [gpus.card(each).limit_watts for each in range(4)]

    assert isinstance(was, InForce)
    assert [before[0], 512.5, before[2], before[3]] == after
    knob.restore(card, was.value, was.text)
    assert before == [gpus.card(each).limit_watts for each in range(4)]


def test_a_clock_is_locked_and_let_go(desk: Desk, gpus: VirtualGpus) -> None:
    """From the lowest clock on; no driver reads a lock back."""
    knob = desk.knob("gpu_clock_lock")
    card = uuid(knob, 2)
    knob.write(card, 1200e6)
    assert (1200, True) == (gpus.lock_megahertz(2), isinstance(knob.read(card), Hidden))
    knob.restore(card, 0.0, "")
    assert gpus.lock_megahertz(2) is None


def refusal(knob: Knob, watts: float = 500) -> KnobError:
    """Write, and return why it cannot be."""
    with pytest.raises(KnobError) as raised:
        knob.write(uuid(knob, 0), watts)
    return raised.value


@pytest.mark.parametrize(
    ("state", "fault", "words"),
    [
        ({"groups": ("gpu-read",)}, Fault.REFUSED, "run: zeusd serve --enable gpu-read,gpu-cont"),
        ({"scopes": {}}, Fault.REFUSED, "Invalid token: InvalidSignature; give a token"),
        ({"scopes": {"": ("gpu-read",)}}, Fault.REFUSED, "the token lacks the scope gpu-control"),
        ({"addresses": False}, Fault.LOST, "it needs version 0.16"),
        ({"canned": (500, {"errors": {"0": "Override command failed: no"}})}, None, "failed: no"),
        ({"canned": (400, b"GPU index 9 does not exist.")}, Fault.REFUSED, "9 does not exist."),
    ],
)
def test_what_zeusd_has_against_it_is_a_sentence(
    desk: Desk, state: dict[str, object], fault: Fault | None, words: str
) -> None:
    """In its words, with what to do."""
    knob = desk.knob()
    for name, value in state.items():
        setattr(desk.daemon, name, value)
    found = refusal(knob)
    assert (fault or Fault.REFUSED, True) == (found.fault, words in found.detail), found.detail


def test_a_token_goes_along_and_is_not_told(desk: Desk, tmp_path: Path) -> None:
    """From its file."""
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text("ey.secret\n")
    knob = desk.knob(token_file=str(tmp_path / "token"))
    desk.daemon.scopes = {"ey.secret": ("gpu-control",)}
    knob.write(uuid(knob, 0), 500)
    desk.daemon.scopes = {}
    desk.daemon.canned = None
    assert "ey.secret" not in refusal(knob).detail


def test_the_driver_refuses_zeusd_and_a_lie_reads_back(desk: Desk, gpus: VirtualGpus) -> None:
    """Without root zeusd may not either; with a driver that lies, 200 is no proof."""
    knob = desk.knob()
    gpus.set_fault(0, Broken.READ_ONLY)
    assert "or zeusd itself is not root" in refusal(knob).detail
    gpus.set_fault(0, Broken.READ_ONLY, on=False)
    assert "Invalid Argument" in refusal(knob, 1e5).detail
    gpus.set_fault(0, Broken.LYING_SETTER)
    was = knob.read(uuid(knob, 0))
    knob.write(uuid(knob, 0), 500)
    assert was == knob.read(uuid(knob, 0))


def test_no_daemon_and_a_silent_one_are_lost(desk: Desk, tmp_path: Path) -> None:
    """In a sentence that names the socket."""
    found = refusal(desk.knob(socket=str(tmp_path / "none")))
    assert (Fault.LOST, True) == (found.fault, f"{tmp_path}/none cannot be asked" in found.detail)
    desk.daemon.hangs = True
    way = Connection("gpu_power_limit", "zeusd", "node", {}, {"socket": desk.socket}, 0.3)
    knob = open_knob("gpu_power_limit", [way])
    desk.opened.append(knob)
    found = refusal(knob)
    assert found.fault in {Fault.LOST, Fault.BUSY}
