"""Who asks for how much, and when: the same every time."""

import math
from random import Random

QUIET_PER_SECOND, BUSY_PER_SECOND = 25.0, 70.0
RUSH_SECONDS = (2700.0, 3060.0)
"""A rush, some way into each hour and a half: what the governor's SLA guard is for."""
STORY_SECONDS = 5400.0


def chat(at: float, noise: Random) -> float:
    """Return requests a second *at* seconds into the story."""
    wave = 0.5 - 0.5 * math.cos(2 * math.pi * at / STORY_SECONDS)
    rate = QUIET_PER_SECOND + (BUSY_PER_SECOND - QUIET_PER_SECOND) * wave
    within = at % STORY_SECONDS
    if RUSH_SECONDS[0] <= within < RUSH_SECONDS[1]:
        rate *= 1.25
    return rate * noise.uniform(0.97, 1.03)


def search(at: float, noise: Random) -> float:
    """Return requests a second of the search service, which sleeps for a while in each story."""
    if STORY_SECONDS * 0.80 <= at % STORY_SECONDS < STORY_SECONDS * 0.90:
        return 0.0
    return (38.0 + 12.0 * math.sin(2 * math.pi * at / 2400.0)) * noise.uniform(0.95, 1.05)
