"""One stack for all end-to-end tests; each test has topics and jobs of its own."""

from collections.abc import Iterator

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from stack_fixture import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def publisher(stack: RunningStack) -> Iterator[Client]:
    """A client of the stack's MQTT broker that speaks for all sensors of a test."""
    client = Client(CallbackAPIVersion.VERSION2)
    host, port = stack.endpoints.mqtt_url.removeprefix("mqtt://").split(":")
    client.connect(host, int(port))
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()
