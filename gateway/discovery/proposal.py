"""From what was heard to routes that read it, each of them tried on every sample it would get."""

import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.decode import Decoder, Limits, Origin
from gateway.discovery.listening import Sample
from gateway.discovery.payloads import Guess, guessed
from gateway.discovery.topics import template
from gateway.invalid import Invalid
from gateway.packets import PUBLISH
from gateway.sections import RouteSection, compiled
from schemas.config import Complaint, read_table
from schemas.records import Reading

_LIMITS = Limits(256 << 10, 1.7e308)


class Metric(NamedTuple):
    """What a metric looked like; ``interval_s`` is the median, None where it came once."""

    name: str
    devices: int
    interval_s: float | None
    least: float
    most: float
    units: list[str]


class Proposed(NamedTuple):
    """A route's words, and what it read."""

    words: dict[str, Any]
    topics: int
    messages: int
    example: Sample
    metrics: list[Metric]


class Unplaced(NamedTuple):
    """Messages that no route reads, of one topic, and why."""

    topic: str
    messages: int
    payload: bytes
    why: str


class Proposal(NamedTuple):
    """Routes in the order in which they are to be tried, and what they leave."""

    routes: list[Proposed]
    unplaced: list[Unplaced]


class _Kind(NamedTuple):
    """What messages of one route have in common."""

    depth: int
    first: str
    payload: str
    names_metrics: bool
    names_devices: bool
    each: str | None


def proposal(samples: Sequence[Sample]) -> Proposal:
    """Return the routes for what was heard."""
    kinds: dict[_Kind, list[tuple[Sample, Guess]]] = defaultdict(list)
    lost: dict[str, Unplaced] = {}
    for sample in samples:
        guess = guessed(sample.topic, sample.payload)
        if isinstance(guess, str):
            _add(lost, sample, guess)
        else:
            kinds[_kind(sample, guess)].append((sample, guess))
    routes = []
    for its in kinds.values():
        words = _words([sample for sample, _ in its], [guess for _, guess in its])
        routes.append((words, [sample for sample, _ in its]))
    routes.sort(key=lambda route: (route[0]["topic"].count("{"), -len(route[1])))
    return _tried(routes, lost)


def decoder(routes: Iterable[dict[str, Any]]) -> Decoder:
    """Return what a gateway of these routes reads messages with.

    Raises:
        ValueError: one of them is wrong.
    """
    return Decoder("discover", [compiled(section(words)) for words in routes], _LIMITS)


def section(words: dict[str, Any]) -> RouteSection:
    """Return a route's words as the configuration has them.

    Raises:
        ValueError: they are wrong.
    """
    complaints: list[Complaint] = []
    made = read_table(RouteSection, words, (), complaints)
    if made is None or complaints:
        raise ValueError("; ".join(complaint.message for complaint in complaints))
    return made


def readings(of: Decoder, sample: Sample) -> list[Reading]:
    """Return what a message becomes.

    Raises:
        Invalid: it would be a dead letter.
    """
    origin = Origin(0, time.time_ns() // 1_000_000, "SYNCED", internal=False, replayed=False)
    topic = sample.topic.encode("utf-8", "surrogateescape")
    return of.readings(origin, 0, (PUBLISH, topic, sample.payload))


def _kind(sample: Sample, guess: Guess) -> _Kind:
    levels = sample.topic.split("/")
    if guess.payload == "sparkplug":
        return _Kind(0, levels[1] if len(levels) > 1 else "", "sparkplug", True, True, None)
    named = guess.names_metrics, guess.names_devices
    return _Kind(len(levels), levels[0], guess.payload, *named, guess.words.get("each"))


def _words(samples: list[Sample], guesses: list[Guess]) -> dict[str, Any]:
    """Return one route's words for messages of one kind; each may name metrics of its own."""
    first = guesses[0]
    if first.payload == "sparkplug":
        return {"topic": "spBv1.0/{site}/#", "payload": "sparkplug"}
    made = template(
        list(dict.fromkeys(sample.topic for sample in samples)),
        names_metrics=first.names_metrics,
        names_devices=first.names_devices,
    )
    words: dict[str, Any] = {"topic": made.topic, "payload": first.payload}
    words |= {key: value for key in ("site", "metric") if (value := getattr(made, key)) is not None}
    for guess in guesses:
        for key, value in guess.words.items():
            if isinstance(value, dict):
                words[key] = {**value, **words.get(key, {})}
            else:
                words.setdefault(key, value)
    return words


def _tried(
    routes: list[tuple[dict[str, Any], list[Sample]]], lost: dict[str, Unplaced]
) -> Proposal:
    """Keep the routes that can be, and read every sample as a gateway of all of them would."""
    good: dict[str, tuple[dict[str, Any], list[Sample]]] = {}
    for words, its in routes:
        why = _wrong(words) or ("as another payload of it" if words["topic"] in good else "")
        if why:
            for sample in its:
                _add(lost, sample, f"no route for {words['topic']!r}: {why}")
        else:
            good[words["topic"]] = (words, its)
    of = decoder(words for words, _ in good.values())
    proposed = []
    for words, its in good.values():
        read: list[tuple[Sample, list[Reading]]] = []
        for sample in its:
            try:
                read.append((sample, readings(of, sample)))
            except Invalid as invalid:
                _add(lost, sample, f"{invalid.reason}: {invalid.detail}")
        if any(found for _, found in read):
            topics = len({sample.topic for sample, _ in read})
            proposed.append(Proposed(words, topics, len(read), read[0][0], _metrics(read)))
    return Proposal(proposed, list(lost.values()))


def _wrong(words: dict[str, Any]) -> str:
    try:
        decoder([words])
    except ValueError as error:
        return str(error)
    return ""


def _metrics(read: list[tuple[Sample, list[Reading]]]) -> list[Metric]:
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    values: dict[str, list[float]] = defaultdict(list)
    units: dict[str, set[str]] = defaultdict(set)
    for sample, found in read:
        for reading in found:
            # A batch comes all at once; its own times say how often it was measured.
            own = None if reading.device_ts is None else reading.device_ts / 1000
            times[reading.metric][reading.device_id].append(sample.at_s if own is None else own)
            values[reading.metric].append(reading.value)
            units[reading.metric] |= {reading.unit} if reading.unit else set()
    return [
        Metric(
            name,
            len(times[name]),
            _interval(times[name].values()),
            min(values[name]),
            max(values[name]),
            sorted(units[name]),
        )
        for name in sorted(values)
    ]


def _interval(of_devices: Iterable[list[float]]) -> float | None:
    gaps = [b - a for at in of_devices for a, b in itertools.pairwise(at) if b > a]
    return statistics.median(gaps) if gaps else None


def _add(lost: dict[str, Unplaced], sample: Sample, why: str) -> None:
    known = lost.get(sample.topic)
    count = 1 if known is None else known.messages + 1
    lost[sample.topic] = Unplaced(sample.topic, count, sample.payload, why)


def as_json(found: Proposal) -> bytes:
    """Return it as one JSON object; payloads as text, what is none escaped."""
    return msgspec.json.encode(
        {
            "routes": [
                route._asdict()
                | {"example": _shown(route.example.topic, route.example.payload)}
                | {"metrics": [metric._asdict() for metric in route.metrics]}
                for route in found.routes
            ],
            "unplaced": [
                {"messages": one.messages, "why": one.why, **_shown(one.topic, one.payload)}
                for one in found.unplaced
            ],
        }
    )


def _shown(topic: str, payload: bytes) -> dict[str, str]:
    return {"topic": topic, "payload": payload[:1000].decode("utf-8", "backslashreplace")}
