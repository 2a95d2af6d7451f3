"""Plant a recorded machine: a text file of `path = content` lines becomes a tree of files."""

from pathlib import Path

MACHINES = Path(__file__).parent / "machines"


THEN = "then "
"""A line that begins so is what the file holds some seconds later."""


def plant(text: str, root: Path, begins: str = "") -> Path:
    """Write the tree under *root*: a line is a file, a backslash and `n` in it a line's end."""
    for line in text.splitlines():
        is_then = line.startswith(THEN)
        if line and not line.startswith("#") and is_then == bool(begins):
            path, _, content = line.removeprefix(begins).partition(" = ")
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content.replace("\\n", "\n") + "\n")
    return root


def machine(name: str, root: Path) -> Path:
    """Plant one of the recorded machines."""
    return plant((MACHINES / f"{name}.txt").read_text(), root)


def later(name: str, root: Path) -> Path:
    """Plant what one of the recorded machines shows some seconds later."""
    return plant((MACHINES / f"{name}.txt").read_text(), root, begins=THEN)


def process(proc: Path, pid: int, comm: str, ticks: int, **facts: str) -> None:
    """Plant one process: *ticks* of CPU time; facts: started, cmdline, cgroup, parent, reaped."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    started = facts.get("started", "100")
    used = [str(ticks), "0", facts.get("reaped", "0"), "0"]
    parent = facts.get("parent", "0")
    fields = ["S", parent, *["0"] * 9, *used, *["0"] * 4, started, *["0"] * 20]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)}\n")
    (folder / "cmdline").write_text(facts.get("cmdline", comm).replace(" ", "\0"))
    (folder / "cgroup").write_text(f"0::{facts.get('cgroup', '/')}\n")


def load(proc: Path, busy: float, idle: float) -> None:
    """Plant /proc/stat of one CPU: CPU-seconds so far."""
    proc.mkdir(parents=True, exist_ok=True)
    fields = f"{busy * 100:.0f} 0 0 {idle * 100:.0f} 0 0 0 0 0 0"
    (proc / "stat").write_text(f"cpu  {fields}\ncpu0 {fields}\n")
