"""Options of the commands that take recorded series, and how they are read."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click

from schemas.amounts import duration
from schemas.config import nearest
from schemas.failure import Failure
from stream.cmapss import read_cmapss
from stream.recorded import Series, read_series

_Command = Callable[..., Any]
_READERS: dict[str, Callable[[Path], list[Series]]] = {"csv": read_series, "cmapss": read_cmapss}


class Data(NamedTuple):
    """What recorded series a command is to take."""

    path: Path
    form: str
    devices: tuple[str, ...]

    def read(self) -> list[Series]:
        """Read them.

        Raises:
            Failure: they cannot be read, or none is of the devices asked for.
        """
        return of_devices(_READERS[self.form](self.path), self.devices, str(self.path))


def of_devices(series: list[Series], globs: tuple[str, ...], source: str) -> list[Series]:
    """Return the series of devices that match one of the globs; all when there is none.

    Raises:
        Failure: there is no such series.
    """
    if not globs:
        return series
    chosen = [each for each in series if any(fnmatchcase(each.device_id, glob) for glob in globs)]
    if not chosen:
        known = sorted({each.device_id for each in series})
        near = nearest(globs[0], known) or f"; there are: {', '.join(known[:10])}"
        raise Failure(f"{source}: holds no device {', '.join(globs)}{near}")
    return chosen


def data_options(command: _Command) -> _Command:
    """Add --data, --format and --device, which the command gets as ``data``, ``form``, ``device``.

    The command makes a :class:`Data` of them.
    """
    data = click.option(
        "--data",
        required=True,
        type=click.Path(exists=True, path_type=Path),
        help="A file or a folder of them. CSV: timestamp, then a column for each metric; or "
        "timestamp,device,metric,value. Or the lake's Parquet.",
    )
    return data(format_option(devices_option(command)))


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(list(_READERS)),
    default="csv",
    show_default=True,
    help="cmapss: NASA's run-to-failure text files; engine-001 and so on, an hour a cycle.",
)
devices_option = click.option(
    "--device", multiple=True, metavar="GLOB", help="Only these; may be given several times."
)


class DurationText(click.ParamType[str]):
    """A duration such as ``15m``, kept as it is written."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or fail as click does."""
        try:
            duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)
