"""Fill in the templates; one takes the place of the shipped file of its name, if there is one."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from wattgov_exporter.assets.site import Place

TEMPLATES = Path(__file__).parent / "templates"
Fact = dict[str, object]


def rendered(place: Place) -> dict[str, str]:
    """Return the text of each file that depends on the site, by its path in the folder."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": _plain, "duration": _duration, "quoted": _quoted}
    words = {
        "place": place,
        "facts": list(_facts(place)),
        "engines": list(_engines(place)),
        "prometheus": urlsplit(place.prometheus),
    }
    return {
        name: environment.get_template(name).render(words)
        for name in sorted(environment.list_templates())
    }


def _facts(place: Place) -> Iterator[Fact]:
    """Yield the site's series, under the names and with the labels that an exporter gives them."""
    site = place.site
    grid = {"zone": site.zone, "source": "site", "signal": "average", "basis": "lifecycle"}
    money = {"currency": site.currency}
    scalars: tuple[tuple[str, dict[str, str], float | None], ...] = (
        ("site_pue_ratio", {}, site.pue_ratio),
        ("site_contract_power_watts", {}, site.contract_power_watts),
        (
            "grid_carbon_intensity_grams_per_kilowatthour",
            {**grid, "estimated": "true"},
            site.carbon_intensity_grams_per_kilowatthour,
        ),
        (
            "grid_electricity_price_per_kilowatthour",
            {"zone": site.zone, **money},
            site.price_per_kilowatthour,
        ),
    )
    for record, labels, value in scalars:
        if value is not None:
            yield {"record": record, "labels": labels, "value": value}
    budgets: tuple[tuple[str, dict[str, str], Mapping[str, float]], ...] = (
        ("site_budget_energy_joules", {}, site.budgets.energy_joules),
        ("site_budget_carbon_grams", {}, site.budgets.carbon_grams),
        ("site_budget_electricity_cost", money, site.budgets.electricity_cost),
    )
    for record, labels, periods in budgets:
        for period, value in periods.items():
            yield {"record": record, "labels": {"period": period, **labels}, "value": value}


def _engines(place: Place) -> Iterator[tuple[str, str | None, list[str]]]:
    """Yield app, path and addresses: what shares them is one entry of the scrape configuration."""
    for app, engines in place.targets.apps.items():
        ordered = sorted(engines, key=lambda one: one.path or "")
        for path, same in groupby(ordered, key=lambda one: one.path):
            yield app, path, [one.address for one in same]


def _quoted(value: object) -> str:
    """Return a word, or words, as one line of YAML, whatever characters are in them."""
    return yaml.safe_dump(
        value, default_flow_style=True, default_style='"', allow_unicode=True, width=1 << 30
    ).strip()


def _plain(value: float) -> str:
    return f"{value:.15g}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{1000 * seconds:.0f}ms"
