"""The status pages: the same facts as the API, for a person. They only show, and need no script."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from wattgov_actuator.columns import value_text
from wattgov_actuator.cycle.snapshot import Snapshot
from wattgov_actuator.decision import MEANING, Decision, Reason
from wattgov_actuator.serving import facts
from wattgov_actuator.serving.questions import chosen, separated
from wattgov_actuator.serving.replies import GUARDED, plain
from wattgov_actuator.when import clock_text, span_text
from wattgov_web.request import Request, Response

PAGES = {"/": "Overview", "/rules": "Rules", "/targets": "Targets", "/decisions": "Decisions"}
REFRESH_SECONDS = 10
HTML = "text/html; charset=utf-8"
# How a word looks; one that is not here is told quietly.
TONES = {
    **dict.fromkeys(("applied", "would_apply", "restored", "slewed", "true"), "acts"),
    **dict.fromkeys(("no_data", "held_stale", "stale", "vetoed_thermal", "vetoed_sla"), "warns"),
    **dict.fromkeys(("paused", "disarmed", "rolled_back", "ineffective", "hot"), "warns"),
    **dict.fromkeys(("conflict", "refused", "lost", "unjournalled"), "fails"),
}


def page(request: Request, now: Snapshot) -> Response:
    """Return one of PAGES; Refusal when the query cannot be met."""
    path = request.path
    held, rest = separated(request.query, "refresh")
    picked = tuple(chosen(rest)(now.decisions))
    shown = {
        "title": PAGES[path],
        "path": path,
        "pages": PAGES,
        "refresh": None if held == "off" else REFRESH_SECONDS,
        "at": None if now.at is None else now.at.unix,
        "status": plain(facts.status(now)),
        **_contents(path, now, replace(now, decisions=picked)),
    }
    template = _environment().get_template(f"{PAGES[path].lower()}.html")
    return Response(HTTPStatus.OK, template.render(shown).encode(), HTML, (*GUARDED, _policy()))


def _contents(path: str, now: Snapshot, picked: Snapshot) -> Mapping[str, object]:
    match path:
        case "/rules":
            return {"groups": plain(facts.groups(now))}
        case "/targets":
            return {"targets": _drawn(now), "knobs": plain(facts.knobs(now))}
        case "/decisions":
            ordered = tuple(sorted(picked.decisions, key=_urgency))
            told = facts.decisions(replace(picked, decisions=ordered))
            return {"decisions": plain(told), "reasons": _counted(now)}
    held = [one for one in _drawn(now) if one["prior"] is not None]
    return {"held": held, "reasons": _counted(now), "count": len(now.readings)}


def _counted(now: Snapshot) -> list[tuple[Reason, int, str]]:
    """Return how many of the latest decisions have each reason, and what it means."""
    counts = Counter(each.reason for each in now.decisions)
    return [(reason, counts[reason], MEANING[reason]) for reason in MEANING if counts[reason]]


def _drawn(now: Snapshot) -> list[Mapping[str, Any]]:
    """Return every target with the marks of its scale, in percent of what the hardware can do."""
    drawn: list[Mapping[str, Any]] = []
    for fact, one in zip(facts.targets(now), now.readings, strict=True):
        low, high = one.target.low, one.target.high
        values = {"current": one.current, "prior": one.prior, "wanted": fact["wanted"]}
        marks = {
            name: round(100 * min(max((value - low) / (high - low), 0.0), 1.0), 1)
            for name, value in values.items()
            if isinstance(value, float | int) and high > low
        }
        told = plain(fact)
        drawn.append({**(told if isinstance(told, dict) else {}), "marks": marks})
    return drawn


@cache
def _environment() -> Environment:
    """Return the templates; what comes from outside is escaped in all of them."""
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        value=value_text,
        clock=clock_text,
        span=span_text,
        quantity=_quantity,
        law=_law,
        tone=_tone,
    )
    made.globals["style"] = _style()
    return made


def _urgency(one: Decision) -> int:
    """Return where a decision stands on the page: trouble first, what is as ever last."""
    order = ("fails", "warns", "acts", "quiet")
    ordinary = one.reason in {Reason.UNCHANGED, Reason.INACTIVE}
    return len(order) if ordinary else order.index(_tone(one.reason))


def _tone(word: str) -> str:
    return TONES.get(word, "quiet")


def _quantity(given: Mapping[str, Any] | None) -> str:
    """Return a quantity as a rule file has it."""
    if given is None:
        return "-"
    value, unit = given["value"], given["unit"]
    return f"{value:g} %" if unit == "percent" else value_text(value, unit)


def _law(given: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the settings of a law; what is not set is left out."""
    for key, value in given.items():
        if key == "name" or value is None:
            continue
        yield key, _quantity(value) if isinstance(value, dict) and "unit" in value else str(value)


@cache
def _style() -> str:
    return (files(__package__) / "templates" / "style.css").read_text(encoding="utf-8")


@cache
def _policy() -> tuple[str, str]:
    """Return the header that forbids everything but our own style: no script, no form, no frame."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    kept = ("default-src", "base-uri", "form-action", "frame-ancestors")
    rules = [*(f"{each} 'none'" for each in kept), f"style-src 'sha256-{digest}'"]
    return "Content-Security-Policy", "; ".join(rules)
