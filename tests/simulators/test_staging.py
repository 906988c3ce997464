"""What is true of a scenario's machines: when, what is due, what is wrong to fire."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.failure import BadConfig
from schemas.records import Alert
from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from simulators.scenario import ANY, METRICS, SCENARIOS, scenario
from simulators.staging import JUMP_MS, Truth, labels_of, placed, staged, truths

START = parse_time("2026-01-05")
STEP = 5 * MINUTE_MS
FAULTY = [name for name, each in SCENARIOS.items() if each.faulty]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_labels_are_the_truth_s_windows_from_onset_to_end(name: str):
    staging = staged(name, machines=2, seed=5)
    truth = truths(staging, "plant", START)
    labels = labels_of(truth)
    assert list(labels) == ["plant.pump-01.csv", "plant.pump-02.csv"]
    for machine, spans in enumerate(labels.values()):
        at = placed(staging, machine, START)
        if not SCENARIOS[name].expected:
            assert spans == []
            continue
        ((first, last),) = spans
        assert at is not None
        jumped = JUMP_MS if name == "clock_jump" else 0
        assert (parse_time(first), parse_time(last)) == (at.onset_ms, at.end_ms + jumped)


@pytest.mark.parametrize("name", FAULTY)
def test_each_machine_s_onset_is_its_own_unless_it_is_given(name: str):
    drawn = [placed(staged(name, machines=5), each, START) for each in range(5)]
    assert len({each.onset_ms for each in drawn if each}) > 1
    usual = SCENARIOS[name]
    for each in drawn:
        assert each is not None
        hours = (each.onset_ms - START) / HOUR_MS
        assert usual.onset_h <= hours < usual.onset_h + usual.spread_h
    given_one = staged(name, machines=2, onset_ms=90 * MINUTE_MS)
    (given_at,) = {placed(given_one, each, START) for each in range(2)}
    assert given_at is not None
    assert given_at.onset_ms == START + 90 * MINUTE_MS


@settings(deadline=None)
@given(
    st.sampled_from(FAULTY),
    st.integers(0, 10**6),
    st.integers(0, 40 * DAY_MS),
    st.integers(STEP, 40 * DAY_MS),
)
def test_what_is_due_is_due_between_onset_and_end(name: str, seed: int, onset: int, lasts: int):
    staging = staged(name, seed=seed, onset_ms=onset, duration_ms=lasts)
    (truth,) = truths(staging, "s", START)
    assert truth.placed is not None
    assert truth.placed.onset_ms == START + onset
    assert truth.placed.end_ms == START + onset + lasts <= START + staging.fleet.days * DAY_MS
    assert len(truth.due) == len(SCENARIOS[name].expected)
    for due in truth.due:
        assert truth.placed.onset_ms < due.by_ms <= truth.placed.end_ms
        assert due.metric in (*METRICS, ANY)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "bearing_were"}, 'did you mean "bearing_wear"'),
        ({"name": "xyzzy"}, "there are: healthy, bearing_wear"),
        ({"name": "healthy", "size": 3}, "healthy has no --size"),
        ({"name": "healthy", "onset_ms": 1}, "healthy has no --onset"),
        ({"name": "stuck_sensor", "size": 3}, "stuck_sensor has no --size"),
        ({"name": "drift", "size": 0}, "--size 0: "),
        ({"name": "drift", "size": -3}, "--size -3: "),
        ({"name": "drift", "size": float("nan")}, "--size nan: "),
        ({"name": "drift", "size": inf}, "--size inf: "),
        ({"name": "drift", "onset_ms": -1}, "--onset must not be"),
        ({"name": "drift", "duration_ms": STEP - 1}, "--duration must be at least"),
        ({"name": "drift", "interval_ms": 0}, "--interval must be at least"),
        ({"name": "drift", "days": 5}, "--days is 5; give more days"),
        ({"name": "healthy", "days": 0.001}, "--interval must be at most"),
        ({"name": "out_of_order", "interval_ms": 4000}, "nothing happens"),
    ],
)
def test_a_scenario_that_cannot_be_had_is_refused(asked: dict[str, object], told: str):
    with pytest.raises(BadConfig) as error:
        staged(**asked)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_a_scenario_is_known_by_its_name_alone():
    assert scenario("drift") is SCENARIOS["drift"]
    assert {name for name, each in SCENARIOS.items() if not each.expected} == {
        "healthy",
        "duplicates",
        "out_of_order",
        "start_stop",
    }


def alert(truth: Truth, after_ms: int, **over: object) -> Alert:
    assert truth.placed is not None
    at = truth.placed.onset_ms + after_ms
    fields: dict[str, object] = {
        "alert_id": f"{at}",
        "fingerprint": "f",
        "seq": 0,
        "rule": "r",
        "rule_version": 1,
        "category": "PROCESS",
        "event": "FIRED",
        "state": "FIRING",
        "severity": "WARNING",
        "asset_id": truth.device_id,
        "device_id": truth.device_id,
        "site": "s",
        "metric": "vibration_rms",
        "value": 1.0,
        "threshold_enter": 1.0,
        "threshold_exit": 1.0,
        "comparator": ">=",
        "sample_count": 1,
        "peak_value": 1.0,
        "window_start": at,
        "window_end": at,
        "condition_since": at,
        "starts_at": at,
        "last_true_at": at,
        "emitted_at": at,
    }
    return Alert(**(fields | over))  # type: ignore[arg-type]


def truth_of(name: str) -> Truth:
    return truths(staged(name), "s", START)[0]


def test_a_truth_knows_what_was_found_in_time_and_what_was_not():
    wear = truth_of("bearing_wear")
    assert wear.found([alert(wear, HOUR_MS)])
    assert wear.found([alert(wear, 120 * HOUR_MS, category="TREND", severity="CRITICAL")])
    for each in (
        alert(wear, 120 * HOUR_MS + 1),
        alert(wear, -1),
        alert(wear, HOUR_MS, metric="temperature"),
        alert(wear, HOUR_MS, severity="INFO"),
        alert(wear, HOUR_MS, category="SENSOR_HEALTH"),
        alert(wear, HOUR_MS, event="RESOLVED"),
        alert(wear, HOUR_MS, device_id="s.pump-02"),
    ):
        assert not wear.found([each])
    silent = truth_of("drop_out")
    assert silent.found([alert(silent, HOUR_MS, metric="temperature", event="NO_DATA")])
    assert truth_of("duplicates").found([])


def test_a_rule_that_chatters_has_not_found_what_flaps():
    flaps = truth_of("flapping")
    assert flaps.found([alert(flaps, HOUR_MS), alert(flaps, HOUR_MS, rule="other")])
    assert not flaps.found([alert(flaps, HOUR_MS), alert(flaps, 2 * HOUR_MS)])


def test_a_truth_knows_which_alerts_should_not_have_been():
    wear = truth_of("bearing_wear")
    free = [
        alert(wear, HOUR_MS),
        alert(wear, HOUR_MS, metric="temperature"),
        alert(wear, HOUR_MS, metric="running", device_id="s.pump-02"),
        alert(wear, -1, event="RESOLVED"),
    ]
    wrong = [alert(wear, -1), alert(wear, HOUR_MS, metric="running")]
    assert wear.unfounded([*free, *wrong]) == wrong
    jumped = truth_of("clock_jump")
    assert jumped.unfounded([alert(jumped, 1, category="SENSOR_HEALTH", metric="current")]) == []
    assert len(jumped.unfounded([alert(jumped, 1)])) == 1
    well = truth_of("healthy")
    assert len(well.unfounded([alert(wear, HOUR_MS)])) == 1
