"""The assets: the real programs accept what is written, and it says what the site file says."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.assets import site, write
from wattgov_exporter.assets.render import TEMPLATES, rendered
from wattgov_exporter.assets.site import Constants, Engine, Place, Targets
from wattgov_exporter.cli import main
from wattgov_exporter.config import Budgets, Site
from wattgov_web.mistakes import Invalid

pytestmark = pytest.mark.xdist_group("assets")

ROOT = Path(__file__).parents[2]

SITE = """\
version: 1
site:
  zone: FR
  carbon_intensity: 56
  pue: 1.25
  price: 0.2
  currency: EUR
  contract_power: 40kW
  budgets: {energy: {day: 480kWh}, carbon: {month: 0.9t}, cost: {month: 3500}}
embodied: {server: 1300kg, gpu: 164kg, lifetime: 5y}
targets:
  exporters: [gpu-1, 'gpu-2:9999', '[fd00::1]']
  actuators: [gpu-1]
  alertmanagers: []
  apps:
    chat: [gpu-1:8000, gpu-2:8000]
    search: [web-1:9000/its/metrics, web-2:9000]
prometheus: https://prometheus.example/prom
scrape_interval: 5s
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that was written without a site file."""
    folder = tmp_path_factory.mktemp("first")
    assert 0 == CliRunner().invoke(main, ["assets", str(folder)]).exit_code
    return folder


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that was written with all that a site file can say."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my.yml").write_text(SITE)
    arguments = ["assets", str(folder), "--site", str(folder / "my.yml")]
    assert 0 == CliRunner().invoke(main, arguments).exit_code
    return folder


@pytest.fixture(params=["first", "mine"])
def written(request: pytest.FixtureRequest) -> Path:
    """Return each of the two."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def read(path: Path) -> Any:  # noqa: ANN401  it is what stands there
    """Return what a YAML file says."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def accepted(*words: str | Path) -> str:
    """Run a checker; fail with what it says."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_it(written: Path, promtool: str) -> None:
    """Promtool checks the configuration, with every rule file that was written."""
    said = accepted(promtool, "check", "config", written / "prometheus.yml")

    rules = [*written.glob("rules/recording/*.yml"), *written.glob("alerting/rules/*.yml")]
    assert 20 < len(rules)
    assert [] == [file.name for file in rules if f"Checking {file}" not in said]


def test_alertmanager_takes_it(written: Path, amtool: str) -> None:
    """Amtool accepts the alerting configuration where it was written."""
    accepted(amtool, "check-config", written / "alerting/alertmanager.yml")


def test_the_site_is_in_the_rules(mine: Path) -> None:
    """What the site file says are series, in base units, with the labels of the exporter's own."""
    groups = {
        one["name"]: one["rules"] for one in read(mine / "rules/recording/site.yml")["groups"]
    }
    facts = {
        (one["record"], *sorted(one.get("labels", {}).items())): one["expr"]
        for one in groups["wattgov-site-facts"]
    }

    intensity = ("basis", "lifecycle"), ("estimated", "true"), ("signal", "average")
    assert {
        ("site_pue_ratio",): "vector(1.25)",
        ("site_contract_power_watts",): "vector(40000)",
        (
            "grid_carbon_intensity_grams_per_kilowatthour",
            *intensity,
            ("source", "site"),
            ("zone", "FR"),
        ): "vector(56)",
        (
            "grid_electricity_price_per_kilowatthour",
            ("currency", "EUR"),
            ("zone", "FR"),
        ): "vector(0.2)",
        ("site_budget_energy_joules", ("period", "day")): "vector(1728000000)",
        ("site_budget_carbon_grams", ("period", "month")): "vector(900000)",
        (
            "site_budget_electricity_cost",
            ("currency", "EUR"),
            ("period", "month"),
        ): "vector(3500)",
    } == facts
    constants = [one["expr"] for one in groups["wattgov-site"][:3]]
    assert ["vector(1300 * 1e3)", "vector(164 * 1e3)", "vector(1826.25 * 86400)"] == constants


def test_who_is_scraped(mine: Path) -> None:
    """Hosts get their ports, engines their label `app`, and another path where they have one."""
    config = read(mine / "prometheus.yml")

    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    found = {
        name: [(one["targets"], one.get("labels", {})) for one in job["static_configs"]]
        for name, job in jobs.items()
    }
    assert {
        "wattgov-exporter": [(["gpu-1:9470", "gpu-2:9999", "[fd00::1]:9470"], {})],
        "wattgov-actuator": [(["gpu-1:9471"], {})],
        "prometheus": [(["prometheus.example"], {})],
        "apps": [
            (["gpu-1:8000", "gpu-2:8000"], {"app": "chat"}),
            (["web-2:9000"], {"app": "search"}),
            (["web-1:9000"], {"app": "search", "__metrics_path__": "/its/metrics"}),
        ],
    } == found
    assert ("https", "/prom/metrics") == (
        jobs["prometheus"]["scheme"],
        jobs["prometheus"]["metrics_path"],
    )
    assert "5s" == config["global"]["scrape_interval"] == config["global"]["evaluation_interval"]
    assert "alerting" not in config


def test_grafana_asks_the_users_prometheus(mine: Path) -> None:
    """The data source has the URL and the scrape interval of the site file."""
    (source,) = read(mine / "grafana/provisioning/datasources/wattgov.yml")["datasources"]

    assert "https://prometheus.example/prom" == source["url"]
    assert "5s" == source["jsonData"]["timeInterval"]


def test_the_site_file_stays_with_what_was_made_from_it(first: Path, mine: Path) -> None:
    """The one that comes by itself reads as what was used without one; an own one is kept."""
    assert Place() == site.load(first / "site.yml")
    assert SITE == (mine / "site.yml").read_text()


