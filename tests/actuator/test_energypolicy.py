"""EnergyPolicy: a shorter rule file, read as strictly, and nothing that a rule file cannot say."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from actuator.builders import loaded
from conftest import find
from wattgov_actuator.cli import main
from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.laws.threshold import Set, Step
from wattgov_actuator.rules import STRATEGIES, Rank, Rule, RuleSet

ROOT = Path(__file__).parents[2]
POLICY = """\
apiVersion: energy.io/v1alpha1
kind: EnergyPolicy
metadata: {name: inference-optimization}
spec:
  targetNamespace: inference
  powerCaps: {gpu: 250, cpu: 150}              # watts
  sla: {p95LatencyMs: 200, errorRatePercent: 0.1}
  autoscaling: {targetJoulesPerRequest: 150, minReplicas: 2, maxReplicas: 10}
  optimization: {enabled: true, aggressiveness: balanced}
"""


def check(folder: Path, text: str) -> Result:
    """Run `check` on a policy."""
    (folder / "policy.yml").write_text(text)
    return CliRunner().invoke(main, ["check", str(folder / "policy.yml")])


def rule(rules: RuleSet, action: str) -> Rule:
    """Return a rule of the policy's group."""
    (found,) = (each for each in rules.groups[0].rules if each.action == action)
    return found


def test_caps_are_held_always_and_nobody_lifts_them(tmp_path: Path) -> None:
    """At the cap and no lower; a busy card is let up to it."""
    rules = loaded(tmp_path / "p.yml", POLICY)
    for key, watts, knob in (("gpu", 250, "gpu_power_limit"), ("cpu", 150, "cpu_power_limit")):
        cap = rule(rules, f"inference-optimization-{key}-cap")
        assert isinstance(cap.law, Set)
        assert (watts, watts, knob, Rank.BUDGET) == (
            cap.law.value.value,
            cap.bounds.low.value,
            cap.knob,
            cap.rank,
        )
    relax = rule(rules, "inference-optimization-relax")
    assert isinstance(relax.law, Step)
    assert (True, Rank.COST) == (relax.law.amount.value > 0, relax.rank)


def test_replicas_follow_the_energy_of_a_request(tmp_path: Path) -> None:
    """Between the least and the most, with a gap between fewer and more."""
    rules = loaded(tmp_path / "p.yml", POLICY)
    fewer, more = (rule(rules, f"inference-optimization-{each}") for each in ("fewer", "more"))

    for each, size in ((fewer, -1), (more, 1)):
        assert isinstance(each.law, Step)
        assert each.bounds.high is not None
        assert ("replicas", size, 2, 10) == (
            each.knob,
            each.law.amount.value,
            each.bounds.low.value,
            each.bounds.high.value,
        )
    assert fewer.expr.endswith("> 150")
    assert more.expr.endswith("< 135")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_its_aggressiveness_is_the_strategy(tmp_path: Path, strategy: str) -> None:
    """Steps, floor and pace are those of a rule file."""
    rules = loaded(tmp_path / "p.yml", POLICY.replace("balanced", strategy))
    trim, defaults = rule(rules, "inference-optimization-trim"), STRATEGIES[strategy]

    assert isinstance(trim.law, Step)
    assert (-defaults.step.value, defaults.floor, defaults.cooldown_seconds) == (
        trim.law.amount.value,
        trim.bounds.low,
        trim.cooldown_seconds,
    )


@pytest.mark.parametrize(
    ("old", "new", "enforce"),
    [
        ("", "", True),
        ("enabled: true", "enabled: false", False),
        ("enabled: true, ", "", False),
        ("  optimization: {enabled: true, aggressiveness: balanced}\n", "", False),
    ],
)
def test_acting_has_to_be_asked_for(tmp_path: Path, old: str, new: str, enforce: bool) -> None:
    """Anything else is a dry run."""
    assert enforce is loaded(tmp_path / "p.yml", POLICY.replace(old, new)).enforce


