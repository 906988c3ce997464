"""The gateway's log: one line an event on stderr, for a person or for a program.

Three rules hold whatever a caller passes in. Nothing a device or a broker sent can end a line or
reorder it, since what is not printable is escaped. No secret the gateway has read appears. And one
kind of line comes at most so often a minute, the next one saying how many were left out.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["console", "json"]
LogLevel = Literal["warning", "info", "debug"]

# The start, the end, a new configuration: told at every level.
_ALWAYS = "tidegate.daemon"
_LIBRDKAFKA = "tidegate.librdkafka"
_BURST = 20
_PERIOD_S = 60.0
# A shorter text would blot out words by chance, and is no secret.
_SHORTEST_SECRET = 4
_HIDDEN = "***"
_secrets: set[str] = set()


def hide(secret: str) -> str:
    """Keep a secret out of every line from now on; return it."""
    if len(secret) >= _SHORTEST_SECRET:
        _secrets.add(secret)
    return secret


def write_to(stream: TextIO, style: LogFormat, level: LogLevel) -> None:
    """Log to a stream in this style from now on; what was set before is replaced."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Json() if style == "json" else Console())
    handler.addFilter(Moderation())
    root = logging.getLogger()
    for former in list(root.handlers):
        if isinstance(former.formatter, Console | Json):
            root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger(_ALWAYS).setLevel(logging.DEBUG if level == "debug" else logging.INFO)
    # Its lines repeat at every attempt; what matters of them is told once, by the uplink.
    logging.getLogger(_LIBRDKAFKA).setLevel(
        logging.CRITICAL if level == "warning" else level.upper()
    )


class Console(logging.Formatter):
    """``2026-01-31T08:00:00.000Z WARNING gateway.mqtt: …``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        name = record.name.removeprefix("tidegate.")
        line = f"{_when(record)} {record.levelname} {name}: {_message(record)}"
        return f"{line}\n{_trace(record)}" if record.exc_info else line


class Json(logging.Formatter):
    """One object a line: ts, level, logger, message, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "ts": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix("tidegate."),
            "message": _message(record),
        }
        for key, value in getattr(record, "fields", {}).items():
            fields.setdefault(key, _safe(value) if isinstance(value, str) else value)
        if record.exc_info:
            fields["trace"] = _trace(record)
        return json.dumps(fields, default=str)


class Moderation(logging.Filter):
    """Lets a kind of line (logger, level, text without its values) through now and then."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write it."""
        now, kind = self._now(), (record.name, record.levelno, str(record.msg))
        begun, count = self._seen.get(kind, (now, 0))
        if now - begun >= _PERIOD_S:
            record.left_out = max(count - _BURST, 0)
            begun, count = now, 0
        self._seen[kind] = (begun, count + 1)
        return count < _BURST


def printable(text: str) -> str:
    """Return the text with everything escaped that is not printable, line ends above all."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _safe(text: str) -> str:
    for secret in _secrets:
        text = text.replace(secret, _HIDDEN)
    return printable(text)


def _message(record: logging.LogRecord) -> str:
    left_out = getattr(record, "left_out", 0)
    tail = f" (and {left_out} more like it were left out)" if left_out else ""
    return _safe(record.getMessage()) + tail


def _trace(record: logging.LogRecord) -> str:
    text = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return "\n".join(map(_safe, text.splitlines()))


def _when(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
