"""The options of commands that simulate machines: a fleet with its script, or a scenario."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from schemas.config import nearest
from schemas.failure import BadConfig
from simulators.faults import KINDS, STANDARD, kinds_for
from simulators.fleet import Fleet
from simulators.options import CLOSING, Command, days_option, duration_option
from simulators.scenario import SCENARIOS
from simulators.staging import Staging, staged


class Machines(NamedTuple):
    """How many machines, how long and how often; None = the default of what is simulated."""

    pumps: int | None
    days: float | None
    interval_ms: int | None
    seed: int
    closing_ms: int


class Script(NamedTuple):
    """What is to go wrong in a fleet."""

    faults: int | None
    kinds: tuple[str, ...]


class Asked(NamedTuple):
    """Which scenario is wanted, and what of it is to be other than usual."""

    name: str | None
    size: float | None
    onset_ms: int | None
    duration_ms: int | None


def fleet_of(machines: Machines, script: Script) -> Fleet:
    """Return the fleet that was asked for.

    Raises:
        click.UsageError: readings would come too often or never.
    """
    usual = Fleet()
    days = usual.days if machines.days is None else machines.days
    step = usual.interval_ms if machines.interval_ms is None else machines.interval_ms
    if step < 1 or step > days * 86_400_000:
        raise click.UsageError("--interval must be at least 1ms and at most --days")
    kinds = script.kinds or kinds_for(3 if script.faults is None else script.faults)
    return Fleet(
        machines.pumps or usual.pumps, kinds, days, step, machines.seed, machines.closing_ms
    )


def staging_of(machines: Machines, asked: Asked) -> Staging:
    """Return the scenario that was asked for, set up.

    Raises:
        click.UsageError: it cannot be had like this.
    """
    assert asked.name is not None
    try:
        return staged(
            asked.name,
            seed=machines.seed,
            machines=machines.pumps or 1,
            days=machines.days,
            interval_ms=machines.interval_ms,
            size=asked.size,
            onset_ms=asked.onset_ms,
            duration_ms=asked.duration_ms,
            closing_ms=machines.closing_ms,
        )
    except BadConfig as error:
        raise click.UsageError(str(error)) from error


def one_of_both(script: Script, asked: Asked) -> bool:
    """Say whether a scenario was asked for.

    Raises:
        click.UsageError: options of a fleet and of a scenario are mixed.
    """
    if asked.name is not None:
        if script.kinds or script.faults is not None:
            raise click.UsageError(
                "--scenario says what happens; leave --fault and --faults away, or --scenario"
            )
        return True
    for option, value in zip(("--size", "--onset", "--duration"), asked[1:], strict=True):
        if value is not None:
            raise click.UsageError(f"{option} is of a scenario; add --scenario NAME")
    return False


def _name(text: str) -> str:
    if text not in SCENARIOS:
        near = nearest(text, list(SCENARIOS))
        raise click.BadParameter(f"no scenario {text!r}{near or '; see `simulate scenarios`'}")
    return text


NAMES = click.argument("names", nargs=-1, metavar="[SCENARIO]...", type=_name)


def machine_options(command: Command) -> Command:
    """Give a command the options of machines; it gets them as one `Machines`, ``machines``."""

    @functools.wraps(command)
    def wrapped(
        *,
        pumps: int | None,
        days: float | None,
        interval_ms: int | None,
        seed: int,
        closing_ms: int,
        **rest: Any,
    ) -> None:
        command(machines=Machines(pumps, days, interval_ms, seed, closing_ms), **rest)

    return _decorated(
        wrapped,
        click.option(
            "--pumps",
            type=click.IntRange(1, 9999),
            help="How many machines. Default: 20; 1 of a scenario.",
        ),
        days_option(
            help="Default: 30; until a while after the end of a scenario's fault.",
        ),
        duration_option(
            "--interval", "interval_ms", help="Between a machine's messages. Default: mostly 5m."
        ),
        click.option("--seed", type=int, default=7, show_default=True),
        CLOSING,
    )


def script_options(command: Command) -> Command:
    """Give a command the options of a fleet's faults; it gets them as one `Script`, ``script``."""

    @functools.wraps(command)
    def wrapped(*, faults: int | None, kinds: tuple[str, ...], **rest: Any) -> None:
        command(script=Script(faults, kinds), **rest)

    return _decorated(
        wrapped,
        click.option(
            "--faults",
            type=click.IntRange(0),
            show_default="3",
            help=f"How many pumps fail, by {', '.join(STANDARD)} in turn.",
        ),
        click.option(
            "--fault",
            "kinds",
            multiple=True,
            type=click.Choice(list(KINDS)),
            help="Script these faults instead, one pump each; may be repeated.",
        ),
    )


def scenario_options(*, required: bool) -> Callable[[Command], Command]:
    """Give a command the options of a scenario; it gets them as one `Asked`, ``asked``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(
            *,
            name: str | None,
            size: float | None,
            onset_ms: int | None,
            duration_ms: int | None,
            **rest: Any,
        ) -> None:
            command(asked=Asked(name, size, onset_ms, duration_ms), **rest)

        return _decorated(
            wrapped,
            click.option(
                "--scenario",
                "name",
                type=_name,
                required=required,
                metavar="NAME",
                help="What happens to each of the machines; `simulate scenarios` lists them.",
            ),
            click.option(
                "--size",
                type=float,
                metavar="SIGMA",
                help="Of the scenario's fault, in standard deviations of the healthy signal.",
            ),
            duration_option(
                "--onset",
                "onset_ms",
                help="When it sets in, after the start. Default: drawn by the seed.",
            ),
            duration_option("--duration", "duration_ms", help="From its onset to its end."),
        )

    return decorate


def _decorated(command: Command, *options: Any) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
