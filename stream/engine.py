"""The engine: one pane in, windows and alerts out. No Flink, no clock, no randomness.

    pane ──▶ ring of panes ──▶ sliding windows ──▶ per rule: baseline, comparison, life of an alert

What comes out is a function of the sequence of a series' panes alone, however they arrive and
however often the state has been to disk and back.
"""

from typing import NamedTuple

import msgspec

from schemas.records import Alert, WindowFeatures
from stream.alert_record import record, rule_changed
from stream.detectors import (
    AGGREGATES,
    Baseline,
    Verdict,
    against_baseline,
    against_value,
    learn,
)
from stream.lifecycle import Life, advance, phase
from stream.panes import Pane
from stream.rule import Rule, Rules
from stream.windows import Subject, Window, WindowSpec, cut, ends_between, features, kept_from

STATE_VERSION = 1
_MAX_PLANS = 100_000


class RuleState(msgspec.Struct, array_like=True):
    """What one rule remembers of one series; new fields go to the end, with a default."""

    digest: str
    life: Life = msgspec.field(default_factory=Life)
    baseline: Baseline = msgspec.field(default_factory=Baseline)


class SeriesState(msgspec.Struct, array_like=True):
    """What is remembered of one metric of one device; new fields go to the end, with a default.

    ``seen_to`` is the end of the newest pane: every window that ends by then has been given out.
    ``ring`` holds the panes that later windows or baselines need, without those that are empty.
    """

    seen_to: int | None = None
    ring: list[Pane] = []
    rules: dict[str, RuleState] = {}


class _Group(NamedTuple):
    """The rules of a series that look at the same windows."""

    spec: WindowSpec
    rules: tuple[Rule, ...]


class _Plan(NamedTuple):
    """The rules of one series, and their digests by name."""

    groups: tuple[_Group, ...]
    digests: dict[str, str]


class Decision(NamedTuple):
    """What a pane led to, in order of window end."""

    windows: tuple[WindowFeatures, ...]
    alerts: tuple[Alert, ...]


NOTHING = Decision((), ())
_NOT_YET = 0
"""Nothing can be forgotten while a window is open that may need it."""


class Engine:
    """Applies a set of rules; holds no state of any series."""

    def __init__(self, rules: Rules) -> None:
        """Take the rules; which of them a series has is found when it is first seen."""
        self._rules = rules.rules
        self._plans: dict[tuple[str, str, str], _Plan] = {}

    def on_pane(
        self,
        state: SeriesState,
        device_id: str,
        metric: str,
        site: str,
        unit: str | None,
        pane: Pane,
    ) -> Decision:
        """Take the next pane of a series, and return the windows it completes and their alerts.

        A pane that does not follow the newest one is passed over: it has been seen.

        Args:
            state: the series', changed in place.
            device_id: whose pane it is.
            metric: of which metric.
            site: copied to the records, and matched by rules.
            unit: copied to alerts.
            pane: in order of time within the series.
        """
        plan = self._plan(device_id, metric, site)
        of = Subject(device_id, metric, site, unit)
        alerts = _reconcile(state, plan, pane.pane_end)
        seen_to = pane.pane_start if state.seen_to is None else state.seen_to
        if not plan.groups or pane.pane_start < seen_to:
            return Decision((), tuple(alerts)) if alerts else NOTHING
        windows: list[WindowFeatures] = []
        for end, group in _missed(plan.groups, state.ring, seen_to, pane.pane_start):
            _window(state, group, of, end, windows, alerts)
        state.seen_to = pane.pane_end
        if pane.n > 0:
            state.ring.append(pane)
        kept = [
            _window(state, group, of, pane.pane_end, windows, alerts)
            if pane.pane_end % group.spec.slide_ms == 0
            else _NOT_YET
            for group in plan.groups
        ]
        _forget(state.ring, min(kept))
        return Decision(tuple(windows), tuple(alerts))

    def _plan(self, device_id: str, metric: str, site: str) -> _Plan:
        key = (device_id, metric, site)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._grouped(device_id, metric, site)
        return plan

    def _grouped(self, device_id: str, metric: str, site: str) -> _Plan:
        groups: dict[WindowSpec, list[Rule]] = {}
        for rule in self._rules:
            if rule.match.covers(device_id, metric, site):
                groups.setdefault(rule.window, []).append(rule)
        return _Plan(
            tuple(_Group(spec, tuple(rules)) for spec, rules in groups.items()),
            {rule.name: rule.digest for rules in groups.values() for rule in rules},
        )


