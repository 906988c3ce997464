"""What is remembered of one device, in pieces: an entry of its own, and one for each metric.

A pane reads and writes the pieces it touches, so its cost does not grow with the number of the
device's metrics. Every piece is stored as bytes: a version, then MessagePack.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from stream.baselines import Baseline
from stream.compound import Followed
from stream.conditions import Gate
from stream.derive import DerivedState
from stream.lifecycle import Life
from stream.methods import Memory
from stream.panes import Pane
from stream.reports import Health
from stream.rollups import Rolled
from stream.sensor_checks import Memory as CheckMemory
from stream.sessions import Run, Share
from stream.standing import Standing

STATE_VERSION = 2
_READABLE = (1, STATE_VERSION)
"""Version 1 had no fields that are not there now; those that came later have defaults."""


class RuleState(msgspec.Struct, array_like=True):
    """What one rule remembers of one series; new fields go to the end, with a default."""

    digest: str
    life: Life = msgspec.field(default_factory=Life)
    baseline: Baseline = msgspec.field(default_factory=Baseline)
    memory: Memory | None = None
    seen: CheckMemory | None = None


class SeriesState(msgspec.Struct, array_like=True):
    """What is remembered of one metric of one device; new fields go to the end, with a default.

    ``seen_to`` is the end of the newest pane: every window that ends by then has been given out.
    ``ring`` holds the panes that later windows or baselines need, without those that are empty.
    ``shares`` are those in runs of the machine, by session. ``above`` says that rules over rules
    have heard of an alert of it.
    """

    seen_to: int | None = None
    ring: list[Pane] = []
    rules: dict[str, RuleState] = {}
    rolled: Rolled | None = None
    shares: dict[str, Share] = {}
    above: bool = False
    health: Health | None = None


class DeviceEntry(msgspec.Struct, array_like=True):
    """What is remembered of a device as a whole; new fields go to the end, with a default.

    ``held`` panes wait, none of which ends after ``held_to``, until the gates of ``waits`` are told
    up to there. ``runs`` are by session. ``board`` are the alerts that stand, ``followed`` is what
    each rule over rules remembers, and ``clock`` the newest time for either, ms; 0 without them.
    ``derived`` is by derived metric. From ``silence_due`` on, ms, some metric may have been silent
    for too long; 0 for none.
    """

    gates: dict[str, Gate] = {}
    held: int = 0
    held_to: int = 0
    waits: list[str] = []
    runs: dict[str, Run] = {}
    board: dict[str, Standing] = {}
    followed: dict[str, Followed] = {}
    clock: int = 0
    derived: dict[str, DerivedState] = {}
    silence_due: int = 0


def drop_gates(entry: DeviceEntry, names: set[str]) -> None:
    """Forget gates that no rule asks any more: told no more, they would be wrong one day."""
    if not names:
        return
    for name in names:
        del entry.gates[name]
    entry.waits = [gate for gate in entry.waits if gate not in names]


class HeldPane(msgspec.Struct, array_like=True, frozen=True):
    """A pane that waits for what the state of its machine is."""

    metric: str
    site: str
    unit: str | None
    pane: Pane


class Watched(msgspec.Struct, array_like=True):
    """A metric that must not fall silent: whose values they are, and when to look, ms."""

    site: str
    unit: str | None
    look_at: int


class Watch(msgspec.Struct, array_like=True):
    """The metrics of a device that must not fall silent; read only when one may have."""

    metrics: dict[str, Watched] = {}


Piece = TypeVar("Piece", SeriesState, DeviceEntry, HeldPane, Watch)


class DeviceState:
    """The state of one device; pieces are loaded when first asked for and kept from then on."""

    def __init__(self, load: Callable[[str], bytes | None] = lambda _: None) -> None:
        """Take where pieces come from, by key; a device never seen has none."""
        self._load = load
        self._before: dict[str, bytes | None] = {}
        self._entry: DeviceEntry | None = None
        self._watch: Watch | None = None
        self._series: dict[str, SeriesState] = {}
        self._held: dict[str, HeldPane | None] = {}

    def entry(self) -> DeviceEntry:
        """Return what is remembered of the device as a whole, to be changed in place."""
        if self._entry is None:
            self._entry = decode_state(self._read(_ENTRY), DeviceEntry) or DeviceEntry()
        return self._entry

    def series(self, metric: str) -> SeriesState:
        """Return what is remembered of a metric, to be changed in place."""
        found = self._series.get(metric)
        if found is None:
            data = self._read(_SERIES + metric)
            found = decode_state(data, SeriesState) or SeriesState()
            self._series[metric] = found
        return found

    def watch(self) -> Watch:
        """Return which metrics must not fall silent, to be changed in place."""
        if self._watch is None:
            self._watch = decode_state(self._read(_WATCH), Watch) or Watch()
        return self._watch

    def hold(self, held: HeldPane) -> None:
        """Put a pane behind those that wait."""
        entry = self.entry()
        key = f"{_HELD}{entry.held}"
        self._before.setdefault(key, None)
        self._held[key] = held
        entry.held += 1
        entry.held_to = max(entry.held_to, held.pane.pane_end)

    def release(self) -> list[HeldPane]:
        """Return the panes that wait, in their order; none does afterwards."""
        entry = self.entry()
        found = []
        for index in range(entry.held):
            key = f"{_HELD}{index}"
            held = self._held.get(key)
            if held is None:
                held = decode_state(self._read(key), HeldPane)
            if held is not None:  # else its time to live is over, as the device's entry's is not
                found.append(held)
            self._held[key] = None
        entry.held, entry.held_to, entry.waits = 0, 0, []
        return found

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the pieces that are not as they were loaded, as bytes; None is to be removed."""
        for metric, series in self._series.items():
            before = self._before[_SERIES + metric] or _FRESH_SERIES
            data = encode_state(series)
            if data != before:
                yield _SERIES + metric, None if data == _FRESH_SERIES else data
        for key, held in self._held.items():
            kept = None if held is None else encode_state(held)
            if kept != self._before[key]:
                yield key, kept
        if self._entry is not None:
            data = encode_state(self._entry)
            if data != (self._before[_ENTRY] or _FRESH_ENTRY):
                yield _ENTRY, None if data == _FRESH_ENTRY else data
        if self._watch is not None:
            data = encode_state(self._watch)
            if data != (self._before[_WATCH] or _FRESH_WATCH):
                yield _WATCH, None if data == _FRESH_WATCH else data

    def _read(self, key: str) -> bytes | None:
        data = self._load(key)
        self._before[key] = data
        return data


