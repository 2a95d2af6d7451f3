"""What is wrong with a file, as FILE:LINE:COLUMN: message."""

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from wattgov_actuator.document.tree import Loader, problem, tangled
from wattgov_actuator.document.variables import Filled


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing wrong with a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return the form that editors jump to."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class Invalid(Exception):
    """Input that cannot be used; holds every mistake found, in file order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))  # an alias is read where it stands
        super().__init__("\n".join(map(str, self.mistakes)))


def compose(text: str, file: str) -> yaml.Node:
    """Return the root node of one YAML document; raises Invalid."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise Invalid([Mistake(file, *problem(error, text))]) from None
    if root is None:
        raise Invalid([Mistake(file, 1, 1, "the file is empty")])
    if (knot := tangled(root)) is not None:
        raise Invalid([mistake_at(knot[0], file, knot[1])])
    return root


def mistake_at(node: yaml.Node, file: str, message: str) -> Mistake:
    """Return a mistake at a node."""
    mark = node.start_mark
    told = node.hidden(message) if isinstance(node, Filled) else message
    return Mistake(file, mark.line + 1, mark.column + 1, told)
