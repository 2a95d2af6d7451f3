"""What Prometheus would have said before: range queries, read as one instant answer after another.

A failure of one part is the answer at each of its moments, as it would have been then.
"""

from collections.abc import Iterable, Iterator, Mapping

from wattgov_actuator.query import Prometheus
from wattgov_actuator.reading import Answer, Labels, QueryFailure, Sample
from wattgov_actuator.when import Moments

ROUNDING_SECONDS = 0.002  # Prometheus counts in milliseconds


class History:
    """One server, asked about the past."""

    def __init__(self, source: Prometheus) -> None:
        self._source = source

    def ask(self, expressions: Iterable[str], moments: Moments) -> Iterator[dict[str, Answer]]:
        """Yield the answers at each moment of *moments*, which one query can answer."""
        found = {expr: self._ask(expr, moments) for expr in expressions}
        for number in range(moments.count):
            yield {expr: answers[number] for expr, answers in found.items()}

    def _ask(self, expr: str, moments: Moments) -> list[Answer]:
        params = {
            "query": expr,
            "start": repr(moments.start),
            "end": repr(moments.start + (moments.count - 1) * moments.step),
            "step": repr(moments.step),
            "nocache": "1",
        }
        data = self._source.fetch("query_range", params)
        if isinstance(data, Answer):
            return [data] * moments.count
        try:
            return _answers(data, moments)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            detail = f"{self._source.url} answered with a matrix that cannot be read"
            return [Answer(failure=QueryFailure.BAD_JSON, detail=detail)] * moments.count


def _answers(data: Mapping[str, object], moments: Moments) -> list[Answer]:
    """Return what an instant query would have given at each moment."""
    series = data["result"]
    if data["resultType"] != "matrix" or not isinstance(series, list):
        raise TypeError(series)
    found: list[list[Sample]] = [[] for _ in range(moments.count)]
    for each in series:
        labels: Labels = dict(each["metric"])
        for at, value in each.get("values", ()):  # a native histogram has none
            found[_index(float(at), moments)].append(Sample(labels, float(value)))
    return [Answer(tuple(samples)) for samples in found]


def _index(at: float, moments: Moments) -> int:
    """Return which moment *at* is; raises ValueError when it is none: the server has rounded."""
    place = (at - moments.start) / moments.step
    index = round(place)
    if not 0 <= index < moments.count or abs(place - index) * moments.step > ROUNDING_SECONDS:
        raise ValueError(at)
    return index
