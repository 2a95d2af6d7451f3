"""The devices' own thermometers: each second, with Prometheus or without."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

import pytest

from actuator.builders import loaded
from actuator.fakes import FileKnob
from actuator.stage import Stage
from actuator.stands import STANDS
from plant import plant
from wattgov_actuator.deciding.watching import warmed
from wattgov_actuator.decision import Reason, Watch
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Answer, Fault, KnobError, Warm
from wattgov_actuator.rules import Sensor

RULES = """
version: 1
groups:
  - name: gpus
    interval: 15s
    protect:
      thermal: {device: {above: 83C, clear: 75C}}
      freshness: fresh
      hold: 60s
    rules:
      - {action: trim, expr: quiet, knob: gpu_power_limit, step: -20W, min: 150W, cooldown: 0s}
"""
CHIPS = """
sys/class/hwmon/hwmon2/name = coretemp
sys/class/hwmon/hwmon2/temp1_label = Package id 0
sys/class/hwmon/hwmon2/temp1_input = 61000
sys/class/hwmon/hwmon2/temp2_label = Core 0
sys/class/hwmon/hwmon2/temp2_input = 65000
sys/class/hwmon/hwmon3/name = coretemp
sys/class/hwmon/hwmon3/temp1_label = Package id 1
sys/class/hwmon/hwmon3/temp1_input = 72500
"""
SENSOR = Sensor(83.0, 75.0)


class WarmKnob(FileKnob):
    """Cards with thermometers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.degrees: float | None = 40.0

    def celsius(self, target: str) -> float:
        """Return what was set; nothing is a thermometer that fails."""
        if self.degrees is None:
            raise KnobError(Fault.LOST, f"{target} does not answer")
        return self.degrees


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return an actuator with one warm card at 300 W."""
    knob = WarmKnob(tmp_path / "cards")
    knob.add()
    made = Stage(tmp_path, loaded(tmp_path / "r.yml", RULES), knob)
    yield made
    made.journal.close()


def heat(stage: Stage, degrees: float | None) -> None:
    """Set the card's temperature."""
    assert isinstance(stage.knob, WarmKnob)
    stage.knob.degrees = degrees


def test_a_hot_card_goes_to_its_floor_without_prometheus(stage: Stage) -> None:
    """And comes back only when it is cool, both between two ticks."""
    stage.down = True
    stage.play()
    asked = len(stage.asked)
    seen = []
    for degrees in (84.0, 80.0, 74.0):
        heat(stage, degrees)
        stage.clock.advance(1)
        stage.governor.look_at_heat()
        seen.append(stage.knob.watts())

    assert [150.0, 150.0, 300.0] == seen
    assert asked == len(stage.asked)
    reasons = [(row["rule"], row["reason"]) for row in stage.journal.decisions()]
    assert ("gpus.thermal", "applied") in reasons
    assert 0 == stage.governor.snapshot.open_undos


def test_the_loop_looks_while_prometheus_hangs(stage: Stage) -> None:
    """A question that is not answered delays no protection."""
    cooled, begun = Event(), Event()

    def ask(expressions: Iterable[str]) -> Mapping[str, Answer]:
        begun.set()
        assert cooled.wait(30)
        return {expr: Answer() for expr in expressions}

    stage.loop._ask = ask  # noqa: SLF001 (the edge: what Prometheus answers)
    heat(stage, 90.0)
    before = stage.knob.at

    def at(step: str) -> None:
        before(step)
        if step == "wrote":
            assert begun.is_set()
            cooled.set()

    stage.knob.at = at
    stage.loop.step()

    assert (150.0, True) == (stage.knob.watts(), cooled.is_set())


def test_the_loop_looks_each_second_between_two_ticks(stage: Stage) -> None:
    """Its own wait is cut into seconds."""
    orders = SimpleQueue[object]()

    def at(step: str) -> None:
        if step == "wrote":
            orders.put("SIGTERM")

    stage.knob.at = at
    ticked = Event()
    ask = stage.loop._ask  # noqa: SLF001 (the edge)

    def asked(expressions: Iterable[str]) -> Mapping[str, Answer]:
        found = ask(expressions)
        ticked.set()
        return found

    stage.loop._ask = asked  # noqa: SLF001 (the edge)

    def warm() -> None:
        assert ticked.wait(30)
        heat(stage, 90.0)

    warmer = Thread(target=warm)
    warmer.start()
    assert 0 == stage.loop.run(orders)
    warmer.join()

    assert [150.0, 300.0] == [watts for _, watts in stage.knob.writes]
    assert stage.governor.snapshot.ticks == 1


