"""Alerts that Kafka gave up: written, and in a transaction that was not committed in time.

A checkpoint of the alerts job ends its transaction and, once it is complete, commits it. A job
that goes down in between and stays down for longer than the transaction's timeout finds it aborted,
and goes on behind it: its state has the alerts, no reader of committed records has them. They are
on the topic for all that, so what is missing can be named.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.starting import Choice
from gateway.follow import decoder, follow
from schemas.failure import Failure
from schemas.records import Alert
from schemas.registry import RegistryDown
from schemas.topics import DEFAULT_PREFIX
from simulators.clock import iso
from stream.jobs.checkpoints import written_at_ms

_MINUTE_MS = 60_000
_SHOWN = 3


class Written(NamedTuple):
    """An alert's record, its partition and offset, and when the broker had it (epoch ms)."""

    place: tuple[int, int]
    at_ms: int
    alert: Alert


def lost_with(endpoints: Endpoints, choice: Choice, uri: str) -> str | None:
    """Return what is to be said before a job goes on from a snapshot; None if nothing is missing.

    Args:
        endpoints: the stack's.
        choice: what the job whose snapshot it is was submitted with.
        uri: the snapshot's; one on another store than the lake's is not looked at.
    """
    if choice.job != "alerts" or not uri.startswith("s3://"):
        return None
    at_ms = written_at_ms(lake_of(endpoints).files, uri)
    # The transaction was begun up to an interval before.
    kept_ms = choice.transaction_timeout_ms - choice.checkpoint_interval_ms
    if at_ms is None or time.time_ns() // 1_000_000 - at_ms < kept_ms:
        return None
    return said(endpoints, choice.prefix, at_ms)


def said(endpoints: Endpoints, prefix: str, upto_ms: int) -> str | None:
    """Return what is missing of what was written up to a time (epoch ms); None if nothing is."""
    try:
        lost = given_up(endpoints, prefix, upto_ms)
    except (Failure, RegistryDown) as error:
        return f"whether alerts are missing on {prefix}alerts cannot be seen: {error}"
    return told(lost, prefix) if lost else None


def given_up(endpoints: Endpoints, prefix: str, upto_ms: int) -> list[Alert]:
    """Return the newest records of alerts that are missing; see :func:`missing`.

    The whole topic is read, twice.

    Raises:
        Unavailable, RegistryDown: Kafka or the registry does not answer.
        Failure: there is no such topic.
    """
    # What is committed between the two readings is not missing.
    written = list(_written(endpoints, prefix, committed_only=False))
    committed = {each.place for each in _written(endpoints, prefix, committed_only=True)}
    return missing(written, committed, upto_ms)


def _written(endpoints: Endpoints, prefix: str, *, committed_only: bool) -> Iterator[Written]:
    decoded = decoder(Alert, endpoints.registry_url)
    topic = f"{prefix}alerts"
    for batch in follow(
        endpoints.kafka_bootstrap, topic, until_end=True, committed_only=committed_only
    ):
        for message in batch:
            place = message.partition() or 0, message.offset() or 0
            yield Written(place, message.timestamp()[1], decoded(message.value()))


def missing(
    written: Iterable[Written], committed: Collection[tuple[int, int]], upto_ms: int
) -> list[Alert]:
    """Return of each alert that is not known as it stands the newest record, by time of the window.

    A record is not missing if the job has committed the same in a later attempt, or a later one of
    that alert.

    Args:
        written: all records, committed or not, in the order of each partition.
        committed: the places of those that are.
        upto_ms: what the broker had later may still be committed.
    """
    known: set[tuple[str, int, str]] = set()
    newest: dict[str, int] = {}
    pending: list[Written] = []
    for each in written:
        if each.place in committed:
            known.add(_identity(each.alert))
            newest[each.alert.alert_id] = max(each.at_ms, newest.get(each.alert.alert_id, 0))
        elif each.at_ms <= upto_ms:
            pending.append(each)
    found = {
        each.alert.alert_id: each.alert
        for each in pending
        if _identity(each.alert) not in known and newest.get(each.alert.alert_id, 0) < each.at_ms
    }
    return sorted(found.values(), key=lambda alert: (alert.window_end, alert.device_id))


def _identity(alert: Alert) -> tuple[str, int, str]:
    return alert.alert_id, alert.seq, alert.event


def repair(lost: Collection[Alert], prefix: str) -> str:
    """Return the command that sends what is missing of these alerts."""
    first = min(each.window_start for each in lost) // _MINUTE_MS * _MINUTE_MS
    last = -(-max(each.window_end for each in lost) // _MINUTE_MS) * _MINUTE_MS
    on = "" if prefix == DEFAULT_PREFIX else f" --prefix={prefix}"
    return f"tidegate jobs backfill{on} --from={iso(first)} --to={iso(last)}"


def told(lost: Collection[Alert], prefix: str) -> str:
    """Return in one line which alerts are missing, and what sends them."""
    named = [
        f"{each.device_id} {each.rule} {each.severity} {each.event} at {iso(each.window_end)}"
        for each in list(lost)[:_SHOWN]
    ]
    more = len(lost) - len(named)
    if more:
        named.append(f"{more} more")
    count = "1 alert" if len(lost) == 1 else f"{len(lost)} alerts"
    return (
        f"{count} missing on {prefix}alerts, for Kafka gave up their transaction before the job "
        f"came to commit it: {'; '.join(named)}. Once the job has caught up, this "
        f"sends them: {repair(lost, prefix)}"
    )
