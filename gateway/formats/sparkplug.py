"""Sparkplug B (specification 3.0): births, data and deaths of edge nodes and their devices.

A birth certificate names each metric, its type, and mostly an alias by which the data messages
then go. The messages of a node, those of its devices included, count from 0 to 255 and over. Where
a number is missing, or a metric was never born, the node is asked to be born again.

Readings are the metrics of numbers and booleans in births and data. A null, a text, a time, a data
set, an array or a template is none; a data message of nothing else is invalid. ``bdSeq`` and what
controls a node or a device are no measurements. Deaths and commands carry none either.
"""

import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

from gateway.formats import sparkplug_payload, values
from gateway.formats.births import Births, Certificate, Entry
from gateway.formats.sparkplug_payload import Message, Metric
from gateway.ids import metric_id, valid_id
from gateway.invalid import Invalid
from gateway.pacing import Trouble
from gateway.payloads import Parse, Sample, ts_of

_log = logging.getLogger("tidegate.sparkplug")
_BIRTHS, _DATA, _DEATHS = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA"), ("NDEATH", "DDEATH")
_COMMANDS = ("NCMD", "DCMD")
_CONTROL = re.compile(r"bdSeq|(Node|Device) Control/.*", re.DOTALL)
_OTHERWISE = re.compile(r"[^A-Za-z0-9_.-]")
_BETWEEN = "__"
_ASK_EVERY_S = 60.0
_MOST_NODES = 20_000


class Publish(Protocol):
    """The connection, as rebirths are asked for by it; from the thread that decodes."""

    def __call__(self, topic: str, payload: bytes, /) -> None:
        """Publish when it can; a message that is lost is asked for again."""


class Source(NamedTuple):
    """Where a message comes from; ``member`` is the device of a node, or empty."""

    group: str
    kind: str
    edge: str
    member: str

    @property
    def node(self) -> str:
        """Return the node's name, unique on a broker."""
        return f"{self.group}/{self.edge}"


class _Last(NamedTuple):
    gateway_seq: int
    seq: int


