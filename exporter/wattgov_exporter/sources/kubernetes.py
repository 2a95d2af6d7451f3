"""The names of this node's pods, from its kubelet or from the API server. It meters nothing.

`/pods` of a kubelet needs `get` on `nodes/proxy` (or `nodes/pods`, from Kubernetes 1.33 on); the
API server's list needs `list` on `pods`. http.client and ssl are a few MiB less than requests.
"""

import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from wattgov_exporter import secret
from wattgov_exporter.config import Kubernetes as Settings
from wattgov_exporter.endpoint import plain
from wattgov_exporter.reading import Clock, NoMeter, Readings, Reason
from wattgov_exporter.sources.pod_list import names

MAX_BYTES = 64 << 20
BLOCK_BYTES = 1 << 16
JSON = "application/json"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750); http.client would repeat anything else in an error."""

REASONS: Mapping[int, Reason] = {
    HTTPStatus.UNAUTHORIZED: Reason.PERMISSION,
    HTTPStatus.FORBIDDEN: Reason.PERMISSION,
    HTTPStatus.NOT_FOUND: Reason.UNSUPPORTED,
    HTTPStatus.GATEWAY_TIMEOUT: Reason.TIMEOUT,
}

KUBELET_FIXES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; give token_file, or check it",
    HTTPStatus.FORBIDDEN: "; the account needs `get` on `nodes/proxy`",
    HTTPStatus.NOT_FOUND: "; is it a kubelet?",
}
API_FIXES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "; give token_file, or check it",
    HTTPStatus.FORBIDDEN: "; the account needs `list` on `pods` in all namespaces",
}


class Kubernetes:
    """One list of pods; *node_name* is this node's, for the API server."""

    name = "kubernetes"
    expected_error = "none: it names pods and meters nothing"

    def __init__(self, settings: Settings, clock: Clock, node_name: str | None) -> None:
        self.interval_seconds = settings.interval_seconds
        self._settings = settings
        self._clock = clock
        self._node = settings.node or node_name
        self._base = settings.kubelet or settings.api or ""
        self._fixes = KUBELET_FIXES if settings.kubelet else API_FIXES

    def read(self) -> Readings:
        """Get the list; NoMeter says in words why there is none."""
        path, headers = self._path(), self._headers()
        connection = self._connection()
        deadline = self._clock() + self._settings.timeout_seconds
        try:
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                self._check(response)
                return Readings((), pods=names(self._blocks(response, deadline)))
        except (OSError, http.client.HTTPException) as error:
            raise self._no_meter(error) from error
        except ValueError as error:
            raise NoMeter(Reason.INVALID, f"{self._base} sent a list, but {error}") from error
        finally:
            connection.close()

    def _path(self) -> str:
        prefix = urlsplit(self._base).path
        if self._settings.kubelet:
            return f"{prefix}/pods"
        if not self._node:
            raise NoMeter(
                Reason.INVALID,
                "the API server has the pods of all nodes: say which is this one by `node:`, or by "
                "NODE_NAME in the environment (fieldRef spec.nodeName)",
            )
        # Version 0: from the server's memory, at no cost to etcd.
        selector = quote(f"spec.nodeName={self._node}", safe="")
        return f"{prefix}/api/v1/pods?fieldSelector={selector}&resourceVersion=0"

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": JSON}
        if self._settings.token_file:
            # Read each time: the kubelet puts a new one there every hour or so.
            token = secret.read(self._settings.token_file, "token_file").strip()
            if not _TOKEN.fullmatch(token):
                raise NoMeter(
                    Reason.INVALID, f"token_file {self._settings.token_file} holds no bearer token"
                )
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._base)
        host, seconds = parts.hostname or "", self._settings.timeout_seconds
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=seconds)
        ca_file = self._settings.ca_file
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NoMeter(Reason.INVALID, f"ca_file {ca_file}: {plain(str(error))}") from error
        if self._settings.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)

    def _check(self, response: http.client.HTTPResponse) -> None:
        status = response.status
        if status != HTTPStatus.OK:
            fix = self._fixes.get(status, "")
            raise NoMeter(
                REASONS.get(status, Reason.INVALID), f"{self._base} answered {status}{fix}"
            )
        kind = response.headers.get_content_type()
        if kind != JSON:
            raise NoMeter(
                Reason.INVALID, f"{self._base} answered {plain(kind)}, not {JSON}: is it a kubelet?"
            )

    def _blocks(self, response: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
        """Yield the body in blocks, so that a trickle costs no more than a stream."""
        block, length = b"", 0
        # read1 returns what is there, so that a trickle cannot outlast the deadline.
        while part := response.read1(BLOCK_BYTES):
            block += part
            length += len(part)
            if length > MAX_BYTES:
                raise NoMeter(Reason.INVALID, f"{self._base} sent more than {MAX_BYTES >> 20} MiB")
            if self._clock() > deadline:
                raise TimeoutError
            if len(block) >= BLOCK_BYTES:
                yield block
                block = b""
        yield block

    def _no_meter(self, error: OSError | http.client.HTTPException) -> NoMeter:
        if isinstance(error, ssl.SSLCertVerificationError):
            return NoMeter(
                Reason.INVALID,
                f"{self._base}: its certificate is not trusted ({plain(error.verify_message)}): "
                "give the CA that signed it as `ca_file:`, or say `insecure: true`",
            )
        if isinstance(error, TimeoutError):
            seconds = self._settings.timeout_seconds
            return NoMeter(Reason.TIMEOUT, f"{self._base} did not answer within {seconds:g} s")
        absent = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
        words = plain(str(error)) or type(error).__name__
        return NoMeter(Reason.ABSENT if absent else Reason.INVALID, f"{self._base}: {words}")
