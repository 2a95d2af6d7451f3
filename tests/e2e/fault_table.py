"""The governor's fault matrix: what breaks, and the word for what it does then.

`test_faults.py` breaks it and compares; `docs/generate.py` makes docs/faults.md of it. Each fault
is met by a rule that turns true while it lasts, by a claim that is held, by a thermal claim of
Prometheus, and by a card that grows hot meanwhile, and cool again, by its own thermometer.
"""

from dataclasses import dataclass

BLIND = ("no_data", "restored")
STALE = ("held_stale", "restored")
COOLED = ("applied", "restored")


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in what is known, and what each of the four cards is told."""

    name: str
    fault: str  # what the proxy, or the exporter, is told to do
    tightens: str = "no_data"  # a rule that turns true
    held: tuple[str, ...] = BLIND  # a claim: at first, and after `hold`
    heat: str = "restored"  # a thermal claim
    device: tuple[str, ...] = COOLED  # a card that is hot by its own thermometer, then cool
    only: str = ""  # part of the questions that it is about; all of them


@dataclass(frozen=True, slots=True)
class Turn:
    """One fault of a knob, or of an actuator: how it is told, and what becomes of it."""

    name: str
    reason: str
    becomes: str


RULE, FRESHNESS = "gpu:power_watts:last5m", "energy_source_last_sample"

START = (
    Case("refuses connections, at the start", "refused", held=()),
    Case("hangs, at the start", "hangs", held=()),
    Case("answers with a web page, at the start", "HTML", held=()),
    Case("answers 500, at the start", "500", held=()),
)
PROMETHEUS = (
    Case("dies: connections are refused", "refused"),
    Case("hangs: takes the question and does not answer", "hangs"),
    Case("hangs in the middle of an answer", "hangs in the body"),
    Case("sends a byte now and then", "trickles"),
    Case("sends a byte of its header now and then", "trickles its header"),
    Case("answers, but too late", "too late"),
    Case("answers 0.5 s late", "late", "applied", (), "held"),
    Case("500", "500"),
    Case("503", "503"),
    Case("429", "429"),
    Case("401", "401"),
    Case("a web page with status 200", "HTML"),
    Case("a redirect", "redirect"),
    Case("JSON that is cut off", "cut JSON"),
    Case("bytes that are no JSON", "garbage"),
    Case("JSON nested without end", "deep JSON"),
    Case("gzip that cannot be unpacked", "gzip garbage"),
    Case("less than its Content-Length", "wrong length"),
    Case("a connection reset in the middle of the body", "reset"),
    Case("an answer without end", "flood"),
    Case("no series for any question", "empty vector"),
    Case("NaN", "NaN"),
    Case("NaN, for the rule only", "NaN", heat="held", only=RULE),
    Case("NaN, for the freshness only", "NaN", only=FRESHNESS),
    Case("infinity", "infinity"),
    Case("values that are no numbers", "no number"),
    Case("labels that are no strings", "labels that are numbers"),
    Case("a scalar", "scalar"),
    Case("a matrix", "matrix"),
    Case("a partial answer: warnings", "warnings"),
    Case("a partial answer: isPartial", "isPartial"),
    Case("500, for the rule only", "500", heat="held", only=RULE),
    Case("500, for the freshness only", "500", only=FRESHNESS),
)
EXPORTER = (
    Case("its meter hangs: raw series stale, recorded ones fresh", "frozen", "held_stale", STALE),
    Case("dies: raw series gone, recorded ones fresh", "gone"),
    Case("its clock is 2 h ahead", "ahead", "held_stale", STALE),
    Case("its clock is 2 h behind", "behind", "held_stale", STALE),
)
REFUSES = Turn("the driver refuses to tighten", "refused", "not touched; acts when it may")
KEEPS = Turn("the driver refuses to put back", "refused", "tried at each tick until it is back")
LIES = Turn("the driver lies: success, and nothing changed", "refused", "seen by reading back")
LIES_BACK = Turn("the driver lies when it is put back", "refused", "tried until it reads back")
HUMAN = Turn("a human changes it", "conflict", "left alone; acts when the prior value is back")
VANISHES = Turn("the card falls off the bus", "lost", "its undo stays; put back when it returns")
HANGS = Turn(
    "the driver hangs in a write", "restored", "the guardian kills the loop, and puts back"
)
KNOB = (REFUSES, KEEPS, LIES, LIES_BACK, HUMAN, VANISHES, HANGS)

SAME_STATE = Turn("a second one with the same state folder", "exit 1", "told who is the first")
OTHER_STATE = Turn("a second one with its own state folder", "exit 1", "told who is the first")
PAUSED = Turn(
    "`pause --restore` while Prometheus hangs", "disarmed", "all is back at its prior value"
)
ENDED = Turn(
    "SIGTERM while Prometheus is down or hangs", "exit 0", "all is back at its prior value"
)
PUSHED = Turn("VictoriaMetrics, and the exporter stops", "held_stale", "put back after `hold`")
ACTUATOR = (SAME_STATE, OTHER_STATE, PAUSED, ENDED, PUSHED)


def page(note: str) -> str:
    """Return docs/faults.md."""
    cases, turns = (*START, *PROMETHEUS, *EXPORTER), (*KNOB, *ACTUATOR)
    text = (
        f"# What the governor does when something breaks\n\n{note}\n"
        f"{len(cases) + len(turns)} faults, each a test (`tests/e2e/test_faults.py`) with the\n"
        "real Prometheus and the real command. The words are those of [reasons.md](reasons.md).\n"
        "Nothing is tightened on what is not known; after `hold` what was claimed is put back;\n"
        "when the fault is over the rules act again by themselves.\n"
    )
    sections = (("Prometheus", (*START, *PROMETHEUS)), ("The exporter", EXPORTER))
    for title, rows in sections:
        text += (
            f"\n## {title}\n\n| fault | a rule that would tighten | a claim held "
            "| a thermal claim held | a card hot by its own thermometer |\n|---|---|---|---|---|\n"
        )
        for each in rows:
            held, device = _way(each.held), _way(each.device)
            heat = "stays" if each.heat == "held" else f"`{each.heat}` after `hold`"
            if not each.held:
                held = "none yet" if each in START else "stays"
                heat = "none yet" if each in START else heat
            text += f"| {each.name} | `{each.tightens}` | {held} | {heat} | {device} |\n"
    for title, others in (("The knob", KNOB), ("The actuator", ACTUATOR)):
        text += f"\n## {title}\n\n| fault | told as | what becomes of it |\n|---|---|---|\n"
        text += "".join(f"| {each.name} | `{each.reason}` | {each.becomes} |\n" for each in others)
    return text


def _way(words: tuple[str, ...]) -> str:
    return " → ".join(f"`{word}`" for word in words)
