"""What a rule about a sensor may say in the rule file: its checks, each with its own limits."""

from typing import Literal

import msgspec

from schemas.amounts import DurationMs
from stream.sensor_checks import LEAST_RUN


class StuckFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.Stuck`."""

    n: int = LEAST_RUN
    resolution: float = 0.0


class RangeFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.OutOfRange`; one of them at least."""

    lo: float | None = None
    hi: float | None = None


class DriftFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.Drift`; the baseline is that of ``learn_for``."""

    learn_for: DurationMs
    k: float = 6.0
    skip_first: DurationMs = DurationMs(0)
    floor_rel: float = 1e-3
    floor: float = 0.0


class NoDataFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.NoData`: a duration, or 5x for five usual intervals."""

    after: str | int


class SpikeFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.Spike`."""

    k: float = 10.0


class BadShareFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.BadShare`."""

    share: float


class ClockFile(msgspec.Struct):
    """See :class:`stream.sensor_checks.Clock`; one of them at least."""

    ahead: DurationMs = DurationMs(0)
    behind: DurationMs = DurationMs(0)


class ChecksFile(msgspec.Struct):
    """The checks of a sensor; those that are left out are not made."""

    stuck: StuckFile | None = None
    range: RangeFile | None = None
    drift: DriftFile | None = None
    no_data: NoDataFile | None = None
    spike: SpikeFile | None = None
    bad_share: BadShareFile | None = None
    clock: ClockFile | None = None


class SilenceFile(msgspec.Struct):
    """What a silent metric means to a rule: an alert of its own, an end of the open one, nothing.

    ``after`` is as :class:`NoDataFile` has it; ``keep`` and ``ignore`` need none. ``ignore`` says
    besides that rules about sensors are not to mind the silence of the rule's series.
    """

    after: str | int | None = None
    action: Literal["alert", "resolve", "keep", "ignore"] = "alert"
