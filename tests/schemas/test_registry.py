"""The registry client and its on-disk ids against a registry in this process."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from schemas.contracts import contract_text, fingerprint
from schemas.registry import Registry, RegistryDown, RegistryRefused, SchemaIds

SUBJECT = "tidegate.readings-value"


class FakeRegistry:
    """Speaks the few calls of the Confluent API; ids start at `first_id`, as after a wipe."""

    def __init__(self, first_id: int = 1) -> None:
        self.ids: dict[str, int] = {}
        self.first_id = first_id
        self.failing_with: int | None = None
        self.calls: list[str] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(*fake.answer("GET", self.path, {}))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self.reply(*fake.answer("POST", self.path, json.loads(self.rfile.read(length))))

            def do_PUT(self) -> None:
                self.do_POST()

            def reply(self, status: int, body: object) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/apis/ccompat/v7"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, method: str, path: str, body: dict[str, str]) -> tuple[int, object]:
        path = path.removeprefix("/apis/ccompat/v7")
        self.calls.append(f"{method} {path}")
        if self.failing_with is not None:
            return self.failing_with, {"message": "told to fail"}
        text = body.get("schema", "")
        if path.endswith("/versions"):
            return 200, {"id": self.ids.setdefault(text, self.first_id + len(self.ids))}
        if path.startswith("/subjects/"):
            if text in self.ids:
                return 200, {"id": self.ids[text]}
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 404, {"message": "no such path"}

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    fake = FakeRegistry()
    yield fake
    fake.close()


def test_an_unregistered_contract_is_registered_once(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    ids = SchemaIds(tmp_path / "ids.json", Registry(registry.url))
    assert ids.cached(SUBJECT, "reading") is None
    assert ids.confirmed(SUBJECT, "reading") == 1
    assert ids.confirmed(SUBJECT, "reading") == 1
    assert [call for call in registry.calls if call.endswith("/versions")] == [
        f"POST /subjects/{SUBJECT}/versions"
    ]


def test_ids_are_there_with_the_registry_down(registry: FakeRegistry, tmp_path: Path) -> None:
    SchemaIds(tmp_path / "ids.json", Registry(registry.url)).confirmed(SUBJECT, "reading")
    registry.close()
    again = SchemaIds(tmp_path / "ids.json", Registry(registry.url))
    assert again.cached(SUBJECT, "reading") == 1
    with pytest.raises(RegistryDown):
        again.confirmed(SUBJECT, "reading")
    assert again.cached(SUBJECT, "reading") == 1


def test_an_id_is_corrected_when_the_registry_gives_another(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    ids = SchemaIds(tmp_path / "ids.json", Registry(registry.url))
    ids.confirmed(SUBJECT, "reading")
    registry.ids = {"another schema took number 1": 1}
    assert ids.confirmed(SUBJECT, "reading") == 2
    assert SchemaIds(tmp_path / "ids.json", Registry(registry.url)).cached(SUBJECT, "reading") == 2


def test_an_id_of_one_registry_is_not_used_for_another(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    SchemaIds(tmp_path / "ids.json", Registry(registry.url)).confirmed(SUBJECT, "reading")
    other = SchemaIds(tmp_path / "ids.json", Registry("http://127.0.0.1:1/other"))
    assert other.cached(SUBJECT, "reading") is None


def test_an_id_is_kept_under_the_schemas_fingerprint(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    SchemaIds(tmp_path / "ids.json", Registry(registry.url)).confirmed(SUBJECT, "reading")
    (key,) = json.loads((tmp_path / "ids.json").read_text())
    assert key == f"{registry.url} {SUBJECT} {fingerprint('reading')}"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"k": "seven"}', "\x00"])
def test_a_spoilt_file_counts_as_empty(registry: FakeRegistry, tmp_path: Path, text: str) -> None:
    (tmp_path / "ids.json").write_text(text)
    ids = SchemaIds(tmp_path / "ids.json", Registry(registry.url))
    assert ids.cached(SUBJECT, "reading") is None
    assert ids.confirmed(SUBJECT, "reading") == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_worth_another_try(registry: FakeRegistry, status: int) -> None:
    registry.failing_with = status
    with pytest.raises(RegistryDown, match=f"{status} told to fail"):
        Registry(registry.url).register(SUBJECT, contract_text("reading"))


@pytest.mark.parametrize("status", [401, 403, 409, 422])
def test_a_refusal_is_final(registry: FakeRegistry, status: int) -> None:
    registry.failing_with = status
    with pytest.raises(RegistryRefused) as refusal:
        Registry(registry.url).register(SUBJECT, contract_text("reading"))
    assert refusal.value.status == status