class Host:
    """Reads the messages of all nodes; one thread's. It is no primary host and sends no STATE.

    Without ``publish`` a rebirth that is needed is told in the log, and not asked for.
    """

    def __init__(
        self,
        births: Births,
        publish: Publish | None = None,
        *,
        now_s: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._births = births
        self._publish = publish
        self._now_s, self._wall_s = now_s, wall_s
        self._last: dict[str, _Last] = {}
        self._asked_s: dict[str, float] = {}
        self._trouble = Trouble(_log, "Sparkplug", now=now_s)
        self.rebirths = 0

    def bind(self, topic: str) -> Parse:
        """Return how the payloads of a topic are read.

        Raises:
            Invalid: NO_ROUTE, BAD_ID.
        """
        source, device = _source(topic)
        if source is None:
            return _no_readings

        def parse(payload: bytes, seq: int, _received_ts: int) -> list[Sample]:
            return self._read(source, device, payload, seq)

        return parse

    def _read(self, source: Source, device: str, payload: bytes, seq: int) -> list[Sample]:
        message = sparkplug_payload.message(payload)
        if source.kind in _BIRTHS:
            entries = _entries(message)
            self._births.record(source.node, source.member, seq, entries)
            certificate: Certificate | None = Certificate.of(entries)
        else:
            certificate = self._births.at(source.node, source.member, seq)
        self._count(source, seq, message.seq)
        if source.kind in _DEATHS:
            return []
        try:
            return _samples(message, certificate, device, data=source.kind in _DATA)
        except _Unborn as unborn:
            self._ask(source, "a metric that was never born")
            raise Invalid("MISSING", f"{unborn}: no birth certificate says what it is") from unborn

    def _count(self, source: Source, gateway_seq: int, seq: int | None) -> None:
        """Ask for a rebirth if messages are missing before this one.

        One that is decoded again has a number of the gateway's from before; one that the broker
        sent twice has its own number twice.
        """
        last = self._last.pop(source.node, None)
        if seq is None:
            # Of deaths; the next birth begins anew.
            return
        if len(self._last) >= _MOST_NODES:
            self._last.clear()
        self._last[source.node] = _Last(gateway_seq, seq)
        if last is None or source.kind == "NBIRTH" or gateway_seq <= last.gateway_seq:
            return
        if seq not in ((last.seq + 1) & 0xFF, last.seq):
            self._ask(source, "messages are missing")

    def _ask(self, source: Source, cause: str) -> None:
        now_s = self._now_s()
        if now_s - self._asked_s.get(source.node, float("-inf")) < _ASK_EVERY_S:
            return
        if len(self._asked_s) >= _MOST_NODES:
            self._asked_s.clear()
        self._asked_s[source.node] = now_s
        if self._publish is None:
            self._trouble.seen(f"{cause}: an edge node has to be born again, and nobody asks it")
            return
        self._trouble.seen(f"{cause}: an edge node is asked to be born again")
        self.rebirths += 1
        topic = f"spBv1.0/{source.group}/NCMD/{source.edge}"
        self._publish(topic, sparkplug_payload.rebirth(int(self._wall_s() * 1000)))


class _Unborn(Exception):
    """A metric that neither its message nor a certificate describes."""


def _no_readings(_payload: bytes, _seq: int, _received_ts: int) -> list[Sample]:
    return []


def _source(topic: str) -> tuple[Source | None, str]:
    """Return where the messages of a topic come from, None for what is a host's, and its device."""
    _, group, *rest = topic.split("/")
    if group == "STATE" or (rest and rest[0] in _COMMANDS):
        return None, ""
    kind, edge, member = (*rest, "", "", "")[:3]
    levels = 3 if kind.startswith("D") else 2
    if kind not in (*_BIRTHS, *_DATA, *_DEATHS) or len(rest) != levels or "" in rest:
        raise Invalid("NO_ROUTE", "no message of Sparkplug B has such a topic")
    if not member:
        device = valid_id("device", edge)
    else:
        device = valid_id("device", f"{edge}{_BETWEEN}{member}")
    # So that no two of them have one id.
    if _BETWEEN in edge or _BETWEEN in member or edge.endswith("_") or member.startswith("_"):
        raise Invalid("BAD_ID", f"{device!r}: {_BETWEEN!r} stands between a node and its device")
    return Source(group, kind, edge, member), device


def _entries(message: Message) -> tuple[Entry, ...]:
    """Return what a birth certificate says.

    Raises:
        Invalid: MISSING, BAD_PAYLOAD, BAD_ID.
    """
    if not message.metrics:
        raise Invalid("MISSING", "a birth certificate without a metric")
    entries: dict[str, Entry] = {}
    aliases: set[int] = set()
    metrics: set[str] = set()
    for m in message.metrics:
        if m.name is None:
            raise Invalid("BAD_PAYLOAD", "a birth certificate with a metric without a name")
        if m.name in entries or m.alias in aliases:
            raise Invalid("BAD_PAYLOAD", f"name or alias of {m.name[:80]!r} comes twice")
        entries[m.name] = Entry(m.name, m.alias, m.datatype, values.text("unit", m.unit))
        if m.alias is not None:
            aliases.add(m.alias)
        if sparkplug_payload.is_number(m.datatype) and not _is_control(m.name):
            metric = metric_of(m.name)
            if metric in metrics:
                raise Invalid("BAD_ID", f"two metrics of the certificate would be {metric!r}")
            metrics.add(metric)
    return tuple(entries.values())


# Names come again with every message; they are remembered as far as one gateway has them.
@lru_cache(maxsize=8192)
def _is_control(name: str) -> bool:
    return bool(_CONTROL.fullmatch(name))


@lru_cache(maxsize=8192)
def metric_of(name: str) -> str:
    """Return a metric's name here: ``/`` is ``.``, what ids do not have is ``_``.

    Raises:
        Invalid: BAD_ID.
    """
    return metric_id(_OTHERWISE.sub("_", name.replace("/", ".")))


def _samples(
    message: Message, certificate: Certificate | None, device: str, *, data: bool
) -> list[Sample]:
    found: list[Sample] = []
    others = not message.metrics
    for metric in message.metrics:
        entry = _entry(metric, certificate)
        if _is_control(entry.name):
            continue
        if metric.raw is None or not sparkplug_payload.is_number(entry.datatype):
            others = True
            continue
        found.append(
            Sample(
                sparkplug_payload.number(entry.datatype, metric.raw),
                ts_of(message.ts if metric.ts is None else metric.ts),
                entry.unit if metric.unit is None else values.text("unit", metric.unit),
                message.seq,
                quality=metric.quality,
                metric=metric_of(entry.name),
                device=device,
            )
        )
    if data and others and not found:
        raise Invalid("NOT_A_NUMBER", "the message holds no number and no boolean")
    return found


def _entry(metric: Metric, certificate: Certificate | None) -> Entry:
    """Return what is known of a metric; a name and a type of its own need no certificate."""
    if certificate is not None:
        if metric.name is not None:
            known = certificate.names.get(metric.name)
        else:
            known = certificate.aliases.get(-1 if metric.alias is None else metric.alias)
        if known is not None:
            return known
    if metric.name is not None and metric.datatype:
        return Entry(metric.name, metric.alias, metric.datatype, None)
    named = f"alias {metric.alias}" if metric.name is None else repr(metric.name[:80])
    raise _Unborn(named)
