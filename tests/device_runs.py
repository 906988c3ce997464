"""Devices of several metrics, fed to the engine pane by pane."""

from dataclasses import dataclass, field

from rule_builders import PANE, Store, pane

from schemas.records import Alert, WindowFeatures
from stream.device_state import DeviceState
from stream.engine import Engine
from stream.panes import Pane
from stream.rule import Rules

Rows = list[tuple[str, Pane]]


@dataclass
class Device:
    """One device and its rules; ``stored`` makes its state go to bytes and back at every pane."""

    rules: Rules
    stored: bool = False
    state: DeviceState = field(default_factory=DeviceState)
    store: Store = field(default_factory=Store)
    windows: list[WindowFeatures] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.rules)

    def feed(self, *rows: tuple[str, Pane]) -> "Device":
        for metric, each in rows:
            if self.stored:
                self.state = self.store.load()
            made = self.engine.on_pane(self.state, "plant.pump", metric, "plant", None, each)
            if self.stored:
                self.store.keep(self.state)
            self.windows += made.windows
            self.alerts += made.alerts
        return self

    def told(self) -> list[tuple[str, int, str]]:
        """What happened, at which pane's end, to which metric."""
        return [(a.event, a.emitted_at // PANE, a.metric) for a in self.alerts]

    def evaluated(self) -> list[tuple[str, int]]:
        return [(w.metric, w.window_end // PANE) for w in self.windows]


def quarter(index: int, running: float | None = 1.0, **values: float) -> Rows:
    """A quarter of an hour of a device, in the order of the job."""
    told = values if running is None else values | {"running": running}
    return [(metric, pane(index, told[metric])) for metric in sorted(told)]
