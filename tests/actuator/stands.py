"""A fake machine for each knob: what is planted, how it is opened, and what it says of itself."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from actuator.groups import own_group
from actuator.processes import Family, own_family
from fakes import redfish, systemd, zeusd
from fakes.api import Answering, Reply, Request, serving, serving_at
from fakes.docker import Docker, container
from fakes.evictions import node, pod
from fakes.kubernetes import PAUSED, Cluster, cron_job, deployment, job, scaled_object
from fakes.limiter import Limiter
from fakes.limits import Limits
from fakes.llamacpp import LlamaCpp
from fakes.ollama import Ollama
from fakes.ray import CONFIGS, Ray
from fakes.sglang import Sglang
from fakes.torchserve import TorchServe
from fakes.triton import CHAT, Triton
from fakes.vllm import Vllm
from plant import plant
from testbed.nvml import VirtualGpus
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Knob

PACKAGES = """
sys/class/powercap/intel-rapl:0/name = package-0
sys/class/powercap/intel-rapl:0/enabled = 1
sys/class/powercap/intel-rapl:0/constraint_0_name = short_term
sys/class/powercap/intel-rapl:0/constraint_0_power_limit_uw = 198000000
sys/class/powercap/intel-rapl:0/constraint_1_name = long_term
sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw = 165000123
sys/class/powercap/intel-rapl:0/constraint_1_max_power_uw = 185000000
sys/class/powercap/intel-rapl:0:0/name = dram
sys/class/powercap/intel-rapl:1/name = package-1
sys/class/powercap/intel-rapl:1/enabled = 1
sys/class/powercap/intel-rapl:1/constraint_0_name = long_term
sys/class/powercap/intel-rapl:1/constraint_0_power_limit_uw = 165000000
sys/class/powercap/intel-rapl:2/name = psys
sys/class/powercap/intel-rapl:2/constraint_0_name = long_term
sys/class/powercap/intel-rapl:2/constraint_0_power_limit_uw = 500000000
sys/class/powercap/intel-rapl-mmio:0/name = package-0
sys/class/powercap/intel-rapl-mmio:0/constraint_0_name = long_term
sys/class/powercap/intel-rapl-mmio:0/constraint_0_power_limit_uw = 150000000
"""
CEILINGS = {0: 3_500_000, 1: 3_500_000, 2: 2_900_000, 3: 3_400_000}  # kHz; 2 was held by somebody
UNITS = """
sys/fs/cgroup/cgroup.controllers = cpuset cpu io memory pids
sys/fs/cgroup/system.slice/cpu.weight = 100
sys/fs/cgroup/system.slice/chat.service/cpu.weight = 100
sys/fs/cgroup/system.slice/batch.service/cpu.weight = 300
sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/ide.service/cpu.weight = 100
"""
SETS = """
sys/fs/cgroup/cgroup.controllers = cpuset cpu io memory pids
sys/fs/cgroup/cpuset.cpus.effective = 0-7
sys/fs/cgroup/system.slice/cpuset.cpus =
sys/fs/cgroup/system.slice/cpuset.cpus.effective = 0-7
sys/fs/cgroup/system.slice/chat.service/cpuset.cpus =
sys/fs/cgroup/system.slice/chat.service/cpuset.cpus.effective = 0-7
sys/fs/cgroup/system.slice/batch.service/cpuset.cpus = 4-7
sys/fs/cgroup/system.slice/batch.service/cpuset.cpus.effective = 4-6
sys/devices/system/node/node0/cpulist = 0-3
sys/devices/system/node/node1/cpulist = 4-7
"""
CONTAINER = "3f2a" * 16
CARDS = """
sys/class/drm/card0/device/vendor = 0x1002
sys/class/drm/card0/device/device = 0x74a1
sys/class/drm/card0/device/unique_id = d06a1b2c3d4e5f60
sys/class/drm/card0/device/hwmon/hwmon3/power1_cap = 560000000
sys/class/drm/card0/device/hwmon/hwmon3/power1_cap_min = 100000000
sys/class/drm/card0/device/hwmon/hwmon3/power1_cap_max = 750000000
sys/class/drm/card0-DP-1/status = disconnected
sys/class/drm/card1/device/vendor = 0x8086
sys/class/drm/card2/device/vendor = 0x1002
"""


IN_CLUSTER: Mapping[str, Setting] = {"url": "{url}", "namespace": "shop"}
CHAT_OF_IT: Mapping[str, Setting] = {"kind": "Deployment", "object": "chat"}


def policies() -> str:
    """Return four policies of two packages, which differ in their ceilings."""
    lines = []
    for number, ceiling in CEILINGS.items():
        policy = f"sys/devices/system/cpu/cpufreq/policy{number}"
        topology = f"sys/devices/system/cpu/cpu{number}/topology"
        lines += [
            f"{policy}/affected_cpus = {number}",
            f"{policy}/cpuinfo_min_freq = 800000",
            f"{policy}/cpuinfo_max_freq = {3_500_000 if number < 3 else 3_400_000}",
            f"{policy}/scaling_min_freq = 800000",
            f"{policy}/scaling_max_freq = {ceiling}",
            f"{topology}/physical_package_id = {number // 3}",
        ]
    return "\n".join(lines)


Served = AbstractContextManager[str]
"""What answers, and its URL."""


class Attended:
    """A knob with what answers it."""

    def __init__(self, knob: Knob, served: Served) -> None:
        self._knob, self._served = knob, served
        self.probe, self.read = knob.probe, knob.read
        self.write, self.restore = knob.write, knob.restore

    def close(self) -> None:
        """Close the knob, then end what answered."""
        self._knob.close()
        self._served.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Stand:
    """One knob's machine; *values* are written in turn, within its range and below its prior."""

    name: str
    values: tuple[float, float]
    tree: str = ""  # what is planted
    asked: Callable[[VirtualGpus], object] | None = None  # what the cards say of themselves
    settings: Mapping[str, Setting] | None = None  # of a connection; `{here}` is the folder
    backend: str = ""
    fake: Callable[[Path], Answering] | None = None  # the server behind it, from the file it is in
    url: str = ""  # where that listens
    serve: Callable[[Path], Served] | None = None  # what answers while the knob is open
    way: str = ""  # the setting that tells it from another one of its backend

    @property
    def key(self) -> str:
        """Return what no two stands share."""
        return "/".join(filter(None, (self.name, self.backend, self.way)))

    @contextmanager
    def served(self) -> Iterator["Stand"]:
        """Give it with its server, if there is one, while the context lasts."""
        if self.fake is None:
            yield self
            return
        with serving(partial(_kept, self.fake)) as url:
            yield replace(self, url=url)

    def plant(self, folder: Path) -> None:
        """Set the machine up."""
        if self.tree:
            plant(self.tree, folder)

    def open(self, folder: Path) -> Knob:
        """Return the real knob on it; what serves it ends as the knob is closed."""
        machine = Machine(folder / "sys", steady=lambda: 0.0)
        if self.serve is None:
            return open_knob(self.name, self.ways(folder), machine)
        context = self.serve(folder)
        ways = self.ways(folder, context.__enter__())
        return Attended(open_knob(self.name, ways, machine), context)

    def ways(self, folder: Path, url: str = "") -> tuple[Connection, ...]:
        """Return the connection that leads to it, if it takes one."""
        if self.settings is None:
            return ()
        given = {
            key: value.format(here=folder, url=url or f"{self.url}{folder}/sys/-")
            if isinstance(value, str)
            else value
            for key, value in self.settings.items()
        }
        return (Connection(self.name, self.backend, "chat", {"app": "chat"}, given),)

    def truth(self, folder: Path, gpus: VirtualGpus) -> object:
        """Return all that the machine holds."""
        if self.asked is not None:
            return self.asked(gpus)
        files = sorted(path for path in (folder / "sys").rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_text().strip() for path in files}


