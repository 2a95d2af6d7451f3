"""Requests at a held gate wake the server once, and wait no longer than they have to."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from actuator.proxy.playing import Play, before, listening, now, played
from wattgov_actuator.proxy.forward import Patience
from wattgov_actuator.proxy.gate import Gate
from wattgov_actuator.proxy.tally import Tally, Wake
from wattgov_actuator.proxy.waking import Waking

WAITING = 50


class Actuator:
    """What is asked to wake, and says what it was told to say."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.tokens = list(statuses), list[str | None]()
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer one wake, when it may."""
        assert ("POST", b"") == (request.method, await request.read())
        self.tokens.append(request.headers.get("Authorization"))
        await self.may.wait()
        return web.Response(status=self.statuses.pop(0), text="no")


async def awake(_: web.Request) -> web.Response:
    """Answer as a server that is awake."""
    return web.Response(text="hello")


async def asked(play: Play, path: str = "/v1/chat") -> int:
    """Ask once; return the status."""
    async with play.client.get(f"{play.url}{path}") as answer:
        await answer.read()
        return answer.status


def test_many_requests_wake_once_and_all_are_answered(tmp_path: Path) -> None:
    """The token comes from its file; the wake opens the gate."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")

    async def scene() -> None:
        actuator = Actuator(200)
        actuator.may.clear()
        async with (
            listening(awake) as upstream,
            listening(actuator) as wake,
            before(upstream, wake=wake, wake_token_file=token) as play,
        ):
            assert "start" == (await play.state())["held_by"]
            tasks = [asyncio.create_task(asked(play)) for _ in range(WAITING)]
            await play.until(lambda: play.proxy.gate.queued == WAITING)
            actuator.may.set()

            assert [200] * WAITING == await asyncio.gather(*tasks)
            assert ["Bearer s3cret"] == actuator.tokens
            assert 1 == await play.metric('app_wakes_total{app="chat",result="woken"}')
            assert (await play.state())["held"] is False

    played(scene())


def test_a_wake_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted and logged with what the actuator said; a redirect is no success."""
    monkeypatch.setattr("wattgov_actuator.proxy.waking.PAUSES_SECONDS", (0.0, 0.0, 0.0))

    async def scene() -> None:
        actuator = Actuator(503, 302, 204)
        async with (
            listening(awake) as upstream,
            listening(actuator) as wake,
            before(upstream, wake=wake) as play,
        ):
            assert 200 == await asked(play)
            assert [None] * 3 == actuator.tokens
            assert 2 == await play.metric('app_wakes_total{app="chat",result="failed"}')
            assert 1 == await play.metric('app_wakes_total{app="chat",result="woken"}')

    played(scene())
    assert "says 503: no" in caplog.text


def test_a_wake_that_takes_long_has_not_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The actuator answers before the server is awake; the pauses of failures are kept for them."""
    monkeypatch.setattr("wattgov_actuator.proxy.waking.PAUSES_SECONDS", (0.0,))

    async def scene() -> None:
        actuator = Actuator(*(504,) * 20, 503, 200)
        async with (
            listening(awake) as upstream,
            listening(actuator) as wake,
            before(upstream, wake=wake) as play,
        ):
            assert 200 == await asked(play)
            assert [] == actuator.statuses
            assert 1 == await play.metric('app_wakes_total{app="chat",result="failed"}')
            assert 1 == await play.metric('app_wakes_total{app="chat",result="woken"}')

    played(scene())
    assert "says 504" not in caplog.text


