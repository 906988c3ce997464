"""A schema registry of a few lines, where no real one is at hand."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class SmallRegistry:
    """Gives every subject an id, in the order of first sight, and keeps nothing else."""

    def __init__(self, port: int = 0) -> None:
        """Serve on a port of the loopback; 0 takes a free one."""
        self.ids: dict[str, int] = {}
        ids = self.ids

        class Page(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                subject = self.path.split("/")[2]
                body = json.dumps({"id": ids.setdefault(subject, len(ids) + 1)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Page)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
