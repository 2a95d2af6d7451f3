"""Kubernetes: what its API turns, by plain HTTP (docs/decisions/0006)."""

from wattgov_actuator.connection import Connection
from wattgov_actuator.knobs.kubernetes.api import Api
from wattgov_actuator.knobs.kubernetes.jobs import Jobs
from wattgov_actuator.knobs.kubernetes.replicas import Replicas
from wattgov_actuator.knobs.kubernetes.sleep import Sleep
from wattgov_actuator.machine import Machine
from wattgov_actuator.reading import Knob


def open_knob(machine: Machine, way: Connection) -> Knob:  # noqa: ARG001 (a backend)
    """Return the knob that a connection is about."""
    api = Api(way)
    if way.knob == "batch_jobs":
        return Jobs(api, way)
    return Replicas(api, way) if way.knob == "replicas" else Sleep(api, way)
