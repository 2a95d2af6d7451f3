"""The control laws: a law is one file and one line here."""

from wattgov_actuator.laws import threshold
from wattgov_actuator.rules import LawForm

LAWS: dict[str, LawForm] = {
    "threshold": threshold.FORM,
}
