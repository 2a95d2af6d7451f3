"""Objects of the strict API server: where they are, which a list has, and how a patch goes in."""

from typing import Any
from urllib.parse import urlsplit

Thing = dict[str, Any]


def place(group: str, resource: str, name: str = "", namespace: str = "shop") -> str:
    """Return the path of an object; a node is in no namespace."""
    root = f"/api/{group}" if group == "v1" else f"/apis/{group}"
    within = "" if resource == "nodes" else f"/namespaces/{namespace}"
    return f"{root}{within}/{resource}" + (f"/{name}" if name else "")


def parted(path: str) -> tuple[str, str, str, list[str]] | None:
    """Return group, namespace, resource and the rest of a path; None for one of another kind."""
    _, root, *parts = urlsplit(path).path.split("/")
    group, rest = ("v1", parts[1:]) if root == "api" else ("/".join(parts[:2]), parts[2:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if root not in {"api", "apis"} or not rest or (root == "api" and parts[0] != "v1"):
        return None
    return group, namespace, rest[0], rest[1:]


def belongs(path: str, whole: str, group: str, resource: str) -> bool:
    """Tell whether an object is in a list: that of its namespace, or that of all of them."""
    parts = parted(path)
    everywhere = whole == f"/api/{group}/namespaces//{resource}"
    return path.rpartition("/")[0] == whole or (
        everywhere and parts is not None and (parts[0], parts[2]) == (group, resource)
    )


def field_of(thing: Thing, field: str) -> object:
    """Return what a field selector asks for."""
    part, _, key = field.partition(".")
    return thing[part].get(key)


def scale_of(thing: Thing) -> Thing:
    """Return the subresource; as Go writes it, a number that is 0 is left out."""
    spec, status = ({"replicas": thing[part]["replicas"]} for part in ("spec", "status"))
    return {
        "kind": "Scale",
        "metadata": thing["metadata"],
        "spec": {key: each for key, each in spec.items() if each},
        "status": status,
    }


def merged(old: object, change: object) -> Any:  # noqa: ANN401 (RFC 7396: of any kind)
    """Return *old* with a merge patch."""
    if not isinstance(change, dict):
        return change
    into = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = merged(into.get(key), value)
    return into
