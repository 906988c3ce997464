"""When certificates end, and when to say so.

The standard library shows the end of a peer's certificate and of authorities, not of one's own, so
the one field is read here: ``Certificate → tbsCertificate → validity → notAfter`` (RFC 5280,
section 4.1; DER by X.690).
"""

import logging
import re
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

_log = logging.getLogger("tidegate.daemon")
_DAY_S = 86_400
_WARN_DAYS = (30, 14, 3, 0)
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE = 0x30
_VERSION = 0xA0
_UTC_TIME = 0x17
_GENERALIZED_TIME = 0x18
# Before notAfter come the serial number, the algorithm, the issuer and, in its own sequence,
# notBefore.
_FIELDS_BEFORE_VALIDITY = 3


class _Element(NamedTuple):
    """A DER element: its tag, and where its content begins and ends."""

    tag: int
    begin: int
    end: int


def not_after(pem: str) -> int:
    """Return when the first of the certificates in a PEM text ends, seconds since the epoch.

    Raises:
        ValueError: there is none in it, or one that cannot be read.
    """
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise ValueError("no PEM certificate in it")
    return min(_not_after(ssl.PEM_cert_to_DER_cert(block)) for block in blocks)


def _not_after(der: bytes) -> int:
    try:
        certificate = _element(der, 0, _SEQUENCE)
        fields = _element(der, certificate.begin, _SEQUENCE)
        at = fields.begin
        if der[at] == _VERSION:
            at = _element(der, at).end
        for _ in range(_FIELDS_BEFORE_VALIDITY):
            at = _element(der, at).end
        validity = _element(der, at, _SEQUENCE)
        moment = _element(der, _element(der, validity.begin).end)
        return _seconds(moment.tag, der[moment.begin : moment.end].decode("ascii"))
    except (IndexError, ValueError) as error:
        raise ValueError(f"not a certificate: {error}") from error


def _element(der: bytes, at: int, tag: int | None = None) -> _Element:
    found, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    if begin + length > len(der) or tag not in (None, found):
        raise ValueError(f"unexpected element at byte {at}")
    return _Element(found, begin, begin + length)


def _seconds(tag: int, text: str) -> int:
    """Return a Time as seconds; two-digit years from 50 on are of the 1900s (4.1.2.5.1)."""
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"a time of type {tag}")
    return int(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp())


class Expiry:
    """Warns 30, 14 and 3 days before the certificate of one side ends, and once it has."""

    def __init__(self, side: str) -> None:
        """Name the side as a person knows it: mqtt, kafka."""
        self.side = side
        self.not_after: int | None = None
        self._warned = len(_WARN_DAYS) * [False]

    def renewed(self, not_after: int | None) -> None:
        """Take over the end of the certificate now in use, None when there is none to read."""
        if not_after != self.not_after:
            self._warned = len(_WARN_DAYS) * [False]
        self.not_after = not_after

    def look(self, now_s: float) -> None:
        """Warn if another line was crossed; ``now_s`` is the wall clock."""
        if self.not_after is None:
            return
        left_s = self.not_after - now_s
        crossed = [left_s <= days * _DAY_S for days in _WARN_DAYS]
        if any(_new(crossed, self._warned)):
            _log.warning(
                "the %s certificate %s",
                self.side,
                "has ended" if left_s <= 0 else f"ends in {left_s / _DAY_S:.1f} days",
                extra={"fields": {"side": self.side, "left_s": int(left_s)}},
            )
        self._warned = crossed


def _new(crossed: Iterable[bool], before: Iterable[bool]) -> list[bool]:
    return [now and not then for now, then in zip(crossed, before, strict=True)]
