"""Asleep while nobody needs it; never on what is not known; awake when somebody might need it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from actuator.builders import answer, loaded
from actuator.fakes import FileKnob
from actuator.sleeper import ASLEEP_WATTS, AWAKE_WATTS, SERVER, Sleeper, trace
from actuator.stage import DOWN, Stage
from wattgov_actuator.decision import Reason
from wattgov_actuator.exposition import Exposition
from wattgov_actuator.laws.hibernate import Hibernate, Rest
from wattgov_actuator.orders import Wake
from wattgov_actuator.reading import Answer, Moment, Probe, Reading, Target
from wattgov_actuator.rules import Look, Measure, Peer, Policy

MINUTE, HOUR = 60.0, 3600.0
LAW = Hibernate(Policy(idle_seconds=300, awake_seconds=60), wake="wake", draw="draw")
RULES = """
version: 1
policies:
  - {name: agents, idle: 5m, longest: 2h, awake: 1m, keep_warm: 1, priority: 3}
groups:
  - name: agents
    interval: 15s
    protect: {freshness: fresh, hold: 60s}
    rules:
      - action: sleep-idle
        expr: idle
        knob: hibernate
        hibernate: {policy: agents, wake: queue}
"""


class Servers(FileKnob):
    """Servers that are awake (1) or asleep (0), known by their app."""

    def probe(self) -> Probe:
        """Return each with its label."""
        found = super().probe().targets
        return Probe(
            tuple(
                Target("hibernate", each.name, {"app": each.name}, 0.0, 1.0, "level", 0.5)
                for each in found
            )
        )


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    """Return two servers, awake."""
    made = Servers(tmp_path / "servers", name="hibernate")
    made.add("chat", 1.0)
    made.add("code", 1.0)
    return made


@pytest.fixture
def stage(tmp_path: Path, servers: Servers) -> Stage:
    """Return an actuator with a policy that keeps one warm."""
    return Stage(tmp_path, loaded(tmp_path / "r.yml", RULES), servers)


def idle(**seconds: float) -> Answer:
    """Return how long each app has been idle."""
    series = (({"app": app, "instance": "here"}, value) for app, value in seconds.items())
    return answer(*series)


def asleep(servers: Servers) -> list[str]:
    """Return who sleeps."""
    return [each for each in ("chat", "code") if servers.watts(each) == 0.0]


def test_the_longest_idle_sleeps_and_one_is_kept_warm(stage: Stage, servers: Servers) -> None:
    """At the second look that finds it idle, not at the first."""
    stage.said = {"idle": idle(chat=400, code=900)}
    stage.play()
    assert [] == asleep(servers)
    stage.play()
    assert ["code"] == asleep(servers)
    stage.play(ticks=8)
    assert ["code"] == asleep(servers)
    assert "1 are kept warm" in stage.decision("sleep-idle", "chat").detail
    stage.stop()
    assert [] == asleep(servers)


def test_a_queue_wakes_it_within_a_tick(stage: Stage, servers: Servers) -> None:
    """And it stays awake for a while, though it was idle for long."""
    stage.said = {"idle": idle(chat=10, code=900)}
    stage.play(ticks=2)
    assert ["code"] == asleep(servers)
    stage.said["queue"] = idle(code=3)
    stage.play()
    assert [] == asleep(servers)
    assert "wanted" in stage.decision("sleep-idle", "code").detail
    del stage.said["queue"]
    stage.play(ticks=3)
    assert [] == asleep(servers)
    assert "woken 45 s ago" in stage.decision("sleep-idle", "code").detail
    stage.play(ticks=3)
    assert ["code"] == asleep(servers)
    stage.stop()


def test_an_order_wakes_it_at_once(stage: Stage, servers: Servers) -> None:
    """A name that is nobody's is told."""
    stage.said = {"idle": idle(chat=10, code=900)}
    stage.play(ticks=2)
    wrong, right = Wake("cod"), Wake("code")
    stage.loop.obey(wrong)
    stage.loop.obey(right)
    assert right.answer.empty()
    stage.play(seconds=1)

    assert "there is no target called cod here" in wrong.answer.get(timeout=0)
    assert ("", []) == (right.answer.get(timeout=0), asleep(servers))
    assert "somebody asked for it" in stage.decision("sleep-idle", "code").detail
    stage.stop()


