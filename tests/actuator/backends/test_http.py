"""A number behind anybody's API, by what the rule file says of it."""

import json
from collections.abc import Iterator

import pytest

from actuator.bench import Bench
from fakes.api import serving
from fakes.limits import Limits
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.decision import Reason
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.knobs.http import pointed
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def limits() -> Limits:
    """Return the server's state."""
    return Limits()


@pytest.fixture
def url(limits: Limits) -> Iterator[str]:
    """Return where it listens."""
    with serving(limits) as url:
        yield url


def knob(url: str, **more: Setting) -> Knob:
    """Return the knob of the first limit."""
    settings: dict[str, Setting] = {
        "read_url": f"{url}/v1/limits",
        "read_path": "/limits/0/batch",
        "write_url": f"{url}/v1/limits/{{{{ labels.app }}}}",
        "write_method": "PATCH",
        "write_body": '{"batch": {{ value }}}',
        "low": 1.0,
        "high": 64.0,
    }
    way = Connection("batch_size", "http", "mine", {"app": "chat"}, {**settings, **more})
    opened = open_knob("batch_size", [way])
    opened.probe()
    return opened


def test_a_number_is_read_written_and_put_back(limits: Limits, url: str) -> None:
    """Bodies and the URL are filled in."""
    opened = knob(url)
    was = opened.read("mine")
    opened.write("mine", 8.0)

    assert InForce(32.0, text="32") == was
    assert ("PATCH", "/v1/limits/chat", b'{"batch": 8}') == limits.asked[-1]
    assert InForce(8.0, text="8") == opened.read("mine")
    assert isinstance(was, InForce)
    opened.restore("mine", was.value, was.text)
    assert 32 == limits.state["limits"][0]["batch"]


def test_putting_back_may_have_a_body_of_its_own(limits: Limits, url: str) -> None:
    """With what was read before us as JSON, and the connection's name."""
    body = '{"batch": {{ prior }}, "by": "{{ target }}"}'
    opened = knob(url, restore_body=body)
    with pytest.raises(KnobError, match="422: batch must be a whole number"):
        opened.restore("mine", 32.0, "32")

    assert {"batch": 32, "by": "mine"} == json.loads(limits.asked[-1][2])


def test_a_server_that_lies_is_found_out(
    limits: Limits, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """200 is no proof."""
    limits.lies = True
    bench = Bench(tmp_path_factory.mktemp("bench"), "batch_size", lambda: knob(url))
    done = bench.act(8.0)

    assert Reason.REFUSED is done.reason
    assert "accepted 8 requests and still reads 32 requests" in done.detail
    assert () == bench.journal.undos()
    bench.close()


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", {"a/b": [1, {"c~d": 2}]}),
        ("/a~1b/0", 1),
        ("/a~1b/1/c~0d", 2),
        ("/a~1b/2", None),
        ("/a~1b/-", None),
        ("/nothing/else", None),
    ],
)
def test_pointers_lead_where_the_standard_says(pointer: str, found: object) -> None:
    """RFC 6901, with None for nothing."""
    assert found == pointed({"a/b": [1, {"c~d": 2}]}, pointer)


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("/limits", "has a list at '/limits', and no number"),
        ("/limits/0", "has an object at"),
        ("/limits/0/name", 'has "chat" at'),
        ("/limits/1/batch", "has nothing at"),
        ("/flag", "has true at"),
    ],
)
def test_what_is_no_number_is_no_target(limits: Limits, url: str, pointer: str, words: str) -> None:
    """The note says what is there instead."""
    limits.state["flag"] = True
    way: dict[str, Setting] = {"read_url": f"{url}/v1/limits", "read_path": pointer, "low": 1.0}
    connection = Connection("batch_size", "http", "mine", {}, {**way, "high": 64.0})
    probe = open_knob("batch_size", [connection]).probe()

    assert ((), True) == (probe.targets, words in probe.note)


def test_a_number_in_quotes_is_one(url: str) -> None:
    """Some APIs write all values as text."""
    assert InForce(32.0, text='"32"') == knob(url, read_path="/a~1b~0c").read("mine")


def test_a_label_that_is_not_there_is_said_when_it_is_needed(url: str) -> None:
    """Nothing is sent."""
    with pytest.raises(KnobError, match="has no attribute 'model'") as raised:
        knob(url, write_url=f"{url}/{{{{ labels.model }}}}").write("mine", 8.0)

    assert raised.value.fault is Fault.REFUSED
