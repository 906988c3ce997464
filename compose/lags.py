"""How far jobs are behind: records not read yet by partition, and the age of what came out."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from compose.consumed import committed
from gateway.follow import decoder, ends, follow, near_ends
from schemas.failure import Unavailable
from schemas.records import WindowFeatures

_TIMEOUT_S = 10.0
_TAIL = 5000
"""Window rows looked at in each partition: a site with none among them goes unsaid."""


class Lag(NamedTuple):
    """One partition: the next offset to be read, the one that its next record gets.

    ``behind`` is the difference; a transaction's marker counts as a record.
    """

    topic: str
    partition: int
    position: int
    end: int

    @property
    def behind(self) -> int:
        """Return how many offsets are still to be read."""
        return max(0, self.end - self.position)


def lags(
    bootstrap: str,
    group: str,
    positions: Mapping[str, Mapping[int, int]],
    topics: Sequence[str] = (),
) -> list[Lag]:
    """Return how far a job is behind on the topics it reads.

    Args:
        bootstrap: the brokers.
        group: under whose name it commits; what it committed counts where a position is missing.
        positions: its next offsets by topic and partition, topics as Flink's metrics spell them.
        topics: what it is known to read, whether or not it has read anything of them.

    Raises:
        Unavailable: the brokers do not answer.
    """
    spelt = {_as_metric(topic): topic for topic in _existing(bootstrap)}
    read = {spelt[name]: of for name, of in positions.items() if name in spelt}
    wanted = {*read, *topics} & set(spelt.values())
    return [each for topic in sorted(wanted) for each in _of(bootstrap, group, topic, read)]


def _of(
    bootstrap: str, group: str, topic: str, positions: Mapping[str, Mapping[int, int]]
) -> list[Lag]:
    end = ends(bootstrap, topic)
    known = dict(positions.get(topic, {}))
    if missing := sorted(set(end) - set(known)):
        known |= committed(bootstrap, group, topic, missing)
    return [Lag(topic, each, known[each], end[each]) for each in sorted(end)]


def _as_metric(topic: str) -> str:
    """Return a topic as metrics spell it; Kafka lets no two topics become one by that."""
    return re.sub(r"[ .:,]", "_", topic)


def _existing(bootstrap: str) -> list[str]:
    try:
        found = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(
            timeout=_TIMEOUT_S
        )
    except KafkaException as error:
        raise Unavailable(f"Kafka at {bootstrap} does not answer: {error.args[0].str()}") from error
    return list(found.topics)


def newest_windows(bootstrap: str, registry_url: str, topic: str) -> dict[str, int]:
    """Return the newest window end (epoch ms) of each site, from the topic's last records.

    Raises:
        Unavailable: the brokers do not answer.
        Failure: the topic does not exist.
        RegistryDown: nothing can be decoded.
    """
    decoded = decoder(WindowFeatures, registry_url)
    newest: dict[str, int] = {}
    start = near_ends(bootstrap, topic, _TAIL)
    for batch in follow(bootstrap, topic, start=start, until_end=True, batch=_TAIL):
        for message in batch:
            row = decoded(message.value())
            newest[row.site] = max(newest.get(row.site, row.window_end), row.window_end)
    return dict(sorted(newest.items()))
