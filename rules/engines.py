"""Turn engines.yml, a row for each serving engine, into rules that give all of them one shape.

A quantity is a group: count (one rule for each engine), name (whose app), choose (whose count).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from textwrap import indent

import yaml

HERE = Path(__file__).parent
NOTE = "# Made from rules/engines.yml by `make docs`; do not edit.\n"
TARGET = "job, instance, node, app, model"
JOB = "job, app"
LARGEST_GROUP = 20  # Mimir's default limit

# A bound of a bucket is text, which PromQL cannot divide: the point moves three places instead.
MILLISECONDS = (
    (r"([0-9]+)([0-9]{3})(?:[.]([0-9]+))?", "$1.$2$3"),
    (r"([0-9]{3})(?:[.]([0-9]+))?", "0.$1$2"),
    (r"([0-9]{2})(?:[.]([0-9]+))?", "0.0$1$2"),
    (r"([0-9])(?:[.]([0-9]+))?", "0.00$1$2"),
    (r"([+]Inf)", "$1"),
)
MEAN = """\
# Seconds of latency per second are the requests in the house (Little's law); over the requests
# per second they are the mean latency. It needs no buckets: Triton and TorchServe have it too.
"""
MEAN = "app:serving_latency_seconds:rate5m / on (app, serving) (app:serving_requests:rate5m > 0)"


@dataclass(frozen=True, slots=True)
class Metric:
    """What an engine calls a quantity: names, the first one that a target has is taken."""

    names: Sequence[str]
    unit: str = "s"
    per: str = ""

    @classmethod
    def read(cls, value: str | list[str] | Mapping[str, str]) -> "Metric":
        """Return what a cell of the table says."""
        if isinstance(value, str):
            return cls([value])
        if isinstance(value, list):
            return cls(value)
        if "of" in value:
            return cls([value["of"]], per=value["per"])
        ((unit, name),) = value.items()
        return cls([name], unit)


@dataclass(frozen=True, slots=True)
class Engine:
    """One row: its quantities by name, tokens as `tokens.KIND`, and how its labels are called."""

    name: str
    metrics: Mapping[str, Metric]
    model: str = "model"
    app: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    once_per: str = ""

    @classmethod
    def read(cls, name: str, row: Mapping[str, object]) -> "Engine":
        """Return the row of the table."""
        known = {key: row[key] for key in ("model", "app", "where", "once_per") if key in row}
        cells = {key: value for key, value in row.items() if key not in known}
        tokens = cells.pop("tokens", {})
        cells |= {f"tokens.{kind}": value for kind, value in tokens.items()}  # type: ignore[attr-defined]
        return cls(name, {key: Metric.read(value) for key, value in cells.items()}, **known)  # type: ignore[arg-type]

    def selector(self, metric: str, suffix: str = "") -> str:
        """Return the metric with its own matchers and those of the row."""
        name, _, own = metric.partition("{")
        where = ", ".join(part for part in (own.removesuffix("}"), self.where) if part)
        if "\n" in where:
            where = f"\n{indent(where, ' ' * 6)}\n  "
        return f"{name}{suffix}{{{where}}}" if where else name + suffix

    def labelled(self, text: str) -> str:
        """Return *text* with the model, and a gateway's app, under their common names."""
        if self.model != "model":
            text = f'label_replace({text}, "model", "$1", "{self.model}", "(.+)")'
        return self.owned(text)

    def owned(self, text: str) -> str:
        """Return *text* with a gateway's app under the common name."""
        for label, pattern in self.app.items():
            text = f'label_replace({text}, "app", "$1", "{label}", "{pattern}")'
        return text

    def each(
        self, metric: Metric, window: str, count: Callable[[str], str], suffix: str = ""
    ) -> str:
        """Return *count* of the first of the names that a target has, as seen by its *suffix*."""
        text = count(metric.names[0])
        for earlier, name in pairwise(metric.names):
            seen = earlier + suffix
            had = f"last_over_time({seen}[{window}])" if window else seen
            text += f"\nor\n{count(name)}\nunless on (job, instance)\n{had}"
        return text

    def replicas(self, series: str) -> str:
        """Return a gauge with each of its tensor ranks' repetitions taken once."""
        return f"max by ({TARGET}, {self.once_per}) ({series})" if self.once_per else series