@pytest.mark.parametrize("mute", [True, False])
def test_an_actuator_that_is_dead_or_hangs_holds_nothing_for_ever(
    mute: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After --fail-open the request is forwarded all the same, counted and logged."""

    async def scene() -> None:
        actuator = Actuator(200)
        actuator.may.clear()
        async with (
            listening(awake) as upstream,
            listening(actuator) as wake,
            before(
                upstream, wake=wake if mute else "http://127.0.0.1:1", fail_open_seconds=0.05
            ) as play,
        ):
            assert 200 == await asked(play)
            assert 1 == await play.metric('app_wakes_total{app="chat",result="failed_open"}')
            assert (await play.state())["held"] is False
            actuator.may.set()

    played(scene())
    assert "event=failed_open after_seconds=0.05" in caplog.text


def test_without_a_wake_the_gate_fails_open_too() -> None:
    """Held by an actuator that has died since."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream, fail_open_seconds=0.05) as play:
            assert (200, True) == _held(await play.order("hold"))
            assert 200 == await asked(play)
            assert 1 == await play.metric('app_wakes_total{app="chat",result="failed_open"}')

    played(scene())


def test_an_open_while_it_wakes_ends_the_wake() -> None:
    """Whoever wakes may open by the API before it answers."""

    async def scene() -> None:
        actuator = Actuator(200)
        actuator.may.clear()
        async with (
            listening(awake) as upstream,
            listening(actuator) as wake,
            before(upstream, wake=wake) as play,
        ):
            task = asyncio.create_task(asked(play))
            await play.until(lambda: bool(actuator.tokens))
            status, state = await play.order("open")

            assert (200, False) == (status, state["held"])
            assert 200 == await task
            assert 1 == await play.metric('app_wakes_total{app="chat",result="opened"}')
            actuator.may.set()

    played(scene())


class Turned(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead_seconds = 0.0

    def time(self) -> float:
        """Return the time that its timers go by."""
        return super().time() + self.ahead_seconds


def test_a_renewed_hold_begins_the_patience_anew() -> None:
    """An actuator that says that it lives is waited for, and no longer than once more."""
    patience_seconds = 1000.0

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Turned)
        gate, tally = Gate(now), Tally()
        gate.employ(Waking(gate, None, patience_seconds, tally))
        assert await gate.hold(0.0) is None
        waits = asyncio.create_task(gate.enter(10 * patience_seconds))
        await asyncio.sleep(0)
        for _ in range(3):  # for longer than the patience, all in all
            await asyncio.sleep(0)
            loop.ahead_seconds += 0.9 * patience_seconds
            assert await gate.hold(0.0) is None
        await asyncio.sleep(0)
        assert not waits.done()
        loop.ahead_seconds += 1.1 * patience_seconds
        await waits
        assert {Wake.FAILED_OPEN: 1} == tally.wakes

    with asyncio.Runner(loop_factory=Turned) as runner:
        runner.run(scene())


def test_a_deadline_is_kept_while_the_server_sleeps() -> None:
    """503, when to come again, and the words of the API's clients."""

    async def scene() -> None:
        patience = Patience(deadline_seconds=0.02)
        async with listening(awake) as upstream, before(upstream, patience=patience) as play:
            await play.order("hold")
            async with play.client.post(f"{play.url}/v1/chat", json={}) as answer:
                said = await answer.json()

            assert (503, "5") == (answer.status, answer.headers["Retry-After"])
            assert "deadline" == said["error"]["code"]
            failed = 'app_requests_failed_total{app="chat",reason="deadline"}'
            assert 1 == await play.metric(failed)
            assert 1 == await play.metric('app_requests_total{app="chat",code="503"}')

    played(scene())


def test_what_is_uncounted_passes_a_held_gate_and_is_no_activity() -> None:
    """Health and metrics are asked of a server that sleeps, too."""

    async def scene() -> None:
        async with (
            listening(awake) as upstream,
            before(upstream, uncounted=frozenset({"/health"})) as play,
        ):
            await play.order("hold")

            assert 200 == await asked(play, "/health?full=1")
            assert (await play.state())["last_request"] is None

    played(scene())


def _held(answer: tuple[int, dict[str, object]]) -> tuple[int, object]:
    return answer[0], answer[1]["held"]
