"""Ray Serve: what a deployment takes at once, by the declarative API of the dashboard.

What is put is the whole: an application that is not in it is deleted. So all that were deployed by
a config are put again as they were, with one number changed (Ray 2.60, `serve/schema.py`). There
is no ETag: whoever deploys at the same moment may be overwritten, or overwrite.
"""

import json
from time import sleep
from typing import Any

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.web import Web, bearer
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

PATH = "/api/serve/applications/"
DEPLOYING = "DEPLOYING"
LOOK_SECONDS = 0.1
LOOKS = 600

State = dict[str, Any]  # as the server gives it


class Ray:
    """One number of one deployment."""

    def __init__(self, way: Connection) -> None:
        self._way, self._web = way, Web(way, bearer(way))
        self._field = way.text("field")
        self._met = Once(lambda: self.read(way.name))

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return counted(self._way, "requests")

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return the number that is in force, and as text what the config says of it, if it does.

        A config that leaves it out leaves it to the code.
        """
        application = self._application(self._state())
        number = self._number(self._in_force(application))
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise KnobError(Fault.UNSUPPORTED, f"{self._what} has no number {self._field}")
        return InForce(float(number), text=json.dumps(self._number(self._entry(application))))

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Put the config with another number."""
        self._put(self._state(), round(value))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put the config with what it said before us, or without it where it said nothing."""
        state, said = self._state(), json.loads(text)
        if said is None and not state.get("restores_unset_config_options"):
            said = int(value) if value.is_integer() else value  # an older one keeps ours
        self._put(state, said)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    @property
    def _what(self) -> str:
        return f"{self._way.text('deployment')} of {self._way.text('application')}"

    def _state(self) -> State:
        state = self._web.get(PATH)
        if not isinstance(state, dict) or not isinstance(state.get("applications"), dict):
            raise KnobError(Fault.LOST, f"{self._way.text('url')} is no dashboard of Ray Serve")
        return state

    def _application(self, state: State) -> State:
        name = self._way.text("application")
        found: State = state["applications"].get(name) or {}
        if self._way.text("deployment") not in found.get("deployments", {}):
            raise KnobError(Fault.LOST, f"Ray Serve runs no {self._what}")
        if not found.get("deployed_app_config"):
            detail = f"{name} was deployed by a program, not by a config: nothing can change it"
            raise KnobError(Fault.UNSUPPORTED, detail)
        return found

    def _in_force(self, application: State) -> State:
        deployment: State = application["deployments"][self._way.text("deployment")]
        return deployment.get("deployment_config") or {}

    def _entry(self, application: State) -> State:
        """Return what the config says of the deployment."""
        name = self._way.text("deployment")
        entries = application["deployed_app_config"].get("deployments") or []
        return next((each for each in entries if each["name"] == name), {"name": name})

    def _number(self, settings: State) -> object:
        key, _, inner = self._field.partition(".")
        found = settings.get(key)
        return found.get(inner) if inner and isinstance(found, dict) else found

    def _put(self, state: State, number: float | None) -> None:
        """Put all that there is, with one number; None leaves it to the code."""
        changed = self._application(state)
        configs = [
            self._config(each, number) if each is changed else each["deployed_app_config"]
            for each in state["applications"].values()
            if each.get("deployed_app_config")
        ]
        known = [each.get("source") != "declarative" for each in state["applications"].values()]
        if len(configs) + sum(known) < len(state["applications"]):
            detail = "an application has no config that could be put again, and would be deleted"
            raise KnobError(Fault.BUSY, f"{self._what} is left as it is: {detail}")
        capacity = state.get("target_capacity")
        kept = {} if capacity is None else {"target_capacity": capacity}
        self._web.told("PUT", PATH, {"applications": configs, **kept})
        self._wait(number)

    def _wait(self, number: float | None) -> None:
        """Wait until it is in force: the controller takes it up at its next turn, of 0.1 s each."""
        for _ in range(LOOKS):
            application = self._application(self._state())
            now = self._number(self._in_force(application))
            if application.get("status") != DEPLOYING or (number is not None and now == number):
                return
            sleep(LOOK_SECONDS)
        raise KnobError(Fault.BUSY, f"Ray Serve still deploys {self._what}")

    def _config(self, application: State, number: float | None) -> State:
        entry, (key, _, inner) = self._entry(application), self._field.partition(".")
        given = {name: each for name, each in entry.items() if name != key}
        if number is not None and inner:
            # What a config says takes the place of all that the code says.
            whole = entry.get(key) or self._in_force(application).get(key) or {}
            given[key] = {**whole, inner: number}
        elif number is not None:
            given[key] = number
        config: State = application["deployed_app_config"]
        entries = [
            each for each in config.get("deployments") or [] if each["name"] != given["name"]
        ]
        entries += [given] if set(given) > {"name"} else []
        others = {name: each for name, each in config.items() if name != "deployments"}
        return {**others, "deployments": entries} if entries else others


def open_knob(machine: Machine, way: Connection) -> Ray:  # noqa: ARG001 (a backend)
    """Return the knob."""
    return Ray(way)
