"""The control API, as docs/proxy.md promises it."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from actuator.proxy.playing import Play, before, listening, played
from another import another_user

OPEN_STATE = {
    "app": "chat",
    "limit": None,
    "in_flight": 0,
    "queued": 0,
    "held": False,
    "held_by": None,
    "last_request": None,
}
ORDERS = (("PUT", "limit", b'{"limit": 1}'), ("POST", "hold", b""), ("POST", "open", b"{}"))


async def awake(_: web.Request) -> web.Response:
    """Answer as a server that is awake."""
    return web.Response(text="hello")


class Slow:
    """A server that answers when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked = 0

    async def __call__(self, _: web.Request) -> web.Response:
        """Answer one."""
        self.asked += 1
        await self.may.wait()
        return web.Response(text="at last")


def test_the_state_is_what_the_page_says() -> None:
    """Every field, and idle_seconds a number."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            state = await play.state()
            assert isinstance(state.pop("idle_seconds"), float)
            assert OPEN_STATE == state

    played(scene())


def test_a_limit_is_set_and_taken_off() -> None:
    """It shows in the state and in the metrics; null is none, and then it has no series."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            assert (200, 8) == _field(await play.order("limit", limit=8), "limit")
            assert 8 == await play.metric('app_admission_limit{app="chat"}')
            assert (200, None) == _field(await play.order("limit", limit=None), "limit")
            with pytest.raises(IndexError):
                await play.metric('app_admission_limit{app="chat"}')

    played(scene())


def test_a_limit_bounds_what_reaches_the_server() -> None:
    """The others wait, and show."""

    async def scene() -> None:
        slow = Slow()
        async with listening(slow) as upstream, before(upstream, limit=2) as play:
            tasks = [asyncio.create_task(_get(play)) for _ in range(5)]
            await play.until(lambda: play.proxy.gate.queued == 3 and slow.asked == 2)
            assert 3 == await play.metric('app_queue_length{app="chat"}')
            assert 2 == await play.metric('app_requests_in_flight{app="chat"}')
            assert 0 == (await play.state())["idle_seconds"]
            slow.may.set()
            assert [200] * 5 == await asyncio.gather(*tasks)
            assert 5 == await play.metric('app_requests_total{app="chat",code="200"}')
            assert 5 == await play.metric('app_queue_wait_seconds_count{app="chat"}')

    played(scene())


def test_a_hold_waits_for_a_request_and_says_why_it_cannot() -> None:
    """409 with the state and the reason, and it is open again."""

    async def scene() -> None:
        slow = Slow()
        async with listening(slow) as upstream, before(upstream) as play:
            task = asyncio.create_task(_get(play))
            await play.until(lambda: slow.asked == 1)
            status, state = await play.order("hold", wait_seconds=0.01)
            assert (409, False) == (status, state["held"])
            assert "1 still in flight after 0.01 s" == state["why"]
            status, state = await play.order("hold", only_if_idle_seconds=1)
            assert (409, "idle for 0.0 s only") == (status, state["why"])
            hold = asyncio.create_task(play.order("hold", wait_seconds=30))
            await play.until(lambda: play.proxy.gate.held_by is not None)
            slow.may.set()
            status, state = await hold
            assert (200, True, "hold", 0) == (
                status,
                state["held"],
                state["held_by"],
                state["in_flight"],
            )
            assert 200 == await task
            assert 1 == await play.metric('app_requests_held{app="chat"}')

    played(scene())


def test_a_hold_whose_caller_hangs_up_is_none() -> None:
    """An actuator that dies while it waits has held nothing."""

    async def scene() -> None:
        slow = Slow()
        async with listening(slow) as upstream, before(upstream) as play:
            task = asyncio.create_task(_get(play))
            await play.until(lambda: slow.asked == 1)
            hold = asyncio.create_task(play.order("hold"))
            await play.until(lambda: play.proxy.gate.held_by is not None)
            hold.cancel()
            await play.until(lambda: play.proxy.gate.held_by is None)
            slow.may.set()
            assert 200 == await task

    played(scene())


