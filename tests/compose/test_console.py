import json
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from compose.local.console import page, serve
from compose.local.layout import Layout
from compose.local.settings import LOOPBACK
from compose.local.state import PartState, StackState


def state(why: str = "", resuming: list[str] | None = None) -> StackState:
    return StackState(
        pid=1,
        run="r",
        started_ms=0,
        endpoints={"flink_url": "http://127.0.0.1:8081"},
        parts=[
            PartState(name="kafka", state="ready", port=9092, pid=7),
            PartState(name="s3", state="failed", port=8333, why=why),
        ],
        resuming=resuming or [],
    )


def test_the_page_escapes_what_it_shows() -> None:
    html = page(state('<script>alert("1")</script>'), "/tmp/<b>&")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "/tmp/&lt;b&gt;&amp;" in html


def test_the_page_counts_ready_parts_and_names_jobs_to_come() -> None:
    html = page(state(resuming=["lake"]), "/tmp")
    assert "1 of 2 parts ready; bringing back jobs: lake" in html
    assert 'href="http://127.0.0.1:8081"' in html


@pytest.fixture
def served(tmp_path: Path):
    shown: list[StackState | None] = [state()]
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    server = serve(port, Layout(tmp_path), lambda: shown[0])
    yield f"http://{LOOPBACK}:{port}", shown
    server.shutdown()
    server.server_close()


def test_the_status_is_served_as_json(served) -> None:
    url, _ = served
    with urllib.request.urlopen(f"{url}/status.json") as answer:
        assert [part["name"] for part in json.load(answer)["parts"]] == ["kafka", "s3"]


@pytest.mark.parametrize("path", ["/none", "/../etc/passwd", "/status.json?x=<script>"])
def test_other_paths_are_not_found(served, path: str) -> None:
    url, _ = served
    with pytest.raises(urllib.error.HTTPError, match="404") as error:
        urllib.request.urlopen(url + path)
    assert error.value.read() == b"there is / and /status.json\n"


def test_before_the_first_status_the_page_is_unavailable(served) -> None:
    url, shown = served
    shown[0] = None
    with pytest.raises(urllib.error.HTTPError, match="503") as error:
        urllib.request.urlopen(url)
    error.value.close()
