"""The simulated clock: whole weeks, so that weekday and hour of real series survive a shift."""

import re
from datetime import UTC, datetime

from schemas.failure import BadConfig

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
FIRST_MONDAY_MS = 4 * DAY_MS
"""1970-01-05T00:00Z."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def monday_before(at_ms: int) -> int:
    """Return the last Monday 00:00 UTC that is not after ``at_ms``."""
    return at_ms - (at_ms - FIRST_MONDAY_MS) % WEEK_MS


def weeks_to(first_ms: int, start_ms: int) -> int:
    """Return by how many ms, whole weeks of them, a series has to move.

    Its first time, ``first_ms``, then lies in [start_ms, start_ms + 7 days).
    """
    return -((first_ms - start_ms) // WEEK_MS) * WEEK_MS


def parse_time(text: str) -> int:
    """Return the ms since the epoch of an ISO 8601 time; one without an offset is UTC.

    Raises:
        ValueError: it is none.
    """
    at = datetime.fromisoformat(text.strip())
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return round(at.timestamp() * 1000)


def iso(at_ms: int) -> str:
    """Return a time as people read it: ``2026-01-05T06:30:00Z``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(at_ms: int) -> str:
    """Return a time as `iso` does, with its milliseconds where it has some."""
    rest = at_ms % 1000
    return f"{iso(at_ms)[:-1]}.{rest:03}Z" if rest else iso(at_ms)


def start_time(text: str | None, *, now_ms: int, span_ms: int) -> int:
    """Return where the simulated clock starts.

    Args:
        text: an ISO time, ``now``, or None for the latest Monday from which all is past by now:
            the gateway clamps timestamps in the future.
        now_ms: the wall clock.
        span_ms: how long the simulation lasts in event time.

    Raises:
        BadConfig: the text is no time.
    """
    if text is None:
        return monday_before(now_ms - span_ms)
    if text == "now":
        return now_ms
    try:
        start_ms = parse_time(text)
        iso(start_ms), iso(start_ms + span_ms)
    except (ValueError, OverflowError) as error:
        raise BadConfig(
            f"--start {text!r} is no time, or the simulation would end after the year 9999; write "
            "2026-01-05, 2026-01-05T06:00Z, or now"
        ) from error
    return start_ms


def run_site(now_ms: int) -> str:
    """Return a site prefix of this run's own: ``run-`` and the time in base 36."""
    digits = ""
    while now_ms:
        now_ms, digit = divmod(now_ms, 36)
        digits = _DIGITS[digit] + digits
    return f"run-{digits}"


def safe_name(text: str) -> str:
    """Return a file's or series' name as an id: other characters become ``_``, 64 at most."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:64] or "_"
