"""Capture: what is taken replays the same, nothing in it tells whose machine it was."""

import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from plant import MACHINES, machine, plant, process, recorded
from testbed.nvml import VirtualGpus
from wattgov_exporter.apps import cgroups
from wattgov_exporter.config import Ipmi, Redfish, Scrape, Sources
from wattgov_exporter.poll import Answer, read
from wattgov_exporter.reading import (
    Component,
    Energy,
    GpuState,
    GpuUse,
    Meter,
    Method,
    NoMeter,
    Pods,
    Readings,
    Reason,
    Source,
)
from wattgov_exporter.recording import stage
from wattgov_exporter.recording.capture import Capture
from wattgov_exporter.recording.command import names
from wattgov_exporter.recording.format import Recording, load, parse, text
from wattgov_exporter.recording.machine import Files
from wattgov_exporter.recording.replay import Replay
from wattgov_exporter.recording.standins import StandIns
from wattgov_exporter.sources import SOURCES, Machine, configured
from wattgov_exporter.sources.nvml import Nvml

EXPORTER = [sys.executable, "-m", "wattgov_exporter"]
pytest_plugins = ["testbed.fixtures"]

START_SECONDS = 5000.0
UUID = "GPU-5f8a1c3e-0b1d-4c2a-9e77-1234567890ab"
OTHER_UUID = "GPU-00000000-1111-2222-3333-444444444444"


class Stage:
    """A planted machine whose clock goes on while somebody waits."""

    def __init__(self, root: Path, on_wait: Callable[[float], bool] | None = None) -> None:
        self.root = root
        self.now = START_SECONDS
        self.on_wait = on_wait

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """Let time pass; tell whether somebody ends the recording."""
        self.now += seconds
        return self.on_wait(self.now - START_SECONDS) if self.on_wait else False

    def where(self) -> Machine:
        """Return where the sources find it."""
        return Machine(self.root / "sys", self.root / "proc", self.clock, lambda: 1.7e9)

    def take(
        self,
        *sources: Source,
        seconds: float = 0.0,
        interval: float = 1.0,
        hidden: StandIns | None = None,
        with_processes: bool = False,
    ) -> Recording:
        """Record it, and have that go through its text."""
        hidden = hidden or StandIns()
        files = Files(self.root / "sys", self.root / "proc", hidden, with_processes=with_processes)
        capture = Capture(
            sources, files.look, hidden, clock=self.clock, with_processes=with_processes
        )
        taken = capture.take(seconds, interval, self.wait, lambda _: None)
        return parse(text(taken), "it")


class Said:
    """A source that says one thing."""

    interval_seconds = 0.0
    expected_error = "none"

    def __init__(self, name: str, word: Readings | NoMeter) -> None:
        self.name = name
        self._word = word

    def read(self) -> Readings:
        """Say it."""
        if isinstance(self._word, NoMeter):
            raise self._word
        return self._word


def by_files(where: Machine) -> list[Source]:
    """Return the sources that read files."""
    off = tuple(set(SOURCES) - {"hwmon", "rapl", "cpu_model", "dram_model"})
    return configured(where, Sources(off=off))


def heard(replay: Replay) -> list[list[Answer]]:
    """Return what all sources say at each moment."""
    sources = configured(replay.machine(lambda: 0.0, lambda: 1.7e9), Sources())
    answers = []
    for index in range(replay.moments):
        replay.show(0, index)
        answers.append([read(source, lambda: 0.0) for source in sources])
    return answers


@pytest.mark.parametrize("name", sorted(path.stem for path in MACHINES.glob("*.txt")))
def test_a_recorded_machine_recorded_again(name: str, tmp_path: Path) -> None:
    """Every source says the same of the copy, at every moment."""
    original = recorded(name)
    root = machine(name, tmp_path / "machine")

    def go_on(seconds: float) -> bool:
        for moment in original.moments[1:]:
            if moment.at == seconds:
                stage.plant(root, moment.facts)
        return False

    there = Stage(root, go_on)
    step, whole = original.moments[1].at, original.moments[-1].at
    copy = there.take(*by_files(there.where()), seconds=whole, interval=step)

    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    expected = heard(Replay(original, tmp_path / "first"))
    assert expected == heard(Replay(copy, tmp_path / "second"))


