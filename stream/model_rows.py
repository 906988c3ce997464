"""Recorded series as rows of what models take: one value for each input, at one pane's end."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.config import nearest
from schemas.failure import Failure
from stream.backtest import panes
from stream.recorded import Series


class ModelRows(NamedTuple):
    """Rows by device, in order of time: (pane end in ms, the means of the inputs)."""

    inputs: tuple[str, ...]
    rows: dict[str, list[tuple[int, list[float]]]]

    def total(self) -> int:
        """Return the number of rows."""
        return sum(map(len, self.rows.values()))


def model_rows(series: Iterable[Series], inputs: Sequence[str], every_ms: int) -> ModelRows:
    """Return the rows for which every input has a reading, as the engine would derive from them.

    Args:
        series: recorded ones; others than the inputs are left out.
        inputs: metrics; all there are, in order of their names, when empty.
        every_ms: the length of a pane.

    Raises:
        Failure: an input is nowhere, or never at the same time as the others.
    """
    every = list(series)
    known = sorted({each.metric for each in every})
    names = tuple(inputs) or tuple(known)
    for name in names:
        if name not in known:
            near = nearest(name, known) or f"; there are: {', '.join(known) or 'none'}"
            raise Failure(f"the data hold no metric {name!r}{near}")
    means: dict[str, dict[int, dict[str, float]]] = {}
    for each in every:
        if each.metric in names:
            own = means.setdefault(each.device_id, {})
            for pane in panes(each.points, every_ms):
                if pane.n > 0:
                    own.setdefault(pane.pane_end, {})[each.metric] = pane.mean
    rows = {
        device: [
            (end, [at[name] for name in names])
            for end, at in sorted(own.items())
            if len(at) == len(names)
        ]
        for device, own in sorted(means.items())
    }
    found = ModelRows(names, {device: own for device, own in rows.items() if own})
    if not found.rows:
        raise Failure(
            f"{', '.join(names)} have no pane of {every_ms // 1000}s in common on any device; "
            "a longer --every may mend it"
        )
    return found


def without_constants(found: ModelRows) -> tuple[ModelRows, tuple[str, ...]]:
    """Return the rows without inputs that never change, and the names of those."""
    columns = list(zip(*(row for own in found.rows.values() for _, row in own), strict=True))
    kept = [i for i, column in enumerate(columns) if min(column) < max(column)]
    rows = {
        device: [(end, [row[i] for i in kept]) for end, row in own]
        for device, own in found.rows.items()
    }
    names = tuple(found.inputs[i] for i in kept)
    return ModelRows(names, rows), tuple(name for name in found.inputs if name not in names)
