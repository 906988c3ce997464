"""Rules about sensors in a rule file: what `checks:` and `no_data:` mean, checked for sense."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.amounts import duration
from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.baselines import BaselineSpec, Frozen
from stream.conditions import When
from stream.lifecycle import Hold, Severity
from stream.names_said import digest_of
from stream.rule import Match, Rule
from stream.rule_file import RuleEntry, SensorEntry
from stream.sensor_checks import (
    BAD_EXIT,
    CLOCK_EXIT,
    DRIFT_EXIT,
    BadShare,
    Check,
    CheckName,
    Clock,
    Drift,
    NoData,
    OutOfRange,
    Spike,
    Stuck,
)
from stream.sensor_file import ChecksFile, SilenceFile
from stream.severities import hold
from stream.windows import WindowSpec

_INTERVALS = re.compile(r"(\d+(?:\.\d+)?)x")
_LONGEST_EVERY_MS = 3_600_000
_SUMMARIES: dict[CheckName, str] = {
    "stuck": "{{device_id}} {{metric}} repeats itself: {{value}} readings, healthy are less than "
    "{{limit}}",
    "range": "{{device_id}} {{metric}} says {{value}} {{unit}}, beyond its limit of {{limit}}",
    "drift": "{{device_id}} {{metric}} has wandered to {{value}}, {{score}} deviations off its "
    "first days",
    "no_data": "{{device_id}} {{metric}} says nothing, for {{value}} s by now",
    "spike": "{{device_id}} {{metric}} jumps to {{value}}",
    "bad_share": "{{device_id}} {{metric}} flags a share of {{value}} of its readings as bad",
    "clock": "{{device_id}} {{metric}} comes with times {{value}} s ahead of its gateway's, beyond "
    "{{limit}}",
}
_LATEST_EXIT = {"drift": DRIFT_EXIT, "bad_share": BAD_EXIT, "clock": CLOCK_EXIT}


class _Made(NamedTuple):
    """A check, and what it is held against."""

    name: CheckName
    check: Check
    baseline: BaselineSpec | None = None


def sensor_rules(
    entry: SensorEntry,
    match: Match,
    when: When | None,
    path: KeyPath,
    complaints: list[Complaint],
) -> Iterator[Rule]:
    """Yield a rule for each check of an entry; add what is wrong to ``complaints``.

    They are named ``NAME_CHECK``, so that each has alerts, and a memory, of its own.
    """
    every = int(entry.every)
    if not 1000 <= every <= _LONGEST_EVERY_MS or every % 1000:
        complaints.append(Complaint((*path, "every"), "expected whole seconds, from 1s to 1h"))
    delay = hold(entry.delay, (*path, "for"), complaints)
    keep = hold(entry.keep_firing_for, (*path, "keep_firing_for"), complaints)
    made = list(_checks(entry.checks, every, (*path, "checks"), complaints))
    if not made and entry.checks == ChecksFile():
        known = ", ".join(field.name for field in msgspec.structs.fields(ChecksFile))
        complaints.append(Complaint((*path, "checks"), f"expected at least one of {known}"))
    for each in made:
        of_values = isinstance(each.check, Stuck | OutOfRange | BadShare)
        silence, flag = isinstance(each.check, NoData), isinstance(each.check, Spike)
        severity = Severity(
            "INFO" if flag else entry.severity,
            1.0,
            _LATEST_EXIT.get(each.name, 1.0),
            Hold() if silence else delay,
            keep,
            1.0,
            1.0,
            entry.latch and not flag,
        )
        rule = _rule(entry, each, match, every, severity)
        yield _digested(msgspec.structs.replace(rule, when=when, gates=entry.gates and of_values))


def silence_rule(
    entry: RuleEntry, rule: Rule, path: KeyPath, complaints: list[Complaint]
) -> Rule | None:
    """Return the rule that ``no_data`` of a process rule stands for; None for none."""
    said = silence_of(entry)
    if said.action in ("keep", "ignore"):
        return None
    if said.after is None:
        complaints.append(Complaint((*path, "no_data", "after"), "missing; it has no default"))
        return None
    every = rule.window.slide_ms
    ends = rule.name if said.action == "resolve" else ""
    check = _no_data(said.after, every, (*path, "no_data", "after"), complaints)
    check = msgspec.structs.replace(check, ends=ends)
    level = rule.severities[0].level if rule.severities else "WARNING"
    severity = Severity(level, 1.0, 1.0, Hold(), Hold(), 1.0, 1.0)
    made = _rule(entry, _Made("no_data", check), rule.match, every, severity)
    return _digested(msgspec.structs.replace(made, when=rule.when, silence="own"))


def silence_of(entry: RuleEntry) -> SilenceFile:
    """Return what ``no_data`` of a process rule says; as long as it says nothing, to keep."""
    said = entry.no_data or "keep"
    return SilenceFile(action=said) if isinstance(said, str) else said


def _rule(
    entry: SensorEntry | RuleEntry, made: _Made, match: Match, every: int, severity: Severity
) -> Rule:
    return Rule(
        name=f"{entry.name}_{made.name}",
        version=entry.version,
        category="SENSOR_HEALTH",
        match=match,
        window=WindowSpec(every, every),
        min_samples=1,
        aggregate="last",
        op=">=",
        to="value",
        baseline=made.baseline,
        severities=(severity,),
        labels=entry.labels | {"check": made.name},
        annotations={"summary": _SUMMARIES[made.name]}
        | (entry.annotations if isinstance(entry, SensorEntry) else {}),
        cooldown_ms=int(entry.cooldown) if isinstance(entry, SensorEntry) else 0,
        realarm_ms=int(entry.realarm_after),
        check=made.check,
    )


def _digested(rule: Rule) -> Rule:
    meaning = [rule.check, rule.baseline, rule.severities, rule.when]
    return msgspec.structs.replace(rule, digest=digest_of(meaning))


def _checks(
    file: ChecksFile, every: int, path: KeyPath, complaints: list[Complaint]
) -> Iterator[_Made]:
    complaints += _mistakes(file, path)
    if file.stuck is not None:
        yield _Made("stuck", Stuck(file.stuck.n, file.stuck.resolution))
    if file.range is not None:
        yield _Made("range", OutOfRange(file.range.lo, file.range.hi))
    if file.drift is not None:
        drift = file.drift
        baseline = Frozen(int(drift.learn_for), int(drift.skip_first), drift.floor_rel, drift.floor)
        yield _Made("drift", Drift(drift.k), baseline)
    if file.no_data is not None:
        where = (*path, "no_data", "after")
        yield _Made("no_data", _no_data(file.no_data.after, every, where, complaints))
    if file.spike is not None:
        yield _Made("spike", Spike(file.spike.k))
    if file.bad_share is not None:
        yield _Made("bad_share", BadShare(file.bad_share.share))
    if file.clock is not None:
        yield _Made("clock", Clock(int(file.clock.ahead), int(file.clock.behind)))


def _mistakes(file: ChecksFile, path: KeyPath) -> Iterator[Complaint]:
    if file.stuck is not None and file.stuck.n < 2:
        yield Complaint((*path, "stuck", "n"), f"expected 2 or more, got {file.stuck.n}")
    if file.stuck is not None and file.stuck.resolution < 0:
        yield Complaint((*path, "stuck", "resolution"), "expected 0 or more")
    if file.range is not None:
        yield from _range_mistakes(file.range.lo, file.range.hi, (*path, "range"))
    if file.drift is not None:
        if file.drift.k <= 0:
            yield Complaint((*path, "drift", "k"), f"expected more than 0, got {file.drift.k:g}")
        if file.drift.learn_for <= 0:
            yield Complaint((*path, "drift", "learn_for"), "nothing would be learned in no time")
        for key in ("floor_rel", "floor"):
            if getattr(file.drift, key) < 0:
                yield Complaint((*path, "drift", key), "expected 0 or more")
    if file.spike is not None and file.spike.k <= 0:
        yield Complaint((*path, "spike", "k"), f"expected more than 0, got {file.spike.k:g}")
    if file.bad_share is not None and not 0 < file.bad_share.share <= 1:
        yield Complaint((*path, "bad_share", "share"), "expected more than 0, and 1 at most")
    if file.clock is not None and not (file.clock.ahead or file.clock.behind):
        yield Complaint((*path, "clock"), "expected ahead, behind or both, such as 30s and 1d")


def _range_mistakes(lo: float | None, hi: float | None, path: KeyPath) -> Iterator[Complaint]:
    if lo is None and hi is None:
        yield Complaint(path, "expected lo, hi or both, in the unit of the metric")
    if lo is not None and hi is not None and lo >= hi:
        yield Complaint((*path, "hi"), f"expected more than lo, {lo:g}, got {hi:g}")


def _no_data(given: str | int, every: int, path: KeyPath, complaints: list[Complaint]) -> NoData:
    """Read 5x or a duration; what is shorter than a pane cannot be seen."""
    text = str(given).strip()
    found = _INTERVALS.fullmatch(text)
    if found:
        intervals = float(found[1])
        if not 2 <= intervals <= 1000:
            complaints.append(Complaint(path, f"expected 2x to 1000x intervals, got {text}"))
        return NoData(intervals=intervals)
    try:
        after = int(duration(text))
    except ValueError as error:
        complaints.append(Complaint(path, f"{error}, or usual intervals such as 5x"))
        return NoData(after_ms=every)
    if after < every:
        complaints.append(
            Complaint(path, f"{text} is less than a pane, {every // 1000} s: it cannot be seen")
        )
    return NoData(after_ms=after)
