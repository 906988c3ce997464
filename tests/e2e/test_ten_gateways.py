"""Ten gateways that are away for different spans, beside two that never are, in one run."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from e2e_rig import (
    Gateway,
    await_sent,
    cancel,
    cut_off,
    eventually_records,
    gateway,
    gateway_toml,
    prepare,
    records,
    send,
    submit,
)
from paho.mqtt.client import Client
from stack_fixture import RunningStack, eventually

from gateway.bench.mosquitto import free_port
from schemas.records import Alert, Reading, WindowFeatures, reading_key

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1500)]
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
END = 30 * 60
"""Minutes from noon to the next day's evening; then three hours bring out the last windows."""
STEP, TAIL = 10, 180
AWAY: dict[str, list[tuple[int, int]]] = {
    "ten0": [(100, 110)],
    "ten1": [(130, 190)],
    "ten2": [(120, 360)],
    "ten3": [(300, 900)],
    "ten4": [(660, 840)],  # midnight is at 720
    "ten5": [(600, 1560)],
    "ten6": [(200, 260), (1000, 1300)],
    "ten7": [(60, 1740)],
    "ten8": [(420, 450)],
    "ten9": [(900, END)],  # back when all has been measured
}
"""By site, the minutes from and to which its gateway cannot reach Kafka."""
LIVE = ("live0", "live1")
SITES = (*AWAY, *LIVE)
LEFT, STAYED = "tenleft.", "tenstayed."


