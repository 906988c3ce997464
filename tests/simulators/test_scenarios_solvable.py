"""That the scenarios can be solved: one plain statistic parts three sigma from healthy months."""

import statistics
from collections import defaultdict, deque
from collections.abc import Iterator

import pytest

from simulators.clock import DAY_MS, HOUR_MS, parse_time
from simulators.faults import HEALTHY
from simulators.scenario import SCENARIOS
from simulators.stage import staged_messages
from simulators.staging import Staging, staged, truths

START = parse_time("2026-01-05")
LEARNED = START + 6 * DAY_MS
SHIFTED = [name for name, each in SCENARIOS.items() if each.kind or each.effect == "drift"]
PARTS = 2.6


def hourly(staging: Staging, metric: str) -> Iterator[tuple[int, float]]:
    """Time, and how far the last hour's mean is from the first six days', in sigma.

    Machines that stood still within the last two hours are left out.
    """
    rows = defaultdict(list)
    for m in staged_messages("s", start_ms=START, staging=staging):
        values = dict(m.values)
        rows[m.device_id].append((m.ts_ms, values[metric], values["running"]))
    for own in rows.values():
        usual = statistics.fmean(x for at, x, running in own if running and at < LEARNED)
        held: deque[tuple[int, float, float]] = deque()
        for at, x, running in own:
            held.append((at, x, running))
            while held[0][0] <= at - 2 * HOUR_MS:
                held.popleft()
            if at >= LEARNED and all(each[2] for each in held):
                mean = statistics.fmean(y for then, y, _ in held if then > at - HOUR_MS)
                yield at, (mean - usual) / getattr(HEALTHY, metric)


@pytest.mark.parametrize("name", SHIFTED)
def test_three_sigma_show_before_the_deadline(name: str):
    staging = staged(name, size=3, seed=23)
    (truth,) = truths(staging, "s", START)
    (due,) = truth.due
    assert truth.placed is not None
    seen = [(at, z) for at, z in hourly(staging, due.metric) if at <= due.by_ms]
    assert max(z for at, z in seen if at >= truth.placed.onset_ms) > PARTS
    assert max(abs(z) for at, z in seen if at < truth.placed.onset_ms) < PARTS


@pytest.mark.parametrize("metric", HEALTHY._fields)
def test_healthy_machines_never_show_as_much(metric: str):
    staging = staged("healthy", machines=4, days=26, seed=29)
    assert max(abs(z) for _, z in hourly(staging, metric)) < PARTS


@pytest.mark.parametrize("name", SHIFTED)
def test_the_mean_at_the_worst_is_sigmas_away_from_the_mean_before(name: str):
    staging = staged(name, size=3)
    (truth,) = truths(staging, "s", START)
    at, metric = truth.placed, truth.due[0].metric
    assert at is not None
    messages = [
        dict(m.values) | {"at": m.ts_ms}
        for m in staged_messages("s", start_ms=START, staging=staging)
    ]
    running = [each for each in messages if each["running"]]
    before = [each[metric] for each in running if each["at"] < at.onset_ms]
    settled = at.worst_ms + 12 * HOUR_MS
    worst = [each[metric] for each in running if settled <= each["at"] < at.end_ms]
    sigma = getattr(HEALTHY, metric)
    assert (statistics.fmean(worst) - statistics.fmean(before)) / sigma > 2
    assert statistics.pstdev(before) == pytest.approx(sigma, rel=0.25)
