"""Which series an entry of a rule file is for, checked for what no name can be."""

import re

from msgspec.structs import replace

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.rule import Match
from stream.rule_file import Globs, MatchFile
from stream.traits import Traits, interval_of

_GLOB = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,129}")


def globs_of(given: Globs, path: KeyPath, complaints: list[Complaint]) -> tuple[str, ...]:
    """Return the globs; add what is wrong to ``complaints``."""
    found = (given,) if isinstance(given, str) else tuple(given)
    complaints.extend(
        Complaint(path, f"expected a name or a glob such as vibration_*, got {glob!r}")
        for glob in found or ("",)
        if not _GLOB.fullmatch(glob)
    )
    return found


def rule_match(given: MatchFile, path: KeyPath, complaints: list[Complaint]) -> Match:
    """Return which series a rule is meant for; add what is wrong to ``complaints``."""
    found = match_of(given.metric, given.device, given.site, path, complaints)
    asked = dict(given.labels)
    if given.device_class is not None:
        asked["class"] = given.device_class
    labels = tuple(
        (name, _texts(globs, (*path, "labels", name), complaints)) for name, globs in asked.items()
    )
    asset = () if given.asset is None else _texts(given.asset, (*path, "asset"), complaints)
    interval = None
    if given.interval is not None:
        try:
            interval = interval_of(given.interval)
        except ValueError as error:
            complaints.append(Complaint((*path, "interval"), str(error)))
    if not (labels or asset or interval):
        return found
    return replace(found, traits=Traits(labels, asset, interval))


def _texts(given: Globs, path: KeyPath, complaints: list[Complaint]) -> tuple[str, ...]:
    """Return globs of what people write of devices, which may be any text."""
    found = (given,) if isinstance(given, str) else tuple(given)
    if not all(found) or not found:
        complaints.append(Complaint(path, "expected a text or a glob, got none"))
    return found


def match_of(
    metric: Globs, device: Globs, site: Globs, path: KeyPath, complaints: list[Complaint]
) -> Match:
    """Return which series are meant; add what is wrong to ``complaints``."""
    return Match(
        globs_of(metric, (*path, "metric"), complaints),
        globs_of(device, (*path, "device"), complaints),
        globs_of(site, (*path, "site"), complaints),
    )
