"""Markers and backlog flags, as the uplink makes them."""

import json

from edge_fakes import chunk
from edge_session import Rig, settle, value

from gateway.markers import moment
from gateway.message import INTERNAL, Batch, Stored
from gateway.packets import split
from gateway.quiet import Policy


def test_backlog_is_flagged_as_replayed() -> None:
    rig = Rig()
    rig.put(1, [value(1)], age_ms=31_000)
    rig.put(2, [value(2)])
    settle(rig, 2)
    assert [r.replayed for r in rig.readings] == [True, False]


def test_a_quiet_device_gets_a_marker_behind_everything_spooled() -> None:
    rig = Rig(Policy(1000, 10**9, 100))
    rig.put(1, [json.dumps({"value": 1, "ts": 5_000}).encode()], age_ms=3000)
    settle(rig, 1)
    rig.session._tick_at = 0.0
    rig.session._turn()
    (own,) = rig.feed.own
    assert own.flags & INTERNAL
    ((_, _, payload),) = split(own.packets, v5=False)
    body = json.loads(payload)
    assert body[:3] == ["s.d", "s", True]
    assert 5_000 + 3000 <= body[3] < 5_000 + 8000


def test_no_marker_is_made_while_the_spool_has_more() -> None:
    rig = Rig(Policy(1000, 10**9, 100))
    rig.feed.drained = lambda: False  # type: ignore[method-assign]
    rig.put(1, [value(1)], age_ms=3000)
    settle(rig, 1)
    rig.session._tick_at = 0.0
    rig.session._turn()
    assert rig.feed.own == []


def test_a_marker_is_sent_and_moves_no_device_clock_at_the_gateway() -> None:
    rig = Rig()
    now = moment()
    body = json.dumps(["s.d", "s", True, 123]).encode()
    own = chunk(body, topic=b"$tidegate/marker", ts=now.ts, mono=now.mono, flags=INTERNAL)
    rig.feed.batches.append(Batch(1, 1, [Stored(4096, 7, own)], None))
    settle(rig, 1)
    (marker,) = rig.readings
    assert (marker.kind, marker.ts, marker.device_id) == ("MARKER", 123, "s.d")
    assert len(rig.quiet) == 0
