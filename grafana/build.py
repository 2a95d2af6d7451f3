"""Write grafana/dashboards/*.json from grafana/*.yml, or only compare them with --check."""

import argparse
import sys
from pathlib import Path

from wattgov_grafana import pages

HERE = Path(__file__).parent


def dashboards() -> dict[Path, str]:
    """Return the text of every dashboard by the path where it belongs."""
    return pages.dashboards(HERE)


def main() -> None:
    """Write the dashboards, or only compare them."""
    parser = argparse.ArgumentParser(description="Lay out the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one differs")
    check = parser.parse_args().check
    for path, text in dashboards().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            sys.exit(f"{path} is not what its source says; run: python grafana/build.py")
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
