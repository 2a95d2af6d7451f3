"""Redfish: the node's joules from a strict service, and each trouble told in words."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.redfish import (
    SESSIONS,
    Bmc,
    Canned,
    Resource,
    chassis,
    collection,
    error,
    serving,
    tree,
)
from plant import load, plant
from wattgov_exporter.collect import Collector
from wattgov_exporter.config import Config, Sources
from wattgov_exporter.config import Redfish as Settings
from wattgov_exporter.reading import Anomaly, Component, Energy, Method, NoMeter, Reason
from wattgov_exporter.sources import SOURCES, Machine
from wattgov_exporter.sources.redfish import Redfish

METRICS = "/redfish/v1/Chassis/1U/EnvironmentMetrics"
SUPPLIES = "/redfish/v1/Chassis/1U/PowerSubsystem/PowerSupplies"
POWER = "/redfish/v1/Chassis/1U/Power"


class Node:
    """A controller, and the source that reads it on a clock that the test moves."""

    def __init__(self, bmc: Bmc, url: str, folder: Path) -> None:
        self.bmc = bmc
        self.url = url
        self.now = 100.0
        self.password_file = folder / "password"
        self.password_file.write_text("correct horse\n")
        self.source = self.make()

    def make(self, **settings: Any) -> Redfish:  # noqa: ANN401  any field of the settings
        """Return the source with other settings."""
        given = {"username": "meter", "password_file": self.password_file, **settings}
        return Redfish(Settings(self.url, **given), lambda: self.now)

    def energy(self) -> Energy:
        """Read the one energy."""
        (energy,) = self.source.read().energies
        return energy

    def fault(self) -> NoMeter:
        """Read, and return why it cannot be."""
        with pytest.raises(NoMeter) as raised:
            self.source.read()
        return raised.value


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a controller with one chassis, of these resources."""
    contexts = []

    def begin(*others: dict[str, Resource], **links: Resource) -> Node:
        bmc = Bmc(tree(*others, chassis("1U", "RackMount", **links)))
        context = serving(bmc)
        node = Node(bmc, context.__enter__(), tmp_path)
        contexts.append((node, context))
        return node

    yield begin
    for node, context in contexts:
        node.source.close()
        context.__exit__(None, None, None)


def metrics(**readings: object) -> Resource:
    """Return EnvironmentMetrics with these readings."""
    return {name: {"Reading": reading} for name, reading in readings.items()}


def test_an_energy_counter_is_measured(start: Start) -> None:
    """EnergyJoules is the meter of the whole node, named after its chassis."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374, EnergyJoules=13982400.5))

    energy = node.energy()

    assert (13982400.5, 100.0) == (energy.joules, energy.at)
    meter = energy.meter
    assert (Component.PLATFORM, Method.MEASURED) == (meter.component, meter.method)
    assert ("redfish", "", "1U", 20_000.0) == (
        meter.source,
        meter.package,
        meter.zone,
        meter.max_watts,
    )


def test_power_alone_is_integrated_between_its_reads(start: Start) -> None:
    """300 W, then 400 W ten seconds later, are 3500 J; derived, and labelled so."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=300))
    first = node.energy()
    node.bmc.resources[METRICS]["PowerWatts"]["Reading"] = 400
    node.now += 10

    second = node.energy()

    assert (0.0, 3500.0) == (first.joules, second.joules)
    assert Method.DERIVED is second.meter.method


