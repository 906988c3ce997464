import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from compose.local import probes
from compose.local.settings import LOOPBACK, SLOTS
from compose.local.signing import list_url, signed_headers


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that reads once, answers and closes."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@contextmanager
def web(code: int, body: bytes) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer((LOOPBACK, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}"
        server.shutdown()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


def test_nothing_that_listens_is_not_ready(closed_port: int) -> None:
    for probe in (probes.mosquitto, probes.kafka):
        assert probe(closed_port) == "nothing listens on its port yet"
    url = f"http://{LOOPBACK}:{closed_port}"
    for probe in (probes.registry, probes.s3, probes.jobmanager):
        assert probe(url) == "nothing listens on its port yet"
    assert probes.taskmanager(url, "tm") == "the JobManager: nothing listens on its port yet"


def test_mosquitto_is_ready_when_it_accepts_a_client() -> None:
    with answering(b"\x20\x02\x00\x00") as port:
        assert probes.mosquitto(port) is None


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x05", b"", b"HTTP/1.1 400"])
def test_mosquitto_is_not_ready_when_it_answers_else(answer: bytes) -> None:
    with answering(answer) as port:
        assert "was answered with" in probes.mosquitto(port)


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        (200, b"[]", None),
        (200, b'{"a": 1}', None),
        (200, b"<html>", "Expecting value"),
        (200, b'"text"', "no JSON object"),
        (503, b"{}", "HTTP 503"),
        (404, b"", "HTTP 404"),
    ],
)
def test_the_registry_is_ready_when_it_lists_subjects(
    code: int, body: bytes, reason: str | None
) -> None:
    with web(code, body) as url:
        said = probes.registry(url)
        assert said is None if reason is None else reason in said


@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        ([("tm-2", SLOTS)], None),
        ([("tm-1", SLOTS), ("tm-2", SLOTS)], None),
        ([("tm-1", SLOTS)], "not registered with the JobManager"),
        ([], "not registered with the JobManager"),
        ([("tm-2", 1)], f"1 slots instead of {SLOTS}"),
    ],
)
def test_a_taskmanager_is_ready_when_it_itself_is_registered(
    registered: list, reason: str | None
) -> None:
    listed = ", ".join(f'{{"id": "{name}", "slotsNumber": {slots}}}' for name, slots in registered)
    with web(200, f'{{"taskmanagers": [{listed}]}}'.encode()) as url:
        assert probes.taskmanager(url, "tm-2") == reason


def test_s3_says_why_it_refuses() -> None:
    with web(403, b"") as url:
        assert probes.s3(url) == "HTTP 403 Forbidden"


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signatures_are_those_of_the_published_examples(query: str, signature: str) -> None:
    # "Signature Calculations for the Authorization Header", examples of the S3 API reference.
    headers = signed_headers(
        "GET",
        f"https://examplebucket.s3.amazonaws.com/?{query}",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert headers["Authorization"].endswith(f"Signature={signature}")


def test_a_bucket_is_listed_with_one_key_at_most() -> None:
    assert list_url("http://h:1", "lake") == "http://h:1/lake?list-type=2&max-keys=1"
