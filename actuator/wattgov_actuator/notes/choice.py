"""Make the sinks that the options ask for, with secrets that are read anew each time."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from wattgov_actuator.notes.options import TOKEN, WEBHOOK
from wattgov_actuator.notes.sinks import Grafana, Secret, Sink, Unsent, Webhook
from wattgov_web import regular


def sinks(
    grafana_url: str | None,
    token_file: Path | None,
    webhook_file: Path | None,
    environment: Mapping[str, str],
) -> tuple[str, list[Sink] | None]:
    """Return what is wrong with the options as text, or where notes go."""
    token, webhook = environment.get(TOKEN), environment.get(WEBHOOK)
    found: list[Sink] = []
    try:
        if grafana_url:
            found.append(Grafana(grafana_url, _secret(token_file, token, "--grafana-token-file")))
        if webhook_file or webhook:
            address = _secret(webhook_file, webhook, "--webhook-url-file")
            found.append(Webhook(_web_address(address)))
    except Unsent as error:
        return str(error), None
    return "", found


def _secret(path: Path | None, given: str | None, option: str) -> Secret:
    """Return what reads a secret; Unsent when there is none to be read now."""
    if path is None and not given:
        raise Unsent(f"{option} is missing: without it no note can be sent", again=False)

    def read() -> str:
        if path is None:
            return given or ""
        try:
            text = regular.read(path).decode("ascii").strip()
        except OSError as error:
            raise Unsent(f"{option} {path}: {error.strerror}", again=True) from None
        except UnicodeDecodeError:  # from None: the error holds what was read
            raise Unsent(f"{option} {path}: not plain text", again=False) from None
        if not text or not text.isprintable():
            raise Unsent(f"{option} {path}: not one line of text", again=False)
        return text

    read()
    return read


def _web_address(secret: Secret) -> Secret:
    """Return what reads a URL, which is not repeated when it is none."""

    def read() -> str:
        text = secret()
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unsent("the webhook's URL is not like https://hooks.example/...", again=False)
        return text

    read()
    return read
