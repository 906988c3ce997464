"""How many readings there are between known times: by what the lake is held against the job's."""

from collections.abc import Iterable, Mapping, Sequence

from stream.panes import Pane
from stream.rule import Rules


class Counted:
    """How many readings a metric has between times that are known beforehand."""

    def __init__(self, bounds: Iterable[int]) -> None:
        """Take the times, ms."""
        self._ahead = sorted(set(bounds), reverse=True)
        self._total = 0
        self._before: dict[int, int] = {}

    def take(self, pane: Pane) -> None:
        """Count a pane; they come in order."""
        while self._ahead and self._ahead[-1] <= pane.pane_start:
            self._before[self._ahead.pop()] = self._total
        self._total += pane.n

    def between(self, start: int, end: int) -> int:
        """Return the number in [start, end), two of the times, ms."""
        before = self._before
        return before.get(end, self._total) - before.get(start, self._total)


class Counts:
    """The readings of a device's metrics; a derived one has as many as the least of its inputs."""

    def __init__(self, rules: Rules, bounds: Mapping[str, Iterable[int]]) -> None:
        """Take the times that are asked for, by metric, ms."""
        self._ways = _ways(rules)
        asked = {metric: set(own) for metric, own in bounds.items()}
        for metric, ways in self._ways.items():
            for name in set().union(*ways):
                asked.setdefault(name, set()).update(bounds.get(metric, ()))
        self._counted = {metric: Counted(own) for metric, own in asked.items()}

    def take(self, metric: str, pane: Pane) -> None:
        """Count a pane; a metric's come in order."""
        if metric in self._counted:
            self._counted[metric].take(pane)

    def readings(self, metric: str, start: int, end: int) -> int:
        """Return how many readings of a metric are in [start, end), bounds of it, ms."""
        ways = self._ways.get(metric, [frozenset({metric})])
        return max(min(self._sensor(name, start, end) for name in way) for way in ways)

    def _sensor(self, metric: str, start: int, end: int) -> int:
        counted = self._counted.get(metric)
        return 0 if counted is None else counted.between(start, end)


def _ways(rules: Rules) -> dict[str, Sequence[frozenset[str]]]:
    """Return, by derived metric, the sensors it is made of in the end; each formula is a way."""
    found: dict[str, list[frozenset[str]]] = {}
    for each in rules.derived:
        below = (frozenset().union(*found.get(name, [{name}])) for name in each.inputs)
        found.setdefault(each.metric, []).append(frozenset().union(*below))
    return dict(found)
