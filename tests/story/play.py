"""Tell the story: three nodes, two apps, two actuators, scraped every fifteen seconds."""

import math
from collections.abc import Mapping
from random import Random

from story import itself, load, serving
from story.cards import Card
from story.door import Door
from story.governor import Governor
from story.node import Node, Site
from story.tape import Tape

SCRAPE_SECONDS = 15.0
START = 1_772_431_200.0
"""2026-03-02, a Monday, 06:00 UTC; a multiple of the scrape interval."""

_GPU_METERS = {
    "gpu": ("nvml", "measured"),
    "cpu": ("rapl", "measured"),
    "dram": ("rapl", "measured"),
    "platform": ("redfish", "measured"),
}
_IDLE = {"cpu": 58.0, "dram": 14.0, "rest": 96.0}


def play(seconds: float, start: float = START) -> Tape:
    """Return what was scraped from *start* on."""
    tape, noise = Tape(start), Random(7)
    one = [Card(n, "gpu-1", warmer=warmer) for n, warmer in enumerate((0.0, 0.7, 1.4, 9.0))]
    two = [Card(n, "gpu-2", warmer=n * 0.5) for n in range(4)]
    nodes = _nodes(one, two)
    governors = (Governor("gpu-1:9471", one, True), Governor("gpu-2:9471", two, False))
    door = Door()
    while tape.now < start + seconds:
        at = tape.now - start
        chat, search = load.chat(at, noise), load.search(at, noise)
        for card in one:
            card.work(serving.batch(chat, one) * (1.0 + 0.06 * card.number), SCRAPE_SECONDS)
        for card in two:
            card.work(search / 7.0, SCRAPE_SECONDS)
        p95 = serving.chat(tape, one, chat, SCRAPE_SECONDS)
        serving.search(tape, search, SCRAPE_SECONDS)
        slept, asleep = door.idle_seconds > 0.0, search == 0.0
        door.tick(tape, search, SCRAPE_SECONDS)
        for governor, latency in zip(governors, (p95, 0.0), strict=True):
            governor.tick(tape, latency)
            who = {"job": "wattgov-actuator", "instance": governor.instance}
            leads, busy = governor.enforcing, chat / load.BUSY_PER_SECOND
            itself.health(tape, who, SCRAPE_SECONDS, leads=leads, busy=busy)
            itself.told(tape, who, leads=leads)
            if governor.enforcing:
                itself.savings(tape, who, one, SCRAPE_SECONDS)
                itself.sleeper(tape, who, "search", asleep=asleep, slept=slept)
        ripple = 1.0 + 0.05 * math.sin(at / 170.0)
        working: Mapping[str, tuple[float, Mapping[str, Mapping[str, float]]]] = {
            "gpu-1": (6.0 * chat * ripple, {"cpu": {"chat": 0.7}, "gpu": {"chat": 1.0}}),
            "gpu-2": (1.6 * search * ripple, {"cpu": {"search": 0.6}, "gpu": {"search": 1.0}}),
            "edge-1": (9.0 * ripple, {"cpu": {"metrics": 0.5}}),
        }
        for node in nodes:
            watts, shares = working[node.name]
            active = {"cpu": watts, "dram": watts * 0.12, "rest": watts * 0.08}
            node.scrape(tape, active, shares, SCRAPE_SECONDS, noise)
        tape.scrape(SCRAPE_SECONDS)
    return tape


def _nodes(one: list[Card], two: list[Card]) -> tuple[Node, ...]:
    down = {"hwmon": "absent", "ipmi": "unsupported"}
    models = {"cpu": ("cpu_model", "estimated"), "dram": ("dram_model", "estimated")}
    no_meter = {"rapl": "permission", "nvml": "absent", "hwmon": "absent"}
    france, germany = Site("FR", 56.0, 0.19), Site("DE", 344.0, 0.28)
    return (
        Node("gpu-1", one, _GPU_METERS, down, _IDLE, france, {"chat": (80.0, 5.5)}),
        Node("gpu-2", two, _GPU_METERS, down, _IDLE, germany, {"search": (60.0, 0.25)}),
        Node("edge-1", [], models, no_meter, {"cpu": 11.0, "dram": 3.0}, france, {}),
    )
