"""The sinks' configuration for this stack."""

import json
from collections.abc import Mapping

from compose.local.layout import Layout
from compose.local.settings import LOOPBACK, POSTGRES_USER


def write_sinks_config(layout: Layout, ports: Mapping[str, int]) -> None:
    """Write sinks.toml; it names the servers whether they run or not."""
    layout.sinks_config.write_text(sinks_toml(layout, ports))


def sinks_toml(layout: Layout, ports: Mapping[str, int]) -> str:
    """Return the text of sinks.toml."""
    return f"""\
# Written by `tidegate local up`, again at each start: copy it before you change it.

[postgres]
host = "{LOOPBACK}"
port = {ports["postgres"]}
database = "{POSTGRES_USER}"
username = "{POSTGRES_USER}"
password_file = {json.dumps(str(layout.conf / "postgres-password"), ensure_ascii=False)}
tls = "disable"
"""
