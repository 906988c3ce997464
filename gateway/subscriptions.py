"""Which topic filters a session should hold, and what is known of those it does."""

from collections.abc import Sequence


class Subscriptions:
    """Wanted filters, dropped ones, and the requests on their way; no I/O of its own.

    The broker keeps subscriptions with the session. So what a former configuration subscribed to
    goes on bringing messages until it is ended, and it is ended only once everything wanted is
    confirmed: the other way round messages would fall between two overlapping filters.
    """

    def __init__(self, filters: Sequence[str], stale: Sequence[str]) -> None:
        """Take what is wanted, and what a session of an earlier process may still hold."""
        self.filters = list(filters)
        self.stale = [topic for topic in stale if topic not in filters]
        self._held = False
        self._asked: dict[int, list[str]] = {}
        self._ending: list[str] = []

    @property
    def settled(self) -> bool:
        """Return whether the session holds what is wanted and nothing else, as far as is known."""
        return self._held and not self.stale

    def connected(self, *, session: bool) -> list[str]:
        """Begin a connection; return what to subscribe to now.

        Args:
            session: whether the broker still has the session. It may lack a filter nonetheless,
                if it outlived a configuration.
        """
        self._asked.clear()
        if not session:
            self.stale = []
        elif self._held:
            return []
        self._held = False
        return self.filters

    def adopt(self, filters: Sequence[str]) -> list[str]:
        """Want these from now on; return what to subscribe to in addition."""
        added = [topic for topic in filters if topic not in self.filters]
        former = dict.fromkeys([*self.stale, *self.filters])
        self.stale = [topic for topic in former if topic not in filters]
        self.filters = list(filters)
        if added:
            self._held = False
        return added

    def asked(self, mid: int, filters: Sequence[str]) -> None:
        """Note a SUBSCRIBE that was sent."""
        self._asked[mid] = list(filters)

    def confirmed(self, mid: int, refused: Sequence[bool]) -> list[str]:
        """Take in a SUBACK; return the filters the broker refused."""
        filters = self._asked.pop(mid, [])
        found = [topic for topic, no in zip(filters, refused, strict=False) if no]
        self._held = not found and not self._asked
        return found

    @property
    def held(self) -> bool:
        """Return whether everything wanted is confirmed."""
        return self._held

    def ending(self) -> list[str]:
        """Return the stale filters, for an UNSUBSCRIBE that is sent now."""
        self._ending = self.stale
        return self.stale

    def ended(self) -> None:
        """Take in the UNSUBACK of what was last asked to end."""
        self.stale = [topic for topic in self.stale if topic not in self._ending]
