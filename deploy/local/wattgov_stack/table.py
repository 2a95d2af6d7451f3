"""The live table: facts in, something to look at out. Pure."""

from collections.abc import Callable, Iterable, Iterator

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from wattgov_stack.ask import Facts, Sample
from wattgov_stack.webhook import Notice

HOW = {
    "measured": Text("measured", style="green"),
    "derived": Text("derived", style="green"),
    "estimated": Text("estimated", style="yellow"),
}
ACTS = {"applied": "green", "would_apply": "green", "restored": "cyan"}
STOPS = ("vetoed", "conflict", "refused", "held", "unsupported")
SHOWN_NOTICES = 3
TARGET_LETTERS = 8


def render(facts: Facts, notices: Iterable[Notice], heading: str) -> RenderableType:
    """Return everything worth seeing, top down: power, apps, rules, alerts."""
    parts: list[RenderableType] = [Text(heading, style="bold")]
    parts += [_power(facts), _apps(facts), _rules(facts), _footer(facts, notices)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose name starts with `>` is of numbers."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in columns:
        side: JustifyMethod = "right" if name.startswith(">") else "left"
        table.add_column(name.removeprefix(">"), justify=side, no_wrap=name != "why")
    return table


def _power(facts: Facts) -> Table:
    table = _table("Power", "component", ">watts", ">at rest", "source", "", "")
    sources = {one.labels["component"]: one.labels for one in facts.answers.get("sources", ())}
    idle = {one.labels["component"]: one for one in facts.answers.get("idle", ())}
    off = {one.labels["source"]: one.labels["reason"] for one in facts.answers.get("off", ())}
    for component, watts in sorted(facts.by("watts", "component").items()):
        labels = sources.get(component, {})
        rest: Sample | None = idle.get(component)
        table.add_row(
            component,
            _number(watts),
            _number(rest.value if rest else None),
            labels.get("source", "-"),
            HOW.get(labels.get("method", ""), Text("-")),
            Text(f"at rest: {rest.labels['basis']}" if rest else "", style="dim"),
        )
    for source, reason in sorted(off.items()):
        table.add_row("", "", "", source, Text(reason, style="dim"), "")
    return table


def _apps(facts: Facts) -> Group:
    table = _table("Apps", "app", ">watts", ">CPUs", ">requests/s", ">J/request", "", ">p95", "")
    watts = facts.by("app_watts", "app")
    cpus, requests = facts.by("app_cpus", "app"), facts.by("requests", "app")
    joules, joules_target = facts.by("joules", "app"), facts.by("joules_target", "app")
    p95, p95_target = facts.by("p95", "app"), facts.by("p95_target", "app")
    for app in sorted(watts, key=lambda app: (app.startswith("_"), -watts[app])):
        table.add_row(
            Text(app, style="dim" if app.startswith("_") else "bold"),
            _number(watts[app]),
            _number(cpus.get(app)),
            _number(requests.get(app)),
            *_against(joules.get(app), joules_target.get(app), _number),
            *_against(p95.get(app), p95_target.get(app), _seconds),
        )
    return Group(table, Text("; ".join(_books(facts)) + "\n", style="dim"))


def _books(facts: Facts) -> Iterator[str]:
    """Yield what all apps together amount to, as far as it is known."""
    for one in facts.answers.get("unbooked", ()):
        yield f"apps, _other and _unattributed add up to the node within {one.value:.0e}"
    for one in facts.answers.get("grams", ()):
        yield f"{_number(one.value)} gCO2/h"
    for one in facts.answers.get("cost", ()):
        yield f"{_number(one.value)} {one.labels.get('currency', '')}/h"


def _rules(facts: Facts) -> Table:
    table = _table("Rules", "rule", "targets", ">in force", "", ">wanted", "decision", "why")
    alike: dict[tuple[object, ...], list[str]] = {}
    for one in facts.decisions:
        shown = tuple(
            one.get(key) for key in ("rule", "current", "wanted", "unit", "reason", "detail")
        )
        alike.setdefault(shown, []).append(str(one.get("target") or ""))
    for (rule, current, wanted, unit, reason, detail), targets in alike.items():
        style = ACTS.get(str(reason), "yellow" if str(reason).startswith(STOPS) else "dim")
        moves = wanted is not None and wanted != current
        table.add_row(
            str(rule),
            _targets(targets),
            _with_unit(current, unit),
            "→" if moves else "",
            _with_unit(wanted, unit) if moves else "",
            Text(str(reason), style=style),
            Text(str(detail), style="dim"),
        )
    return table


def _targets(names: list[str]) -> str:
    """Name one target by the end that tells it from its like; count several."""
    if len(names) > 1:
        return f"{len(names)} alike"
    return f"…{names[0][-TARGET_LETTERS:]}" if len(names[0]) > TARGET_LETTERS else names[0] or "-"


def _footer(facts: Facts, notices: Iterable[Notice]) -> Text:
    lines = [Text(f"no answer from {part}", style="red") for part in facts.silent]
    lines += [
        Text(f"firing: {one.labels.get('alertname')} {one.labels.get('app', '')}", style="red")
        for one in facts.answers.get("alerts", ())
    ]
    lines += [
        Text(f"notified: {one.name} {one.status}: {one.summary}", style="dim")
        for one in list(notices)[-SHOWN_NOTICES:]
    ]
    return Text("\n").join(lines or [Text("no alert is firing", style="dim")])


def _against(
    value: float | None, target: float | None, show: Callable[[float | None], str]
) -> tuple[Text, Text]:
    """Return a value, coloured by its target, and the target."""
    style = "" if value is None or target is None else "green" if value <= target else "red"
    return Text(show(value), style=style), Text(f"of {show(target)}" if target else "", style="dim")


def _number(value: float | None) -> str:
    """Return about three significant figures, `-` for what is not known."""
    if value is None:
        return "-"
    if abs(value) < 0.1:  # noqa: PLR2004  below, decimals say less than figures
        return f"{value:.2g}"
    return f"{value:,.{max(0, 2 - len(str(int(abs(value)))) + 1)}f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.2f} s"


def _with_unit(value: object, unit: object) -> str:
    symbol = {"watts": " W"}.get(str(unit), "")
    return f"{value:g}{symbol}" if isinstance(value, int | float) else "-"
