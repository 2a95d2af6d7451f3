"""Rule files that include others."""

from pathlib import Path

import pytest

from wattgov_actuator.document.strict import Invalid
from wattgov_actuator.knobs import KNOBS
from wattgov_actuator.language.rulefile import load
from wattgov_actuator.laws import LAWS
from wattgov_actuator.rules import RuleSet

TOP = "version: 1\ninclude: [more/*.yml, other.yml]\n"


def text(name: str, top: str = "version: 1\n") -> str:
    """Return a rule file with one group of one rule."""
    rule = f"{{action: {name}, expr: e, knob: gpu_power_limit, step: -20W}}"
    return f"{top}groups:\n  - {{name: {name}, rules: [{rule}]}}\n"


def plant(folder: Path, **files: str) -> Path:
    """Write files, `__` in a name for a folder; return the one called main."""
    for name, said in files.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(exist_ok=True, mode=0o755)
        path.write_text(said)
    return folder / "main.yml"


def read(*paths: Path) -> RuleSet:
    """Return the rules of files."""
    return load(paths, LAWS, KNOBS)


def groups(rules: RuleSet) -> list[str]:
    """Return the names of the groups, in order."""
    return [group.name for group in rules.groups]


def test_included_files_follow_the_one_that_includes_them(tmp_path: Path) -> None:
    """In the order of the list, and a pattern's by name; seen from the file's own folder."""
    main = plant(
        tmp_path, main=text("a", TOP), more__2=text("c"), more__1=text("b"), other=text("d")
    )

    assert ["a", "b", "c", "d"] == groups(read(main))


def test_a_file_may_only_include(tmp_path: Path) -> None:
    """A folder of rules, of which each is somebody's; none at all is a mistake."""
    main = plant(tmp_path, main="version: 1\ninclude: more/*.yml\n", more__1=text("b"))

    assert ["b"] == groups(read(main))

    (tmp_path / "more" / "1.yml").unlink()

    with pytest.raises(Invalid, match="there is no group in it, nor in what it includes"):
        read(main)


def test_each_file_is_read_once(tmp_path: Path) -> None:
    """Files that include each other, or are given too, are no trouble."""
    main = plant(
        tmp_path,
        main=text("a", "version: 1\ninclude: other.yml\n"),
        other=text("b", "version: 1\ninclude: [main.yml, other.yml, 'o*.yml', ./last.yml, l*]\n"),
        last=text("c"),
    )

    assert ["a", "b", "c"] == groups(read(main, main))
    assert ["b", "c", "a"] == groups(read(tmp_path / "other.yml", main))


@pytest.mark.parametrize(
    ("top", "inner", "enforces"),
    [
        ("enforce: true\n", "", True),
        ("enforce: true\n", "enforce: false\n", False),
        ("", "enforce: true\n", False),
    ],
)
def test_who_includes_speaks_for_the_included(
    tmp_path: Path, top: str, inner: str, enforces: bool
) -> None:
    """Unless that one says itself; a file that is included arms nothing."""
    main = plant(
        tmp_path,
        main=text("a", f"version: 1\ninclude: other.yml\n{top}"),
        other=text("b", f"version: 1\n{inner}"),
    )

    assert enforces == read(main).enforce


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """Each with its own file; names are unique over all of them."""
    main = plant(
        tmp_path,
        main=text("a", "version: 1\ninclude: [nowhere.yml, other.yml]\n"),
        other=text("a").replace("step", "stp"),
    )
    with pytest.raises(Invalid) as error:
        read(main)
    lines = str(error.value).splitlines()

    assert f"{main}:2:11: include: there is no file {tmp_path}/nowhere.yml" in lines
    assert any("there is another group called 'a'" in line for line in lines)
    assert any("unknown key 'stp'" in line for line in lines)


def test_where_a_file_was_looked_for_is_told_whole(tmp_path: Path) -> None:
    """The end of a long path is what tells one from another."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    main = plant(folder, main=text("a", "version: 1\ninclude: [nowhere.yml, no/*.yml]\n"))

    with pytest.raises(Invalid) as error:
        read(main)

    assert f"there is no file {folder}/nowhere.yml" in str(error.value)
    assert f"there is no folder {folder}/no" in str(error.value)


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """A new file in it would be a new rule."""
    main = plant(tmp_path, main=text("a", "version: 1\ninclude: more/*.yml\n"), more__1=text("b"))
    (tmp_path / "more").chmod(0o777)
    with pytest.raises(Invalid, match=r"others can put files into .*; run: chmod go-w"):
        read(main)


@pytest.mark.parametrize("name", ["x" * 300 + ".yml", "y" * 300 + "/*.yml"])
def test_a_name_that_no_file_can_have_is_a_mistake(tmp_path: Path, name: str) -> None:
    """Never a traceback."""
    main = plant(tmp_path, main=text("a", f"version: 1\ninclude: {name}\n"))
    with pytest.raises(Invalid, match="cannot be read: File name too long"):
        read(main)


def test_the_rules_have_a_name_of_their_own(tmp_path: Path) -> None:
    """It is another one when an included file is."""
    main = plant(tmp_path, main=text("a", TOP), more__1=text("b"), other=text("d"))
    before = read(main).sha256

    assert before == read(main).sha256

    (tmp_path / "other.yml").write_text(text("e"))

    assert before != read(main).sha256