def test_metrics_that_went_to_sleep_with_it_do_not_wake_it(stage: Stage, servers: Servers) -> None:
    """The wake expression is known to be silent: that is enough."""
    stage.said = {"idle": idle(chat=10, code=900)}
    stage.play(ticks=2)
    stage.said = {"idle": idle(chat=10)}
    stage.play(ticks=30)

    assert ["code"] == asleep(servers)
    stage.stop()


def test_when_nobody_can_tell_whether_it_is_wanted_it_is_woken(
    stage: Stage, servers: Servers
) -> None:
    """After the group's `hold`; and nothing is put to sleep meanwhile."""
    stage.said = {"idle": idle(chat=10, code=900)}
    stage.play(ticks=2)
    stage.said = {"idle": idle(chat=10, code=900), "queue": DOWN}
    stage.play(ticks=3)
    assert ["code"] == asleep(servers)
    stage.play(ticks=3)
    assert [] == asleep(servers)
    stage.play(ticks=20)
    assert [] == asleep(servers)
    stage.stop()


def test_not_knowing_puts_nothing_to_sleep(stage: Stage, servers: Servers) -> None:
    """No series, or no Prometheus."""
    stage.said = {}
    stage.play(ticks=5)
    stage.down = True
    stage.play(ticks=5)

    assert [] == asleep(servers)
    assert Reason.NO_DATA is stage.reason("sleep-idle", "chat")
    stage.stop()


def test_it_sleeps_no_longer_than_the_policy_allows(stage: Stage, servers: Servers) -> None:
    """Two hours here."""
    stage.said = {"idle": idle(chat=10, code=900)}
    stage.play(ticks=2)
    stage.play(ticks=479)
    assert ["code"] == asleep(servers)
    stage.play(ticks=2)
    assert [] == asleep(servers)
    stage.stop()


def test_a_busy_cpu_is_not_idle() -> None:
    """Whatever the requests say; an unknown CPU is a busy one."""
    law = replace(LAW, cpu="cpu", policy=replace(LAW.policy, cpu_below=0.05))
    found = {}
    for name, cpu in (
        ("calm", Measure(known=True, value=0.01)),
        ("busy", Measure(known=True, value=0.9)),
        ("unknown", Measure(known=False, why="no series")),
        ("absent", Measure(known=True)),
    ):
        look = Look(
            Reading(SERVER, 1.0),
            Moment(1e6, 1e3),
            true=True,
            value=900.0,
            asked={"wake": Measure(known=True), "cpu": cpu},
            shared=frozenset({"chat"}),
            memory=Rest(confirmed=1),
        )
        found[name] = law.wish(look).claim

    assert {"calm": 0.0, "busy": None, "unknown": None, "absent": None} == found


def test_who_may_sleep_does_not_depend_on_the_order() -> None:
    """All but as many as are kept warm; what is not known to be idle counts for nothing."""
    law = replace(LAW, policy=replace(LAW.policy, keep_warm=1))
    peers = [
        Peer("a", 1.0, 0.0, 1.0, 500.0),
        Peer("b", 0.0, 0.0, 1.0, None),
        Peer("c", 1.0, 0.0, 1.0, 100.0),
        Peer("d", 1.0, 0.0, 1.0, None),
    ]

    assert {"a", "b"} == law.share(peers) == law.share(peers[::-1])


