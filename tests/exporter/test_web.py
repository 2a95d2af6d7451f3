"""The web.config.file: who gets in, what is refused by name, and files that change."""

import base64
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from conftest import find
from exporter.certificates import Certificate, certificate, trusting
from exporter.serving import Reloads, ask, serving
from wattgov_web.logins import REMEMBERED, Logins
from wattgov_web.mistakes import Invalid
from wattgov_web.webfile import load

PASSWORD = b"correct horse"
SALT = b"$2b$04$" + b"." * 22  # the same in each process: it is in the names of tests
HASHED = bcrypt.hashpw(PASSWORD, SALT).decode()
USERS = f"basic_auth_users:\n  prometheus: {HASHED}\n"
ALL = """\
tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_ca_file: client.pem
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS12
  max_version: TLS13
  prefer_server_cipher_suites: true
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
"""


class AlwaysRight:
    """Takes any password for any hash, and keeps what it was asked."""

    def __init__(self) -> None:
        self.passwords: list[bytes] = []
        self.hashes: list[bytes] = []

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        """Say yes."""
        self.passwords.append(password)
        self.hashes.append(hashed)
        return True


@pytest.fixture(scope="session")
def openssl() -> str:
    """Path of openssl."""
    return find("openssl", "openssl")


@pytest.fixture
def server(openssl: str, tmp_path: Path) -> Certificate:
    """Return the server's certificate."""
    return certificate(openssl, tmp_path, "server")


