"""The node as a whole: what a BMC sees, less the parts that are metered one by one. Pure."""

from dataclasses import dataclass, replace

MEMORY_SECONDS = 600.0
"""The ratio of the two meters follows the last ten minutes or so."""


@dataclass(frozen=True, slots=True)
class Composition:
    """The platform's joules against the sum of the parts'.

    A BMC answers every few seconds and the parts every tick, or the other way round, so *balance*
    (platform less parts) goes up and down. What is positive when all have told of the same time is
    the rest of the node: fans, disks, power supplies. The two sums forget, and their ratio says
    whether the meters agree. The *pending* are joules, and seconds, since the last settlement;
    *late* are joules of parts that came too late for theirs, and that the rest has still to repay.
    """

    balance: float = 0.0
    parts_joules: float = 0.0
    platform_joules: float = 0.0
    pending_parts_joules: float = 0.0
    pending_joules: float = 0.0
    pending_seconds: float = 0.0
    late_joules: float = 0.0

    def parts(self, joules: float, late_joules: float = 0.0) -> "Composition":
        """Return the composition after a tick of the parts; some of it may have come late."""
        return replace(
            self,
            balance=self.balance - joules,
            pending_parts_joules=self.pending_parts_joules + joules,
            late_joules=self.late_joules + late_joules,
        )

    def platform(self, joules: float, seconds: float) -> "Composition":
        """Return the composition after an answer of the platform's meter."""
        if seconds <= 0:  # the first answer: only from here on can the two be compared
            return Composition(0.0, self.parts_joules, self.platform_joules)
        return replace(
            self,
            balance=self.balance + joules,
            pending_joules=self.pending_joules + joules,
            pending_seconds=self.pending_seconds + seconds,
        )

    def settle(self) -> tuple["Composition", float]:
        """Return also the joules of the rest, once the parts have told of the platform's time.

        A platform that shows less than its parts (a psys zone that the maker did not wire) leaves
        no rest, and owes no more than it told of since the last settlement, but for what came late.
        """
        if self.pending_seconds <= 0:
            return self, 0.0
        keep = max(1.0 - self.pending_seconds / MEMORY_SECONDS, 0.0)
        balance = min(max(self.balance, -self.pending_joules - self.late_joules), 0.0)
        settled = Composition(
            balance=balance,
            late_joules=min(self.late_joules, -balance),
            parts_joules=keep * self.parts_joules + self.pending_parts_joules,
            platform_joules=keep * self.platform_joules + self.pending_joules,
        )
        return settled, max(self.balance, 0.0)

    @property
    def ratio(self) -> float | None:
        """Sum of the parts over the platform; None before there is something to compare."""
        return self.parts_joules / self.platform_joules if self.platform_joules > 0 else None
