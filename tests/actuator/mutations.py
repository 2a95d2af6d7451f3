"""Rule files as nobody would write them: right and wrong ones, changed by a seeded hand."""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LARGEST = 6_000  # bytes; what a starter file has without its comments, a few times over
HEAD = "version: 1\ngroups:\n  - name: shown\n    rules:\n"  # of a page that shows rules alone
TOKENS = (
    *("{", "}", "[", "]", ":", ": ", "- ", "? ", ", ", "#", " #", "|", ">", "|-\n", ">+2\n"),
    *("\t", "&a ", "*a", "&a [*a]", "<<: *a", "!!str ", "!x ", "!!binary ", "---\n", "...\n"),
    *("%YAML 1.1\n", "'", '"', '"\\x', '"\\uD800"', '"\\UFFFFFFFF"', '"\\0"', "\\"),
    *("`", "@", "\r", "\u2028", "\ufeff", "~", "null", "true", "no", ".inf", "-.nan", "1e400"),
    *("-0", "0x1F", "1_000", "1:30", "9" * 400, "20W", "-20", "5%", "1e3W", "60s", "2GHz"),
    *("0W", "-1%", "\u0662\u0660W", "1d", "down", "up", "learned", "${X}", "${X:-1}", "$${"),
    *("${", "${1}", "$", "sum(", "rate(x)", "[5m]", "by (gpu)", "> 3", "(((", "version: 1\n"),
    *("groups:\n", "rules:\n", "include: '*'\n", "include: .\n", "enforce: true\n", "min:"),
    *("max:", "pid: {target: 1}\n", "minimise:", "budget: 1W\n"),
    *("knobs:\n", "policies:\n", "expect: {draw: x}\n", "hibernate: {idle: 1s}\n", "asleep"),
    *("{{ value }}", "{{ labels.a.b }}", "{% for x in y %}", "{{ 1 / 0 }}"),
    *("{{ value | dictsort }}", "http://[::1", "https://a:b@c", "http://x:99999", "/a/~2", "url:"),
    *("targets: {only: {a: '(a+)+$'}}", "\x00", "\x1b[31m", "a{1,9999999999}", "(?P<a", "[[a"),
    *("Europe/Paris", "../..", "00:00-24:00"),
)  # fmt: skip


def right() -> list[str]:
    """Return the starter files, what the docs show, and files with every key."""
    folders = (ROOT / "rules" / "actuator", ROOT / "docs", ROOT / "tests" / "good")
    files = [path for folder in folders for path in sorted(folder.glob("*.yml"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.name != "exporter.yml"]
    readme = (ROOT / "actuator" / "README.md").read_text(encoding="utf-8")
    shown = [part.split("```")[0] for part in readme.split("```yaml\n")[1:]]
    shown = [part for part in shown if "kind: EnergyPolicy" not in part]  # has a schema of its own
    return [*texts, *(f"{HEAD if part.startswith(' ') else ''}{part}" for part in shown)]


def wrong() -> list[str]:
    """Return the bad files, of which each has its golden message."""
    paths = sorted((ROOT / "tests" / "bad").glob("*.yml"))
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def bare(text: str) -> str:
    """Return a rule file without its comments, which nothing would come of."""
    return re.sub(r"(?m)^\s*#.*\n|\s+#.*$", "", text)


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Yield *count* files; the same *seed* yields the same."""
    hand = random.Random(seed)
    good, bad = list(map(bare, right())), list(map(bare, wrong()))
    texts = [*good, *bad]
    for _ in range(count):
        text = hand.choice(hand.choice((good, bad)))
        for _ in range(hand.choice((1, 1, 1, 1, 2, 3, 6))):
            text = hand.choice(KINDS)(hand, text, texts)
        raw = text[:LARGEST].encode(errors="surrogatepass")
        yield _bytes(hand, raw) if hand.random() < 0.03 else raw


def _lines(hand: random.Random, text: str, _: Sequence[str]) -> str:
    """Delete, double, swap or move lines."""
    lines = text.splitlines(keepends=True) or [""]
    one, other = hand.randrange(len(lines)), hand.randrange(len(lines))
    match hand.randrange(4):
        case 0:
            del lines[one : one + hand.randint(1, 3)]
        case 1:
            lines[one:one] = lines[one : one + hand.randint(1, 9)]
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines.insert(other, lines.pop(one))
    return "".join(lines)


def _indentation(hand: random.Random, text: str, _: Sequence[str]) -> str:
    lines = text.splitlines(keepends=True) or [""]
    one = hand.randrange(len(lines))
    for number in range(one, min(one + hand.choice((1, 1, 4)), len(lines))):
        lines[number] = hand.choice((" ", "  ", "\t", "")) + lines[number].removeprefix("  ")
    return "".join(lines)


def _characters(hand: random.Random, text: str, _: Sequence[str]) -> str:
    at = hand.randint(0, len(text))
    new = chr(hand.choice((hand.randrange(128), hand.randrange(0x3000), hand.randrange(0xD000))))
    return text[:at] + new + text[at + hand.randint(0, 2) :]


def _tokens(hand: random.Random, text: str, _: Sequence[str]) -> str:
    at = hand.randint(0, len(text))
    return text[:at] + hand.choice(TOKENS) + text[at + hand.choice((0, 0, 1, 8)) :]


def _values(hand: random.Random, text: str, _: Sequence[str]) -> str:
    """Put another type, number or unit at the end of a line, or for a number."""
    found = list(re.finditer(r"(?<=: )[^\n{}]+|[0-9.]+(?:[A-Za-z%]+)?|\b[a-z_]+(?=:)", text))
    if not found:
        return text
    match, new = hand.choice(found), hand.choice(TOKENS)
    new = hand.choice((new, f"[{new}]", f"{{a: {new}}}", f"'{new}'", f'"{new}"', ""))
    return text[: match.start()] + new + text[match.end() :]


def _end(hand: random.Random, text: str, _: Sequence[str]) -> str:
    return text[: hand.randint(0, len(text))]


def _splice(hand: random.Random, text: str, texts: Sequence[str]) -> str:
    other = hand.choice(texts)
    return text[: hand.randint(0, len(text))] + other[hand.randint(0, len(other)) :]


def _bytes(hand: random.Random, raw: bytes) -> bytes:
    at = hand.randint(0, len(raw))
    return raw[:at] + hand.randbytes(hand.randint(1, 4)) + raw[at + 1 :]


def _swapped(hand: random.Random, text: str, texts: Sequence[str]) -> str:
    """Put a value of another place, or of another file, for one: YAML stays YAML."""
    value = r"(?<=: )[^\n,{}\[\]]+"
    found = list(re.finditer(value, text))
    others = [match[0] for match in re.finditer(value, hand.choice(texts))]
    if not found or not others:
        return text
    match = hand.choice(found)
    return text[: match.start()] + hand.choice(others) + text[match.end() :]


ROUGH = (_indentation, _characters, _tokens, _end, _splice)
KINDS = (*ROUGH, _lines, _lines, _lines, _values, _values, _values, _swapped, _swapped, _swapped)
