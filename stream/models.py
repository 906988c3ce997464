"""Models that were fitted to data: what their files hold, and what they make of a set of values.

A model is JSON of its own, written by ``tidegate rules fit``; the rule file names it, and it is
taken into the rules' text when that is read, so that a job needs nothing else.

    t2_q   how far several metrics are from how they usually go together
    rul    how many steps a machine has left, from a health index and its fast and slow mean
    baseline   mean and standard deviation of each series while it was well
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Literal

import msgspec

from schemas.amounts import DurationMs
from schemas.config import Complaint, nearest, read_table
from schemas.toml_lines import KeyPath

_MOST_INPUTS = 64
_HIGHEST_POWER = 8

Numbers = tuple[float, ...]


class FittedOn(msgspec.Struct, frozen=True):
    """What a model has learned from: ``sha256`` is that of all files, in order of their names."""

    files: tuple[str, ...] = ()
    sha256: str = ""
    devices: int = 0
    rows: int = 0


class T2Q(msgspec.Struct, frozen=True, kw_only=True):
    """Principal components of standardised metrics, and what is usual of both distances.

    ``components`` are orthonormal rows, ``variances`` their eigenvalues. The limits are the
    ``quantile`` of the data the model was fitted on.
    """

    kind: Literal["t2_q"]
    version: Literal[1]
    inputs: tuple[str, ...]
    every: DurationMs
    mean: Numbers
    scale: Numbers
    components: tuple[Numbers, ...]
    variances: Numbers
    t2_limit: float
    q_limit: float
    quantile: float
    fitted_on: FittedOn = FittedOn()


class Rul(msgspec.Struct, frozen=True, kw_only=True):
    """A health index, how its means follow it, and what remaining life they tell.

    The index is ``offset + Σ weight·(x - mean)/scale``: about 0 when new and 1 when worn out.
    ``polynomial`` has terms (power of the fast mean, power of the slow one, coefficient); its value
    is in steps of ``every``, within 0 and ``cap``. Both means are taken no further than they were
    seen (``fast_range``, ``slow_range``), where a polynomial says anything.
    """

    kind: Literal["rul"]
    version: Literal[1]
    inputs: tuple[str, ...]
    every: DurationMs
    mean: Numbers
    scale: Numbers
    weights: Numbers
    offset: float
    fast: float
    slow: float
    polynomial: tuple[tuple[int, int, float], ...]
    fast_range: tuple[float, float]
    slow_range: tuple[float, float]
    cap: float
    unit: str = "cycles"
    rmse: float = 0.0
    fitted_on: FittedOn = FittedOn()


class Usually(msgspec.Struct, frozen=True):
    """What one series is like while its machine is well."""

    mean: float
    std: float
    n: int


class FittedBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """Mean and standard deviation by device and metric."""

    kind: Literal["baseline"]
    version: Literal[1]
    devices: dict[str, dict[str, Usually]]
    fitted_on: FittedOn = FittedOn()


Model = T2Q | Rul | FittedBaseline
_KINDS: Mapping[str, type[Model]] = {"t2_q": T2Q, "rul": Rul, "baseline": FittedBaseline}


def read_models(tables: Mapping[str, Any], complaints: list[Complaint]) -> dict[str, Model]:
    """Return the models of a rule file by name; add what is wrong to ``complaints``."""
    found = {
        name: read_model(table, ("models", name), complaints) for name, table in tables.items()
    }
    return {name: model for name, model in found.items() if model is not None}


def read_model(table: Any, path: KeyPath, complaints: list[Complaint]) -> Model | None:
    """Return a model from plain values; None, and complaints added, when it is none."""
    if not isinstance(table, dict):
        complaints.append(Complaint(path, f"expected a model or the name of its file: {table!r}"))
        return None
    named = str(table.get("kind"))
    kind = _KINDS.get(named)
    if kind is None:
        said = f"expected one of {', '.join(_KINDS)}, got {named!r}{nearest(named, list(_KINDS))}"
        complaints.append(Complaint((*path, "kind"), said))
        return None
    model: Model | None = read_table(kind, table, path, complaints)
    if model is None:
        return None
    wrong = [Complaint((*path, key), said) for key, said in _mistakes(model)]
    complaints += wrong
    return None if wrong else model


def _mistakes(model: Model) -> Iterator[tuple[str, str]]:
    match model:
        case T2Q():
            yield from _sizes(model, ("mean", "scale"))
            yield from _components(model)
        case Rul():
            yield from _sizes(model, ("mean", "scale", "weights"))
            yield from _polynomial(model)
        case FittedBaseline():
            for device, metrics in model.devices.items():
                for metric, usual in metrics.items():
                    if usual.std <= 0:
                        yield "devices", f"{device} {metric}: expected a std above 0"


def _sizes(model: T2Q | Rul, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    count = len(model.inputs)
    if not 1 <= count <= _MOST_INPUTS or len(set(model.inputs)) < count:
        yield "inputs", f"expected 1 to {_MOST_INPUTS} names, each once, got {count}"
    for key in keys:
        if len(getattr(model, key)) != count:
            yield key, f"expected a number for each of {count} inputs"
    if min(model.scale, default=1.0) <= 0:
        yield "scale", "expected numbers above 0"


def _components(model: T2Q) -> Iterator[tuple[str, str]]:
    if any(len(row) != len(model.inputs) for row in model.components) or not model.components:
        yield "components", f"expected rows of {len(model.inputs)} numbers"
    if len(model.variances) != len(model.components) or min(model.variances, default=1.0) <= 0:
        yield "variances", "expected a number above 0 for each component"
    for key in ("t2_limit", "q_limit"):
        if getattr(model, key) <= 0:
            yield key, "expected more than 0"


def _polynomial(model: Rul) -> Iterator[tuple[str, str]]:
    if any(not 0 <= i + j <= _HIGHEST_POWER or i < 0 or j < 0 for i, j, _ in model.polynomial):
        yield "polynomial", f"expected powers of 0 to {_HIGHEST_POWER} together"
    for key in ("fast", "slow"):
        if not 0 < getattr(model, key) <= 1:
            yield key, "expected more than 0 and at most 1"
    for key in ("fast_range", "slow_range"):
        low, high = getattr(model, key)
        if low > high:
            yield key, f"expected the least and the most, got {low:g} and {high:g}"
    if model.cap <= 0:
        yield "cap", "expected more than 0"


def t2_q(model: T2Q, values: Sequence[float]) -> float:
    """Return max(T²/limit, Q/limit): 1 is the quantile of the data that the model was fitted on.

    T² = Σ t²/λ over the components' scores t and variances λ; Q is the squared length of what the
    components leave over (Jackson and Mudholkar, Technometrics 21(3), 1979).
    """
    z = [(x - m) / s for x, m, s in zip(values, model.mean, model.scale, strict=True)]
    scores = [sum(p * each for p, each in zip(row, z, strict=True)) for row in model.components]
    t2 = sum(t * t / variance for t, variance in zip(scores, model.variances, strict=True))
    left = [
        each - sum(t * row[i] for t, row in zip(scores, model.components, strict=True))
        for i, each in enumerate(z)
    ]
    return max(t2 / model.t2_limit, sum(each * each for each in left) / model.q_limit)


def health_index(model: Rul, values: Sequence[float]) -> float:
    """Return how worn the machine is: about 0 when new and 1 at its end."""
    parts = zip(values, model.mean, model.scale, model.weights, strict=True)
    return model.offset + sum(weight * (x - mean) / scale for x, mean, scale, weight in parts)


def remaining_life(model: Rul, values: Sequence[float], memory: list[float]) -> float:
    """Take a step; return the remaining life in steps, 0 to ``cap``.

    Args:
        model: of the machine.
        values: one for each input.
        memory: fast and slow mean of the health index, empty at first; changed in place, and left
            alone where the index is not finite.
    """
    index = health_index(model, values)
    if not isfinite(index):
        return index
    fast, slow = memory or (index, index)
    fast += model.fast * (index - fast)
    slow += model.slow * (index - slow)
    memory[:] = fast, slow
    return polynomial(model, fast, slow)


def polynomial(model: Rul, fast: float, slow: float) -> float:
    """Return the remaining life that a fast and a slow mean of the health index tell."""
    f = min(max(fast, model.fast_range[0]), model.fast_range[1])
    s = min(max(slow, model.slow_range[0]), model.slow_range[1])
    life: float = sum(c * f**i * s**j for i, j, c in model.polynomial)
    return min(max(life, 0.0), model.cap)
