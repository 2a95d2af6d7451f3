"""A real vLLM on the CPU, where it is installed, with a tiny model of random weights."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from waiting import until
from wattgov_stack.ask import direct
from wattgov_stack.layout import CHECKOUT, LOOPBACK, free_ports
from wattgov_stack.processes import Command, Process

START_SECONDS = 300.0
CONTEXT_TOKENS = 4096

# A letter is a token.
MODEL = f"""\
import sys

from tokenizers import Tokenizer, models, pre_tokenizers
from torch import manual_seed
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

words = ["<unk>", "<s>", "</s>", *map(chr, range(ord("a"), ord("z") + 1))]
numbers = {{each: at for at, each in enumerate(words)}}
letters = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
letters.pre_tokenizer = pre_tokenizers.Whitespace()
tokens = PreTrainedTokenizerFast(
    tokenizer_object=letters, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
)
tokens.save_pretrained(sys.argv[1])
config = LlamaConfig(
    vocab_size=len(words),
    hidden_size=64,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings={CONTEXT_TOKENS},
    architectures=["LlamaForCausalLM"],
    torch_dtype="float32",
)
manual_seed(1)
LlamaForCausalLM(config).save_pretrained(sys.argv[1])
"""


def installed() -> Path:
    """Return the folder of programs that vLLM is in; skip, in words, where there is none."""
    programs = Path(os.environ.get("VLLM", CHECKOUT / ".state" / "vllm")) / "bin"
    if not (programs / "vllm").exists():
        pytest.skip("a real vLLM is not installed (make vllm)")
    return programs


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the model while the context lasts; give the URL."""
    programs, port = installed(), free_ports().exporter
    (folder / "make.py").write_text(MODEL)
    model = folder / "tiny"
    subprocess.run([programs / "python", folder / "make.py", model], check=True)
    url = f"http://{LOOPBACK}:{port}"
    command = Command(
        "vllm",
        (
            *(str(programs / "vllm"), "serve", str(model), "--served-model-name=chat"),
            *("--dtype=float32", "--enforce-eager", "--max-num-seqs=4"),
            *(f"--max-model-len={CONTEXT_TOKENS}", f"--host={LOOPBACK}", f"--port={port}"),
        ),
        f"{url}/health",
        (
            ("HF_HUB_OFFLINE", "1"),
            ("VLLM_NO_USAGE_STATS", "1"),
            ("VLLM_SERVER_DEV_MODE", "1"),
            ("VLLM_CPU_KVCACHE_SPACE", "1"),
        ),
    )
    process = Process(command, folder)
    try:
        until(lambda: process.ended is not None or healthy(url), "a vLLM", START_SECONDS)
        assert process.ended is None, process.log.read_text()[-2000:]
        yield url
    finally:
        process.stop()


def healthy(url: str) -> bool:
    """Tell whether it serves."""
    try:
        return direct().get(f"{url}/health", timeout=10).ok
    except requests.RequestException:
        return False


def metric(url: str, start: str) -> float:
    """Return the one value of the series that begin so."""
    lines = direct().get(f"{url}/metrics", timeout=10).text.splitlines()
    (value,) = (float(each.rpartition(" ")[2]) for each in lines if each.startswith(start))
    return value


class Asking(threading.Thread):
    """One request for so many tokens, on a thread of its own."""

    def __init__(self, url: str, tokens: int) -> None:
        super().__init__(daemon=True)
        self._url, self._tokens = url, tokens
        self.text = ""  # what it was answered
        self.start()

    def run(self) -> None:
        """Ask, and wait for the answer."""
        body = {"model": "chat", "prompt": "a b c", "max_tokens": self._tokens}
        more = {"ignore_eos": True, "temperature": 0}
        answer = direct().post(f"{self._url}/v1/completions", json={**body, **more}, timeout=300)
        self.text = answer.json()["choices"][0]["text"]

    def answered(self) -> str:
        """Wait for the answer, and return it; empty where it was an error."""
        self.join()
        return self.text
