"""One engine: the job's alerts and windows are the backtest's, to the byte.

On one worker or four, with readings in order or in any that the lateness allows, through a kill.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from determinism_rig import decided, joined_rules, recorded, shuffled, side_by_side, taken
from e2e_rig import Readings, prepare, records, stop, submit
from stack_fixture import RunningStack, eventually

from compose.consumed import committed
from gateway.follow import ends, follow
from schemas.codec import decode, encode, unframe
from schemas.records import Alert, DeadLetter, Reading, WindowFeatures, reading_key
from simulators.clock import MINUTE_MS
from simulators.scenario import SCENARIOS
from stream.fleet import placed
from stream.pane_sizes import pane_ms
from stream.rules import parse_rules

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1500)]
LATENESS_MS = 16 * MINUTE_MS
"""Longer than slides and intervals: readings of several windows come mixed up."""

Bodies = dict[bytes, list[bytes]]
"""Records by key in order, as Avro without the frame, which names a topic's own schema id."""


class Given(NamedTuple):
    """What goes into each run, and what has to come out of it."""

    rules: str
    devices: Sequence[Sequence[Reading]]
    alerts: Bodies
    windows: Bodies
    late: Counter[tuple[object, ...]]


@pytest.fixture(scope="module")
def given(request: pytest.FixtureRequest) -> Given:
    """All recorded data, and what the backtest makes of it."""
    ims = request.config.getoption("--ims")
    devices = recorded(None if ims is None else Path(ims))
    text = joined_rules()
    rules = parse_rules(text)
    made = [taken(own, pane_ms(rules), LATENESS_MS) for own in devices]
    alerts: Bodies = {}
    windows: Bodies = {}
    for decision in decided(rules, (each for own in made for each in own.in_panes)):
        for alert in decision.alerts:
            alerts.setdefault(alert.fingerprint.encode(), []).append(body(encode(alert, 0)))
        for window in decision.windows:
            key = f"{window.device_id}|{window.metric}".encode()
            windows.setdefault(key, []).append(body(encode(placed(window, None), 0)))
    late = Counter(reading_key(each) for own in made for each in own.late)
    return Given(text, devices, alerts, windows, late)


def body(value: bytes) -> bytes:
    return unframe(value)[1]


def bodies(stack: RunningStack, topic: str) -> Bodies:
    """Return what is committed on a topic."""
    found: Bodies = {}
    for batch in follow(stack.endpoints.kafka_bootstrap, topic, until_end=True):
        for message in batch:
            found.setdefault(message.key(), []).append(body(message.value()))
    return found


def differences(
    found: Bodies, expected: Bodies, kind: type[Alert] | type[WindowFeatures]
) -> list[str]:
    """Say of each key what is first found in place of what is expected."""

    def told(records: list[bytes], place: int) -> str:
        return str(decode(kind, bytes(5) + records[place])) if place < len(records) else "nothing"

    wrong = []
    for key in sorted(found.keys() | expected.keys()):
        has, should = found.get(key, []), expected.get(key, [])
        if has != should:
            same = sum(1 for _ in common(has, should))
            wrong.append(f"{key!r} {same}: {told(has, same)} in place of {told(should, same)}")
    return wrong


def common(one: Iterable[bytes], other: Iterable[bytes]) -> Iterable[bytes]:
    for each, its in zip(one, other, strict=False):
        if each != its:
            return
        yield each


def once(found: Bodies) -> Bodies:
    """Leave out what came before: windows of two rules may be equal, so do it on both sides."""
    return {key: list(dict.fromkeys(rows)) for key, rows in found.items()}


class Job:
    """The alerts job on readings of its own."""

    def __init__(self, stack: RunningStack, prefix: str) -> None:
        self.stack, self.prefix = stack, prefix
        self.readings = Readings(stack.endpoints, prefix)

    def end(self, topic: str) -> int:
        return sum(ends(self.stack.endpoints.kafka_bootstrap, self.prefix + topic).values())

    def feed(self, readings: Iterable[Reading]) -> None:
        for each in readings:
            self.readings.send(each)
        self.readings.flush()

    def is_through(self) -> bool:
        """Say whether a checkpoint has been completed behind all that there is to read."""
        kafka, topic = self.stack.endpoints.kafka_bootstrap, f"{self.prefix}readings"
        last = ends(kafka, topic)
        return committed(kafka, f"{self.prefix}alerts", topic, sorted(last)) == last

    def finish(self) -> None:
        eventually(f"the job of {self.prefix} is through", self.is_through, 600)

    def feed_through_a_kill(self, readings: Sequence[Reading]) -> None:
        """Kill the TaskManager behind a checkpoint, while results come out that none holds yet."""
        third = len(readings) // 3
        self.feed(readings[:third])
        self.finish()
        held = self.end("windows")
        self.feed(readings[third : 2 * third])
        eventually("results are coming out", lambda: self.end("windows") > held, 120)
        killed = self.stack.kill("taskmanager")
        assert not self.is_through(), "nothing was on its way when it was killed"
        self.feed(readings[2 * third :])
        self.stack.await_restart("taskmanager", killed)


@pytest.mark.parametrize(
    ("name", "parallelism", "seed"),
    [("ordered", 1, None), ("shuffled", 4, 1), ("killed", 4, 2)],
)
def test_the_job_says_to_the_byte_what_the_backtest_says(
    stack: RunningStack, tmp_path: Path, given: Given, name: str, parallelism: int, seed: int | None
) -> None:
    prefix = f"same-{name}."
    prepare(stack.endpoints, prefix, partitions=4)
    rules = tmp_path / "rules.yaml"
    rules.write_text(given.rules)
    submit(
        stack, "alerts", prefix, f"--rules={rules}", f"--parallelism={parallelism}",
        f"--lateness={LATENESS_MS}ms", "--checkpoint-interval=3s",
    )  # fmt: skip
    job = Job(stack, prefix)
    try:
        if seed is None:
            job.feed(each for own in given.devices for each in own)
        else:
            rng = random.Random(seed)
            mixed = [list(shuffled(own, LATENESS_MS, rng)) for own in given.devices]
            assert mixed != given.devices
            readings = list(side_by_side(mixed))
            (job.feed_through_a_kill if name == "killed" else job.feed)(readings)
        job.finish()
    finally:
        stop(stack, "alerts", prefix)
    check(stack, prefix, given, killed=name == "killed")


def check(stack: RunningStack, prefix: str, given: Given, *, killed: bool) -> None:
    """Hold everything that came out against the backtest; only a kill makes windows come again."""
    assert differences(bodies(stack, f"{prefix}alerts"), given.alerts, Alert) == []
    windows = bodies(stack, f"{prefix}windows")
    found, expected = (once(windows), once(given.windows)) if killed else (windows, given.windows)
    assert differences(found, expected, WindowFeatures) == []
    late = Counter(reading_key(each) for each in records(stack.endpoints, f"{prefix}late", Reading))
    assert late.keys() == given.late.keys()
    assert late == given.late or killed
    assert records(stack.endpoints, f"{prefix}dead-letters", DeadLetter) == []


def test_there_is_something_to_compare(given: Given) -> None:
    alerts = [decode(Alert, bytes(5) + each) for own in given.alerts.values() for each in own]
    raised = {each.site for each in alerts}
    assert raised >= {name for name, of in SCENARIOS.items() if of.expected} | {"nab", "rig"}
    assert len({each.rule for each in alerts}) > 20
    assert {"FIRED", "RESOLVED", "ESCALATED", "DEESCALATED"} <= {each.event for each in alerts}
    assert given.late, "no clock was set back"