def test_cards_go_on_in_a_replay(tmp_path: Path, gpus: VirtualGpus) -> None:
    """What NVML said of each card is said again, by stand-ins, and counts on in the next laps."""
    gpus.reset(clock_ns=int(START_SECONDS * 1e9))
    for card, watts in enumerate((400.0, 250.0)):
        gpus.set_load(card, watts)
    gpus.advance(10.0)  # what the load was before is out of the means
    there = Stage(machine("cloud-vm", tmp_path / "machine"))
    there.now = gpus.now_ns() / 1e9

    def go_on(_: float) -> bool:
        gpus.advance(there.now - gpus.now_ns() / 1e9)
        return False

    there.on_wait = go_on
    source = Nvml(there.root / "sys", there.root / "proc", there.clock, there.clock)
    taken = there.take(source, seconds=2.0)

    (tmp_path / "replay").mkdir()
    replay = Replay(taken, tmp_path / "replay")
    sources = configured(replay.machine(there.clock, there.clock), Sources())
    (nvml,) = [one for one in sources if one.name == "nvml"]
    said = []
    for lap, index in ((0, 0), (0, 1), (1, 0), (1, 1)):
        replay.show(lap, index)
        said.append({one.meter.zone: one for one in nvml.read().energies})
    for uuid, watts in (("GPU-1", 400.0), ("GPU-2", 250.0)):
        seen = [one[uuid] for one in said]
        assert [0.0, 1.0, 2.0, 3.0] == [one.at for one in seen]
        steps = [after.joules - before.joules for before, after in pairwise(seen)]
        assert steps == pytest.approx([watts] * 3, abs=0.01)
    assert ["GPU-1", "GPU-2"] == [one.uuid for one in nvml.read().gpus][:2]
    assert source.read().gpus[0].uuid not in text(taken)


def test_only_what_changed_is_listed(tmp_path: Path) -> None:
    """A minute of a machine is a small file."""
    root = machine("xeon-2-sockets", tmp_path)
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"

    def go_on(seconds: float) -> bool:
        counter.write_text(f"{100 + int(seconds)}\n")
        return False

    taken = Stage(root, go_on).take(seconds=3.0)

    assert [0.0, 1.0, 2.0, 3.0] == [moment.at for moment in taken.moments]
    path = str(counter.relative_to(root))
    assert [[path]] * 3 == [list(moment.facts) for moment in taken.moments[1:]]


def test_what_cannot_be_read_is_a_fact(tmp_path: Path) -> None:
    """The error's name is recorded, and what the source made of it; a replay says the same."""
    root = machine("laptop", tmp_path / "machine")
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").mkdir()
    refusal = NoMeter(Reason.PERMISSION, f"{root}/sys/x is readable by root only")
    there = Stage(root)

    taken = there.take(Said("rapl", refusal), hidden=StandIns(places={str(root / "sys"): "/sys"}))

    assert "EISDIR" == taken.moments[0].facts["sys/class/powercap/intel-rapl:0/energy_uj"].error
    (tmp_path / "replay").mkdir()
    replay = Replay(taken, tmp_path / "replay")
    sources = configured(replay.machine(there.clock, there.clock), Sources())
    (rapl,) = [one for one in sources if one.name == "rapl"]
    answer = read(rapl, there.clock)
    assert (Reason.PERMISSION, "/sys/x is readable by root only") == (answer.reason, answer.detail)


def test_who_sleeps_is_left_asleep(tmp_path: Path) -> None:
    """A card at rest is not woken by reading its sensors, nor a core by reading its counter."""
    root = machine("epyc-hwmon", tmp_path)
    (root / "sys/class/hwmon/hwmon2/device/power/runtime_status").write_text("suspended\n")

    facts = Stage(root).take().moments[0].facts

    assert "sys/class/hwmon/hwmon2/name" in facts
    assert "sys/class/hwmon/hwmon2/power1_average" not in facts
    assert "sys/class/hwmon/hwmon1/energy1_label" in facts
    assert "sys/class/hwmon/hwmon1/energy1_input" not in facts


def test_it_can_be_ended_early(tmp_path: Path) -> None:
    """The moment at which it is told to end is the last."""
    there = Stage(machine("laptop", tmp_path), lambda seconds: seconds >= 2)

    assert 3 == len(there.take(seconds=60.0).moments)


