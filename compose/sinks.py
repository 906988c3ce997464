"""Which sinks.toml a command means."""

from pathlib import Path

from compose.local.layout import Layout
from schemas.failure import BadConfig


def sinks_file(named: Path | None, state: Path) -> Path:
    """Return the file that was named, else that of the local stack.

    Raises:
        BadConfig: none was named and no stack has one.
    """
    if named is not None:
        return named
    path = Layout.of(state).sinks_config
    if not path.is_file():
        raise BadConfig(
            f"no --sinks FILE, and {path} does not exist; a stack of your own has one after: "
            "tidegate local up --with postgres"
        )
    return path
