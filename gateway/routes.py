"""From an MQTT topic to site, device and metric.

A route's topic is written with named wildcards, ``sensors/{site}/{device}/{metric}``; each name
stands for one whole level. Ids are validated here, before they become a Kafka key or a label.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.ids import ID, METRIC, metric_id, valid_id
from gateway.invalid import Invalid
from gateway.payloads import Format, Parse, Payload, plain
from gateway.shape import Shape

_NAME = re.compile(r"\{([a-z_]+)\}")
_NAMESPACE = re.compile(r"spBv1\.0/(\{site\}|[^/+#{}\x00]+)/#")
# Bounds the cache below; a fleet within one gateway's reach has far fewer topics.
_MAX_TOPICS = 20_000


class Route(NamedTuple):
    """One line of the routing table, compiled; ``metric`` and ``site`` may be fixed."""

    template: str
    mqtt_filter: str
    pattern: re.Pattern[str]
    parse: Parse
    site: str | None
    metric: str | None
    unit: str | None
    bind: Callable[[str], Parse] | None = None
    shape: Shape | None = None


class Target(NamedTuple):
    """Where a topic leads; ``metric`` and ``device_id`` are empty where the payload names them."""

    device_id: str
    site: str
    metric: str
    parse: Parse
    unit: str | None
    shape: Shape | None = None


def compile_route(
    template: str,
    payload: Format | Payload,
    *,
    site: str | None = None,
    metric: str | None = None,
    unit: str | None = None,
) -> Route:
    """Check a route and return it compiled.

    Args:
        template: its topic.
        payload: how its payloads are read; a plain format by its name.
        site: the site, where the topic does not name it.
        metric: the metric, where neither topic nor payload names it.
        unit: the unit, where the payload does not say it.

    Raises:
        ValueError: with what is wrong with it, for the person who wrote it.
    """
    form = payload if isinstance(payload, Payload) else plain(payload)
    if form.bind is not None:
        return _namespace(template, form, site, metric, unit)
    levels = template.split("/")
    names = [match[1] for level in levels if (match := _NAME.fullmatch(level))]
    _check_levels(template, levels, names)
    if ("site" in names) == (site is not None):
        raise ValueError('needs its site once: as "{site}" in the topic or as site = "…"')
    if "device" not in names and not form.names_devices:
        raise ValueError('needs "{device}" as one level of the topic')
    metrics = ("metric" in names) + (metric is not None)
    if metrics != (0 if form.names_metrics else 1):
        wanted = "no metric: the payload names them" if form.names_metrics else "its metric once"
        raise ValueError(f"a route of this payload needs {wanted}")
    for value, kind in ((site, ID), (metric, METRIC)):
        if value is not None and not kind.fullmatch(value):
            raise ValueError(f"{value!r} is no valid id; ids match {kind.pattern}")
    parts = [_level_pattern(level) for level in levels]
    mqtt_filter = "/".join("+" if _NAME.fullmatch(level) else level for level in levels)
    pattern = re.compile("/".join(parts))
    return Route(template, mqtt_filter, pattern, form.parse, site, metric, unit)


def _namespace(
    template: str, form: Payload, site: str | None, metric: str | None, unit: str | None
) -> Route:
    """Return the route of a Sparkplug group, or of all: of node, device and type of message."""
    match = _NAMESPACE.fullmatch(template)
    if match is None:
        raise ValueError('is "spBv1.0/{site}/#", or "spBv1.0/GROUP/#" with site = "…"')
    named = match[1] == "{site}"
    if named == (site is not None):
        raise ValueError('needs its site once: as "{site}" in the topic or as site = "…"')
    if metric is not None:
        raise ValueError("a route of this payload needs no metric: the payload names them")
    if site is not None and not ID.fullmatch(site):
        raise ValueError(f"{site!r} is no valid id; ids match {ID.pattern}")
    group = "(?P<site>[^/]*)" if named else re.escape(match[1])
    pattern = re.compile(rf"spBv1\.0/{group}(?:/[^/]*){{1,3}}")
    mqtt_filter = template.replace("{site}", "+")
    return Route(template, mqtt_filter, pattern, form.parse, site, None, unit, form.bind)


def _check_levels(template: str, levels: list[str], names: list[str]) -> None:
    if template.startswith("$"):
        raise ValueError('topics that begin with "$" are the broker\'s own')
    for level in levels:
        if not _NAME.fullmatch(level) and re.search(r"[+#{}\x00]", level):
            raise ValueError(f'level {level!r}: write a wildcard as one whole level, "{{name}}"')
    if len(set(names)) < len(names):
        raise ValueError("names a wildcard twice")


def _level_pattern(level: str) -> str:
    match = _NAME.fullmatch(level)
    return f"(?P<{match[1]}>[^/]*)" if match else re.escape(level)


class Router:
    """Finds the first route that fits a topic; remembers the topics it has seen."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._known: dict[bytes, Target] = {}

    def target(self, topic: bytes) -> Target:
        """Return where a topic leads.

        Raises:
            Invalid: NO_ROUTE or BAD_ID.
        """
        known = self._known.get(topic)
        if known is not None:
            return known
        target = self._find(topic)
        if len(self._known) >= _MAX_TOPICS:
            self._known.clear()
        self._known[topic] = target
        return target

    def _find(self, topic: bytes) -> Target:
        try:
            text = topic.decode()
        except UnicodeDecodeError as error:
            raise Invalid("NO_ROUTE", "the topic is not UTF-8") from error
        for route in self._routes:
            if match := route.pattern.fullmatch(text):
                return _target(route, match, text)
        raise Invalid("NO_ROUTE", "no route fits the topic")


def device_of(routes: Sequence[Route], topic: bytes) -> str:
    """Return the id of the device that a topic names, empty where it names none."""
    text = topic.decode("utf-8", "replace")
    for route in routes:
        if match := route.pattern.fullmatch(text):
            named = match.groupdict()
            site, device = named.get("site", route.site), named.get("device")
            return f"{site}.{device}" if site and device else ""
    return ""


def _target(route: Route, match: re.Match[str], topic: str) -> Target:
    named = match.groupdict()
    site = valid_id("site", named.get("site", route.site) or "")
    device = valid_id("device", named["device"]) if "device" in named else ""
    metric = named.get("metric", route.metric)
    return Target(
        f"{site}.{device}" if device else "",
        site,
        "" if metric is None else metric_id(metric),
        route.parse if route.bind is None else route.bind(topic),
        route.unit,
        route.shape,
    )
