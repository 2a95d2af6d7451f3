"""A process that kills itself at one step of one write; run by test_crash.py.

Arguments: the folder, the step of the knob ("read", "write", "wrote"), and its how manieth time.
"""

import os
import signal
import sys
from pathlib import Path

from actuator.builders import ruleset
from actuator.fakes import FileKnob
from actuator.stage import Stage


def main() -> None:
    """Trim the card, tick after tick, until the step comes."""
    folder, step, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    seen = 0

    def at(now: str) -> None:
        nonlocal seen
        seen += now == step
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)

    stage = Stage(folder, ruleset(), FileKnob(folder / "cards", at))
    stage.say("quiet")
    stage.play(ticks=20, seconds=60)


if __name__ == "__main__":
    main()