@dataclass(frozen=True, slots=True)
class Rule:
    """One recording rule."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """What engines.yml says."""

    engines: Sequence[Engine]
    ranks: Sequence[Sequence[str]]
    fronts: Mapping[str, str]
    doors: Sequence[str]
    heads: Mapping[str, str]

    def having(self, key: str) -> list[Engine]:
        """Return the engines that have a quantity."""
        return [engine for engine in self.engines if key in engine.metrics]


def files() -> dict[Path, str]:
    """Return the text of every generated rule file by its path; ValueError if a rank lacks."""
    said = yaml.safe_load((HERE / "engines.yml").read_text(encoding="utf-8"))
    said["engines"] = [Engine.read(name, row) for name, row in said["engines"].items()]
    table = Table(**said)
    ranked = [name for rank in table.ranks for name in rank]
    if sorted(ranked) != sorted(engine.name for engine in table.engines):
        raise ValueError("each engine of engines.yml stands under `ranks` once")
    return {
        HERE / "recording" / f"{name}.yml": f"{NOTE}{head}groups:{''.join(PAGES[name](table))}"
        for name, head in table.heads.items()
    }


def requests(table: Table) -> Iterator[str]:
    """Yield the groups of serving.yml."""
    for group, window in (("wattgov-requests-live", "1m"), ("wattgov-requests", "5m")):
        name = f"serving_requests:rate{window}"
        count = counted(table, name, "requests", partial(rate, window))
        choose = chosen(table.having("requests"), table.ranks, name)
        yield from apart(table, group, count, [named(name, table.fronts), choose])


def tokens(table: Table) -> Iterator[str]:
    """Yield the groups of serving-tokens.yml."""
    name, kinds = "serving_tokens:rate5m", ("cached", "prompt", "generation")
    cached, prompt, generation = (
        [
            replace(rule, labels={**rule.labels, "kind": kind})
            for rule in counted(table, name, f"tokens.{kind}", partial(rate, "5m"))
        ]
        for kind in kinds
    )
    choose = chosen(table.having("tokens.generation"), table.ranks, name, also=", kind")
    yield written("wattgov-tokens-cached", cached)
    yield written("wattgov-tokens", [*prompt, *generation, named(name), choose])


def latency(table: Table) -> Iterator[str]:
    """Yield the groups of serving-latency.yml."""
    yield quantile(table, "latency", "1m", "energy:app_p95_latency_seconds")
    yield quantile(table, "ttft", "5m", "app:serving_ttft_seconds:p95", interval="30s")
    yield quantile(table, "intertoken", "5m", "app:serving_intertoken_seconds:p95", interval="30s")
    name = "serving_latency_seconds:rate5m"
    count = counted(table, name, "latency", seconds)
    choose = chosen(table.having("latency"), table.ranks, name)
    after = [named(name, table.fronts), choose]
    yield from apart(table, "wattgov-latency-sum", count, after, "30s")
    yield written("wattgov-latency-mean", [Rule("app:serving_latency_seconds:mean5m", MEAN)], "30s")


def load(table: Table) -> Iterator[str]:
    """Yield the groups of serving-load.yml."""
    for key, name, over in (
        ("queue", "serving_queue_requests:sum", "sum"),
        ("running", "serving_running_requests:sum", "sum"),
        ("kv", "serving_kv_used:ratio", "max"),
        ("batch", "serving_batch_requests:mean5m", "avg"),
    ):
        count = counted(table, name, key, batch if key == "batch" else partial(gauge, over))
        beside = table.doors if key == "queue" else ()
        choose = chosen(table.having(key), table.ranks, name, over=over, beside=beside)
        yield written(f"wattgov-{key}", [*count, named(name), choose])


PAGES: Mapping[str, Callable[[Table], Iterator[str]]] = {
    "serving": requests,
    "serving-tokens": tokens,
    "serving-latency": latency,
    "serving-load": load,
}


def quantile(table: Table, key: str, window: str, record: str, interval: str = "") -> str:
    """Return the group from the buckets of a job's targets to the 95th percentile."""
    name = f"serving_{key}_seconds_bucket:rate{window}"
    engines = [one for one in table.having(key) if one.metrics[key].unit != "us"]
    count = [
        Rule(f"job:{name}", buckets(window, one, one.metrics[key]), {"serving": one.name})
        for one in engines
    ]
    choose = chosen(engines, table.ranks, name, also=", le", level="job", beside=table.doors)
    p95 = f"max by (app) (histogram_quantile(0.95, app:{name}) >= 0)"
    rules = [*count, named(name, level="job"), choose, Rule(record, p95)]
    return written(f"wattgov-{key}", rules, interval)


def apart(
    table: Table, group: str, count: Sequence[Rule], after: Sequence[Rule], interval: str = ""
) -> Iterator[str]:
    """Yield a group for the gateways and one for the others: together they are too many."""
    gateways = {engine.name for engine in table.engines if engine.app}
    far = [rule for rule in count if rule.labels["serving"] in gateways]
    yield written(f"{group}-gateways", far, interval)
    yield written(group, [*(rule for rule in count if rule not in far), *after], interval)


def counted(
    table: Table, name: str, key: str, count: Callable[[Engine, Metric], str]
) -> list[Rule]:
    """Return one rule for each engine that has the quantity."""
    return [
        Rule(f"instance:{name}", count(engine, engine.metrics[key]), {"serving": engine.name})
        for engine in table.having(key)
    ]


