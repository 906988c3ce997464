"""PyFlink for commands that may do without a stack: what only plans needs jars, no servers."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compose.local.endpoints import Endpoints, endpoints_of, read
from compose.local.flink import flink_env, planning_env
from compose.local.layout import Layout
from compose.local.settings import USUAL_PORTS
from schemas.failure import Unavailable


def stack_or_none(state: Path) -> Endpoints | None:
    """Return the endpoints of the stack that runs in this folder, if one does."""
    try:
        return read(state)
    except Unavailable:
        return None


def usual_endpoints(state: Path) -> Endpoints:
    """Return where a stack would be reached: plans name addresses and ask none of them."""
    return endpoints_of(Layout.of(state), USUAL_PORTS)


@contextmanager
def flink_ready(state: Path, running: Endpoints | None) -> Iterator[None]:
    """Set the environment that PyFlink is to be imported in.

    Raises:
        Unavailable: PyFlink, Java or the jars are missing.
    """
    if running is not None:
        os.environ.update(flink_env(state))
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-plan-") as folder:
        os.environ.update(planning_env(Path(folder)))
        yield
