"""`tidegate alerts list|ack|shelve|unshelve|reset`: what people say about alerts that stand."""

import getpass
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from compose.alert_records import alert_records, data_option
from compose.listing import aligned
from compose.local.endpoints import Endpoints, read
from compose.options import Duration, prefix_option, state_option
from compose.sending import publish
from gateway.follow import decoder, follow
from schemas.amounts import told_at, told_ms
from schemas.failure import Failure, RetryLater
from schemas.records import Alert, AlertCommand, Command
from stream.alert_record import shelved
from stream.alert_story import records_of
from stream.lifecycle import ORDER

SHELVED_AT_MOST_MS = 12 * 3_600_000
"""ISA-18.2 wants a bound: an alarm that is put away for ever is one that nobody has."""

_DONE = {"ACK": "ACKED", "SHELVE": "SHELVED", "UNSHELVE": "RENOTIFY", "RESET": "RESOLVED"}
"""The event of the record that says a command is done."""

_by = click.option(
    "--by", default=getpass.getuser, show_default="who you are here", help="Who says so."
)
_note = click.option("--note", default="", help="Why; kept with the command.")
_wait = click.option(
    "--wait",
    "wait_ms",
    type=Duration(),
    help="Wait so long for the record that says it is done; 75 if none comes.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


class Asked(NamedTuple):
    """What every one of the commands is told."""

    alert_id: str
    by: str
    note: str
    wait_ms: int | None
    as_json: bool
    prefix: str
    state: Path


def _command(name: str, *more: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Any]:
    """Return what makes a click command of a function: the argument and options all have."""

    def made(function: Callable[..., None]) -> Any:
        found: Any = function
        arguments = click.argument("alert_id")
        for each in (state_option, prefix_option, _json, _wait, _note, _by, *more, arguments):
            found = each(found)
        return click.command(name)(found)

    return made


@_command("ack")
def ack(**asked: Any) -> None:
    """Acknowledge an alert: somebody knows of it and sees to it.

    ALERT_ID may be its first six characters. It is told anew, and is to be acknowledged anew, when
    it gets worse, when its rule's `realarm_after` has passed, and when its time on a shelf is over.
    """
    _say(Asked(**asked), "ACK", _already_acked)


@_command(
    "shelve",
    click.option("--for", "for_ms", type=Duration(), required=True, help="At most 12h."),
)
def shelve(for_ms: int, **asked: Any) -> None:
    """Put an alert away for a while; it goes on.

    Its records say that nobody wants them. ALERT_ID may be its first six characters. While it is
    shelved it is not told again; when the time is over and it still stands, it is.
    """
    if for_ms == 0:
        raise click.BadParameter("say how long, such as 2h", param_hint="--for")
    if for_ms > SHELVED_AT_MOST_MS:
        raise click.BadParameter(
            f"{told_ms(for_ms)}: an alert can be shelved for 12h at most, and then again; what is "
            "planned for longer belongs into `suppress` of the rules",
            param_hint="--for",
        )
    _say(Asked(**asked), "SHELVE", lambda _last: "", until=_now_ms() + for_ms)


@_command("unshelve")
def unshelve(**asked: Any) -> None:
    """Take an alert from the shelf before its time is over.

    It is told again.
    """
    _say(Asked(**asked), "UNSHELVE", _not_shelved)


@_command("reset")
def reset(**asked: Any) -> None:
    """End an alert that latches, once its cause is mended.

    One whose condition still holds cannot be reset.
    """
    _say(Asked(**asked), "RESET", _not_latched)


@click.command("list")
@data_option
@click.option("--site", help="Only this site.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@prefix_option
@state_option
def list_(data: Path | None, site: str | None, prefix: str, state: Path, *, as_json: bool) -> None:
    """List the alerts that stand, the worst first.

    Of each that is not resolved it is the newest record.
    """
    found = [
        each for each in standing(alert_records(data, prefix, state)) if site in (None, each.site)
    ]
    if as_json:
        for each in found:
            click.echo(msgspec.json.encode(each))
        return
    now_ms = _now_ms()
    head = ("ALERT", "SEVERITY", "STATE", "SINCE (UTC)", "DEVICE", "METRIC", "RULE", "OPERATOR")
    rows = [
        (
            each.alert_id[:8], each.severity, each.state, told_at(each.starts_at), each.device_id,
            each.metric, each.rule, _operator(each, now_ms),
        )
        for each in found
    ]  # fmt: skip
    for line in aligned(head, rows):
        click.echo(line)


def standing(records: Iterable[Alert]) -> list[Alert]:
    """Return the newest record of each alert that is not resolved, the worst first."""
    newest: dict[str, Alert] = {}
    for each in records:
        known = newest.get(each.alert_id)
        if known is None or each.seq >= known.seq:
            newest[each.alert_id] = each
    open_ = [each for each in newest.values() if each.state != "RESOLVED"]
    return sorted(
        open_, key=lambda each: (-ORDER.index(each.severity), each.starts_at, each.fingerprint)
    )


def _operator(alert: Alert, now_ms: int) -> str:
    found = []
    if alert.acked_at is not None:
        found.append(f"acknowledged by {alert.acked_by}")
    if until := shelved(alert, now_ms):
        found.append(f"shelved until {told_at(until)}")
    return ", ".join(found) or "-"


def _already_acked(last: Alert) -> str:
    if last.acked_at is None:
        return ""
    return f"{last.acked_by} has acknowledged it at {told_at(last.acked_at)}"


def _not_shelved(last: Alert) -> str:
    return "" if shelved(last, _now_ms()) else "it is on no shelf"


def _not_latched(last: Alert) -> str:
    if last.state == "LATCHED":
        return ""
    return (
        f"it is {last.state} and not LATCHED: it ends by itself once its condition has passed, or "
        "can be reset then"
    )


def _say(
    asked: Asked, command: Command, refused: Callable[[Alert], str], until: int | None = None
) -> None:
    endpoints = read(asked.state)
    last = _last(asked)
    if why := refused(last):
        raise Failure(f"{asked.alert_id}: {why}")
    given = AlertCommand(
        command=command, alert_id=last.alert_id, fingerprint=last.fingerprint, at=_now_ms(),
        by=asked.by, until=until, note=asked.note,
    )  # fmt: skip
    publish(endpoints, f"{asked.prefix}alert-commands", [(given.fingerprint.encode(), given)])
    done = None if asked.wait_ms is None else _await(endpoints, asked, last, _DONE[command])
    if asked.as_json:
        click.echo(msgspec.json.encode({"command": given, "record": done}))
        return
    what = f"{last.rule} on {last.device_id} {last.metric}"
    click.echo(
        f"{command} of {what}: "
        + ("sent; done with the device's next pane" if done is None else f"done, {done.event}")
    )


def _last(asked: Asked) -> Alert:
    """Return the newest record of the alert that is meant."""
    own = records_of(alert_records(None, asked.prefix, asked.state), asked.alert_id)
    last = max(own, key=lambda each: each.seq)
    if last.state == "RESOLVED":
        when = told_at(last.ends_at or last.emitted_at)
        raise Failure(
            f"{asked.alert_id}: over since {when}; `tidegate alerts list` has those that stand"
        )
    return last


def _await(endpoints: Endpoints, asked: Asked, last: Alert, event: str) -> Alert:
    decoded = decoder(Alert, endpoints.registry_url)
    until = time.monotonic() + (asked.wait_ms or 0) / 1000
    for batch in follow(endpoints.kafka_bootstrap, f"{asked.prefix}alerts"):
        for each in map(decoded, (message.value() for message in batch)):
            if each.alert_id == last.alert_id and each.seq > last.seq and each.event == event:
                return each
        if time.monotonic() > until:
            break
    raise RetryLater(
        f"{asked.alert_id}: sent, not done within {told_ms(asked.wait_ms or 0)}: its device has "
        "given no pane since, or the alerts job does not run; see `tidegate jobs status`"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
