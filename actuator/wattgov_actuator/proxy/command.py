"""`proxy`: the admission limiter's options, signals and end."""

import asyncio
import gc
import logging
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from wattgov_actuator.exits import BAD_INPUT, FAILED, fail
from wattgov_actuator.flags import PATH, Address, address, hidden, pass_clock, span, url
from wattgov_actuator.logfmt import line, log_to_stderr
from wattgov_actuator.notify import GOING, READY, Notify
from wattgov_actuator.proxy.secret import Unreadable, read
from wattgov_actuator.reading import Clock

if TYPE_CHECKING:
    from wattgov_actuator.proxy.running import Settings

LOG = logging.getLogger(__name__)
UNCOUNTED = ("/metrics", "/health")
FAIL_OPEN_PART = 0.75  # of the deadline: the first who waits is forwarded then, not refused
OBJECTS_A_COLLECTION = 20_000  # 700 cost a tenth of the CPU time; requests leave few cycles
LOCAL = {"127.0.0.1", "::1", "localhost"}


def _time(name: str, text: str, default: str | None) -> Callable[..., Callable[..., object]]:
    """Return an option that takes a length of time."""
    return click.option(
        f"--{name}",
        f"{name.replace('-', '_')}_seconds",
        metavar="TIME",
        callback=span,
        default=default,
        show_default=default is not None,
        help=text,
    )


def _token(name: str, text: str) -> Callable[..., Callable[..., object]]:
    return click.option(name, type=PATH, callback=_token_file, metavar="FILE", help=text)


def _token_file(_: click.Context, __: click.Parameter, value: Path | None) -> Path | None:
    try:
        if value is not None:
            read(value)
    except Unreadable as error:
        raise click.BadParameter(str(error)) from error
    return value


def _upstream(context: click.Context, option: click.Parameter, value: str) -> str:
    parts = urlsplit(url(context, option, value))
    if parts.query or parts.fragment or parts.username is not None:
        raise click.BadParameter(f"'{hidden(value)}' is more than a host, a port and a path")
    return value.rstrip("/")


def _wake(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    return None if value is None else url(context, option, value)


@click.command()
@click.option("--upstream", required=True, metavar="URL", callback=_upstream, help="The server.")
@click.option("--app", required=True, help="Its name in metrics and state.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    callback=address,
    default="127.0.0.1:8080",
    show_default=True,
    help="Where requests come in.",
)
@click.option(
    "--control",
    metavar="HOST:PORT",
    callback=address,
    default="127.0.0.1:9472",
    show_default=True,
    help="Where metrics are served and orders taken.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Requests in flight. [default: any]")
@click.option(
    "--queue",
    "most_queued",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Requests that may wait; more are refused with 503.",
)
@_time("deadline", "How long a request may wait for its turn; then 503.", "60s")
@_time("silence", "How long the server may say nothing; then 504.", "10m")
@_time("client-silence", "How long a client may send, or take, nothing; then it is cut off.", "60s")
@_time("drain", "How long requests may take to end after SIGTERM.", "30s")
@click.option(
    "--uncounted",
    multiple=True,
    metavar="PATH",
    default=UNCOUNTED,
    show_default=True,
    help="Passed at any time, without a turn and without being counted as activity.",
)
@click.option("--wake", metavar="URL", callback=_wake, help="POST there wakes the server.")
@_token("--wake-token-file", "The bearer token for it.")
@_time("fail-open", "Forward anyway when that has not helped. [default: 3/4 of --deadline]", None)
@_token("--token-file", "The bearer token that orders need. [default: root, or our own user, here]")
@pass_clock
def proxy(
    clock: Clock,
    *,
    upstream: str,
    app: str,
    listen: Address,
    control: Address,
    limit: int | None,
    most_queued: int,
    deadline_seconds: float,
    silence_seconds: float,
    client_silence_seconds: float,
    drain_seconds: float,
    uncounted: tuple[str, ...],
    wake: str | None,
    wake_token_file: Path | None,
    fail_open_seconds: float | None,
    token_file: Path | None,
) -> None:
    """Stand in front of an inference server: bound what is in flight, wake it when it sleeps.

    The limit can be changed, and requests held, by the API on --control; see docs/proxy.md.
    SIGTERM and SIGINT end it when what is in flight has ended; a second one ends it at once.

    Exit status: 0 when every request has ended by itself, 1 when some were cut off or it could not
    start, 2 for a wrong option.
    """
    try:
        import uvloop  # noqa: PLC0415 (a third less latency than with asyncio's own, see make bench)

        from wattgov_actuator.proxy.forward import Patience  # noqa: PLC0415 (--help stays light)
        from wattgov_actuator.proxy.running import Settings  # noqa: PLC0415 (--help stays light)
    except ModuleNotFoundError as error:
        fail(f"the proxy needs {error.name}: pip install 'wattgov[proxy]'", FAILED)
    if fail_open_seconds is None:
        fail_open_seconds = FAIL_OPEN_PART * deadline_seconds
    if fail_open_seconds >= deadline_seconds:
        fail("--fail-open has to be shorter than --deadline, else nobody is left then", BAD_INPUT)
    if wake and urlsplit(wake).hostname not in LOCAL and wake_token_file is None:
        fail(f"{wake} is not on this host: give a --wake-token-file", BAD_INPUT)
    settings = Settings(
        app=app,
        upstream=upstream,
        listen=listen,
        control=control,
        limit=limit,
        most_queued=most_queued,
        patience=Patience(deadline_seconds, client_silence_seconds),
        silence_seconds=silence_seconds,
        fail_open_seconds=fail_open_seconds,
        uncounted=frozenset(uncounted),
        wake=wake,
        wake_token_file=wake_token_file,
        token_file=token_file,
    )
    log_to_stderr()
    _as_many_files_as_allowed()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            left = runner.run(_run(settings, clock, drain_seconds))
    except OSError as error:
        fail(f"cannot listen: {error.strerror}; give another --listen or --control", FAILED)
    LOG.info(line("stopped", cut_off=left))
    raise SystemExit(FAILED if left else 0)


async def _run(settings: "Settings", clock: Clock, drain_seconds: float) -> int:
    """Serve until a signal comes; return how many requests were cut off."""
    from wattgov_actuator.proxy.running import serving  # noqa: PLC0415 (--help stays light)

    notify, stop, hurry = Notify(os.environ), asyncio.Event(), asyncio.Event()

    def caught(number: signal.Signals) -> None:
        LOG.info(line("stopping", on=number.name))
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, caught, number)
    async with serving(settings, clock) as proxy:
        ends = {"listen": proxy.address, "control": proxy.control_address}
        LOG.info(line("started", app=settings.app, upstream=settings.upstream, **ends))
        gc.collect()
        gc.freeze()  # what is here now stays; it need not be looked at while requests pass
        gc.set_threshold(OBJECTS_A_COLLECTION)
        notify(READY)
        await stop.wait()
        notify(GOING)
        return await proxy.drain(drain_seconds, hurry)


def _as_many_files_as_allowed() -> None:
    """Raise the soft limit: a request is two connections."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
