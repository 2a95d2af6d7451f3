"""The node as a whole: what a BMC sees, less the parts that are metered one by one. Pure."""

from dataclasses import dataclass, replace

MEMORY_SECONDS = 600.0
"""The ratio of the two meters follows the last ten minutes or so."""


@dataclass(frozen=True, slots=True)
class Composition:
    """The platform's joules against the sum of the parts'.

    A BMC answers every few seconds and the parts every tick, so *balance* (platform less parts)
    dips between its answers; what is positive after one is the rest of the node: fans, disks,
    power supplies. The two sums forget, and their ratio says whether the meters agree.
    """

    balance: float = 0.0
    parts_joules: float = 0.0
    platform_joules: float = 0.0
    pending_joules: float = 0.0

    def parts(self, joules: float) -> "Composition":
        """Return the composition after a tick of the parts."""
        return replace(
            self, balance=self.balance - joules, pending_joules=self.pending_joules + joules
        )

    def platform(self, joules: float, seconds: float) -> tuple["Composition", float]:
        """Take an answer of the platform's meter; return also the joules of the rest.

        A platform that shows less than its parts (a psys zone that the maker did not wire) leaves
        no rest, and owes no more than one answer's worth.
        """
        if seconds <= 0:  # the first answer: only from here on can the two be compared
            return replace(self, balance=0.0, pending_joules=0.0), 0.0
        keep = max(1.0 - seconds / MEMORY_SECONDS, 0.0)
        balance = self.balance + joules
        return (
            Composition(
                balance=min(max(balance, -joules), 0.0),
                parts_joules=keep * self.parts_joules + self.pending_joules,
                platform_joules=keep * self.platform_joules + joules,
            ),
            max(balance, 0.0),
        )

    @property
    def ratio(self) -> float | None:
        """Sum of the parts over the platform; None before there is something to compare."""
        return self.parts_joules / self.platform_joules if self.platform_joules > 0 else None
