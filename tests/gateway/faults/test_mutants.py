"""T17: the model of ``test_model.py`` catches a gateway that breaks its promise, in every way we know.

Each mutant is a mistake that a gateway of this kind has been known to make. What a lost fsync does
is in ``test_crash_model.py``.
"""

from collections.abc import Callable
from typing import Any

import edge_model
import pytest
from edge_machine import IN_CI, Machine
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway import session, spool
from gateway.delivery import InFlight, Window
from gateway.message import Arrivals, Done
from gateway.redelivery import Redelivery
from gateway.spool import Spool
from gateway.spool_file import Place
from gateway.spooling import Spooling

SEARCH = settings(
    IN_CI,
    max_examples=1500,
    phases=[Phase.generate],
    database=None,
    report_multiple_bugs=False,
    derandomize=True,
)
Patch = Callable[[pytest.MonkeyPatch], None]


def acknowledges_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    append = Spooling._append

    def early(self: Spooling, opened: Spool) -> None:
        for arrivals in self._pending:
            self._on_done(Done(arrivals.epoch, arrivals.mids))
        append(self, opened)

    patch.setattr(Spooling, "_append", early)


def acknowledges_all_of_what_fits_in_part(patch: pytest.MonkeyPatch) -> None:
    what_fits = Spooling._append_what_fits

    def generous(self: Spooling, opened: Spool) -> None:
        what_fits(self, opened)
        self._committed(self._pending)
        self._pending = []

    patch.setattr(Spooling, "_append_what_fits", generous)


def acknowledges_on_whatever_connection_there_is(patch: pytest.MonkeyPatch) -> None:
    """W12: the check is the source's; the real one's is in ``test_mqtt.py``."""
    ack = edge_model.Broker.ack
    patch.setattr(edge_model.Broker, "ack", lambda self, _epoch, mids: ack(self, self.epoch, mids))


def gives_numbers_again(patch: pytest.MonkeyPatch) -> None:
    """Counts on from the rows there are, as SQLite does without AUTOINCREMENT."""
    places = spool.places

    def forgetful(db: Any) -> list[Place]:
        found = []
        for lane, place in enumerate(places(db)):
            ends = (lane << 48, (lane + 1) << 48)
            row = db.execute("SELECT max(id) FROM batch WHERE id > ? AND id < ?", ends).fetchone()
            found.append(place._replace(last_id=row[0] or ends[0]))
        return found

    patch.setattr(spool, "places", forgetful)


def discards_what_is_not_delivered(patch: pytest.MonkeyPatch) -> None:
    """W8."""

    def hasty(self: Window) -> list[InFlight]:
        items = list(self._items)
        self._items.clear()
        return items

    patch.setattr(Window, "delivered", hasty)


def discards_what_is_delivered_behind_what_is_not(patch: pytest.MonkeyPatch) -> None:
    def gappy(self: Window) -> list[InFlight]:
        over = [item for item in self._items if item.is_over]
        for item in over:
            self._items.remove(item)
        return over

    patch.setattr(Window, "delivered", gappy)


def goes_on_without_going_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(edge_model.Feed, "rewind", lambda _self: None)


def takes_every_dup_for_known(patch: pytest.MonkeyPatch) -> None:
    """W14."""

    def novel(_self: Redelivery, arrivals: Arrivals, _resumes: int | None) -> Arrivals:
        if arrivals.chunks[0].packets[0] & edge_model.DUP:
            return arrivals._replace(chunks=[])
        return arrivals

    patch.setattr(Redelivery, "novel", novel)


def buries_what_it_may_not_send(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session, "POISONOUS", session.POISONOUS | {edge_model.AUTHORISATION})


MUTANTS: list[Patch] = [
    acknowledges_before_the_commit,
    acknowledges_all_of_what_fits_in_part,
    acknowledges_on_whatever_connection_there_is,
    gives_numbers_again,
    discards_what_is_not_delivered,
    discards_what_is_delivered_behind_what_is_not,
    goes_on_without_going_back,
    takes_every_dup_for_known,
    buries_what_it_may_not_send,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_model_catches_a_gateway_that(mutant: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=SEARCH)
