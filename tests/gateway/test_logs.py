"""Log lines: for a person and for a program, whatever was passed in."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import logs

LOG = logging.getLogger("tidegate.gateway.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logs._secrets.clear()
    for name in ("tidegate.daemon", "tidegate.librdkafka"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(style: logs.LogFormat, *calls: Any, level: logs.LogLevel = "info") -> list[str]:
    stream = io.StringIO()
    # pytest keeps what is logged for its report, and a parallel run cannot send half a character.
    logging.getLogger().handlers.clear()
    logs.write_to(stream, style, level)
    for call in calls:
        call()
    return stream.getvalue().splitlines()


def test_a_person_reads_time_level_and_part() -> None:
    (line,) = lines("console", lambda: LOG.warning("%d left", 3))
    assert line[4] == "-"
    assert line.endswith("Z WARNING gateway.test: 3 left")


def test_a_program_reads_fields() -> None:
    (line,) = lines(
        "json", lambda: LOG.warning("%d left", 3, extra={"fields": {"left": 3, "level": "x"}})
    )
    told = json.loads(line)
    assert told.pop("ts").endswith("Z")
    assert told == {"level": "warning", "logger": "gateway.test", "message": "3 left", "left": 3}


HOSTILE = "a\nERROR forged\r\x1b[2J\u202etxt\x85\u2028\ud800"


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_hostile_topic_stays_inside_its_line(style: logs.LogFormat) -> None:
    fields = {"fields": {"topic": HOSTILE}}
    found = lines(style, lambda: LOG.warning("topic %s", HOSTILE, extra=fields))
    assert len(found) == 1
    assert found[0].isascii()
    assert "\\nERROR forged" in found[0]
    assert "\x1b" not in found[0]


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    assert logs.printable(text).isprintable()
    assert len(logs.printable(text).splitlines()) <= 1


@pytest.mark.parametrize("style", ["console", "json"])
def test_no_secret_is_written_not_even_in_a_trace(style: logs.LogFormat) -> None:
    assert logs.hide("hunter2!") == "hunter2!"
    logs.hide("")
    logs.hide("a")

    def crash() -> None:
        try:
            raise ValueError("hunter2!\nforged")
        except ValueError:
            LOG.exception("with %s", "hunter2!", extra={"fields": {"password": "hunter2!"}})

    text = "\n".join(lines(style, crash))
    assert "hunter2!" not in text
    assert "***" in text
    assert "Traceback" in text


def test_one_kind_of_line_comes_twenty_times_a_minute_and_then_says_how_many_did_not() -> None:
    now = [0.0]
    moderation = logs.Moderation(now=lambda: now[0])

    def passes(text: str) -> tuple[bool, int]:
        record = logging.LogRecord("l", logging.INFO, "f", 1, text, None, None)
        return moderation.filter(record), getattr(record, "left_out", 0)

    assert sum(passes("often %s")[0] for _ in range(120)) == 20
    assert passes("rare")[0]
    now[0] = 61.0
    assert passes("often %s") == (True, 100)
    assert passes("often %s") == (True, 0)


def test_quiet_tells_the_daemons_own_lines_and_what_must_be_acted_on() -> None:
    daemon, kafka = (logging.getLogger(f"tidegate.{n}") for n in ("daemon", "librdkafka"))
    calls = [
        lambda: LOG.info("well"),
        lambda: LOG.warning("ill"),
        lambda: daemon.info("started"),
        lambda: kafka.error("again"),
    ]
    assert [line.split(": ")[1] for line in lines("console", *calls, level="warning")] == [
        "ill",
        "started",
    ]
    assert len(lines("console", *calls, level="debug")) == 4