def encode_state(state: SeriesState) -> bytes:
    """Return a series' state as bytes: the version, then MessagePack."""
    return bytes((STATE_VERSION,)) + _ENCODER.encode(state)


def decode_state(data: bytes | None) -> SeriesState:
    """Return what :func:`encode_state` wrote; a fresh state for none.

    Raises:
        ValueError: the bytes are of a version this program does not know.
    """
    if not data:
        return SeriesState()
    if data[0] != STATE_VERSION:
        raise ValueError(f"state of version {data[0]}, expected {STATE_VERSION}")
    return _DECODER.decode(memoryview(data)[1:])


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(SeriesState)


def _missed(
    groups: tuple[_Group, ...], ring: list[Pane], after: int, upto: int
) -> list[tuple[int, _Group]]:
    """Return windows that ended without a pane of their own end: those across a gap."""
    if not ring or after >= upto:
        return []
    found = [
        (end, group) for group in groups for end in ends_between(group.spec, after, upto, ring[-1])
    ]
    found.sort(key=lambda pair: pair[0])
    return found


def _window(
    state: SeriesState,
    group: _Group,
    of: Subject,
    end: int,
    windows: list[WindowFeatures],
    alerts: list[Alert],
) -> int:
    """Make the window that ends at ``end`` and apply its rules.

    Returns where windows of this kind begin from here on.
    """
    window = cut(group.spec, state.ring, end)
    if window is None:
        return _NOT_YET
    made = features(of, window.start, end, window.panes)
    windows.append(made)
    kept = kept_from(group.spec, window, end)
    for rule in group.rules:
        alert = _apply(rule, _state_of(state, rule), state.ring, of, window, made, kept)
        if alert is not None:
            alerts.append(alert)
    return kept


def _state_of(state: SeriesState, rule: Rule) -> RuleState:
    found = state.rules.get(rule.name)
    if found is None:
        found = state.rules[rule.name] = RuleState(rule.digest)
    return found


def _apply(
    rule: Rule,
    own: RuleState,
    ring: list[Pane],
    of: Subject,
    window: Window,
    made: WindowFeatures,
    kept: int,
) -> Alert | None:
    life = own.life
    if rule.baseline is not None:
        frozen = phase(life) in rule.baseline.freeze_while
        learn(own.baseline, rule.baseline, ring, kept, frozen=frozen)
    if not window.enough or made.count < rule.min_samples:
        return None
    verdict = _judge(rule, own.baseline, AGGREGATES[rule.aggregate](made))
    if verdict is None:
        return None
    change = advance(life, rule.severities, verdict.score, verdict.value, made.window_end)
    if change is None:
        return None
    alert = record(rule, of, made, verdict, life, change)
    life.open = None if change.event == "RESOLVED" else alert
    return alert


def _judge(rule: Rule, baseline: Baseline, value: float) -> Verdict | None:
    if rule.baseline is None:
        return against_value(rule.op, value)
    return against_baseline(rule.op, value, rule.baseline, baseline)


def _reconcile(state: SeriesState, plan: _Plan, at: int) -> list[Alert]:
    """Drop the memory of rules that changed; return the records that close their alerts."""
    changed = [name for name, own in state.rules.items() if plan.digests.get(name) != own.digest]
    closed = []
    for name in changed:
        life = state.rules.pop(name).life
        if life.open is not None:
            closed.append(rule_changed(life.open, phase(life), at))
    return closed


def _forget(ring: list[Pane], oldest: int) -> None:
    """Drop the panes that ended by ``oldest``."""
    count = 0
    while count < len(ring) and ring[count].pane_end <= oldest:
        count += 1
    if count:
        del ring[:count]
