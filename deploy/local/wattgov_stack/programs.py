"""Find Prometheus and Alertmanager, or say exactly what to install."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wattgov_stack.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Program:
    """A server that the stack runs and does not bring along."""

    variable: str
    names: tuple[str, ...]
    package: str


# Debian renames Alertmanager, and its packages also hold promtool and amtool.
PROMETHEUS = Program("PROMETHEUS", ("prometheus",), "prometheus")
ALERTMANAGER = Program(
    "ALERTMANAGER", ("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager"
)


def locate(
    programs: tuple[Program, ...], environment: Mapping[str, str], say: Callable[[str], None]
) -> list[Path]:
    """Return the programs' paths; install Debian's packages where that is allowed.

    Raises Trouble, naming the missing packages and the variables that point at other binaries.
    """
    missing = [program for program in programs if _find(program, environment) is None]
    if missing:
        _install(missing, say)
    found = [(program, _find(program, environment)) for program in programs]
    absent = [program for program, path in found if path is None]
    if absent:
        packages = " ".join(program.package for program in absent)
        variables = " ".join(
            f"{program.variable}=/path/to/{program.names[0]}" for program in absent
        )
        names = " and ".join(program.names[0] for program in absent)
        raise Trouble(
            f"{names} not found. On Debian and Ubuntu: "
            f"sudo apt-get install {packages}. Or point at your own: {variables} make up"
        )
    return [path for _, path in found if path is not None]


def _find(program: Program, environment: Mapping[str, str]) -> Path | None:
    wanted = environment.get(program.variable)
    if wanted:
        path = shutil.which(wanted)
        if path is None:
            raise Trouble(f"{program.variable}={wanted} is not a program that can be run")
        return Path(path)
    search = os.pathsep.join((environment.get("PATH", ""), "/usr/local/bin", "/usr/bin"))
    return next(
        (Path(path) for name in program.names if (path := shutil.which(name, path=search))), None
    )


def _install(missing: list[Program], say: Callable[[str], None]) -> None:
    """Install Debian's packages as root; their services are not started.

    Elsewhere nothing is done: becoming root is the user's decision.
    """
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    packages = [program.package for program in missing]
    say(f"installing {' '.join(packages)} (apt-get) ...")
    # RUNLEVEL=1 keeps the packages' own services from starting on the ports that we need.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        [apt, "update", "-qq"],
        [apt, "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            say(f"{' '.join(command[:2])} failed: {' '.join(last)}")
            return
