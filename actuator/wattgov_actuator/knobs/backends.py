"""The backends: a way to reach devices is one file and one line here."""

from collections.abc import Mapping
from dataclasses import replace

from wattgov_actuator.rules import Backend, Key

HERE = "wattgov_actuator.knobs"
RANGE = {"low": Key("count", 1.0), "high": Key("count")}  # of what tells no range itself
SERVER = {"url": Key("url"), "ca_file": Key("path", optional=True)}
TOKEN = {"token": Key("secret", optional=True)}
DRAINED = {  # of whatever can sleep: our own proxy in front of it
    "proxy": Key("url", optional=True),
    "proxy_token": Key("secret", optional=True),
    "proxy_ca_file": Key("path", optional=True),
    "proxy_wait": Key("seconds", 0.0),  # for what is in flight; new requests wait meanwhile
    "proxy_idle": Key("seconds", 0.0),  # for so long, as the proxy itself has seen
}
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
CLUSTER = {  # the one that we run in, or that at `url`
    "url": Key("url", optional=True),
    "ca_file": Key("path", optional=True),
    **TOKEN,
    "account": Key("path", ACCOUNT),
}
WORKLOADS = ("replicas", "hibernate")  # of Kubernetes, one by its name

BACKENDS: dict[str, tuple[tuple[str, ...], Backend]] = {
    "file": (
        ("batch_size",),
        Backend(
            f"{HERE}.file",
            {
                "path": Key("path"),
                "pattern": Key("pattern", r"(\d+)"),
                "pid_file": Key("path", optional=True),
                "signal": Key("word", "HUP", choices=("HUP", "USR1", "USR2")),
                **RANGE,
            },
        ),
    ),
    "triton": (
        ("batch_size",),
        Backend(
            f"{HERE}.triton",
            {
                **SERVER,
                "model": Key("text"),
                "field": Key("word", "max_batch_size", choices=("max_batch_size", "instances")),
                "header": Key("text", optional=True),
                "header_value": Key("secret", optional=True),
                **RANGE,
            },
        ),
    ),
    "http": (
        ("batch_size",),
        Backend(
            f"{HERE}.http",
            {
                "read_url": Key("url"),
                "read_path": Key("pointer"),
                "write_url": Key("url_template"),
                "write_method": Key("word", "PUT", choices=("PUT", "POST", "PATCH")),
                "write_body": Key("template"),
                "restore_body": Key("template", optional=True),
                "ca_file": Key("path", optional=True),
                **TOKEN,
                **RANGE,
            },
        ),
    ),
    "limiter": (
        ("batch_size",),
        Backend(f"{HERE}.limiter", {**SERVER, **TOKEN, "high": Key("count")}),
    ),
    "ray": (
        ("batch_size",),
        Backend(
            f"{HERE}.ray",
            {
                **SERVER,
                **TOKEN,
                "application": Key("text"),
                "deployment": Key("text"),
                "field": Key("text", "max_ongoing_requests"),
                **RANGE,
            },
        ),
    ),
    "torchserve": (
        ("batch_size",),
        Backend(
            f"{HERE}.torchserve",
            {
                **SERVER,
                "key": Key("secret", optional=True),
                "model": Key("text"),
                **RANGE,
            },
        ),
    ),
    "freezer": (
        ("hibernate",),
        Backend(f"{HERE}.freezer", {"group": Key("path")}, timeout_seconds=10.0),
    ),
    "signal_stop": (
        ("hibernate",),
        Backend(f"{HERE}.signal_stop", {"pid_file": Key("path")}, timeout_seconds=15.0),
    ),
    "triton_model": (
        ("hibernate",),
        Backend(
            f"{HERE}.triton_model",
            {
                **SERVER,
                "model": Key("text"),
                "header": Key("text", optional=True),
                "header_value": Key("secret", optional=True),
            },
        ),
    ),
    "vllm": (
        ("hibernate",),
        Backend(
            f"{HERE}.vllm",
            {**SERVER, **TOKEN, "level": Key("word", "1", choices=("1", "2"))},
        ),
    ),
    "sglang": (("hibernate",), Backend(f"{HERE}.sglang", {**SERVER, **TOKEN})),
    "ollama": (
        ("hibernate",),
        Backend(
            f"{HERE}.ollama",
            {**SERVER, **TOKEN, "model": Key("text"), "keep_alive": Key("text", optional=True)},
        ),
    ),
    "llamacpp": (
        ("hibernate",),
        Backend(f"{HERE}.llamacpp", {**SERVER, **TOKEN, "model": Key("text")}),
    ),
    "torchserve_workers": (
        ("hibernate",),
        Backend(
            f"{HERE}.torchserve_workers",
            {**SERVER, "key": Key("secret", optional=True), "model": Key("text")},
        ),
    ),
    "redfish": (
        ("platform_power_limit",),
        Backend(
            f"{HERE}.redfish",
            {
                "url": Key("url"),
                "username": Key("text", optional=True),
                "password": Key("secret", optional=True),
                "ca_file": Key("path", optional=True),
                "chassis": Key("text", optional=True),
                "low": Key("count", optional=True),
                "high": Key("count", optional=True),
            },
            timeout_seconds=10.0,
        ),
    ),
    "ipmi": (
        ("platform_power_limit",),
        Backend(
            f"{HERE}.ipmi",
            {
                "host": Key("text"),
                "port": Key("count", 623.0),
                "username": Key("text"),
                "password": Key("secret"),
                "low": Key("count"),
                "high": Key("count"),
            },
            timeout_seconds=10.0,
        ),
    ),
    "zeusd": (
        ("gpu_power_limit", "gpu_clock_lock"),
        Backend(
            f"{HERE}.zeusd",
            {
                "socket": Key("path", "/run/zeusd/zeusd.sock"),
                "url": Key("url", optional=True),
                "token": Key("secret", optional=True),
                "ca_file": Key("path", optional=True),
            },
        ),
    ),
    "command": (
        (
            "gpu_power_limit",
            "gpu_clock_lock",
            "cpu_power_limit",
            "cpu_frequency",
            "platform_power_limit",
        ),
        Backend(
            f"{HERE}.command",
            {
                "file": Key("path"),
                "low": Key("count", optional=True),
                "high": Key("count", optional=True),
            },
        ),
    ),
    "docker": (
        ("hibernate",),
        Backend(
            f"{HERE}.docker",
            {
                "container": Key("text"),
                "how": Key("word", "pause", choices=("pause", "stop")),
                "socket": Key("path", "/run/docker.sock"),
            },
            timeout_seconds=10.0,
        ),
    ),
    "kubernetes": (
        (*WORKLOADS, "batch_jobs"),
        Backend(
            f"{HERE}.kubernetes",
            {
                **CLUSTER,
                "namespace": Key("text"),
                "kind": Key(
                    "word", "Deployment", choices=("Deployment", "StatefulSet"), of=WORKLOADS
                ),
                "object": Key("text", of=WORKLOADS),
                "low": Key("count", 1.0, of=("replicas",)),
                "high": Key("count", of=("replicas",)),
                "selector": Key("text", optional=True, of=("batch_jobs",)),
                "only": Key("text", optional=True, of=("batch_jobs",)),
                "jobs": Key("flag", default=False, of=("batch_jobs",)),
            },
            timeout_seconds=10.0,
            shared=True,
        ),
    ),
    "kubernetes_node": (
        ("hibernate",),
        Backend(
            f"{HERE}.kubernetes.node",
            {
                **CLUSTER,
                "node": Key("text"),
                "drain": Key("seconds", 600.0),
                "retry": Key("seconds", 3600.0),
                "delete_emptydir_data": Key("flag", default=False),
                "own_node": Key("flag", default=False),
            },
            timeout_seconds=10.0,
            shared=True,
        ),
    ),
    "systemd": (
        ("hibernate",),
        Backend(
            f"{HERE}.systemd",
            {
                "unit": Key("text"),
                "how": Key("word", "freeze", choices=("freeze", "stop")),
                "socket": Key("path", "/run/dbus/system_bus_socket"),
            },
            timeout_seconds=10.0,
        ),
    ),
}
"""By name: the knobs that it serves, and what an entry of `knobs` says of it."""


def backends_of(knob: str) -> Mapping[str, Backend]:
    """Return the backends that serve a knob."""
    more = DRAINED if knob == "hibernate" else {}
    return {
        name: replace(backend, keys={**_of(backend.keys, knob, knobs), **more})
        for name, (knobs, backend) in BACKENDS.items()
        if knob in knobs
    }


def _of(keys: Mapping[str, Key], knob: str, knobs: tuple[str, ...]) -> Mapping[str, Key]:
    """Return the keys that an entry for *knob* may have."""
    return {key: form for key, form in keys.items() if knob in (form.of or knobs)}
