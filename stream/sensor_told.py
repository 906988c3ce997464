"""What a check of a sensor finds and costs, in words: for `rules check`."""

from stream.baselines import Frozen
from stream.rule import Rule
from stream.sensor_checks import BadShare, Check, Clock, Drift, NoData, OutOfRange, Spike, Stuck

# Of a check's own memory as the job stores it, measured with times of today.
_BYTES, _SPIKE_BYTES = 130, 270
_HOUR_MS = 3_600_000


def told(rule: Rule) -> str:
    """Return what a rule with a check is called, looks at, finds and costs."""
    rests = "; the other rules of the series rest meanwhile" if rule.gates else ""
    cost = check_bytes(rule.check)
    metrics = ", ".join(rule.match.metric)
    return f"{rule.name}: {metrics}; {_finds(rule)}{rests}; {cost} bytes a series"


def check_bytes(check: Check | None) -> int:
    """Return how many bytes a check remembers of a series."""
    return _SPIKE_BYTES if isinstance(check, Spike) else _BYTES


def _finds(rule: Rule) -> str:
    match rule.check:
        case Stuck(n, resolution):
            within = f" within {resolution:g}" if resolution else ""
            return f"{n} equal readings{within}, more where healthy runs are long"
        case OutOfRange(lo, hi):
            low, high = ("" if each is None else f"{each:g}" for each in (lo, hi))
            return f"readings outside [{low}, {high}]"
        case Drift(k):
            first = rule.baseline.learn_for_ms if isinstance(rule.baseline, Frozen) else 0
            return f"a slow mean {k:g} deviations off the first {first / _HOUR_MS:g} h"
        case Spike(k):
            return f"a reading {k:g} spreads off its neighbours"
        case BadShare(share):
            return f"a share of {share:g} of the last readings bad"
        case Clock(ahead_ms, behind_ms):
            given = {"ahead of": ahead_ms, "behind": behind_ms}
            beyond = " or ".join(f"{ms // 1000} s {way}" for way, ms in given.items() if ms)
            return f"times {beyond} its gateway's"
        case NoData(after_ms, intervals, ends):
            after = f"{after_ms // 1000} s" if after_ms else f"{intervals:g} usual intervals"
            return f"no reading for {after}" + (f" ends what {ends} has open" if ends else "")
    return ""
