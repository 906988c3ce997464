"""The configuration in force, and how another takes its place while the gateway runs.

A file is read and checked, and every secret and certificate with it, before anything is touched;
if one thing is wrong, or needs a restart, everything stays as it was. Then, in this order:

1. the uplink goes on with the new routes, and with the old ones behind them for what they alone
   fit, at the end of a batch and with its producer, unless that needs other settings;
2. the connection subscribes to what is new, and then ends what is not wanted any more;
3. once that is confirmed and Kafka has all that came before, the old routes go.

So a message that was acknowledged under an old route becomes a reading by it. No session is lost,
and a new MQTT connection is made only where one is needed.
"""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway import assembly, config, logs, sections
from gateway.assembly import Gateway, Outfit
from gateway.certificates import not_after
from gateway.files import Watched
from gateway.kafka import Link, Recoverable
from gateway.reload import Change, changes
from gateway.routes import Route
from gateway.sections import Config
from gateway.upkeep import What
from gateway.uplink import Turn
from schemas.config import Complaint, ConfigError, told
from schemas.failure import BadConfig
from schemas.toml_lines import key_lines

_log = logging.getLogger("tidegate.daemon")
_LOOK_EVERY_S = 3.0
# The spool's level is as of some moment before; by then it is from behind the last confirmation.
_LEVEL_S = 1.0
_NEEDS_RESTART = "cannot change while it runs; start the gateway again for it"


class Force(NamedTuple):
    """A configuration and what its text is called."""

    config: Config
    version: str


class Settled(NamedTuple):
    """When the broker had confirmed the present filters, on both clocks."""

    mono_s: float
    wall_ms: int


def read(path: Path) -> Force:
    """Read a configuration, offline.

    Raises:
        ConfigError: with everything that is wrong.
    """
    return Force(config.read(path), config.version(path))


