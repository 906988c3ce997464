"""The admin endpoint: is it alive, is it ready and if not why, what has it counted."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import Running, beats, package_version
from gateway.sections import Address

_STUCK_S = 60.0


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    kind: str
    body: bytes


def reasons(running: Running, high_water: float) -> list[str]:
    """Return why the gateway is not ready; none when it is."""
    connection, uplink, level = running.connection, running.uplink, running.spooling.level
    found = []
    if not connection.connected:
        found.append(f"mqtt: not connected ({connection.cause or 'connecting'})")
    elif not connection.subscribed:
        found.append(f"mqtt: not subscribed ({connection.cause or 'waiting for the broker'})")
    if not uplink.tally.bound:
        found.append(f"registry: {uplink.cause or 'schema ids are not known yet'}")
    elif not uplink.tally.reachable:
        found.append(f"kafka: no broker reachable ({uplink.cause or 'connecting'})")
    elif uplink.cause:
        found.append(f"kafka: {uplink.cause}")
    if level.full:
        found.append("spool: full; nothing is acknowledged until Kafka has taken some")
    elif level.used_bytes > high_water * running.quota:
        share = 100 * level.used_bytes // running.quota
        found.append(f"spool: {share} % of the quota is taken")
    return found


def stuck(running: Running, now_s: float) -> list[str]:
    """Return the threads that have not made a turn for a minute."""
    return [name for name, beat_s in beats(running).items() if now_s - beat_s > _STUCK_S]


def thinned(running: Running) -> list[dict[str, object]]:
    """Return how many readings were left out by device and reason since the start, most first.

    Beyond the devices that are told apart the device is empty.
    """
    counts = running.uplink.tally.thinned.copy().most_common()
    return [
        {"device": device, "reason": reason, "readings": count}
        for (device, reason), count in counts
    ]


def answer(path: str, running: Running, metrics: CollectorRegistry, high_water: float) -> Answer:
    """Return the answer to a GET."""
    if path == "/healthz":
        threads = stuck(running, time.monotonic())
        return _json(503 if threads else 200, {"alive": not threads, "stuck": threads})
    if path == "/readyz":
        why = reasons(running, high_water)
        return _json(503 if why else 200, {"ready": not why, "reasons": why})
    if path == "/version":
        return _json(200, {"version": package_version()})
    if path == "/metrics":
        return Answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(metrics))
    if path == "/thinned":
        return _json(200, thinned(running))
    known = ["/healthz", "/readyz", "/metrics", "/thinned", "/version"]
    return _json(404, {"error": "no such page", "pages": known})


def serve(
    at: Address, running: Running, metrics: CollectorRegistry, high_water: float
) -> ThreadingHTTPServer:
    """Start serving in a thread of its own.

    Raises:
        OSError: the address is not to be had.
    """

    class Page(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, kind, body = answer(self.path, running, metrics, high_water)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Stay quiet: probes come every few seconds."""

    server = ThreadingHTTPServer(at, Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="admin", daemon=True).start()
    return server


def _json(status: int, body: object) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")