@dataclass(frozen=True, slots=True)
class Grouped(Stand):
    """A real control group, which is linked into the machine as `chat`; its folder is `url`."""

    @contextmanager
    def served(self) -> Iterator[Stand]:
        """Give it with its group, or skip where none can be made."""
        with own_group() as group:
            yield replace(self, url=str(group.folder))

    def plant(self, folder: Path) -> None:
        """Link the group, thawed."""
        link = folder / "sys/fs/cgroup/chat"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(self.url)
        (Path(self.url) / "cgroup.freeze").write_text("0")

    def truth(self, folder: Path, gpus: VirtualGpus) -> object:  # noqa: ARG002 (a Stand)
        """Return what the kernel says of the group."""
        return [(Path(self.url) / f"cgroup.{each}").read_text() for each in ("freeze", "events")]


@dataclass(frozen=True, slots=True)
class OnBus(Stand):
    """A unit of systemd; its bus outlives whoever is killed."""

    @contextmanager
    def served(self) -> Iterator[Stand]:
        """Give it with its bus."""
        with (
            TemporaryDirectory() as folder,
            systemd.serving(systemd.Manager(), Path(folder)) as bus,
        ):
            yield replace(self, settings={**(self.settings or {}), "socket": bus})


@dataclass(frozen=True, slots=True)
class Housed(Stand):
    """Real processes, whom a file of the machine names."""

    family: Family | None = None

    @contextmanager
    def served(self) -> Iterator[Stand]:
        """Give it with its processes."""
        with own_family() as family:
            number = f"sys/server.pid = {family.pids[0]}"
            yield replace(self, family=family, tree=number)

    def plant(self, folder: Path) -> None:
        """Name the first, and let all of them run."""
        assert self.family is not None
        self.family.let_go()
        Stand.plant(self, folder)

    def truth(self, folder: Path, gpus: VirtualGpus) -> object:  # noqa: ARG002 (a Stand)
        """Return which are stopped."""
        assert self.family is not None
        return self.family.stopped()


