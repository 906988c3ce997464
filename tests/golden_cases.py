"""The golden folder: every case a route, a topic and a payload."""

import tomllib
from pathlib import Path

from gateway.decode import Decoder, Limits, Origin
from gateway.sections import RouteSection, compiled
from schemas.config import Complaint, read_table

GOLDEN = Path(__file__).parent / "gateway" / "golden"
CASES = sorted(path.parent for path in GOLDEN.rglob("case.toml"))
FORMATS = sorted({case.parent.name for case in CASES})
RECEIVED = 1_764_032_400_000
LIVE = Origin(epoch=7, received_ts=RECEIVED, clock="SYNCED", internal=False, replayed=False)


def opened(case: Path) -> tuple[Decoder, bytes]:
    """Return the case's decoder and its topic."""
    table = tomllib.loads((case / "case.toml").read_text())
    topic = table.pop("sent_to")
    complaints: list[Complaint] = []
    section = read_table(RouteSection, table, (), complaints)
    assert section is not None, complaints
    decoder = Decoder("gw", [compiled(section)], Limits(256 << 10, 1.7e308))
    return decoder, topic.encode()
