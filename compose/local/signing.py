"""Signed requests to S3 (AWS Signature Version 4, for requests without a body)."""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

_REGION = "us-east-1"
_ALGORITHM = "AWS4-HMAC-SHA256"
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def signed_headers(
    method: str, url: str, access_key: str, secret_key: str, now: datetime
) -> dict[str, str]:
    """Return the headers that sign a request for ``url``, whose query is in ``url`` already.

    Source: AWS documentation, "Create a signed AWS API request"; ``now`` is aware.
    """
    parts = urlsplit(url)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": _EMPTY_SHA256,
        "x-amz-date": stamp,
    }
    names = ";".join(headers)
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/"),
            parts.query,
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            _EMPTY_SHA256,
        ]
    )
    scope = f"{stamp[:8]}/{_REGION}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _hmac(
        _key(secret_key, stamp[:8]), f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    ).hex()
    credential = f"Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": f"{_ALGORITHM} {credential}"}


def list_url(endpoint: str, bucket: str) -> str:
    """Return the URL that lists at most one object of a bucket."""
    query = urlencode({"list-type": 2, "max-keys": 1})
    return f"{endpoint}/{bucket}?{query}"


def _key(secret_key: str, day: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for step in (day, _REGION, "s3", "aws4_request"):
        key = _hmac(key, step)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
