"""Write the files that can drift: pages of docs/, the engines' recording rules, dashboards.

`python docs/generate.py` writes them, `--check` fails when one is out of date.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from types import ModuleType

import yaml

from wattgov_actuator.decision import MEANING
from wattgov_actuator.document.quantity import UNITS
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.schema import Part, Schema, parts, schema
from wattgov_actuator.laws import LAWS
from wattgov_exporter.exposition import SERIES

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "rules" / "recording"
NOTE = "<!-- Made by `make docs`; do not edit. -->\n"


def metrics() -> str:
    """Return docs/metrics.md from the exporter's own table."""
    rows = "".join(
        f"| `{one.name}` | {'counter' if one.name.endswith('_total') else 'gauge'} "
        f"| {', '.join(one.labels) or 'none'} | {one.meaning} |\n"
        for one in SERIES
    )
    return (
        f"# Metrics of the exporter\n\n{NOTE}\n"
        "Base units; a fact that is not known is an absent series, never a zero.\n\n"
        f"| metric | type | labels | meaning |\n|---|---|---|---|\n{rows}"
    )


def rules(generated: Mapping[Path, str]) -> str:
    """Return docs/rules.md from the recording rule files; *generated* are newer than the disk."""
    text = (
        f"# Recorded series\n\n{NOTE}\n"
        "How the layers build on one another is in [rules/README.md](../rules/README.md).\n"
    )
    written = {path: path.read_text(encoding="utf-8") for path in RECORDING.glob("*.yml")}
    for path, page in sorted({**written, **generated}.items()):
        for group in yaml.safe_load(page)["groups"]:
            text += f"\n## {group['name']} ({path.name})\n\n| series | labels set |\n|---|---|\n"
            for record, same in groupby(group["rules"], key=itemgetter("record")):
                text += f"| `{record}` | {_labels([rule.get('labels', {}) for rule in same])} |\n"
    return text


def alerts() -> str:
    """Return docs/alerts.md from the alert rule files."""
    text = (
        f"# Alerts\n\n{NOTE}\n"
        "What each means and what to do is in the [runbook](../alerting/runbook.md), where they\n"
        "go in [alerting/alertmanager.yml](../alerting/alertmanager.yml). Debian's vmalert (1.79)\n"
        "does not know `keep_firing_for`: delete those lines for it; alerts then end sooner.\n"
    )
    for path in sorted((ROOT / "alerting" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            text += f"\n## {group['name']} ({path.name})\n"
            for rule in group["rules"]:
                name, held = rule["alert"], rule.get("keep_firing_for")
                text += (
                    f"\n### {name} ({rule['labels']['severity']})\n\n"
                    f"For {rule['for']}{f', and {held} longer' if held else ''}. "
                    f"[Runbook](../alerting/runbook.md#{name.lower()})\n\n"
                    f"```promql\n{rule['expr'].strip()}\n```\n"
                )
    return text


def reasons() -> str:
    """Return docs/reasons.md from the actuator's closed list."""
    sections = "".join(f"\n## {reason.value}\n\n{MEANING[reason]}\n" for reason in MEANING)
    return (
        f"# Why the actuator did or did not act\n\n{NOTE}\n"
        "One word each, the same in the log, the metric label, the journal and here.\n"
        f"{sections}"
    )


def rule_file(whole: Schema) -> str:
    """Return docs/rule-file.md from the schema of rule files."""
    text = (
        f"# Every key of a rule file\n\n{NOTE}\n"
        "What rules mean is in [actuator/README.md](../actuator/README.md), what can be turned in\n"
        "[knobs.md](knobs.md). Any value may hold variables: [environment.md](environment.md).\n"
        "`wattgov-actuator check FILE` tells every mistake; editors that speak to the YAML\n"
        "language server check as you type by `rules/actuator/rules.schema.json`, which\n"
        "`wattgov-actuator schema` prints. Anchors (`&a`, `*a`) may be used, `<<` and tags not.\n\n"
        "A quantity is a number and one of these units, without an exponent:\n"
        f"{', '.join(f'`{symbol}`' for symbol in UNITS if symbol)}.\n"
    )
    for path, same in groupby(parts(whole), key=attrgetter("path")):
        found = list(same)
        first, *others = (part.properties for part in found)
        shared = [key for key in first if all(one.get(key) == first[key] for one in others)]
        text += f"\n## {path or 'The file'}\n{_keys(found[0], shared)}"
        for part in found if len(found) > 1 else ():
            own = [key for key in part.properties if key not in shared]
            several = sum(each.backend == part.backend for each in found) > 1
            what = f" of {part.properties['knob']['title']}" if several else ""
            text += f"\n### {path}, backend {part.backend}{what}\n{_keys(part, own)}"
    return text


def _keys(part: Part, keys: Sequence[str]) -> str:
    text = "\n| key | takes | meaning |\n|---|---|---|\n"
    for key in keys:
        one, must = part.properties[key], " (needed)" if key in part.required else ""
        text += f"| `{key}`{must} | {one['title']} | {one['description']} |\n"
    return text


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated file and its text."""
    yield ROOT / "docs" / "metrics.md", metrics()
    serving = _module(ROOT / "rules" / "engines.py").files()
    yield from serving.items()
    yield ROOT / "docs" / "rules.md", rules(serving)
    yield ROOT / "docs" / "alerts.md", alerts()
    yield ROOT / "docs" / "reasons.md", reasons()
    faults = _module(ROOT / "tests" / "e2e" / "fault_table.py")
    yield ROOT / "docs" / "faults.md", faults.page(NOTE)
    whole = schema(LAWS, KNOBS)
    yield ROOT / "docs" / "rule-file.md", rule_file(whole)
    yield ROOT / "rules" / "actuator" / "rules.schema.json", json.dumps(whole, indent=1) + "\n"
    yield from _module(ROOT / "grafana" / "build.py").dashboards().items()


def main(arguments: list[str]) -> int:
    """Write, or with `--check` compare; return the exit status."""
    stale = [
        (path, text)
        for path, text in pages()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        name = path.relative_to(ROOT)
        if "--check" in arguments:
            sys.stderr.write(f"{name} is out of date: run `make docs`\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if stale and "--check" in arguments else 0


def _labels(rules: Sequence[Mapping[str, str]]) -> str:
    keys = dict.fromkeys(key for labels in rules for key in labels)
    values = {key: dict.fromkeys(labels[key] for labels in rules if key in labels) for key in keys}
    return "; ".join(f"{key}: {', '.join(found)}" for key, found in values.items()) or "none"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
