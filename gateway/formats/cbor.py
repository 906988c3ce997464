"""CBOR (RFC 8949) as cbor2 reads it, with everything refused that no sensor sends.

Of its tags only times are taken (0 and 1): others stand for regular expressions, mail messages,
shared references or numbers of any size, which cost what they like to build.
"""

from io import BytesIO
from typing import Any

import cbor2

from gateway.invalid import Invalid

_MOST_DEPTH = 32
_TIMES = (0, 1)
_OTHER_TAGS = (2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000)


def document(payload: bytes) -> Any:
    """Return the one item that a payload is.

    Raises:
        Invalid: BAD_PAYLOAD.
    """
    stream = BytesIO(payload)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse,
        semantic_decoders=dict.fromkeys(_OTHER_TAGS, _refuse),
        max_depth=_MOST_DEPTH,
        allow_duplicate_keys=False,
    )
    try:
        item = decoder.decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise Invalid("BAD_PAYLOAD", f"not CBOR: {str(error)[:150]}") from error
    if stream.tell() != len(payload):
        raise Invalid("BAD_PAYLOAD", f"{len(payload) - stream.tell()} bytes behind the CBOR item")
    return item


def _refuse(*_args: Any) -> Any:
    raise cbor2.CBORDecodeError("a tag that stands for no time")
