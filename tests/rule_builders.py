"""Readings, panes and rules for tests, with everything that a test does not care about filled in."""

from textwrap import dedent, indent
from typing import Any

from schemas.records import Reading
from stream.device_state import DeviceState
from stream.panes import Pane, fold_points
from stream.rule import Rules
from stream.rules import parse_rules

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PANE = 15 * MINUTE


def reading(**over: Any) -> Reading:
    """One good reading of temperature of plant.pump."""
    ts = over.get("ts", 0)
    usual: dict[str, Any] = {
        "device_id": "plant.pump", "metric": "temperature", "site": "plant", "kind": "READING",
        "unit": "degC", "gateway_id": "gw", "gateway_epoch": 1, "value": 20.0, "ts": ts,
        "device_ts": ts, "device_boot": None, "device_seq": None, "quality": "GOOD",
        "gateway_seq": 0, "part": 0, "repeat": 0, "received_ts": ts, "clock": "SYNCED",
        "replayed": False,
    }  # fmt: skip
    return Reading(**{**usual, **over})


def pane(
    index: int, *values: float, size: int = PANE, bad: int = 0, lag: int | None = None
) -> Pane:
    """The pane of a number, holding values evenly spread."""
    step = size // max(len(values), 1)
    start = index * size
    points = [(start + i * step, value) for i, value in enumerate(values)]
    return fold_points(start, start + size, points, bad=bad, lag=lag)


def rules(body: str, *, header: str = "version: 1") -> Rules:
    """A rule file from the text of its list of rules."""
    return parse_rules(f"{header}\nrules:\n{indent(dedent(body), '  ')}", "test.yaml")


class Store:
    """A device's state as the job has it: bytes by piece, loaded and put back at every pane."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}

    def load(self) -> DeviceState:
        return DeviceState(self.pieces.get)

    def keep(self, state: DeviceState) -> None:
        for key, data in state.changed():
            if data is None:
                del self.pieces[key]
            else:
                self.pieces[key] = data


NEVER = """
- name: never
  match: {metric: nothing_at_all}
  window: {size: 1d, slide: 1d}
  aggregate: mean
  compare: {op: ">=", to: value}
  severities: [{level: WARNING, enter: 1e300}]
"""


def asking(more: str) -> Rules:
    """A rule file whose only rule is for a metric that nothing has; ``more`` is the rest of it."""
    return rules(NEVER, header=f"version: 1\n{dedent(more)}")


def limit(
    severities: str,
    *,
    op: str = ">=",
    window: str = "{size: 15m, slide: 15m}",
    metric: str = "'*'",
    min_samples: int = 1,
) -> Rules:
    """One limit on the mean."""
    return rules(
        f"""
        - name: limit
          match: {{metric: {metric}}}
          window: {window}
          min_samples: {min_samples}
          aggregate: mean
          compare: {{op: "{op}", to: value}}
          severities: {severities}
        """
    )


OF = ("plant.pump", "temperature", "plant", "degC")
TWO_KINDS = """
- name: hot
  match: {metric: temperature}
  window: {size: 30m, slide: 15m}
  aggregate: max
  compare: {op: ">=", to: value}
  severities:
    - {level: WARNING, enter: 12, exit: 11, for: 15m, keep_firing_for: 30m}
    - {level: CRITICAL, enter: 14, exit: 13}
  annotations: {summary: "{{device_id}}: {{value}} {{unit}}, {{level}} from {{limit}}"}
  labels: {team: rotating}
- name: odd
  match: {metric: "*"}
  window: {size: 1h, slide: 15m, grow_to: 4h}
  min_samples: 4
  aggregate: mean
  compare: {op: "abs>=", to: zscore, baseline: short}
  severities: [{level: WARNING, enter: 2, keep_firing_for: 1h}]
"""
TWO_KINDS_HEADER = "version: 1\nbaselines:\n  short: {kind: decayed, n0: 200, warmup: 20}"


def two_kinds() -> Rules:
    """A limit with two severities, and a z-score against a baseline that forgets."""
    return rules(TWO_KINDS, header=TWO_KINDS_HEADER)
