"""The sinks' configuration for this stack."""

import json
from collections.abc import Mapping

from compose.local.databases import opensearch_url
from compose.local.endpoints import Endpoints
from compose.local.layout import Layout
from compose.local.settings import LOOPBACK, POSTGRES_USER


def sinks_toml(layout: Layout, endpoints: Endpoints, ports: Mapping[str, int]) -> str:
    """Return sinks.toml; it names the servers whether they run or not."""
    return f"""\
# Written by `tidegate local up`, again at each start: copy it before you change it.

[kafka]
bootstrap_servers = "{endpoints.kafka_bootstrap}"
topic_prefix = "tidegate."
allow_insecure = true

[registry]
url = "{endpoints.registry_url}"

[postgres]
host = "{LOOPBACK}"
port = {ports["postgres"]}
database = "{POSTGRES_USER}"
username = "{POSTGRES_USER}"
password_file = {json.dumps(str(layout.conf / "postgres-password"), ensure_ascii=False)}
tls = "disable"

[opensearch]
url = "{opensearch_url(ports)}"
"""
