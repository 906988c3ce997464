"""A proposal as a person reads it, and as a configuration."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from gateway.dead_letters import printable
from gateway.discovery.listening import Heard
from gateway.discovery.proposal import Metric, Proposal, Proposed

_SHOWN = 20
_MOST_METRICS = 12
# What a message takes in the spool beside topic and payload.
_OVERHEAD = 20


def text(found: Proposal, heard: Heard, seconds: float) -> Iterator[str]:
    """Return lines for a person."""
    rate = heard.messages / seconds
    yield (
        f"{heard.messages} messages in {seconds:.0f} s, {rate:.1f} a second; an hour without Kafka "
        f"needs {hour_bytes(heard, seconds) / 1e6:.0f} MB of spool"
    )
    for route in found.routes:
        yield ""
        yield from _route(route)
    if found.unplaced:
        yield ""
        yield f"not placed: {len(found.unplaced)} topics"
        for one in found.unplaced[:_SHOWN]:
            payload = printable(one.payload[:60].decode("utf-8", "backslashreplace"))
            yield f"  {_cut(printable(one.topic))}  {one.messages} times  {printable(one.why)}"
            yield f"      {payload}"
        if len(found.unplaced) > _SHOWN:
            yield f"  … {len(found.unplaced) - _SHOWN} more; --json has them all"
    for why, count in heard.left_out.items():
        yield f"left out: {count} messages, {why}"
    if not found.routes:
        yield "nothing that a route could read; is anybody publishing, and may you read it?"


def _route(route: Proposed) -> Iterator[str]:
    words = route.words
    given = " ".join(f'{key} = "{words[key]}"' for key in ("site", "metric") if key in words)
    yield f"{printable(words['topic'])}  {words['payload']}  {given}".rstrip()
    yield f"  {route.topics} topics, such as {_cut(printable(route.example.topic))}"
    for metric in route.metrics[:_MOST_METRICS]:
        yield f"  {_metric(metric)}"
    if len(route.metrics) > _MOST_METRICS:
        yield f"  … {len(route.metrics) - _MOST_METRICS} more metrics"


def _metric(metric: Metric) -> str:
    every = "once" if metric.interval_s is None else f"every {metric.interval_s:.3g} s"
    unit = "/".join(map(printable, metric.units)) or "no unit"
    devices = f"{metric.devices} device" + ("" if metric.devices == 1 else "s")
    return f"{metric.name:24} {devices:12} {every:14} {metric.least:g} … {metric.most:g} {unit}"


def hour_bytes(heard: Heard, seconds: float) -> float:
    """Return how much spool an hour's messages need."""
    return (heard.bytes + heard.messages * _OVERHEAD) / seconds * 3600


def toml(found: Proposal, mqtt_url: str, quota_mb: int) -> str:
    """Return a configuration of the proposed routes; what it cannot know is to be filled in."""
    lines = [
        "# Proposed by gateway discover from what a broker carried. Before you run it: the id, the",
        "# folder, Kafka and the registry; then gateway check, with --online.",
        "[gateway]",
        'id = "gateway-1"',
        'data_dir = "/var/lib/tidegate"',
        "",
        "[mqtt]",
        f"url = {_value(mqtt_url)}",
    ]
    host = urlsplit(mqtt_url).hostname or ""
    if mqtt_url.startswith("mqtt://") and host not in ("127.0.0.1", "localhost", "::1"):
        lines += ["# Plain text to another machine; mqtts:// is better.", "allow_insecure = true"]
    lines += ["", "[kafka]", 'bootstrap_servers = "127.0.0.1:9092"', "", "[registry]"]
    lines += ['url = "http://127.0.0.1:8081/apis/ccompat/v7"', "", "[spool]"]
    lines += ["# A day without Kafka at the rate that was heard.", f'quota = "{quota_mb}MiB"']
    for route in found.routes:
        lines += ["", "[[routes]]"]
        lines += [f"{key} = {_value(value)}" for key, value in route.words.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """Return a value in TOML, whose texts are those of JSON as far as these go."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(v)}" for key, v in value.items()) + " }"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"