def test_a_long_gap_is_not_bridged(start: Start) -> None:
    """What was drawn in more than three intervals of silence is not invented."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=300))
    starts = []
    for seconds in (0, 10, 31, 10):
        node.now += seconds
        last = node.energy()
        starts.append(last.is_start)

    assert 6000.0 == last.joules
    assert [False, False, True, False] == starts


def test_kilowatthours_count_only_where_there_is_no_power(start: Start) -> None:
    """The coarse counter is the last choice."""
    node = start(EnvironmentMetrics=metrics(EnergykWh=38.84), Power={"PowerControl": []})

    energy = node.energy()

    assert 38.84 * 3.6e6 == energy.joules
    assert Method.MEASURED is energy.meter.method

    node.bmc.resources[POWER]["PowerControl"] = [{"PowerConsumedWatts": 344}]
    node.source.close()
    node.source = node.make()

    assert Method.DERIVED is node.energy().meter.method


@pytest.mark.parametrize(
    ("kind", "unit", "every"), [("EnergyJoules", 1.0, 60), ("EnergykWh", 3.6e6, 12_000)]
)
def test_a_counter_that_is_brought_up_to_date_now_and_then(
    start: Start, kind: str, unit: float, every: int, tmp_path: Path
) -> None:
    """Once a minute, or in whole kilowatt-hours: the node's power is even, no joule is twice."""
    node = start(EnvironmentMetrics=metrics(**{kind: 1e6}))
    watts, seconds = 300.0, every / 6
    zone = "sys/class/powercap/intel-rapl:0"
    plant(f"{zone}/name = package-0\n", tmp_path)
    load(tmp_path / "proc", 0.0, 0.0)
    used = Sources(
        off=tuple(name for name in SOURCES if name not in {"redfish", "rapl"}),
        redfish=Settings(node.url, "meter", node.password_file, interval_seconds=seconds),
    )
    clock = lambda: node.now  # noqa: E731
    machine = Machine(tmp_path / "sys", tmp_path / "proc", clock, clock)
    collector = Collector(Config(60.0, sources=used), machine, own_pid=1)
    shown: list[tuple[str, float]] = []
    balances: list[float] = []
    for tick in range(40):
        node.now += seconds
        told = watts * ((tick + 2) // 6 * every) / unit
        node.bmc.resources[METRICS][kind]["Reading"] = 1e6 + told
        (tmp_path / zone / "energy_uj").write_text(f"{100e6 * node.now:.0f}\n")
        snapshot = collector.tick()
        shown += [snapshot.total] if snapshot.total else []
        joules = snapshot.node_joules
        balances.append(joules.get(Component.REST, 0.0) - 2 * joules[Component.CPU])
    collector.close()

    powers = {basis: {round(power) for one, power in shown if one == basis} for basis, _ in shown}
    assert {"sum": {100}, "platform": {300}} == powers
    assert pytest.approx(balances[-1]) == balances[-1 - 6]
    assert pytest.approx(1 / 3) == snapshot.meter_ratio
    assert not snapshot.anomalies


def test_a_counter_that_is_stuck(start: Start) -> None:
    """After ten minutes it is no meter; when it moves it is one again, and lacks nothing."""
    node = start(EnvironmentMetrics=metrics(EnergyJoules=5000))
    node.energy()
    node.now += 601

    fault = node.fault()

    assert Reason.INVALID is fault.reason
    assert f"{METRICS} EnergyJoules has shown 5000 for more than 600 s" in fault.detail
    node.bmc.resources[METRICS]["EnergyJoules"]["Reading"] = 6000
    assert (6000.0, node.now) == (node.energy().joules, node.energy().at)


def test_a_meter_keeps_its_kind(start: Start) -> None:
    """A counter that falls silent is not replaced by an integral in the same meter."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374, EnergyJoules=5000))
    node.energy()
    node.bmc.resources[METRICS]["EnergyJoules"]["Reading"] = None

    assert (Reason.UNSUPPORTED, f"{METRICS} EnergyJoules is null: the BMC does not measure it") == (
        node.fault().reason,
        node.fault().detail,
    )

    node.bmc.resources[METRICS]["EnergyJoules"]["Reading"] = 6000

    assert 6000.0 == node.energy().joules


def test_a_sensor_is_asked_when_the_excerpt_is_empty(start: Start) -> None:
    """A null reading with a DataSourceUri is looked up there, and only then."""
    sensor = "/redfish/v1/Chassis/1U/Sensors/TotalPower"
    node = start(EnvironmentMetrics={"PowerWatts": {"Reading": None, "DataSourceUri": sensor}})
    node.bmc.resources[sensor] = {"Reading": 251.5}
    node.energy()
    node.bmc.resources[METRICS]["PowerWatts"]["Reading"] = 251.5
    node.now += 2

    assert 503.0 == node.energy().joules
    assert 2 == node.bmc.count("GET", sensor)  # finding the place, and the first read


def test_the_old_power_resource(start: Start) -> None:
    """The first control is the node, the next are parts of it; its capacity bounds belief."""
    controls = [
        {"Name": "Server Power Control", "PowerConsumedWatts": 344, "PowerCapacityWatts": 800},
        {"Name": "CPU Sub-system Power", "PowerConsumedWatts": 120},
    ]
    node = start(Power={"PowerControl": controls})
    node.energy()
    node.now += 10

    energy = node.energy()

    assert (3440.0, 1600.0, Method.DERIVED) == (
        energy.joules,
        energy.meter.max_watts,
        energy.meter.method,
    )


def test_power_supplies_are_summed(start: Start) -> None:
    """All supplies together are the node: one on standby draws nothing, an empty bay is none."""
    supplies = {"@odata.id": SUPPLIES}
    node = start(PowerSubsystem={"CapacityWatts": 2000, "PowerSupplies": supplies})
    bays = {"Bay1": ("Enabled", 210.5), "Bay2": ("StandbySpare", 0), "Bay3": ("Absent", None)}
    node.bmc.resources[SUPPLIES] = collection([f"{SUPPLIES}/{bay}" for bay in bays])
    for bay, (state, watts) in bays.items():
        path = f"{SUPPLIES}/{bay}"
        node.bmc.resources[path] = {
            "Status": {"State": state},
            "Metrics": {"@odata.id": f"{path}/Metrics"},
        }
        node.bmc.resources[f"{path}/Metrics"] = metrics(InputPowerWatts=watts)
    node.energy()
    node.now += 10

    energy = node.energy()

    assert (2105.0, 4000.0) == (energy.joules, energy.meter.max_watts)

    node.bmc.resources[f"{SUPPLIES}/Bay2/Metrics"] = metrics(InputPowerWatts=None)

    assert "Bay2/Metrics InputPowerWatts is null" in node.fault().detail


@pytest.mark.parametrize(
    ("reading", "anomaly", "words"),
    [
        (None, None, "is null: the BMC does not measure it"),
        (65535, Anomaly.SENTINEL, "is '65535': all ones, no reading"),
        (4294967295, Anomaly.SENTINEL, "is '4294967295': all ones, no reading"),
        (0, Anomaly.SENTINEL, "is '0', which cannot be"),
        (-1, Anomaly.NEGATIVE, "is '-1', which cannot be"),
        (25000, Anomaly.SPIKE, "is '25000', which cannot be"),
        (float("nan"), Anomaly.NAN, "is 'nan', which cannot be"),
        ("N/A", Anomaly.NAN, "is 'N/A', which is no number"),
        (True, Anomaly.NAN, "is 'True', which is no number"),
        (10**400, Anomaly.SPIKE, f"is '1{'0' * 39}', which cannot be"),
    ],
)
def test_what_cannot_be_true_is_not_counted(
    start: Start, reading: object, anomaly: Anomaly | None, words: str
) -> None:
    """Sentinels of firmware are told in words and by kind, at the start and in the middle."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=reading))
    at_start = node.fault()
    node.bmc.resources[METRICS]["PowerWatts"]["Reading"] = 300
    node.energy()
    node.bmc.resources[METRICS]["PowerWatts"]["Reading"] = reading

    in_the_middle = node.fault()

    for fault in (at_start, in_the_middle):
        assert (anomaly, f"{METRICS} PowerWatts {words}") == (fault.anomaly, fault.detail)
        assert (Reason.INVALID if anomaly else Reason.UNSUPPORTED) is fault.reason

    node.bmc.resources[METRICS]["PowerWatts"]["Reading"] = 300
    node.now += 10

    assert 3000.0 == node.energy().joules


def test_a_dead_counter_does_not_hide_the_power(start: Start) -> None:
    """A counter that stands at 0 is none: the power beside it is integrated."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374, EnergyJoules=0))

    assert Method.DERIVED is node.energy().meter.method


def test_which_chassis(start: Start) -> None:
    """The first whole chassis with power is the node; a GPU's is only by name."""
    gpu = chassis("GPU_0", "Module", EnvironmentMetrics=metrics(PowerWatts=700))
    bare = chassis("Backplane", "RackMount")
    node = start(gpu, bare, EnvironmentMetrics=metrics(PowerWatts=374))

    assert "1U" == node.energy().meter.zone

    node.source.close()
    node.source = node.make(chassis="GPU_0")

    assert "GPU_0" == node.energy().meter.zone

    node.source.close()
    node.source = node.make(chassis="2U")

    assert (Reason.INVALID, "the BMC has no chassis '2U'; it has GPU_0, Backplane, 1U") == (
        node.fault().reason,
        node.fault().detail,
    )


def test_members_on_further_pages(start: Start) -> None:
    """A collection in pages is read to its end."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    pages = node.bmc.resources
    pages["/redfish/v1/Chassis?$skip=1"] = collection(["/redfish/v1/Chassis/1U"])
    pages["/redfish/v1/Chassis"] = collection(["/redfish/v1/Chassis/0"]) | {
        "Members@odata.nextLink": "/redfish/v1/Chassis?$skip=1"
    }
    pages["/redfish/v1/Chassis/0"] = {"Id": "0"}

    assert "1U" == node.energy().meter.zone


def test_no_power_anywhere(start: Start) -> None:
    """A service without power says so; a chassis that moved is looked for again."""
    node = start()

    assert (Reason.UNSUPPORTED, "the BMC shows no chassis with power or energy") == (
        node.fault().reason,
        node.fault().detail,
    )

    node.bmc.resources |= chassis("1U", EnvironmentMetrics=metrics(PowerWatts=374))
    node.energy()
    del node.bmc.resources[METRICS]

    assert f"{METRICS} answered 404" in node.fault().detail

    node.bmc.resources |= chassis("1U", Power={"PowerControl": [{"PowerConsumedWatts": 374}]})

    assert "1U" == node.energy().meter.zone


def test_one_session_serves_many_reads_and_is_closed(start: Start) -> None:
    """The service holds few sessions: one is opened, renewed when it ended, and given back."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    for _ in range(3):
        node.energy()

    assert (1, 1) == (node.bmc.opened, len(node.bmc.tokens))

    node.bmc.expire()
    node.energy()

    assert (2, 1) == (node.bmc.opened, len(node.bmc.tokens))

    node.source.close()

    assert {} == node.bmc.tokens
    assert 1 == node.bmc.count("DELETE", f"{SESSIONS}/2")


@pytest.mark.parametrize("trouble", ["has_sessions", "full"])
def test_basic_where_no_session_is_to_be_had(start: Start, trouble: str) -> None:
    """Without a session service, or with all its sessions taken, the password goes along."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    setattr(node.bmc, trouble, trouble == "full")

    node.energy()
    node.energy()

    assert (0, 1) == (node.bmc.opened, node.bmc.count("POST", SESSIONS))


@pytest.mark.parametrize("has_sessions", [True, False])
def test_a_wrong_password_is_told_once_and_not_repeated(start: Start, has_sessions: bool) -> None:
    """A refused password rests, so that the account is not locked; a new one is tried at once."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.bmc.has_sessions = has_sessions
    node.password_file.write_text("hunter2")

    first, second = node.fault(), node.fault()

    assert {Reason.PERMISSION} == {first.reason, second.reason}
    assert first.detail.endswith("; check username and password_file")
    assert "not tried again for 300 s, or until the file changes" in second.detail
    assert "hunter2" not in first.detail + second.detail
    assert 1 == node.bmc.refusals

    node.now += 301
    node.fault()

    assert 2 == node.bmc.refusals

    node.password_file.write_text("correct horse")

    assert "1U" == node.energy().meter.zone


def test_a_password_changed_in_place(start: Start) -> None:
    """The file is read again at each login."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.energy()
    node.bmc.users["meter"] = "battery staple"
    node.password_file.write_text("battery staple\n")
    node.bmc.expire()

    assert "1U" == node.energy().meter.zone
    assert 0 == node.bmc.refusals


def test_the_password_is_repeated_nowhere(start: Start) -> None:
    """Firmware that echoes what it was given does not make us do so."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.password_file.write_text("hunter2")

    fault = node.fault()

    assert "The value *** for the property Password is not valid. Use a valid one." in fault.detail
    assert "hunter2" not in repr(fault) + repr(fault.__cause__)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file or directory"), (b"", "is empty"), (b"\xff", "is not UTF-8 text")],
)
def test_a_password_file_that_gives_none(start: Start, content: bytes | None, words: str) -> None:
    """Trouble with the file names the file, and nothing is sent."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.password_file.unlink()
    if content is not None:
        node.password_file.write_bytes(content)

    fault = node.fault()

    assert Reason.INVALID is fault.reason
    assert str(node.password_file) in fault.detail
    assert words in fault.detail
    assert 0 == node.bmc.count("POST", SESSIONS)


def test_a_username_needs_a_password_file(start: Start) -> None:
    """Half a login is a mistake of the configuration, told as one."""
    node = start()
    node.source = node.make(password_file=None)

    assert "a username is given but no password_file" == node.fault().detail


def test_without_a_username_nothing_is_sent(start: Start) -> None:
    """An open service is read without a login; one that is not says what to give."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.source = node.make(username=None)

    fault = node.fault()

    assert Reason.PERMISSION is fault.reason
    assert "Establish a session.; check username and password_file" in fault.detail
    assert 0 == node.bmc.count("POST", SESSIONS)


