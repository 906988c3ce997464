"""Kafka's key hash, to say where a key's records go without asking Kafka."""

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the hash that Java's default partitioner and librdkafka's ``murmur2`` use.

    32 bits; org.apache.kafka.common.utils.Utils.murmur2.
    """
    h = _SEED ^ len(data)
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if data[whole:]:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic of so many."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