class Hush:
    """Gives secrets of many forms, and remembers them."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, secret: str) -> str:
        """Return a secret."""
        self.told.append(secret)
        return secret


def planted(root: Path, hush: Hush) -> Path:
    """Plant a machine with a secret in every place that is looked at, and beside it."""
    machine("epyc-hwmon", root)
    host, user = hush("hushhost"), hush("hushuser")
    serial, mac = hush("CN0HUSH1234567"), hush("a0:b1:c2:d3:e4:f5")
    uuid = hush("0f0e0d0c-1111-2222-3333-abcdefabcdef")
    chip = root / "sys/class/hwmon/hwmon7"
    (chip / "power1_label").write_text(f"rail {serial} of {host} {uuid}\n")
    (chip / "power1_model_number").write_text(hush("beside-the-sensor") + "\n")
    (chip / "name").write_text(f"battery_{hush('11_22_33_44_55_66')}\n")
    (chip / "power1_input").write_text(hush("12345hush") + "\n")
    meter = root / "sys/class/hwmon/hwmon4/device"
    (meter / "power1_oem_info").write_text(hush("made for the hush company") + "\n")
    (meter / "power1_serial_number").write_text(serial + "\n")
    card = root / "sys/class/hwmon/hwmon2/device"
    (card / "uevent").write_text(f"DRIVER=amdgpu\nOF_NAME={hush('hush-of-name')}\nMAC={mac}\n")
    (card / "unique_id").write_text(hush("f00dfeed12345678") + "\n")
    target = root / "elsewhere" / f"hid-{mac}-battery"
    target.mkdir(parents=True)
    (root / "sys/class/hwmon/hwmon6/device").symlink_to(target)
    plant(f"sys/class/powercap/intel-rapl:0/name = {hush('hush-zone')}\n", root)
    plant(f"sys/class/powercap/intel-rapl:0/constraint_0_name = {hush('Hush Limit')}\n", root)
    proc = root / "proc"
    (proc / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: AuthenticAMD\n"
        f"model name\t: AMD EPYC for {user}@{host}.example.org\n"
        f"flags\t\t: fpu {hush('hushflag')} hypervisor\nSerial\t\t: {hush('100000003d1d1c36')}\n"
        f"Hardware\t: {hush('Hushboard')}\n\nprocessor\t: 1\n\nSerial: {serial}\n"
    )
    (proc / "stat").write_text(f"cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1 0 0 1 0\nbtime {hush('17234')}\n")
    (proc / "meminfo").write_text(f"MemTotal: 1000 kB\nHush: {hush('98765')} kB\n")
    pod, container = (
        hush("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        hush("c0ffee" + "5eed" * 14 + "ab"),
    )
    command = f"/home/{user}/{hush('hushdir')}/server --password={hush('hunter22')} {mac}"
    cgroup = f"/kubepods/pod{pod}/cri:{container}/user-{user}.slice/vpn@{hush('acme')}.service"
    process(proc, 77, "server", 5, cmdline=command, cgroup=cgroup)
    process(proc, 78, f"sshd {user}", 5, cmdline=f"sshd:\0{user}@pts/0")
    guest, box = hush("hushguest"), hush("hushbox")
    machines = rf"/machine.slice/machine-qemu\x2d1\x2d{guest}.scope/libvirt/emulator"
    process(proc, 79, "qemu", 5, cgroup=machines)
    process(proc, 80, "nginx", 5, cgroup=f"/lxc.payload.{box}/system.slice/nginx.service")
    process(proc, 81, "init", 5, cgroup=f"/lxc/{box}/init.scope")
    (proc / "77/environ").write_text(f"TOKEN={hush('hushtoken')}\0")
    return root


def spoken(hush: Hush) -> list[Source]:
    """Return sources with a secret in whatever they may say."""
    uuid, address = hush(UUID), hush("10.77.66.55")
    bmc = f"https://{hush('admin:pass9')}@{hush('bmc7.dc.example.net')}:8443/redfish/v1"
    meter = Meter("nvml", Component.GPU, "0", uuid, Method.MEASURED, 700.0)
    card = GpuState("0", uuid, f"card of {hush('hushuser')}", pci="0000:c1:00.0")
    pods = Pods({"uid": hush("hush-namespace/pod")}, {"id": hush("hush-container")})
    chassis = Meter("redfish", None, hush("CN7HUSH998877"), "rail", Method.DERIVED, 9.0)
    return [
        Said(
            "nvml",
            Readings(
                (Energy(meter, 1.0, 4999.5),),
                (card,),
                (GpuUse(uuid, 424242, 1.0, 2.0),),
                pods=pods,
            ),
        ),
        Said("redfish", Readings((Energy(chassis, 1.0, 5000.0),))),
        Said("ipmi", NoMeter(Reason.ABSENT, f"{address}:623 (UDP), {hush('fe80::1:2')}: no")),
        Said("scrape_dcgm", NoMeter(Reason.INVALID, f"{bmc}: no; ask {hush('ops@corp.example')}")),
        Said("amdsmi", NoMeter(Reason.INVALID, f"no file /home/{hush('evelyn9')}/lib on hushhost")),
    ]


@pytest.mark.parametrize("with_processes", [False, True])
def test_nothing_tells_whose_it_is(tmp_path: Path, *, with_processes: bool) -> None:
    """A secret in every field that a recording could take it from is not in the recording."""
    hush = Hush()
    there = Stage(planted(tmp_path, hush))
    hidden = StandIns(["hushhost", "hushuser"], {str(tmp_path / "sys"): "/sys"})

    taken = there.take(*spoken(hush), hidden=hidden, with_processes=with_processes)

    shown = text(taken)
    assert [] == [secret for secret in hush.told if secret in shown]
    assert str(tmp_path) not in shown
    assert with_processes == ("proc/77/stat" in shown)
    assert with_processes == ("424242" in shown)
    assert "said/nvml/readings/energies/0/meter/zone = GPU-1" in shown


def test_what_is_hidden_stays_useful(tmp_path: Path) -> None:
    """A program's name, a container's form, a card's place on the bus: attribution needs these."""
    hush = Hush()
    there = Stage(planted(tmp_path, hush))

    facts = there.take(*spoken(hush), with_processes=True).moments[0].facts

    assert b"server" == facts["proc/77/cmdline"].content
    number = "0" * 63 + "1"
    pod = "00000000-0000-0000-0000-000000000001"
    cgroup = facts["proc/77/cgroup"].content.decode()
    assert cgroup.startswith(f"0::/kubepods/pod{pod}/cri:{number}/user-")
    assert cgroup.endswith("/vpn@x.service\n")
    boxes = [facts[f"proc/{pid}/cgroup"].content.decode() for pid in (80, 81)]
    units = [cgroups.unit(cgroups.paths(box)) for box in boxes]
    assert ["MACHINE-2/nginx.service", None] == units
    assert "0::/lxc/MACHINE-2/init.scope\n" == boxes[1]
    assert b"0000:c1:00.0\n" == facts["said/nvml/readings/gpus/0/pci"].content
    assert b"flags\t\t: hypervisor\n" in facts["proc/cpuinfo"].content


