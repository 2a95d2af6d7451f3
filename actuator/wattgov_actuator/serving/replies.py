"""What an answer is made of: text, JSON, or a page; and what is said of a bad question."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from http import HTTPStatus
from math import isfinite
from re import Pattern

from wattgov_actuator.windows import Windows
from wattgov_web.request import TEXT, Response

JSON = "application/json; charset=utf-8"
# A browser does nothing with what it gets but show it, and shows it to nobody else.
GUARDED = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)


class Refusal(Exception):
    """What was asked cannot be done; says why in a sentence."""

    def __init__(self, status: HTTPStatus, sentence: str, *headers: tuple[str, str]) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


def text(status: HTTPStatus, body: str, *headers: tuple[str, str]) -> Response:
    """Return an answer in plain text."""
    return Response(status, body.encode(), TEXT, headers)


def data(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return an answer in JSON."""
    body = json.dumps(plain(value), indent=1, allow_nan=False).encode() + b"\n"
    return Response(status, body, JSON, GUARDED)


def refused(refusal: Refusal) -> Response:
    """Return the answer to a question that cannot be met."""
    body = json.dumps({"error": refusal.sentence}).encode() + b"\n"
    return Response(refusal.status, body, JSON, (*GUARDED, *refusal.headers))


def plain(value: object) -> object:  # noqa: PLR0911 (one return a kind of value)
    """Return a value as JSON has it: a dataclass by its fields, what is no finite number as null.

    Whatever a law or a decision gains later is shown without a line here.
    """
    match value:
        case Enum():  # before int and str, which it may be as well
            return value.name.lower() if isinstance(value, int) else value.value
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case tuple() | list() | frozenset():
            return [plain(each) for each in value]
        case Windows():
            return str(value)
    if not is_dataclass(value):
        return value.pattern if isinstance(value, Pattern) else value
    return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
