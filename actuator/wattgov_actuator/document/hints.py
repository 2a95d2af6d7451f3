"""What was probably meant by a word that is not known."""

from collections.abc import Sequence
from difflib import get_close_matches

LONGEST = 80  # nothing that is known is longer
LIKE = 0.65  # 'fro' is like 'for', 'alert' is not like 'scale'


def closest(name: str, known: Sequence[str]) -> str | None:
    """Return the known word that is most like *name*, if one is like it at all."""
    lower = {each.lower(): each for each in reversed(known)}  # of several, the first
    found = get_close_matches(name[:LONGEST].lower(), lower, 1, LIKE)
    return lower[found[0]] if found else None


def hint(
    name: str, known: Sequence[str], else_list: Sequence[str] | None = None, what: str = ""
) -> str:
    """Return the end of a message: the word that was meant, else all that *what* takes."""
    close = closest(name, known)
    if close:
        return f": did you mean '{close}'?"
    takes = f"; in this version {what} takes " if what else "; known: "
    return takes + (", ".join(known if else_list is None else else_list) or "none")
