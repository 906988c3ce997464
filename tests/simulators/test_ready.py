import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from schemas.failure import BadConfig, Unavailable
from simulators.ready import wait_ready


@contextmanager
def gateway(*answers: int) -> Iterator[str]:
    """Serve these status codes in turn, the last one for ever."""
    left = list(answers)

    class Readyz(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()
            self.wfile.write(b"spool opening")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Readyz) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()
        thread.join()


class Seconds:
    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def wait(url: str, within_s: float = 10) -> float:
    clock = Seconds()
    wait_ready(url, within_s=within_s, now=clock.now, sleep=clock.sleep)
    return clock.at


def test_a_ready_gateway_is_not_waited_for():
    with gateway(200) as url:
        assert wait(url) == 0


def test_a_gateway_that_becomes_ready_is_waited_for():
    with gateway(503, 503, 200) as url:
        assert wait(url) == pytest.approx(0.4)


def test_a_gateway_that_does_not_is_unavailable_with_its_last_answer():
    with gateway(503) as url, pytest.raises(Unavailable, match="503 spool opening"):
        wait(url)


def test_a_gateway_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable, match="refused"):
        wait("http://127.0.0.1:1/readyz")


def test_what_is_no_url_is_refused():
    with pytest.raises(BadConfig):
        wait("127.0.0.1:9464")
