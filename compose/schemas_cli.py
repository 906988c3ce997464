"""`tidegate schemas`: the contracts in the registry."""

import click

from compose.options import prefix_option
from schemas.contracts import CONTRACTS, contract_text
from schemas.failure import Failure
from schemas.registry import Registry, RegistryRefused
from schemas.topics import DEFAULT_PREFIX, TOPICS, subject


def _is_url(_context: click.Context, _option: click.Parameter, url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r} is no URL; expected http://HOST:PORT/PATH")
    return url


_registry = click.option(
    "--registry",
    "url",
    callback=_is_url,
    default="http://127.0.0.1:8080/apis/ccompat/v7",
    show_default=True,
    help="Base URL of the Confluent API.",
)


@click.group()
def schemas() -> None:
    """Register and check the Avro contracts."""


@schemas.command()
@_registry
@prefix_option
def register(url: str, prefix: str) -> None:
    """Register every topic's contract.

    The registry refuses incompatible ones from then on.
    """
    for name, schema_id in register_contracts(url, prefix).items():
        click.echo(f"{name}: {schema_id}")


@schemas.command()
@_registry
@prefix_option
def check(url: str, prefix: str) -> None:
    """Ask the registry whether the contracts fit what it has.

    They fit when they may follow what is registered.
    """
    bad = []
    registry = Registry(url)
    for topic in TOPICS:
        if topic.contract is None:
            continue
        name = subject(prefix + topic.name)
        complaints = registry.complaints(name, contract_text(topic.contract))
        click.echo(f"{name}: {'compatible' if not complaints else '; '.join(complaints)}")
        bad += complaints
    if bad:
        raise Failure("the registry would refuse these contracts; give new fields a default")


@schemas.command()
@click.argument("name", type=click.Choice(CONTRACTS))
def show(name: str) -> None:
    """Print a contract as it is registered."""
    click.echo(contract_text(next(contract for contract in CONTRACTS if contract == name)))


def register_contracts(url: str, prefix: str = DEFAULT_PREFIX) -> dict[str, int]:
    """Register every topic's contract under its subject; return the ids by subject.

    Raises:
        RegistryDown: it does not answer.
        Failure: a contract is incompatible with what is registered.
    """
    registry = Registry(url)
    ids = {}
    for topic in TOPICS:
        if topic.contract is None:
            continue
        name = subject(prefix + topic.name)
        try:
            ids[name] = registry.register(name, contract_text(topic.contract))
        except RegistryRefused as error:
            raise Failure(f"{name}: {error}; `tidegate schemas check` shows why") from error
        registry.require_backward(name)
    return ids
