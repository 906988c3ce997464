"""What a rule file's `compare` asks for beside a baseline, checked for what cannot work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.charts import Cusum, Ewma
from stream.detectors import Compare
from stream.lifecycle import Severity
from stream.methods import Method
from stream.rule_file import CompareFile, RuleEntry
from stream.trends import LEAST_POINTS, Rate, Trend

_UNITS_MS = {"s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_MOST_WINDOWS = 240
"""So many windows back a rate may look: each is kept, and written with every pane."""
_MOST_POINTS = 120
"""So many windows a trend may take: a Theil-Sen line needs the slopes of all pairs."""
_HEADROOM = 2.0
"""A chart stops at so many times its highest limit, so that it comes back soon after a fault."""

_KEYS: Mapping[Compare, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "rate": (("over",), ("unit",)),
    "ewma": ((), ("lambda",)),
    "cusum": ((), ("k",)),
    "time_to_limit": (
        ("limit",),
        ("fit", "points", "direction", "floor", "min_tstat", "horizon", "unit"),
    ),
}
"""The keys of each comparison that has some of its own: those it needs, and those it may have."""
_EVERY = ("op", "to", "baseline")

_RANGES: Mapping[str, tuple[str, Callable[[float], bool]]] = {
    "over": ("more than 0", lambda x: x > 0),
    "lambda": ("more than 0 and at most 1", lambda x: 0 < x <= 1),
    "k": ("0 or more", lambda x: x >= 0),
    "points": (
        f"{LEAST_POINTS} to {_MOST_POINTS}",
        lambda x: LEAST_POINTS <= x <= _MOST_POINTS,
    ),
    "min_tstat": ("0 or more", lambda x: x >= 0),
    "horizon": ("more than 0", lambda x: x > 0),
}


def method_of(
    entry: RuleEntry, severities: Sequence[Severity], path: KeyPath, complaints: list[Complaint]
) -> Method | None:
    """Return what looks at several windows, None for a plain comparison.

    Args:
        entry: the rule as written.
        severities: its limits.
        path: of the rule in the file.
        complaints: what is wrong is added.
    """
    where = (*path, "compare")
    wrong = [*_keys(entry.compare, where), *_op(entry.compare, where)]
    wrong += _windows(entry, path) if not wrong else ()
    method = _made(entry, severities) if not wrong else None
    wrong += _limits(entry, method, path)
    complaints += wrong
    return None if wrong else method


def _keys(compare: CompareFile, path: KeyPath) -> Iterator[Complaint]:
    needed, known = _KEYS.get(compare.to, ((), ()))
    given = _given(compare)
    for key in needed:
        if key not in given:
            yield Complaint(path, f'"to: {compare.to}" needs {key}')
    for key, value in given.items():
        if key not in needed + known:
            yield Complaint((*path, key), f'means nothing with "to: {compare.to}"')
        elif key in _RANGES and not _RANGES[key][1](value):
            yield Complaint((*path, key), f"expected {_RANGES[key][0]}, got {value:g}")


def _given(compare: CompareFile) -> dict[str, Any]:
    """Return what is said of the keys that only some comparisons have."""
    given = {
        field.encode_name: getattr(compare, field.name) for field in msgspec.structs.fields(compare)
    }
    return {key: value for key, value in given.items() if key not in _EVERY and value is not None}


def _op(compare: CompareFile, path: KeyPath) -> Iterator[Complaint]:
    if compare.to == "ratio" and compare.op == "abs>=":
        yield Complaint((*path, "op"), 'a ratio has no sign: expected ">=" or "<="')
    if compare.to == "time_to_limit":
        if compare.op != "<=":
            yield Complaint((*path, "op"), 'little time is what is bad: expected "<="')
        if (compare.floor is not None) != (compare.fit == "exponential"):
            yield Complaint(path, "floor is what an exponential fit needs, and no other has")
        elif compare.floor is not None and compare.limit is not None:
            falling = compare.direction == "falling"
            beyond = compare.floor - compare.limit
            if (-beyond if falling else beyond) >= 0:
                yield Complaint(
                    (*path, "floor"),
                    f"{compare.floor:g} is on the wrong side of the limit, {compare.limit:g}: a "
                    f"trend that is {'falling begins above' if falling else 'rising begins below'}",
                )


def _windows(entry: RuleEntry, path: KeyPath) -> Iterator[Complaint]:
    """Refuse windows that the comparison cannot tell apart, or too many of them."""
    compare, window = entry.compare, entry.window
    if compare.to not in _KEYS:
        return
    if window.grow_to is not None:
        yield Complaint(
            (*path, "window", "grow_to"), f'"to: {compare.to}" needs windows of one length'
        )
    if compare.over is not None:
        if window.slide <= 0 or compare.over % window.slide:
            yield Complaint((*path, "compare", "over"), "expected a multiple of the window's slide")
        elif compare.over // window.slide > _MOST_WINDOWS:
            yield Complaint(
                (*path, "compare", "over"),
                f"reaches {compare.over // window.slide} windows back, at most {_MOST_WINDOWS} are "
                "kept; a longer slide needs fewer",
            )
    elif window.slide != window.size:
        yield Complaint(
            (*path, "window", "slide"),
            f'"to: {compare.to}" needs windows that do not overlap: expected the size',
        )


def _made(entry: RuleEntry, severities: Sequence[Severity]) -> Method | None:
    compare = entry.compare
    unit_ms = _UNITS_MS[compare.unit or "h"]
    most = _HEADROOM * max((each.enter for each in severities), default=0.0)
    match compare.to:
        case "rate":
            return Rate(int(compare.over or 0), unit_ms)
        case "ewma":
            return Ewma(0.2 if compare.share is None else compare.share, most)
        case "cusum":
            return Cusum(0.5 if compare.slack is None else compare.slack, most)
        case "time_to_limit":
            points = 24 if compare.points is None else compare.points
            return Trend(
                fit=compare.fit or "linear",
                points=points,
                limit=compare.limit or 0.0,
                falling=compare.direction == "falling",
                floor=compare.floor or 0.0,
                least_t=2.0 if compare.min_tstat is None else compare.min_tstat,
                horizon_ms=int(compare.horizon or points * entry.window.size),
                unit_ms=unit_ms,
            )
        case _:
            return None


def _limits(entry: RuleEntry, method: Method | None, path: KeyPath) -> Iterator[Complaint]:
    """Refuse limits that are met always or never."""
    to = entry.compare.to
    for index, severity in enumerate(entry.severities):
        enter, where = severity.enter, (*path, "severities", index, "enter")
        if enter is None:
            continue
        if to == "ratio" and not (enter > 1 if entry.compare.op == ">=" else 0 <= enter < 1):
            yield Complaint(
                where,
                f"a ratio of 1 is what is usual, so {enter:g} is met always or never; "
                "a quarter more is 1.25, a quarter less 0.75",
            )
        elif to in ("cusum", "ewma") and (-enter if entry.compare.op == "<=" else enter) <= 0:
            yield Complaint(where, f"a chart starts at 0, so {enter:g} is met at once")
        elif isinstance(method, Trend) and not 0 <= enter * method.unit_ms <= method.horizon_ms:
            yield Complaint(
                where,
                f"expected 0 to the horizon, {method.horizon_ms / method.unit_ms:g}, "
                f"got {enter:g}; unless said, it is as long as the points reach back",
            )
