"""The shapes that Redfish answers have: links, and errors in words (DMTF DSP0266)."""

import json
from collections.abc import Mapping
from typing import Any

Resource = Mapping[str, Any]
"""A JSON object of the service."""


def parse(content: bytes) -> Resource | None:
    """Return the object that a body holds; None when it is anything else."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def link(resource: Resource, name: str) -> str | None:
    """Return the path that a property of *resource* points to."""
    return target(resource.get(name))


def target(reference: object) -> str | None:
    """Return the path in `{"@odata.id": path}`; a path is on the same host."""
    path = reference.get("@odata.id") if isinstance(reference, dict) else None
    return path if isinstance(path, str) and path.startswith("/") else None


def sentence(content: bytes) -> str:
    """Return what an error body says, nothing when it is no error body.

    `error.@Message.ExtendedInfo[]` has Message and Resolution, `error.message` only the gist.
    """
    error = (parse(content) or {}).get("error")
    if not isinstance(error, dict):
        return ""
    infos = error.get("@Message.ExtendedInfo")
    texts = [
        info.get(key)
        for info in (infos if isinstance(infos, list) else [])
        if isinstance(info, dict)
        for key in ("Message", "Resolution")
    ]
    words = [text for text in texts if isinstance(text, str) and text not in {"", "None", "None."}]
    return " ".join(words or [str(error.get("message", ""))])
