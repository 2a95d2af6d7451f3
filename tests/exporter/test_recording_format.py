"""The format of recordings: what is written is read back, and mistakes have their place."""

import errno
import re
import types
from dataclasses import is_dataclass, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattgov_exporter.reading import Readings, Reason
from wattgov_exporter.recording.format import (
    Fact,
    Moment,
    Recording,
    changes,
    escape,
    load,
    parse,
    text,
    unescape,
)
from wattgov_exporter.recording.words import Word, facts, words
from wattgov_web.mistakes import Invalid

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
PARTS = NAMES.filter(lambda name: name not in {".", ".."} and len(name) < 50)
FACTS = st.one_of(
    st.builds(Fact, st.binary()),
    st.builds(Fact, error=st.sampled_from(sorted(errno.errorcode.values()))),
)
STATE = st.dictionaries(st.builds("sys/{}/{}".format, PARTS, PARTS), FACTS, max_size=5)
LINKS = st.dictionaries(
    st.builds("proc/{}/{}".format, PARTS, PARTS), st.builds(Fact, link=PARTS), max_size=2
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Draw one, with remarks, links in its first moment, and moments in milliseconds."""
    times = sorted(draw(st.sets(st.integers(1, 10**9), max_size=4)))
    first = Moment(0.0, {**draw(LINKS), **draw(STATE)})
    words = st.text("abc #=!", max_size=9).map(str.strip)
    remarks = tuple(draw(st.lists(words, max_size=3)))
    rest = [Moment(one / 1000, draw(STATE)) for one in times]
    return Recording((first, *rest), remarks)


@given(recordings())
def test_what_is_written_is_read_back(recording: Recording) -> None:
    """Any bytes in any file, any error, any name: the text holds it all, in any order of lines."""
    assert recording == parse(text(recording), "it")


@given(recordings())
def test_line_ends_of_another_system(recording: Recording) -> None:
    """A form on the web may have changed the ends of lines, and an editor cut blanks."""
    sent = "\r\n".join(line.rstrip(" ") for line in text(recording).split("\n"))

    assert recording == parse(sent, "it")


@given(st.lists(STATE, min_size=1, max_size=4))
def test_only_changes_are_listed(states: list[dict[str, Fact]]) -> None:
    """Each moment's whole comes back from what changed, what went away included."""
    whole = [
        {path: fact for path, fact in state.items() if fact.error != "ENOENT"} for state in states
    ]
    moments = [Moment(0.0, whole[0])]
    for before, after in pairwise(whole):
        moments.append(Moment(moments[-1].at + 1, changes(before, after)))

    assert whole == [state for _, state in Recording(tuple(moments)).states()]


@given(st.binary())
def test_escaped_bytes_are_visible(raw: bytes) -> None:
    """No byte hides, and none is lost."""
    shown = escape(raw)

    assert shown.isprintable()
    assert shown == shown.strip()
    assert raw == unescape(shown)


def test_a_recording_is_easy_to_read() -> None:
    """One line a file; the last line's end is left out, and told where there is none."""
    recording = Recording(
        (
            Moment(0.0, {"sys/a b": Fact(b"7\n"), "proc/1/cmdline": Fact(b"a\0b\\")}),
            Moment(1.5, {"sys/a b": Fact(error="EIO"), "proc/stat": Fact(b"cpu  1\ncpu0\t1\n")}),
        ),
        ("An example.",),
    )

    assert text(recording).splitlines() == [
        "# An example.",
        "sys/a\\x20b = 7",
        "proc/1/cmdline = a\\x00b\\\\\\c",
        "at 1.500s",
        "sys/a\\x20b ! EIO",
        "proc/stat = cpu  1\\ncpu0\\t1",
    ]


FORMS = "expected `PATH = CONTENT`, `PATH ! ERROR`, `PATH -> NAME` or `at SECONDSs`"
OUTSIDE = "is no path that could be in a recording"


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("sys/a", f"4: {FORMS}"),
        ("at 5 s", f"4: {FORMS}"),
        ("at 1s", "4: at 1s does not come after 2s"),
        ("sys/a ! EODD", "4: 'EODD' is no name of an error, such as EACCES"),
        ("sys/a = \\q", "4: '\\\\q' is no escape: \\n, \\t, \\\\ and \\xNN are"),
        ("etc/passwd = x", "4: 'etc/passwd' does not begin with sys/, proc/, said/"),
        ("/sys/a = x", "4: '/sys/a' does not begin with sys/, proc/, said/"),
        ("sys/../../etc/x = x", f"4: 'sys/../../etc/x' {OUTSIDE}"),
        ("sys/\\x2e./x = x", f"4: 'sys/../x' {OUTSIDE}"),
        ("sys/d -> ../../etc", "4: a link leads to one name, not to '../../etc'"),
        ("sys/d -> ..", "4: a link leads to one name, not to '..'"),
        ("sys/old/file = x", "2: sys/old is a file here and a folder elsewhere"),
        ("sys/old = x\nsys/old = y", "5: sys/old stands twice in this moment"),
    ],
)
def test_mistakes_have_their_place(line: str, mistake: str) -> None:
    """Each is a sentence with file and line; a path never leaves the folder it is put in."""
    with pytest.raises(Invalid) as invalid:
        parse(f"# a\nsys/old = 1\nat 2s\n{line}\n", "m.txt")

    assert [f"m.txt:{mistake}"] == invalid.value.mistakes


