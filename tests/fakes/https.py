"""Serve a fake over HTTP, or over HTTPS with a certificate, on a thread of its own."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer


@contextmanager
def serving(
    server: HTTPServer, letting_go: threading.Event, certificate: tuple[str, str] | None = None
) -> Iterator[str]:
    """Serve while the context lasts; give the URL.

    *certificate* is the files of it and its key. *letting_go* is set at the end, before the server
    stops: an answer that is held back waits for it.
    """
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_port}"
    finally:
        letting_go.set()
        server.shutdown()
        server.server_close()
        thread.join()