@dataclass(frozen=True, slots=True)
class Noded(Stand):
    """A node of a cluster; where its pods are is for the scheduler to say, and not undone."""

    def truth(self, folder: Path, gpus: VirtualGpus) -> object:  # noqa: ARG002 (a Stand)
        """Return the nodes."""
        things = json.loads((folder / "sys/server.json").read_text())
        return {path: each for path, each in things.items() if "/nodes/" in path}


def _kept(fake: Callable[[Path], Answering], request: Request) -> Reply:
    """Answer for the server whose state is in the folder that the URL names: it is on disk."""
    folder, _, path = request.path.partition("/-")
    file = Path(folder) / "server.json"
    if not file.exists():
        return Reply(404, {"error": "nothing is here"})
    return fake(file)(replace(request, path=path))


def _on_disk(
    make: Callable[[Any], Answering], state: Callable[[Any], object]
) -> Callable[[Path], Answering]:
    """Return a fake that is made of what is in a file, and puts there what became of it."""
    alone = Lock()  # a knob may ask from two threads

    def fake(file: Path) -> Answering:
        def answer(request: Request) -> Reply:
            with alone:
                before = file.read_text()
                server = make(json.loads(before))
                reply = server(request)
                after = json.dumps(state(server), sort_keys=True)
                if after != before:
                    # Beside the machine: whoever copies it meanwhile finds the one or the other.
                    new = file.parents[1].with_suffix(".new")
                    new.write_text(after)
                    new.replace(file)
            return reply

        return answer

    return fake


def _counting(file: Path) -> Answering:
    """Return an SGLang; what it counts goes on, and is no part of what is put back."""
    counts = file.parent.with_name("counts.json")
    counted = json.loads(counts.read_text()) if counts.exists() else {}
    server = _on_disk(lambda state: Sglang(**state, counts=counted), SGLANG)(file)

    def answer(request: Request) -> Reply:
        reply = server(request)
        counts.write_text(json.dumps(counted))
        return reply

    return answer


def _parts(*names: str) -> Callable[[Any], object]:
    """Return what takes these parts of a server's state."""
    return lambda server: {each: getattr(server, each) for each in names}


