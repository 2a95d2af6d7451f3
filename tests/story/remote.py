"""Store a tape in anything that speaks Prometheus' remote write, version 1."""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import requests

from story.tape import Key, Samples, ended

SERIES_AT_ONCE = 400
TIMEOUT_SECONDS = 60.0
_LITERAL_BYTES = 1 << 23
_STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN by which Prometheus knows that a series ended (model/value)."""


def send(
    url: str, series: Mapping[Key, Sequence[tuple[float, float]]], step: float, end: float
) -> None:
    """Write all series; requests.RequestException when the server refuses."""
    session = requests.Session()
    session.trust_env = False
    found = [(labels, ended(samples, step, end)) for labels, samples in series.items()]
    for first in range(0, len(found), SERIES_AT_ONCE):
        answer = session.post(
            url,
            data=encoded(found[first : first + SERIES_AT_ONCE]),
            headers={
                "Content-Encoding": "snappy",
                "Content-Type": "application/x-protobuf",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
            timeout=TIMEOUT_SECONDS,
        )
        if not answer.ok:
            raise requests.HTTPError(answer.text.strip(), response=answer)


def encoded(series: Iterable[tuple[Key, Samples]]) -> bytes:
    """Return the body of a request."""
    return _snappy(_request(series))


def _request(series: Iterable[tuple[Key, Samples]]) -> bytes:
    """Return prompb.WriteRequest: series of labels (name, value) and samples (value, ms)."""
    return b"".join(
        _field(
            1,
            b"".join(_field(1, _field(1, a.encode()) + _field(2, b.encode())) for a, b in labels)
            + b"".join(
                _field(2, b"\x09" + _double(value) + b"\x10" + _varint(round(at * 1000)))
                for at, value in samples
            ),
        )
        for labels, samples in series
    )


def _double(value: float | None) -> bytes:
    return _STALE if value is None else struct.pack("<d", value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _snappy(content: bytes) -> bytes:
    """Return the block format, which must be spoken, without compressing: literals only."""

    def pieces() -> Iterator[bytes]:
        yield _varint(len(content))
        for first in range(0, len(content), _LITERAL_BYTES):
            piece = content[first : first + _LITERAL_BYTES]
            yield b"\xf8" + (len(piece) - 1).to_bytes(3, "little") + piece

    return b"".join(pieces())
