"""Values of which a tick makes one for each rule at each target.

`dataclass(frozen=True)` sets every field by a call of object.__setattr__, since the class itself is
locked: a third of a quiet tick was spent so. The lock of a record is the type checker's alone; at
run time it costs what a plain object costs.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a dataclass with slots, whose fields nobody may set."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
