"""The options that several simulate commands share, and what they parse to."""

import functools
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import click

from schemas.amounts import duration
from simulators.play import Playing

Command = Callable[..., None]


def _duration_ms(text: str) -> int:
    """Parse ``90s``, ``5m``, ``2h`` or ``1d`` to ms, or fail as click wants it."""
    try:
        return int(duration(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _speed(text: str) -> float | None:
    """Parse ``max`` to None, else simulated seconds per second above 0."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{text!r}: write max, or a number such as 1 or 3600")
    return speed


def duration_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """Make an option that is written as a duration and parses to ms."""
    return click.option(*names, type=_duration_ms, metavar="DURATION", **attributes)


def a_number(of: str) -> Callable[[click.Context, click.Parameter, float | None], float | None]:
    """Return a callback that refuses NaN, which is in every range: no comparison with it is true.

    ``of`` is what the option counts, for the message.
    """

    def checked(
        _context: click.Context, _option: click.Parameter, value: float | None
    ) -> float | None:
        if value is not None and isnan(value):
            raise click.BadParameter(f"nan is no number of {of}")
        return value

    return checked


def days_option(**attributes: Any) -> Callable[[Command], Command]:
    """Make the option --days: a part of a day will do, and a century is the most."""
    days = click.FloatRange(0, 36_500, min_open=True)
    return click.option("--days", type=days, callback=a_number("days"), **attributes)


START = click.option(
    "--start",
    metavar="TIME",
    help="Where the simulated clock starts: an ISO 8601 time, UTC unless it says otherwise, or "
    "`now`. Default: the latest Monday from which all is past by now.",
)
CLOSING = duration_option(
    "--closing",
    "closing_ms",
    default="2h",
    show_default=True,
    help="How far readings go on behind each series' end, so that its last windows close.",
)

_PLAYING = (
    click.option(
        "--url",
        default="mqtt://127.0.0.1:1883",
        show_default=True,
        envvar="MQTT_URL",
        show_envvar=True,
        help="The MQTT broker: mqtt[s]://[user:password@]host[:port].",
    ),
    click.option(
        "--site",
        default="auto",
        show_default=True,
        metavar="PREFIX",
        help="First part of every device id; `auto` makes one of this run's own.",
    ),
    START,
    click.option(
        "--speed",
        type=_speed,
        default="max",
        show_default=True,
        metavar="X|max",
        help="Simulated seconds per second, or as fast as acknowledged.",
    ),
    click.option(
        "--ledger",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write a line of JSON per message, and whether it was acknowledged. Replaced.",
    ),
    click.option("--ready", metavar="URL", help="Wait for this URL of the gateway: …/readyz."),
    duration_option("--ready-within", "ready_within_ms", default="60s", show_default=True),
    duration_option(
        "--patience",
        "patience_ms",
        default="120s",
        show_default=True,
        help="Give up when the broker takes nothing for so long.",
    ),
    click.option("--dry-run", is_flag=True, help="Print topics and payloads; publish nothing."),
    click.option("--json", "as_json", is_flag=True, help="One line of JSON at the end."),
)


def playing_options(command: Command) -> Command:
    """Give a command the options of playing; it gets them as one `Playing`, ``how``."""

    @functools.wraps(command)
    def wrapped(
        *,
        url: str,
        site: str,
        start: str | None,
        speed: float | None,
        ledger: Path | None,
        ready: str | None,
        ready_within_ms: int,
        patience_ms: int,
        dry_run: bool,
        as_json: bool,
        **rest: Any,
    ) -> None:
        how = Playing(
            url=url,
            site=site,
            start=start,
            speed=speed,
            ledger=ledger,
            ready=ready,
            ready_within_s=ready_within_ms / 1000,
            patience_s=patience_ms / 1000,
            dry_run=dry_run,
            as_json=as_json,
        )
        command(how=how, **rest)

    decorated: Command = wrapped
    for option in reversed(_PLAYING):
        decorated = option(decorated)
    return decorated
