"""PromQL checked without a Prometheus, by the optional package promql-parser.

It is Prometheus's grammar; what VictoriaMetrics adds to it is a mistake here, except functions,
which the parser cannot know. Without the package nothing is checked.
"""

import re
from collections.abc import Collection
from functools import cache
from types import ModuleType

from wattgov_actuator.document.tree import line_of

TOKEN = re.compile(
    r"""\s*("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|`[^`]*`?|\#[^\n]*|[\w:.]+|[=!<>]=|=~|!~|\S)""",
    re.VERBOSE,
)
CLOSERS = {"(": ")", "[": "]", "{": "}"}
# What may come next, wherever one is, so that the first token after which nothing fits is found.
NEXT = ("", " x", " 1", "x[1m]", "5m", "1m:", '="x"', '"x"', "x=''", "(x)", "(x[1m])", "[1m]")
LAST = ("", " x", "(x)", "(x)(x)")  # behind the brackets that are closed then
LONGEST = 2_000  # characters in which the place is looked for
MOST_TOKENS = 2_000  # the parser calls itself for each bracket, and a deep call ends the process
SAME = {"": "it makes no sense", "invalid promql query": "it makes no sense"}
# Numbers that the parser cannot hold as a time, over which it panics; they are left unchecked.
STRANGE = re.compile(r"(?i)[0-9]{16}|[0-9]e\+?[0-9]{2}|0x|\b[+-]?(?:inf|nan)")
SCALARS = frozenset({"time", "pi", "scalar"})
KEEPING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})  # aggregations that keep series


@cache
def parser() -> ModuleType | None:
    """Return the parser, None where it is not installed."""
    try:
        import promql_parser  # noqa: PLC0415 (optional, and not for --help)
    except ImportError:
        return None
    module: ModuleType = promql_parser
    return module


def syntax(expr: str) -> str:
    """Return what is wrong with an expression and where in it; nothing when it is right."""
    found = parser()
    if found is None:
        return ""
    trouble = _trouble(found, expr)
    if not trouble or "unknown function" in trouble:
        return ""
    return f"{trouble}{_place(found, expr)}"


def names_nothing(expr: str, labels: Collection[str]) -> str:
    """Return the aggregation that leaves none of *labels* on the result, if there is one."""
    found = parser()
    if found is None or STRANGE.search(expr) or _trouble(found, expr):
        return ""
    return _lost(found, found.parse(expr), frozenset(labels))


def _trouble(found: ModuleType, expr: str) -> str:
    if len(TOKEN.findall(expr)) > MOST_TOKENS:
        return f"it has more than {MOST_TOKENS} words"
    if STRANGE.search(expr):
        return ""
    try:
        found.parse(expr)
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of Rust; it has no other name here
            return ""
        if not isinstance(error, ValueError):
            raise
        return SAME.get(str(error), " ".join(str(error).split()))
    return ""


def _place(found: ModuleType, expr: str) -> str:
    """Return where the first token stands after which nothing could make it right."""
    if len(expr) > LONGEST:
        return ""
    opened = ""
    for match in TOKEN.finditer(expr):
        token = match[1]
        if token in CLOSERS:
            opened = CLOSERS[token] + opened
        elif opened.startswith(token):
            opened = opened[1:]
        head = expr[: match.end()]
        tails = (more + opened + last for more in NEXT for last in LAST)
        if all(_trouble(found, head + tail) for tail in tails):
            start = match.start(1)
            line, column = expr.count("\n", 0, start) + 1, start - expr.rfind("\n", 0, start)
            more = f" of its line {line}" if line > 1 else ""
            return f" (at '{line_of(token, 20)}', character {column}{more})"
    return " (at its end)"


def _lost(found: ModuleType, node: object, labels: frozenset[str]) -> str:
    """Return the aggregation on which the labels of the result depend, if it drops all *labels*."""
    match node:
        case found.ParenExpr() | found.UnaryExpr():
            return _lost(found, node.expr, labels)
        case found.BinaryExpr():
            sides = [each for each in (node.lhs, node.rhs) if not _is_scalar(found, each)]
            lost = [_lost(found, each, labels) for each in sides]
            return lost[0] if lost and all(lost) else ""
        case found.AggregateExpr():
            name = re.match(r"\w+", node.prettify())
            called = name[0] if name else ""
            if called in KEEPING:
                return _lost(found, node.expr, labels)
            kept = node.modifier
            if kept is None:
                return called
            if kept.type == found.AggModifierType.By and labels.isdisjoint(kept.labels):
                return f"{called} by ({', '.join(kept.labels)})"
    return ""


def _is_scalar(found: ModuleType, node: object) -> bool:
    if isinstance(node, found.Call):
        return bool(node.func.name in SCALARS)
    return isinstance(node, found.NumberLiteral)
