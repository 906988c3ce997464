"""A page and a JSON document on loopback that say how the stack is."""

import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from compose.local.layout import Layout
from compose.local.settings import LOOPBACK
from compose.local.state import PartState, StackState

_PAGE = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>tidegate local</title>
<style>
body{{font:15px system-ui,sans-serif;margin:2em;max-width:60em;color:#1d2733}}
table{{border-collapse:collapse;margin:1em 0}}td,th{{padding:.3em 1em .3em 0;text-align:left}}
.ready{{color:#18794e}}.failed{{color:#b42318}}.waiting,.starting{{color:#9a6700}}
code{{background:#f0f2f5;padding:.1em .3em}}
</style>
<h1>tidegate local stack</h1>
<p>{summary}</p>
<table><tr><th>part<th>state<th>pid<th>port<th>restarts<th>{rows}</table>
<p><a href="{flink}">Flink</a> · <a href="/status.json">status.json</a></p>
<p>State folder <code>{root}</code></p>
</html>
"""


def page(state: StackState, root: str) -> str:
    """Return the page; whatever it shows is escaped."""
    ready = sum(part.state == "ready" for part in state.parts)
    resuming = f"; bringing back jobs: {', '.join(state.resuming)}" if state.resuming else ""
    return _PAGE.format(
        summary=escape(f"{ready} of {len(state.parts)} parts ready{resuming}"),
        rows="".join(_row(part) for part in state.parts),
        flink=escape(state.endpoints["flink_url"]),
        root=escape(root),
    )


def _row(part: PartState) -> str:
    cells = [part.pid or "", part.port, part.restarts, part.why]
    return (
        f'<tr><td>{escape(part.name)}<td class="{escape(part.state)}">{escape(part.state)}'
        + "".join(f"<td>{escape(str(cell))}" for cell in cells)
    )


def serve(port: int, layout: Layout, state: Callable[[], StackState | None]) -> ThreadingHTTPServer:
    """Serve the page in threads of its own until ``shutdown``.

    Raises:
        OSError: the port is taken.
    """

    class Page(BaseHTTPRequestHandler):
        server_version = "tidegate"
        sys_version = ""

        def do_GET(self) -> None:
            current = state()
            if current is None:
                self._answer(503, "text/plain", b"the supervisor is starting\n")
            elif self.path == "/":
                html = page(current, str(layout.root)).encode()
                self._answer(200, "text/html; charset=utf-8", html)
            elif self.path == "/status.json":
                self._answer(200, "application/json", msgspec.json.encode(current))
            else:
                self._answer(404, "text/plain", b"there is / and /status.json\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            """Stay silent: the page asks every two seconds."""

    server = ThreadingHTTPServer((LOOPBACK, port), Page)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="console", daemon=True).start()
    return server
