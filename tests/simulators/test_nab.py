import json
import re
from datetime import UTC, datetime

import pytest

from schemas.failure import BadConfig
from simulators.clock import DAY_MS, WEEK_MS, parse_time
from simulators.nab import DATA, SERIES, labels, load, nab_messages
from simulators.series import shifted

START = parse_time("2026-01-05")
MACHINE = "machine_temperature_system_failure"


@pytest.mark.parametrize("name", SERIES)
def test_a_shipped_file_holds_the_stated_number_of_readings(name: str):
    lines = (DATA / f"{name}.csv").read_text().splitlines()
    assert len(load(name).points) == len(lines) - 1 == SERIES[name].readings


def test_licence_origin_and_labels_ship_with_the_series():
    assert "Permission is hereby granted" in (DATA / "LICENSE").read_text()
    assert "github.com/numenta/NAB" in (DATA / "NOTICE").read_text()
    assert set(json.loads((DATA / "windows.json").read_text())) == {f"{n}.csv" for n in SERIES}


@pytest.mark.parametrize("name", SERIES)
def test_weekday_and_hour_survive_the_shift_and_the_first_reading_is_in_the_first_week(name: str):
    before, after = load(name), shifted(load(name), START)
    assert START <= after.points[0][0] < START + WEEK_MS
    for (was, value), (now, same) in zip(before.points, after.points, strict=True):
        assert (now - was) % WEEK_MS == 0
        assert value == same
    was, now = (datetime.fromtimestamp(s.points[0][0] / 1000, UTC) for s in (before, after))
    assert (was.weekday(), was.time()) == (now.weekday(), now.time())


def test_labels_shift_as_their_series_do():
    for name, windows in labels(START).items():
        shift = shifted(load(name), START).points[0][0] - load(name).points[0][0]
        raw = json.loads((DATA / "windows.json").read_text())[f"{name}.csv"]
        assert windows == [(parse_time(a) + shift, parse_time(b) + shift) for a, b in raw]
        last = shifted(load(name), START).points[-1][0]
        assert all(START <= begin < end <= last for begin, end in windows)


def test_two_labelled_windows_of_the_machine_lie_whole_in_the_first_thirty_days():
    inside = [end for _, end in labels(START)[MACHINE] if end < START + 30 * DAY_MS]
    assert len(inside) == 2


def test_all_series_come_in_one_event_time_order_with_valid_ids():
    seqs: dict[str, int] = {}
    last = 0
    for message in nab_messages("s", start_ms=START, days=20):
        assert message.ts_ms >= last
        last = message.ts_ms
        assert message.seq == seqs.get(message.device_id, -1) + 1
        seqs[message.device_id] = message.seq
        _, site, device, metric = message.topic.split("/")
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", device)
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", metric)
        assert message.device_id == f"{site}.{device}"
        said = json.loads(message.payload)
        assert said == {
            "value": message.values[0][1],
            "ts": message.ts_ms,
            "unit": SERIES[device].unit,
            "seq": message.seq,
        }
    assert len(seqs) == len(SERIES)


def test_repeated_timestamps_are_both_played_under_their_own_sequence_numbers():
    messages = list(nab_messages("s", start_ms=START, names=[MACHINE], closing_ms=0))
    assert len(messages) == SERIES[MACHINE].readings
    assert len({message.ts_ms for message in messages}) == SERIES[MACHINE].readings - 12
    assert len({(message.ts_ms, message.seq) for message in messages}) == len(messages)


def test_after_the_cut_come_closing_readings_and_nothing_else():
    end = START + 2 * DAY_MS
    messages = list(nab_messages("s", start_ms=START, days=2, names=[MACHINE]))
    real = [message for message in messages if message.ts_ms < end]
    closing = messages[len(real) :]
    assert len(closing) == 24
    assert {message.values for message in closing} == {real[-1].values}
    assert closing[-1].ts_ms - real[-1].ts_ms == 2 * 3_600_000


def test_a_series_that_does_not_ship_is_refused_with_the_names_of_those_that_do():
    with pytest.raises(BadConfig, match="nyc_taxi"):
        load("nyc_taxis")
