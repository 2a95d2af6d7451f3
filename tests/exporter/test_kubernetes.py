"""The kubelet's list of pods over HTTP(S): what is sent, and each trouble in words."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.certificates import Certificate, certificate
from fakes.kubelet import JSON, NODE, TOKEN, Kubelet, listing, mirror, pod, serving
from wattgov_exporter.config import Kubernetes as Settings
from wattgov_exporter.doctor import Finding, report
from wattgov_exporter.poll import read
from wattgov_exporter.reading import NoMeter, Reason
from wattgov_exporter.sources.kubernetes import Kubernetes

UID = "214f3ba8-4b69-4bdb-a7d5-5ecc73f04ae9"
PODS = [pod("web-0", UID, namespace="shop")]
NAMES = {UID: "shop/web-0"}


class Node:
    """A fake kubelet over TLS, the CA and token to reach it, and a clock moved by hand."""

    def __init__(self, url: str, kubelet: Kubelet, server: Certificate, folder: Path) -> None:
        self.kubelet = kubelet
        self.now = 0.0
        self.token_file = folder / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.settings = Settings(
            kubelet=url, token_file=self.token_file, ca_file=server.cert, timeout_seconds=10.0
        )

    def source(self, *, node_name: str | None = None, **changes: object) -> Kubernetes:
        """Return the source with these settings."""
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        return Kubernetes(settings, lambda: self.now, node_name)

    def names(self, **changes: object) -> dict[str, str]:
        """Read the pods' names."""
        pods = self.source(**changes).read().pods  # type: ignore[arg-type]
        assert pods is not None
        return dict(pods.pods)

    def fault(self, **changes: object) -> NoMeter:
        """Read, and return why it cannot be; it tells no token."""
        with pytest.raises(NoMeter) as raised:
            self.source(**changes).read()  # type: ignore[arg-type]
        assert TOKEN not in raised.value.detail
        return raised.value


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a kubelet that serves."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    kubelet = Kubelet(PODS)
    server = certificate(openssl, tmp_path, "kubelet")
    with ExitStack() as stack:
        url = stack.enter_context(serving(kubelet, (str(server.cert), str(server.key))))
        yield Node(url, kubelet, server, tmp_path)


def test_the_kubelets_list(node: Node) -> None:
    """Over TLS with the token of the file, which is read anew each time."""
    assert NAMES == node.names()

    node.kubelet.token = "another"  # noqa: S105  the fake's own
    assert Reason.PERMISSION is node.fault().reason
    node.token_file.write_text("another")

    assert NAMES == node.names()
    assert ["/pods"] * 3 == node.kubelet.requests


def test_the_api_servers_list(node: Node) -> None:
    """It is asked for the pods of this node only, whose name is configured or in NODE_NAME."""
    node.kubelet.api = True
    api = {"kubelet": None, "api": node.settings.kubelet}

    assert NAMES == node.names(**api, node=NODE)
    assert NAMES == node.names(**api, node_name=NODE)
    assert "NODE_NAME" in node.fault(**api).detail


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"token": "x"}, Reason.PERMISSION, "answered 401; give token_file, or check it"),
        ({"allowed": False}, Reason.PERMISSION, "answered 403; the account needs `get` on"),
        ({"api": True}, Reason.UNSUPPORTED, "answered 404; is it a kubelet?"),
        ({"canned": (500, JSON, b"{}")}, Reason.INVALID, "answered 500"),
        (
            {"canned": (200, "text/html", b"<html>")},
            Reason.INVALID,
            "answered text/html, not application/json: is it a kubelet?",
        ),
        (
            {"canned": (200, JSON, listing(PODS)[:-9])},
            Reason.INVALID,
            "sent a list, but it breaks off in the middle, or is no JSON",
        ),
    ],
)
def test_trouble_and_recovery(
    node: Node, change: dict[str, object], reason: Reason, words: str
) -> None:
    """What it answers instead is told with what would help; afterwards it is read again."""
    before = {key: getattr(node.kubelet, key) for key in change}
    for key, value in change.items():
        setattr(node.kubelet, key, value)

    fault = node.fault()

    assert (reason, True) == (fault.reason, words in fault.detail), fault.detail

    for key, value in before.items():
        setattr(node.kubelet, key, value)

    assert NAMES == node.names()