_ENTRY, _SERIES, _HELD, _WATCH = "device", "series:", "held:", "watch"


def encode_state(piece: SeriesState | DeviceEntry | HeldPane | Watch) -> bytes:
    """Return a piece as bytes: the version, then MessagePack."""
    return bytes((STATE_VERSION,)) + _ENCODER.encode(piece)


def decode_state(data: bytes | None, kind: type[Piece]) -> Piece | None:
    """Return what :func:`encode_state` wrote, by this program or the one before; None for none.

    Raises:
        ValueError: the bytes are of a version this program does not know.
    """
    if not data:
        return None
    if data[0] not in _READABLE:
        raise ValueError(
            f"state of version {data[0]}, and this program reads 1 and {STATE_VERSION}: it was "
            "written by another release; run that one, or start the job anew without its state"
        )
    found: Piece = _DECODERS[kind].decode(memoryview(data)[1:])
    return found


_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[type, msgspec.msgpack.Decoder] = {  # type: ignore[type-arg]
    kind: msgspec.msgpack.Decoder(kind) for kind in (SeriesState, DeviceEntry, HeldPane, Watch)
}
_FRESH_SERIES, _FRESH_ENTRY, _FRESH_WATCH = (
    encode_state(piece) for piece in (SeriesState(), DeviceEntry(), Watch())
)
