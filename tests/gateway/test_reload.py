"""What another configuration asks for, key by key."""

from pathlib import Path

import msgspec
import pytest

from gateway.config import read
from gateway.reload import _BY_SECTION, changes
from gateway.sections import Config

BASE = """
[gateway]
id = "g"
data_dir = "/tmp/x"
[kafka]
bootstrap_servers = "localhost:9092"
[registry]
url = "http://localhost:8081"
[[routes]]
topic = "s/{site}/{device}/{metric}"
payload = "json"
"""


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "g.toml"
    path.write_text(text)
    return read(path, {})


def test_every_section_says_how_it_changes() -> None:
    names = {field.name for field in msgspec.structs.fields(Config)}
    assert names <= set(_BY_SECTION), "say in gateway/reload.py how the new section changes"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ('id = "g"', 'id = "h"', [("gateway.id", "restart")]),
        ("/tmp/x", "/tmp/y", [("gateway.data_dir", "restart")]),
        ("localhost:9092", "localhost:9093", [("kafka.bootstrap_servers", "producer")]),
        ("8081", "8082", [("registry.url", "producer")]),
        ("json", "number", [("routes", "live")]),
        (
            "[registry]",
            '[mqtt]\nkeepalive = "9s"\nclient_id = "c"\n[registry]',
            [("mqtt.client_id", "restart"), ("mqtt.keepalive", "reconnect")],
        ),
        (
            "[registry]",
            '[kafka.librdkafka]\n"linger.ms" = 7\n[registry]',
            [("kafka.librdkafka", "producer")],
        ),
        (
            "[registry]",
            '[limits]\npayload = "1KiB"\n[markers]\nlimit = "1d"\n[log]\nlevel = "info"\n[registry]',
            [("limits.payload", "live"), ("markers.limit", "live"), ("log.level", "live")],
        ),
        ("[registry]", '[spool]\nquota = "2GiB"\n[registry]', [("spool.quota", "restart")]),
    ],
)
def test_what_differs_is_named_with_what_it_takes(
    tmp_path: Path, old: str, new: str, expected: list[tuple[str, str]]
) -> None:
    found = changes(config(tmp_path, BASE), config(tmp_path, BASE.replace(old, new, 1)))
    assert sorted((change.name, change.how) for change in found) == sorted(expected)
