"""EnergyPolicy (`energy.io/v1alpha1`): a resource of Kubernetes that is a shorter rule file.

It is read strictly, and then said in the rule language, so it can do nothing that a rule file
cannot. What is found wrong only there is reported at the policy's name.
"""

import re
from typing import Any

import yaml

from wattgov_actuator.document.strict import Fields, Invalid, Mistake, compose
from wattgov_actuator.rules import STRATEGIES

VERSION, KIND = "energy.io/v1alpha1", "EnergyPolicy"
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-z][a-z0-9-]{0,49}")  # with what is added, a rule's
SLACK = 0.9  # of the joules per request: below, one more replica costs less than it brings
CAPS = {  # by key: the knob, and what has a series for each device of it
    "gpu": ("gpu_power_limit", 'node_gpu_power_limit_watts{limit="current"} > 0'),
    "cpu": ("cpu_power_limit", 'node_cpu_power_watts{zone="package"} >= 0'),
}
FAILED = (  # counters of requests by engine: of those that failed, and of all
    (
        'vllm:request_success_total{{finished_reason="error",{of}}}',
        "vllm:request_success_total{{{of}}}",
    ),
    (
        "nv_inference_request_failure{{{of}}}",
        '{{__name__=~"nv_inference_request_(success|failure)",{of}}}',
    ),
)

Rules = dict[str, Any]