def test_all_mistakes_at_once() -> None:
    """Nobody mends a file line by line."""
    with pytest.raises(Invalid) as invalid:
        parse("a\nb\n", "m.txt")

    assert ["m.txt:1", "m.txt:2"] == [one[:7] for one in invalid.value.mistakes]


def test_a_link_stays() -> None:
    """What hangs below a link would else be elsewhere at each moment."""
    with pytest.raises(Invalid) as invalid:
        parse("sys/d -> one\nat 1s\nsys/d -> two\n", "m.txt")

    assert ["m.txt:3: sys/d is a link, which stays as it is"] == invalid.value.mistakes


def test_what_is_no_text(tmp_path: Path) -> None:
    """A picture, say, is told by its first line that is none."""
    (tmp_path / "m.txt").write_bytes(b"# a\n\xff\xd8\n")

    with pytest.raises(Invalid) as invalid:
        load(tmp_path / "m.txt")

    assert [f"{tmp_path}/m.txt:2: not UTF-8 text: this is no recording"] == invalid.value.mistakes


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401  a type, or what typing makes of one
    """Draw any value of a type of the vocabulary, whatever fields it has by now."""
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        (arm,) = [one for one in get_args(kind) if one is not type(None)]
        return st.none() | values(arm)
    if isinstance(kind, type) and is_dataclass(kind):
        return st.builds(kind, **{name: values(one) for name, one in get_type_hints(kind).items()})
    if origin is not None:
        return collections(origin, get_args(kind))
    if issubclass(kind, StrEnum):
        return st.sampled_from(list(kind))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        float: st.floats(allow_nan=False),
        int: st.integers(),
        bool: st.booleans(),
        str: st.text(st.characters(exclude_categories=["Cs"])),
    }
    return simple[kind]


def collections(origin: type, arms: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Draw a tuple, a set or a mapping."""
    if origin is tuple and arms[-1] is Ellipsis:
        return st.lists(values(arms[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arms))
    if origin is frozenset:
        return st.frozensets(values(arms[0]))
    return st.dictionaries(values(arms[0]), values(arms[1]), max_size=2)


@given(values(Word))
def test_words_are_read_back(word: Word) -> None:
    """Whatever a source may say is said again, also by fields that were added since."""
    said = replace(word, readings=replace(word.readings or Readings(()), pods=None))

    back = words(parse(text(Recording((Moment(0.0, facts("bmc", said)),))), "it").moments[0].facts)

    assert said == replace(back["bmc"], readings=back["bmc"].readings or Readings(()))


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("reason = odd", "1: x/reason: 'odd' is not what it should be"),
        ("detail = no reason", "1: x lacks 'reason'"),
        ("volume = 11", "1: x has no 'volume'; another version wrote this"),
        ("interval_seconds = soon", "1: x/interval_seconds: 'soon' is not what it should be"),
        ("interval_seconds/0 = 1", "1: x/interval_seconds is one value, and has parts here"),
        ("readings = 1", "1: x/readings has parts, and is one value here"),
    ],
)
def test_a_word_that_is_none(line: str, mistake: str) -> None:
    """It is told with its line."""
    with pytest.raises(ValueError, match=re.escape(mistake)):
        words(parse(f"said/x/{line}", "it").moments[0].facts)


def test_a_refusal_is_two_lines() -> None:
    """What goes without saying is not said."""
    lines = facts("rapl", Word(Reason.PERMISSION, "root only"))

    assert {
        "said/rapl/reason": Fact(b"permission\n"),
        "said/rapl/detail": Fact(b"root only\n"),
    } == lines
