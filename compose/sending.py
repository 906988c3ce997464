"""A few records to a topic, each waited for: what a person pushes."""

from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from compose.local.endpoints import Endpoints
from gateway.kafka import settings
from schemas.codec import CONTRACT_OF, Record, encode
from schemas.contracts import contract_text
from schemas.failure import Unavailable
from schemas.registry import Registry
from schemas.topics import subject

_TIMEOUT_S = 30.0
_ANY = -1


def publish(
    endpoints: Endpoints, topic: str, keyed: Sequence[tuple[bytes, Record]], partition: int = _ANY
) -> list[int]:
    """Register the contract of records of one kind and send them, as :func:`send` does.

    Raises:
        Unavailable: as :func:`send`.
        RegistryDown: nothing can be encoded.
    """
    (kind,) = {type(record) for _key, record in keyed}
    contract = contract_text(CONTRACT_OF[kind])
    schema_id = Registry(endpoints.registry_url).register(subject(topic), contract)
    records = ((key, encode(record, schema_id)) for key, record in keyed)
    return send(endpoints.kafka_bootstrap, topic, records, partition)


def send(
    bootstrap: str,
    topic: str,
    records: Iterable[tuple[bytes, bytes | None]],
    partition: int = _ANY,
) -> list[int]:
    """Send keys and values; return the times that the broker gave them, ms.

    Raises:
        Unavailable: the brokers do not answer, or do not take one of them.
    """
    own = {"message.timeout.ms": round(_TIMEOUT_S * 1000), "statistics.interval.ms": 0}
    producer = Producer(settings(bootstrap, {**own, "log_level": 0}))
    times: list[int] = []
    refusals: list[str] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            times.append(message.timestamp()[1])
        else:
            refusals.append(error.str())

    count = 0
    for key, value in records:
        count += 1
        while True:
            try:
                producer.produce(topic, value, key, partition=partition, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                raise Unavailable(f"Kafka at {bootstrap}: {error.args[0].str()}") from error
    producer.flush(_TIMEOUT_S + 5)
    if refusals or len(times) < count:
        why = refusals[0] if refusals else "it does not answer"
        raise Unavailable(
            f"Kafka at {bootstrap}: {topic}: {why}; {len(times)} of {count} records were taken"
        )
    return times
