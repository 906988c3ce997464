"""What a set of rules means for one series of one device: found once, when it is first seen."""

import msgspec
from msgspec.structs import replace

from schemas.records import Device
from stream.baselines import Fitted
from stream.conditions import When
from stream.device_turn import Above, above
from stream.globs import matches
from stream.rule import Derived, Rule, Rules, Session
from stream.sensor_checks import NoData
from stream.series_turn import Asked, Group
from stream.windows import WindowSpec


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The rules of one series.

    ``conditional``: some rule of the device asks for its state; ``listens``: some rule of it minds
    silence. ``feeds`` are the conditions that ask this metric, ``awaits`` the gates that its own
    rules ask and another metric tells. ``rollups`` are the lengths of the series' roll-ups, ms,
    ``sessions`` those of the device, and so are the ``derived`` metrics. ``above`` is what the
    device's alerts together are held against.
    """

    asked: Asked
    conditional: bool
    listens: bool
    feeds: tuple[When, ...]
    awaits: tuple[str, ...]
    rollups: tuple[int, ...]
    sessions: tuple[Session, ...]
    above: Above
    derived: tuple[Derived, ...]

    def without_rules(self) -> "Plan":
        """Return the plan of a metric of the device that the rules have no more."""
        return replace(self, asked=Asked((), (), {}), listens=False, rollups=())


def planned(
    rules: Rules, device_id: str, metric: str, site: str, device: Device | None = None
) -> Plan:
    """Return what the rules mean for a series.

    Args:
        rules: all.
        device_id: whose it is.
        metric: which, "" for the device's markers.
        site: where.
        device: what is known of the device.
    """
    near = [rule for rule in rules.rules if rule.match.covers_device(device_id, site, device)]
    # Of several of one name, the first in the file that is for this device.
    made = {d.metric: d for d in reversed(rules.derived) if d.match.covers_device(device_id, site)}
    derived = tuple(d for d in rules.derived if made.get(d.metric) is d)
    covering = [rule for rule in near if matches(rule.match.metric, metric)]
    series = (_of_series(rule, device_id, metric, made.get(metric)) for rule in covering)
    own = _minding([rule for rule in series if rule is not None])
    over = above(rules, near, device_id, site)
    asked = [rule.when for rule in near if rule.when is not None]
    feeds = {when.gate: when for when in asked if when.metric == metric}
    awaits = (w.gate for w in (rule.when for rule in own) if w and w.op and w.metric != metric)
    return Plan(
        _asked(own, over),
        bool(asked),
        any(isinstance(rule.check, NoData) for rule in near),
        tuple(feeds.values()),
        tuple(dict.fromkeys(awaits)),
        tuple(
            sorted({r.size_ms for r in rules.rollups if r.match.covers(device_id, metric, site)})
        ),
        tuple(s for s in rules.sessions if s.match.covers_device(device_id, site)),
        over,
        derived,
    )


def _minding(own: list[Rule]) -> list[Rule]:
    """Leave sensors' checks of silence out where a process rule of the series says it is none."""
    if all(rule.silence != "ignored" for rule in own):
        return own
    return [r for r in own if not isinstance(r.check, NoData) or r.silence == "own"]


def _asked(own: list[Rule], over: Above) -> Asked:
    """Sort the rules of a series: what inhibits others first, and what makes others rest."""
    groups: dict[WindowSpec, list[Rule]] = {}
    for rule in sorted(own, key=lambda rule: any(rule.name in i.rules for i in over.inhibits)):
        if rule.check is None:
            groups.setdefault(rule.window, []).append(rule)
    return Asked(
        tuple(
            Group(spec, tuple(rules), all(rule.when for rule in rules))
            for spec, rules in groups.items()
        ),
        tuple(sorted((rule for rule in own if rule.check), key=lambda rule: not rule.gates)),
        {rule.name: rule.digest for rule in own},
    )


def _of_series(rule: Rule, device_id: str, metric: str, derived: Derived | None) -> Rule | None:
    """Return a rule as it is for one series; None where its model does not know that.

    What is remembered is of what the model says, and of the formula of a derived metric.
    """
    if isinstance(rule.baseline, Fitted):
        said = rule.baseline.of(device_id, metric)
        if said is None:
            return None
        digest = f"{rule.digest}-{said.mean!r}-{said.std!r}"
        rule = replace(rule, baseline=said, digest=digest)
    return rule if derived is None else replace(rule, digest=f"{rule.digest}-{derived.digest}")
