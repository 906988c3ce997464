"""Where a running stack can be reached."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from compose.local.flink import flink_url
from compose.local.layout import Layout
from compose.local.parts import registry_url
from compose.local.settings import LAKE_URI, LOOPBACK, S3_ACCESS_KEY, S3_SECRET_KEY
from compose.local.state import published
from schemas.failure import Unavailable


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses, keys and files of one stack; URLs end without a slash."""

    mqtt_url: str
    kafka_bootstrap: str
    registry_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    lake_uri: str
    flink_url: str
    console_url: str
    gateway_config: str

    def env(self) -> list[str]:
        """Return ``KEY=VALUE`` lines, keys in capitals."""
        return [f"{name.upper()}={value}" for name, value in asdict(self).items()]


def endpoints_of(layout: Layout, ports: Mapping[str, int]) -> Endpoints:
    """Return the endpoints of a stack with these ports."""
    return Endpoints(
        mqtt_url=f"mqtt://{LOOPBACK}:{ports['mqtt']}",
        kafka_bootstrap=f"{LOOPBACK}:{ports['kafka']}",
        registry_url=registry_url(ports),
        s3_endpoint=f"http://{LOOPBACK}:{ports['s3']}",
        s3_access_key=S3_ACCESS_KEY,
        s3_secret_key=S3_SECRET_KEY,
        lake_uri=LAKE_URI,
        flink_url=flink_url(ports),
        console_url=f"http://{LOOPBACK}:{ports['console']}",
        gateway_config=str(layout.gateway_config),
    )


def read(state: Path) -> Endpoints:
    """Return the endpoints of the stack that runs in this state folder.

    Raises:
        Unavailable: none does.
    """
    layout = Layout.of(state)
    running = published(layout)
    if running is None:
        raise Unavailable(f"no stack is up in {layout.root}; start it with: tidegate local up")
    return Endpoints(**running.endpoints)
