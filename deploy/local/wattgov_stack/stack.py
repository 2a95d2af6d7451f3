"""The four processes as one: start them in order, stop them in order."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from wattgov_stack import configs
from wattgov_stack.layout import LOOPBACK, Layout, check_ports
from wattgov_stack.processes import Command, Process
from wattgov_stack.programs import ALERTMANAGER, PROMETHEUS, locate
from wattgov_stack.trouble import Trouble
from wattgov_stack.webhook import Notice, Receiver


class Stack:
    """A context: entered, all parts are ready; left, all are stopped and everything is restored."""

    def __init__(
        self,
        layout: Layout,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        extra: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.layout = layout
        self._environment = environment
        self._extra = extra
        self._say = say
        self.processes: dict[str, Process] = {}
        self.receiver: Receiver | None = None

    def __enter__(self) -> Self:
        binaries = locate((PROMETHEUS, ALERTMANAGER), self._environment, self._say)
        check_ports(self.layout.ports)
        check_inputs(self.layout)
        configs.write(self.layout)
        self.receiver = Receiver((LOOPBACK, self.layout.ports.alerts))
        self.receiver.__enter__()
        try:
            for command in commands(self.layout, *binaries, extra=self._extra):
                self.start(command)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The actuator first: it puts back what it changed while all it may need still runs.
        rest = [name for name in self.processes if name != "actuator"]
        for name in ("actuator", *reversed(rest)):
            self.stop(name)
        if self.receiver is not None:
            self.receiver.__exit__()

    def stop(self, name: str) -> None:
        """Stop one part, if it runs."""
        process = self.processes.pop(name, None)
        if process is not None:
            status = process.stop()
            if status not in (0, -signal.SIGTERM):
                self._say(f"{name} ended with status {status}; see {process.log}")

    def start(self, command: Command) -> Process:
        """Start one part and wait until it is ready."""
        began = time.monotonic()
        process = Process(command, self.layout.state / "logs")
        self.processes[command.name] = process
        process.wait_ready()
        seconds = time.monotonic() - began
        self._say(f"{command.name:<13}ready after {seconds:4.1f} s   {_home(command)}")
        return process

    def check(self) -> None:
        """Raise Trouble when a part has ended by itself."""
        for name, process in self.processes.items():
            if process.ended is not None:
                raise Trouble(f"{name} ended (status {process.ended}); see {process.log}")

    @property
    def notices(self) -> list[Notice]:
        """What Alertmanager has sent so far."""
        return list(self.receiver.notices) if self.receiver else []

    def start_actuator(self) -> Process:
        """Start the actuator; apart from the rest, so that a demo can measure without it first."""
        return self.start(actuator_command(self.layout, self._extra))


def check_inputs(layout: Layout) -> None:
    """Raise Trouble with every mistake of the user's files, before anything is started."""
    checks = [("wattgov_exporter", [str(layout.exporter_config)])]
    if layout.actuator_rules:
        rules = [str(configs.trusted(one, layout.state)) for one in layout.actuator_rules]
        checks.append(("wattgov_actuator", rules))
    mistakes = [
        done.stderr.strip()
        for module, files in checks
        if (
            done := subprocess.run(
                [sys.executable, "-m", module, "check", *files],
                capture_output=True,
                text=True,
                check=False,
            )
        ).returncode
    ]
    if mistakes:
        raise Trouble("\n".join(["nothing was started:", *mistakes]))


def commands(
    layout: Layout, prometheus: Path, alertmanager: Path, *, extra: tuple[tuple[str, str], ...]
) -> list[Command]:
    """Return what runs besides the actuator."""
    ports, state = layout.ports, layout.state
    return [
        Command(
            "exporter",
            (
                *(sys.executable, "-m", "wattgov_exporter", "run"),
                *("--config", str(layout.exporter_config)),
                *("--listen", f"{LOOPBACK}:{ports.exporter}"),
                *layout.exporter_options,
            ),
            f"{ports.url('exporter')}/-/ready",
            extra,
        ),
        Command(
            "alertmanager",
            (
                str(alertmanager),
                f"--config.file={state / 'alertmanager.yml'}",
                f"--storage.path={state / 'alertmanager'}",
                f"--web.listen-address={LOOPBACK}:{ports.alertmanager}",
                "--cluster.listen-address=",
            ),
            f"{ports.url('alertmanager')}/-/ready",
        ),
        Command(
            "prometheus",
            (
                str(prometheus),
                f"--config.file={state / 'prometheus.yml'}",
                f"--storage.tsdb.path={state / 'prometheus'}",
                f"--web.listen-address={LOOPBACK}:{ports.prometheus}",
            ),
            f"{ports.url('prometheus')}/-/ready",
        ),
    ]


def actuator_command(layout: Layout, extra: tuple[tuple[str, str], ...]) -> Command:
    """Return how the actuator runs: dry, unless the layout enforces."""
    return Command(
        "actuator",
        (
            *(sys.executable, "-m", "wattgov_actuator", "run"),
            *(word for rules in layout.actuator_rules for word in _rules(rules, layout.state)),
            *("--prometheus", layout.ports.url("prometheus")),
            *("--state-dir", str(layout.state / "actuator")),
            *("--listen", f"{LOOPBACK}:{layout.ports.actuator}"),
            *(("--enforce",) if layout.enforce else ()),
            *layout.actuator_options,
        ),
        f"{layout.ports.url('actuator')}/-/ready",
        extra,
    )


def _home(command: Command) -> str:
    return command.ready_url.removesuffix("-/ready")


def _rules(rules: Path, state: Path) -> tuple[str, str]:
    return "--rules", str(configs.trusted(rules, state))
