"""From topics of one shape to a route's template: which level is metric, device and site."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.ids import ID

SITE = "site-1"
METRIC = "value"


class Template(NamedTuple):
    """A route's topic, and what it has to say itself."""

    topic: str
    site: str | None
    metric: str | None
    literals: int


def template(topics: Sequence[str], *, names_metrics: bool, names_devices: bool) -> Template:
    """Return the template of topics with as many levels as one another.

    A metric stands last, the device is the last level before it that varies, or the one just before
    it, and the site the one before the device. A level that varies beside these gets a name of its
    own; one that does not is kept as it is.
    """
    rows = [topic.split("/") for topic in topics]
    depth = len(rows[0])
    varies = [len({row[level] for row in rows}) > 1 for level in range(depth)]
    names: dict[int, str] = {}
    end = depth
    if not names_metrics and depth >= 2:
        end = depth - 1
        names[end] = "metric"
    if not names_devices:
        end = max((at for at in range(end) if varies[at]), default=end - 1)
        names[end] = "device"
    site_at = end - 1
    if site_at >= 0 and (site_at > 0 or varies[0]) and _are_ids(rows, site_at):
        names[site_at] = "site"
    for level in range(depth):
        if varies[level] and level not in names:
            names[level] = f"level_{'abcdefghijklmnopqrstuvwxyz'[level % 26]}"
    levels = [f"{{{names[at]}}}" if at in names else rows[0][at] for at in range(depth)]
    return Template(
        "/".join(levels),
        None if "site" in names.values() else SITE,
        None if names_metrics or "metric" in names.values() else METRIC,
        depth - len(names),
    )


def _are_ids(rows: list[list[str]], level: int) -> bool:
    return all(ID.fullmatch(row[level]) for row in rows)
