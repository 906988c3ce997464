"""A gateway's configuration for this stack."""

import json
from collections.abc import Mapping

from compose.local.endpoints import Endpoints
from compose.local.layout import Layout
from compose.local.settings import LOOPBACK


def gateway_toml(layout: Layout, endpoints: Endpoints, ports: Mapping[str, int]) -> str:
    """Return gateway.toml: both payloads that the simulators send, single readings first."""
    return f"""\
# Written by `tidegate local up`, again at each start: copy it before you change it.

[gateway]
id = "local"
data_dir = {_text(str(layout.data("gateway")))}

[mqtt]
url = {_text(endpoints.mqtt_url)}
client_id = "tidegate-gateway-local"

[kafka]
bootstrap_servers = {_text(endpoints.kafka_bootstrap)}
topic_prefix = "tidegate."
allow_insecure = true

[registry]
url = {_text(endpoints.registry_url)}

[spool]
quota = "2GiB"

[admin]
listen = "{LOOPBACK}:{ports["gateway_admin"]}"

[markers]
min_quiet = "2m"

[[routes]]
topic = "sensors/{{site}}/{{device}}/{{metric}}"
payload = "json"

[[routes]]
topic = "machines/{{site}}/{{device}}"
payload = "metrics"
"""


def _text(value: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's, but for the one of DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
