"""Sessions: runs of a machine, and what each of its metrics was like during one.

    running  ──▶ a run: begun by a pane in which a reading meets the condition,
                 over once the condition has not been met for the gap
    vibration, temperature ──▶ merged as they come ──▶ a row each once the run is over

A run goes from the first such pane's start to the last one's end; stops shorter than the gap are
part of it. A state that is not told is taken to be as it was. A row holds the panes that lie wholly
within the run.

What is remembered does not grow with a run's length: its bounds, and of each metric one merge of
all panes since its start, and one up to the end known so far.
"""

import msgspec

from stream.panes import Pane
from stream.rule import Session
from stream.windows import Moments, merged


class Run(msgspec.Struct, array_like=True):
    """What is remembered of a session's state on one device; times in ms.

    ``told_to`` is the end of the state's newest pane, ``pane_ms`` its length, and ``on`` whether
    its last reading met the condition. The run is [start, end), and while ``on`` it goes on;
    ``start`` is None when there is none. ``metrics`` are those that hold a share in it.
    """

    digest: str
    told_to: int = 0
    pane_ms: int = 0
    on: bool = False
    start: int | None = None
    end: int = 0
    metrics: list[str] = []

    def known_to(self, pane_end: int) -> int:
        """Return up to when the state is known once a pane of the device has come.

        A device's panes come in order of their ends, so one of the state that is still to come
        begins no earlier.
        """
        return max(self.told_to, pane_end - self.pane_ms)

    def is_over(self, known_to: int, gap_ms: int) -> bool:
        """Say whether there is a run that nothing can continue any more."""
        return self.start is not None and not self.on and known_to - self.end >= gap_ms


class Share(msgspec.Struct, array_like=True):
    """What one metric has of the run that begins at ``start``; times in ms.

    ``waiting`` panes end after what is known of the state. ``whole`` holds all panes since the
    start, the last of which ends at ``whole_to``; ``sure`` those up to the run's end, where
    ``whole`` reaches beyond it.
    """

    site: str
    waiting: list[Pane] = []
    start: int = 0
    whole: Moments | None = None
    whole_to: int = 0
    sure: Moments | None = None


def tell(run: Run, session: Session, pane: Pane) -> None:
    """Take a pane of the state's metric; the caller has ended the run that is over by its start."""
    met, last_met = meets(session, pane)
    run.told_to, run.pane_ms = pane.pane_end, pane.pane_end - pane.pane_start
    if pane.n == 0:
        return  # bad readings say nothing
    if run.on:
        run.end = pane.pane_start  # it went on, untold, up to here
    run.on = last_met
    if met:
        run.start = pane.pane_start if run.start is None else run.start
        run.end = pane.pane_end


def meets(session: Session, pane: Pane) -> tuple[bool, bool]:
    """Say whether any reading of a pane meets the condition, and whether its last one does."""
    if pane.n == 0:
        return False, False
    if session.state.op == ">=":
        return pane.hi >= session.state.value, pane.last_value >= session.state.value
    return pane.lo <= session.state.value, pane.last_value <= session.state.value


def add(share: Share, pane: Pane) -> None:
    """Let a pane wait for its state; it is passed over when it does not follow the newest one."""
    newest = share.waiting[-1].pane_end if share.waiting else share.whole_to
    if pane.n > 0 and pane.pane_start >= newest:
        share.waiting.append(pane)


def settle(share: Share, run: Run, known_to: int) -> None:
    """Merge the waiting panes of which it is known by now whether the machine ran."""
    end = known_to if run.on else run.end
    while share.waiting and share.waiting[0].pane_end <= known_to:
        pane = share.waiting.pop(0)
        if run.start is None or pane.pane_start < run.start:
            continue
        if share.whole is None or share.start != run.start:
            share.start, share.whole, share.whole_to, share.sure = run.start, None, 0, None
        if share.whole_to <= end < pane.pane_end:
            share.sure = share.whole
        share.whole = merged(run.start, (pane,), share.whole)
        share.whole_to = pane.pane_end


def result(share: Share, run: Run) -> Moments | None:
    """Return what a metric has of a run that is over, and forget it; None for nothing."""
    settle(share, run, run.end)
    found = None
    if share.whole is not None and share.start == run.start:
        found = share.whole if share.whole_to <= run.end else share.sure
    share.whole, share.whole_to, share.sure = None, 0, None
    return found
