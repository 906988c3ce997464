import threading
from pathlib import Path

from compose.local.logs import follow, tail


def test_the_last_lines_are_shown_whatever_their_bytes(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"one\ntwo\r\nthr\xffee\nunfinished")
    assert tail(log, 3) == ["two", "thr�ee", "unfinished"]
    assert tail(log, 0) == []
    assert tail(tmp_path / "none", 3) == []


def test_only_the_end_of_a_huge_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("wb") as file:
        file.truncate(1 << 33)
        file.seek(0, 2)
        file.write(b"\nlast\n")
    assert tail(log, 1) == ["last"]


def test_following_goes_on_in_a_log_that_began_anew(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\nlast of old\n")
    lines = follow(log, count=1)
    assert next(lines) == "last of old"

    def later() -> None:
        log.write_text("new\n")

    timer = threading.Timer(0.05, later)
    timer.start()
    assert next(lines) == "new"
    timer.join()


def test_half_a_line_is_not_shown_before_its_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("")
    lines = follow(log, count=5)

    def grow() -> None:
        with log.open("a") as file:
            file.write("ha")
            file.flush()
            file.write("lf\n")

    timer = threading.Timer(0.05, grow)
    timer.start()
    assert next(lines) == "half"
    timer.join()
