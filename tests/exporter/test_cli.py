"""The command: help at once, bad input in sentences, a port in use told, signals obeyed."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from wattgov_exporter.cli import hangup_waits, main


def test_help_is_light() -> None:
    """`--help` loads neither NVML nor the web nor YAML."""
    assert not _loaded(
        "from wattgov_exporter.cli import main; main(['--help'], standalone_mode=False)",
        ("pynvml", "socketserver", "yaml", "requests"),
    )


def test_who_wants_no_tls_loads_none() -> None:
    """To run takes neither OpenSSL (4 MiB) nor the metrics library, which brings it (2 MiB more).

    Nor YAML, without a file.
    """
    heavy = ("prometheus_client", "ssl", "_hashlib", "http.client", "email.message", "yaml")

    assert not _loaded("from wattgov_exporter import daemon", heavy)


def _loaded(code: str, modules: tuple[str, ...]) -> list[str]:
    """Return which of the modules a new Python has loaded after it ran the code."""
    asked = f"{code}\nimport sys; print(*(name for name in {modules} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


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


def test_no_such_port() -> None:
    """A port that cannot be is a mistake told in a sentence."""
    result = CliRunner().invoke(main, ["run", "--listen", "127.0.0.1:65536"])

    assert 2 == result.exit_code
    assert "--listen: port 65536 is outside 0 to 65535" in result.stderr


def test_bad_web_config_is_exit_2(tmp_path: Path) -> None:
    """A web.config.file with a mistake starts nothing: it was there to keep people out."""
    file = tmp_path / "web.yml"
    file.write_text("basic_auth: {}\n")

    result = CliRunner().invoke(main, ["run", "--web.config.file", str(file)])

    assert 2 == result.exit_code
    assert result.stderr.startswith(f"{file}:1:1: unknown key 'basic_auth'")


@contextmanager
def running(
    *arguments: str | Path, hangup: bool = False
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the exporter; yield its address and the process, whose stderr is a pipe.

    *hangup*: it gets a SIGHUP as soon as it is born.
    """
    command = [sys.executable, "-m", "wattgov_exporter", "run", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            if hangup:
                process.send_signal(signal.SIGHUP)
            found = re.search(r"http://\S+:[0-9]+", told(process))
            assert found
            yield found[0], process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]") -> str:
    """Return the next line on stderr."""
    assert process.stderr
    return process.stderr.readline()


def get(url: str, method: str = "GET") -> str:
    """Return a page, waiting for the first sample where it takes one."""
    request = urllib.request.Request(url, method=method)
    request.add_header("X-Prometheus-Scrape-Timeout-Seconds", "20")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return str(response.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(number: signal.Signals) -> None:
    """A signal ends it with status 0, with a scraper connected."""
    with running("--listen", "127.0.0.1:0") as (address, process):
        connection = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        assert "energy_source_up" in get(f"{address}/metrics")
        process.send_signal(number)

        assert 0 == process.wait(20)
        connection.close()


def test_reload(tmp_path: Path) -> None:
    """SIGHUP and POST read the configuration again; a bad one is told and not used."""
    file = tmp_path / "exporter.yml"
    file.write_text("version: 1\ninterval: 100ms\n")
    with running("--listen", "127.0.0.1:0", "--config", file) as (address, process):
        assert "config_last_reload_successful 1.0" in get(f"{address}/metrics")
        file.write_text("version: 1\ninterval: 100ms\nsite: {pue: 1.5, contract_power: 40kW}\n")
        process.send_signal(signal.SIGHUP)
        assert f"{file}: reloaded\n" == told(process)
        file.write_text("version: 1\ninterval: 100ms\nsite: {pue: 0.5}\n")

        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{address}/-/reload", "POST")

        assert 500 == refused.value.code
        mistake = f"{file}:3:13: pue: 0.5 is outside 1 to 10 (a ratio)\n"
        assert refused.value.read().decode().startswith(mistake)
        assert mistake == told(process)
        while "config_last_reload_successful 0.0" not in (page := get(f"{address}/metrics")):
            pass
        assert "site_pue_ratio 1.5" in page
        assert "site_contract_power_watts 40000.0" in page
        refused.value.close()


def test_a_reload_asked_for_while_it_starts(tmp_path: Path) -> None:
    """SIGHUP before there is anything to reload waits, and is obeyed."""
    file = tmp_path / "exporter.yml"
    file.write_text("version: 1\n")
    arguments = ("--listen", "127.0.0.1:0", "--config", file)
    # It waits from the birth of what is started here.
    with hangup_waits(), running(*arguments, hangup=True) as (_, process):
        assert f"{file}: reloaded\n" == told(process)


def test_a_hangup_waits() -> None:
    """It ends nothing while it waits, and what was before is put back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with hangup_waits():
        signal.raise_signal(signal.SIGHUP)  # to this thread: others of this process do not wait
        assert signal.SIGHUP == signal.sigwait({signal.SIGHUP})

    assert before == signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ipv6() -> None:
    """An address in brackets is one of IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running("--listen", "[::1]:0") as (address, _):
        assert address.startswith("http://[::1]:")
        assert "reloaded\n" == get(f"{address}/-/reload", "POST")


def test_assets(tmp_path: Path) -> None:
    """Rules, alerts and dashboards are written once, and never over something."""
    first = CliRunner().invoke(main, ["assets", str(tmp_path)])
    second = CliRunner().invoke(main, ["assets", str(tmp_path)])

    assert 0 == first.exit_code
    assert (tmp_path / "rules/recording/kpi.yml").is_file()
    assert (tmp_path / "grafana/dashboards/overview.json").is_file()
    assert 1 == second.exit_code
    assert "is there already" in second.stderr


def test_the_documented_configuration_is_good() -> None:
    """The example that shows everything passes the check."""
    example = Path(__file__).parents[2] / "docs" / "exporter.yml"

    result = CliRunner().invoke(main, ["check", str(example)])

    assert (0, "") == (result.exit_code, result.stderr)
    assert "3 apps" in result.stdout
