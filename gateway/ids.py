"""Ids of devices, sites and metrics: held against a pattern before they become a key or a label."""

import re

from gateway.invalid import Invalid

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
METRIC = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def valid_id(kind: str, text: str) -> str:
    """Return a site's or a device's id when it is valid; ``kind`` says which.

    Raises:
        Invalid: BAD_ID.
    """
    if not ID.fullmatch(text):
        raise Invalid("BAD_ID", f"{kind} {text[:80]!r} does not match {ID.pattern}")
    return text


def metric_id(text: str) -> str:
    """Return a metric's name when it is valid.

    Raises:
        Invalid: BAD_ID.
    """
    if not METRIC.fullmatch(text):
        raise Invalid("BAD_ID", f"metric {text[:80]!r} does not match {METRIC.pattern}")
    return text
