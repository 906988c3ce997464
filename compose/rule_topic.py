"""The topic of rule sets: what was pushed, what of it counts, and one set more.

All sets are in partition 0, in one order. A key names version, time and text, so compaction keeps
every set, and whoever reads the topic later comes to the same view as who read it then.
"""

import time
from typing import NamedTuple

from compose import sending
from compose.local.endpoints import Endpoints
from gateway.follow import decoder, follow
from schemas.failure import Failure
from schemas.records import RuleSet
from simulators.clock import stamp
from stream.rule_sets import Dated, Refused, admitted, in_turn, text_digest

_PARTITION = 0
_KEPT_MS = 90 * 86_400_000
"""A set that holds no more is kept this long for devices that were offline meanwhile."""


class Pushed(NamedTuple):
    """A set on the topic; ``refused`` says why no worker takes it."""

    given: RuleSet
    key: bytes
    at: int
    dated: Dated | None
    refused: str = ""


def pushed(endpoints: Endpoints, prefix: str, panes: str = "*=1000") -> list[Pushed]:
    """Return all sets on the topic, in its order.

    Args:
        endpoints: where Kafka and the registry are.
        prefix: the topics'.
        panes: the job's, as in :func:`stream.rule_sets.admitted`; those that fit any rules unless
            said.

    Raises:
        Unavailable: the brokers do not answer.
        Failure: the topic does not exist.
        RegistryDown: nothing can be decoded.
    """
    decoded = decoder(RuleSet, endpoints.registry_url)
    found: dict[bytes, tuple[RuleSet, int]] = {}
    topic = f"{prefix}rules"
    for batch in follow(endpoints.kafka_bootstrap, topic, until_end=True):
        for message in batch:
            key, value = message.key() or b"", message.value()
            if value is None:
                found.pop(key, None)
                continue
            try:
                found[key] = decoded(value), message.timestamp()[1]
            except ValueError:
                continue  # no set of any release: the job tells it as a dead letter
    return _judged(found, panes)


def _judged(found: dict[bytes, tuple[RuleSet, int]], panes: str) -> list[Pushed]:
    newest, judged = 0, []
    for key, (given, at) in found.items():
        try:
            judged.append(Pushed(given, key, at, admitted(given, at, newest, panes)))
        except Refused as error:
            judged.append(Pushed(given, key, at, None, str(error)))
        newest = max(newest, given.version)
    return judged


def newest_version(endpoints: Endpoints, prefix: str) -> int:
    """Return the highest version on the topic, 0 if there is none. Raises as :func:`pushed`."""
    return max((each.given.version for each in pushed(endpoints, prefix)), default=0)


def publish(endpoints: Endpoints, prefix: str, text: str, version: int, from_ms: int) -> None:
    """Put a set on the topic, and take off it those that nobody needs any more.

    Raises:
        Failure: it came too late, or somebody else has pushed that version meanwhile.
        Unavailable: Kafka does not answer.
        RegistryDown: the registry does not.
    """
    topic, digest = f"{prefix}rules", text_digest(text)
    given = RuleSet(version=version, effective_from=from_ms, sha256=digest, text=text)
    key = f"{version}|{from_ms}|{digest[:16]}".encode()
    (at,) = sending.publish(endpoints, topic, [(key, given)], _PARTITION)
    if at >= from_ms:
        raise Failure(
            f"version {version} reached the topic at {stamp(at)}, not before {stamp(from_ms)}: no "
            "job takes it. Push again with a later --effective-from"
        )
    sets = pushed(endpoints, prefix)
    if next(each.key for each in sets if each.given.version == version) != key:
        raise Failure(
            f"somebody else has pushed version {version} at the same time: no job takes this one. "
            "See what it is with `tidegate rules show`, and push again"
        )
    gone = [(old, None) for old in _superseded(sets)]
    sending.send(endpoints.kafka_bootstrap, topic, gone, _PARTITION)


def _superseded(sets: list[Pushed]) -> list[bytes]:
    """Return the keys of sets that hold no more since longer than devices stay away."""
    long_ago = time.time_ns() // 1_000_000 - _KEPT_MS
    turns = in_turn(each.dated for each in sets if each.dated is not None)
    needed = {
        one.version
        for index, one in enumerate(turns)
        if index + 1 == len(turns) or turns[index + 1].from_ms > long_ago
    }
    return [each.key for each in sets if each.at < long_ago and each.given.version not in needed]
