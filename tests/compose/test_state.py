import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stack_fixture import one_part

from compose.local.layout import Layout
from compose.local.state import (
    Wanted,
    asking,
    holder,
    publish,
    published,
    read_wanted,
    take_lock,
    write_wanted,
)


def test_without_a_state_folder_nobody_holds_the_lock(tmp_path: Path) -> None:
    assert holder(Layout(tmp_path / "none")) is None
    assert published(Layout(tmp_path / "none")) is None


def test_the_lock_names_the_living_supervisor_and_is_taken_once(layout, supervisor) -> None:
    assert holder(layout) == supervisor.pid
    assert take_lock(layout) is None


def test_a_killed_supervisor_holds_nothing(layout, supervisor) -> None:
    publish(layout, one_part(supervisor.pid))
    assert published(layout) == one_part(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    assert holder(layout) is None
    assert published(layout) is None
    lock = take_lock(layout)
    assert lock is not None
    lock.close()


def test_the_status_of_an_earlier_supervisor_is_not_believed(layout, supervisor) -> None:
    publish(layout, one_part(supervisor.pid + 1))
    assert published(layout) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"pid": "x"}', b"\xff"])
def test_a_damaged_status_is_none(layout, supervisor, content: bytes) -> None:
    layout.status.write_bytes(content)
    assert published(layout) is None


def test_a_request_is_read_back(layout) -> None:
    assert read_wanted(layout) == Wanted()
    write_wanted(layout, Wanted(number=7, parts=["kafka"]))
    assert read_wanted(layout) == Wanted(number=7, parts=["kafka"])
    layout.wanted.write_bytes(b"[1")
    assert read_wanted(layout) == Wanted()


def test_requests_at_once_come_one_after_the_other(layout) -> None:
    def ask(_: int) -> None:
        with asking(layout):
            number = read_wanted(layout).number
            time.sleep(0.001)  # lets another in, were it not kept out
            write_wanted(layout, Wanted(number=number + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    assert read_wanted(layout).number == 40