def test_a_steady_trace_never_sleeps() -> None:
    """A request a minute, for a day."""
    sleeper = trace(LAW, [MINUTE * i for i in range(24 * 60)], 24 * HOUR)

    assert [] == sleeper.sleeps
    assert max(sleeper.delays) == 0.0


def test_it_sleeps_in_the_gaps_and_each_wake_is_charged() -> None:
    """Bursts with long gaps: what is saved is what was drawn less, wakes included."""
    bursts = [start * HOUR + 20.0 * i for start in range(12) for i in range(20)]
    sleeper = trace(LAW, bursts, 12 * HOUR)
    awake = trace(replace(LAW, policy=replace(LAW.policy, idle_seconds=1e9)), bursts, 12 * HOUR)
    saved = awake.joules - sleeper.joules

    assert 11 <= len(sleeper.sleeps) <= 13
    assert 0.6 < sleeper.asleep_seconds / (12 * HOUR) < 0.85
    assert saved == pytest.approx(sleeper.saved_joules, rel=0.05)
    assert saved > 0.5 * (AWAKE_WATTS - ASLEEP_WATTS) * sleeper.asleep_seconds
    assert {0.0, 5.0} == {round(each, 1) for each in sleeper.delays}


def test_a_wake_that_costs_much_is_waited_for_longer() -> None:
    """Break-even: as long as sleeping takes to pay for the waking, as measured."""
    cheap = Rest(idle_watts=90.0, asleep_watts=5.0, waking_joules=850.0)
    dear = replace(cheap, waking_joules=85_000.0)

    assert (10.0, 1000.0) == (LAW.break_even_seconds(cheap), LAW.break_even_seconds(dear))
    assert LAW.break_even_seconds(replace(dear, waking_joules=None)) == 0.0
    assert LAW.break_even_seconds(replace(dear, asleep_watts=90.0)) == 0.0


def test_before_anything_is_measured_the_policy_estimates_the_break_even() -> None:
    """Each of both until it is measured; without an estimate there is nothing to wait for."""
    policy = replace(LAW.policy, idle_watts=60.0, waking_seconds=20.0, waking_watts=150.0)
    law = replace(LAW, policy=policy)

    assert 50.0 == law.break_even_seconds(Rest())
    assert 100.0 == law.break_even_seconds(Rest(waking_joules=6000.0))
    assert 25.0 == law.break_even_seconds(Rest(idle_watts=125.0, asleep_watts=5.0))
    assert 10.0 == LAW.break_even_seconds(Rest(idle_watts=90.0, waking_joules=900.0))
    assert 0.0 == LAW.break_even_seconds(Rest())


def test_an_estimated_wake_is_charged_when_it_is_seen_awake(tmp_path: Path) -> None:
    """Once, as estimated; what sleeping saves is estimated, too."""
    servers = Servers(tmp_path / "servers", name="hibernate")
    servers.add("chat", 1.0)
    policy = "{idle: 5m, awake: 1m, idle_draw: 60W, waking: 20s, waking_draw: 150W, wake: queue}"
    rules = RULES.replace("{policy: agents, wake: queue}", policy)
    stage = Stage(tmp_path, loaded(tmp_path / "r.yml", rules), servers)
    stage.said = {"idle": idle(chat=900)}
    stage.play(ticks=2)
    stage.play(ticks=4)
    stage.said["queue"] = idle(chat=1)
    stage.play(ticks=10)
    told, page = stage.governor.snapshot, ("sleep-idle", "estimated")

    assert {page: 5 * 15 * 60.0} == told.saved_joules
    assert {page: 3000.0} == told.lost_joules == told.wake_joules
    assert (1, 0) == told.writes["hibernate", "chat", "loosen"][::2]
    shown = exposed(stage)
    assert 1.0 == shown("wattgov_actuator_wakes_total", knob="hibernate", result="woken")
    assert 0.0 == shown("wattgov_actuator_wakes_total", knob="hibernate", result="failed")
    assert 1.0 == shown("wattgov_actuator_wake_seconds_count", target="chat")
    assert 3000.0 == shown("wattgov_actuator_wake_joules_total", method="estimated")
    stage.stop()


