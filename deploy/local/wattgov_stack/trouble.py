"""The one exception of the stack: something the user can put right."""


class Trouble(Exception):
    """A sentence: what is wrong and what to do."""
