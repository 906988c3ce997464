"""One request to a server that answers in JSON, with basic authentication."""

import base64
import json
import ssl
import urllib.request
from typing import Any, NamedTuple


class Access(NamedTuple):
    """How a server is asked: how long one request may take, the login (RFC 7617), whom to trust."""

    timeout_s: float
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None


def ask(method: str, url: str, body: bytes | None, headers: dict[str, str], access: Access) -> Any:
    """Send a request and return the answer's JSON.

    Raises:
        urllib.error.HTTPError: the server answered with another status than success.
        OSError, http.client.HTTPException: it did not answer.
        ValueError: the answer is not JSON.
    """
    request = urllib.request.Request(url, method=method, data=body, headers=headers)
    if access.login is not None:
        login = base64.b64encode(":".join(access.login).encode()).decode()
        # Not copied to wherever a redirect leads.
        request.add_unredirected_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=access.timeout_s, context=access.tls) as answer:
        return json.load(answer)
