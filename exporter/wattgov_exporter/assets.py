"""The rules, alerts and dashboards that come with the package."""

import shutil
from pathlib import Path

FOLDERS = ("rules", "alerting", "grafana")


def folder(name: str) -> Path:
    """Return where a data folder lies: in an installed package, else in the checkout."""
    packaged = Path(__file__).parent / "_data" / name
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / name


def write(target: Path) -> list[Path]:
    """Copy all data folders into *target*; return the files written.

    Raises FileExistsError before anything is written when a file is there already.
    """
    pairs = [
        (source, target / name / source.relative_to(folder(name)))
        for name in FOLDERS
        for source in sorted(folder(name).rglob("*"))
        if source.is_file() and source.suffix in {".yml", ".json", ".tmpl", ".md"}
    ]
    for _, copy in pairs:
        if copy.exists():
            raise FileExistsError(f"{copy} is there already; give an empty folder, or remove it")
    for source, copy in pairs:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    return [copy for _, copy in pairs]
