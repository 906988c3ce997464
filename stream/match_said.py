"""Which series an entry of a rule file is for, checked for what no name can be."""

import re

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.rule import Match
from stream.rule_file import Globs

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


def match_of(
    metric: Globs, device: Globs, site: Globs, path: KeyPath, complaints: list[Complaint]
) -> Match:
    """Return which series are meant; add what is wrong to ``complaints``."""
    return Match(
        globs_of(metric, (*path, "metric"), complaints),
        globs_of(device, (*path, "device"), complaints),
        globs_of(site, (*path, "site"), complaints),
    )
