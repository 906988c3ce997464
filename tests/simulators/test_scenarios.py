"""Each scenario does what it says, when it says so, and nothing else."""

import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from itertools import groupby, pairwise
from math import inf

import pytest

from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from simulators.effects import DOUBLED, LATEST_MS, LIMIT
from simulators.faults import HEALTHY, KINDS
from simulators.fleet import fleet_messages
from simulators.message import Message
from simulators.scenario import ANY, METRICS, SCENARIOS
from simulators.stage import staged_messages
from simulators.staging import (
    JUMP_MS,
    Placed,
    Staging,
    placed,
    staged,
    truths,
)

START = parse_time("2026-01-05")
STEP = 5 * MINUTE_MS
SEEDS = range(2)
SHIFTED = [name for name, each in SCENARIOS.items() if each.kind or each.effect == "drift"]
FAULTY = [name for name, each in SCENARIOS.items() if each.faulty]


def played(staging: Staging) -> list[Message]:
    return list(staged_messages("s", start_ms=START, staging=staging))


def healthy_twin(staging: Staging) -> list[Message]:
    return list(fleet_messages("s", start_ms=START, fleet=staging.fleet))


def when(staging: Staging) -> Placed:
    at = placed(staging, 0, START)
    assert at is not None
    return at


def of(messages: Iterable[Message], metric: str, first: float, last: float) -> list[float]:
    """The metric's values of the messages measured in [first, last)."""
    return [dict(m.values)[metric] for m in messages if first <= m.ts_ms < last]


def digest(staging: Staging) -> str:
    sent = sha256()
    for m in staged_messages("s", start_ms=START, staging=staging):
        sent.update(b"%d %s %s\n" % (m.due_ms, m.topic.encode(), m.payload))
    return sent.hexdigest()


def short(name: str, seed: int = 1) -> Staging:
    """A scenario within two days of two machines, one of them for those that need more often."""
    if SCENARIOS[name].below_ms is not None:
        return staged(
            name, seed=seed, days=0.1, onset_ms=HOUR_MS, duration_ms=HOUR_MS, closing_ms=MINUTE_MS
        )
    if not SCENARIOS[name].faulty:
        return staged(name, seed=seed, machines=2, days=2)
    return staged(
        name, seed=seed, machines=2, days=2, onset_ms=DAY_MS // 2, duration_ms=DAY_MS // 2
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(name: str):
    assert digest(short(name)) == digest(short(name))
    assert digest(short(name)) != digest(short(name, seed=2))


def test_another_process_gives_the_same_bytes():
    script = (
        "import test_scenarios as t; print(*[t.digest(t.short(n)) for n in "
        "('bearing_wear', 'flapping', 'out_of_order')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(_here())!r}); {script}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99", "PYTHONPATH": ":".join(sys.path)},
    )
    expected = [digest(short(name)) for name in ("bearing_wear", "flapping", "out_of_order")]
    assert done.stdout.split() == expected


def _here() -> str:
    return __file__.rpartition("/")[0]


