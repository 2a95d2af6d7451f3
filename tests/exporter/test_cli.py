"""The command: help at once, bad input in sentences, a port in use told."""

import socket
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from wattgov_exporter.cli import main


def test_help_is_light() -> None:
    """`--help` loads neither the metrics library nor NVML nor YAML."""
    code = (
        "import sys\n"
        "from wattgov_exporter.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = ('prometheus_client', 'pynvml', 'yaml', 'requests')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("[]\n")


def test_bad_config_is_exit_2(tmp_path: Path) -> None:
    """Each mistake is one line on stderr; nothing is started."""
    file = tmp_path / "exporter.yml"
    file.write_text("version: 1\ninterval: fast\napp: []\n")

    for command in (["check", str(file)], ["run", "--config", str(file)]):
        result = CliRunner().invoke(main, command)
        assert 2 == result.exit_code
        assert 2 == len(result.stderr.splitlines())


def test_missing_config(tmp_path: Path) -> None:
    """A file that is not there is a sentence."""
    result = CliRunner().invoke(main, ["check", str(tmp_path / "no.yml")])

    assert (2, f"{tmp_path}/no.yml: cannot be read: No such file or directory\n") == (
        result.exit_code,
        result.stderr,
    )


def test_port_in_use() -> None:
    """A taken port is named, with what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        result = CliRunner().invoke(main, ["run", "--listen", address])

    assert 1 == result.exit_code
    assert f"cannot listen on {address}: Address already in use" in result.stderr


def test_assets(tmp_path: Path) -> None:
    """Rules, alerts and dashboards are written once, and never over something."""
    first = CliRunner().invoke(main, ["assets", str(tmp_path)])
    second = CliRunner().invoke(main, ["assets", str(tmp_path)])

    assert 0 == first.exit_code
    assert (tmp_path / "rules/recording/kpi.yml").is_file()
    assert (tmp_path / "grafana/dashboards/overview.json").is_file()
    assert 1 == second.exit_code
    assert "is there already" in second.stderr
