import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from stream.jobs.checkpoints import metadata, newest, savepoints_of


def snapshot(folder: Path, at_s: int, *, complete: bool = True) -> str:
    folder.mkdir(parents=True)
    if complete:
        (folder / "_metadata").write_bytes(b"state")
        os.utime(folder / "_metadata", (at_s, at_s))
    return f"s3://{folder}"


def test_the_newest_of_a_jobs_checkpoints_and_savepoints_is_found(tmp_path: Path) -> None:
    files, lake = fs.LocalFileSystem(), f"s3://{tmp_path}"
    flink = tmp_path / "_flink"
    assert newest(files, lake, ["a", "b"]) is None
    old = snapshot(flink / "checkpoints" / "a" / "chk-7", 100)
    snapshot(flink / "checkpoints" / "other" / "chk-9", 900)
    assert newest(files, lake, ["a", "b"]) == old
    # Nobody has written down where it is: who asked for it was killed.
    saved = snapshot(Path(savepoints_of(lake, "a").removeprefix("s3://")) / "savepoint-a-1", 200)
    assert newest(files, lake, ["a", "b"]) == saved
    snapshot(flink / "savepoints" / "b" / "savepoint-b-1", 300, complete=False)
    assert newest(files, lake, ["a", "b"]) == saved


def test_a_savepoint_elsewhere_counts_once_it_is_named(tmp_path: Path) -> None:
    files, lake = fs.LocalFileSystem(), f"s3://{tmp_path}"
    elsewhere = snapshot(tmp_path / "mine", 500)
    assert newest(files, lake, ["a"], [elsewhere, f"s3://{tmp_path}/gone"]) == elsewhere


def test_metadata_of_a_snapshot_that_made_place_is_none(tmp_path: Path) -> None:
    files = fs.LocalFileSystem()
    assert metadata(files, snapshot(tmp_path / "chk-1", 1)) == b"state"
    assert metadata(files, f"s3://{tmp_path}/chk-0") is None


def test_a_snapshot_that_goes_while_it_is_read_is_none_and_another_trouble_is_told(
    tmp_path: Path,
) -> None:
    def read(path: str) -> None:
        raise OSError("AWS Error NO_SUCH_KEY during GetObject operation")

    files = SimpleNamespace(
        open_input_stream=read, get_file_info=fs.LocalFileSystem().get_file_info
    )
    assert metadata(files, f"s3://{tmp_path}/chk-0") is None
    with pytest.raises(OSError, match="GetObject"):
        metadata(files, snapshot(tmp_path / "chk-1", 1))
