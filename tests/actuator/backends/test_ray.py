"""What a deployment of Ray Serve takes at once: the whole config goes back, less one number."""

from collections.abc import Iterator

import pytest

from fakes.api import serving
from fakes.ray import CODE, CONFIGS, Ray
from wattgov_actuator.connection import Connection, Setting
from wattgov_actuator.knobs import open_knob
from wattgov_actuator.reading import Fault, InForce, Knob, KnobError


@pytest.fixture
def ray() -> Ray:
    """Return the cluster's state."""
    return Ray()


@pytest.fixture
def url(ray: Ray) -> Iterator[str]:
    """Return where its dashboard listens."""
    with serving(ray) as url:
        yield url


def knob(url: str, field: str = "max_ongoing_requests", **more: Setting) -> Knob:
    """Return the knob of the deployment `D` of `chat`."""
    settings: dict[str, Setting] = {
        "url": url,
        "application": "chat",
        "deployment": "D",
        "field": field,
        "low": 1.0,
        "high": 64.0,
    }
    way = Connection("batch_size", "ray", "chat", {"app": "chat"}, {**settings, **more})
    opened = open_knob("batch_size", [way])
    opened.probe()
    return opened


def found(knob: Knob) -> InForce:
    """Return what is in force."""
    reading = knob.read("chat")
    assert isinstance(reading, InForce)
    return reading


@pytest.mark.parametrize(
    ("field", "before", "said"),
    [
        ("max_ongoing_requests", 32, {"max_ongoing_requests": 8}),
        (
            "user_config.max_batch_size",
            16,
            {"user_config": {**CODE["user_config"], "max_batch_size": 8}},
        ),
    ],
)
def test_one_number_changes_and_nothing_else_is_lost(
    ray: Ray, url: str, field: str, before: int, said: dict[str, object]
) -> None:
    """Neither other applications, nor what the code says beside it; it all comes back."""
    opened = knob(url, field)
    was = found(opened)
    opened.write("chat", 8)

    changed = {**CONFIGS["chat"], "deployments": [{"name": "D", **said}]}
    assert {**CONFIGS, "chat": changed} == ray.configs
    assert (before, 8.0) == (was.value, found(opened).value)
    opened.restore("chat", was.value, was.text)
    assert (CONFIGS, was) == (ray.configs, found(opened))
    assert {50.0} == {each["target_capacity"] for each in ray.bodies}


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "D", "num_replicas": 2, "max_ongoing_requests": 20},
        {"name": "D", "user_config": {"max_batch_size": 20, "mine": True}},
    ],
)
def test_what_the_config_said_before_comes_back(
    ray: Ray, url: str, entry: dict[str, object]
) -> None:
    """With all that stands beside it."""
    ray.configs["chat"]["deployments"] = [entry]
    opened = knob(
        url, "max_ongoing_requests" if "num_replicas" in entry else "user_config.max_batch_size"
    )
    was = found(opened)
    opened.write("chat", 8)
    assert 8.0 == found(opened).value
    opened.restore("chat", was.value, was.text)

    assert (20.0, [entry]) == (was.value, ray.configs["chat"]["deployments"])


def test_an_older_ray_keeps_what_is_left_out_so_it_is_said(ray: Ray, url: str) -> None:
    """It would stay at our number."""
    ray.keeps = True
    opened = knob(url)
    was = found(opened)
    opened.write("chat", 8)
    opened.restore("chat", was.value, was.text)

    assert 32.0 == found(opened).value


def test_a_write_waits_until_it_is_in_force(ray: Ray, url: str) -> None:
    """The answer to a PUT says nothing: the controller takes it up at its next turn."""
    ray.lag = 3
    opened = knob(url)
    opened.write("chat", 8)

    assert 8.0 == found(opened).value


def test_a_token_is_sent(ray: Ray, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a variable; without it the sentence says so."""
    ray.token = "letmein"  # noqa: S105 (of a fake)
    monkeypatch.setenv("RAY_TOKEN", "letmein")
    knob(url, token_env="RAY_TOKEN").write("chat", 8)  # noqa: S106 (the name of a variable)

    assert 1 == len(ray.bodies)
    assert "401: Unauthorized" in knob(url).probe().note


def test_an_application_that_would_be_deleted_is_not(ray: Ray, url: str) -> None:
    """One whose config cannot be put again stops the write; one of a program is not touched."""
    ray.programs = ("script",)
    opened = knob(url)
    opened.write("chat", 8)
    ray.configs["other"] = None
    with pytest.raises(KnobError, match="would be deleted") as raised:
        opened.write("chat", 9)

    assert (Fault.BUSY, 1) == (raised.value.fault, len(ray.bodies))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"application": "chat", "deployment": "E"}, "Ray Serve runs no E of chat"),
        ({"application": "none"}, "Ray Serve runs no D of none"),
        ({"application": "script"}, "script was deployed by a program"),
        ({"field": "user_config.nothing"}, "D of chat has no number user_config.nothing"),
        ({"field": "user_config"}, "D of chat has no number user_config"),
    ],
)
def test_what_cannot_be_turned_is_no_target(
    ray: Ray, url: str, settings: dict[str, Setting], words: str
) -> None:
    """The note says why."""
    ray.programs = ("script",)
    given: dict[str, Setting] = {"url": url, "application": "chat", "deployment": "D", "low": 1.0}
    given |= {"field": "max_ongoing_requests", "high": 64.0, **settings}
    way = Connection("batch_size", "ray", "chat", {"app": "chat"}, given)
    probe = open_knob("batch_size", [way]).probe()

    assert ((), True) == (probe.targets, words in probe.note)
