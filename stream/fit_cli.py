"""`tidegate rules fit`: models learned from recorded data, written as JSON for a rule file."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas.amounts import duration
from schemas.failure import Failure
from stream.data_options import Data, DurationText, data_options
from stream.model_rows import ModelRows, model_rows, without_constants
from stream.models import FittedOn, Model
from stream.pane_sizes import PANES_MS

PACES = ((0.1, 0.03), (0.2, 0.05), (0.3, 0.1))
DEGREES = (1, 2, 3, 4)

_Command = Callable[..., Any]
_out = click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The model's file.",
)
_inputs = click.option(
    "--inputs", default="", help="Metrics, with commas; all that change when left out."
)


def _every(shown: str) -> Callable[[_Command], _Command]:
    return click.option(
        "--every",
        type=DurationText(),
        default=shown,
        show_default=True,
        help="How long a step is; the model is for panes of that length.",
    )


@click.group()
def fit() -> None:
    """Learn models from recorded data.

    A rule file names the file under `models:` and makes a metric of it under `derive:`. The same
    data give the same file.
    """


@fit.command()
@data_options
@_inputs
@_every("1m")
@click.option(
    "--quantile",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.999,
    show_default=True,
    help="Share of the data that is within the limits.",
)
@click.option(
    "--explained",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Share of the variance that the components keep.",
)
@_out
def t2q(
    data: Path,
    form: str,
    device: tuple[str, ...],
    inputs: str,
    every: str,
    quantile: float,
    explained: float,
    out: Path,
) -> None:
    """Learn how metrics of healthy machines go together (T² and Q).

    What is derived by it is 1 where the data's quantile was; more is further from usual.
    """
    taken = Data(data, form, device)
    step, found = _pane(every), _rows(taken, inputs, every)
    if (1 - quantile) * found.total() < 10:
        click.echo(
            f"the {quantile:g} quantile of {found.total()} rows is hardly more than their maximum; "
            "take more data, or a lower --quantile",
            err=True,
        )
    fitting = _numpy_there()
    model = fitting.fit_t2_q(
        found, step, _fitted_on(taken, found), quantile=quantile, explained=explained
    )
    said = f"{len(model.components)} components of {len(model.inputs)} metrics"
    _write(model, out, f"{said}, {found.total()} rows")


@fit.command()
@data_options
@_inputs
@_every("1h")
@click.option(
    "--cap",
    type=click.FloatRange(0, min_open=True),
    default=125.0,
    show_default=True,
    help="The longest remaining life to be told, in steps.",
)
@click.option("--unit", default="cycles", show_default=True, help="What a step is called.")
@click.option(
    "--pace",
    type=(float, float),
    default=None,
    help="Fast and slow share of a new value in the means; tried and chosen when left out.",
)
@_out
def rul(
    data: Path,
    form: str,
    device: tuple[str, ...],
    inputs: str,
    every: str,
    cap: float,
    unit: str,
    pace: tuple[float, float] | None,
    out: Path,
) -> None:
    """Learn the remaining life of machines.

    Each machine's data must end with its failure. Of several smoothings and polynomials the one is
    taken that errs least on machines left out of the fit, a fifth at a time.
    """
    if pace is not None and not 0 < pace[1] <= pace[0] <= 1:
        raise click.BadParameter("expected 1 >= fast >= slow > 0", param_hint="--pace")
    taken = Data(data, form, device)
    found = _rows(taken, inputs, every)
    fitting = _numpy_there()
    model = fitting.fit_rul(
        found,
        _pane(every),
        _fitted_on(taken, found),
        cap=cap,
        unit=unit,
        paces=PACES if pace is None else (pace,),
        degrees=DEGREES,
    )
    said = f"means of {model.fast:g} and {model.slow:g}, {len(model.polynomial)} terms"
    error = f"RMSE {model.rmse:.1f} {unit} at all rows of machines left out"
    _write(model, out, f"{said}; {error}; {len(found.rows)} machines, {found.total()} rows")


@fit.command()
@data_options
@_out
def baseline(data: Path, form: str, device: tuple[str, ...], out: Path) -> None:
    """Learn mean and deviation of every healthy series.

    The data are of a time in which its machine is well; the deviation is the standard one.
    """
    taken = Data(data, form, device)
    fitting = _numpy_there()
    series = taken.read()
    rows = sum(len(each.points) for each in series)
    fitted_on = FittedOn(*_files(taken.path), len({each.device_id for each in series}), rows)
    model = fitting.fit_baseline(series, fitted_on)
    count = sum(map(len, model.devices.values()))
    _write(model, out, f"{count} series of {len(model.devices)} devices")


def _rows(taken: Data, inputs: str, every: str) -> ModelRows:
    names = [name.strip() for name in inputs.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise click.BadParameter("a metric is there twice", param_hint="--inputs")
    found, constant = without_constants(model_rows(taken.read(), names, _pane(every)))
    if constant:
        click.echo(f"left out, since they never change: {', '.join(constant)}", err=True)
    if not found.inputs:
        raise Failure(f"{taken.path}: no metric ever changes: there is nothing to learn")
    return found


def _pane(every: str) -> int:
    ms = int(duration(every))
    if ms not in PANES_MS:
        raise click.BadParameter(
            f"expected one of 1s 5s 10s 30s 1m 5m 15m 1h 1d, got {every}", param_hint="--every"
        )
    return ms


def _numpy_there() -> Any:
    try:
        from stream import fitting  # noqa: PLC0415 - the other commands do without numpy
    except ModuleNotFoundError as missing:
        raise Failure(
            f"`rules fit` needs {missing.name}, which is not installed here; "
            "install it with: pip install numpy"
        ) from missing
    return fitting


def _fitted_on(taken: Data, found: ModelRows) -> FittedOn:
    return FittedOn(*_files(taken.path), len(found.rows), found.total())


def _files(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the names of the files, and a digest of all."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return tuple(file.name for file in files), digest.hexdigest()


def _write(model: Model, out: Path, said: str) -> None:
    # A step is written as a person does: "3600s".
    plain = msgspec.json.encode(model, enc_hook=lambda step: f"{step // 1000}s")
    text = msgspec.json.format(plain, indent=1)
    try:
        out.write_bytes(text + b"\n")
    except OSError as error:
        raise Failure(f"{out}: cannot be written: {error.strerror}") from error
    click.echo(f"{out}: {said}", err=True)
