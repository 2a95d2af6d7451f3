"""Processes are named by what they run in, on every runtime's own kind of path."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.apps import cgroups
from wattgov_exporter.apps.naming import HASH_DIGITS, KINDS, Facts, automatic, cut
from wattgov_exporter.apps.pods import Directory
from wattgov_exporter.config import APPS_BY

NOBODY = Directory(lambda: 0.0, patience_seconds=0.0)
"""Tells no names, and has nobody wait for any."""

ID = "6af17555490a1e9a2505b3128e5f1b2bc1243bf8b36e808b571b9686ca2cf7d0"
ID2 = "d4e8e05a546c86b6443f101966c618e47753ed01fa9929cae00d3b692f7a9f80"
UID = "214f3ba8-4b69-4bdb-a7d5-5ecc73f04ae9"
UID_ = UID.replace("-", "_")
STATIC = "57ad1c0d4b0f5a8d3c9b2f4de1c1a8aa"
SLICES = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"
USER = "/user.slice/user-1000.slice/user@1000.service"
SHORT = ID[:12]
NSPAWN = "/machine.slice/systemd-nspawn@web.service"

PATHS = {
    # Kubernetes: cgroupfs and systemd drivers, three QoS classes, four runtimes, v1 and v2
    f"/kubepods/besteffort/pod{UID}/{ID}": (UID, SHORT, None, None),
    f"/kubepods/pod{UID}/{ID}": (UID, SHORT, None, None),
    f"/kubepods/burstable/pod{STATIC}/{ID}": (STATIC, SHORT, None, None),
    f"/kubepods/burstable/pod{UID}/crio-{ID}": (UID, SHORT, None, None),
    f"/kubepods/burstable/pod{UID}": (UID, None, None, None),
    f"{SLICES}{UID_}.slice/cri-containerd-{ID}.scope": (UID, SHORT, None, None),
    f"{SLICES}{UID_}.slice/docker-{ID}.scope": (UID, SHORT, None, None),
    f"{SLICES}{UID_}.slice/crio-{ID}.scope/container": (UID, SHORT, None, None),
    f"{SLICES}{UID_}.slice/crio-conmon-{ID}.scope": (UID, None, None, None),
    f"/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope": (UID, SHORT, None, None),
    # kubelet with the systemd driver, containerd without: the names stay unexpanded
    f"/system.slice/containerd.service/kubepods-besteffort-pod{UID_}.slice:cri-containerd:{ID}": (
        *(UID, SHORT, "containerd.service", None),
    ),
    # seen from inside another container's cgroup namespace
    f"/../../pod{UID}/{ID}": (UID, SHORT, None, None),
    # a cluster in a container (kind): the inner pod
    f"/docker/{ID2}/kubelet/kubepods/besteffort/pod{UID}/{ID}": (UID, SHORT, None, None),
    f"/system.slice/docker-{ID2}.scope/kubelet.slice/kubelet-kubepods.slice/"
    f"kubelet-kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope": (UID, SHORT, None, None),
    # Docker, nerdctl, podman with and without root
    f"/docker/{ID}": (None, SHORT, None, None),
    f"/docker/{ID2}/docker/{ID}": (None, SHORT, None, None),
    f"/system.slice/docker-{ID}.scope": (None, SHORT, None, None),
    f"/system.slice/nerdctl-{ID}.scope": (None, SHORT, None, None),
    f"/machine.slice/libpod-{ID}.scope/container": (None, SHORT, None, None),
    f"/machine.slice/machine-libpod_pod_{ID2}.slice/libpod-{ID}.scope": (None, SHORT, None, None),
    f"/machine.slice/libpod-conmon-{ID}.scope": (None, None, None, None),
    f"{USER}/user.slice/libpod-{ID}.scope/container": (None, SHORT, None, None),
    # a systemd inside a container
    f"/docker/{ID}/system.slice/nginx.service": (None, SHORT, f"{SHORT}/nginx.service", None),
    f"/system.slice/docker-{ID}.scope/init.scope": (None, SHORT, None, None),
    f"/kubepods/pod{UID}/{ID}/system.slice/a.service": (UID, SHORT, f"{SHORT}/a.service", None),
    f"/docker/{ID2}/docker/{ID}/a.service": (None, SHORT, f"{ID2[:12]}/{SHORT}/a.service", None),
    # a systemd in a machine of nspawn, started as a service or by hand, and of LXC 4, 3 and 2
    f"{NSPAWN}/payload/system.slice/nginx.service": (None, None, "web/nginx.service", None),
    f"{NSPAWN}/payload/init.scope": (None, None, "systemd-nspawn@web.service", None),
    f"{NSPAWN}/supervisor": (None, None, "systemd-nspawn@web.service", None),
    "/machine.slice/machine-my\\x2dweb.scope/payload/system.slice/nginx.service": (
        *(None, None, "my-web/nginx.service", None),
    ),
    "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator": (None, None, None, None),
    "/lxc.payload.web/system.slice/nginx.service": (None, None, "web/nginx.service", None),
    "/lxc.payload/web/system.slice/nginx.service": (None, None, "web/nginx.service", None),
    "/lxc/101/ns/system.slice/nginx.service": (None, None, "101/nginx.service", None),
    "/lxc.monitor.web": (None, None, None, None),
    f"/lxc.payload.web/docker/{ID}/a.service": (None, SHORT, f"web/{SHORT}/a.service", None),
    # systemd
    "/system.slice/ssh.service": (None, None, "ssh.service", None),
    "/system.slice/system-getty.slice/getty@tty1.service": (None, None, "getty@tty1.service", None),
    "/system.slice/nginx.service (deleted)": (None, None, "nginx.service", None),
    f"{USER}/app.slice/ollama.service": (None, None, "ollama.service", None),
    f"{USER}/init.scope": (None, None, None, None),
    f"{USER}/session.slice/pipewire.service": (None, None, None, None),
    "/user.slice/user-1000.slice/session-3.scope": (None, None, None, None),
    "/init.scope": (None, None, None, None),
    # Slurm, v1 and v2
    "/slurm/uid_1000/job_123/step_0/task_0": (None, None, None, "123"),
    "/slurm_node1/uid_1000/job_123/step_batch": (None, None, None, "123"),
    "/system.slice/slurmstepd.scope/job_8/step_0/user/task_0": (None, None, None, "8"),
    "/system.slice/node1_slurmstepd.scope/job_8/step_batch/user/task_special": (
        *(None, None, None, "8"),
    ),
    "/slurm/uid_1000/job_123/step_0/job_7": (None, None, None, "123"),  # made by the job itself
    "/slurm/uid_1000/job_123/step_0/slurm/job_7": (None, None, None, "7"),
    "/system.slice/slurmstepd.scope/system": (None, None, None, None),
    "/system.slice/slurmd.service": (None, None, "slurmd.service", None),
    # nothing that names anybody
    "/": (None, None, None, None),
    f"/files/{ID}x": (None, None, None, None),
    "/build/job_7": (None, None, None, None),
    "/slurm/job_7x": (None, None, None, None),
    f"/x-pod{UID_}.slice": (None, None, None, None),
    f"/kubepods.slice/x-pod{UID_}.slice": (None, None, None, None),
}


@pytest.mark.parametrize("path", PATHS)
def test_paths(path: str) -> None:
    """Each shape gives its pod, container, unit and job, and none that it does not have."""
    groups = cgroups.paths(f"0::{path}\n")

    assert PATHS[path] == (
        cgroups.pod_uid(groups),
        cgroups.container(groups),
        cgroups.unit(groups),
        cgroups.slurm_job(groups),
    )


def test_the_hierarchies_of_v1() -> None:
    """A name in any hierarchy counts, and the deepest of all; a path may hold a colon."""
    groups = cgroups.paths(
        f"12:cpu,cpuacct:/docker/{ID2}/docker/{ID}\n4:memory:/docker/{ID2}\n"
        "1:name=systemd:/system.slice/a:b.service\n0::/\nno line of this kind\n"
    )

    assert ("/system.slice/a:b.service", "/") == groups[2:]
    assert SHORT == cgroups.container(groups)
    assert "a:b.service" == cgroups.unit(groups)


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (f"pod{UID}", cgroups.pod_uid),
        (f"docker-{ID}.scope", cgroups.container),
        ("a.service", cgroups.unit),
        ("job_7", cgroups.slurm_job),
    ],
)
def test_a_path_without_end(element: str, name: Callable[[tuple[str, ...]], str | None]) -> None:
    """Anybody may make one, so that only its beginning is looked at."""
    nested = cgroups.MOST_ELEMENTS - 3

    assert name((f"/slurm{'/x' * nested}/{element}",))
    assert name((f"/slurm{'/x' * nested}/x/{element}",)) is None


def test_a_line_ends_where_the_kernel_ends_it() -> None:
    """A group's name may hold any other sign that ends lines elsewhere."""
    assert ("/a\u20280::/b.service",) == cgroups.paths("0::/a\u20280::/b.service\n")