def test_rules_do_not_move_a_card_that_is_hot(stage: Stage) -> None:
    """Neither way; the reason is the card's own."""
    heat(stage, 90.0)
    stage.say("quiet")
    stage.play()
    decision = stage.decision("trim")

    assert (150.0, Reason.VETOED_THERMAL) == (stage.knob.watts(), decision.reason)
    assert "the device says 90 C" in decision.detail


def test_a_hot_card_that_no_rule_is_about_gives_no_work(tmp_path: Path) -> None:
    """It is looked at each second, and that is all."""
    knob = WarmKnob(tmp_path / "cards")
    knob.add()
    text = RULES.replace("    rules:", "    targets: {except: {uuid: GPU-a}}\n    rules:")
    stage = Stage(tmp_path, loaded(tmp_path / "r.yml", text), knob)
    stage.play(ticks=1)
    before = stage.governor.snapshot
    heat(stage, 90.0)
    stage.governor.look_at_heat()
    stage.journal.close()

    assert before is stage.governor.snapshot
    assert [] == knob.writes


def test_a_thermometer_that_fails_trips_nothing_and_holds_nothing_for_ever(stage: Stage) -> None:
    """The board protects itself without us."""
    heat(stage, None)
    stage.play()
    assert 300.0 == stage.knob.watts()
    heat(stage, 90.0)
    stage.play()
    heat(stage, None)
    stage.play()
    assert 150.0 == stage.knob.watts()
    stage.play(ticks=5)
    assert 300.0 == stage.knob.watts()
    *_, last = (row for row in stage.journal.decisions() if row["rule"] == "gpus.thermal")
    said = "its heat is not known any more; it was too hot: the device says 90 C"
    assert said == last["detail"]


@pytest.mark.parametrize(
    ("before", "celsius", "hot"),
    [("", 83.0, False), ("", 83.1, True), ("hot", 75.0, True), ("hot", 74.9, False)],
)
def test_it_trips_above_and_clears_below(before: str, celsius: float, *, hot: bool) -> None:
    """Between the two it stays as it was."""
    after = warmed(SENSOR, 60.0, Watch(burning=before), celsius, 1.0)

    assert hot is bool(after.burning)


def test_a_package_is_as_warm_as_its_own_chip_says(tmp_path: Path) -> None:
    """By the label of the sensor, not by its number."""
    STANDS["cpu_power_limit"].plant(tmp_path)
    plant(CHIPS, tmp_path)
    knob = open_knob("cpu_power_limit", machine=Machine(tmp_path / "sys"))
    assert isinstance(knob, Warm)

    assert [61.0, 72.5] == [knob.celsius(each.name) for each in knob.probe().targets]


def test_an_amd_card_tells_its_hottest_place(tmp_path: Path) -> None:
    """Edge and junction are both in its hwmon folder."""
    STANDS["amd_gpu_power_limit"].plant(tmp_path)
    folder = "sys/class/drm/card0/device/hwmon/hwmon3"
    plant(f"{folder}/temp1_input = 60000\n{folder}/temp2_input = 71000", tmp_path)
    knob = open_knob("amd_gpu_power_limit", machine=Machine(tmp_path / "sys"))
    assert isinstance(knob, Warm)

    assert [71.0] == [knob.celsius(each.name) for each in knob.probe().targets]


def test_a_machine_without_thermometers_says_so(tmp_path: Path) -> None:
    """In a sentence."""
    STANDS["cpu_power_limit"].plant(tmp_path)
    knob = open_knob("cpu_power_limit", machine=Machine(tmp_path / "sys"))
    assert isinstance(knob, Warm)
    with pytest.raises(KnobError, match="has no thermometer of package-0"):
        knob.celsius("package-0")
