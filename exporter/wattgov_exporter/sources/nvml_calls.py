"""How NVML is called: which answers mean "not here", which mean that there is no meter."""

from collections.abc import Callable
from typing import Any

import pynvml

from wattgov_exporter.reading import NoMeter, Reason

REASONS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: Reason.ABSENT,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Reason.ABSENT,
    pynvml.NVML_ERROR_NO_PERMISSION: Reason.PERMISSION,
    pynvml.NVML_ERROR_NOT_SUPPORTED: Reason.UNSUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Reason.UNSUPPORTED,
    pynvml.NVML_ERROR_TIMEOUT: Reason.TIMEOUT,
}

ABSENT_HERE = frozenset(
    {
        pynvml.NVML_SUCCESS,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    }
)
"""Answers that mean "this card does not offer that": the field stays empty, the rest is read."""

LOST = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    }
)
"""Answers that mean "this card is gone": nothing else can be asked of it."""

PLAUSIBLE_WATTS = 10_000.0
"""No card or module draws as much; 4294967295 mW is NVML's way to say that it does not know."""

ALL_ONES = frozenset({2**32 - 1, 2**64 - 1})
"""What a field shows that was never filled (NVML_VALUE_NOT_AVAILABLE)."""


def attempt(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  NVML is untyped
    """Call NVML; None where this card, driver or user does not get that field."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value in ABSENT_HERE:
            return None
        raise


def attempt_part(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401  NVML is untyped
    """Call NVML about a part of a card, which may be gone; None unless it answers."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise
        return None


def watts(milliwatts: float | None) -> float | None:
    """Return a reading of power; None for a sentinel: no card that runs draws 0 W."""
    if milliwatts is None or not 0 < milliwatts / 1e3 < PLAUSIBLE_WATTS:
        return None
    return float(milliwatts) / 1e3


def no_meter(error: pynvml.NVMLError) -> NoMeter:
    """Return why there is no meter, in words."""
    reason = REASONS.get(error.value, Reason.INVALID)
    hint = (
        ": no NVIDIA driver on this machine, or it is not visible in this container; Docker shows "
        "it by `--gpus all`, Kubernetes by `runtimeClassName: nvidia`"
        if reason is Reason.ABSENT
        else ""
    )
    return NoMeter(reason, f"NVML: {error}{hint}")
