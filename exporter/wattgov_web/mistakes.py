"""What is wrong with a file that a user wrote: sentences, never a traceback."""

from pathlib import Path


class Invalid(Exception):
    """The file has mistakes; one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def mistakes_of(path: Path, error: Invalid | OSError) -> list[str]:
    """Return what is wrong with a file as sentences."""
    if isinstance(error, Invalid):
        return error.mistakes
    return [f"{path}: cannot be read: {error.strerror}"]
