"""A registry that asks who is there."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from schemas.registry import Registry


class Door:
    """A server that notes who came, and answers or sends them elsewhere."""

    def __init__(self) -> None:
        self.came: list[str | None] = []
        self.elsewhere = ""
        door = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                door.came.append(self.headers["Authorization"])
                self.send_response(302 if door.elsewhere else 200)
                if door.elsewhere:
                    self.send_header("Location", door.elsewhere + self.path)
                body = b'{"schema": "x"}'
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def doors() -> Iterator[tuple[Door, Door]]:
    both = Door(), Door()
    yield both
    for door in both:
        door.close()


def test_a_login_is_sent_and_not_carried_along_a_redirect(doors: tuple[Door, Door]) -> None:
    first, second = doors
    registry = Registry(first.url, login=("key", "sécret"))
    assert registry.text(1) == "x"
    first.elsewhere = second.url
    assert registry.text(1) == "x"
    assert first.came == ["Basic a2V5OnPDqWNyZXQ="] * 2
    assert second.came == [None]


def test_without_a_login_nothing_is_said(doors: tuple[Door, Door]) -> None:
    Registry(doors[0].url).text(1)
    assert doors[0].came == [None]