def named(name: str, fronts: Mapping[str, str] | None = None, level: str = "instance") -> Rule:
    """Return the rule that gives every series its app, and drops those that only pass on."""
    source = f"{level}:{name}"
    label = f'label_replace({source}{{app=""}}, "app", "$1", "job", "(.+)")'
    expr = f'{source}{{app!=""}}\nor\n{label}'
    for front, behind in (fronts or {}).items():
        both = f'{source}{{serving="{front}"}}\nand on (job, instance)\n'
        both += f'{source}{{serving=~"{behind}"}}'
        expr = f"(\n{indent(expr, '  ')}\n)\nunless on (job, instance, serving)\n"
        expr += f"(\n{indent(both, '  ')}\n)"
    return Rule(f"{level}_app:{name}", expr)


def chosen(
    engines: Sequence[Engine],
    ranks: Sequence[Sequence[str]],
    name: str,
    *,
    over: str = "sum",
    also: str = "",
    level: str = "instance",
    beside: Sequence[str] = (),
) -> Rule:
    """Return the rule that takes each app's count by its best rank, and that of who is *beside*."""
    have, source = {engine.name for engine in engines}, f"{level}_app:{name}"
    parts: list[str] = []
    better: list[str] = []
    for rank in ranks:
        if present := [one for one in rank if one in have]:
            part = f"{over} by (app, serving{also}) ({source}{of(present)})"
            if better and not set(present) & set(beside):
                part += f"\nunless on (app)\n{source}{of(better)}"
            parts.append(part)
            better += present
    return Rule(f"app:{name}", "\nor\n".join(parts))


def of(engines: Sequence[str]) -> str:
    """Return the matcher for one or several values of the label serving."""
    return f'{{serving{"=~" if len(engines) > 1 else "="}"{"|".join(engines)}"}}'


def rate(window: str, engine: Engine, metric: Metric, suffix: str = "") -> str:
    """Return a counter's growth per second, summed over a target's series."""

    def one(name: str) -> str:
        series = engine.labelled(f"rate({engine.selector(name, suffix)}[{window}])")
        return f"sum by ({TARGET}) ({series})"

    return engine.each(metric, window, one, suffix)


def seconds(engine: Engine, metric: Metric) -> str:
    """Return the seconds of latency per second: a histogram's sum, or a counter of microseconds."""
    text = rate("5m", engine, metric, "" if metric.unit == "us" else "_sum")
    return text + {"s": "", "ms": " / 1e3", "us": " / 1e6"}[metric.unit]


def buckets(window: str, engine: Engine, metric: Metric) -> str:
    """Return a histogram's buckets, summed over a job's targets, their bounds in seconds."""

    def one(name: str) -> str:
        return engine.owned(f"rate({engine.selector(name, '_bucket')}[{window}])")

    text = f"sum by ({JOB}, le) ({engine.each(metric, window, one, '_count')})"
    if metric.unit != "ms":
        return text
    for pattern, bound in MILLISECONDS:
        text = f'label_replace({text},\n  "seconds", "{bound}", "le", "{pattern}")'
    text = f'label_replace({text},\n  "le", "$1", "seconds", "(.+)")'
    return f"sum by ({JOB}, le) ({text})"


def gauge(over: str, engine: Engine, metric: Metric) -> str:
    """Return a gauge as last scraped, over a target's series."""

    def one(name: str) -> str:
        return f"{over} by ({TARGET}) ({engine.replicas(engine.labelled(engine.selector(name)))})"

    return engine.each(metric, "", one)


def batch(engine: Engine, metric: Metric) -> str:
    """Return requests per step: by two counters, or the mean of a gauge while it is not 0."""
    if metric.per:
        steps = rate("5m", engine, Metric([metric.per]))
        return f"{rate('5m', engine, metric)}\n/\n({steps} > 0)"
    series = engine.labelled(f"avg_over_time({engine.selector(metric.names[0])}[5m])")
    return f"sum by ({TARGET}) ({engine.replicas(series)}) > 0"


def written(group: str, rules: Sequence[Rule], interval: str = "") -> str:
    """Return a group as YAML; ValueError if a backend would refuse it."""
    if len(rules) > LARGEST_GROUP:
        raise ValueError(f"{group} has {len(rules)} rules, more than {LARGEST_GROUP}: split it")
    every = f"    interval: {interval}\n" if interval else ""
    text = f"\n  - name: {group}\n{every}    rules:\n"
    for rule in rules:
        text += f"      - record: {rule.record}\n"
        if rule.labels:
            inside = ", ".join(f"{key}: {value}" for key, value in rule.labels.items())
            text += f"        labels: {{{inside}}}\n"
        block = f"|\n{indent(rule.expr, ' ' * 10)}" if "\n" in rule.expr else rule.expr
        text += f"        expr: {block}\n"
    return text
