"""What a client asks for, taken apart and checked: query parameters and bodies. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from http import HTTPStatus
from urllib.parse import parse_qsl

from wattgov_actuator.decision import Decision, Reason
from wattgov_actuator.serving.replies import Refusal
from wattgov_web.request import Request

MOST_PARAMETERS = 20
MOST_ROWS = 10_000


def parameters(query: str, known: Iterable[str]) -> dict[str, str]:
    """Return the parameters of a query by name; Refusal for one that is not known."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise _bad(f"more than {MOST_PARAMETERS} parameters") from None
    _only(dict(pairs), known, "parameter")
    return dict(pairs)


def separated(query: str, name: str) -> tuple[str, str]:
    """Return one parameter of a query, "" where there is none, and the query without it."""
    parts = query.split("&")
    found = [each.partition("=")[2] for each in parts if each.partition("=")[0] == name]
    return "".join(found[-1:]), "&".join(each for each in parts if each.partition("=")[0] != name)


def chosen(query: str) -> Callable[[Iterable[Decision]], list[Decision]]:
    """Return what picks the decisions that a query is about; Refusal when it cannot be met."""
    asked = parameters(query, ("rule", "target", "reason", "limit"))
    reason, limit = asked.get("reason", ""), asked.get("limit", str(MOST_ROWS))
    if reason and reason not in set(Reason):
        raise _bad(f"'{reason}' is no reason; there are: {', '.join(Reason)}")
    said = limit.isascii() and limit.isdecimal() and len(limit) <= len(str(MOST_ROWS))
    if not said or not 1 <= int(limit) <= MOST_ROWS:
        raise _bad(f"limit is a whole number from 1 to {MOST_ROWS}")

    def pick(decisions: Iterable[Decision]) -> list[Decision]:
        found = [
            each
            for each in decisions
            if asked.get("rule", "") in {"", each.rule}
            and asked.get("target", "") in {"", each.target}
            and reason in {"", each.reason}
        ]
        return found[: int(limit)]

    return pick


def body(request: Request, known: Iterable[str] | None = None) -> Mapping[str, object]:
    """Return the JSON object that a client sent, an empty one for no body; Refusal otherwise.

    *known* are the only keys that there may be; None: any.
    """
    if not request.body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # what a page of somebody else's cannot send without asking
        sentence = "send Content-Type: application/json"
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, sentence)
    try:
        found = json.loads(request.body)
        json.dumps(found, ensure_ascii=False).encode()  # JSON can spell what no page can show
    except UnicodeEncodeError:
        raise _bad("the body is not JSON that can be shown: it holds half a character") from None
    except (ValueError, RecursionError) as error:
        raise _bad(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _bad("the body is not a JSON object")
    if known is not None:
        _only(found, known, "key")
    return found


def text_of(given: Mapping[str, object], key: str, longest: int) -> str:
    """Return a text of a body, "" where there is none."""
    found = given.get(key, "")
    if not isinstance(found, str) or len(found) > longest:
        raise _bad(f"'{key}' is a text of at most {longest} characters")
    return found


def flag_of(given: Mapping[str, object], key: str) -> bool:
    """Return a yes or no of a body, no where there is none."""
    found = given.get(key, False)
    if not isinstance(found, bool):
        raise _bad(f"'{key}' is true or false")
    return found


def _only(given: Mapping[str, object], known: Iterable[str], kind: str) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            close = get_close_matches(name, names, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or '-'}"
            raise _bad(f"unknown {kind} '{name[:100]}'; {hint}")


def _bad(sentence: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, sentence)
