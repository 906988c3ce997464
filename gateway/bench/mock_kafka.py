"""librdkafka's mock Kafka cluster as a process of its own, where no real Kafka is at hand.

``python -m gateway.bench.mock_kafka TOPIC:PARTITIONS …`` prints its bootstrap servers and then
obeys lines on stdin, answering ``ok`` to each: ``down``, ``up``, ``rtt MS``, ``fail CODE COUNT``
(Produce requests answered with an error), ``fail CODE COUNT MS`` (each that much later),
``advertise PORT`` (where clients are told to connect). It ends with its stdin. Each partition keeps
only the last 5 MB or 100 000 messages, so read while writing.
"""

import ctypes
import sys
from pathlib import Path
from typing import Any

import confluent_kafka

_PRODUCER = 0
_BROKER = 1
_PRODUCE = 0  # the API key of Kafka's protocol
_ERROR_BYTES = 512


def _library() -> Any:
    """Load the librdkafka that came with the confluent-kafka wheel."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    lib = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    lib.rd_kafka_conf_set.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    return lib


class Cluster:
    """One broker in this process."""

    def __init__(self, topics: dict[str, int]) -> None:
        """Start it with topics and their partition counts.

        Raises:
            RuntimeError: librdkafka does not start.
        """
        self._lib = _library()
        error = ctypes.create_string_buffer(_ERROR_BYTES)
        conf = ctypes.c_void_p(self._lib.rd_kafka_conf_new())
        handle = self._lib.rd_kafka_new(_PRODUCER, conf, error, _ERROR_BYTES)
        if not handle:
            raise RuntimeError(error.value.decode())
        self._cluster = ctypes.c_void_p(
            self._lib.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), 1)
        )
        for topic, partitions in topics.items():
            self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)

    @property
    def bootstrap(self) -> str:
        """Return where to connect."""
        return str(self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def obey(self, line: str) -> None:
        """Carry out one command.

        Raises:
            ValueError: it is none.
        """
        match line.split():
            case ["down"]:
                self._lib.rd_kafka_mock_broker_set_down(self._cluster, _BROKER)
            case ["up"]:
                self._lib.rd_kafka_mock_broker_set_up(self._cluster, _BROKER)
            case ["rtt", ms]:
                self._lib.rd_kafka_mock_broker_set_rtt(self._cluster, _BROKER, int(ms))
            case ["advertise", port]:
                self._lib.rd_kafka_mock_broker_set_host_port(
                    self._cluster, _BROKER, b"127.0.0.1", int(port)
                )
            case ["fail", code, count, *later]:
                self._fail(int(code), int(count), int(later[0]) if later else 0)
            case _:
                raise ValueError(line)

    def _fail(self, code: int, count: int, later_ms: int) -> None:
        """Answer so many Produce requests so, each so much later."""
        # The broker's own list of errors: where there is one, the cluster's is not looked at.
        pairs = [ctypes.c_int(number) for number in (code, later_ms)] * count
        self._lib.rd_kafka_mock_broker_push_request_error_rtts(
            self._cluster, _BROKER, _PRODUCE, ctypes.c_size_t(count), *pairs
        )


def main() -> None:
    """Run the cluster until stdin ends."""
    pairs = (topic.rpartition(":") for topic in sys.argv[1:])
    cluster = Cluster({name: int(count) for name, _, count in pairs})
    print(cluster.bootstrap, flush=True)
    for line in sys.stdin:
        cluster.obey(line)
        print("ok", flush=True)


if __name__ == "__main__":
    main()
