"""Triton Inference Server: a model is loaded anew with another size, or number of instances.

Only with `--model-control-mode=explicit`. A config that is given to a load takes the place of the
whole `config.pbtxt`, so all of it is sent, as a string of JSON. A load without one answers 200 and
keeps the override: the way back is what was found before, given explicitly. The old model serves
until the new one is ready, and after every failure (server 2.51: `http_server.cc`,
`model_repository_manager.cc`).
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.count import counted
from wattgov_actuator.knobs.once import Once
from wattgov_actuator.knobs.secrets import secret
from wattgov_actuator.knobs.web import Headers, Reply, Web
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Fault, InForce, KnobError, Probe

LOAD_SECONDS = 600.0  # that a load may take
REST = 10  # times what the last load took, until the next: a tenth of the time goes into loading
UNITS = {"max_batch_size": "requests", "instances": "instances"}
FIXES: Mapping[int, str] = {
    HTTPStatus.SERVICE_UNAVAILABLE: "start tritonserver with --model-control-mode=explicit",
    HTTPStatus.INTERNAL_SERVER_ERROR: "why is in the log of tritonserver only",
    HTTPStatus.FORBIDDEN: "give header and header_value as --http-restricted-api has them",
    HTTPStatus.NOT_FOUND: "load the model, or correct its name",
}

Config = dict[str, Any]  # as the server gives it


class Triton:
    """One model."""

    def __init__(self, machine: Machine, way: Connection) -> None:
        self._way, self._steady = way, machine.steady
        self._field = way.text("field")
        self._model = quote(way.text("model"), safe="")
        self._web = Web(way, restricted(way))
        self._met = Once(lambda: self.read(way.name))
        self._rests_until = self._took = 0.0

    def probe(self) -> Probe:
        """Return the one target."""
        self._met()
        return counted(self._way, UNITS[self._field])

    def read(self, target: str) -> InForce:  # noqa: ARG002 (a Knob)
        """Return what is in the config that the model runs with."""
        found = _kept(self._config(), self._field)
        return InForce(_number(found, self._field), text=json.dumps(found))

    def write(self, target: str, value: float) -> None:  # noqa: ARG002 (a Knob)
        """Load the model anew with *value*, unless it was loaded only lately."""
        left = self._rests_until - self._steady()
        if left > 0:
            detail = (
                f"loading {self._way.text('model')} took {self._took:.3g} s, so it is loaded again "
                f"in {left:.0f} s at the earliest; putting back does not wait"
            )
            raise KnobError(Fault.BUSY, detail)
        config = self._config()
        self._load(config, _changed(_kept(config, self._field), self._field, round(value)))

    def restore(self, target: str, value: float, text: str) -> None:  # noqa: ARG002 (a Knob)
        """Put back what was found; what somebody else has changed in the config since stays."""
        self._load(self._config(), json.loads(text))

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _config(self) -> Config:
        found = self._web.get(f"/v2/models/{self._model}/config", FIXES)
        if not isinstance(found, dict):
            raise KnobError(Fault.LOST, f"{self._way.text('url')} gave no config of a model")
        return found

    def _load(self, config: Config, kept: Config) -> None:
        whole = json.dumps(_with(config, kept))
        began = self._steady()
        reply = self._web.ask(
            "POST",
            f"/v2/repository/models/{self._model}/load",
            {"parameters": {"config": whole}},
            wait_seconds=LOAD_SECONDS,
        )
        self._took = self._steady() - began
        self._rests_until = began + self._took * (1 + REST)
        if not reply.good:
            raise refusal(reply)


def restricted(way: Connection) -> Callable[[], Headers]:
    """Return what sends the header of `--http-restricted-api`, read anew each time."""

    def headers() -> Headers:
        name, value = way.text("header"), secret(way, "header_value")
        if bool(name) != bool(value):
            raise KnobError(Fault.REFUSED, "header and header_value go together; give both")
        return {name: value} if name else {}

    return headers


def refusal(reply: Reply) -> KnobError:
    """Return what an answer to a load or an unload says that is not good."""
    error = reply.fault(FIXES)
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return KnobError(Fault.UNSUPPORTED, error.detail)
    return error


def _kept(config: Config, field: str) -> Config:
    """Return the parts of a config that a change of *field* is about."""
    if field == "instances":
        return {"instance_group": config.get("instance_group")}
    batching = config.get("dynamic_batching")
    preferred = batching.get("preferred_batch_size") if isinstance(batching, dict) else None
    return {"max_batch_size": config.get("max_batch_size"), "preferred_batch_size": preferred}


def _with(config: Config, kept: Config) -> Config:
    """Return the config with these parts in it."""
    whole = {**config, **kept}
    preferred = whole.pop("preferred_batch_size", None)
    batching = config.get("dynamic_batching")
    if preferred is not None and isinstance(batching, dict):
        whole["dynamic_batching"] = {**batching, "preferred_batch_size": preferred}
    return whole


def _number(kept: Config, field: str) -> float:
    """Return the value in the parts of a config; raises KnobError."""
    try:
        if field == "instances":
            return float(kept["instance_group"][0]["count"])
        size = float(kept["max_batch_size"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise KnobError(Fault.UNSUPPORTED, f"the config of the model has no {field}") from None
    if size < 1:
        detail = "the model takes no batches (max_batch_size 0)"
        raise KnobError(Fault.UNSUPPORTED, detail)
    return size


def _changed(kept: Config, field: str, value: int) -> Config:
    """Return the parts with another value.

    No preferred size may lie above the largest: Triton refuses that, and adds one by itself. One
    at the top goes with it.
    """
    top = _number(kept, field)
    if field == "instances":
        first, *others = kept["instance_group"]
        return {"instance_group": [{**first, "count": value}, *others]}
    preferred = kept["preferred_batch_size"]
    if isinstance(preferred, list):
        preferred = sorted({value if each >= top else min(each, value) for each in preferred})
    return {"max_batch_size": value, "preferred_batch_size": preferred}


def open_knob(machine: Machine, way: Connection) -> Triton:
    """Return the knob."""
    return Triton(machine, way)