def test_a_certificate_that_is_not_trusted(node: Node) -> None:
    """It says what to do, sends no token, and `insecure` takes any certificate."""
    fault = node.fault(ca_file=None)

    assert Reason.INVALID is fault.reason
    assert "its certificate is not trusted" in fault.detail
    assert "`ca_file:`" in fault.detail
    assert [] == node.kubelet.requests
    assert NAMES == node.names(ca_file=None, insecure=True)


def test_files_that_are_not_right(node: Node, tmp_path: Path) -> None:
    """A missing CA or token is named, and what is no token is not sent nor repeated."""
    assert "ca_file" in node.fault(ca_file=tmp_path / "none.pem").detail
    assert f"ca_file {node.token_file}" in node.fault(ca_file=node.token_file).detail
    assert "token_file" in node.fault(token_file=tmp_path / "none").detail
    node.token_file.write_text(f"{TOKEN}\r\nX-Evil: 1")

    assert f"token_file {node.token_file} holds no bearer token" == node.fault().detail
    assert [] == node.kubelet.requests


def test_plain_http_on_this_machine() -> None:
    """The read-only port asks for no token, and gets none."""
    kubelet = Kubelet(PODS, token=None)
    with serving(kubelet) as url:
        pods = Kubernetes(Settings(kubelet=url), lambda: 0.0, None).read().pods

    assert pods is not None
    assert NAMES == pods.pods


def test_another_protocol_at_that_port() -> None:
    """TLS to a port that speaks none is a sentence."""
    with serving(Kubelet(PODS)) as url, pytest.raises(NoMeter) as raised:
        Kubernetes(Settings(kubelet=url.replace("http:", "https:")), lambda: 0.0, None).read()

    assert Reason.INVALID is raised.value.reason


def test_nothing_there() -> None:
    """A kubelet that is down is absent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    source = Kubernetes(Settings(kubelet=f"http://127.0.0.1:{port}"), lambda: 0.0, None)

    with pytest.raises(NoMeter) as raised:
        source.read()

    assert Reason.ABSENT is raised.value.reason


def test_an_answer_that_never_ends(node: Node) -> None:
    """After the timeout it is given up."""
    node.kubelet.held = True

    fault = node.fault(timeout_seconds=0.2)

    assert (Reason.TIMEOUT, True) == (fault.reason, "did not answer within 0.2 s" in fault.detail)


def test_a_trickle(node: Node) -> None:
    """An answer that is not whole in time is given up, though it never falls silent."""
    times = iter((0.0, 10.5))
    source = Kubernetes(node.settings, lambda: next(times), None)

    with pytest.raises(NoMeter) as raised:
        source.read()

    assert Reason.TIMEOUT is raised.value.reason


def test_the_doctor_says_how_many_it_names(node: Node) -> None:
    """It meters nothing, and is on all the same; when it is off the doctor says why."""
    node.kubelet.pods = [*PODS, mirror("etcd", "another", "57ad1c0d4b0f5a8d", {"etcd": "c0ffee"})]
    source = node.source()
    good = read(source, lambda: 0.0)
    node.kubelet.allowed = False
    bad = read(source, lambda: 0.0)

    lines = [list(report([Finding(source, one, one)])) for one in (good, bad)]

    assert ["kubernetes  on", "            names 2 pods, 1 containers"] == lines[0][:2]
    assert "kubernetes  off: permission" == lines[1][0]
    assert "get` on `nodes/proxy`" in " ".join(lines[1])
