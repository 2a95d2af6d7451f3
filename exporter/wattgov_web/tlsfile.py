"""The `tls_server_config` of a web.config.file: certificates, and those of the clients."""

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from wattgov_web import fields, regular
from wattgov_web.fields import Field, Mistake, Parse, Reader
from wattgov_web.tls import Tls

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def not_offered(_reader: Reader, _node: yaml.Node) -> object:
    """Refuse a key that exporter-toolkit knows and this server does not."""
    raise Mistake("is not offered by this server; leave it out")


def _readable(folder: Path) -> Parse:
    def parse(reader: Reader, node: yaml.Node) -> Path:
        file = folder / fields.path(reader, node)
        try:
            regular.opened(file).close()
        except OSError as error:
            raise Mistake(f"{file} cannot be read: {error.strerror}") from error
        return file

    return parse


def tls(folder: Path) -> Parse:
    """Take a `tls_server_config` whose paths are relative to *folder*."""
    file = _readable(folder)
    table: Mapping[str, Field] = {
        "cert_file": ("cert_file", file),
        "key_file": ("key_file", file),
        "client_ca_file": ("client_ca_file", file),
        "client_auth_type": ("client_auth_type", _client_auth),
        "client_allowed_sans": ("client_allowed_sans", fields.items(fields.text, "names")),
        "min_version": ("min_version", fields.choice(*_VERSIONS)),
        "max_version": ("max_version", fields.choice(*_VERSIONS)),
        **{
            name: (name, not_offered)
            for name in ("cert", "key", "client_ca", "cipher_suites", "curve_preferences")
        },
        # OpenSSL's own order, best first, is always the server's.
        "prefer_server_cipher_suites": ("ordered", fields.choice("true")),
    }
    return fields.block(_secure, table, "cert_file", "key_file")


def _client_auth(reader: Reader, node: yaml.Node) -> str:
    found = fields.text(reader, node)
    if found in {"RequestClientCert", "RequireAnyClientCert"}:
        raise Mistake(f"{found} checks nothing; say RequireAndVerifyClientCert")
    return str(fields.choice(*_VERIFY)(reader, node))


def _secure(
    *,
    cert_file: Path,
    key_file: Path,
    client_ca_file: Path | None = None,
    client_auth_type: str = "NoClientCert",
    client_allowed_sans: Iterable[str] = (),
    min_version: str = "TLS12",
    max_version: str = "TLS13",
    ordered: str = "true",
) -> Tls:
    del ordered
    verify = _VERIFY[client_auth_type]
    sans = frozenset(client_allowed_sans)
    if (client_ca_file is None) != (verify is ssl.CERT_NONE):
        raise Mistake("client_auth_type and client_ca_file go together: one of them is missing")
    if sans and verify is not ssl.CERT_REQUIRED:
        raise Mistake("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
    if min_version > max_version:
        raise Mistake(f"min_version {min_version} is above max_version {max_version}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min_version]
    context.maximum_version = _VERSIONS[max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.verify_mode = verify
    try:
        # An empty password: for a key that has one, OpenSSL would ask at the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except ssl.SSLError as error:
        raise Mistake(f"{cert_file} and {key_file}: {_why(error)}") from error
    try:
        if client_ca_file is not None:
            context.load_verify_locations(client_ca_file)
    except ssl.SSLError as error:
        raise Mistake(f"{client_ca_file}: {_why(error)}") from error
    files = tuple(file for file in (cert_file, key_file, client_ca_file) if file)
    return Tls(context, files, sans)


def _why(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate"
    return f"not PEM that TLS can use, or a key with a password ({error.reason or error.strerror})"