def is_policy(root: yaml.Node) -> bool:
    """Tell whether a document says that it is one."""
    said = {
        key.value: value.value
        for key, value in (root.value if isinstance(root, yaml.MappingNode) else ())
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    return said.get("kind") == KIND or str(said.get("apiVersion", "")).startswith("energy.io/")


def as_rules(root: yaml.Node, file: str, mistakes: list[Mistake], told: set[int]) -> yaml.Node:
    """Return the rule file that a policy stands for; raises Invalid with every mistake.

    *mistakes* are those of the file so far, about the nodes of which the ids are *told*.
    """
    rules = _rules(Fields(root, file, mistakes, f"the {KIND}", told))
    if mistakes:
        raise Invalid(mistakes)
    found = compose(yaml.safe_dump(rules, sort_keys=False), file)
    _place(found, _name_of(root).start_mark)
    return found


def _rules(fields: Fields) -> Rules:
    """Return the rule file as YAML has it."""
    fields.word("apiVersion", [VERSION])
    fields.word("kind", [KIND])
    fields.skip("status")
    name = _name(fields)
    spec = fields.block("spec")
    if spec is None:
        fields.say(None, f"the {KIND} has no 'spec'")
        return {}
    namespace = _namespace(spec)
    caps, protect = _caps(spec, name), _protect(spec, namespace)
    scaling = _scaling(spec, name, namespace)
    enabled, strategy = _optimization(spec)
    if not spec.strange() and not (caps or scaling):
        spec.say(None, "spec turns nothing; give powerCaps or autoscaling")
    trims = _trims(name) if any(each["knob"] == "gpu_power_limit" for each in caps) else []
    spec.end()
    fields.end()
    group = {"name": name, "protect": protect, "rules": [*caps, *trims, *scaling]}
    return {"version": "1", "strategy": strategy, "enforce": enabled, "groups": [group]}


def _name(fields: Fields) -> str:
    meta = fields.block("metadata")
    if meta is None:
        fields.say(None, f"the {KIND} has no 'metadata' with a name")
        return ""
    meta.skip("namespace", "labels", "annotations", "uid", "resourceVersion", "generation")
    meta.skip("creationTimestamp", "managedFields")
    name = meta.text("name")
    if name.strip() and not NAME.fullmatch(name):
        meta.say("name", f"name '{name}' may hold a-z, 0-9 and -, from a letter on, 50 at most")
    meta.end()
    return name


def _namespace(spec: Fields) -> str:
    namespace = spec.text("targetNamespace")
    if namespace.strip() and not NAMESPACE.fullmatch(namespace):
        spec.say("targetNamespace", f"'{namespace}' cannot be a namespace")
    return namespace


def _caps(spec: Fields, name: str) -> list[Rules]:
    """Return a rule for each cap: held always, at the cap and never below."""
    block = spec.block("powerCaps")
    if block is None:
        return []
    rules = []
    for key, (knob, expr) in CAPS.items():
        watts = _positive(block, key)
        if watts is not None:
            # Of a class of its own: that a card is busy does not lift it.
            cap = {"set": f"{watts:g}W", "min": f"{watts:g}W", "class": "budget"}
            rules.append({"action": f"{name}-{key}-cap", "expr": expr, "knob": knob, **cap})
    if not rules and not block.strange():
        block.say(None, f"powerCaps caps nothing; give {' or '.join(CAPS)} in watts")
    block.end()
    return rules


def _trims(name: str) -> list[Rules]:
    """Return what the strategy is for: less for cards that are quiet."""
    quiet, busy = (
        f"avg_over_time(node_gpu_utilization_percent[{span}]) {limit}"
        for span, limit in (("5m", "< 60"), ("1m", "> 85"))
    )
    knob = {"knob": "gpu_power_limit"}
    return [
        {"action": f"{name}-trim", "expr": quiet, "for": "2m", "step": "down", **knob},
        {"action": f"{name}-relax", "expr": busy, "step": "up", **knob},
    ]


def _protect(spec: Fields, namespace: str) -> Rules:
    """Return the guard: too slow, or too many errors, for apps that may be of the namespace."""
    block = spec.block("sla")
    if block is None:
        return {}
    milliseconds = _positive(block, "p95LatencyMs")
    percent = _positive(block, "errorRatePercent")
    block.end()
    breaches = []
    if milliseconds is not None:
        p95 = f"energy:app_p95_latency_seconds{{{_apps(namespace)}}}"
        breaches.append(f"{p95} > {milliseconds / 1000:g}")
    if percent is not None:
        breaches += [_failing(each, namespace, percent / 100) for each in FAILED]
    if not breaches and not block.strange():
        block.say(None, "sla promises nothing; give p95LatencyMs or errorRatePercent")
    return {"sla": {"expr": " or ".join(breaches)}}


def _failing(counters: tuple[str, str], namespace: str, part: float) -> str:
    of = f'namespace=~"|{namespace}"'  # of that, or of none that is known
    failed, whole = (f"sum by (app, job) (rate({c.format(of=of)}[5m]))" for c in counters)
    return f"{failed} / ({whole} > 0) > {part:g}"


def _apps(namespace: str) -> str:
    """Return the matcher of apps that are of the namespace, or do not say of which."""
    return f'app=~"{namespace}/.*|[^/]*"'


def _scaling(spec: Fields, name: str, namespace: str) -> list[Rules]:
    """Return fewer replicas while a request takes too much energy, and more when it does not."""
    block = spec.block("autoscaling")
    if block is None:
        return []
    joules = _positive(block, "targetJoulesPerRequest")
    low, high = _positive(block, "minReplicas"), _positive(block, "maxReplicas")
    for key, count in (("minReplicas", low), ("maxReplicas", high)):
        if count is not None and count != int(count):
            block.say(key, f"{key} must be a whole number, found {count:g}")
    if low is not None and high is not None and low > high:
        block.say("minReplicas", f"minReplicas {low:g} is above maxReplicas {high:g}")
    if not block.strange("targetJoulesPerRequest") and "targetJoulesPerRequest" not in block:
        block.say(None, "autoscaling has no 'targetJoulesPerRequest'")
    block.end()
    taken = f"energy:app_joules_per_request{{{_apps(namespace)}}}"
    bounds = {key: f"{count:g}" for key, count in (("min", low or 1), ("max", high)) if count}
    limit = joules or 1.0
    costly, cheap = f"{taken} > {limit:g}", f"{taken} < {limit * SLACK:g}"
    knob = {"knob": "replicas", **bounds}
    return [
        {"action": f"{name}-fewer", "expr": costly, "for": "5m", "step": "-1", **knob},
        {"action": f"{name}-more", "expr": cheap, "step": "+1", **knob},
    ]


def _optimization(spec: Fields) -> tuple[bool, str]:
    """Return whether to act, which has to be said, and by which strategy."""
    block = spec.block("optimization")
    if block is None:
        return False, "balanced"
    enabled = block.flag("enabled", default=False)
    strategy = block.word("aggressiveness", list(STRATEGIES), "balanced")
    block.end()
    return enabled, strategy


def _positive(fields: Fields, key: str) -> float | None:
    """Return the number at *key*, None where there is none; one that is not above 0 is noted."""
    if key not in fields:
        fields.skip(key)
        return None
    value = fields.number(key)
    if value <= 0:
        fields.say(key, f"{key} must be above 0, found {value:g}")
    return value


def _name_of(root: yaml.Node) -> yaml.Node:
    """Return the node of the policy's name, which was found to be there."""
    node = root
    for wanted in ("metadata", "name"):
        node = next(value for key, value in node.value if key.value == wanted)
    return node


def _place(node: yaml.Node, mark: yaml.Mark) -> None:
    """Say of a node, and all in it, that it stands there."""
    node.start_mark = mark
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for each in pair:
                _place(each, mark)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            _place(each, mark)
