"""How far a job has come: its source commits offsets with each completed checkpoint."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.failure import Unavailable

_TIMEOUT_S = 10.0


def committed(bootstrap: str, group: str, topic: str, partitions: list[int]) -> dict[int, int]:
    """Return the group's committed offset by partition, 0 where it has none.

    Raises:
        Unavailable: the brokers do not answer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    asked = ConsumerGroupTopicPartitions(
        group, [TopicPartition(topic, partition) for partition in partitions]
    )
    try:
        answer = admin.list_consumer_group_offsets([asked])[group].result(_TIMEOUT_S)
    except KafkaException as error:
        raise Unavailable(f"Kafka at {bootstrap} does not answer: {error.args[0].str()}") from error
    return {each.partition: max(each.offset, 0) for each in answer.topic_partitions}
