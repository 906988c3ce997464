"""What the gateway would make of one message, without a broker, a Kafka or a registry."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway import sections
from gateway.decode import Decoder, Limits, Origin
from gateway.invalid import Invalid
from gateway.murmur import partition
from gateway.packets import PUBLISH, RETAIN
from gateway.routes import Route
from gateway.sections import Config
from gateway.wire import Wire
from schemas.contracts import fingerprint
from schemas.records import Reading
from schemas.registry import Registry, SchemaIds
from schemas.topics import subject

_SEQ = 1 << 12


class Tried(NamedTuple):
    """A route and whether the topic fits it."""

    template: str
    fits: bool


class Record(NamedTuple):
    """A reading as Kafka would get it; ``partition`` is None where their number is not known."""

    reading: Reading
    key: str
    partition: int | None
    value: bytes


class Explained(NamedTuple):
    """What becomes of a message: records, or the reason of a dead letter.

    ``schema_id`` is the one that the registry gave the last time, None where it never was asked;
    the values then begin with 0 for it. ``sampling`` says what is sent in the readings' place where
    the route sends one an interval.
    """

    tried: list[Tried]
    kafka_topic: str
    subject: str
    fingerprint: str
    schema_id: int | None
    records: list[Record]
    reason: str
    detail: str
    sampling: str


class Asked(NamedTuple):
    """A message to be explained; ``received_ts`` in ms; how many partitions, None if unknown."""

    topic: str
    payload: bytes
    retained: bool
    received_ts: int
    partitions: int | None


def explain(config: Config, asked: Asked) -> Explained:
    """Return what a gateway of this configuration would make of a message."""
    routes = sections.routes(config)
    kafka_topic = f"{config.kafka.topic_prefix}readings"
    name = subject(kafka_topic)
    ids = SchemaIds(
        Path(config.gateway.data_dir) / "schema-ids.json", Registry(config.registry.url)
    )
    schema_id = ids.cached(name, "reading")
    records: list[Record] = []
    reason = detail = ""
    try:
        records = _records(config, routes, asked, Wire(schema_id or 0, 0))
    except Invalid as invalid:
        reason, detail = invalid.reason, invalid.detail
    tried = _tried(routes, asked.topic)
    sampling = _sampling(next((r for r, t in zip(routes, tried, strict=False) if t.fits), None))
    print_ = fingerprint("reading")
    return Explained(tried, kafka_topic, name, print_, schema_id, records, reason, detail, sampling)


def _sampling(route: Route | None) -> str:
    if route is None or route.shape is None or route.shape.sampler is None:
        return ""
    sampler = route.shape.sampler
    return f"of each metric one reading every {sampler.every_ms / 1000:g} s is sent: {sampler.keep}"


def _records(config: Config, routes: list[Route], asked: Asked, wire: Wire) -> list[Record]:
    limits = Limits(config.limits.payload, config.limits.magnitude)
    decoder = Decoder(config.gateway.id, routes, limits)
    origin = Origin(0, asked.received_ts, "SYNCED", internal=False, replayed=False)
    first = PUBLISH | RETAIN if asked.retained else PUBLISH
    topic = asked.topic.encode("utf-8", "surrogateescape")
    found = []
    packet = (first, topic, asked.payload)
    readings = decoder.readings(origin, _SEQ, packet)
    shape = decoder.shape(topic)
    if shape is not None:
        readings = shape.told_of(shape.measured(readings))
    for reading in readings:
        key = reading.device_id.encode()
        place = None if asked.partitions is None else partition(key, asked.partitions)
        found.append(Record(reading, reading.device_id, place, wire.reading(reading)))
    return found


def _tried(routes: list[Route], topic: str) -> list[Tried]:
    """Return the routes in their order up to and with the first that fits."""
    tried = []
    for route in routes:
        tried.append(Tried(route.template, route.pattern.fullmatch(topic) is not None))
        if tried[-1].fits:
            break
    return tried


def as_json(explained: Explained) -> bytes:
    """Return it as one JSON object; Avro bytes in hex."""
    plain = explained._asdict() | {
        "tried": [tried._asdict() for tried in explained.tried],
        "records": [
            record._asdict() | {"value": record.value.hex()} for record in explained.records
        ],
    }
    return msgspec.json.encode(plain)


def as_text(explained: Explained) -> list[str]:
    """Return it as lines for a person."""
    lines = [f"{'fits' if fits else 'no':>6}  {template}" for template, fits in explained.tried]
    if explained.reason:
        lines += [f"dead letter  {explained.reason}: {explained.detail}"]
        return lines
    known = explained.schema_id
    schema_id = "not known yet: the registry gives it" if known is None else known
    count = len(explained.records)
    lines += [
        f"{count} reading{'' if count == 1 else 's'} to {explained.kafka_topic}",
        f"schema  {explained.subject}, fingerprint {explained.fingerprint[:16]}, id {schema_id}",
    ]
    if explained.sampling:
        lines += [f"sampled {explained.sampling}"]
    for reading, key, place, value in explained.records:
        where = "" if place is None else f", partition {place}"
        lines += [f"key {key}{where}"]
        fields = msgspec.structs.asdict(reading)
        # Given only by a gateway that runs.
        for name in ("gateway_epoch", "gateway_seq"):
            fields.pop(name)
        lines += [f"    {name:12} {field!r}" for name, field in fields.items()]
        lines += [f"    avro         {value.hex()}"]
    return lines
