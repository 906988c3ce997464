"""Patterns: what other rules of a device did, one after the other or again and again.

Only times are remembered: of each step the newest 64, and none further back than the pattern's
``within``. A half match that has waited longer is forgotten.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from stream.compound import Followed, Found, Ordered, Step, Times
from stream.lifecycle import ORDER
from stream.standing import Board, Worse, key_of

MOST_TIMES = 64


def follow_steps(
    of: Ordered | Times, own: Followed | None, board: Board, worse: list[Worse], at: int
) -> Followed | None:
    """Take what has just happened into what a pattern remembers; None while that is nothing.

    What comes out late, across a gap, counts at its own time as long as that is within reach.

    Args:
        of: the pattern.
        own: what it remembers, if anything; changed in place.
        board: the device's standing alerts, with what has just happened.
        worse: the turn's records that made an alert worse.
        at: the turn's time, ms.
    """
    places = _places(of)
    made = [[each.alert.emitted_at for each in worse if _any(steps, each)] for steps in places]
    ended = [each for each in worse if isinstance(of, Ordered) and _is(of.steps[-1], each)]
    if not ended and not any(made):
        return own
    own = own or Followed("")
    own.seen = own.seen or [[] for _ in places]
    for times, new in zip(own.seen, made, strict=True):
        for each in new:
            _put(times, each)
    if isinstance(of, Ordered):
        _end(of, own, board, ended, [each for new in made[: len(of.steps) - 1] for each in new], at)
    return own


def count_times(of: Times, own: Followed | None, at: int) -> Found:
    """Return how often the steps were made in the last ``within_ms`` before a time, ms."""
    seen = own.seen[0] if own is not None and own.seen else []
    times = [each for each in seen if each >= at - of.within_ms]
    names = tuple(dict.fromkeys(step.rule for step in of.of))
    return Found(float(len(times)), float(len(times)), times[0] if times else at, names)


def find_sequence(of: Ordered, own: Followed | None, board: Board, at: int) -> Found:
    """Return whether an alert that the sequence ended with still stands at a time, ms."""
    names = tuple(step.rule for step in of.steps)
    if own is None:
        return Found(0.0, 0.0, at, names)
    stands = own.met == at or any(key in board and board[key].stands(at) for key in own.ends)
    return Found(float(stands), (own.last - own.first) / 1000.0, own.first, names)


def forget_steps(of: Ordered | Times, own: Followed, board: Board, before: int, at: int) -> None:
    """Drop the times that were out of reach ``before``, and the ends that stand no more ``at``."""
    for times in own.seen:
        del times[: bisect_left(times, before - of.within_ms)]
    if not any(own.seen):
        own.seen = []
    own.ends = [key for key in own.ends if key in board and board[key].stands(at)]


def _places(of: Ordered | Times) -> tuple[tuple[Step, ...], ...]:
    """Return the steps whose times are remembered; in each place are those that are as good."""
    if isinstance(of, Times):
        return (of.of,)
    return (*((step,) for step in of.steps[:-1]), of.without)


def _any(steps: Iterable[Step], worse: Worse) -> bool:
    return any(_is(step, worse) for step in steps)


def _is(step: Step, worse: Worse) -> bool:
    alert, above = worse
    return step.rule == alert.rule and above <= step.level <= ORDER.index(alert.severity)


def _put(times: list[int], at: int) -> None:
    place = bisect_left(times, at)
    if place == len(times) or times[place] != at:
        times.insert(place, at)
    if len(times) > MOST_TIMES:
        del times[0]


def _end(
    of: Ordered, own: Followed, board: Board, ended: list[Worse], late: list[int], at: int
) -> None:
    """Note the alerts with which the sequence has ended: new ones, and such as wait for a step.

    ``late`` are the times of the other steps of this turn: what stands already may be behind one.
    """
    last = of.steps[-1]
    begun = {key_of(each.alert) for each in ended if each.above == 0}
    own.ends = [key for key in own.ends if key not in begun]
    candidates = {key_of(each.alert): each.alert.emitted_at for each in ended}
    if late:
        for key, each in board.items():
            reached = each.reached[last.level]
            if each.rule == last.rule and reached is not None and reached >= min(late):
                candidates.setdefault(key, reached)
    for key, upto in candidates.items():
        first = _began(of, own.seen, upto) if key not in own.ends else None
        if first is not None:
            own.ends.append(key)
            own.met, own.first, own.last = at, first, upto


def _began(of: Ordered, seen: list[list[int]], upto: int) -> int | None:
    """Return the latest time at which a sequence that ends at a time began, ms; None for none.

    Taking the latest of each step leaves the shortest span, which the others hold.
    """
    at = upto
    for times in reversed(seen[:-1]):
        place = bisect_right(times, at)
        if place == 0:
            return None
        at = times[place - 1]
    absent = seen[-1]
    barred = bisect_left(absent, upto) > bisect_right(absent, at)
    return None if barred or upto - at > of.within_ms else at