def _planted(state: object) -> str:
    """Return the line that plants a server's state."""
    return f"sys/server.json = {json.dumps(state, sort_keys=True)}"


def _cluster(keda: str | None = "") -> dict[str, Any]:
    """Return what is in a cluster; *keda* is what a ScaledObject of the Deployment is paused at."""
    made = Cluster()
    made.add("apps/v1", "deployments", "chat", deployment(4))
    made.add("batch/v1", "cronjobs", "nightly", cron_job())
    made.add("batch/v1", "cronjobs", "held", cron_job(suspend=True))
    made.add("batch/v1", "jobs", "train", job())
    if keda is not None:
        owner = scaled_object("chat", {PAUSED: keda} if keda else None, maxReplicaCount=9)
        made.add("keda.sh/v1alpha1", "scaledobjects", "queue", owner)
    return made.state


def _nodes() -> dict[str, Any]:
    """Return what is in a cluster of two nodes: pods on one, of which one is of a DaemonSet."""
    made = Cluster()
    for name in ("gpu-7", "gpu-8"):
        made.add("v1", "nodes", name, node(), "")
    for name in ("chat-1", "chat-2"):
        made.add("v1", "pods", name, pod("gpu-7"))
    made.add("v1", "pods", "agent", pod("gpu-7", "DaemonSet"))
    return made.state


def _limits(gpus: VirtualGpus) -> object:
    return [gpus.card(each).limit_watts for each in range(gpus.count())]


def _locks(gpus: VirtualGpus) -> object:
    return [gpus.lock_megahertz(each) for each in range(gpus.count())]


@contextmanager
def _bmc(folder: Path) -> Iterator[str]:
    """Serve the BMC whose state is a file of the machine; without one it has no chassis."""
    state, password = folder / "sys/bmc.json", folder / "password"
    folder.mkdir(exist_ok=True)
    password.touch(0o600)
    password.write_text("correct horse\n")
    chassis = redfish.chassis("1U")
    if state.exists():
        chassis = redfish.chassis("1U", EnvironmentMetrics=json.loads(state.read_text()))

    def changed() -> None:
        new = state.with_suffix(".new")
        found = dict(chassis["/redfish/v1/Chassis/1U/EnvironmentMetrics"])
        del found["@odata.id"]
        new.write_text(json.dumps(found))
        new.replace(state)

    with redfish.serving(redfish.Bmc(redfish.tree(chassis), changed=changed)) as url:
        yield url


def _zeusd(folder: Path) -> Served:
    """Serve the driver of this process."""
    socket = folder.with_name(f"{folder.name}.sock")  # copytree takes none
    socket.unlink(missing_ok=True)  # of one that was killed
    return zeusd.serving(zeusd.Zeusd(), socket)


def _docker(folder: Path) -> Served:
    """Serve the daemon whose containers are in a file of the machine; without one it has none."""
    file = folder / "sys/server.json"
    fake = _on_disk(Docker, attrgetter("containers"))

    def answer(request: Request) -> Reply:
        return fake(file)(request) if file.exists() else Docker({})(request)

    return serving_at(folder.with_name(f"{folder.name}.sock"), answer)  # copytree takes none


@contextmanager
def _commands(folder: Path, text: str) -> Iterator[str]:
    """Put a command and its file in place: it keeps the setting in a file of the machine."""
    folder.mkdir(exist_ok=True)
    setting, program = folder / "sys/setting", folder / "turn"
    program.write_text(TURN.format(setting=setting))
    program.chmod(0o755)
    (folder / "commands.yml").write_text(text.format(program=program))
    (folder / "commands.yml").chmod(0o644)
    yield ""


TURN = """\
#!/bin/sh
case $1 in
list) test -e {setting} && echo one 100 4000 ;;
read) test -e {setting} && cat {setting} ;;
clock) echo 300 ;;
write) echo "$3" > {setting}.new && mv {setting}.new {setting} ;;
esac
"""
TURNING = """\
probe: [{program}, list]
read: [{program}, read, "{{target}}"]
write: [{program}, write, "{{target}}", "{{value}}"]
"""
LOCKING = """\
probe: [{program}, list]
read: [{program}, clock]
write: [{program}, write, "{{target}}", "{{value}}"]
restore: [{program}, write, "{{target}}", free]
"""


