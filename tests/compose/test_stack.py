"""The local stack with its real servers."""

import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from stack_fixture import RunningStack, eventually, nothing_left, running_stack, tidegate
from test_ports import listener

from compose.local import control, sweep
from compose.local.flink import flink_env
from compose.local.layout import Layout
from compose.local.ports import free
from compose.local.procs import listening
from compose.local.settings import LOOPBACK, PARTS, USUAL_PORTS
from compose.local.state import holder, published
from compose.local.tools import JARS_VARIABLE, find_tools
from schemas.failure import Unavailable

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
LOOPBACKS = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def register(registry_url: str, subject: str, field: str) -> int:
    fields = [{"name": field, "type": "string"}]
    schema = json.dumps({"type": "record", "name": "R", "fields": fields})
    request = urllib.request.Request(
        f"{registry_url}/subjects/{subject}/versions",
        data=json.dumps({"schema": schema}).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.load(answer)["id"])


def own_processes(layout: Layout) -> set[int]:
    supervisor = holder(layout)
    assert supervisor is not None
    return {supervisor, *sweep.marked(sweep.of_state(layout.root))}


@pytest.fixture
def leaving_nothing(tmp_path: Path) -> Iterator[Path]:
    """A folder for a stack that the test brings up itself."""
    folder = tmp_path / "state with space"
    try:
        find_tools(Layout(folder), PARTS)
    except Unavailable as missing:
        pytest.skip(f"no local stack here: {missing}")
    yield folder
    control.down(Layout(folder), lambda _: None)
    assert nothing_left(Layout(folder))


def test_a_stack_keeps_what_it_was_given_through_kills_and_restarts(leaving_nothing: Path) -> None:
    state, layout = leaving_nothing, Layout.of(leaving_nothing)
    usual = USUAL_PORTS["mqtt"]
    taken = [closing(listener(usual))] if free(usual) else []
    for one in taken:
        one.__enter__()
    try:
        up = tidegate("local", "up", state=state)
    finally:
        for one in taken:
            one.__exit__(None, None, None)
    assert up.returncode == 0, up.stderr
    assert [name for name in PARTS if f"{name}: ready on port" in up.stderr] == list(PARTS)
    assert up.stdout == ""
    with running_stack(state) as stack:  # idempotent: it is up
        check_status_and_addresses(stack, usual)
        first = register(stack.endpoints.registry_url, "a-value", "one")
        for part in ("registry", "mosquitto", "taskmanager"):
            old = stack.kill(part)
            assert stack.await_restart(part, old).restarts == 1
        assert register(stack.endpoints.registry_url, "b-value", "two") == first + 1
        assert register(stack.endpoints.registry_url, "a-value", "one") == first
        before = tidegate("local", "env", state=state).stdout
        assert tidegate("local", "down", state=state).returncode == 0
        assert nothing_left(layout)
        assert tidegate("local", "up", "--only", "registry,mosquitto", state=state).returncode == 0
        assert tidegate("local", "env", state=state).stdout == before
        assert register(stack.endpoints.registry_url, "b-value", "two") == first + 1


def check_status_and_addresses(stack: RunningStack, usual_mqtt: int) -> None:
    status = json.loads(stack.tidegate("local", "status", "--json").stdout)
    assert [(part["name"], part["state"]) for part in status["parts"]] == [
        (name, "ready") for name in PARTS
    ]
    assert all(part["rss_mib"] > 0 and part["uptime_s"] > 0 for part in status["parts"])
    assert stack.part("mosquitto").port != usual_mqtt
    addresses = listening(own_processes(stack.layout))
    assert set(addresses) <= LOOPBACKS
    ports = {part["port"] for part in status["parts"]}
    assert ports <= set().union(*addresses.values())
    lines = stack.tidegate("local", "env").stdout.splitlines()
    env = dict(line.split("=", 1) for line in lines)
    assert list(env)[:3] == ["MQTT_URL", "KAFKA_BOOTSTRAP", "REGISTRY_URL"]
    config = tomllib.loads(Path(env["GATEWAY_CONFIG"]).read_text())
    assert config["mqtt"]["url"] == env["MQTT_URL"]
    with urllib.request.urlopen(env["CONSOLE_URL"], timeout=10) as page:
        assert b"6 of 6 parts ready" in page.read()
    assert free(config_port := int(config["admin"]["listen"].rpartition(":")[2])), config_port


def running_tasks(url: str, job: str) -> bool:
    with urllib.request.urlopen(f"{url}/jobs/{job}", timeout=10) as answer:
        tasks: list[dict[str, Any]] = json.load(answer)["vertices"]
    return bool(tasks) and all(task["status"] == "RUNNING" for task in tasks)