class Live:
    """Changes the parts of a running gateway; for the main thread."""

    def __init__(self, path: Path, force: Force, gateway: Gateway) -> None:
        """Take the configuration the gateway was built from."""
        self._path = path
        self._now = force
        self._folder = Path(force.config.gateway.data_dir)
        self._running = gateway.running
        self._parts = gateway.parts
        self._upkeep = gateway.running.upkeep
        self._outfit = gateway.outfit
        self._fallback: list[Route] = []
        self._settled: Settled | None = None
        self._then: Callable[[], None] | None = None
        self._is_tidy = False
        self._look_at_s = 0.0
        self._watch()

    @property
    def config(self) -> Config:
        """Return the configuration in force."""
        return self._now.config

    @property
    def busy(self) -> bool:
        """Return whether a new configuration has been taken and is not in force everywhere yet."""
        return self._then is not None

    def hangup(self) -> None:
        """Read the file again and go over to what it says, or say why not."""
        try:
            force = read(self._path)
            found = changes(self.config, force.config)
            _refuse_fixed(self._path, found)
            outfit = _tried(force.config)
        except (BadConfig, OSError) as error:
            self._refused("config", error)
            return
        if force != self._now or self._mqtt_files.differ() or self._kafka_files.differ():
            self._go_over(force, outfit, found)
        else:
            self._accepted("config", "nothing has changed")

    def turn(self, now_s: float) -> None:
        """Do what is due; ``now_s`` is the monotonic clock."""
        if self._then is not None and self._running.uplink.settled:
            then, self._then = self._then, None
            then()
        elif self._fallback and self._is_over(now_s):
            self._fallback = []
            self._change(anew=False)
        if not self._is_tidy and self._then is None and self._running.connection.settled:
            self._is_tidy = True
            assembly.keep_filters(self._folder, self._outfit.filters)
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_EVERY_S
            if self._mqtt_files.changed():
                self._renew("mqtt")
            if self._kafka_files.changed():
                self._renew("kafka")

    def _go_over(self, force: Force, outfit: Outfit, found: list[Change]) -> None:
        former = [*sections.routes(self.config), *self._fallback]
        templates = {route.topic for route in force.config.routes}
        self._fallback = [route for route in former if route.template not in templates]
        self._settled, self._is_tidy = None, False
        self._now, self._outfit = force, outfit
        self._parts.quiet.adopt(assembly.quiet_policy(self.config))
        assembly.remember_filters(self._folder, outfit.filters)
        self._change(anew=self._kafka_files.differ())
        reconnect = any(change.how == "reconnect" for change in found)
        self._watch()

        def then() -> None:
            self._running.connection.adopt(outfit.endpoint, outfit.filters, reconnect=reconnect)
            self._upkeep.version = force.version
            logs.write_to(sys.stderr, self.config.log.format, self.config.log.level)
            named = ", ".join(change.name for change in found) or "no key"
            self._accepted("config", f"configuration {force.version} is in force, changed: {named}")

        self._then = then

    def _change(self, *, anew: bool) -> None:
        self._parts = assembly.parts(
            *self._now,
            self._outfit,
            self._folder,
            self._parts,
            self._fallback,
            self._running.connection.publish,
        )
        self._running.spooling.follow(assembly.devices_by(self.config, self._fallback))
        self._running.uplink.change(Turn(self._parts, self._outfit.producer, anew))

    def _is_over(self, now_s: float) -> bool:
        """Return whether all that came by old filters has left the spool."""
        if not self._running.connection.settled:
            self._settled = None
        elif self._settled is None:
            self._settled = Settled(now_s, time.time_ns() // 1_000_000)
        elif now_s - self._settled.mono_s > _LEVEL_S:
            oldest_ts = self._running.spooling.level.oldest_ts
            return oldest_ts is None or oldest_ts > self._settled.wall_ms
        return False

    def _renew(self, what: What) -> None:
        """Use replaced certificates and secrets: MQTT at its next connection, Kafka at once.

        The registry's count as Kafka's: the uplink takes both.
        """
        try:
            outfit = _tried(self.config)
        except (BadConfig, OSError) as error:
            self._refused(what, error)
            return
        self._outfit = outfit
        if what == "mqtt":
            connection = self._running.connection
            connection.adopt(outfit.endpoint, outfit.filters, reconnect=False)
        else:
            self._change(anew=True)
        self._note_ends()
        self._accepted(what, f"the {what} certificates and secrets were replaced")

    def _watch(self) -> None:
        self._mqtt_files = Watched(sections.mqtt_files(self.config.mqtt))
        self._kafka_files = Watched(sections.kafka_files(self.config))
        self._note_ends()

    def _note_ends(self) -> None:
        for expiry, path in zip(
            self._upkeep.expiries, sections.own_certificates(self.config), strict=True
        ):
            try:
                expiry.renewed(None if path is None else not_after(path.read_text("ascii")))
            except (OSError, ValueError) as error:
                _log.info("%s certificate: its end cannot be read: %s", expiry.side, error)
                expiry.renewed(None)

    def _accepted(self, what: What, told: str) -> None:
        self._upkeep.reloads[what, "ok"] += 1
        _log.info("%s", told, extra={"fields": {"reload": what, "config": self._now.version}})

    def _refused(self, what: What, error: Exception) -> None:
        self._upkeep.reloads[what, "refused"] += 1
        fields = {"reload": what, "config": self._now.version}
        for line in str(error).splitlines():
            _log.error("not taken over: %s", line, extra={"fields": fields})
        _log.error("everything stays as it was", extra={"fields": fields})


def _refuse_fixed(path: Path, found: list[Change]) -> None:
    """Refuse what cannot change now.

    Raises:
        ConfigError
    """
    fixed = [change for change in found if change.how == "restart"]
    if fixed:
        lines = key_lines(path.read_text("utf-8"))
        raise ConfigError(
            [told(Complaint(c.key, _NEEDS_RESTART), str(path), lines, {}) for c in fixed]
        )


def _tried(wanted: Config) -> Outfit:
    """Return what the connections need, held against what would refuse it.

    Raises:
        BadConfig: a secret, a certificate or a setting cannot be used.
    """
    outfit = assembly.equip(wanted)
    try:
        Link(outfit.producer, lambda: True, _nothing).drop()
    except Recoverable as error:
        raise BadConfig(f"[kafka] {error}") from error
    return outfit


def _nothing(_up: bool, _why: str) -> None:
    return None