def test_a_template_without_facts_is_the_shipped_file() -> None:
    """Rules of a checkout and rules of a folder differ in the site's facts alone."""
    texts = rendered(Place())
    shipped = {name: ROOT / name for name in texts if (ROOT / name).exists()}

    assert {"rules/recording/site.yml", "grafana/provisioning/datasources/wattgov.yml"} == set(
        shipped
    )
    for name, path in shipped.items():
        assert path.read_text(encoding="utf-8") == texts[name], f"{name}, see {TEMPLATES}"


def test_no_builder_is_shipped(first: Path) -> None:
    """The wheel holds the folders that are written, and nothing that they were made from."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]

    assert {name: f"wattgov_exporter/_data/{name}" for name in write.FOLDERS} == included
    assert [] == [file for file in first.rglob("*") if file.suffix == ".py"]
    assert not (first / "rules/engines.yml").exists()
    assert not (first / "grafana/overview.yml").exists()


def test_the_readme_names_files_that_are_there(written: Path) -> None:
    """Every path in it leads somewhere."""
    words = (written / "README.txt").read_text().replace(",", " ").replace(";", " ").split()
    paths = [
        one.rstrip(".") for one in words if one.startswith(("rules/", "alerting/", "grafana/"))
    ]

    assert 5 < len(paths)
    assert [] == [path for path in paths if not list(written.glob(path))]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """One file that is there already, and none is written."""
    (tmp_path / "prometheus.yml").write_text("mine")

    result = CliRunner().invoke(main, ["assets", str(tmp_path)])

    assert (1, f"Error: {tmp_path}/prometheus.yml is there already; give an empty folder, ") == (
        result.exit_code,
        result.stderr.replace("or remove it\n", ""),
    )
    assert ["prometheus.yml"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """A file in the place of the folder is a sentence."""
    (tmp_path / "file").write_text("")

    result = CliRunner().invoke(main, ["assets", str(tmp_path / "file")])

    assert 1 == result.exit_code
    assert result.stderr.startswith(f"Error: {tmp_path}/file")
    assert 1 == len(result.stderr.splitlines())


def test_mistakes_of_the_site_file(tmp_path: Path) -> None:
    """Each is a line with its place, and nothing is written."""
    file = tmp_path / "site.yml"
    file.write_text(
        "version: 1\n"
        "site: {pue: 0.9, colour: green}\n"
        "embodied: {server: 1300}\n"
        "targets:\n"
        "  exporters: [gpu-1, gpu-1:9470]\n"
        "  actuators: [http://gpu-1]\n"
        "  apps: {_x: [gpu-1:8000], chat: [gpu-1], web: gpu-1:80}\n"
    )

    result = CliRunner().invoke(main, ["assets", str(tmp_path / "new"), "--site", str(file)])

    assert (2, False) == (result.exit_code, (tmp_path / "new").exists())
    known = "zone, carbon_intensity, pue, price, currency, contract_power, budgets"
    assert [
        "2:13: pue: 0.9 is outside 1 to 10 (a ratio)",
        f"2:18: unknown key 'colour'; known: {known}",
        "3:20: server: expected grams of CO2e such as 250kg or 1.3t, found '1300'",
        "5:14: exporters: gpu-1:9470 stands twice, and would count twice",
        "6:15: expected a host such as gpu-1 or gpu-1:9471, found 'http://gpu-1'",
        "7:10: '_x' cannot name an app: letters, digits, . _ : / -, no leading _",
        "7:35: expected gpu-1:8000, or gpu-1:8000/its/metrics, found 'gpu-1'",
        "7:48: web: expected a list of addresses, such as [gpu-1, gpu-2]",
    ] == [line.removeprefix(f"{file}:") for line in result.stderr.splitlines()]


def test_a_site_file_that_is_not_there(tmp_path: Path) -> None:
    """It is told, and nothing is written."""
    result = CliRunner().invoke(main, ["assets", str(tmp_path), "--site", str(tmp_path / "no")])

    assert (2, f"{tmp_path}/no: cannot be read: No such file or directory\n") == (
        result.exit_code,
        result.stderr,
    )


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(zone=NAMES, currency=NAMES, price=st.floats(-1000, 1000), budget=st.floats(0, 1e20))
def test_any_word_and_number_come_through(
    zone: str, currency: str, price: float, budget: float
) -> None:
    """What a user may write into YAML is what the rules say; no quote or colon breaks the file."""
    facts = Site(
        zone=zone,
        currency=currency,
        price_per_kilowatthour=price,
        budgets=Budgets(electricity_cost={"day": budget}),
    )

    text = rendered(Place(site=facts))["rules/recording/site.yml"]

    paid, left = yaml.safe_load(text)["groups"][1]["rules"]
    assert {"zone": zone, "currency": currency} == paid["labels"]
    assert {"period": "day", "currency": currency} == left["labels"]
    for value, rule in ((price, paid), (budget, left)):
        assert float(rule["expr"].removeprefix("vector(").removesuffix(")")) == pytest.approx(value)


def test_the_constants_are_those_of_the_rules() -> None:
    """A site file that says nothing of them changes nothing."""
    assert Place(targets=Targets(apps={"a": (Engine("b:1"),)})).embodied == Constants()


def test_a_file_without_a_version_is_refused(tmp_path: Path) -> None:
    """As exporter.yml: the version says which words are known."""
    file = tmp_path / "site.yml"
    file.write_text("site: {}\n")

    with pytest.raises(Invalid, match="1:1: key 'version' is missing"):
        site.load(file)