def shakes(site: str, minute: int) -> bool:
    """Say whether a site's pump shakes: an hour of eight, each site at another."""
    return (minute // 60 + SITES.index(site)) % 8 == 0


def starts(site: str, upto: int) -> list[int]:
    """Return when the shakes of a site began, up to a minute."""
    return [minute for minute in range(0, upto, 60) if shakes(site, minute)]


def play(client: Client, start_ms: int, minutes: range) -> None:
    """Send a reading a minute of each site's pump, and wait until the broker has them."""
    sent = []
    for minute in minutes:
        for site in SITES:
            value = (6.0 if shakes(site, minute) else 1.0) + 0.01 * (minute * 7 % 13)
            payload = {"value": value, "ts": start_ms + minute * MINUTE_MS, "seq": minute}
            sent.append(send(client, f"sensors/{site}/pump/vibration_rms", payload))
    await_sent(sent)


class Returning(NamedTuple):
    """What the live sites had as a gateway came back: alerts fired, and how long that took, s."""

    site: str
    minute: int
    fired: int
    waited_s: float


class Plant:
    """Twelve gateways on one broker, and the event time that their sensors are at."""

    def __init__(self, stack: RunningStack, folder: Path, start_ms: int) -> None:
        self._stack = stack
        self._start_ms = start_ms
        self._configs = {
            site: gateway_toml(
                folder / site, stack.endpoints, free_port(), name=site, prefix=LEFT, site=site
            )
            for site in SITES
        }
        self._gateways: dict[str, Gateway] = {}
        self.returns: list[Returning] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stopping:
            for site, config in self._configs.items():
                self._gateways[site] = Gateway(config)
                self._gateways[site].start(ready=False)
                stopping.callback(self._stop, site)
            for site, each in self._gateways.items():
                eventually(f"the gateway of {site} is ready", each.is_ready)
            yield

    def _stop(self, site: str) -> None:
        self._gateways[site].stop()

    def turn(self, minute: int) -> None:
        """Let gateways leave and come back as is planned for this minute."""
        back = [site for site, spans in AWAY.items() if minute in {to for _, to in spans}]
        for site in back:
            since = max(begin for begin, to in AWAY[site] if to == minute)
            self.returns.append(self._live_is_told(site, since, minute))
            self._begin(site, self._configs[site], ready=True)
        for site, spans in AWAY.items():
            if minute in {begin for begin, _ in spans}:
                self._begin(site, cut_off(self._configs[site]), ready=False)

    def _begin(self, site: str, config: Path, *, ready: bool) -> None:
        self._stop(site)
        self._gateways[site] = Gateway(config)
        self._gateways[site].start(ready=ready)

    def _live_is_told(self, site: str, since: int, minute: int) -> Returning:
        """See that live sites have their windows and alerts, and a site away nothing newer."""
        endpoints, begun = self._stack.endpoints, time.monotonic()

        def ahead(windows: list[WindowFeatures]) -> bool:
            newest = dict.fromkeys(SITES, 0)
            for each in windows:
                newest[each.site] = max(newest[each.site], self._minute(each.window_end))
            assert newest[site] <= since, f"{site} was not away"
            return all(newest[live] >= minute - 30 for live in LIVE)

        due = [(live, start) for live in LIVE for start in starts(live, minute - 120)]

        def told(alerts: list[Alert]) -> bool:
            return sum(each.event == "FIRED" and each.site in LIVE for each in alerts) >= len(due)

        eventually_records(endpoints, f"{LEFT}windows", WindowFeatures, ahead)
        found = eventually_records(endpoints, f"{LEFT}alerts", Alert, told)
        fired = sum(each.event == "FIRED" and each.site in LIVE for each in found)
        return Returning(site, minute, fired, time.monotonic() - begun)

    def _minute(self, at_ms: int) -> int:
        return (at_ms - self._start_ms) // MINUTE_MS


def outcome(
    stack: RunningStack, prefix: str, start_ms: int
) -> tuple[list[WindowFeatures], list[Alert]]:
    """Wait until all is told up to the end; return the windows and alerts up to there."""
    end_ms = start_ms + END * MINUTE_MS

    def through(windows: list[WindowFeatures]) -> bool:
        newest: dict[str, int] = {}
        for each in windows:
            newest[each.site] = max(newest.get(each.site, 0), each.window_end)
        return len(newest) == len(SITES) and min(newest.values()) >= end_ms

    over = sum(len(starts(site, END)) for site in SITES)

    def resolved(alerts: list[Alert]) -> bool:
        return sum(each.event == "RESOLVED" for each in alerts) >= over

    windows = eventually_records(stack.endpoints, f"{prefix}windows", WindowFeatures, through)
    alerts = eventually_records(stack.endpoints, f"{prefix}alerts", Alert, resolved)
    return (
        [each for each in windows if each.window_end <= end_ms],
        [each for each in alerts if each.window_end <= end_ms],
    )


def test_ten_gateways_away_change_no_window_and_no_alert_and_delay_nobody(
    stack: RunningStack, publisher: Client, tmp_path: Path
) -> None:
    start_ms = (time.time_ns() // 1_000_000 - 4 * DAY_MS) // DAY_MS * DAY_MS + DAY_MS // 2
    for prefix in (LEFT, STAYED):
        prepare(stack.endpoints, prefix)
        submit(stack, "alerts", prefix, "--rules=demo", "--checkpoint-interval=2s")
    plant = Plant(stack, tmp_path, start_ms)
    # It hears the very messages that the twelve hear, and is never away.
    never = gateway_toml(
        tmp_path / "never", stack.endpoints, free_port(), name="never", prefix=STAYED
    )
    try:
        with plant.running(), gateway(never):
            for minute in range(0, END + TAIL, STEP):
                plant.turn(minute)
                play(publisher, start_ms, range(minute, minute + STEP))
            stayed = outcome(stack, STAYED, start_ms)
            left = outcome(stack, LEFT, start_ms)
    finally:
        for prefix in (LEFT, STAYED):
            cancel(stack, "alerts", prefix)

    assert sorted(set(map(str, left[0]))) == sorted(set(map(str, stayed[0])))
    assert sorted(map(str, left[1])) == sorted(map(str, stayed[1]))
    ids = {each.alert_id for each in stayed[1]}
    assert len(ids) == sum(len(starts(site, END)) for site in SITES)
    late = late_readings(stack)
    for each in plant.returns:
        print(f"{each.site} back at minute {each.minute}: the live sites had {each.fired} alerts "
              f"{each.waited_s:.1f} s after their last reading")  # fmt: skip
    print(
        f"{(END + TAIL) * len(SITES)} readings, {len(set(map(str, stayed[0])))} windows, "
        f"{len(stayed[1])} records of {len(ids)} alerts: equal; {late} readings late"
    )


def late_readings(stack: RunningStack) -> int:
    """See that only what a restarted gateway sent a second time was late; return how many."""
    assert records(stack.endpoints, f"{STAYED}late", Reading) == []
    sent = Counter(
        reading_key(each) for each in records(stack.endpoints, f"{LEFT}readings", Reading)
    )
    late = records(stack.endpoints, f"{LEFT}late", Reading)
    assert all(sent[reading_key(each)] > 1 for each in late)
    return len(late)
