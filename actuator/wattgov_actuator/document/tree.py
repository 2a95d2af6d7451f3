"""One YAML document as a tree of nodes: what is wrong with it, in words for who wrote it.

PyYAML's own sentences are about its grammar; here they are about the file.
"""

import re
from collections.abc import Iterator

import yaml

DEEPEST = 50  # PyYAML calls itself for each level
LARGEST = 50_000  # values, aliases counted as often as they are read
STANDARD = "tag:yaml.org,2002:"
MERGE = f"{STANDARD}merge"
NULL = f"{STANDARD}null"
SPACES = "\n\t "

# What PyYAML says, as a pattern -> what to say; {quoted} is what it quotes, {line} where it began.
PHRASES = {
    "too deep": "nested too deeply",
    "too many": f"more than {LARGEST} values; give several files, or include them",
    r"found character '\\t'": "a tab; indent with spaces",
    "cannot start any token": "a text that begins with {quoted} needs quotes around it",
    "duplicate anchor": "the anchor &{quoted} is here for the second time; give it another name",
    "undefined alias": "no anchor &{quoted} stands above; an alias is of an earlier one",
    "document start": "what stands above is complete; compare the indentation with the first line",
    "another document": "a second document begins here; put it into a file of its own",
    "mapping (values|keys)": "': ' cannot stand here; put quotes around the text, or look at the "
    "line above for a missing ':' or another indentation",
    "find expected ':'": "a key without ':' ends here; write 'key: value'",
    "sequence entries": "'- ' cannot stand here; put each item on a line of its own",
    "<block end>": "this line is indented unlike those that it goes with",
    "expected ',' or": "the bracket that line {line} opens is not closed before this; close it, or "
    "put quotes around a text that holds brackets or colons",
    "expected the node content": "there is no value where one must be; between brackets put "
    "commas, and no '- '",
    "end of stream|document separator": "the quote that line {line} opens is not closed",
    "unknown escape": "\\{quoted} is no escape between double quotes; between single quotes, a "
    "backslash is itself",
    "chomping|line break": "behind | or > the text begins on the next line; put quotes around a "
    "text that begins with one of them",
    "": "this is not the grammar of YAML ({said})",
}
AFTER_QUOTES = "the text goes on behind its closing quote; put quotes around all of it"
NOT_YAML = "not YAML: "


class Loader(yaml.SafeLoader):
    """PyYAML's, with limits to depth and number."""

    depth = count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; raises ComposerError when there are too many."""
        self.count += 1
        if self.depth > DEEPEST or self.count > LARGEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            wrong = "too deep" if self.depth > DEEPEST else "too many"
            raise yaml.composer.ComposerError(None, None, wrong, mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def problem(error: Exception, text: str) -> tuple[int, int, str]:
    """Return line, column (from 1) and sentence of what kept *text* from being composed."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return line, column, NOT_YAML + _phrase(error, text)
    if isinstance(error, yaml.reader.ReaderError):
        where = text[: error.position]
        line, column = where.count("\n") + 1, len(where) - where.rfind("\n")
        return line, column, f"{NOT_YAML}the character {_code(error.character)} is not allowed"
    return 1, 1, f"{NOT_YAML}it holds a number that is too large for what it is"  # an escape, %YAML


def tangled(root: yaml.Node) -> tuple[yaml.Node, str] | None:
    """Return a node whose aliases cannot be followed to an end, and why."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    waiting = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(each)] for each in _inside(node))
            if sizes[id(node)] > LARGEST:
                return node, f"with its aliases it holds more than {LARGEST} values; use fewer"
        elif id(node) in open_nodes:
            return node, "an alias stands inside what it is an alias of"
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            waiting.append((node, True))
            waiting += [(each, False) for each in _inside(node)]
    return None


def oddities(root: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    """Yield the nodes, each once, that YAML allows and no rule file means."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if not node.tag.startswith(STANDARD):
            files = "; other files are read by include: [...]" if "include" in node.tag else ""
            yield node, f"the tag {node.tag} means nothing here; take it out{files}"
        if isinstance(node, yaml.ScalarNode):
            bad = next((each for each in node.value if not _plain(each)), None)
            if bad is not None:
                yield node, f"the text holds the character {_code(bad)}; take it out"
        waiting += _inside(node)


def is_nothing(node: yaml.Node) -> bool:
    """Tell whether nothing, `~` or `null` stands there."""
    return isinstance(node, yaml.ScalarNode) and node.tag == NULL and node.style is None


def kind(node: yaml.Node) -> str:
    """Return what stands there, as a message says it."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_nothing(node) or not node.value else f"'{line_of(node.value)}'"


def brackets(node: yaml.Node, wanted: str) -> str:
    """Return what helps where PromQL's brackets were read as YAML's."""
    flow = isinstance(node, yaml.CollectionNode) and node.flow_style and wanted == "text"
    return "; put quotes around a text that begins with a bracket" if flow else ""


def line_of(text: str, longest: int = 80) -> str:
    """Return *text* on one line of a message: cut, without line ends and control characters."""
    words = " ".join(text.split())
    shown = "".join(each if _plain(each) else _code(each) for each in words)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _plain(character: str) -> bool:
    return character.isprintable() or character in SPACES


def _code(character: str | int) -> str:
    return f"U+{character if isinstance(character, int) else ord(character):04X}"


def _phrase(error: yaml.MarkedYAMLError, text: str) -> str:
    said = f"{error.context or ''}: {error.problem or ''}"
    mark, began = error.problem_mark, error.context_mark
    if mark and re.search("<block end>|comment or a line break", said):
        before = "".join(text.splitlines()[mark.line : mark.line + 1])[: mark.column]
        if re.search(r"""["']\s*[>|]?\s*$""", before):
            return AFTER_QUOTES
    phrase = next(phrase for known, phrase in PHRASES.items() if re.search(known, said))
    quoted = re.search(r"'([^']+)'", error.context or "") or re.search(r"'([^']+)'", said)
    return phrase.format(
        quoted=line_of(quoted[1]) if quoted else "it",
        line=began.line + 1 if began else "above",
        said=line_of(error.problem or "unknown"),
    )
