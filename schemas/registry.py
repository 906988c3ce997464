"""A schema registry's Confluent API, and the ids it gave, kept on disk.

A gateway must start with the registry down, and an id must never be trusted for another registry
or another schema: the file keys ids by registry URL and schema fingerprint, and whoever connects
again asks the registry to confirm them first.
"""

import http.client
import json
import ssl
import urllib.error
import urllib.parse
from pathlib import Path
from typing import Any

from schemas.contracts import ContractName, contract_text, fingerprint
from schemas.files import replace
from schemas.http_json import Access, ask

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_HEADERS = {"Content-Type": _CONTENT_TYPE, "Accept": f"{_CONTENT_TYPE}, application/json"}


class RegistryDown(Exception):
    """The registry did not answer, or answered that it cannot now; trying again may help."""


class RegistryRefused(Exception):
    """The registry answered no; trying the same again will not help.

    ``status`` is the HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


class Registry:
    """The few calls of the Confluent API that the project needs; each is one request."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5.0,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Remember how to ask.

        Args:
            url: the base URL, up to and with the API's path (``…/apis/ccompat/v7``).
            timeout_s: how long one request may take, the look-up of the name aside.
            login: user (or API key) and password, sent as basic authentication (RFC 7617).
            tls: whom to trust; the system's authorities where it is None.
        """
        self.url = url.rstrip("/")
        self._access = Access(timeout_s, login, tls)

    def find(self, subject: str, text: str) -> int | None:
        """Return the id of this very schema under the subject, or None when it has none.

        Raises:
            RegistryDown, RegistryRefused
        """
        try:
            answer = self._call("POST", f"/subjects/{_quoted(subject)}", {"schema": text})
        except RegistryRefused as refusal:
            if refusal.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise
        return int(answer["id"])

    def register(self, subject: str, text: str) -> int:
        """Return the schema's id under the subject, registering it when it is new there.

        Raises:
            RegistryDown, RegistryRefused: the latter with status 409 when it is incompatible.
        """
        answer = self._call("POST", f"/subjects/{_quoted(subject)}/versions", {"schema": text})
        return int(answer["id"])

    def text(self, schema_id: int) -> str:
        """Return the schema registered under an id.

        Raises:
            RegistryDown, RegistryRefused
        """
        return str(self._call("GET", f"/schemas/ids/{schema_id}")["schema"])

    def complaints(self, subject: str, text: str) -> list[str]:
        """Return why the schema may not follow the subject's newest; empty when it may.

        Raises:
            RegistryDown, RegistryRefused
        """
        path = f"/compatibility/subjects/{_quoted(subject)}/versions/latest?verbose=true"
        try:
            answer = self._call("POST", path, {"schema": text})
        except RegistryRefused as refusal:
            if refusal.status == http.HTTPStatus.NOT_FOUND:
                return []
            raise
        if answer.get("is_compatible"):
            return []
        return [str(message) for message in answer.get("messages", [])] or ["incompatible"]

    def require_backward(self, subject: str) -> None:
        """Let the registry refuse a version that readers of the new one could not use for old data.

        Raises:
            RegistryDown, RegistryRefused
        """
        self._call("PUT", f"/config/{_quoted(subject)}", {"compatibility": "BACKWARD_TRANSITIVE"})

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        try:
            return ask(method, self.url + path, data, _HEADERS, self._access)
        except urllib.error.HTTPError as error:
            detail = f"registry {self.url}: {method} {path}: {error.code} {_message(error)}"
            if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise RegistryDown(detail) from error
            raise RegistryRefused(detail, error.code) from error
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise RegistryDown(f"registry {self.url}: {method} {path}: {error}") from error


def _quoted(subject: str) -> str:
    return urllib.parse.quote(subject, safe="")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error).get("message", ""))
    except (OSError, ValueError, AttributeError):
        return str(error.reason)


class SchemaIds:
    """Schema ids of one registry, kept in a small JSON file that is replaced as a whole."""

    def __init__(self, path: Path, registry: Registry) -> None:
        """Read the file if there is one; an unreadable one is as good as none."""
        self._path = path
        self._registry = registry
        self._ids = _read(path)

    def cached(self, subject: str, contract: ContractName) -> int | None:
        """Return the id as last confirmed, without asking the registry."""
        return self._ids.get(self._key(subject, contract))

    def confirmed(self, subject: str, contract: ContractName) -> int:
        """Ask the registry for the id, registering the contract where it is new, and keep it.

        Raises:
            RegistryDown, RegistryRefused
        """
        text = contract_text(contract)
        schema_id = self._registry.find(subject, text)
        if schema_id is None:
            schema_id = self._registry.register(subject, text)
        key = self._key(subject, contract)
        if self._ids.get(key) != schema_id:
            self._ids[key] = schema_id
            replace(self._path, json.dumps(self._ids, indent=1, sort_keys=True))
        return schema_id

    def _key(self, subject: str, contract: ContractName) -> str:
        return f"{self._registry.url} {subject} {fingerprint(contract)}"


def _read(path: Path) -> dict[str, int]:
    try:
        ids = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(ids, dict):
        return {}
    return {key: value for key, value in ids.items() if type(value) is int}
