"""NVML's GPM (Hopper and later): how busy a GPU instance was between two samples of it."""

from typing import Any

import pynvml

from wattgov_exporter.sources.nvml_calls import attempt_part


class Gpm:
    """Two samples a GPU instance, the older of which is written anew in turn.

    *instances* are those that can be asked about: none before Hopper. *failed*: one of them did
    not answer at its last read.
    """

    def __init__(self) -> None:
        self._samples: dict[int, tuple[Any, Any]] = {}
        self._taken: set[int] = set()
        self._asked = pynvml.c_nvmlGpmMetricsGet_t()
        self._asked.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        self._asked.numMetrics = 1
        self._asked.metrics[0].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL
        self.failed = False

    @property
    def instances(self) -> list[int]:
        """The GPU instances that can be asked about."""
        return list(self._samples)

    def keep(self, handle: object, instances: set[int]) -> None:
        """Follow these instances and no others."""
        for gone in set(self._samples) - instances:
            for sample in self._samples.pop(gone):
                attempt_part(pynvml.nvmlGpmSampleFree, sample)
            self._taken.discard(gone)
        support = attempt_part(pynvml.nvmlGpmQueryDeviceSupport, handle) if instances else None
        if support is not None and support.isSupportedDevice:
            for new in instances - set(self._samples):
                self._samples[new] = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
        self.failed = False

    def read(self, handle: object, instance: int) -> float | None:
        """Return the busy part of the instance's SMs since its last read; None at the first."""
        old, new = self._samples[instance]
        if attempt_part(pynvml.nvmlGpmMigSampleGet, handle, instance, old) is None:
            self._taken.discard(instance)
            self.failed = True
            return None
        self._samples[instance] = new, old
        if instance not in self._taken:
            self._taken.add(instance)
            return None
        self._asked.sample1, self._asked.sample2 = new, old
        answer = attempt_part(pynvml.nvmlGpmMetricsGet, self._asked)
        if answer is None or answer.metrics[0].nvmlReturn != pynvml.NVML_SUCCESS:
            return None
        return min(max(float(answer.metrics[0].value) / 100, 0.0), 1.0)
