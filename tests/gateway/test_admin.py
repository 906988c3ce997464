"""What the admin endpoint says, and that its metrics are the closed list."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gateway import admin
from gateway.clock import SystemClock
from gateway.message import Level
from gateway.metrics import NAMES, registry
from gateway.parts import Tally
from gateway.stamps import Stamps
from gateway.upkeep import Upkeep


def running(**over: Any) -> Any:
    tally = Tally()
    tally.reachable = tally.bound = True
    tally.dead["BAD_JSON"] = 3
    now = time.monotonic()
    parts = {
        "connection": SimpleNamespace(
            connected=True, subscribed=True, cause="", stale_acks=1, connects=2, dialing_until_s=0.0
        ),
        "net": SimpleNamespace(received=10, acked=9, duplicates=4, beat_s=now),
        "spooling": SimpleNamespace(level=Level(5, 100, 1000, False, 4, 0, 0), beat_s=now),
        "uplink": SimpleNamespace(tally=tally, cause="", devices=7),
        "quota": 1000,
        "synced": lambda: True,
        "upkeep": upkeep(),
    }
    return SimpleNamespace(**{**parts, **over})


def upkeep() -> Upkeep:
    made = Upkeep(SystemClock(), Stamps(Path("none"), 1, "b"), "12ab")
    made.expiries[0].renewed(1_790_000_000)
    made.reloads["config", "ok"] += 2
    return made


def get(path: str, parts: Any) -> tuple[int, Any]:
    answer = admin.answer(path, parts, registry(parts), 0.8)
    return answer.status, json.loads(answer.body)


def test_ready_when_everything_is() -> None:
    assert get("/readyz", running()) == (200, {"ready": True, "reasons": []})


def test_each_reason_is_told() -> None:
    off = SimpleNamespace(connected=False, subscribed=False, cause="refused")
    half = SimpleNamespace(connected=True, subscribed=False, cause="")
    down = Tally()
    down.bound = True
    cases = [
        ({"connection": off}, "mqtt: not connected (refused)"),
        ({"connection": half}, "mqtt: not subscribed (waiting for the broker)"),
        (
            {"uplink": SimpleNamespace(tally=Tally(), cause="registry down")},
            "registry: registry down",
        ),
        (
            {"uplink": SimpleNamespace(tally=down, cause="")},
            "kafka: no broker reachable (connecting)",
        ),
        ({"spooling": SimpleNamespace(level=Level(full=True))}, "spool: full;"),
        ({"spooling": SimpleNamespace(level=Level(used_bytes=900))}, "spool: 90 % of the quota"),
    ]
    for over, told in cases:
        status, body = get("/readyz", running(**over))
        assert status == 503
        assert any(reason.startswith(told) for reason in body["reasons"]), body


def test_a_thread_without_a_turn_for_a_minute_is_no_health() -> None:
    assert get("/healthz", running())[0] == 200
    stuck = running(net=SimpleNamespace(beat_s=time.monotonic() - 100))
    assert get("/healthz", stuck) == (503, {"alive": False, "stuck": ["net"]})
    stuck.connection.dialing_until_s = time.monotonic() + 1
    assert get("/healthz", stuck)[0] == 200, "a name's look-up takes its time"


def test_unknown_pages_name_the_known_ones() -> None:
    status, body = get("/nope", running())
    assert (status, body["pages"]) == (
        404,
        ["/healthz", "/readyz", "/metrics", "/thinned", "/version"],
    )
    assert get("/version", running())[0] == 200


def test_what_was_left_out_is_told_by_device_and_reason() -> None:
    parts = running()
    parts.uplink.tally.left_out({("p.a", "unchanged"): 2, ("p.b", "rate"): 5})
    parts.uplink.tally.left_out({("p.a", "unchanged"): 1})
    assert get("/thinned", parts)[1] == [
        {"device": "p.b", "reason": "rate", "readings": 5},
        {"device": "p.a", "reason": "unchanged", "readings": 3},
    ]


def test_the_metrics_are_the_closed_list_without_device_labels() -> None:
    parts = running()
    text = admin.answer("/metrics", parts, registry(parts), 0.8).body.decode()
    kinds = {
        line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")
    }
    assert {n for n in kinds if not n.endswith("_created")} == set(NAMES)
    assert 'tidegate_gateway_messages_rejected_total{reason="BAD_JSON"} 3.0' in text
    assert "tidegate_mqtt_messages_acknowledged_total 8.0" in text
    assert 'tidegate_config_reloads_total{result="ok",what="config"} 2.0' in text
    assert 'tidegate_config_info{version="12ab"} 1.0' in text
    assert 'tidegate_certificate_expiry_timestamp_seconds{side="mqtt"} 1.79e+09' in text
    assert 'side="kafka"} 1.79e+09' not in text, "no certificate, no end"
    labels = {
        part.split("=")[0]
        for line in text.splitlines()
        if "{" in line
        for part in line.split("{")[1].split(",")
    }
    assert labels <= {"reason", "side", "version", "le", "what", "result", "thread"}