@pytest.mark.parametrize(
    ("canned", "reason", "words"),
    [
        (
            Canned(403, error("InsufficientPrivilege", "There are insufficient privileges.")),
            Reason.PERMISSION,
            "answered 403: There are insufficient privileges.; the account needs the Login",
        ),
        (
            Canned(500, error("InternalError", "The request failed.", "Reset the service.")),
            Reason.INVALID,
            "answered 500: The request failed. Reset the service.",
        ),
        (Canned(502, b"<html>", "text/html"), Reason.INVALID, "answered 502"),
        (Canned(599, b""), Reason.INVALID, "answered 599"),
        (Canned(200, b'{"Pow'), Reason.INVALID, "no JSON object: is it a BMC?"),
        (Canned(200, b"[" * 100_000), Reason.INVALID, "no JSON object: is it a BMC?"),
        (
            Canned(200, b"<html>Sign in</html>", "text/html"),
            Reason.INVALID,
            "answered text/html and no JSON object: is it a BMC?",
        ),
        (Canned(200, b"[" + b" " * (5 << 20)), Reason.INVALID, "more than 4194304 bytes"),
        (
            Canned(302, headers={"Location": "https://elsewhere.example/redfish/v1/"}),
            Reason.INVALID,
            "redirects to https://elsewhere.example/redfish/v1/: if that is the BMC, give it",
        ),
        (Canned(307, headers={"Location": METRICS}), Reason.INVALID, "redirects in a circle"),
    ],
)
def test_a_bad_answer_and_recovery(
    start: Start, canned: Canned, reason: Reason, words: str
) -> None:
    """Each is told with its reason; when the service is well again, so is the meter."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.energy()
    node.bmc.canned[METRICS] = canned

    fault = node.fault()

    assert (reason, True) == (fault.reason, words in fault.detail), fault.detail

    node.bmc.canned.clear()
    node.now += 10

    assert 3740.0 == node.energy().joules


def test_a_redirect_on_the_same_host_is_followed(start: Start) -> None:
    """A service may move a resource on itself."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.bmc.resources["/moved"] = node.bmc.resources[METRICS]
    node.bmc.canned[METRICS] = Canned(308, headers={"Location": "/moved"})

    assert "1U" == node.energy().meter.zone


