"""What the tests of the sinks share: records of every kind on topics, and rows to compare."""

import json
import urllib.request
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import Producer
from stack_fixture import RunningStack

from compose.local.endpoints import Endpoints
from compose.local.tools import find_tools
from compose.sinks import opensearch_of
from gateway.follow import decoder, follow
from schemas.codec import encode
from schemas.contracts import contract_text
from schemas.failure import Unavailable
from schemas.records import Alert, Device, WindowFeatures
from schemas.registry import Registry
from schemas.topics import subject

R = TypeVar("R", WindowFeatures, Alert, Device)
START_MS = 1_750_000_000_123
ODD = "Grüße \U0001f525 \"'\\ %s"


def beside(stack: RunningStack, *databases: str) -> str:
    """Bring databases up beside the stack; return its sinks.toml. Skip where one is missing."""
    try:
        find_tools(stack.layout, databases)
    except Unavailable as missing:
        pytest.skip(f"a database is missing here: {missing}")
    up = stack.tidegate("local", "up", "--only", ",".join(databases))
    assert up.returncode == 0, up.stderr
    return stack.layout.sinks_config.read_text()


def asked(sinks: Path, method: str, path: str, body: object = None) -> Any:
    """Ask OpenSearch, past the product."""
    request = urllib.request.Request(
        opensearch_of(sinks).url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def window(number: int, **changes: Any) -> WindowFeatures:
    """Return the number-th window of one of seven devices; numbers apart by 7 are neighbours."""
    start = START_MS + number // 7 * 5_000
    values = dict.fromkeys(("min", "max", "mean", "stddev", "rms", "first", "last"), number / 3)
    record = {
        "device_id": f"plant.pump-{number % 7}",
        "metric": "temperature",
        "site": "plant",
        "window_start": start,
        "window_end": start + 10_000,
        "count": 10,
        "slope": -1e-300,
        **values,
    }
    return WindowFeatures(**record | changes)


def alert(number: int, seq: int = 0, **changes: Any) -> Alert:
    """Return a transition of the number-th alert."""
    at = START_MS + number * 60_000
    record: dict[str, Any] = {
        "alert_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "fingerprint": f"hot|plant.pump-{number % 7}|temperature",
        "seq": seq,
        "rule": "hot",
        "rule_version": 1,
        "category": "PROCESS",
        "event": "FIRED" if seq == 0 else "RESOLVED",
        "state": "FIRING" if seq == 0 else "RESOLVED",
        "prev_state": None if seq == 0 else "FIRING",
        "severity": "WARNING",
        "asset_id": "pump",
        "device_id": f"plant.pump-{number % 7}",
        "site": "plant",
        "metric": "temperature",
        "unit": None,
        "value": 81.25,
        "threshold_enter": 80.0,
        "threshold_exit": 76.0,
        "comparator": ">=",
        "score": None,
        "sample_count": 12,
        "peak_value": 82.5,
        "window_start": at - 10_000,
        "window_end": at,
        "condition_since": at,
        "starts_at": at,
        "ends_at": None if seq == 0 else at + 30_000,
        "last_true_at": at,
        "emitted_at": at + seq * 30_000,
        "labels": {"team": "mechanics"},
        "annotations": {"text": ODD},
    }
    return Alert(**record | changes)


def device(number: int, valid_from: int = 0) -> Device:
    return Device(
        device_id=f"plant.pump-{number}",
        asset_id="pump",
        site="plant",
        interval_ms=1000,
        own_clock_metrics=["vibration"],
        valid_from=valid_from,
        labels={"hall": ODD},
    )


class Feed:
    """Puts records on a prefix's topics, as the job that makes them would."""

    def __init__(self, endpoints: Endpoints, prefix: str) -> None:
        self._prefix = prefix
        registry = Registry(endpoints.registry_url)
        self._ids = {
            topic: registry.register(subject(prefix + topic), contract_text(contract))
            for topic, contract in (
                ("windows", "window_features"),
                ("alerts", "alert"),
                ("devices", "device"),
            )
        }
        servers = {"bootstrap.servers": endpoints.kafka_bootstrap}
        self._plain = Producer(servers)
        self._atomic = Producer(servers | {"transactional.id": f"{prefix}feed"})
        self._atomic.init_transactions(30)

    def windows(self, records: Iterable[WindowFeatures]) -> None:
        for each in records:
            self.raw(
                "windows", f"{each.device_id}|{each.metric}", encode(each, self._ids["windows"])
            )
        self.flush()

    def devices(self, records: Iterable[Device]) -> None:
        for each in records:
            self.raw("devices", each.device_id, encode(each, self._ids["devices"]))
        self.flush()

    def alerts(self, records: Iterable[Alert], *, commit: bool = True) -> None:
        """Produce in one transaction, committed or given up."""
        self._atomic.begin_transaction()
        for each in records:
            value = encode(each, self._ids["alerts"])
            self._atomic.produce(f"{self._prefix}alerts", value, each.fingerprint.encode())
        self._atomic.flush(30)
        if commit:
            self._atomic.commit_transaction(30)
        else:
            self._atomic.abort_transaction(30)

    def raw(self, topic: str, key: str, value: bytes | None) -> None:
        self._plain.produce(self._prefix + topic, value, key.encode())

    def flush(self) -> None:
        assert self._plain.flush(30) == 0


def sound_records(endpoints: Endpoints, topic: str, kind: type[R]) -> list[R]:
    """Return what is committed on a topic and decodes, in the order of each partition."""
    decoded = decoder(kind, endpoints.registry_url)
    found = []
    for batch in follow(endpoints.kafka_bootstrap, topic, until_end=True):
        for message in batch:
            try:
                found.append(decoded(message.value()))
            except ValueError:
                continue  # put there to be set aside
    return found