def test_healthy_machines_are_a_fleet_without_faults():
    staging = staged("healthy", machines=3, days=2)
    assert played(staging) == healthy_twin(staging)
    for each in truths(staging, "s", START):
        assert (each.placed, each.window, each.due) == (None, None, ())
        assert each.quiet == METRICS


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("seed", SEEDS)
def test_before_the_onset_and_after_the_end_all_is_as_if_nothing_were(name: str, seed: int):
    staging = staged(name, seed=seed) if name != "out_of_order" else short(name, seed)
    at = when(staging)
    assert START <= at.onset_ms <= at.worst_ms <= at.end_ms <= START + staging.fleet.days * DAY_MS
    # A warm casing cools for hours, and a start is felt for one.
    after = at.end_ms + 24 * HOUR_MS

    def outside(messages: Iterable[Message]) -> list[tuple[int, bytes]]:
        kept = (m for m in messages if m.due_ms < at.onset_ms or m.due_ms >= after)
        return sorted({(m.seq, m.payload) for m in kept})

    disturbed, twin = played(staging), healthy_twin(staging)
    before = [(m.seq, m.payload) for m in twin if m.ts_ms < at.onset_ms]
    assert before
    assert outside(disturbed)[: len(before)] == before
    assert outside(disturbed)[-1] == outside(twin)[-1]
    inside = Counter(m.payload for m in disturbed if at.onset_ms <= m.due_ms < at.end_ms)
    healthy = Counter(m.payload for m in twin if at.onset_ms <= m.ts_ms < at.end_ms)
    if name == "out_of_order":
        assert [m.seq for m in disturbed] != [m.seq for m in twin]
    else:
        assert inside != healthy


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("size", [3.0, 8.0])
def test_a_fault_shifts_each_metric_by_its_sigma_and_quiet_ones_not(name: str, size: float):
    for seed in SEEDS:
        staging = staged(name, seed=seed, size=size)
        at, twin = when(staging), healthy_twin(staging)
        running = {m.ts_ms for m in twin if dict(m.values)["running"]}
        settled = [
            pair
            for pair in zip(twin, played(staging), strict=True)
            if at.worst_ms + 12 * HOUR_MS <= pair[0].ts_ms < at.end_ms and pair[0].ts_ms in running
        ]
        assert len(settled) > 100
        quiet = truths(staging, "s", START)[0].quiet
        for metric, sigma in HEALTHY._asdict().items():
            added = statistics.fmean(
                (dict(ill.values)[metric] - dict(well.values)[metric]) / sigma
                for well, ill in settled
            )
            told = getattr(staging.scenario.offsets(size), metric)
            assert added == pytest.approx(told, abs=0.15 * abs(told) + 0.02), (metric, seed)
            assert (metric in quiet) == (abs(told) < 0.5)
        (expected,) = staging.scenario.expected
        assert abs(getattr(staging.scenario.offsets(size), expected.metric)) == size


def test_a_fault_at_its_usual_size_is_the_fleet_s_of_its_kind():
    for name in ("bearing_wear", "cavitation"):
        usual = SCENARIOS[name]
        kind = KINDS[name]
        assert usual.offsets(usual.size) == pytest.approx(kind[:3])
        assert (usual.ramp_h, usual.hold_h) == (kind.ramp_h, kind.hold_h)


def longest_run(values: Iterable[float]) -> int:
    return max(len(list(group)) for _, group in groupby(values))


def test_a_stuck_sensor_repeats_its_last_value_until_the_end_and_only_it():
    for seed in SEEDS:
        staging = staged("stuck_sensor", seed=seed)
        at, messages = when(staging), played(staging)
        before = of(messages, "temperature", START, at.onset_ms)
        held = of(messages, "temperature", at.onset_ms, at.end_ms)
        assert len(held) == DAY_MS // STEP
        assert set(held) == {before[-1]}
        assert longest_run(before) <= 3
        assert longest_run(of(messages, "temperature", at.end_ms, inf)) <= 3
        assert longest_run(of(messages, "current", at.onset_ms, at.end_ms)) < 12


def test_a_sensor_that_drops_out_leaves_a_gap_and_the_machine_goes_on():
    staging = staged("drop_out", duration_ms=3 * HOUR_MS)
    at, messages = when(staging), played(staging)
    told = [m.ts_ms for m in messages if "temperature" in dict(m.values)]
    longest = max(((b - a), a) for a, b in pairwise(told))
    assert longest[0] == 3 * HOUR_MS + STEP
    assert at.onset_ms - STEP <= longest[1] < at.onset_ms
    assert {b.ts_ms - a.ts_ms for a, b in pairwise(messages)} == {STEP}
    for m in messages:
        assert (b"temperature" in m.payload) == ("temperature" in dict(m.values))


def test_a_clock_jumps_ahead_and_back_while_messages_are_sent_evenly():
    staging = staged("clock_jump")
    at, messages = when(staging), played(staging)
    jumps = [(b.ts_ms - a.ts_ms - STEP, b.due_ms) for a, b in pairwise(messages)]
    off = [(by, due) for by, due in jumps if by]
    assert [by for by, _ in off] == [JUMP_MS, -JUMP_MS]
    assert at.onset_ms <= off[0][1] < at.onset_ms + STEP
    assert at.end_ms <= off[1][1] < at.end_ms + STEP
    assert {b.due_ms - a.due_ms for a, b in pairwise(messages)} == {STEP}
    assert all(f'"ts":{m.ts_ms},'.encode() in m.payload for m in messages)
    (truth,) = truths(staging, "s", START)
    assert truth.window == (at.onset_ms, at.end_ms + JUMP_MS)
    assert truth.due[0].metric == ANY
    both = [m.due_ms for m in played(staged("clock_jump", machines=2))]
    assert both == sorted(both)


