"""Certificates for tests, made by the openssl program."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate and its key; for a client, it is also whom a server trusts."""

    cert: Path
    key: Path


def certificate(openssl: str, folder: Path, name: str, san: str = "IP:127.0.0.1") -> Certificate:
    """Make one, valid for two days; *name* is its file's and its owner's."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={san}"),
            *("-keyout", made.key, "-out", made.cert),
        ],
        check=True,
        capture_output=True,
    )
    return made


def trusting(server: Certificate, own: Certificate | None = None) -> ssl.SSLContext:
    """Return what a client needs that trusts *server*, and shows its *own* certificate."""
    context = ssl.create_default_context(cafile=str(server.cert))
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context