def facts(
    path: str = "/", comm: str = "python3", command: str = "python3", *, kernel: bool = False
) -> Facts:
    """Return what is known of a process."""
    return Facts(comm, command.split(), (path,), kernel)


@pytest.mark.parametrize(
    ("kinds", "process", "name"),
    [
        ((), facts("/system.slice/a.service"), None),
        (("unit", "command"), facts("/system.slice/a.service"), "a.service"),
        (("command", "unit"), facts("/system.slice/a.service"), "python3"),
        (("pod", "container"), facts(f"/kubepods/pod{UID}/{ID}"), f"pod/{UID}"),
        (("container", "pod"), facts(f"/kubepods/pod{UID}/{ID}"), SHORT),
        (("pod", "slurm"), facts("/slurm/uid_1/job_9/step_0"), "slurm/job_9"),
        (("pod", "unit"), facts("/user.slice"), None),
        (("command",), facts(comm="kworker/0:1", command="", kernel=True), None),
        (("command",), facts(comm="exit-me", command=""), "exit-me"),
        (
            ("command",),
            facts(comm="prometheus-aler", command="/usr/bin/prometheus-alertmanager --x"),
            "prometheus-alertmanager",
        ),
        (
            ("command",),
            facts(comm="a-script-with-a", command="/bin/sh /bin/a-script-with-a-name x"),
            "a-script-with-a-name",
        ),
        (("command",), facts(comm="named-otherwise", command="/bin/x"), "named-otherwise"),
    ],
)
def test_the_first_kind_that_fits(kinds: tuple[str, ...], process: Facts, name: str | None) -> None:
    """The order of `apps_by` decides; with none that fits there is no name."""
    assert name == automatic(process, kinds, (), 128, NOBODY)


def test_no_stranger_in_a_row_that_means_something_else() -> None:
    """A command cannot take the name of a declared app, or of the books' own rows."""
    by = ("command",)

    assert "command:chat" == automatic(facts(comm="chat"), by, ["chat"], 128, NOBODY)
    assert automatic(facts(comm="chat"), by, ["chat", "command:chat"], 128, NOBODY) is None
    assert "command:_unattributed" == automatic(facts(comm="_unattributed"), by, (), 128, NOBODY)


@given(name=st.text(), other=st.text(), length=st.integers(32, 128))
def test_long_names(name: str, other: str, length: int) -> None:
    """A name fits its length in bytes, is the same each time, and two names stay two."""
    long, longer = name + "x" * 200, other + "x" * 200
    short = cut(long, length)

    assert length >= len(short.encode()) > length - 4
    assert short == cut(long, length)
    assert (long == longer) == (short == cut(longer, length))
    assert long.startswith(short[: -HASH_DIGITS - 1])
    assert cut("short", length) == "short"


def test_the_kinds() -> None:
    """The words of the configuration, in the order in which they are documented."""
    assert list(APPS_BY) == list(KINDS)
