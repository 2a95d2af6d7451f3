"""A real Triton Inference Server on the CPU, where it is installed, with one small model."""

import os
import shutil
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from testbed import web
from wattgov_stack.ask import direct
from wattgov_stack.layout import CHECKOUT, LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# This build sends no data of an output, and says 500 where it would stand in the JSON; how long an
# answer takes is all that is looked at here.
INFER = {
    "inputs": [{"name": "IN", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}],
    "outputs": [{"name": "OUT", "parameters": {"binary_data": True}}],
}
SECONDS = [each / 50 for each in range(1, 51)]  # bounds of the histogram: every 20 ms

CONFIG = """\
name: "chat"
backend: "python"
max_batch_size: 32
input [{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }]
dynamic_batching { preferred_batch_size: [ 32 ] max_queue_delay_microseconds: 400000 }
instance_group [{ kind: KIND_CPU count: 1 }]
"""

MODEL = """\
import triton_python_backend_utils as backend


class TritonPythonModel:
    def execute(self, requests):
        given = [backend.get_input_tensor_by_name(each, "IN").as_numpy() for each in requests]
        return [backend.InferenceResponse([backend.Tensor("OUT", each)]) for each in given]
"""


def installed() -> Path:
    """Return the folder of packages that Triton is in; skip, in words, where there is none."""
    home = Path(os.environ.get("TRITON", CHECKOUT / ".state" / "triton"))
    packages = home / "lib" / f"python{PYTHON}" / "site-packages"
    if not (packages / "pytriton/tritonserver/bin/tritonserver").exists():
        pytest.skip("a real Triton is not installed (make triton)")
    library = Path(sysconfig.get_config_var("LIBDIR")) / f"libpython{PYTHON}.so.1.0"
    if not library.exists() and find_library(f"python{PYTHON}") is None:
        pytest.skip(f"Triton's models need libpython{PYTHON}.so (Debian: libpython{PYTHON})")
    return packages


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the model while the context lasts; give the URL."""
    packages, port = installed(), free_ports().exporter
    files, home = packages / "pytriton/tritonserver", folder / "triton"
    shutil.copytree(files / "backends/python", home / "backends/python")
    stub = files / "python_backend_stubs" / PYTHON / "triton_python_backend_stub"
    shutil.copy(stub, home / "backends/python")
    (home / "backends/python" / stub.name).chmod(0o755)
    (home / "models/chat/1").mkdir(parents=True)
    (home / "models/chat/config.pbtxt").write_text(CONFIG)
    (home / "models/chat/1/model.py").write_text(MODEL)
    libraries = [str(packages / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    url = f"http://{LOOPBACK}:{port}"
    command = Command(
        "triton",
        (
            str(files / "bin/tritonserver"),
            f"--model-repository={home / 'models'}",
            f"--backend-directory={home / 'backends'}",
            *("--model-control-mode=explicit", "--load-model=chat", "--exit-timeout-secs=1"),
            *(f"--http-address={LOOPBACK}", f"--http-port={port}"),
            *("--allow-grpc=false", "--allow-metrics=false"),
        ),
        f"{url}/v2/models/chat/ready",
        (("LD_LIBRARY_PATH", ":".join(libraries)), ("PYTHONPATH", str(packages))),
    )
    process = Process(command, folder)
    try:
        process.wait_ready()
        yield url
    finally:
        process.stop()


def config(url: str) -> dict[str, object]:
    """Return the config that the model runs with."""
    found: dict[str, object] = direct().get(f"{url}/v2/models/chat/config", timeout=10).json()
    return found


class Load(threading.Thread):
    """So many requests a second, whatever becomes of them, and how long each took."""

    def __init__(self, url: str, per_second: float) -> None:
        super().__init__(daemon=True)
        self._url, self._pause = f"{url}/v2/models/chat/infer", 1 / per_second
        self._ended = threading.Event()
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "chat_request_duration_seconds",
            "Time to the answer.",
            registry=self._registry,
            buckets=SECONDS,
        )
        self.failures = 0

    def run(self) -> None:
        """Ask until stopped."""
        with ThreadPoolExecutor(64) as pool:
            while not self._ended.wait(self._pause):
                pool.submit(self._ask)

    def metrics(self, _query: object) -> web.Answer:
        """Render what was measured."""
        return web.Answer(generate_latest(self._registry), content_type=web.METRICS_TYPE)

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()

    def _ask(self) -> None:
        began = time.perf_counter()
        try:
            answer = requests.post(self._url, json=INFER, timeout=30)
        except requests.RequestException:
            self.failures += 1
            return
        self.failures += not answer.ok
        self._seconds.observe(time.perf_counter() - began)