@pytest.mark.parametrize(
    ("method", "word", "body", "why"),
    [
        ("PUT", "limit", "{}", "`limit` is missing"),
        ("PUT", "limit", '{"limit": 0}', "a whole number from 1, or null, not 0"),
        ("PUT", "limit", '{"limit": true}', "not true"),
        ("PUT", "limit", '{"limit": 2.5}', "not 2.5"),
        ("PUT", "limit", '{"limit": 2, "limits": 3}', "unknown field 'limits'"),
        ("PUT", "limit", "[2]", "not a JSON object"),
        ("PUT", "limit", "{", "not JSON"),
        ("PUT", "limit", "[" * 60_000, "not JSON"),
        ("POST", "hold", '{"wait_seconds": 601}', "seconds up to 600, not 601"),
        ("POST", "hold", '{"wait_seconds": NaN}', "not NaN"),
        ("POST", "hold", '{"only_if_idle_seconds": "5m"}', 'a number of seconds, not "5m"'),
        ("POST", "hold", '{"only_if_idle_seconds": -1}', "not -1"),
        ("POST", "open", '{"now": true}', "unknown field 'now'; there are: none"),
    ],
)
def test_a_body_that_means_nothing_changes_nothing(
    method: str, word: str, body: str, why: str
) -> None:
    """400, and what is wrong with it."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            url = f"{play.control}/api/v1/{word}"
            async with play.client.request(method, url, data=body) as answer:
                said = await answer.json()
            assert (400, "bad_body") == (answer.status, said["error"]["code"])
            assert why in said["error"]["message"]
            assert (await play.state())["limit"] is None
            assert (await play.state())["held"] is False

    played(scene())


def test_a_wrong_page_method_or_size_is_refused() -> None:
    """In the words of all other errors, with the pages that there are."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            url = f"{play.control}/api/v1"
            async with play.client.get(f"{url}/nothing") as answer:
                assert (404, True) == (answer.status, "/api/v1/state" in await answer.text())
            async with play.client.post(f"{url}/limit") as answer:
                assert (405, "PUT") == (answer.status, answer.headers["Allow"])
            async with play.client.put(f"{url}/limit", data=b" " * 70_000) as answer:
                assert 413 == answer.status
            async with play.client.get(play.control) as answer:
                assert "/metrics" in await answer.text()

    played(scene())


@pytest.mark.parametrize("relayed", ["Origin", "Sec-Fetch-Site", "Via", "Forwarded"])
def test_only_programs_on_this_host_give_orders(relayed: str) -> None:
    """No web page in a browser here, and nobody through a proxy here; reading is free."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            headers = {relayed: "http://evil.example"}
            for method, word, body in ORDERS:
                url = f"{play.control}/api/v1/{word}"
                async with play.client.request(method, url, data=body, headers=headers) as answer:
                    assert 403 == answer.status
            async with play.client.get(f"{play.control}/api/v1/state", headers=headers) as answer:
                assert (200, None) == (answer.status, (await answer.json())["limit"])

    played(scene())


def test_another_user_of_this_host_may_only_open() -> None:
    """To hold the door shut is for the user that the proxy runs as, for root, or for a token."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            url = f"{play.control}/api/v1"
            with another_user():
                async with play.client.put(f"{url}/limit", json={"limit": 1}) as answer:
                    said = await answer.json()
                async with play.client.post(f"{url}/hold") as held:
                    statuses = answer.status, held.status
                async with play.client.post(f"{url}/open") as opened:
                    assert (403, 403, 200) == (*statuses, opened.status)
            assert (
                "user 4321 asks: be root or the user that this runs as, or log in "
                "(--token-file has the login)"
            ) == said["error"]["message"]
            assert (None, False) == ((await play.state())["limit"], (await play.state())["held"])

    played(scene())


def test_it_answers_to_no_name_that_a_web_page_may_have() -> None:
    """A page can point its own name at this machine; it reads nothing all the same."""

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream) as play:
            for host, status in (("evil.example", 421), ("localhost", 200)):
                headers = {"Host": f"{host}:9472"}
                for page in ("/metrics", "/api/v1/state"):
                    async with play.client.get(play.control + page, headers=headers) as answer:
                        assert status == answer.status

    played(scene())


def test_where_there_is_a_token_it_is_needed_and_enough(tmp_path: Path) -> None:
    """From this host too; it is read anew; a file that is gone lets nobody in."""
    token = tmp_path / "token"
    token.write_text("one\n")

    async def scene() -> None:
        async with listening(awake) as upstream, before(upstream, token_file=token) as play:
            for given, status in (
                (None, 401),
                ("Bearer two", 401),
                ("Basic one", 401),
                ("Bearer one", 200),
            ):
                assert status == await _put(play, given)
            token.write_text("two\n")
            assert (401, 200) == (await _put(play, "Bearer one"), await _put(play, "Bearer two"))
            token.unlink()
            assert 500 == await _put(play, "Bearer two")
            token.write_text("\n")
            assert 500 == await _put(play, "Bearer ")

    played(scene())


async def _get(play: Play) -> int:
    async with play.client.get(f"{play.url}/v1/chat") as answer:
        await answer.read()
        return answer.status


async def _put(play: Play, authorization: str | None) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{play.control}/api/v1/limit"
    async with play.client.put(url, json={"limit": 1}, headers=headers) as answer:
        return answer.status


def _field(answer: tuple[int, dict[str, object]], name: str) -> tuple[int, object]:
    return answer[0], answer[1][name]
