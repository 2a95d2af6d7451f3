"""The weights of vLLM at its sleep level 2, where they are dropped: the same ones, or no wake.

A wake alone brings back memory with anything in it, and 200; the model then answers with garbage
(vllm-project/vllm#21336). A load may leave a part of a model as it was, and says 200, too (#29341,
NVIDIA-NeMo/RL#2631). So the weights are summed before they are dropped, and again after they were
loaded, while nobody is served yet (0.32: read, and run on the CPU).
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Protocol

from wattgov_actuator.knobs.version import at_least
from wattgov_actuator.knobs.web import Reply, plain
from wattgov_actuator.reading import Fault, KnobError

OLDEST = (0, 32, 0)
MOVE_SECONDS = 600.0  # that gigabytes may take: between the memories, from a disk, through a sum
LOADS_AGAIN = frozenset(
    ("auto", "hf", "safetensors", "pt", "npcache", "mistral", "fastsafetensors", "instanttensor")
)  # the formats of its DefaultModelLoader; another one's reload is NotImplementedError
NOTHING = sha256().hexdigest()  # the sum of weights that were packed elsewhere, as on a CPU
ALONE = {
    "quantization": "quantized weights are made anew by a load",
    "speculative_config": "a load leaves its draft model out",
    "lora_config": "a load leaves its adapters out",
}  # what must not be set, and why


class Told(Protocol):
    """What asks a server and gives its good answer; raises KnobError."""

    def __call__(
        self, verb: str, path: str, wait_seconds: float | None = None, body: object = None
    ) -> Reply:
        """Ask."""


class Weights:
    """The weights of one server."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def fit(self) -> None:
        """Raise KnobError unless they can be loaded again; nothing is tried that could harm."""
        said = self._told("GET", "/version").json()
        at_least(OLDEST, said.get("version") if isinstance(said, dict) else said, "vLLM")
        found = self._told("GET", "/server_info?config_format=json", MOVE_SECONDS).json()
        config = found.get("vllm_config") if isinstance(found, dict) else None
        if not isinstance(config, dict):
            raise KnobError(Fault.UNSUPPORTED, "its /server_info tells no vllm_config")
        model, loading = _part(config, "model_config"), _part(config, "load_config")
        load_format = loading.get("load_format")
        if load_format not in LOADS_AGAIN:
            detail = f"weights of load format {plain(str(load_format))} are not loaded again"
            raise KnobError(Fault.UNSUPPORTED, f"{detail}; use level 1")
        for key, why in ALONE.items():
            if {**config, **model}.get(key) is not None:
                raise KnobError(Fault.UNSUPPORTED, f"{key} is set, and {why}; use level 1")

    def total(self) -> str:
        """Return their sum, empty where a part of them lies where it is not summed.

        Only of weights that are there: else it kills the engine.
        """
        reply = self._told("POST", "/weight_checker", MOVE_SECONDS, {"action": "checksum"})
        found = reply.json()
        sums = found.get("checksums") if isinstance(found, dict) else None
        if not isinstance(sums, dict) or not sums:
            raise KnobError(Fault.UNSUPPORTED, "its /weight_checker tells no checksums")
        if NOTHING in sums.values():
            return ""
        return sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()

    def load(self, total: str) -> None:
        """Load them into their memory; raises KnobError unless they are those of *total*.

        Any step may be the first one of a process that was killed in between: to give memory that
        is given changes nothing, and a load may come twice. Requests wait until the last one.
        """
        self._told("POST", "/wake_up?tags=weights", MOVE_SECONDS)
        self._told("POST", "/collective_rpc", MOVE_SECONDS, {"method": "reload_weights"})
        if self.total() != total:
            detail = (
                "it has loaded other weights than it dropped, so it is left asleep: "
                "put its files back as they were, or start it anew"
            )
            raise KnobError(Fault.REFUSED, detail)
        self._told("POST", "/wake_up?tags=kv_cache", MOVE_SECONDS)


def _part(config: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}