def test_a_pointer_to_another_host_is_not_followed(start: Start) -> None:
    """The token goes to the host that gave it and to no other."""
    sensor = {"Reading": None, "DataSourceUri": "https://elsewhere.example/Sensor"}
    node = start(EnvironmentMetrics={"PowerWatts": sensor})

    assert "points to https://elsewhere.example/Sensor, not to a path" in node.fault().detail


def test_a_slow_service_times_out(start: Start) -> None:
    """An answer that does not come in time is `timeout`, after `timeout:`."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    node.source = node.make(timeout_seconds=0.2)
    node.energy()
    node.bmc.canned[METRICS] = Canned(held=True)

    fault = node.fault()

    assert (Reason.TIMEOUT, f"{node.url}{METRICS} did not answer within 0.2 s") == (
        fault.reason,
        fault.detail,
    )


def test_an_answer_that_stops_in_the_middle_times_out(start: Start) -> None:
    """Headers in time and a body that never ends are a timeout too."""
    node = start(EnvironmentMetrics=metrics(PowerWatts=374))
    settings = Settings(node.url, "meter", node.password_file, timeout_seconds=0.2)
    node.source = Redfish(settings, time.monotonic)
    node.source.read()
    node.bmc.canned[METRICS] = Canned(body=b"{", held=True)

    assert Reason.TIMEOUT is node.fault().reason


def test_nobody_there(start: Start, tmp_path: Path) -> None:
    """A refused connection is `absent`."""
    node = start()
    with serving(Bmc({})) as url:
        pass
    settings = Settings(url, "meter", tmp_path / "password")
    node.source = Redfish(settings, lambda: node.now)

    assert (Reason.ABSENT, True) == (node.fault().reason, "refused" in node.fault().detail)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the files of a certificate that nobody signed, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bmc"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]]
    subprocess.run(["openssl", *options.split(), *names], check=True, capture_output=True)
    return files


def test_tls_by_its_ca(certificate: tuple[str, str], tmp_path: Path) -> None:
    """A certificate is trusted by `ca_file`, and by nothing else."""
    bmc = Bmc(tree(chassis("1U", EnvironmentMetrics=metrics(PowerWatts=374))))
    with serving(bmc, certificate) as url:
        node = Node(bmc, url, tmp_path)

        fault = node.fault()

        assert Reason.INVALID is fault.reason
        assert "its certificate is not trusted" in fault.detail
        assert "give the CA that signed it as `ca_file:`, or say `insecure: true`" in fault.detail
        assert [] == bmc.requests

        node.source = node.make(ca_file=Path(certificate[0]))

        assert "1U" == node.energy().meter.zone
        node.source.close()

        node.source = node.make(ca_file=tmp_path / "missing.pem")

        assert "missing.pem" in node.fault().detail
        assert Reason.INVALID is node.fault().reason


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_insecure_is_for_this_one_only(certificate: tuple[str, str], tmp_path: Path) -> None:
    """`insecure: true` trusts this service unseen; another source beside it still verifies."""
    bmc = Bmc(tree(chassis("1U", EnvironmentMetrics=metrics(PowerWatts=374))))
    with serving(bmc, certificate) as url:
        node = Node(bmc, url, tmp_path)
        node.source = node.make(insecure=True)

        assert "1U" == node.energy().meter.zone
        node.source.close()

        node.source = node.make()

        assert "is not trusted" in node.fault().detail


@pytest.mark.parametrize(
    "url", ["http://bmc.example", "http://192.0.2.1", "http://127.0.0.1.example:8000"]
)
def test_no_password_in_clear_text(url: str, tmp_path: Path) -> None:
    """Off loopback a password travels over https, unless that is given up by name."""
    source = Redfish(Settings(url, "meter", tmp_path / "password"), lambda: 0.0)

    with pytest.raises(NoMeter, match="in clear text: give an https:// url") as raised:
        source.read()

    assert Reason.INVALID is raised.value.reason
    assert raised.value.detail.startswith(url)