def test_what_a_cluster_gives_is_accepted(tmp_path: Path) -> None:
    """With all that the API server adds."""
    more = {"uid": "1", "resourceVersion": "2", "generation": 1, "managedFields": [], "labels": {}}
    policy = yaml.safe_load(POLICY)
    policy["metadata"] |= {**more, "namespace": "inference", "creationTimestamp": "now"}
    policy["status"] = {}

    assert 0 == check(tmp_path, yaml.safe_dump(policy)).exit_code


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    """All at once, as of a rule file."""
    text = (
        POLICY.replace("gpu: 250", "gpus: 250")
        .replace("enabled: true", "enabled: yes")
        .replace("minReplicas: 2", "minReplicas: 2.5")
        .replace("maxReplicas: 10", "maxReplicas: 1")
        .replace("v1alpha1", "v1")
        .replace("Namespace: inference", "Namespace: In_f")
        .replace("errorRatePercent: 0.1", "errorRatePercent: -1")
        .replace("name: inference-optimization", "name: Inference.x")
        .replace("balanced", "eager")
    )
    result = check(tmp_path, text)
    lines = [each.partition("policy.yml:")[2] for each in result.stderr.splitlines()]

    assert 2 == result.exit_code
    assert [
        "1:13: apiVersion must be energy.io/v1alpha1, found 'energy.io/v1'",
        "3:18: name 'Inference.x' may hold a-z, 0-9 and -, from a letter on, 50 at most",
        "5:20: 'In_f' cannot be a namespace",
        "6:15: unknown key 'gpus': did you mean 'gpu'?",
        "7:46: errorRatePercent must be above 0, found -1",
        "8:59: minReplicas must be a whole number, found 2.5",
        "9:27: enabled must be true or false, found 'yes': did you mean 'true'?",
        "9:48: aggressiveness: unknown 'eager'; known: conservative, balanced, aggressive",
    ] == lines


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("kind: EnergyPolicy\n", "1:1: the EnergyPolicy has no 'metadata' with a name"),
        ("kind: EnergyPolicy\nmetadata: {name: a}\n", "1:1: the EnergyPolicy has no 'spec'"),
        (
            "apiVersion: energy.io/v1alpha1\nkind: Policy\n",
            "kind must be EnergyPolicy, found 'Policy'",
        ),
        (POLICY.partition("  powerCaps")[0], "spec turns nothing; give powerCaps or autoscaling"),
        (POLICY.replace("gpu: 250, cpu: 150", ""), "powerCaps caps nothing; give gpu or cpu"),
        (
            POLICY.replace("p95LatencyMs: 200, errorRatePercent: 0.1", ""),
            "sla promises nothing; give p95LatencyMs or errorRatePercent",
        ),
        (
            POLICY.replace("targetJoulesPerRequest: 150, ", ""),
            "autoscaling has no 'targetJoulesPerRequest'",
        ),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, text: str, mistake: str) -> None:
    """In a sentence, where it should be."""
    with pytest.raises(Invalid, match=mistake.replace(".", r"\.")):
        loaded(tmp_path / "p.yml", text)


def test_two_of_a_name_are_a_mistake_at_the_name(tmp_path: Path) -> None:
    """What only the rule language finds wrong is told where the policy can be mended."""
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text(POLICY)
    result = CliRunner().invoke(main, ["check", str(tmp_path / "a.yml"), str(tmp_path / "b.yml")])

    assert 2 == result.exit_code
    assert "b.yml:3:18: there is another group called 'inference-optimization'" in result.stderr


def test_prometheus_accepts_what_it_asks(tmp_path: Path) -> None:
    """Every expression, by promtool."""
    rules = loaded(tmp_path / "p.yml", POLICY)
    expressions = enumerate(rules.groups[0].expressions())
    recorded = [{"record": f"test:{number}", "expr": expr} for number, expr in expressions]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]})
    )
    found = subprocess.run(
        [find("prometheus", "promtool"), "check", "rules", str(tmp_path / "rules.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (found.returncode, found.stderr)


@pytest.mark.parametrize(
    ("series", "broken"),
    [
        ({'energy:app_p95_latency_seconds{app="inference/chat-1"}': "0.3x10"}, True),
        ({'energy:app_p95_latency_seconds{app="chat"}': "0.3x10"}, True),
        ({'energy:app_p95_latency_seconds{app="other/chat-1"}': "0.3x10"}, False),
        ({'energy:app_p95_latency_seconds{app="inference/chat-1"}': "0.1x10"}, False),
        (
            {
                'vllm:request_success_total{job="chat",finished_reason="error"}': "0+1x10",
                'vllm:request_success_total{job="chat",finished_reason="stop"}': "0+99x10",
            },
            True,
        ),
        (
            {'vllm:request_success_total{namespace="other",finished_reason="error"}': "0+1x10"},
            False,
        ),
        (
            {
                'nv_inference_request_failure{job="chat",reason="BACKEND"}': "0+1x10",
                'nv_inference_request_success{job="chat"}': "0+99x10",
            },
            True,
        ),
        (
            {
                'nv_inference_request_failure{job="chat",reason="BACKEND"}': "0+1x10",
                'nv_inference_request_success{job="chat"}': "0+9999x10",
            },
            False,
        ),
    ],
)
def test_its_sla_is_broken_by_latency_and_by_errors(
    tmp_path: Path, series: Mapping[str, str], broken: bool
) -> None:
    """Of apps of its namespace, and of those that do not say where they are."""
    sla = loaded(tmp_path / "p.yml", POLICY).groups[0].protect.sla
    assert sla is not None
    case = {
        "input_series": [{"series": key, "values": value} for key, value in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count(({sla.expr}) ) > bool 0 or vector(0)",
                "eval_time": "5m",
                "exp_samples": [{"labels": "{}", "value": int(broken)}],
            }
        ],
        "interval": "1m",
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"tests": [case]}))
    found = subprocess.run(
        [find("prometheus", "promtool"), "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == found.returncode, found.stdout + found.stderr


def test_the_definition_in_the_cluster_has_the_same_keys() -> None:
    """What the API server lets in, the actuator reads, and the other way round."""
    crd = yaml.safe_load((ROOT / "deploy/kubernetes/energypolicy-crd.yml").read_text())
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    keys = {key: set(each.get("properties", ())) for key, each in spec.items()}
    example: dict[str, Any] = yaml.safe_load(POLICY)

    assert "energy.io/v1alpha1" == f"{crd['spec']['group']}/{version['name']}"
    assert example["kind"] == crd["spec"]["names"]["kind"]
    assert keys == {
        key: set(each) if isinstance(each, dict) else set() for key, each in example["spec"].items()
    }
    assert set(STRATEGIES) == set(spec["optimization"]["properties"]["aggressiveness"]["enum"])
