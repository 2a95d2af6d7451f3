"""The control laws: a law is one file and one line here."""

from wattgov_actuator.laws import budget, hibernate, minimise, pid, threshold
from wattgov_actuator.rules import LawForm

LAWS: dict[str, LawForm] = {
    "threshold": threshold.FORM,
    "pid": pid.FORM,
    "minimise": minimise.FORM,
    "budget": budget.FORM,
    "hibernate": hibernate.FORM,
}
