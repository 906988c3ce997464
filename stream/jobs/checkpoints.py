"""Where a job can go on from: the newest complete checkpoint or savepoint on the lake's storage."""

from collections.abc import Iterable
from typing import NamedTuple

from pyarrow import fs

CHECKPOINTS = "_flink/checkpoints"
SAVEPOINTS = "_flink/savepoints"


class Snapshot(NamedTuple):
    """A snapshot's folder as Flink names it, and when its metadata was written."""

    uri: str
    at_s: float


def newest(
    files: fs.FileSystem, lake_uri: str, job_ids: Iterable[str], savepoints: Iterable[str] = ()
) -> str | None:
    """Return the newest snapshot of these jobs; None when there is none.

    A snapshot counts once it has its ``_metadata``, which Flink writes last. Savepoints are found
    in :func:`savepoints_of` a job; ``savepoints`` are URIs of others.
    """
    bucket = lake_uri.removeprefix("s3://")
    found = [
        Snapshot(f"s3://{info.path.removesuffix('/_metadata')}", info.mtime.timestamp())
        for job_id in job_ids
        for kind in (CHECKPOINTS, SAVEPOINTS)
        for info in files.get_file_info(
            fs.FileSelector(f"{bucket}/{kind}/{job_id}", recursive=True, allow_not_found=True)
        )
        if info.base_name == "_metadata"
    ]
    for uri in savepoints:
        (info,) = files.get_file_info([_metadata_of(uri)])
        if info.type == fs.FileType.File:
            found.append(Snapshot(uri, info.mtime.timestamp()))
    return max(found, key=lambda snapshot: snapshot.at_s).uri if found else None


def savepoints_of(lake_uri: str, job_id: str) -> str:
    """Return the folder for a job's savepoints: one that is found though nobody was told of it."""
    return f"{lake_uri}/{SAVEPOINTS}/{job_id}"


def written_at_ms(files: fs.FileSystem, uri: str) -> int | None:
    """Return when a snapshot was complete (epoch ms); None when it is gone."""
    (info,) = files.get_file_info([_metadata_of(uri)])
    return None if info.type != fs.FileType.File else round(info.mtime.timestamp() * 1000)


def metadata(files: fs.FileSystem, uri: str) -> bytes | None:
    """Return what a snapshot's ``_metadata`` holds; None when it is gone."""
    try:
        with files.open_input_stream(_metadata_of(uri)) as stream:
            return bytes(stream.read())
    except OSError:
        # What goes between S3's look at a file and its read is told as any other error.
        if written_at_ms(files, uri) is None:
            return None
        raise


def _metadata_of(uri: str) -> str:
    return f"{uri.removeprefix('s3://')}/_metadata"