def test_a_stand_in_is_the_same_each_time() -> None:
    """So one card is one card, whoever speaks of it and when."""
    hidden = StandIns(["box"])

    first = hidden.text(f"{UUID} and {OTHER_UUID} on box")
    second = hidden.text(f"{OTHER_UUID} on BOX, not in boxes")

    assert "GPU-1 and GPU-2 on NAME-1" == first
    assert "GPU-2 on NAME-1, not in boxes" == second
    assert "GPU-1" == hidden.card(UUID)
    assert "0000:c1:00.0" == hidden.card("0000:c1:00.0")


def test_the_names_to_hide() -> None:
    """Hosts and users: this machine's, and those of its BMC and of scraped exporters."""
    used = Sources(
        redfish=Redfish("https://bmc1.example.net:8443", username="operator1"),
        ipmi=Ipmi(host="bmc2", username="operator2"),
        scrape=(Scrape("http://dcgm.example.net:9400/metrics", "dcgm"),),
    )

    found = set(names({"SUDO_USER": "alice", "USER": "root"}, used))

    hosts = {"bmc1.example.net", "bmc2", "dcgm.example.net", os.uname().nodename}
    assert hosts | {"alice", "operator1", "operator2"} <= found
    assert "root" not in found


@pytest.fixture
def command(tmp_path: Path) -> list[str | Path]:
    """Return the command on a planted machine, quick, and without the drivers of this one."""
    root = machine("xeon-2-sockets", tmp_path / "machine")
    config = tmp_path / "exporter.yml"
    config.write_text("version: 1\nsources: {off: [nvml, amdsmi]}\n")
    roots = ["--path.sysfs", str(root / "sys"), "--path.procfs", str(root / "proc")]
    quick = ["--seconds", "0.4", "--interval", "0.2", "--config", str(config)]
    return [*EXPORTER, "capture", *roots, *quick]


