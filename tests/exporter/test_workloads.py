"""Processes are told to apps, and their CPU time is counted once."""

import re
import shutil
from pathlib import Path

import pytest

from plant import load, process
from wattgov_exporter.config import App
from wattgov_exporter.workloads import OTHER, Workloads


@pytest.mark.parametrize(
    ("app", "facts"),
    [
        (App("a", process="vllm"), {"comm": "vllm"}),
        (App("a", process="prometheus-alertmanager"), {"comm": "prometheus-aler"}),
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


def test_a_name_with_brackets_and_spaces(tmp_path: Path) -> None:
    """The kernel puts any name between the brackets."""
    load(tmp_path, 0, 0)
    process(tmp_path, 10, "a) S (b", 0)

    assert {10: "a"} == Workloads(
        tmp_path, [App("a", process="a) S (b")], own_pid=1
    ).look().pid_apps
