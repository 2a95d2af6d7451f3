"""Processes are told to apps, and their CPU time is counted once."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plant import load, process
from wattgov_exporter.apps.lineage import TURN_LOOKS
from wattgov_exporter.apps.workloads import KEPT_LOOKS, OTHER, Workloads
from wattgov_exporter.config import App


@pytest.mark.parametrize(
    ("app", "facts"),
    [
        (App("a", process="vllm"), {"comm": "vllm"}),
        (App("a", process="prometheus-alertmanager"), {"comm": "prometheus-aler"}),
        (App("a", process="überwachungsdienst"), {"comm": "überwachungsdi"}),
        (
            App("a", command=re.compile(r"serve .*--port 8000")),
            {"cmdline": "x serve m --port 8000"},
        ),
        (App("a", unit="vllm.service"), {"cgroup": "/system.slice/vllm.service"}),
        (App("a", cgroup="/kubepods/*/pod1"), {"cgroup": "/kubepods/burstable/pod1/c0ffee"}),
    ],
)
def test_selectors(tmp_path: Path, app: App, facts: dict[str, str]) -> None:
    """Each kind of selector finds its process, and not another one."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, **({"comm": "python3", "ticks": 0} | facts))  # type: ignore[arg-type]
    process(tmp_path, 11, "bash", 0, cmdline="bash -l", cgroup="/user.slice/a.scope")

    activity = Workloads(tmp_path, [app], own_pid=1).look()

    assert {10: "a", 11: OTHER} == activity.pid_apps
    assert {"a": 1, OTHER: 1} == activity.processes


def test_all_selectors_of_an_app_must_fit(tmp_path: Path) -> None:
    """Two selectors narrow each other."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "python3", 0, cmdline="python3 train.py")
    app = App("a", process="python3", command=re.compile("serve"))

    assert {10: OTHER} == Workloads(tmp_path, [app], own_pid=1).look().pid_apps


def test_whose_a_process_was_is_known_for_a_while(tmp_path: Path) -> None:
    """A card's driver tells of it when it is gone; another of its number is another's at once."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "train", 0)
    workloads = Workloads(tmp_path, [App("a", process="train")], own_pid=1)
    workloads.look()
    shutil.rmtree(tmp_path / "10")

    for _ in range(KEPT_LOOKS):
        activity = workloads.look()
        assert ({}, "a") == (activity.pid_apps, activity.owners[10])
    for _ in range(KEPT_LOOKS + 1):
        activity = workloads.look()
    assert {} == dict(activity.owners)

    process(tmp_path, 11, "train", 0)
    workloads.look()
    shutil.rmtree(tmp_path / "11")
    workloads.look()
    process(tmp_path, 11, "bash", 0, started="200")
    assert OTHER == workloads.look().owners[11]


def test_time_between_two_looks(tmp_path: Path) -> None:
    """Only time since the last look counts; a process born since then counts whole."""
    load(tmp_path, 100, 100)
    process(tmp_path, 10, "vllm", 5000)
    workloads = Workloads(tmp_path, [App("a", process="vllm")], own_pid=11)
    assert workloads.look().cpu_seconds == {"a": 0.0, OTHER: 0.0}
    load(tmp_path, 104, 106)
    process(tmp_path, 10, "vllm", 5200)
    process(tmp_path, 11, "new", 100)

    activity = workloads.look()

    assert activity.cpu_seconds == {"a": 2.0, OTHER: 1.0}
    assert activity.busy == 4.0
    assert activity.utilisation == pytest.approx(0.4)
    assert activity.own_share == pytest.approx(0.25)


def test_a_pid_used_again_is_another_process(tmp_path: Path) -> None:
    """A new process with an old number neither falls below its past nor inherits its app."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 5000)
    workloads = Workloads(tmp_path, [App("a", process="vllm")], own_pid=1)
    workloads.look()
    load(tmp_path, 1, 0)
    process(tmp_path, 10, "bash", 100, started="999")

    assert workloads.look().cpu_seconds == {"a": 0.0, OTHER: 1.0}


def test_a_process_that_ends_leaves_its_time_unclaimed(tmp_path: Path) -> None:
    """What it used after the last look is in `busy` and in no app."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 0)
    workloads = Workloads(tmp_path, [App("a", process="vllm")], own_pid=1)
    workloads.look()
    load(tmp_path, 3, 0)
    shutil.rmtree(tmp_path / "10")

    activity = workloads.look()

    assert activity.busy == 3.0
    assert activity.cpu_seconds == {"a": 0.0, OTHER: 0.0}


