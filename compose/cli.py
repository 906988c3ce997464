"""The command `tidegate`: groups are imported when they are called, never before.

An edge device has neither Flink nor Arrow, and `tidegate gateway run` must not ask for them.
"""

import importlib
import sys
from typing import NamedTuple, NoReturn

import click

from schemas.failure import Failure
from schemas.registry import RegistryDown, RegistryRefused

_DEBUG = "--debug"


class _Lazy(NamedTuple):
    """Where a command lives, the line it has in --help, and the extra that it needs."""

    target: str
    summary: str
    extra: str | None = None


COMMANDS: dict[str, _Lazy] = {
    "gateway": _Lazy("gateway.cli:gateway", "The edge daemon: MQTT to Kafka, nothing lost."),
    "simulate": _Lazy("simulators.cli:simulate", "Stand in for sensors: replay series, run pumps."),
    "topics": _Lazy("compose.topics:topics", "Create and show the Kafka topics."),
    "schemas": _Lazy("compose.schemas_cli:schemas", "Register and check the Avro contracts."),
    "jobs": _Lazy("compose.jobs_cli:jobs", "Submit and watch the Flink jobs.", "stream"),
    "rules": _Lazy("compose.rules_cli:rules", "Check, try and push rules.", "stream"),
    "lake": _Lazy("compose.lake_cli:lake", "Query and compact the Parquet lake.", "stream"),
    "sinks": _Lazy("compose.sinks_cli:sinks", "Set up the databases behind the topics.", "stream"),
    "fleet": _Lazy("compose.fleet_cli:fleet", "Say what the devices are.", "stream"),
    "maintenance": _Lazy(
        "compose.maintenance_cli:maintenance",
        "Say what was done, and which alerts were worth it.",
        "stream",
    ),
    "alerts": _Lazy("compose.alerts_cli:alerts", "Follow the alerts topic."),
    "local": _Lazy("compose.local.cli:local", "The whole stack on this machine.", "local"),
    "demo": _Lazy("compose.demo_cli:demo", "From a sensor to an alert, on real servers.", "local"),
    "bench": _Lazy("compose.bench_cli:bench", "Measure the hot paths.", "local"),
}


class _Root(click.Group):
    """A group whose commands are known by name and imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.target.partition(":")
        try:
            command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as missing:
            if lazy.extra is None or (missing.name or "").startswith(module.split(".")[0]):
                raise
            raise click.ClickException(
                f"`{cmd_name}` needs {missing.name}, which is not installed here; "
                f"install it with: pip install 'tidegate[{lazy.extra}]'"
            ) from missing
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate", prog_name="tidegate")
@click.option(_DEBUG, is_flag=True, help="Show the traceback of an error.")
def cli(*, debug: bool) -> None:
    """Carry sensor readings from MQTT to Kafka and say which machine will fail."""
    del debug  # main() looks at it: the error passes through here only as an exception


def main() -> NoReturn:
    """Run the command line; errors meant for a person become one message and an exit code."""
    debug = _DEBUG in sys.argv
    try:
        cli()
    except (Failure, RegistryDown, RegistryRefused) as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(69 if isinstance(error, RegistryDown) else getattr(error, "exit_code", 1))
    sys.exit(0)


if __name__ == "__main__":
    main()
