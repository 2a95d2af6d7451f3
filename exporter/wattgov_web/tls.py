"""What a connection is wrapped in, and which clients it lets in."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Tls:
    """What a connection is wrapped in; *allowed_sans* empty lets every verified client in."""

    context: ssl.SSLContext
    files: tuple[Path, ...]
    allowed_sans: frozenset[str] = frozenset()

    @property
    def proves_client(self) -> bool:
        """Whether everybody who got in has shown a certificate that we trust."""
        return self.context.verify_mode is ssl.CERT_REQUIRED

    def admit(self, client: ssl.SSLSocket) -> None:
        """Raise ConnectionError unless the client's certificate has one of the names."""
        certificate: Mapping[str, Any] = client.getpeercert() or {}
        names = {value for _, value in certificate.get("subjectAltName", ())}
        if self.allowed_sans and not names & self.allowed_sans:
            raise ConnectionRefusedError("the client's certificate has no allowed name")
