"""Names of the Kafka topics and of what each carries."""

from typing import NamedTuple

from schemas.contracts import ContractName

DEFAULT_PREFIX = "tidegate."


class Topic(NamedTuple):
    """One topic without its prefix, the contract of its values, and its broker settings."""

    name: str
    contract: ContractName | None
    config: dict[str, str]


_DAY_MS = 24 * 3600 * 1000
# With the producer's times, retention deletes late and replayed readings on arrival.
_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
_COMPACTED = {"cleanup.policy": "compact"}

TOPICS: tuple[Topic, ...] = (
    Topic("readings", "reading", {**_APPEND_TIME, "retention.ms": str(7 * _DAY_MS)}),
    Topic("windows", "window_features", {**_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)}),
    Topic("alerts", "alert", {**_APPEND_TIME, "retention.ms": str(365 * _DAY_MS)}),
    Topic("dead-letters", "dead_letter", {**_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)}),
    Topic("late", "reading", {**_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)}),
    Topic("rules", "rule_set", {**_APPEND_TIME, **_COMPACTED}),
    Topic("devices", "device", _COMPACTED),
    Topic("alert-commands", "alert_command", {**_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)}),
    Topic("maintenance", "maintenance", {**_APPEND_TIME, "retention.ms": str(365 * _DAY_MS)}),
    Topic("gateways", None, _COMPACTED),
)


def subject(topic: str) -> str:
    """Return the registry subject of a topic's values."""
    return f"{topic}-value"
