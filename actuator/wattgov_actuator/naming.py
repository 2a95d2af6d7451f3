"""Which series name which target: each answer is sorted once a tick, and a target looks itself up.

Without this, every rule at every target would read all series, and the cost would grow with the
square of the machine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wattgov_actuator.reading import Answer, Labels, Sample, Target, uuid_of

DEVICES = ("gpu", "package")  # labels that name a device of a machine by a number
NO_SERIES = "the expression returns no series for it"
Series = tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """The series of one answer, by what they name among targets that have the same labels.

    A uuid names by itself; without one, all the labels that series and target share must agree.
    """

    by_uuid: Mapping[str, Series]
    by_labels: tuple[tuple[tuple[str, ...], Mapping[tuple[str, ...], Series]], ...]
    wide: Series  # name no device, and share no label: they are about every target, or none
    absent: str  # says that no series names a target

    def of(self, target: Target) -> Series:
        """Return the series that name *target*, in an order of their own."""
        labels = target.labels
        found = self.by_uuid.get(labels["uuid"], ()) if "uuid" in labels else ()
        for shared, by_values in self.by_labels:
            found += by_values.get(tuple([labels[key] for key in shared]), ())
        return found if len(found) < 2 else ordered(found)  # noqa: PLR2004 (one is in order)

    def count(self, targets: Iterable[Target]) -> int:
        """Return how many of *targets* the series name."""
        if not self.by_uuid and not self.by_labels:
            return 0
        if not self.by_labels:
            return sum(each.labels.get("uuid") in self.by_uuid for each in targets)
        return sum(bool(self.of(each)) for each in targets)


def named(answer: Answer, keys: Iterable[str]) -> Named:
    """Sort the series of *answer* for targets with the labels *keys*."""
    keys = tuple(keys)
    by_labels: dict[tuple[str, ...], dict[tuple[str, ...], list[Sample]]] = {}
    wide = []
    for sample in answer.without:
        labels = sample.labels
        shared = tuple([key for key in keys if key in labels])
        if shared:
            values = tuple([labels[key] for key in shared])
            by_labels.setdefault(shared, {}).setdefault(values, []).append(sample)
        elif not names_device(labels):
            wide.append(sample)
    count = len(answer.samples)
    absent = f"none of the {count} series names it" if count else NO_SERIES
    sorted_out = [
        (shared, {values: tuple(found) for values, found in by_values.items()})
        for shared, by_values in by_labels.items()
    ]
    return Named(answer.by_uuid, tuple(sorted_out), ordered(wide), absent)


def names_device(labels: Labels) -> bool:
    """Tell whether a series names a device at all."""
    return uuid_of(labels) is not None or any(each in labels for each in DEVICES)


def ordered(found: Iterable[Sample]) -> Series:
    """Return series in an order that does not depend on who sent them."""
    found = tuple(found)
    if len(found) < 2:  # noqa: PLR2004 (one is in order)
        return found
    return tuple(sorted(found, key=lambda each: (sorted(each.labels.items()), str(each.value))))
