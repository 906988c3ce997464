"""Is it really up? Each probe asks the server for what its users will ask it for.

A probe returns None when the server is ready, else why it is not, in a few words.
"""

import http.client
import json
import logging
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from compose.local.settings import BUCKET, LOOPBACK, S3_ACCESS_KEY, S3_SECRET_KEY, SLOTS
from compose.local.signing import list_url, signed_headers

_TIMEOUT_S = 5.0
# Protocol 3.1.1, clean session, keep-alive 10 s.
_MQTT_CLIENT = b"tidegate-probe"
_MQTT_CONNECT = (
    b"\x00\x04MQTT\x04\x02\x00\x0a" + len(_MQTT_CLIENT).to_bytes(2, "big") + _MQTT_CLIENT
)
_MQTT_ACCEPTED = b"\x20\x02\x00\x00"
_POSTGRES_PROTOCOL = 3 << 16

# librdkafka reports every refused connection; a probe expects them.
_SILENT = logging.getLogger("tidegate.probe")
_SILENT.propagate = False
_SILENT.addHandler(logging.NullHandler())


def mosquitto(port: int) -> str | None:
    """Connect as a client and wait for the CONNACK."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(bytes([0x10, len(_MQTT_CONNECT)]) + _MQTT_CONNECT)
            answer = connection.recv(4)
            connection.sendall(b"\xe0\x00")
    except OSError as error:
        return _reason(error)
    return None if answer == _MQTT_ACCEPTED else f"CONNECT was answered with {answer!r}"


def kafka(port: int) -> str | None:
    """Ask for the cluster's metadata and find the broker in it."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return _reason(error)
    from confluent_kafka import KafkaException  # noqa: PLC0415 - slow to import
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    client = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}"}, logger=_SILENT)
    try:
        brokers = client.list_topics(timeout=_TIMEOUT_S).brokers
    except KafkaException as error:
        return str(error.args[0].str())
    return None if brokers else "the metadata names no broker"


def postgres(port: int, user: str) -> str | None:
    """Ask to log in: it is ready when it wants the password, and says so when it still starts."""
    told = f"user\0{user}\0database\0{user}\0\0".encode()
    startup = struct.pack(">ii", 8 + len(told), _POSTGRES_PROTOCOL) + told
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(startup)
            answer = connection.recv(1024)
    except OSError as error:
        return _reason(error)
    if answer[:1] == b"R":
        return None
    # An error is a list of fields, each with a letter in front; M is for people.
    fields = answer[5:].split(b"\0")
    said = [field[1:].decode(errors="replace") for field in fields if field[:1] == b"M"]
    return said[0] if said else f"the start was answered with {answer[:8]!r}"


def registry(url: str) -> str | None:
    """List the subjects."""
    answer = _get(f"{url}/subjects")
    return answer if isinstance(answer, str) else None


def s3(endpoint: str) -> str | None:
    """List the lake's bucket with the stack's keys."""
    url = list_url(endpoint, BUCKET)
    headers = signed_headers("GET", url, S3_ACCESS_KEY, S3_SECRET_KEY, datetime.now(UTC))
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
        ):
            return None
    except (OSError, http.client.HTTPException) as error:
        return _reason(error)


def opensearch(url: str) -> str | None:
    """Ask for the cluster's health: it is ready once its primary shards are."""
    answer = _get(f"{url}/_cluster/health?timeout=1s")
    if isinstance(answer, str):
        return answer
    return None if answer.get("status") in ("green", "yellow") else "its shards are not ready"


def jobmanager(url: str) -> str | None:
    """Ask for the overview that the web page shows."""
    answer = _get(f"{url}/overview")
    return answer if isinstance(answer, str) else None


def taskmanager(url: str, resource_id: str) -> str | None:
    """Find this very TaskManager with its slots: a dead one stays listed for seconds."""
    answer = _get(f"{url}/taskmanagers")
    if isinstance(answer, str):
        return f"the JobManager: {answer}"
    registered = {one["id"]: one["slotsNumber"] for one in answer["taskmanagers"]}
    if resource_id not in registered:
        return "not registered with the JobManager"
    slots = registered[resource_id]
    return None if slots == SLOTS else f"{slots} slots instead of {SLOTS}"


def _get(url: str) -> Any:
    """Return the JSON behind a URL, or as a string why there is none."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            parsed = json.load(answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    return parsed if isinstance(parsed, Mapping | list) else "the answer is no JSON object"


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on its port yet"
    return str(error) or type(error).__name__
