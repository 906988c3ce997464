"""Which alerts of a device stand: what rules over rules, inhibition and first-out go by.

An alert stands from its first record to its last, both ends included: one that ends in the very
instant in which another begins has met it. So what stands in an instant only grows while the
device's panes of that instant come in, and their order does not matter.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from schemas.records import Alert
from stream.lifecycle import ORDER

DEVICE_METRIC = "*"
"""The metric of an alert that is of a device as a whole."""


class Worse(NamedTuple):
    """A record that made an alert worse, its first one too.

    It newly reached the severities from ``above`` on, as places in the order, up to its own.
    """

    alert: Alert
    above: int


class Standing(msgspec.Struct, array_like=True):
    """An alert that stands; new fields go to the end, with a default.

    ``rank`` is its severity's place in the order; ``reached``, when it last came to each severity
    or a worse one, ms, None for never. It stands no more once ``ended`` is over.
    """

    rule: str
    rank: int
    reached: list[int | None]
    ended: int | None = None

    @property
    def since(self) -> int:
        """When it began, ms."""
        return self.reached[0] or 0

    def stands(self, at: int) -> bool:
        """Say whether it stands at a time, ms, not before that of the newest record."""
        return self.ended is None or self.ended >= at


Board = dict[str, Standing]
"""A device's standing alerts by rule and metric."""


def standing(board: Board, at: int) -> Iterator[Standing]:
    """Yield the alerts that stand at a time, ms."""
    return (each for each in board.values() if each.stands(at))


def key_of(alert: Alert) -> str:
    """Return under which key an alert stands; a rule's name holds no slash."""
    return f"{alert.rule}/{alert.metric}"


def note(board: Board, alerts: Iterable[Alert], at: int) -> list[Worse]:
    """Take the records of one turn.

    An alert that began and ended across a gap, before the turn's time, has not stood in it.

    Args:
        board: changed in place.
        alerts: of one turn, in their order.
        at: the turn's time, ms.
    """
    found, begun = [], set()
    for alert in alerts:
        key = key_of(alert)
        if alert.seq == 0:
            begun.add(key)
            board[key] = Standing(alert.rule, -1, [alert.starts_at] + [None] * (len(ORDER) - 1))
        known = board.get(key)
        if alert.state == "RESOLVED":
            if known is not None and key in begun and alert.emitted_at < at:
                del board[key]
            elif known is not None:
                known.ended = at
        elif known is None:  # it began before such things were noted
            board[key] = _late(alert)
        elif (worse := _worse(known, alert)) is not None:
            found.append(worse)
    return found


def _worse(known: Standing, alert: Alert) -> Worse | None:
    before, known.rank = known.rank, ORDER.index(alert.severity)
    if known.rank <= before:
        return None
    for rank in range(before + 1, known.rank + 1):
        known.reached[rank] = alert.emitted_at
    return Worse(alert, before + 1)


def _late(alert: Alert) -> Standing:
    rank = ORDER.index(alert.severity)
    reached = [alert.starts_at if each <= rank else None for each in range(len(ORDER))]
    return Standing(alert.rule, rank, reached)


def forget(board: Board, at: int) -> None:
    """Drop what stands no more at a time, ms."""
    for key in [key for key, each in board.items() if not each.stands(at)]:
        del board[key]
