import os
from pathlib import Path

import pytest

from schemas.failure import Failure
from simulators.ledger import Entry, Ledger, read_ledger
from simulators.message import Message


def message(seq: int, **values: float) -> Message:
    return Message(1000 + seq, "t", b"", "plant.boiler", seq, tuple(values.items()))


def test_a_line_stands_before_the_message_is_sent_and_is_marked_in_place(tmp_path: Path):
    path = tmp_path / "ledger.ndjson"
    with Ledger(path) as book:
        marks = book.enter([message(0, a=1.5, b=2.0), message(1, a=1e-7)])
        assert [entry.acked for entry in read_ledger(path)] == [False, False]
        size = path.stat().st_size
        book.mark(marks[1])
        assert [entry.acked for entry in read_ledger(path)] == [False, True]
        book.enter([message(2, a=0.0)])
        assert path.stat().st_size > size
    assert list(read_ledger(path)) == [
        Entry("plant.boiler", 1000, 0, {"a": 1.5, "b": 2.0}, acked=False),
        Entry("plant.boiler", 1001, 1, {"a": 1e-7}, acked=True),
        Entry("plant.boiler", 1002, 2, {"a": 0.0}, acked=False),
    ]


def test_a_torn_last_line_is_left_out(tmp_path: Path):
    path = tmp_path / "ledger.ndjson"
    with Ledger(path) as book:
        book.enter([message(0, a=1.0), message(1, a=2.0)])
    os.truncate(path, path.stat().st_size - 5)
    assert [entry.seq for entry in read_ledger(path)] == [0]


def test_a_ledger_that_was_there_is_replaced(tmp_path: Path):
    path = tmp_path / "ledger.ndjson"
    for seq in (0, 1):
        with Ledger(path) as book:
            book.enter([message(seq, a=1.0)])
    assert [entry.seq for entry in read_ledger(path)] == [1]


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(Failure, match="nowhere"):
        Ledger(tmp_path / "nowhere" / "ledger.ndjson")
