"""Plant a recorded machine: a recording of the product's own format becomes a tree of files."""

from pathlib import Path

from wattgov_exporter.recording import format as recordings
from wattgov_exporter.recording import stage

MACHINES = Path(__file__).parent / "machines"


def plant(text: str, root: Path) -> Path:
    """Write the first moment of a recording under *root*."""
    stage.plant(root, recordings.parse(text, "text").moments[0].facts)
    return root


def recorded(name: str) -> recordings.Recording:
    """Read one of the recorded machines."""
    return recordings.load(MACHINES / f"{name}.txt")


def machine(name: str, root: Path) -> Path:
    """Plant one of the recorded machines as it was first."""
    stage.plant(root, recorded(name).moments[0].facts)
    return root


def process(proc: Path, pid: int, comm: str, ticks: int, **facts: str) -> None:
    """Plant one process: *ticks* of CPU time.

    Facts: started, cmdline, cgroup, parent, reaped, resident (pages), processor.
    """
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    started = facts.get("started", "100")
    used = [str(ticks), "0", facts.get("reaped", "0"), "0"]
    parent = facts.get("parent", "0")
    memory = ["0", facts.get("resident", "0")]
    ran = [*["0"] * 14, facts.get("processor", "0"), *["0"] * 3]
    fields = ["S", parent, *["0"] * 9, *used, *["0"] * 4, started, *memory, *ran]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)}\n")
    (folder / "cmdline").write_text(facts.get("cmdline", comm).replace(" ", "\0"))
    (folder / "cgroup").write_text(f"0::{facts.get('cgroup', '/')}\n")


def load(proc: Path, busy: float, idle: float) -> None:
    """Plant /proc/stat of one CPU: CPU-seconds so far."""
    proc.mkdir(parents=True, exist_ok=True)
    fields = f"{busy * 100:.0f} 0 0 {idle * 100:.0f} 0 0 0 0 0 0"
    (proc / "stat").write_text(f"cpu  {fields}\ncpu0 {fields}\n")
