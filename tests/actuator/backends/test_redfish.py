"""The limit of a machine over Redfish, on a strict BMC: three places, one way back."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes import redfish
from fakes.redfish import Bmc, Canned, Resource, chassis, error, serving, tree
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError, Target

HOME = "/redfish/v1/Chassis/1U"
RANGE = {"AllowableMin": 200, "AllowableMax": 800}
METRICS: Resource = {"PowerLimitWatts": {"SetPoint": 650, "ControlMode": "Automatic", **RANGE}}
POWER: Resource = {
    "PowerControl": [
        {"Name": "all", "PowerLimit": {"LimitInWatts": None, "LimitException": "NoAction"}},
        {"Name": "memory", "PowerLimit": {"LimitInWatts": 90}},
    ]
}
CONTROL: Resource = {
    f"{HOME}/Controls": redfish.collection([f"{HOME}/Controls/CPU", f"{HOME}/Controls/All"]),
    f"{HOME}/Controls/CPU": {
        "@odata.id": f"{HOME}/Controls/CPU",
        "ControlType": "Power",
        "PhysicalContext": "CPU",
        "SetPoint": 90,
        **RANGE,
    },
    f"{HOME}/Controls/All": {
        "@odata.id": f"{HOME}/Controls/All",
        "ControlType": "Power",
        "SetPointUnits": "W",
        "SetPoint": 700,
        "ControlMode": "Automatic",
        **RANGE,
    },
}
GIVEN: dict[str, Setting] = {"low": 250.0, "high": 750.0}
Start = Callable[..., tuple[Bmc, Knob]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what serves a BMC and opens the knob on it."""
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("correct horse\n")
    with ExitStack() as stack:

        def begin(
            *others: dict[str, Resource],
            settings: dict[str, Setting] | None = None,
            **links: object,
        ) -> tuple[Bmc, Knob]:
            own = chassis("1U", **copy.deepcopy(links))  # type: ignore[arg-type]
            if not links:
                own[HOME]["Controls"] = {"@odata.id": f"{HOME}/Controls"}
                own |= copy.deepcopy(CONTROL)
            bmc = Bmc(tree(own, *others))
            url = stack.enter_context(serving(bmc))
            login = {"username": "meter", "password_file": str(tmp_path / "password")}
            given = {"url": url, **login, **(settings or {})}
            way = Connection("platform_power_limit", "redfish", "rack", {"host": "a"}, given)
            knob = open_knob("platform_power_limit", [way])
            stack.callback(knob.close)
            return bmc, knob

        yield begin


def found(knob: Knob) -> Target:
    """Return the one target."""
    probe = knob.probe()
    assert probe.targets, probe.note
    return probe.targets[0]


def at(knob: Knob) -> InForce:
    """Return what is set."""
    now = knob.read("rack")
    assert isinstance(now, InForce)
    return now


def fault(knob: Knob, watts: float = 400) -> KnobError:
    """Write, and return why it cannot be."""
    with pytest.raises(KnobError) as raised:
        knob.write("rack", watts)
    return raised.value


@pytest.mark.parametrize(
    ("links", "settings", "prior", "bounds"),
    [
        ({"EnvironmentMetrics": METRICS, "Power": POWER}, {}, 650, (200, 800)),
        ({"EnvironmentMetrics": {"PowerWatts": {}}, "Power": POWER}, GIVEN, 750, (250, 750)),
        ({}, {"high": 780.0}, 700, (200, 780)),
    ],
)
def test_each_place_is_set_and_comes_back_to_the_letter(
    start: Start,
    links: dict[str, Resource],
    settings: dict[str, Setting],
    prior: float,
    bounds: tuple[float, float],
) -> None:
    """The newest that there is, and no other member of an array; `null` comes back too."""
    bmc, knob = start(settings=settings, **links)
    target, before = found(knob), copy.deepcopy(bmc.resources)
    was = at(knob)
    knob.write("rack", 400.2)

    assert (prior, bounds, {"host": "a"}) == (was.value, (target.low, target.high), target.labels)
    assert at(knob).value == 400
    knob.restore("rack", was.value, was.text)
    assert before == bmc.resources


def test_a_limit_that_was_off_is_switched_on_and_off_again(start: Start) -> None:
    """A set point that may not be set any more is left; off is off."""
    disabled = {"SetPoint": 0, "ControlMode": "Disabled", **RANGE}
    bmc, knob = start(EnvironmentMetrics={"PowerLimitWatts": disabled})
    found(knob)
    was = at(knob)
    knob.write("rack", 400)
    shown = bmc.resources[f"{HOME}/EnvironmentMetrics"]["PowerLimitWatts"]

    assert (800, "Automatic", 400) == (was.value, shown["ControlMode"], at(knob).value)
    knob.restore("rack", was.value, was.text)
    assert (800, "Disabled") == (at(knob).value, shown["ControlMode"])


def test_a_known_range_is_not_asked_again_and_a_session_ends(start: Start) -> None:
    """One login for all; the BMC has few sessions, so ours is given back."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    found(knob)
    asked = len(bmc.requests)
    found(knob)
    assert (asked, 1) == (len(bmc.requests), bmc.opened)
    at(knob)
    knob.close()
    assert {} == bmc.tokens


def test_an_expired_session_is_renewed_and_a_full_bmc_gets_the_password(start: Start) -> None:
    """Also in the middle of a write."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    found(knob)
    bmc.expire()
    knob.write("rack", 400)
    assert (400, 2) == (at(knob).value, bmc.opened)
    bmc.full = True
    bmc.expire()
    knob.write("rack", 450)
    assert (450, 2) == (at(knob).value, bmc.opened)