def test_capture_and_replay(command: list[str | Path], tmp_path: Path) -> None:
    """The real command records a machine; doctor and run show that machine, and say so."""
    file = tmp_path / "m.txt"
    done = subprocess.run([*command, "-o", file], capture_output=True, text=True, check=True)
    told = done.stderr.splitlines()
    assert re.fullmatch(f"{file}: 3 moments over 0.[4-9][0-9]* s, .*, [0-9]+ KiB", told[0])
    assert "read it" in told[1]
    assert 3 == len(load(file).moments)
    assert ["exporter.yml", "m.txt", "machine"] == sorted(path.name for path in tmp_path.iterdir())

    doctor = subprocess.run(
        [*EXPORTER, "doctor", "--replay", str(file)], capture_output=True, text=True, check=True
    )
    assert "cpu         is metered by rapl, measured" in doctor.stdout
    assert f"this is a replay of {file}" in doctor.stderr

    run = [*EXPORTER, "run", "--replay", str(file), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr
            assert "not this machine" in served.stderr.readline()
            found = re.search(r"http://\S+:[0-9]+", served.stderr.readline())
            assert found
            metrics, landing = (get(found[0] + path) for path in ("/metrics", "/"))
            served.send_signal(signal.SIGTERM)
            assert 0 == served.wait(20)
        finally:
            served.kill()
    assert 'wattgov_exporter_replay_info{recording="m.txt"} 1.0' in metrics
    assert 'node_cpu_energy_joules_total{package="1",source="rapl",zone="dram"}' in metrics
    assert 'source="nvml"' not in metrics
    assert "A replay of m.txt: another machine" in landing


def get(url: str) -> str:
    """Return a page, waiting for the first sample where it takes one."""
    request = urllib.request.Request(url)
    request.add_header("X-Prometheus-Scrape-Timeout-Seconds", "20")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return str(response.read().decode())


def test_nothing_is_written_over(command: list[str | Path], tmp_path: Path) -> None:
    """A file that is there stays, unless --force says otherwise; standard output is free."""
    file = tmp_path / "m.txt"
    file.write_text("mine\n")

    refused = subprocess.run([*command, "-o", file], capture_output=True, text=True, check=False)
    kept = file.read_text()
    shown = subprocess.run([*command, "-o", "-"], capture_output=True, text=True, check=True)
    subprocess.run([*command, "-o", file, "--force"], capture_output=True, check=True)

    assert (1, f"Error: {file}: is there already; --force replaces it\n") == (
        refused.returncode,
        refused.stderr,
    )
    assert "mine\n" == kept
    assert 3 == len(parse(shown.stdout, "stdout").moments)
    assert 3 == len(load(file).moments)


def test_a_folder_that_is_not_there(command: list[str | Path], tmp_path: Path) -> None:
    """It is told before the minute, not after it."""
    done = subprocess.run(
        [*command, "-o", tmp_path / "no" / "m.txt"], capture_output=True, text=True, check=False
    )

    assert (1, f"Error: {tmp_path}/no: no folder that can be written into\n") == (
        done.returncode,
        done.stderr,
    )


def test_progress_and_an_early_end(command: list[str | Path], tmp_path: Path) -> None:
    """On a terminal the seconds left are shown, and Ctrl-C keeps what was taken so far."""
    file = tmp_path / "m.txt"
    ours, theirs = pty.openpty()
    long = [*command, "--seconds", "3000", "-o", file]
    with subprocess.Popen(long, stderr=theirs) as taking:
        os.close(theirs)
        shown = b""
        while b"2999" not in shown:
            shown += os.read(ours, 1000)
        taking.send_signal(signal.SIGINT)
        with suppress(OSError):  # EIO: the other end is closed
            while more := os.read(ours, 1000):
                shown += more
        assert 0 == taking.wait(20)
    os.close(ours)

    assert b"recording, 3000 s left" in shown
    assert b"moments over" in shown
    assert len(load(file).moments) >= 2


def test_flags_that_cannot_go_together(tmp_path: Path) -> None:
    """A replay has its own files: a root beside it is a mistake, not ignored."""
    run = [*EXPORTER, "run", "--replay", str(tmp_path / "m.txt"), "--path.procfs", "/proc"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)

    assert 2 == done.returncode
    assert "--replay has its own files: leave out --path.procfs" in done.stderr
