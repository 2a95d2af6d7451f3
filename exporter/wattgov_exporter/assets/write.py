"""Put everything into a folder, or nothing."""

from pathlib import Path

from wattgov_exporter.assets.render import rendered
from wattgov_exporter.assets.site import Place

FOLDERS = (
    "rules/recording",
    "rules/actuator",
    "alerting",
    "grafana/dashboards",
    "grafana/provisioning",
    "deploy/systemd",
)
"""What is shipped; what the files are built from stays in the checkout."""

SUFFIXES = {".yml", ".json", ".tmpl", ".md", ".service"}


def folder(name: str) -> Path:
    """Return where a data folder lies: in an installed package, else in the checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parents[1] / name


def write(target: Path, place: Place, site_file: bytes | None = None) -> list[Path]:
    """Write all files into *target*; return them.

    *site_file* is the user's own, kept beside what was made from it. Raises FileExistsError before
    anything is written when a file is there already, OSError when one cannot be written.
    """
    contents = {
        f"{name}/{source.relative_to(folder(name))}": source.read_bytes()
        for name in FOLDERS
        for source in sorted(folder(name).rglob("*"))
        if source.is_file() and source.suffix in SUFFIXES
    }
    contents |= {name: text.encode() for name, text in rendered(place).items()}
    if site_file is not None:
        contents["site.yml"] = site_file
    paths = {target / name: content for name, content in sorted(contents.items())}
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} is there already; give an empty folder, or remove it")
    for path, content in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return list(paths)
