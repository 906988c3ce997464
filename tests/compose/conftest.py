"""Makes `stack_fixture` importable by its own name, for test folders are no packages; fixtures."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local.layout import Layout

sys.path.insert(0, str(Path(__file__).parent))

HOLD = (
    "import sys; from pathlib import Path; from compose.local.layout import Layout; "
    "from compose.local.state import take_lock; lock = take_lock(Layout(Path(sys.argv[1]))); "
    "print(lock is not None, flush=True); sys.stdin.read()"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def supervisor(layout: Layout) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    argv = [sys.executable, "-c", HOLD, str(layout.root)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        yield process
