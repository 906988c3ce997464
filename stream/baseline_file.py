"""Baselines as written in a rule file, each kind its own form."""

from typing import Literal

import msgspec

from schemas.amounts import DurationMs


class DecayedFile(msgspec.Struct):
    """A baseline that forgets; see :class:`stream.baselines.Decayed`.

    What ``freeze_while`` is unless said, the comparison decides; see :mod:`stream.baselines_said`.
    """

    kind: Literal["decayed", "seasonal", "weekly"]
    n0: float = 6400.0
    counted_every: DurationMs = DurationMs(300_000)
    warmup: float = 50.0
    floor_rel: float = 1e-3
    floor: float = 0.0
    freeze_while: tuple[Literal["PENDING", "FIRING", "RECOVERING"], ...] | None = None


class SeasonalFile(DecayedFile):
    """The same for each hour of the day; see :class:`stream.baselines.Seasonal`.

    Two weeks of readings of 5 minutes, and nothing said before three days.
    """

    n0: float = 168.0
    warmup: float = 36.0


class WeeklyFile(DecayedFile):
    """The same for each hour of the week: four weeks of them, and nothing said before two."""

    n0: float = 48.0
    warmup: float = 24.0


class FrozenFile(msgspec.Struct):
    """A baseline learned once; see :class:`stream.baselines.Frozen` and, for ``stat``, Median."""

    kind: Literal["frozen"]
    learn_for: DurationMs
    stat: Literal["mean", "median"] = "mean"
    skip_first: DurationMs = DurationMs(0)
    floor_rel: float = 1e-3
    floor: float = 0.0


class ConstantFile(msgspec.Struct):
    """A baseline that is said; see :class:`stream.baselines.Constant`."""

    kind: Literal["constant"]
    mean: float
    std: float


class FittedFile(msgspec.Struct):
    """A baseline of each series, from a model under ``models``."""

    kind: Literal["fitted"]
    model: str


BaselineFile = DecayedFile | FrozenFile | ConstantFile | FittedFile
BASELINE_KINDS: dict[str, type[BaselineFile]] = {
    "decayed": DecayedFile,
    "seasonal": SeasonalFile,
    "weekly": WeeklyFile,
    "frozen": FrozenFile,
    "constant": ConstantFile,
    "fitted": FittedFile,
}
