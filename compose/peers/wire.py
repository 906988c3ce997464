"""A reading's bytes as the other engines' programs take them; these import nothing of ours."""

import json
import struct
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader

_HEADER = struct.calcsize(">bI")


class Asked:
    """What a program is asked: where the readings are and how they are written."""

    def __init__(self, path: str) -> None:
        """Read the file of the question."""
        asked: Mapping[str, Any] = json.loads(Path(path).read_text())
        self.bootstrap: str = asked["bootstrap"]
        self.topic: str = asked["topic"]
        self.readings: int = asked["readings"]
        self.size_ms: int = asked["size_ms"]
        self.slide_ms: int = asked["slide_ms"]
        self.lateness_ms: int = asked["lateness_ms"]
        self.scratch: str = asked["scratch"]
        self._schema = parse_schema(asked["schema"])
        self._began = 0.0
        self._ended = 0.0

    def reading(self, value: bytes) -> dict[str, Any]:
        """Return a reading's fields."""
        if not self._began:
            self._began = time.perf_counter()
        found = schemaless_reader(BytesIO(value[_HEADER:]), self._schema, self._schema)
        self._ended = time.perf_counter()
        assert isinstance(found, dict)
        return found

    def answer(self, readings: int, windows: int) -> None:
        """Print what came out, and the seconds from the first reading to the last."""
        seconds = self._ended - self._began
        print(json.dumps({"readings": readings, "windows": windows, "seconds": seconds}))