def test_duplicates_are_equal_to_the_byte_and_about_one_in_five():
    staging = staged("duplicates", machines=3, duration_ms=2 * DAY_MS)
    copies = Counter((m.device_id, m.seq, m.payload) for m in played(staging))
    assert set(copies) == {(m.device_id, m.seq, m.payload) for m in healthy_twin(staging)}
    assert set(copies.values()) == {1, 2}
    doubled = [key for key, count in copies.items() if count == 2]
    inside = 3 * 2 * DAY_MS / STEP
    assert len(doubled) / inside == pytest.approx(DOUBLED, abs=0.05)
    spans = {f"s.pump-0{i + 1}": placed(staging, i, START) for i in range(3)}
    at = {(m.device_id, m.seq): m.ts_ms for m in played(staging)}
    for device, seq, _ in doubled:
        span = spans[device]
        assert span is not None
        assert span.onset_ms <= at[device, seq] < span.end_ms


def test_messages_overtake_each_other_by_less_than_the_lateness_and_none_is_lost():
    staging = short("out_of_order")
    at, messages = when(staging), played(staging)
    assert sorted(m.seq for m in messages) == [m.seq for m in healthy_twin(staging)]
    newest, behind = 0, []
    for m in messages:
        if m.ts_ms < newest:
            behind.append((newest - m.ts_ms, m))
        newest = max(newest, m.ts_ms)
    assert 0.2 < len(behind) / (HOUR_MS / 1000) < 0.9
    assert max(by for by, _ in behind) < LATEST_MS
    assert all(at.onset_ms <= m.ts_ms < at.end_ms for _, m in behind)
    assert [m.due_ms for m in messages] == sorted(m.due_ms for m in messages)


def starts(messages: Iterable[Message], first: float, last: float) -> int:
    running = of(messages, "running", first, last)
    return sum(not a and b for a, b in pairwise(running))


def test_a_machine_in_cycles_starts_many_times_a_day_and_is_no_worse_for_it():
    for seed in SEEDS:
        staging = staged("start_stop", seed=seed)
        at, messages = when(staging), played(staging)
        days = (at.end_ms - at.onset_ms) / DAY_MS
        assert 8 * days <= starts(messages, at.onset_ms, at.end_ms) <= 16 * days
        assert starts(messages, START, at.onset_ms) / 7 < 2.5
        assert max(of(messages, "vibration_rms", START, inf)) < LIMIT
        away = statistics.fmean(of(messages, "temperature", at.onset_ms, at.end_ms))
        usual = statistics.fmean(of(messages, "temperature", START, at.onset_ms))
        assert abs(away - usual) < 1.5 * HEALTHY.temperature


def test_stops_are_rescheduled_at_any_hour_of_the_day_that_a_run_starts_at():
    late = START + 17 * HOUR_MS + 23 * MINUTE_MS
    for name, most in (("flapping", 0.0), ("start_stop", 0.3)):
        staging = staged(name, machines=3)
        for machine in range(3):
            at = placed(staging, machine, late)
            assert at is not None
            own = [
                m
                for m in staged_messages("s", start_ms=late, staging=staging)
                if m.device_id == f"s.pump-0{machine + 1}"
            ]
            stood = 1 - statistics.fmean(of(own, "running", at.onset_ms, at.end_ms))
            assert most / 3 <= stood <= most
            assert 0 < 1 - statistics.fmean(of(own, "running", late, at.onset_ms)) < 0.06


@pytest.mark.parametrize("size", [None, 3.0])
def test_a_flapping_machine_crosses_the_limit_every_quarter_of_an_hour(size: float | None):
    for seed in SEEDS:
        staging = staged("flapping", seed=seed, size=size)
        at, messages = when(staging), played(staging)
        values = of(messages, "vibration_rms", at.onset_ms, at.end_ms)
        crossed = sum((a >= LIMIT) != (b >= LIMIT) for a, b in pairwise(values))
        assert 24 * 4 <= crossed <= 24 * 12
        away = (size or 1) * HEALTHY.vibration_rms
        assert statistics.fmean(values) == pytest.approx(LIMIT + 0.3 * away, abs=0.1 * away)
        assert max(values) - min(values) < 2.25 * away
        assert set(of(messages, "running", at.onset_ms, at.end_ms)) == {1}
        assert max(of(messages, "vibration_rms", START, at.onset_ms)) < LIMIT
