"""Conditions of a rule file: what `when:` means, checked for what cannot work."""

from collections.abc import Iterator

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.conditions import When
from stream.globs import is_glob
from stream.rule_file import WhenFile


def when_of(entry: WhenFile | None, path: KeyPath, complaints: list[Complaint]) -> When | None:
    """Return the condition, None for none; add what is wrong to ``complaints``."""
    if entry is None:
        return None
    wrong = list(_absent(entry, path) if entry.absent is not None else _state(entry, path))
    complaints += wrong
    if wrong:
        return None
    if entry.absent is not None:
        return When(entry.absent)
    held_ms = 0 if entry.held is None else int(entry.held)
    return When(
        entry.metric or "", entry.op, float(entry.value or 0), held_ms, entry.open or "hold"
    )


def _absent(entry: WhenFile, path: KeyPath) -> Iterator[Complaint]:
    yield from one_metric(entry.absent or "", (*path, "absent"))
    given = {
        "metric": entry.metric, "op": entry.op, "value": entry.value, "for": entry.held,
        "open": entry.open,
    }  # fmt: skip
    for key, value in given.items():
        if value is not None:
            yield Complaint((*path, key), "means nothing beside absent")


def _state(entry: WhenFile, path: KeyPath) -> Iterator[Complaint]:
    missing = [key for key in ("metric", "op", "value") if getattr(entry, key) is None]
    if missing:
        yield Complaint(
            path,
            f"misses {', '.join(missing)}; expected metric, op and value, as in "
            '{metric: running, op: ">=", value: 0.5, for: 2h}, or absent alone',
        )
    if entry.metric is not None:
        yield from one_metric(entry.metric, (*path, "metric"))


def one_metric(metric: str, path: KeyPath) -> Iterator[Complaint]:
    """Say what is wrong with the name of a metric where no glob may stand."""
    if not metric or is_glob(metric) or not metric.isprintable() or " " in metric:
        yield Complaint(path, f"expected the name of one metric, got {metric!r}")
