"""What a worker knows of rules, devices and commands: all that the topics hold for an event time.

    pane ends at 10:30 ──▶ has this worker read the topics since somebody's clock passed 10:30?
                 yes ──▶ decide            no ──▶ where do they end now? read so far, then decide

A set of rules is on its topic before it holds, and a pane comes after its end; so every worker has
read all sets that hold at a pane's end when it decides the pane, after a restart as well. That is
what a broadcast stream could not promise: it gives no order to what comes on the other input.
"""

import logging
import time
from typing import NamedTuple, TypeVar

from schemas.codec import decode, unframe
from schemas.contracts import plain
from schemas.records import AlertCommand, DeadLetter, Device, RuleSet
from schemas.registry import Registry, RegistryDown, RegistryRefused
from stream.commands import Commands, said
from stream.fleet import Fleet, key_parts
from stream.jobs.feed import Feed, News
from stream.rule_sets import Engines, Refused, admitted
from stream.rules import parse_rules

_log = logging.getLogger("tidegate.known")
_PAUSE_S = 0.5
_CLOCKS_APART_MS = 60_000
"""How far clocks of workers and brokers may be apart; an older pane needs no look at the topics."""
_MOST_LETTERS = 1000

R = TypeVar("R", RuleSet, Device, AlertCommand)


class Given(NamedTuple):
    """What a job is submitted with.

    Attributes:
        rules: a rule file's text, already validated; it holds wherever no pushed set does.
        after: pushed sets of this version or a lower one do not count: these rules replace them.
        panes: the pane operator's argument: sizes by metric in ms.
    """

    rules: str
    after: int
    panes: str


class Source(NamedTuple):
    """Where people push what workers are to know, and the ids of this release's contracts."""

    bootstrap: str
    registry_url: str
    rules_topic: str
    devices_topic: str
    commands_topic: str
    rules_id: int
    devices_id: int
    commands_id: int

    def feed(self) -> Feed:
        """Return the topics from their beginning on."""
        return Feed(self.bootstrap, (self.rules_topic, self.devices_topic, self.commands_topic))


class Known:
    """Rules, devices and commands as one worker knows them."""

    def __init__(self, given: Given, source: Source, feed: Feed) -> None:
        """Read the topics to their ends as of now."""
        self.fleet = Fleet()
        self.engines = Engines(parse_rules(given.rules), self.fleet)
        self.commands = Commands()
        self._letters: list[DeadLetter] = []
        self._given = given
        self._source = source
        self._feed = feed
        self._newest = 0
        self._known_to = 0
        self.up_to(1)

    def up_to(self, at: int) -> None:
        """Make sure that everything is known which was pushed before the event time ``at``, ms.

        ``at`` has passed by the clock of the broker: it is the end of a pane that is complete.
        """
        if at <= self._known_to:
            return
        now_ms = time.time_ns() // 1_000_000
        self._feed.catch_up(self._take)
        # Nothing that claims to be later than every clock may keep this from looking again.
        sure = min(at, now_ms + _CLOCKS_APART_MS)
        self._known_to = max(sure, self._known_to, now_ms - _CLOCKS_APART_MS)

    def newest_version(self) -> int:
        """Return the highest version on the topic, whether it holds already, or was refused."""
        return self._newest

    def letters(self) -> list[DeadLetter]:
        """Return what was refused since this was called last."""
        found, self._letters = self._letters, []
        return found

    def _take(self, news: News) -> None:
        try:
            if news.topic == self._source.rules_topic:
                self._rules(news)
            elif news.topic == self._source.commands_topic:
                self._command(news)
            else:
                self._device(news)
        except ValueError as error:
            _log.warning("%s-%s at %s: %s", news.topic, news.partition, news.offset, error)
            del self._letters[_MOST_LETTERS:]
            self._letters.append(_letter(news, str(error)))

    def _rules(self, news: News) -> None:
        if news.value is None:
            return  # superseded long ago; who knows it still may keep it
        given = self._decoded(RuleSet, news.value, self._source.rules_id)
        newest, self._newest = self._newest, max(self._newest, given.version)
        if given.version > self._given.after:
            self.engines.know(admitted(given, news.at, newest, self._given.panes))

    def _device(self, news: News) -> None:
        if news.value is not None:
            self.fleet.know(self._decoded(Device, news.value, self._source.devices_id))
        elif (of := key_parts(news.key)) is not None:
            self.fleet.forget(*of)

    def _command(self, news: News) -> None:
        if news.value is not None:
            command = self._decoded(AlertCommand, news.value, self._source.commands_id)
            self.commands.know(said(news.at, command))

    def _decoded(self, kind: type[R], value: bytes, own_id: int) -> R:
        schema_id, _body = unframe(value)
        if schema_id == own_id:
            return decode(kind, value)
        return decode(kind, value, self._writer(schema_id))

    def _writer(self, schema_id: int) -> object:
        """Return another release's contract; the registry is waited for."""
        registry = Registry(self._source.registry_url)
        while True:
            try:
                return plain(registry.text(schema_id))
            except RegistryRefused as error:
                raise Refused(f"schema {schema_id}: {error}") from error
            except RegistryDown as error:
                _log.warning("waiting for the registry: %s", error)
                time.sleep(_PAUSE_S)


def _letter(news: News, why: str) -> DeadLetter:
    return DeadLetter(
        origin="JOB",
        reason="PUSHED",
        detail=why[:1000],
        payload=news.value or b"",
        at=news.at,
        kafka_topic=news.topic,
        kafka_partition=news.partition,
        kafka_offset=news.offset,
    )
