"""The little of PromQL that needs no engine: a selector, and its comparison with a number."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`"
MATCHER = rf"\s*({LABEL})\s*(=~|!~|!=|=)\s*({STRING})\s*"
PLAIN = re.sub(r"\((?!\?)", "(?:", MATCHER)  # the same, without groups
BRACES = rf"\{{(?:{PLAIN}(?:,{PLAIN})*,?)?\s*\}}"
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
SELECTOR = re.compile(rf"\s*({NAME})?\s*({BRACES})?\s*(?:(<=|>=|==|!=|<|>)\s*({NUMBER})\s*)?")
MATCHERS = re.compile(MATCHER)
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
METRIC = "__name__"


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric with matchers of its labels, and what its value is compared with."""

    matchers: tuple[tuple[str, str, re.Pattern[str]], ...]  # label, operator, what it is
    sign: str = ""  # of the comparison; empty: all values
    than: float = 0.0

    @property
    def metric(self) -> str:
        """The name that series must have, as far as one is given."""
        texts = (what.pattern for label, _, what in self.matchers if label == METRIC)
        return next((text.replace("\\", "") for text in texts), "")

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series with these labels, its name among them, is meant."""
        return all(
            (what.fullmatch(labels.get(label, "")) is not None) is not sign.startswith("!")
            for label, sign, what in self.matchers
        )

    def keeps(self, value: float) -> bool:
        """Tell whether a sample with this value is returned."""
        return not self.sign or COMPARE[self.sign](value, self.than)


def selector(expr: str) -> Selector | None:
    """Return what a bare selector selects; None for everything that needs an engine."""
    match = SELECTOR.fullmatch(expr)
    if match is None or not (match[1] or match[2]):
        return None
    try:
        found = [
            (label, sign, re.compile(text if sign.endswith("~") else re.escape(text)))
            for label, sign, text in _matchers(match[2])
        ]
    except (ValueError, re.error):
        return None
    name = [(METRIC, "=", re.compile(re.escape(match[1])))] if match[1] else []
    return Selector((*name, *found), match[3] or "", float(match[4] or 0))


def labels_of(series: str) -> dict[str, str]:
    """Return the labels of one series, its name among them; raises ValueError with a sentence."""
    match = SELECTOR.fullmatch(series)
    if match is None or not (match[1] or match[2]) or match[3]:
        example = """'up{job="node"}' or '{gpu="0"}'"""
        raise ValueError(f"'{series}' is no series, such as {example}")
    found = {METRIC: match[1]} if match[1] else {}
    for label, sign, text in _matchers(match[2]):
        if sign != "=":
            raise ValueError(f"'{series}' is no series: {label} takes =, not {sign}")
        found[label] = text
    return found


def _matchers(braces: str | None) -> list[tuple[str, str, str]]:
    return [(label, sign, _text(text)) for label, sign, text in MATCHERS.findall(braces or "")]


def _text(quoted: str) -> str:
    """Return what a string of PromQL says; raises ValueError."""
    inner = quoted[1:-1]
    if quoted[0] == "`":
        return inner
    unknown = set(re.findall(r"\\(.)", inner)) - set(ESCAPES)
    if unknown:
        raise ValueError(f"{quoted} has the unknown escape \\{min(unknown)}")
    return re.sub(r"\\(.)", lambda match: ESCAPES[match[1]], inner)
