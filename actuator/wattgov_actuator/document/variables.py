"""`${NAME}` and `${NAME:-default}` in the values of a rule file: filled in from the environment.

After the YAML is read, so that a value stays one value whatever it holds. What a variable holds is
repeated by no mistake: it may be a secret.
"""

import re
from collections.abc import Iterator, Mapping

import yaml

from wattgov_actuator.document.tree import line_of

# `${1}` is PromQL's, in label_replace; `$${` is a plain `${`.
VARIABLE = re.compile(
    r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-((?:[^{}]|\{[^{}]*\})*))?\}|(\$\{)(?![0-9]+\})"
)
WORD = re.compile(r"\w{3,}")
OPEN = re.compile(r"[+-]?[0-9.]{1,8} ?[A-Za-z%]{0,3}")  # a number with a unit is no secret


class Filled(yaml.ScalarNode):
    """A value into which the environment was filled."""

    def __init__(self, node: yaml.ScalarNode, value: str, held: tuple[str, ...]) -> None:
        super().__init__(node.tag, value, node.start_mark, node.end_mark, node.style)
        self.written, self.held = str(node.value), held

    def hidden(self, message: str) -> str:
        """Return *message* with what is written in place of what the variables hold."""
        value, written = line_of(self.value), line_of(self.written)
        secrets = [each for each in self.held if not OPEN.fullmatch(each)]
        words = [word for each in secrets for word in (each, *WORD.findall(each))]
        told = message.replace(value, written) if secrets else message
        if any(word in told.replace(written, "") for word in words):
            told = told.partition(": did you mean")[0]
        if any(word in told.replace(written, "") for word in words):
            return f"what {written} becomes in this environment does not fit here"
        return told if told == message else f"{told} (with the environment filled in)"


def fill(
    root: yaml.Node, environment: Mapping[str, str], used: dict[str, str]
) -> Iterator[tuple[yaml.Node, str]]:
    """Fill in all values below *root*, and yield what cannot be; *used* takes what was read."""
    made: dict[int, yaml.Node] = {}
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and VARIABLE.search(key.value):
                    yield (
                        key,
                        f"a variable may stand in a value, not in the key '{line_of(key.value)}'",
                    )
            values = [value for _, value in node.value]
        else:
            values = node.value
        for value in values:
            if isinstance(value, yaml.ScalarNode) and id(value) not in made and "${" in value.value:
                wrong = [*_wrong(value.value, environment)]
                yield from ((value, each) for each in wrong)
                made[id(value)] = value if wrong else _filled(value, environment, used)
        if isinstance(node, yaml.MappingNode):
            node.value = [(key, made.get(id(value), value)) for key, value in node.value]
        else:
            node.value = [made.get(id(value), value) for value in values]
        waiting += values


def _wrong(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    for plain, name, default, inner, broken in VARIABLE.findall(text):
        if broken:
            yield (
                "'${' begins a variable, ${NAME} or ${NAME:-default}, which this is not; "
                "a plain '${' is written '$${'"
            )
        elif not plain and not default and name not in environment:
            advice = f"set it, or give a default: ${{{name}:-...}}"
            yield f"the environment has no {name}; {advice}"
        elif default and not environment.get(name):
            yield from _wrong(inner, environment)


def _filled(
    node: yaml.ScalarNode, environment: Mapping[str, str], used: dict[str, str]
) -> yaml.ScalarNode:
    held = []

    def text_of(match: re.Match[str]) -> str:
        if match[1] or not match[2]:
            return match[1] or match[0]
        found = environment.get(match[2], "")
        if found:
            held.append(found)
        used[match[2]] = found
        return found or VARIABLE.sub(text_of, match[4] or "")

    value = VARIABLE.sub(text_of, node.value)
    return Filled(node, value, tuple(held)) if value != node.value else node
