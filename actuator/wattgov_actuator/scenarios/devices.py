"""The devices of a scenario file, and what is said of them: all by the kind of their knob."""

from collections.abc import Collection, Mapping, Sequence

from wattgov_actuator.document.strict import Fields
from wattgov_actuator.reading import Target
from wattgov_actuator.rules import Kind
from wattgov_actuator.simulation import Place, Planted

RESOLUTIONS = {"watts": 1.0, "hertz": 10e6, "level": 0.5}  # as the knobs of this version have


def devices_of(fields: Fields, kinds: Mapping[str, Kind]) -> tuple[Planted, ...]:
    """Read the devices at `targets`."""
    found = [_device(each, kinds) for each in fields.blocks("targets", "a target")]
    return tuple(each for each in found if each is not None)


def by_name(planted: Sequence[Planted]) -> dict[str, Planted]:
    """Return devices by what the file calls them."""
    return {_called(each, planted): each for each in planted}


def values_of(
    fields: Fields, key: str, places: Mapping[str, Planted], kinds: Mapping[str, Kind]
) -> dict[Place, float] | None:
    """Read values by target."""
    block = fields.block(key)
    if block is None:
        return None
    found = {}
    for name in block.names(list(places)):
        knob = places[name].target.knob
        value = amount_of(block, name, [knob], kinds, knob)
        if value is not None:
            found[places[name].place] = value
    return found


def device_of(fields: Fields, places: Mapping[str, Planted]) -> Planted | None:
    """Read the name of one device at `target`."""
    return places.get(fields.name("target", list(places)))


def amount_of(
    fields: Fields, key: str, knobs: Collection[str], kinds: Mapping[str, Kind], taker: str
) -> float | None:
    """Read a value of one of these knobs: a quantity, or a word where it has words."""
    words = {word: value for knob in knobs for word, value in kinds[knob].levels.items()}
    units = sorted({kinds[knob].accepts[0] for knob in knobs if not kinds[knob].levels})
    if words and not units:
        return words[fields.word(key, list(words))]
    word = fields.one_of(key, list(words))
    if word is not None:
        return words[word]
    found = fields.quantity(key, units, taker)
    return None if found is None else found.value


def _device(fields: Fields, kinds: Mapping[str, Kind]) -> Planted | None:
    knob = fields.one_of("knob", list(kinds))
    if knob is None:
        fields.word("knob", list(kinds))
    name, block = fields.text("name"), fields.block("labels")
    labels = {} if block is None else block.texts()
    both_ways = fields.flag("both_ways", default=False)
    if knob is None:
        fields.skip("low", "high", "current")
        fields.end()
        return None
    unit, levels = kinds[knob].accepts[0], kinds[knob].levels
    both = () if levels else ("low", "high")
    ends: Sequence[float | None] = sorted(levels.values())
    ends = ends or [amount_of(fields, key, [knob], kinds, knob) for key in both]
    low, high = ends
    for key in both:
        if key not in fields:
            fields.say(None, f"the target has no '{key}'")
    given = "current" in fields
    current = amount_of(fields, "current", [knob], kinds, knob) if given else high
    fields.skip("current")
    fields.end()
    if low is None or high is None or current is None:
        return None
    if not low <= current <= high:
        fields.say("current" if "current" in fields else "low", "low, current, high: not so")
    target = Target(
        knob,
        name,
        {"uuid": name, **labels},
        low,
        high,
        unit,
        RESOLUTIONS.get(unit, 1.0),
        multiplicative=unit == "hertz",
        both_ways=both_ways,
    )
    return Planted(target, current)


def _called(planted: Planted, among: Sequence[Planted]) -> str:
    """Return the name of a device, with its knob where another knob has one of that name."""
    knob, name = planted.place
    alone = sum(each.target.name == name for each in among) == 1
    return name if alone else f"{knob}/{name}"
