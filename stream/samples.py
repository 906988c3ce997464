"""A sample of numbers that come one by one, of bounded size, and its median and spread."""

from collections.abc import Sequence

import msgspec

MOST_KEPT = 512
_NORMAL = 1.4826
"""Standard deviations in a median absolute deviation, for normal data (Hampel, JASA 69, 1974)."""


class Sample(msgspec.Struct, array_like=True):
    """Every ``stride``-th number so far; ``skip`` more are passed over before the next.

    Once settled it is empty, and only ``median`` and ``mad``, the median absolute deviation from
    it, are left.
    """

    kept: list[float] = []
    stride: int = 1
    skip: int = 0
    median: float | None = None
    mad: float = 0.0

    @property
    def deviation(self) -> float:
        """The standard deviation that normal data of that MAD have; 0 before it has settled."""
        return _NORMAL * self.mad


def add(sample: Sample, number: float) -> None:
    """Take a number into the sample, in place.

    A full sample lets every second number go and takes half as many from then on: it stays spread
    evenly over the time it is from, and is the same in every run.
    """
    if sample.skip:
        sample.skip -= 1
        return
    sample.kept.append(number)
    sample.skip = sample.stride - 1
    if len(sample.kept) == MOST_KEPT:
        del sample.kept[1::2]
        sample.stride *= 2


def settle(sample: Sample) -> None:
    """Find the median and the spread of the sample, in place, and forget the numbers."""
    if sample.kept:
        median = sample.median = middle(sample.kept)
        sample.mad = middle([abs(number - median) for number in sample.kept])
    sample.kept = []


def middle(numbers: Sequence[float]) -> float:
    """Return the median of at least one number; of two in the middle, their mean."""
    ordered = sorted(numbers)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else ordered[half - 1] / 2 + ordered[half] / 2
