"""Kafka and the registry, read only: nothing is written, created or consumed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # public, and not in its __all__
    AclOperation,
    AdminClient,
    ConfigResource,
    ResourceType,
)

from gateway import sections
from gateway.kafka import DEFAULTS
from gateway.online.finding import Finding
from gateway.sections import Config
from schemas.contracts import ContractName, contract_text
from schemas.registry import Registry, RegistryDown, RegistryRefused
from schemas.topics import subject

_ANSWER_S = 10.0
# What Avro and Kafka put around a payload.
_AROUND = 4096
_NAMES: tuple[tuple[str, ContractName], ...] = (
    ("readings", "reading"),
    ("dead-letters", "dead_letter"),
)


def check_kafka(config: Config) -> Iterator[Finding]:
    """Return what the brokers say of the two topics the gateway writes."""
    security = sections.security_settings(config.kafka)
    servers = config.kafka.bootstrap_servers
    try:
        admin = AdminClient({**security, "bootstrap.servers": servers, "log_level": 0})
        known = admin.list_topics(timeout=_ANSWER_S).topics
    except KafkaException as error:
        told = f"{servers}: {error.args[0].str()}"
        yield Finding("fail", "kafka", told, "address, security.protocol and login?")
        return
    yield Finding("ok", "kafka", f"{servers} answers")
    for name, _ in _NAMES:
        topic = f"{config.kafka.topic_prefix}{name}"
        if topic not in known:
            cure = f"tidegate topics apply --prefix {config.kafka.topic_prefix}"
            yield Finding("fail", topic, "there is no such topic, or no right to see it", cure)
            continue
        yield Finding("ok", topic, f"{len(known[topic].partitions)} partitions")
        yield from _topic(admin, topic, config, is_readings=name == "readings")
        yield from _rights(admin, topic)


def _topic(
    admin: AdminClient, topic: str, config: Config, *, is_readings: bool
) -> Iterator[Finding]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    try:
        (future,) = admin.describe_configs([resource], request_timeout=_ANSWER_S).values()
        entries = {name: entry.value for name, entry in future.result().items()}
    except KafkaException as error:
        yield Finding("unseen", topic, f"its settings: {error.args[0].str()}")
        return
    yield from settings(topic, entries, sizes(config), is_readings=is_readings)


class Sizes(NamedTuple):
    """The largest payload that becomes a record, and the largest batch of records, in bytes."""

    payload: int
    batch: int


def sizes(config: Config) -> Sizes:
    """Return what the gateway will send at the most."""
    batch = config.kafka.librdkafka.get("batch.size", DEFAULTS["batch.size"])
    return Sizes(int(config.limits.payload), int(batch))


def settings(
    topic: str, entries: dict[str, Any], sent: Sizes, *, is_readings: bool
) -> Iterator[Finding]:
    """Judge a topic's settings."""
    stamp = entries.get("message.timestamp.type")
    if is_readings and stamp != "LogAppendTime":
        cure = "set message.timestamp.type=LogAppendTime: retention deletes old readings on arrival"
        yield Finding("warn", topic, f"message.timestamp.type is {stamp}", cure)
    largest = int(entries.get("max.message.bytes") or 0)
    if largest and largest < sent.payload + _AROUND:
        cure = f"raise it above {sent.payload + _AROUND}, or lower limits.payload"
        yield Finding("warn", topic, f"max.message.bytes is {largest}", cure)
    if largest and largest < sent.batch:
        # It holds for a batch. One that is refused is sent again in parts, behind its successors.
        told = f"max.message.bytes is {largest}, below batches of {sent.batch}: out of order"
        cure = f'raise it, or set kafka.librdkafka "batch.size" = {largest}'
        yield Finding("warn", topic, told, cure)
    if int(entries.get("min.insync.replicas") or 1) < 2:
        cure = "with 1 a broker's death can lose what it acknowledged; 2 of 3 replicas is usual"
        yield Finding("warn", topic, "min.insync.replicas is 1", cure)


def _rights(admin: AdminClient, topic: str) -> Iterator[Finding]:
    topics = TopicCollection([topic])
    try:
        (future,) = admin.describe_topics(
            topics, include_authorized_operations=True, request_timeout=_ANSWER_S
        ).values()
        allowed = future.result().authorized_operations
    except KafkaException as error:
        yield Finding("unseen", topic, f"rights: {error.args[0].str()}")
        return
    if allowed and AclOperation.WRITE not in allowed:
        cure = "allow WRITE and DESCRIBE on it to this gateway's user"
        yield Finding("fail", topic, "this login may not write to it", cure)


def check_registry(config: Config, registry: Registry) -> Iterator[Finding]:
    """Return whether the registry has the gateway's contracts, or would take them."""
    for name, contract in _NAMES:
        about = subject(f"{config.kafka.topic_prefix}{name}")
        text = contract_text(contract)
        try:
            schema_id = registry.find(about, text)
            refused = [] if schema_id is not None else registry.complaints(about, text)
        except RegistryDown as error:
            yield Finding("fail", "registry", str(error), "address, login, certificate?")
            return
        except RegistryRefused as error:
            yield Finding("fail", about, str(error), "may this login read the subject?")
            continue
        if refused:
            cure = "another program registers it in another shape; tidegate schemas check"
            yield Finding("fail", about, "; ".join(refused)[:200], cure)
        elif schema_id is None:
            yield Finding("ok", about, "not registered yet; the gateway will")
        else:
            yield Finding("ok", about, f"id {schema_id}")
