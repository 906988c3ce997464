"""What is asked of a cluster, and what its answers mean; the server is a few lines of ours."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.failure import Failure, Unavailable
from stream.sinks.config import OpenSearchSection
from stream.sinks.documents import Document, templates
from stream.sinks.opensearch import OpenSearch, Outcome, Overloaded, TooLarge, bulk_body, outcome

DOCUMENTS = [Document("i", "a|1", b'{"x":1}'), Document("i", 'b"\n', b'{"x":2}')]


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def answering(status: int, answer: object) -> Iterator[tuple[str, list[Request]]]:
    """A server that answers everything alike; yields its URL and what it was asked."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.append(Request(self.command, self.path, dict(self.headers), body))
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = reply  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def items(*statuses: int) -> dict[str, Any]:
    return {"items": [{"index": {"status": status}} for status in statuses]}


def test_documents_go_as_lines_and_come_back_as_outcomes_in_order() -> None:
    with answering(200, items(201, 200)) as (url, seen):
        assert OpenSearch(OpenSearchSection(url)).index(DOCUMENTS) == [Outcome(), Outcome()]
    assert (seen[0].method, seen[0].path) == ("POST", "/_bulk")
    assert seen[0].headers["Content-Type"] == "application/x-ndjson"
    assert seen[0].body.endswith(b"\n")
    lines = [json.loads(line) for line in seen[0].body.splitlines()]
    assert lines == [
        {"index": {"_index": "i", "_id": "a|1"}}, {"x": 1},
        {"index": {"_index": "i", "_id": 'b"\n'}}, {"x": 2},
    ]  # fmt: skip


def test_the_password_goes_in_a_header_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pa:ss\n")
    with answering(401, {"error": {"type": "security_exception", "reason": "no"}}) as (url, seen):
        section = OpenSearchSection(url, "me", str(tmp_path / "secret"))
        with pytest.raises(Failure, match=r"401 security_exception: no; see username") as error:
            OpenSearch(section).index(DOCUMENTS)
    assert seen[0].headers["Authorization"] == f"Basic {base64.b64encode(b'me:pa:ss').decode()}"
    assert "pa:ss" not in str(error.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_cluster_that_cannot_now_is_told_from_one_that_will_not(status: int) -> None:
    with answering(status, b"<html>") as (url, _), pytest.raises(Overloaded, match=str(status)):
        OpenSearch(OpenSearchSection(url)).index(DOCUMENTS)


def test_too_much_at_once_is_said() -> None:
    with answering(413, b"") as (url, _), pytest.raises(TooLarge):
        OpenSearch(OpenSearchSection(url)).index(DOCUMENTS)


@pytest.mark.parametrize("answer", [b"no JSON", json.dumps(items(200)).encode(), b"{}"])
def test_an_answer_that_does_not_say_what_became_of_each_is_none(answer: bytes) -> None:
    with answering(200, answer) as (url, _), pytest.raises(Unavailable):
        OpenSearch(OpenSearchSection(url)).index(DOCUMENTS)


def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(
        Unavailable, match=r"OpenSearch at http://127.0.0.1:1: .*Connection refused"
    ):
        OpenSearch(OpenSearchSection("http://127.0.0.1:1/")).index(DOCUMENTS)


@pytest.mark.parametrize(
    ("item", "final"),
    [
        ({"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "r"}}, True),
        ({"status": 400, "error": {"type": "illegal_argument_exception", "reason": "r"}}, True),
        ({"status": 400, "error": {"type": "validation_exception", "reason": "shards"}}, False),
        ({"status": 403, "error": {"type": "cluster_block_exception", "reason": "disk"}}, False),
        ({"status": 404, "error": {"type": "index_not_found_exception", "reason": "r"}}, False),
        ({"status": 429, "error": {"type": "circuit_breaking_exception", "reason": "r"}}, False),
        ({"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "r"}}, False),
        ({}, False),
    ],
)
def test_only_a_document_at_fault_is_given_up(item: dict[str, Any], final: bool) -> None:
    found = outcome(item)
    assert found.refusal
    assert found.final is final


def test_a_refusal_says_why_down_to_the_cause() -> None:
    cause = {"type": "number_format_exception", "reason": "For input"}
    error = {"type": "mapper_parsing_exception", "reason": "field [site]", "caused_by": cause}
    assert outcome({"status": 400, "error": error}).refusal == (
        "400 mapper_parsing_exception: field [site]; number_format_exception: For input"
    )


def test_templates_of_another_version_are_missed() -> None:
    mine = templates("tidegate-")["tidegate-windows"]
    with answering(200, {"index_templates": [{"index_template": mine}]}) as (url, seen):
        assert OpenSearch(OpenSearchSection(url)).missing() == ["tidegate-alerts"]
    assert [each.path for each in seen] == [
        "/_index_template/tidegate-windows",
        "/_index_template/tidegate-alerts",
    ]
    with answering(404, {}) as (url, _):
        assert OpenSearch(OpenSearchSection(url)).missing() == list(templates("tidegate-"))


def test_nothing_to_index_is_an_empty_body() -> None:
    assert bulk_body([]) == b""