def test_a_wrong_password_is_told_and_rests(start: Start, tmp_path: Path) -> None:
    """A BMC locks an account after a few tries; a new password is tried at once."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    (tmp_path / "password").write_text("battery staple\n")
    notes = [knob.probe().note for _ in range(5)]

    assert 1 == bmc.refusals
    assert "check username and password" in notes[0]
    assert "*** for the property Password" in notes[0]
    assert "staple" not in " ".join(notes)
    assert "so that the account is not locked" in notes[4]
    (tmp_path / "password").write_text("correct horse\n")
    assert found(knob).high == 800


def test_the_etag_goes_along(start: Start) -> None:
    """That of the header, as strict BMCs want it, whatever the body says."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    bmc.needs_match = True
    found(knob)
    knob.write("rack", 400)
    assert at(knob).value == 400
    path = f"{HOME}/EnvironmentMetrics"
    bmc.resources[path]["@odata.etag"] = '"old"'
    knob.write("rack", 420)
    assert at(knob).value == 420


@pytest.mark.parametrize(
    ("links", "capping", "watts", "kind", "words"),
    [
        ({"EnvironmentMetrics": METRICS}, True, 900, Fault.REFUSED, "The value 900 is out of"),
        ({"Power": POWER}, False, 400, Fault.UNSUPPORTED, "switch it on in the BMC"),
    ],
)
def test_what_the_bmc_has_against_it_is_a_sentence(
    start: Start,
    links: dict[str, Resource],
    capping: bool,
    watts: float,
    kind: Fault,
    words: str,
) -> None:
    """Its own words, and what to do."""
    bmc, knob = start(settings=GIVEN, **links)
    bmc.capping = capping
    found(knob)
    refusal = fault(knob, watts)

    assert (kind, True) == (refusal.fault, words in refusal.detail), refusal.detail


def test_a_limit_that_ends_the_machine_is_not_set(start: Start) -> None:
    """LimitException says what a BMC does when the limit does not hold."""
    power = copy.deepcopy(POWER)
    power["PowerControl"][0]["PowerLimit"]["LimitException"] = "HardPowerOff"
    _, knob = start(settings=GIVEN, Power=power)
    found(knob)

    assert "could end the machine" in fault(knob).detail
    assert at(knob).value == 750


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ({"TaskState": "Completed"}, ""),
        ({}, ""),
        ({"TaskState": "Exception", "Messages": [{"Message": "No."}]}, "as Exception: No."),
    ],
)
def test_a_task_is_followed_to_its_end(start: Start, last: Resource, words: str) -> None:
    """Both kinds: a monitor that says 202, and a task that says what it is at."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    found(knob)
    bmc.tasks = [{"TaskState": "Running"}, {"TaskState": "Pending"}, last]
    if words:
        assert words in fault(knob).detail
    else:
        knob.write("rack", 400)
    assert [] == bmc.tasks


def test_a_lie_reads_back(start: Start) -> None:
    """204 is no proof."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    found(knob)
    bmc.lies = True
    knob.write("rack", 400)
    assert at(knob).value == 650


@pytest.mark.parametrize(
    ("settings", "links", "words"),
    [
        ({}, {"Power": POWER}, "states no whole range; give low and high"),
        ({"chassis": "2U"}, {"EnvironmentMetrics": METRICS}, "no power limit in any chassis"),
        ({}, {"EnvironmentMetrics": {"PowerWatts": {}}}, "it has 1U"),
        ({"password_file": ""}, {"EnvironmentMetrics": METRICS}, "needs password_file"),
    ],
)
def test_what_has_no_limit_says_why(
    start: Start, settings: dict[str, Setting], links: dict[str, Resource], words: str
) -> None:
    """A note, and no target."""
    _, knob = start(settings=settings, **links)
    probe = knob.probe()
    assert ((), True) == (probe.targets, words in probe.note), probe.note


def test_two_chassis_with_a_limit_want_a_choice(start: Start) -> None:
    """Which one is meant nobody can know; the parts inside of one are not asked."""
    other = chassis("2U", EnvironmentMetrics=copy.deepcopy(METRICS))
    part = chassis("GPU", "Module", EnvironmentMetrics=copy.deepcopy(METRICS))
    _, knob = start(other, part, EnvironmentMetrics=METRICS)
    assert "1U, 2U; give one as chassis" in knob.probe().note
    _, chosen = start(other, settings={"chassis": "2U"}, EnvironmentMetrics=METRICS)
    assert found(chosen).high == 800


def test_a_place_that_is_gone_is_looked_for_again(start: Start) -> None:
    """An update of the firmware moves it; a server error is told and changes nothing."""
    bmc, knob = start(EnvironmentMetrics=METRICS)
    found(knob)
    path = f"{HOME}/EnvironmentMetrics"
    bmc.canned[path] = Canned(500, error("InternalError", "Try later."))
    assert "Try later." in fault(knob).detail
    bmc.canned.clear()
    del bmc.resources[path]["PowerLimitWatts"]
    with pytest.raises(KnobError, match="no power limit any more"):
        knob.read("rack")
    assert "shows no power limit" in knob.probe().note
