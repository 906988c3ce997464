"""The rule file that stream/README.md shows, in parts as they explain it."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "stream" / "README.md"


def shown() -> str:
    """Put the parts together: other keys than ``rules`` first, then the list and what adds to it."""
    parts = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    def place(part: str) -> int:
        return 1 if part.startswith("version:") else 2 * part.startswith("  - ")

    return "".join(sorted(parts, key=place))
