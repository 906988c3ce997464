"""Options of the commands that take recorded series, and how they are read."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import click

from schemas.amounts import duration
from schemas.config import nearest
from schemas.failure import Failure
from stream.backtest import Series, read_series
from stream.cmapss import read_cmapss

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
        found = _READERS[self.form](self.path)
        if not self.devices:
            return found
        chosen = [s for s in found if any(fnmatchcase(s.device_id, glob) for glob in self.devices)]
        if not chosen:
            known = sorted({each.device_id for each in found})
            near = nearest(self.devices[0], known) or f"; there are: {', '.join(known[:10])}"
            raise Failure(f"{self.path}: holds no device {', '.join(self.devices)}{near}")
        return chosen


def data_options(command: _Command) -> _Command:
    """Add --data, --format and --device, which the command gets as ``data``, ``form``, ``device``.

    The command makes a :class:`Data` of them.
    """
    options = (
        click.option(
            "--data",
            required=True,
            type=click.Path(exists=True, path_type=Path),
            help="A CSV file or a folder of them: timestamp, then a column for each metric; or "
            "timestamp,device,metric,value.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(list(_READERS)),
            default="csv",
            show_default=True,
            help="cmapss: NASA's run-to-failure text files; engine-001 and so on, an hour a cycle.",
        ),
        click.option(
            "--device",
            multiple=True,
            metavar="GLOB",
            help="Only these; may be given several times.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


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