def test_children_that_live_between_two_looks(tmp_path: Path) -> None:
    """Their time goes to their parent's app; a child that was seen is not counted again."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "make", 0)
    process(tmp_path, 11, "cc", 300, parent="10")
    workloads = Workloads(tmp_path, [App("build", process="make")], own_pid=1)
    workloads.look()
    load(tmp_path, 8, 0)
    shutil.rmtree(tmp_path / "11")
    process(tmp_path, 10, "make", 0, reaped="1000")

    assert {"build": 7.0, OTHER: 0.0} == workloads.look().cpu_seconds


def test_automatic_names(tmp_path: Path) -> None:
    """What no app claims is named as asked; what has no such name is in `_other`."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 0, cgroup="/system.slice/vllm.service")
    process(tmp_path, 11, "nginx", 0, cgroup="/system.slice/nginx.service")
    process(tmp_path, 12, "bash", 0, cgroup="/user.slice")
    chat = App("chat", process="vllm")

    activity = Workloads(tmp_path, [chat], own_pid=1, by=["pod", "unit"]).look()

    assert {10: "chat", 11: "nginx.service", 12: OTHER} == activity.pid_apps
    assert {"chat": 1, "nginx.service": 1, OTHER: 1} == activity.processes
    assert {"chat": 0.0, "nginx.service": 0.0, OTHER: 0.0} == activity.cpu_seconds


def test_a_process_that_is_moved(tmp_path: Path) -> None:
    """A young process is asked again at the next look, an old one within so many looks."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "python3", 0)
    workloads = Workloads(tmp_path, [], own_pid=1, by=["unit"])
    assert {10: OTHER} == workloads.look().pid_apps
    process(tmp_path, 10, "python3", 0, cgroup="/system.slice/a.service")
    assert {10: "a.service"} == workloads.look().pid_apps
    process(tmp_path, 10, "python3", 0, cgroup="/system.slice/b.service")

    seen = {workloads.look().pid_apps[10] for _ in range(TURN_LOOKS)}

    assert {"a.service", "b.service"} == seen
    assert {10: "b.service"} == workloads.look().pid_apps


def test_a_process_that_has_ended_and_is_not_reaped(tmp_path: Path) -> None:
    """It has no command line and may have no cgroup left: it stays who it was, or its parent's."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "make", 0)
    process(tmp_path, 11, "cc", 0, parent="10")
    apps = [App("build", process="make"), App("compiler", command=re.compile("^cc"))]
    workloads = Workloads(tmp_path, apps, own_pid=1)
    workloads.look()
    process(tmp_path, 11, "cc", 100, parent="10", cmdline="")
    process(tmp_path, 12, "ld", 200, parent="10", cmdline="")

    assert {"build": 2.0, "compiler": 1.0, OTHER: 0.0} == workloads.look().cpu_seconds


def test_other_apps_from_now_on(tmp_path: Path) -> None:
    """With another configuration processes are known anew, and no time is lost or counted twice."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 100)
    workloads = Workloads(tmp_path, [], own_pid=1)
    workloads.look()
    process(tmp_path, 10, "vllm", 300)

    workloads.reconfigure([App("chat", process="vllm")])

    assert {"chat": 2.0, OTHER: 0.0} == workloads.look().cpu_seconds


def test_those_that_rest_are_known_anew_too(tmp_path: Path) -> None:
    """Another configuration counts at the next look for a process that has slept for long."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "vllm", 100)
    workloads = Workloads(tmp_path, [], own_pid=1)
    for _ in range(TURN_LOOKS):
        assert {OTHER: 1} == workloads.look().processes

    workloads.reconfigure([App("chat", process="vllm")])

    assert {"chat": 1, OTHER: 0} == workloads.look().processes


def test_more_processes_than_open_files(tmp_path: Path) -> None:
    """Beyond the limit files are opened for each look, and nothing else differs."""
    load(tmp_path, 0, 0)
    for pid in range(10, 20):
        process(tmp_path, pid, "a", 0)
    workloads = Workloads(tmp_path, [], own_pid=1, kept_files=3)
    workloads.look()
    for pid in range(10, 20):
        process(tmp_path, pid, "a", 100)

    assert {OTHER: 10.0} == workloads.look().cpu_seconds


def test_real_processes() -> None:
    """On this machine a process finds itself, and a child that it has waited for."""
    workloads = Workloads(Path("/proc"), [], own_pid=os.getpid(), by=["command"])
    workloads.look()

    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    activity = workloads.look()

    assert os.getpid() in activity.pid_apps
    assert activity.own_seconds >= 0.01
    assert sum(activity.processes.values()) == len(activity.pid_apps)


def test_a_name_with_brackets_and_spaces(tmp_path: Path) -> None:
    """The kernel puts any name between the brackets."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "a) S (b", 0)

    assert {10: "a"} == Workloads(
        tmp_path, [App("a", process="a) S (b")], own_pid=1
    ).look().pid_apps