def test_python_workers_stay_on_loopback_and_die_with_the_supervisor(leaving_nothing: Path) -> None:
    with running_stack(leaving_nothing, ["flink", "s3"]) as stack:
        script = Path(__file__).parent / "python_job.py"
        submitted = subprocess.run(
            [sys.executable, str(script), stack.endpoints.flink_url],
            env=os.environ | flink_env(leaving_nothing),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert submitted.returncode == 0, submitted.stderr
        job = submitted.stdout.split()[-1]
        url = stack.endpoints.flink_url
        eventually("the job runs", lambda: running_tasks(url, job), 120)
        processes = own_processes(stack.layout)
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes]
        assert any(b"pyflink.fn_execution" in command for command in commands)
        assert set(listening(processes)) == {"0100007F"}
        os.kill(holder(stack.layout), signal.SIGKILL)
        eventually("nothing is left", lambda: nothing_left(stack.layout), 15)
        # Dying processes have no environment any more but are there for a moment.
        eventually("all are dead", lambda: not any(map(sweep.alive, processes)), 15)
        status = tidegate("local", "status", state=leaving_nothing)
        assert status.returncode == 69
        assert "no stack is up" in status.stderr


def test_a_part_that_cannot_start_is_named_with_the_end_of_its_log(
    leaving_nothing: Path, tmp_path: Path
) -> None:
    jars = tmp_path / "jars"
    (jars / "kafka").mkdir(parents=True)
    broken = tidegate(
        "local",
        "up",
        "--only",
        "kafka,mosquitto",
        state=leaving_nothing,
        env={JARS_VARIABLE: str(jars)},
    )
    assert broken.returncode == 69
    assert "error: kafka does not come up: it exited with code 1" in broken.stderr
    assert "ClassNotFoundException: kafka.tools.StorageTool" in broken.stderr
    assert "Traceback" not in broken.stderr
    assert nothing_left(Layout.of(leaving_nothing))


def test_a_second_up_adds_parts_and_two_at_once_make_one_stack(leaving_nothing: Path) -> None:
    def up(parts: str) -> subprocess.CompletedProcess[str]:
        return tidegate("local", "up", "--only", parts, state=leaving_nothing)

    with ThreadPoolExecutor() as pool:
        ups = list(pool.map(up, ("mosquitto", "s3", "mosquitto")))
    assert [one.returncode for one in ups] == [0, 0, 0], [one.stderr for one in ups]
    layout = Layout.of(leaving_nothing)
    first = holder(layout)
    state = published(layout)
    assert state is not None
    before = {part.name: part.pid for part in state.parts}
    assert set(before) == {"mosquitto", "s3"}
    assert up("registry").returncode == 0
    assert holder(layout) == first
    state = published(layout)
    assert state is not None
    assert {part.name: part.pid for part in state.parts}.items() > before.items()


def test_a_supervisor_that_was_suspended_goes_on(leaving_nothing: Path) -> None:
    with running_stack(leaving_nothing, ["mosquitto"]) as stack:
        supervisor = holder(stack.layout)
        assert supervisor is not None
        for _ in range(3):
            # Longer than it waits for a signal at a time.
            os.kill(supervisor, signal.SIGSTOP)
            threading.Event().wait(0.8)
            os.kill(supervisor, signal.SIGCONT)
            threading.Event().wait(0.2)
        stack.await_restart("mosquitto", stack.kill("mosquitto"), 20)
        assert holder(stack.layout) == supervisor


def test_mosquitto_keeps_what_it_acknowledged_through_a_kill(leaving_nothing: Path) -> None:
    got: list[bytes] = []
    with running_stack(leaving_nothing, ["mosquitto"]) as stack:
        port = stack.part("mosquitto").port
        with connected(port, "keeper", got) as keeper:
            assert keeper.subscribe("t", qos=1)[0] == 0
            eventually("the subscription is there", lambda: got == [b"subscribed"], 10)
        with connected(port, "sender", []) as sender:
            sender.publish("t", b"kept", qos=1).wait_for_publish(10)
        database = stack.layout.data("mosquitto") / "mosquitto.db"
        eventually(
            "it is saved", lambda: database.exists() and b"kept" in database.read_bytes(), 10
        )
        stack.await_restart("mosquitto", stack.kill("mosquitto"))
        with connected(port, "keeper", got):
            eventually("it comes", lambda: got == [b"subscribed", b"kept"], 20)


@contextmanager
def connected(port: int, name: str, got: list[bytes]) -> Iterator[Client]:
    """A client with a session that the broker keeps; `got` gets what arrives."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.on_subscribe = lambda *_: got.append(b"subscribed")
    client.on_message = lambda _client, _data, message: got.append(message.payload)
    client.connect(LOOPBACK, port)
    client.loop_start()
    try:
        eventually("connected", client.is_connected, 10)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
