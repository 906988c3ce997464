"""A JobManager's REST answers, written by hand, as few of their fields as are read."""

from typing import Any

from stream.jobs import cluster, health

NOW = 1_700_000_100_000
SOURCE, DECIDE = "a" * 32, "b" * 32
NONE = str(-(2**63))
READER = "Source__KafkaSource-x_readings.KafkaSourceReader.topic.plant_readings.partition"


def _sums(values: dict[str, float]) -> list[dict[str, Any]]:
    return [{"id": name, "max": value, "sum": value} for name, value in values.items()]


def backpressure(*subtasks: tuple[float, float]) -> dict[str, Any]:
    return {"subtasks": [{"ratio": held, "busyRatio": busy} for held, busy in subtasks]}


def failure(cause: str, *, at: int = NOW, task: str | None = "decide -> x") -> dict[str, Any]:
    return {"timestamp": at, "taskName": task, "exceptionName": "E", "stacktrace": cause}


class Rest:
    """Answers by path; a test changes what it is about."""

    def __init__(self) -> None:
        self.away = False
        self.answers: dict[str, Any] = {
            "/jobs/j": {
                "state": "RUNNING",
                "now": NOW,
                "maxParallelism": 720,
                "vertices": [
                    self._vertex(
                        SOURCE,
                        "Source: KafkaSource-default_catalog.default_database.readings -> Calc[5]",
                    ),
                    self._vertex(
                        DECIDE,
                        "decide -> (Calc[13] -> alerts[14]: Writer -> alerts[14]: Committer)",
                    ),
                ],
                "plan": {"nodes": [{"id": DECIDE, "inputs": [{"id": SOURCE}]}, {"id": SOURCE}]},
            },
            "/jobs/j/metrics?get=numRestarts,uptime": [
                {"id": "numRestarts", "value": "3"},
                {"id": "uptime", "value": "60000"},
            ],
            "/jobs/j/checkpoints/config": {"interval": 10_000},
            "/jobs/j/checkpoints": {
                "counts": {"completed": 7},
                "latest": {"completed": self.checkpoint(7, "COMPLETED", NOW - 4000)},
                "history": [self.checkpoint(7, "COMPLETED", NOW - 4000)],
            },
            "/jobs/j/exceptions?maxExceptions=20": {"exceptionHistory": {"entries": []}},
        }
        self.metrics = {
            SOURCE: {
                f"{READER}.0.currentOffset": 41.0,
                f"{READER}.1.currentOffset": -1.0,
                "Source__KafkaSource-x_readings.numRecordsInPerSecond": 12.5,
                "Calc[5].numRecordsInPerSecond": 99.0,
            },
            DECIDE: {
                "alerts[14]__Writer.numRecordsInPerSecond": 0.5,
                "alerts[14]__Committer.failedCommittables": 0.0,
                "end__Writer.numRecordsInPerSecond": 77.0,
                "decide.site.plant-2.newest_pane_end": float(NOW - 30_000),
            },
        }  # fmt: skip
        self.watermarks = {SOURCE: [], DECIDE: [NONE, NONE]}
        self.pressure = {SOURCE: backpressure((0.0, 0.1)), DECIDE: backpressure((0.0, 0.2))}

    @staticmethod
    def _vertex(vertex: str, name: str) -> dict[str, Any]:
        return {"id": vertex, "name": name, "parallelism": 2, "status": "RUNNING"}

    @staticmethod
    def checkpoint(number: int, status: str, at: int, **more: Any) -> dict[str, Any]:
        return {
            "id": number, "status": status, "trigger_timestamp": at - 100,
            "latest_ack_timestamp": at, "end_to_end_duration": 100, "state_size": 5000, **more,
        }  # fmt: skip

    def call(self, url: str, path: str, **_: Any) -> Any:
        assert url == "http://flink"
        for vertex, metrics in self.metrics.items():
            root = f"/jobs/j/vertices/{vertex}"
            if path == f"{root}/subtasks/metrics":
                return [{"id": name} for name in [*metrics, "isBackPressured"]]
            if path.startswith(f"{root}/subtasks/metrics?get="):
                wanted = (
                    path.partition("get=")[2]
                    .partition("&")[0]
                    .replace("%5B", "[")
                    .replace("%5D", "]")
                )
                return _sums({name: metrics[name] for name in wanted.split(",")})
            if path == f"{root}/watermarks":
                return [{"id": "x", "value": value} for value in self.watermarks[vertex]]
            if path == f"{root}/backpressure":
                return self.pressure[vertex]
        return self.answers[path]

    def replace_call(self, monkeypatch: Any) -> "Rest":
        monkeypatch.setattr(cluster, "call", self.call)
        monkeypatch.setattr(health, "call", self.call)
        return self