SGLANG = _parts("gone", "paused", "dead")
VLLM = _parts("paused", "gone", "state", "weights", "kept", "dead")
BATCHES = {**CHAT, "max_batch_size": 64}  # not as its file says
LIMIT = {"SetPoint": 650, "ControlMode": "Disabled", "AllowableMin": 200, "AllowableMax": 800}


STANDS: Mapping[str, Stand] = {
    each.key: each
    for each in (
        Stand("gpu_power_limit", (600, 500), asked=_limits),
        Stand("gpu_clock_lock", (1500e6, 1200e6), asked=_locks),
        Stand("amd_gpu_power_limit", (500, 400), tree=CARDS),
        Stand("cpu_power_limit", (140, 120), tree=PACKAGES),
        Stand("cpu_frequency", (2_500e6, 2_000e6), tree=policies()),
        Stand("cpu_priority", (60, 30), tree=UNITS),
        Stand("cpu_affinity", (3, 2), tree=SETS),
        Stand(
            "batch_size",
            (16, 8),
            tree="sys/server.conf = max_batch = 32",
            settings={"path": "{here}/sys/server.conf", "pattern": r"(\d+)", "low": 1, "high": 64},
            backend="file",
        ),
        Stand(
            "batch_size",
            (16, 8),
            tree=_planted({"chat": CHAT}),
            settings={
                "url": "{url}",
                "model": "chat",
                "field": "max_batch_size",
                "low": 1,
                "high": 64,
            },
            backend="triton",
            fake=_on_disk(Triton, attrgetter("models")),
        ),
        Stand(
            "batch_size",
            (16, 8),
            tree=_planted({"limits": [{"name": "chat", "batch": 32}]}),
            settings={
                "read_url": "{url}/v1/limits?of=chat",
                "read_path": "/limits/0/batch",
                "write_url": "{url}/v1/limits/chat",
                "write_method": "PUT",
                "write_body": '{{"batch": {{{{ value }}}}}}',  # as `format` leaves it
                "low": 1,
                "high": 64,
            },
            backend="http",
            fake=_on_disk(Limits, attrgetter("state")),
        ),
        Stand(
            "batch_size",
            (16, 8),
            tree=_planted({"app": "chat", "limit": None}),
            settings={"url": "{url}", "high": 64},
            backend="limiter",
            fake=_on_disk(Limiter, attrgetter("state")),
        ),
        Stand(
            "batch_size",
            (16, 8),
            tree=_planted(CONFIGS),
            settings={
                "url": "{url}",
                "application": "chat",
                "deployment": "D",
                "field": "max_ongoing_requests",
                "low": 1,
                "high": 64,
            },
            backend="ray",
            fake=_on_disk(Ray, attrgetter("configs")),
        ),
        Stand(
            "batch_size",
            (3, 2),
            tree=_planted({"chat": [4, 6]}),
            settings={"url": "{url}", "model": "chat", "low": 1, "high": 8},
            backend="torchserve",
            fake=_on_disk(TorchServe, attrgetter("models")),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted({"models": {"chat": BATCHES}, "files": {"chat": CHAT}, "leaving": {}}),
            settings={"url": "{url}", "model": "chat"},
            backend="triton_model",
            fake=_on_disk(
                lambda state: Triton(**state, looks=0), _parts("models", "files", "leaving")
            ),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted(VLLM(Vllm())),
            settings={"url": "{url}"},
            backend="vllm",
            fake=_on_disk(lambda state: Vllm(**state), VLLM),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted(VLLM(Vllm())),
            settings={"url": "{url}", "level": "2"},
            backend="vllm",
            fake=_on_disk(lambda state: Vllm(**state), VLLM),
            way="2",
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted(SGLANG(Sglang())),
            settings={"url": "{url}"},
            backend="sglang",
            fake=_counting,
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted({"loaded": {"chat:latest": -1}, "leaving": []}),
            settings={"url": "{url}", "model": "chat"},
            backend="ollama",
            fake=_on_disk(lambda state: Ollama(**state), _parts("loaded", "leaving")),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted({"models": {"chat": "loaded"}, "changing": {}}),
            settings={"url": "{url}", "model": "chat"},
            backend="llamacpp",
            fake=_on_disk(lambda state: LlamaCpp(**state, looks=1), _parts("models", "changing")),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted({"chat": [4, 6]}),
            settings={"url": "{url}", "model": "chat"},
            backend="torchserve_workers",
            fake=_on_disk(TorchServe, attrgetter("models")),
        ),
        Grouped("hibernate", (0, 0), settings={"group": "/chat"}, backend="freezer"),
        Housed(
            "hibernate",
            (0, 0),
            settings={"pid_file": "{here}/sys/server.pid"},
            backend="signal_stop",
        ),
        Stand(
            "platform_power_limit",
            (500, 400),
            tree=f"sys/bmc.json = {json.dumps({'PowerLimitWatts': LIMIT})}",
            settings={
                "url": "{url}",
                "username": "meter",
                "password_file": "{here}/password",
            },
            backend="redfish",
            serve=_bmc,
        ),
        Stand(
            "gpu_power_limit",
            (600, 500),
            asked=_limits,
            settings={"socket": "{url}"},
            backend="zeusd",
            serve=_zeusd,
        ),
        Stand(
            "gpu_clock_lock",
            (1500e6, 1200e6),
            asked=_locks,
            settings={"socket": "{url}"},
            backend="zeusd",
            serve=_zeusd,
        ),
        *(
            Stand(
                name,
                values,
                tree=f"sys/setting = {prior}",
                settings={"file": "{here}/commands.yml"},
                backend="command",
                serve=partial(_commands, text=text),
            )
            for name, values, prior, text in (
                ("gpu_power_limit", (600, 500), "650.50", TURNING),
                ("gpu_clock_lock", (1500e6, 1200e6), "free", LOCKING),
                ("cpu_power_limit", (140, 120), "165", TURNING),
                ("cpu_frequency", (2500e6, 2000e6), "3500", TURNING),
                ("platform_power_limit", (500, 400), "0800", TURNING),
            )
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted({"chat": container()}),
            settings={"container": "chat", "how": "stop", "socket": "{url}"},
            backend="docker",
            serve=_docker,
        ),
        Stand(
            "replicas",
            (3, 2),
            tree=_planted(_cluster()),
            settings={**IN_CLUSTER, **CHAT_OF_IT, "low": 1, "high": 20},
            backend="kubernetes",
            fake=_on_disk(Cluster, attrgetter("state")),
        ),
        Stand(
            "hibernate",
            (0, 0),
            tree=_planted(_cluster(keda=None)),
            settings={**IN_CLUSTER, **CHAT_OF_IT},
            backend="kubernetes",
            fake=_on_disk(Cluster, attrgetter("state")),
        ),
        Stand(
            "batch_jobs",
            (0, 0),
            tree=_planted(_cluster(keda=None)),
            settings={**IN_CLUSTER, "jobs": True},
            backend="kubernetes",
            fake=_on_disk(Cluster, attrgetter("state")),
        ),
        Noded(
            "hibernate",
            (0, 0),
            tree=_planted(_nodes()),
            settings={
                "url": "{url}",
                "node": "gpu-7",
                "drain": 600.0,
                "retry": 3600.0,
                "delete_emptydir_data": False,
                "own_node": False,
            },
            backend="kubernetes_node",
            fake=_on_disk(Cluster, attrgetter("state")),
        ),
        OnBus(
            "hibernate",
            (0, 0),
            tree=f"sys/chat.service = {json.dumps(systemd.UNIT, sort_keys=True)}",
            settings={"unit": "{here}/sys/chat.service", "how": "freeze"},
            backend="systemd",
        ),
    )
}
