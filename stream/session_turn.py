"""A device's turn in its sessions: a pane, and the rows of the runs that it shows to be over."""

from schemas.records import WindowFeatures
from stream.device_state import DeviceState, HeldPane
from stream.rule import Session
from stream.sessions import Run, Share, add, meets, result, settle, tell
from stream.windows import Subject, described


def take_part(
    state: DeviceState, sessions: tuple[Session, ...], device_id: str, arrived: HeldPane
) -> list[WindowFeatures]:
    """Take a device's next pane; return the rows of runs that are over, by session and metric.

    Args:
        state: the device's, changed in place.
        sessions: those that the device takes part in.
        device_id: its name.
        arrived: the pane, in order of (end, metric).
    """
    runs = state.entry().runs
    for name in runs.keys() - {session.name for session in sessions}:
        del runs[name]
    made: list[WindowFeatures] = []
    for session in sessions:
        run = runs.get(session.name)
        if run is None or run.digest != session.digest:
            if arrived.metric != session.state.metric:
                continue  # of a machine that has told nothing yet there are no runs
            run = runs[session.name] = Run(session.digest)
        made += _turn(state, session, run, device_id, arrived)
    return made


def _turn(
    state: DeviceState, session: Session, run: Run, device_id: str, arrived: HeldPane
) -> list[WindowFeatures]:
    pane = arrived.pane
    made: list[WindowFeatures] = []
    if arrived.metric == session.state.metric and pane.pane_start >= run.told_to:
        if meets(session, pane)[0] and run.is_over(pane.pane_start, session.gap_ms):
            made = _close(state, session, run, device_id)
        tell(run, session, pane)
    known_to = run.known_to(pane.pane_end)
    if run.is_over(known_to, session.gap_ms):
        made += _close(state, session, run, device_id)
    if session.match.covers(device_id, arrived.metric, arrived.site):
        shares = state.series(arrived.metric).shares
        share = shares.setdefault(session.name, Share(arrived.site))
        share.site = arrived.site
        add(share, pane)
        settle(share, run, known_to)
        _note(run, shares, session.name, arrived.metric)
    return made


def _note(run: Run, shares: dict[str, Share], name: str, metric: str) -> None:
    """Keep a share that holds anything, and note whose it is; drop one that does not."""
    share = shares[name]
    if share.waiting or (share.whole is not None and share.start == run.start):
        if metric not in run.metrics:
            run.metrics.append(metric)
        return
    del shares[name]
    if metric in run.metrics:
        run.metrics.remove(metric)


def _close(state: DeviceState, session: Session, run: Run, device_id: str) -> list[WindowFeatures]:
    assert run.start is not None, "only a run can be over"
    made = []
    for metric in sorted(run.metrics):
        shares = state.series(metric).shares
        share = shares.get(session.name)
        if share is None:
            run.metrics.remove(metric)  # its time to live is over, as the device's is not
            continue
        moments = result(share, run)
        if moments is not None:
            of = Subject(device_id, metric, share.site, None)
            made.append(described(of, run.start, run.end, moments, session.name))
        if not share.waiting:
            del shares[session.name]
            run.metrics.remove(metric)
    run.start = None
    return made
