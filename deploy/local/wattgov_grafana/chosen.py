"""What is the same in every dashboard: variables, links, marks."""

from typing import Any

Json = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Actuators are another job than exporters, at another port, so they have a variable of their own.
VARIABLES = {
    "job": ("Job", "label_values(node_energy_joules_total, job)"),
    "instance": ("Instance", 'label_values(node_energy_joules_total{job=~"$job"}, instance)'),
    "app": ("App", 'label_values(app_energy_joules_total{job=~"$job",instance=~"$instance"}, app)'),
    "actuator": ("Actuator", "label_values(wattgov_actuator_enforcing, instance)"),
}

_DECISIONS = (
    'sum by (rule, knob, reason) (increase(wattgov_actuator_decisions_total{{instance=~"$actuator",'
    'reason=~"{reasons}"}}[$__rate_interval])) > 0'
)
MARKS = {
    "knob changes": (
        "Knob changes",
        "blue",
        'changes(wattgov_actuator_knob_in_force{instance=~"$actuator"}[$__rate_interval]) > 0',
        "{{target}} {{knob}}",
    ),
    "restores": (
        "Put back",
        "green",
        _DECISIONS.format(reasons="restored"),
        "{{rule}}: {{reason}}",
    ),
    "vetoes": (
        "Vetoed",
        "orange",
        _DECISIONS.format(reasons="vetoed_.+"),
        "{{rule}}: {{reason}}",
    ),
    "refusals": (
        "Refused",
        "red",
        _DECISIONS.format(reasons="refused|lost|conflict|unjournalled"),
        "{{rule}}: {{reason}}",
    ),
    "alerts": (
        "Alerts",
        "dark-red",
        'ALERTS{alertstate="firing",severity!="none"}',
        "{{alertname}}",
    ),
}
"""Marks across all graphs: name, colour, query, text."""


def variables() -> list[Json]:
    """Return the data source and the four things that can be chosen."""
    return [_datasource(), *(_variable(name) for name in VARIABLES)]


def links() -> list[Json]:
    """Return the one menu that leads to the other dashboards and takes the choice along."""
    return [
        {
            "asDropdown": False,
            "icon": "external link",
            "includeVars": True,
            "keepTime": True,
            "tags": ["wattgov"],
            "targetBlank": False,
            "title": "Wattgov",
            "tooltip": "",
            "type": "dashboards",
            "url": "",
        }
    ]


def mark(name: str) -> Json:
    """Return one kind of marks."""
    title, colour, expr, text = MARKS[name]
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": expr,
        "iconColor": colour,
        "name": title,
        "titleFormat": text,
    }


def _datasource() -> Json:
    return {
        "current": {"selected": True, "text": "default", "value": "default"},
        "hide": 0,
        "label": "Data source",
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "type": "datasource",
    }


def _variable(name: str) -> Json:
    """Return one variable that Prometheus fills, again when the time range changes."""
    label, query = VARIABLES[name]
    return {
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": query,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "type": "query",
    }
