import json
import statistics
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.failure import BadConfig
from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from simulators.faults import HEALTHY, KINDS, Sigma, scripted
from simulators.fleet import Fleet, fleet_messages, pump_name, scenarios
from simulators.message import Message
from simulators.pump import Sample, samples, traits

START = parse_time("2026-01-05")
SMALL = Fleet(pumps=3, faults=("clog",), days=2)
MONTH = range(START, START + 30 * DAY_MS, 5 * MINUTE_MS)


def healthy(pump: int, seed: int = 7) -> list[Sample]:
    return list(samples(traits(seed, pump), MONTH, start_ms=START))


def payloads(fleet: Fleet) -> list[bytes]:
    return [message.payload for message in fleet_messages("s", start_ms=START, fleet=fleet)]


def test_the_same_fleet_gives_the_same_bytes_and_another_seed_others():
    assert payloads(SMALL) == payloads(SMALL)
    assert payloads(SMALL) != payloads(Fleet(pumps=3, faults=("clog",), days=2, seed=8))


def test_a_fleet_behaves_alike_whenever_it_starts():
    def values(start_ms: int) -> list[tuple[tuple[str, float], ...]]:
        return [m.values for m in fleet_messages("s", start_ms=start_ms, fleet=SMALL)]

    assert values(START) == values(START + 17 * DAY_MS)


def test_messages_come_in_event_time_order_one_per_pump_and_interval():
    messages = list(fleet_messages("s", start_ms=START, fleet=SMALL))
    assert [m.ts_ms for m in messages] == sorted(m.ts_ms for m in messages)
    by_pump = sorted(messages, key=lambda m: m.device_id)
    for _, group in groupby(by_pump, key=lambda m: m.device_id):
        own = sorted(group, key=lambda m: m.seq)
        assert [m.seq for m in own] == list(range((2 * 24 + 2) * 12))
        assert {b.ts_ms - a.ts_ms for a, b in pairwise(own)} == {5 * MINUTE_MS}


def test_a_message_is_a_flat_object_of_four_metrics_beside_time_and_sequence():
    message = next(fleet_messages("plant", start_ms=START, fleet=SMALL))
    assert message.topic.startswith("machines/plant/pump-0")
    said = json.loads(message.payload)
    assert list(said) == ["ts", "seq", "temperature", "vibration_rms", "current", "running"]
    assert said == {"ts": message.ts_ms, "seq": 0} | dict(message.values)
    assert message.readings == 4


def test_a_fleet_goes_on_after_its_days_so_that_the_last_windows_close():
    last: dict[str, Message] = {}
    for message in fleet_messages("s", start_ms=START, fleet=SMALL):
        last[message.device_id] = message
    closing = START + 2 * DAY_MS + SMALL.closing_ms
    assert all(closing - 5 * MINUTE_MS <= m.ts_ms < closing for m in last.values())


def test_a_healthy_running_pump_varies_by_the_stated_sigma():
    for pump in range(5):
        all_day = healthy(pump)
        warm = [
            sample
            for at, sample in enumerate(all_day)
            if at >= 12 and all(s.running for s in all_day[at - 12 : at + 1])
        ]
        for name in Sigma._fields:
            measured = statistics.pstdev(getattr(sample, name) for sample in warm)
            assert measured == pytest.approx(getattr(HEALTHY, name), rel=0.15), name


def test_a_healthy_pump_stops_and_starts_every_day_and_never_shakes_above_zone_b():
    for pump in range(20):
        month = healthy(pump)
        for day in range(30):
            today = month[day * 288 : (day + 1) * 288]
            assert {sample.running for sample in today} == {0, 1}
        assert max(sample.vibration_rms for sample in month) < 2.8
        assert all(s.current == 0 and s.vibration_rms < 0.2 for s in month if not s.running)


@pytest.mark.parametrize("name", ["bearing_wear", "cavitation", "clog"])
def test_a_failing_pump_reaches_its_stated_size_in_sigma_and_is_repaired(name: str):
    for seed in range(5):
        (fault,) = scripted(seed=seed, pumps=1, names=(name,), days=30)
        sick = list(samples(traits(seed, 0), MONTH, start_ms=START, fault=fault))
        pairs = list(zip(healthy(0, seed), sick, strict=True))
        at_worst = [
            (well, ill)
            for well, ill in pairs
            if fault.worst_h + 12 <= (ill.ts_ms - START) / HOUR_MS < fault.end_h and ill.running
        ]
        for metric in Sigma._fields:
            added = statistics.fmean(getattr(i, metric) - getattr(w, metric) for w, i in at_worst)
            size = getattr(fault.kind, metric) * getattr(HEALTHY, metric)
            assert added == pytest.approx(size, rel=0.15), metric
        assert statistics.fmean(ill.vibration_rms for _, ill in at_worst) > 2.8 * 1.05
        outside = [(w, i) for w, i in pairs if (i.ts_ms - START) / HOUR_MS < fault.onset_h]
        assert outside
        assert all(w == i for w, i in outside)
        assert pairs[-1][0].vibration_rms == pairs[-1][1].vibration_rms


def test_a_pump_that_dies_sends_nothing_after_its_worst():
    fleet = Fleet(pumps=4, faults=("dies",), days=20)
    (fault,) = scenarios(fleet)
    times = [
        message.ts_ms
        for message in fleet_messages("s", start_ms=START, fleet=fleet)
        if message.device_id == f"s.{pump_name(fault.pump)}"
    ]
    silent_from = START + fault.end_h * HOUR_MS
    assert silent_from - 5 * MINUTE_MS <= times[-1] < silent_from < START + 20 * DAY_MS


@given(
    st.integers(0, 10**6),
    st.lists(st.sampled_from(sorted(KINDS)), max_size=8),
    st.floats(0.5, 60),
)
def test_scripted_faults_fall_on_different_pumps_and_inside_the_run(
    seed: int, names: list[str], days: float
):
    faults = scripted(seed=seed, pumps=8, names=tuple(names), days=days)
    assert len({fault.pump for fault in faults}) == len(names)
    for fault in faults:
        assert 0.3 * days * 24 - 1 < fault.onset_h < fault.worst_h <= fault.end_h <= days * 24
        assert fault.progress(fault.onset_h) == 0
        assert fault.progress(fault.end_h) == 0


def test_more_faults_than_pumps_and_unknown_faults_are_refused():
    with pytest.raises(BadConfig, match="3 faults"):
        scenarios(Fleet(pumps=2))
    with pytest.raises(BadConfig, match="bearing_wear"):
        scenarios(Fleet(faults=("rust",)))