def test_an_order_loses_nothing_of_what_sleeping_saved(tmp_path: Path) -> None:
    """The look that it hurries is worth the time since the one before it."""
    servers = Servers(tmp_path / "servers", name="hibernate")
    servers.add("chat", 1.0)
    rules = RULES.replace("policy: agents, wake", "idle: 5m, idle_draw: 60W, wake")
    stage = Stage(tmp_path, loaded(tmp_path / "r.yml", rules), servers)
    stage.said = {"idle": idle(chat=900)}
    stage.play(ticks=3)
    stage.clock.advance(9)
    stage.loop.obey(Wake("chat"))
    stage.loop.step()

    assert {("sleep-idle", "estimated"): (15 + 9) * 60.0} == stage.governor.snapshot.saved_joules
    stage.stop()


def test_what_a_wake_draws_is_measured_while_it_lasts() -> None:
    """Looked at while it is busy waking, too; what it draws once it is awake is its work's."""
    rest = Rest(since=900.0, looked=1000.0, idle_watts=90.0, asleep_watts=5.0)
    woken = LAW.wish(looked_at(rest, 1000.0, 0.0, claim=0.0, watts=5.0, wake=1.0))
    busy = LAW.meter(looked_at(woken.memory, 1015.0, None, watts=200.0))
    awake = LAW.wish(looked_at(busy.memory, 1030.0, 1.0, watts=290.0, took=20.0))
    after = LAW.wish(looked_at(awake.memory, 1045.0, 1.0, watts=290.0, took=20.0))

    assert (None, 85.0) == (woken.claim, woken.saved_watts)
    assert [15 * 110.0, 5 * 110.0, 0.0] == [each.wake_joules for each in (busy, awake, after)]
    assert isinstance(after.memory, Rest)
    assert (2200.0, False) == (after.memory.waking_joules, after.memory.waking)


def looked_at(
    memory: object,
    steady: float,
    current: float | None,
    *,
    watts: float,
    claim: float | None = None,
    wake: float | None = None,
    took: float | None = None,
) -> Look:
    """Return a look at the server, which is not idle."""
    return Look(
        Reading(SERVER, current, loosened_seconds=took),
        Moment(1e6, steady),
        claim=claim,
        true=True,
        value=0.0,
        asked={
            "wake": Measure(known=True, value=wake),
            "draw": Measure(known=True, value=watts),
        },
        shared=frozenset({"chat"}),
        memory=memory,
    )


def exposed(stage: Stage) -> Callable[..., float | None]:
    """Return what the value of a series is that has some of these labels."""
    families = list(Exposition(lambda: stage.governor.snapshot, lambda: stage.clock.unix).collect())
    samples = [sample for family in families for sample in family.samples]

    def value(name: str, **labels: str) -> float | None:
        (found,) = (
            each.value
            for each in samples
            if each.name == name and labels.items() <= each.labels.items()
        )
        return found

    return value


@pytest.mark.parametrize("seed", range(5))
def test_no_request_is_lost_in_a_day_with_faults(seed: int) -> None:
    """Prometheus is silent at every fifth look; each request is served, late by a wake at most."""
    chance = Random(seed)
    arrivals, at = [], 0.0
    while at < 24 * HOUR:
        at += chance.expovariate(1 / 20) if chance.random() < 0.97 else chance.uniform(600, 5000)
        arrivals.append(at)
    inside = [each for each in arrivals if each < 24 * HOUR - 15]
    sleeper = Sleeper(LAW, faulty=0.2, seed=seed)
    sleeper.run(inside, 24 * HOUR)

    assert len(inside) == len(sleeper.delays)
    assert max(sleeper.delays) <= sleeper.waking_seconds
    assert sleeper.sleeps
    assert sleeper.asleep_seconds > HOUR
