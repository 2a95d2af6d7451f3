"""A real Prometheus with a past that a test has written."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from wattgov_stack.layout import LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

START = 1_769_817_600.0  # 2026-01-31T00:00:00Z
STEP = 15.0
Series = Mapping[str, Iterable[float]]  # by name and labels, a value every STEP from START on


def openmetrics(series: Series) -> str:
    """Return them as promtool reads them: each metric in one piece."""
    lines: dict[str, list[str]] = {}
    for name, values in series.items():
        lines.setdefault(name.partition("{")[0], []).extend(
            f"{name} {value!r} {START + number * STEP:.0f}" for number, value in enumerate(values)
        )
    typed = [each for name, rows in lines.items() for each in (f"# TYPE {name} gauge", *rows)]
    return "\n".join([*typed, "# EOF", ""])


@contextmanager
def recorded(folder: Path, prometheus: str, promtool: str, series: Series) -> Iterator[str]:
    """Yield the URL of a Prometheus that has these series."""
    folder.mkdir(exist_ok=True)
    (folder / "past.txt").write_text(openmetrics(series))
    (folder / "prometheus.yml").write_text("{}")
    data = folder / "data"
    done = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "past.txt", data],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    where = f"{LOOPBACK}:{free_ports().prometheus}"
    command = Command(
        "prometheus",
        (
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={where}",
        ),
        f"http://{where}/-/ready",
    )
    process = Process(command, folder)
    try:
        process.wait_ready()
        yield f"http://{where}"
    finally:
        process.stop()
