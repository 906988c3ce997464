from pathlib import Path

import pytest

from schemas.failure import Failure
from simulators.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from simulators.series import Series, closed, read_csv, series_messages, shifted, span_ms

MONDAY = parse_time("2026-01-05")


def series(*points: tuple[int, float], unit: str | None = None) -> Series:
    return Series("boiler", "temperature", unit, points)


def written(folder: Path, text: str) -> Path:
    path = folder / "my sensor.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> Series:
    return read_csv(path, device=path.stem, metric="value")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "timestamp,value"),
        ("time,value\n2026-01-01,1\n", 1, "timestamp,value"),
        ("timestamp,value\n2026-01-01,1\nyesterday,2\n", 3, "no time"),
        ("timestamp,value\n1931-01-01,1\n", 2, "before 1970"),
        ("timestamp,value\n2026-01-01,warm\n", 2, "no number"),
        ("timestamp,value\n\n2026-01-01,nan\n", 3, "no finite number"),
        ("timestamp,value\n2026-01-01,inf\n", 2, "no finite number"),
        ("timestamp,value\n2026-01-01,1,2\n", 2, "expected 2 fields"),
        ("timestamp,value\n2026-01-01\n", 2, "expected 2 fields"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, says: str):
    path = written(tmp_path, text)
    with pytest.raises(Failure) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert says in str(error.value)


def test_a_file_without_readings_and_one_that_is_no_text_are_refused(tmp_path: Path):
    with pytest.raises(Failure, match="no readings"):
        read(written(tmp_path, "timestamp,value\n"))
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(Failure, match=r"picture\.csv"):
        read(path)


def test_a_byte_order_mark_blank_lines_and_offsets_are_read(tmp_path: Path):
    path = written(
        tmp_path, "\ufeffTimestamp,Value\n2026-01-05 01:00:00+01:00,1\n\n2026-01-05T00:01Z,2.5\n"
    )
    assert read(path).points == ((MONDAY, 1.0), (MONDAY + MINUTE_MS, 2.5))
    assert read(path).device == "my_sensor"


def test_rows_out_of_order_are_sorted_and_equal_times_both_kept_in_file_order(tmp_path: Path):
    path = written(
        tmp_path,
        "timestamp,value\n2026-01-05 01:00,1\n2026-01-05 00:00,2\n2026-01-05 01:00,1\n"
        "2026-01-05 01:00,0\n",
    )
    messages = list(series_messages(read(path), "s"))
    assert [message.values[0][1] for message in messages] == [2.0, 1.0, 1.0, 0.0]
    assert [message.seq for message in messages] == [0, 1, 2, 3]


def test_a_cut_counts_from_the_common_start_and_leaves_out_its_end():
    late = series(*((MONDAY + 6 * DAY_MS + hour * HOUR_MS, hour) for hour in range(48)))
    cut = shifted(late, MONDAY, days=7)
    assert len(cut.points) == 24
    assert cut.points[-1][0] == MONDAY + 7 * DAY_MS - HOUR_MS
    assert shifted(late, MONDAY).points == late.points


def test_closing_readings_repeat_the_last_value_until_the_closing_time_has_passed():
    quarter = 15 * MINUTE_MS
    short = series((0, 1.0), (quarter, 2.0), (2 * quarter, 3.0))
    extra = closed(short, closing_ms=HOUR_MS + 1).points[3:]
    assert extra == tuple((2 * quarter + i * quarter, 3.0) for i in range(1, 6))


def test_a_slow_series_gets_one_closing_reading_and_an_empty_one_none():
    daily = series((0, 1.0), (DAY_MS, 2.0))
    assert closed(daily, closing_ms=HOUR_MS).points[2:] == ((2 * DAY_MS, 2.0),)
    assert closed(daily, closing_ms=0) == daily
    assert closed(series(), closing_ms=HOUR_MS).points == ()


def test_a_message_says_value_time_unit_and_sequence():
    (message,) = series_messages(series((5, 20.5), unit="°C"), "plant")
    assert message.topic == "sensors/plant/boiler/temperature"
    assert message.device_id == "plant.boiler"
    assert message.payload.decode() == '{"value":20.5,"ts":5,"unit":"°C","seq":0}'
    assert message.readings == 1


def test_the_span_reaches_to_the_last_closing_reading():
    tuesday = series((MONDAY + DAY_MS, 1.0), (MONDAY + DAY_MS + HOUR_MS, 1.0))
    assert span_ms([tuesday], None, 2 * HOUR_MS) == DAY_MS + 3 * HOUR_MS
    assert span_ms([tuesday], 0.5, 2 * HOUR_MS) == 0