@pytest.fixture
def client(openssl: str, tmp_path: Path) -> Certificate:
    """Return a client's certificate."""
    return certificate(openssl, tmp_path, "client", "DNS:prometheus.example")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes the file, so that a look at it shows a change."""
    made = [0]

    def write(text: str) -> Path:
        made[0] += 1
        new, file = tmp_path / "new.yml", tmp_path / "web.yml"
        new.write_text(text)
        os.utime(new, (made[0], made[0]))
        return new.replace(file)

    return write


def basic(user: str, password: bytes) -> str:
    """Return an Authorization header."""
    return "Basic " + base64.b64encode(user.encode() + b":" + password).decode()


RIGHT = basic("prometheus", PASSWORD)


def test_password_guards_every_path(write: Callable[[str], Path]) -> None:
    """Without the password nothing is shown, health and errors included, and nothing is changed."""
    reloads = Reloads()
    with serving(web_file=write(USERS), reload=reloads) as served:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/nowhere"):
            answer = served.ask(path)
            assert (401, 'Basic realm="wattgov-exporter", charset="UTF-8"') == (
                answer.status,
                answer.headers["WWW-Authenticate"],
            )
        assert 401 == served.ask("/-/reload", "POST").status
        assert 0 == reloads.count
        assert 200 == served.ask("/-/healthy", Authorization=RIGHT).status
        assert 200 == served.ask("/-/reload", "POST", Authorization=RIGHT).status
        assert 200 == served.ask("/-/reload", "POST", Authorization=RIGHT, Via="proxy").status


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:x").decode(),
        "Bearer " + base64.b64encode(b"prometheus:correct horse").decode(),
        basic("prometheus", b"wrong"),
        basic("prometheus", PASSWORD + b"\0"),
        basic("prometheus", b"x" * 100),
        basic("nobody", PASSWORD),
        basic("", b""),
    ],
)
def test_wrong_logins(given: str) -> None:
    """What is not a user and his password is nobody."""
    assert not Logins().good({"prometheus": HASHED.encode()}, given)


def test_a_login_is_checked_once() -> None:
    """Bcrypt runs once for a good login, each time for a bad one, and again after a new hash."""
    checked: list[bytes] = []

    def check(password: bytes, hashed: bytes) -> bool:
        checked.append(hashed)
        return bcrypt.checkpw(password, hashed)

    logins = Logins(check)
    users = {"prometheus": HASHED.encode()}
    assert all(logins.good(users, RIGHT) for _ in range(3))
    assert 1 == len(checked)
    assert not any(logins.good(users, basic("prometheus", b"wrong")) for _ in range(3))
    assert 4 == len(checked)
    assert logins.good({"prometheus": bcrypt.hashpw(PASSWORD, bcrypt.gensalt(4))}, RIGHT)
    assert not logins.good({}, RIGHT)
    assert 6 == len(checked)


def test_an_unknown_user_costs_as_much() -> None:
    """For a name that nobody has, a hash as costly as the dearest is checked, and never fits."""
    check = AlwaysRight()
    logins = Logins(check)
    costly = {"one": HASHED.encode(), "two": HASHED.encode().replace(b"$04$", b"$12$")}

    assert not logins.good(costly, basic("three", PASSWORD))
    (decoy,) = check.hashes
    assert decoy.startswith(b"$2b$12$")
    assert not bcrypt.checkpw(PASSWORD, decoy.replace(b"$12$", b"$04$"))


def test_verified_logins_are_bounded() -> None:
    """However many log in, only the latest are remembered."""
    check = AlwaysRight()
    logins = Logins(check)
    users = {f"user{number}": HASHED.encode() for number in range(REMEMBERED + 1)}
    for user in users:
        assert logins.good(users, basic(user, b"first"))

    assert logins.good(users, basic(f"user{REMEMBERED}", b"first"))
    assert logins.good(users, basic("user1", b"first"))
    assert REMEMBERED + 1 == len(check.passwords)
    assert logins.good(users, basic("user0", b"first"))
    assert REMEMBERED + 2 == len(check.passwords)


def test_tls(write: Callable[[str], Path], server: Certificate) -> None:
    """With a certificate all is TLS 1.2 or later, and plain HTTP gets nothing."""
    file = write(
        "tls_server_config: {cert_file: server.pem, key_file: server.key, max_version: TLS12}\n"
        "http_server_config: {headers: {X-Frame-Options: deny}}\n"
    )
    with serving(web_file=file) as served:
        answer = served.ask("/-/healthy", context=trusting(server))
        assert (200, "deny") == (answer.status, answer.headers["X-Frame-Options"])
        with pytest.raises(OSError):  # noqa: PT011  a reset or an end of file: both are no answer
            served.ask("/-/healthy")
        newer = trusting(server)
        newer.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.raises(ssl.SSLError):
            served.ask("/-/healthy", context=newer)


def test_many_scrapes_in_one_session(write: Callable[[str], Path], server: Certificate) -> None:
    """The connection stays open over TLS too."""
    with serving(
        web_file=write("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    ) as served:
        connection = served.connect(trusting(server))
        connection.connect()
        local = connection.sock.getsockname()
        for _ in range(3):
            assert 200 == ask(connection, "/-/healthy").status
            assert local == connection.sock.getsockname()
        connection.close()


def test_client_certificates(
    write: Callable[[str], Path], server: Certificate, client: Certificate, openssl: str
) -> None:
    """Only who shows a trusted certificate gets in, and he may reload."""
    stranger = certificate(openssl, client.cert.parent, "stranger")
    with serving(web_file=write(ALL)) as served:
        assert 200 == served.ask("/-/healthy", context=trusting(server, client)).status
        reload = served.ask("/-/reload", "POST", context=trusting(server, client), Via="proxy")
        assert 200 == reload.status
        for own in (None, stranger):
            with pytest.raises(OSError):  # noqa: PT011  an alert, or a reset after it
                served.ask("/-/healthy", context=trusting(server, own))


def test_allowed_names(
    write: Callable[[str], Path], server: Certificate, client: Certificate
) -> None:
    """Of the trusted ones, only a certificate with one of the names gets in."""
    for name, admitted in (("prometheus.example", True), ("other.example", False)):
        text = ALL.replace("  min_version", f"  client_allowed_sans: [{name}]\n  min_version")
        with serving(web_file=write(text)) as served:
            if admitted:
                assert 200 == served.ask("/-/healthy", context=trusting(server, client)).status
            else:
                with pytest.raises(OSError):  # noqa: PT011  a reset or an end of file
                    served.ask("/-/healthy", context=trusting(server, client))


def test_a_changed_file_counts_at_once(write: Callable[[str], Path]) -> None:
    """A password given, changed or taken away holds from the next request, kept connections too."""
    with serving(web_file=write("http_server_config: {}\n")) as served:
        connection = served.connect()
        assert 200 == ask(connection, "/-/healthy").status
        write(USERS)
        assert 401 == ask(connection, "/-/healthy").status
        assert 200 == ask(connection, "/-/healthy", Authorization=RIGHT).status
        write(USERS.replace("prometheus", "somebody"))
        assert 401 == ask(connection, "/-/healthy", Authorization=RIGHT).status
        connection.close()


@pytest.mark.usefixtures("client")
def test_a_connection_from_before_shows_no_certificate(
    write: Callable[[str], Path], server: Certificate
) -> None:
    """Who connected when none was asked for has proved nothing: he has to come anew."""
    with serving(web_file=write("http_server_config: {}\n")) as served:
        plain = served.connect()
        assert 200 == ask(plain, "/-/healthy").status
        write(PAIR)
        with pytest.raises(ConnectionError):
            ask(plain, "/-/healthy")
        tls = served.connect(trusting(server))
        assert 200 == ask(tls, "/-/healthy").status
        write(ALL)
        with pytest.raises(OSError):  # noqa: PT011  a reset or an end of file
            ask(tls, "/-/reload", "POST", Via="proxy")
        plain.close()
        tls.close()


def test_a_bad_file_is_not_used(write: Callable[[str], Path], tmp_path: Path) -> None:
    """The old settings stay, the mistake is told once with its place, and mending it is noticed."""
    with serving(web_file=write(USERS)) as served:
        write("basic_auth_user: {}\n")
        for _ in range(3):
            assert 401 == served.ask("/-/healthy").status
        file = f"{tmp_path}/web.yml"
        assert [
            f"{file}:1:1: unknown key 'basic_auth_user'; did you mean 'basic_auth_users'?",
            f"{file}: not used; the settings from before stay in force",
        ] == served.log
        (tmp_path / "web.yml").unlink()
        assert 401 == served.ask("/-/healthy").status
        write("http_server_config: {}\n")
        assert 200 == served.ask("/-/healthy").status
        assert f"{tmp_path}/web.yml: read again" == served.log[-1]


def test_a_new_certificate(
    write: Callable[[str], Path], openssl: str, server: Certificate, tmp_path: Path
) -> None:
    """A renewed certificate is used; while only half of the pair is there, the old one is."""
    with serving(
        web_file=write("tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    ) as served:
        old = trusting(server)
        (tmp_path / "new").mkdir()
        new = certificate(openssl, tmp_path / "new", "server")
        new.cert.replace(server.cert)
        assert 200 == served.ask("/-/healthy", context=old).status
        assert "the key is not that of the certificate" in served.log[0]
        new.key.replace(server.key)
        assert 200 == served.ask("/-/healthy", context=trusting(server)).status
        with pytest.raises(ssl.SSLCertVerificationError):
            served.ask("/-/healthy", context=old)


PAIR = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
NOT_OFFERED = "is not offered by this server; leave it out"
NOT_HASHED = "user 'prometheus': expected a bcrypt hash, such as `htpasswd -nBC 10` prints"
MISTAKES = {
    "": "1:1: the file is empty; it holds tls_server_config or basic_auth_users",
    "tls_server_config: {cert_file: server.pem}": "1:20: key 'key_file' is missing",
    PAIR.replace("server.pem", "no.pem"): "2:14: cert_file: {folder}/no.pem cannot be read: "
    "No such file or directory",
    PAIR.replace("server.key", "client.key"): "2:3: tls_server_config: {folder}/server.pem and "
    "{folder}/client.key: the key is not that of the certificate",
    PAIR.replace("server.key", "web.yml"): "2:3: tls_server_config: {folder}/server.pem and "
    "{folder}/web.yml: not PEM that TLS can use, or a key with a password",
    PAIR + "  client_auth_type: RequireAndVerifyClientCert": "2:3: tls_server_config: "
    "client_auth_type and client_ca_file go together: one of them is missing",
    PAIR + "  client_auth_type: RequireAnyClientCert": "4:21: client_auth_type: "
    "RequireAnyClientCert checks nothing; say RequireAndVerifyClientCert",
    PAIR + "  client_allowed_sans: [a.example]": "2:3: tls_server_config: client_allowed_sans "
    "needs client_auth_type: RequireAndVerifyClientCert",
    PAIR + "  min_version: TLS13\n  max_version: TLS12": "2:3: tls_server_config: "
    "min_version TLS13 is above max_version TLS12",
    PAIR + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]": f"4:18: cipher_suites: {NOT_OFFERED}",
    PAIR + "  min_version: TLS10": "4:16: min_version: expected TLS12 or TLS13, found 'TLS10'",
    "rate_limit: {interval: 1s}": f"1:13: rate_limit: {NOT_OFFERED}",
    "http_server_config: {headers: {X-Powered-By: wind}}": "1:32: unknown key 'X-Powered-By'; "
    "known: Strict-Transport-Security",
    "http_server_config: {headers: {X-Frame-Options: never}}": "1:49: X-Frame-Options: "
    "expected deny or sameorigin, found 'never'",
    'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb"}}': "1:50: X-XSS-Protection: "
    "a header is one line of printable ASCII",
    "basic_auth_users:\n  prometheus: secret": f"2:15: {NOT_HASHED}",
    "basic_auth_users:\n  prometheus: [secret]": f"2:15: {NOT_HASHED}",
    "basic_auth_users: [a]": "1:19: basic_auth_users: expected a mapping of users",
    f"{USERS}  prometheus: {HASHED}\n": "3:3: user 'prometheus' stands twice",
    "a: " + "[" * 3000: "1:1: lists or mappings are nested too deeply",
    'basic_auth_users: {"a:b": x}': "1:20: a user's name is not empty and has no colon",
}


@pytest.mark.usefixtures("server", "client")
@pytest.mark.parametrize(("text", "mistake"), MISTAKES.items())
def test_mistakes(write: Callable[[str], Path], tmp_path: Path, text: str, mistake: str) -> None:
    """Each mistake has its place and a sentence; a secret is never repeated."""
    with pytest.raises(Invalid) as caught:
        load(write(text))

    assert caught.value.mistakes[0].startswith(
        f"{tmp_path}/web.yml:{mistake.format(folder=tmp_path)}"
    )
    assert not any("secret" in one or HASHED in one for one in caught.value.mistakes)


def test_without_bcrypt(write: Callable[[str], Path], tmp_path: Path) -> None:
    """Users and no bcrypt is told at the start, with what to install."""
    code = "import sys\nsys.modules['bcrypt'] = None\nfrom wattgov_exporter.cli import main\nmain()"

    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--web.config.file", write(USERS)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 2 == done.returncode
    assert done.stderr == (
        f"{tmp_path}/web.yml:2:3: basic_auth_users: bcrypt is not installed, so nobody could "
        "log in: pip install 'wattgov[web]'\n"
    )


@pytest.mark.usefixtures("server", "client")
@pytest.mark.parametrize("example", [ALL + USERS, None])
def test_promtool_accepts_what_we_accept(
    write: Callable[[str], Path], promtool: str, example: str | None
) -> None:
    """A file with all that we offer, and the one in the docs, are exporter-toolkit's."""
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    file = write(example or page.split("```")[1].removeprefix("yaml\n"))
    assert load(file).proves_client

    done = subprocess.run(
        [promtool, "check", "web-config", file], capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
