"""Times as people write them in files, ISO 8601 or ms since the epoch, one or a column of them."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - what is taken from it has no zone and means UTC
_DAY_MS = 86_400_000
_DIGITS = 15
"""Of ms since the epoch: those of the year 9999."""


def time_ms(text: str) -> int:
    """Return a time, ISO 8601 or ms since the epoch, as ms since the epoch.

    Raises:
        ValueError: it is none.
    """
    if text.isdigit():
        if len(text) > _DIGITS:
            raise ValueError(f"{text} ms since the epoch lie beyond all calendars")
        return int(text)
    at = datetime.fromisoformat(text.strip())
    if at.tzinfo is not None or at.microsecond % 1000:
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    # The same in a third of the time, where nothing is to be rounded.
    since = at - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def times_ms(stamps: Sequence[str]) -> list[int]:
    """Return what :func:`time_ms` says of each, in half the time where all are whole seconds."""
    if not any(map(str.isdigit, stamps)):
        with suppress(ValueError, TypeError):  # blanks around one, or a zone
            since = [at - _EPOCH for at in map(datetime.fromisoformat, stamps)]
            if {each.microseconds for each in since} <= {0}:
                return [each.days * _DAY_MS + each.seconds * 1000 for each in since]
    return list(map(time_ms, stamps))
