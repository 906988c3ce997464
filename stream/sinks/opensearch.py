"""The few calls of OpenSearch's and Elasticsearch's common API, by the standard library.

The project needs three: install templates, look for them, write in bulk. The official clients
differ, and Elastic's refuses other servers.
"""

import http.client
import json
import urllib.error
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from schemas.failure import Failure, Unavailable
from schemas.http_json import Access, ask
from stream.sinks.config import OpenSearchSection
from stream.sinks.documents import Document, templates

_TIMEOUT_S = 60.0
# 400 for a reason that is the cluster's, such as a full set of shards: not the document's fault.
_NOT_THE_DOCUMENTS = frozenset({"validation_exception"})


class Overloaded(Exception):
    """The cluster cannot take it now: try the same again later."""


class TooLarge(Exception):
    """The request has more bytes than the cluster takes at once."""


class Outcome(NamedTuple):
    """What became of one document: ``refusal`` is empty when it is stored.

    ``final`` says that the document itself is at fault: another try would end alike.
    """

    refusal: str = ""
    final: bool = False


class OpenSearch:
    """A cluster; each call is one request."""

    def __init__(self, section: OpenSearchSection, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Read the password and the authority.

        Raises:
            BadConfig: either cannot be read.
        """
        self._section = section
        self._url = section.url.rstrip("/")
        self._access = Access(timeout_s, section.login(), section.tls())

    def set_up(self) -> list[str]:
        """Install the index templates, over those of before; return their names.

        Raises:
            Unavailable, Failure
        """
        wanted = templates(self._section.index_prefix)
        for name, template in wanted.items():
            self._ask("PUT", f"/_index_template/{name}", json.dumps(template).encode())
        return list(wanted)

    def missing(self) -> list[str]:
        """Return the templates that the cluster has not, or has another version of.

        Raises:
            Unavailable, Failure
        """
        return [
            name
            for name, template in templates(self._section.index_prefix).items()
            if not self._has(name, template)
        ]

    def _has(self, name: str, template: dict[str, Any]) -> bool:
        try:
            answer = self._ask("GET", f"/_index_template/{name}")
        except _NotFound:
            return False
        found = answer["index_templates"][0]["index_template"]["template"]["mappings"]
        return bool(found.get("properties") == template["template"]["mappings"]["properties"])

    def index(self, documents: Sequence[Document]) -> list[Outcome]:
        """Write documents, each over one of the same id; return what became of each, in order.

        Raises:
            Overloaded: none may be stored; try again.
            TooLarge: none is stored; try fewer at once.
            Unavailable: the cluster does not answer; some may be stored.
            Failure: it refuses the login or the request.
        """
        answer = self._ask("POST", "/_bulk", bulk_body(documents), kind="application/x-ndjson")
        items = answer.get("items", [])
        if len(items) != len(documents):
            raise Unavailable(
                f"OpenSearch at {self._url} answered {len(items)} of {len(documents)} documents"
            )
        return [outcome(item["index"]) for item in items]

    def _ask(
        self, method: str, path: str, body: bytes | None = None, *, kind: str = "application/json"
    ) -> Any:
        try:
            return ask(method, self._url + path, body, {"Content-Type": kind}, self._access)
        except urllib.error.HTTPError as error:
            raise self._refusal(method, path, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(
                f"OpenSearch at {self._url}: {reason}; [opensearch] url in the sinks' "
                "configuration says where it is"
            ) from error

    def _refusal(self, method: str, path: str, error: urllib.error.HTTPError) -> Exception:
        told = f"OpenSearch at {self._url}: {method} {path}: {error.code} {_why(error)}"
        if error.code == HTTPStatus.TOO_MANY_REQUESTS or error.code >= 500:
            return Overloaded(told)
        if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return TooLarge(told)
        if error.code == HTTPStatus.NOT_FOUND:
            return _NotFound(told)
        if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return Failure(f"{told}; see username and password_file of [opensearch]")
        return Failure(told)


class _NotFound(Failure):
    """There is no such thing."""


def bulk_body(documents: Iterable[Document]) -> bytes:
    """Return the body of a bulk request: for each document a line that says where, then itself."""
    lines = []
    for each in documents:
        lines.append(json.dumps({"index": {"_index": each.index_name, "_id": each.id}}).encode())
        lines.append(each.source)
    return b"\n".join([*lines, b""])


def outcome(item: dict[str, Any]) -> Outcome:
    """Return what the answer to a bulk request says of one document.

    Only what is wrong with the document is final. All else, be it a full disk, a missing right or
    an index that is closed, is for the operator to mend, and the document waits.
    """
    status = int(item.get("status", 0))
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Outcome()
    error = item.get("error", {})
    kind = error.get("type", "") if isinstance(error, dict) else ""
    final = status == HTTPStatus.BAD_REQUEST and kind not in _NOT_THE_DOCUMENTS
    return Outcome(f"{status} {_told(error)}", final)


def _told(error: object) -> str:
    """Return type and reason of an error with those of its causes."""
    parts = []
    while isinstance(error, dict):
        parts.append(f"{error.get('type', '')}: {error.get('reason', '')}")
        error = error.get("caused_by")
    return "; ".join(parts) or str(error)


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return _told(json.load(error)["error"])
    except (OSError, ValueError, LookupError, TypeError):
        return str(error.reason)
