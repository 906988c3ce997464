"""Models learned from recorded data, offline and with numpy; the engine needs neither.

The same data give the same model: no randomness, and numbers of 12 digits, which is less than the
linear algebra of two machines differs by.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from schemas.amounts import DurationMs
from schemas.failure import Failure
from stream.model_rows import ModelRows
from stream.models import T2Q, FittedBaseline, FittedOn, Rul, Usually
from stream.recorded import Series

Array = NDArray[np.float64]

_LEAST_Q = 1e-6
"""Of metrics that are sums of each other nothing is left over, and rounding is no fault."""
_FOLDS = 5


class Life(NamedTuple):
    """The rows of one device, and how many steps are left at each, up to the cap."""

    rows: Array
    left: Array


def fit_t2_q(
    found: ModelRows, every_ms: int, fitted_on: FittedOn, *, quantile: float, explained: float
) -> T2Q:
    """Return the components that explain a share of the variance, with limits at a quantile.

    Raises:
        Failure: too few inputs or rows.
    """
    x = np.array([row for own in found.rows.values() for _, row in own])
    count, width = x.shape
    if width < 2 or count < 10 * width:
        raise Failure(
            f"{count} rows of {width} metrics are too few: expected two metrics that change, and "
            "ten rows for each"
        )
    mean, scale = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / scale
    values, vectors = np.linalg.eigh(z.T @ z / count)
    values, vectors = values[::-1], vectors.T[::-1]
    share = np.cumsum(values) / values.sum()
    kept = min(int(np.searchsorted(share, explained)) + 1, width - 1)
    # The sign of an eigenvector is free: its largest entry is made positive.
    largest = np.abs(vectors).argmax(axis=1)
    vectors = vectors * np.sign(vectors[np.arange(width), largest])[:, None]
    components, variances = vectors[:kept], values[:kept]
    scores = z @ components.T
    t2 = (scores**2 / variances).sum(axis=1)
    q = ((z - scores @ components) ** 2).sum(axis=1)
    return T2Q(
        kind="t2_q", version=1, inputs=found.inputs, every=DurationMs(every_ms),
        mean=_told(mean), scale=_told(scale), components=tuple(map(_told, components)),
        variances=_told(variances), t2_limit=_digits(np.quantile(t2, quantile)),
        q_limit=max(_digits(np.quantile(q, quantile)), _LEAST_Q), quantile=quantile,
        fitted_on=fitted_on,
    )  # fmt: skip


def fit_rul(
    found: ModelRows,
    every_ms: int,
    fitted_on: FittedOn,
    *,
    cap: float,
    unit: str,
    paces: Sequence[tuple[float, float]],
    degrees: Sequence[int],
) -> Rul:
    """Return a model of the remaining life of machines whose rows end with their failure.

    The weights of the health index are least squares to the life that is left, up to ``cap``; the
    polynomial of its two means is so, too. Of the paces of the means and the degrees of the
    polynomial those are taken that err least on devices left out of the fit, a fifth at a time.

    Args:
        found: the rows of devices that ran to failure.
        every_ms: the length of a step.
        fitted_on: what to write into the model.
        cap: longest life to be told, in steps.
        unit: what a step is called.
        paces: of the fast and the slow mean, as the share of a new value.
        degrees: of the polynomial.

    Raises:
        Failure: too few devices or rows.
    """
    lives = [_life(own, every_ms, cap) for own in found.rows.values()]
    rows, width = found.total(), len(found.inputs)
    if len(lives) < _FOLDS or rows < 10 * (width + 1):
        raise Failure(
            f"{rows} rows of {len(lives)} devices are too few: expected at least {_FOLDS} that ran "
            "to failure, and ten rows for each metric that changes"
        )
    shapes = list(product(paces, degrees))
    errors = [_left_out_error(found, lives, cap, *shape) for shape in shapes]
    best = int(np.argmin(errors))
    return replace(
        _rul(found, lives, cap, *shapes[best]),
        every=DurationMs(every_ms),
        unit=unit,
        rmse=_digits(errors[best]),
        fitted_on=fitted_on,
    )


def fit_baseline(series: Iterable[Series], fitted_on: FittedOn) -> FittedBaseline:
    """Return mean and standard deviation of every series' readings.

    Raises:
        Failure: no series changes.
    """
    devices: dict[str, dict[str, Usually]] = {}
    for each in series:
        values = np.array([value for _, value in each.points if np.isfinite(value)])
        if len(values) > 1 and values.std() > 0:
            usual = Usually(_digits(values.mean()), _digits(values.std()), len(values))
            devices.setdefault(each.device_id, {})[each.metric] = usual
    if not devices:
        raise Failure("no series of the data ever changes: there is nothing to learn")
    return FittedBaseline(kind="baseline", version=1, devices=devices, fitted_on=fitted_on)


def _life(own: Sequence[tuple[int, list[float]]], every_ms: int, cap: float) -> Life:
    ends = np.array([end for end, _ in own])
    left = np.minimum((ends[-1] - ends) / every_ms, cap)
    return Life(np.array([row for _, row in own]), left)


def _left_out_error(
    found: ModelRows, lives: Sequence[Life], cap: float, pace: tuple[float, float], degree: int
) -> float:
    """Return the root mean square error on devices that the model has not seen."""
    squares = []
    for fold in range(_FOLDS):
        seen = [life for i, life in enumerate(lives) if i % _FOLDS != fold]
        model = _rul(found, seen, cap, pace, degree)
        left_out = lives[fold::_FOLDS]
        squares += [(_predicted(model, life.rows) - life.left) ** 2 for life in left_out]
    return float(np.sqrt(np.concatenate(squares).mean()))


def _rul(
    found: ModelRows, lives: Sequence[Life], cap: float, pace: tuple[float, float], degree: int
) -> Rul:
    x = np.concatenate([life.rows for life in lives])
    left = np.concatenate([life.left for life in lives])
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale == 0] = 1.0  # it changes on devices that are left out of this fit
    z = np.column_stack([np.ones(len(x)), (x - mean) / scale])
    offset, *weights = np.linalg.lstsq(z, 1 - left / cap, rcond=None)[0]
    index = [offset + (life.rows - mean) / scale @ np.array(weights) for life in lives]
    fast = np.concatenate([_smoothed(each, pace[0]) for each in index])
    slow = np.concatenate([_smoothed(each, pace[1]) for each in index])
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.column_stack([fast**i * slow**j for i, j in powers])
    coefficients = np.linalg.lstsq(terms, left, rcond=None)[0]
    return Rul(
        kind="rul", version=1, inputs=found.inputs, every=DurationMs(0), mean=_told(mean),
        scale=_told(scale), weights=_told(weights), offset=_digits(offset), fast=pace[0],
        slow=pace[1], cap=cap,
        polynomial=tuple((*ij, _digits(c)) for ij, c in zip(powers, coefficients, strict=True)),
        fast_range=(_digits(fast.min()), _digits(fast.max())),
        slow_range=(_digits(slow.min()), _digits(slow.max())),
    )  # fmt: skip


def _predicted(model: Rul, rows: Array) -> Array:
    """Return what the engine would tell at each step of one device."""
    index = model.offset + (rows - np.array(model.mean)) / np.array(model.scale) @ np.array(
        model.weights
    )
    fast = np.clip(_smoothed(index, model.fast), *model.fast_range)
    slow = np.clip(_smoothed(index, model.slow), *model.slow_range)
    told = sum(c * fast**i * slow**j for i, j, c in model.polynomial)
    return np.clip(told, 0, model.cap)


def _smoothed(values: Array, share: float) -> Array:
    """Return the exponentially weighted mean, from the first value on."""
    found = values.tolist()
    mean = found[0]
    for i, value in enumerate(found):
        mean += share * (value - mean)
        found[i] = mean
    return np.array(found)


def _told(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(_digits, values))


def _digits(value: float) -> float:
    return float(f"{value:.12g}")
