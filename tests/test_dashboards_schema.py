"""The dashboards against Grafana's own schema, where somebody has it.

It is jsonschema/dashboard.jsonschema.json of github.com/grafana/grafana-foundation-sdk; name a copy
in $GRAFANA_SCHEMA.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "grafana/dashboards").glob("*.json"))
ANYTHING = (("MatcherConfig", "options"), ("DynamicConfigValue", "value"))
"""Grafana takes any value here (`any` in its source); the schema has `object` for that."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema; skip where there is none."""
    path = os.environ.get("GRAFANA_SCHEMA")
    if path is None:
        pytest.skip("$GRAFANA_SCHEMA does not name the schema of dashboards")
    found: dict[str, Any] = json.loads(Path(path).read_text())
    for definition, name in ANYTHING:
        del found["definitions"][definition]["properties"][name]["type"]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_grafana_would_take_it(schema: dict[str, Any], file: Path) -> None:
    """No key is of another type than Grafana says, and none is missing."""
    page = json.loads(file.read_text())

    found = [f"{one.json_path}: {one.message}" for one in Draft7Validator(schema).iter_errors(page)]

    assert [] == found


def test_a_mistake_is_found(schema: dict[str, Any]) -> None:
    """A width that is a word is none."""
    page = json.loads(FILES[0].read_text())
    page["panels"][0]["gridPos"]["w"] = "wide"

    assert list(Draft7Validator(schema).iter_errors(page))
