"""Names for processes that no declared app claims: by pod, container, unit, job or command. Pure.

An automatic name never begins with `_` and is never that of a declared app: either would put a
stranger's joules into a row that means something else. Such a name gets its kind before it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from wattgov_exporter.apps import cgroups
from wattgov_exporter.apps.pods import Directory

COMM_BYTES = 15
"""The kernel cuts a command name to this (TASK_COMM_LEN)."""

HASH_DIGITS = 10
"""Two long names with one beginning meet with odds of 1 to 2^40."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a process: its name, its command line's words, its cgroup paths.

    *kernel*: a thread of the kernel, which runs no command.
    """

    comm: str
    words: Sequence[str]
    groups: tuple[str, ...]
    kernel: bool = False


def automatic(
    facts: Facts,
    kinds: Sequence[str],
    declared: Collection[str],
    length: int,
    told: Directory,
) -> str | None:
    """Return the name by the first of *kinds* that fits, None when none does.

    *length* is the longest a name may be, in bytes; *told* has the names of pods, and raises
    NotYet while one may still come.
    """
    for kind in kinds:
        name = KINDS[kind](facts, told)
        if name:
            if name.startswith("_") or name in declared:
                name = f"{kind}:{name}"
            name = cut(name, length)
            return None if name in declared else name
    return None


def cut(name: str, length: int) -> str:
    """Cut a name to *length* bytes of UTF-8; a hash of the whole keeps two long ones apart."""
    data = name.encode()
    if len(data) <= length:
        return name
    import hashlib  # noqa: PLC0415  OpenSSL takes 4 MiB, and names are seldom so long

    digest = hashlib.blake2b(data, digest_size=HASH_DIGITS // 2).hexdigest()
    return f"{data[: length - HASH_DIGITS - 1].decode(errors='ignore')}~{digest}"


def _pod(facts: Facts, told: Directory) -> str | None:
    uid = cgroups.pod_uid(facts.groups)
    return None if uid is None else told.pod(uid) or f"pod/{uid}"


def _container(facts: Facts, told: Directory) -> str | None:
    """Return the container's name; only one in a pod has one that somebody tells."""
    number = cgroups.container(facts.groups)
    if number is None or cgroups.pod_uid(facts.groups) is None:
        return number
    return told.container(number) or number


def _slurm(facts: Facts, _: Directory) -> str | None:
    job = cgroups.slurm_job(facts.groups)
    return None if job is None else f"slurm/job_{job}"


def _command(facts: Facts, _: Directory) -> str | None:
    """Return the command's name, whole where the command line still has what the kernel cut."""
    if facts.kernel:
        return None
    if len(facts.comm.encode()) >= COMM_BYTES:
        for word in facts.words[:2]:  # the program, or the script that it interprets
            name = word.rpartition("/")[2]
            if name.startswith(facts.comm):
                return name
    return facts.comm


KINDS: Mapping[str, Callable[[Facts, Directory], str | None]] = {
    "pod": _pod,
    "container": _container,
    "unit": lambda facts, _: cgroups.unit(facts.groups),
    "slurm": _slurm,
    "command": _command,
}
"""What `apps_by` may list."""
