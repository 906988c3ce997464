"""The state of many devices under one key: what PyFlink does for every key, it does for few.

A worker reaches its state by calls over gRPC and waits for each: one for every piece that it asks
for first, and at a bundle's end one for every key that has changed. A key for each device makes
those calls as many as the rows. A bucket is read whole when it is first asked for, and what has
changed in it goes back in one call. `Bucket.java` says which devices are in one.
"""

from collections.abc import Callable

from pyflink.datastream.state import MapState

MOST_PIECES = 10_000
"""Of a bucket that is read whole, and kept at hand; a larger one is asked piece by piece."""


class Buckets:
    """Pieces by device in the map state of a keyed stream whose keys are buckets."""

    def __init__(self, state: MapState) -> None:
        """Take the state; nothing is read yet."""
        self._state = state
        self._at_hand: set[str] = set()

    def reach(self, bucket: str) -> None:
        """Have the bucket whose turn it is at hand, so that its pieces are no calls."""
        if bucket not in self._at_hand:
            # PyFlink remembers what it has iterated over, and that there is no more.
            for _ in self._state.items():
                pass
            self._at_hand.add(bucket)

    def load(self, device_id: str) -> Callable[[str], bytes | None]:
        """Return what finds a device's pieces."""
        of = _of(device_id)
        return lambda piece: self._state.get(of + piece)

    def keep(self, device_id: str, piece: str, data: bytes | None) -> None:
        """Write a piece of a device; None removes it."""
        if data is None:
            self._state.remove(_of(device_id) + piece)
        else:
            self._state.put(_of(device_id) + piece, data)


def _of(device_id: str) -> str:
    """Return what a device's pieces begin with, and no other device's."""
    return f"{len(device_id)}:{device_id}/"
