"""Where the local stack keeps what: one folder, nothing outside of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one stack; ``root`` is absolute, with links resolved."""

    root: Path

    @classmethod
    def of(cls, state: Path) -> "Layout":
        """Return the layout of a state folder, which need not exist."""
        return cls(state.expanduser().resolve())

    @property
    def lock(self) -> Path:
        """Return the file whose lock the supervisor holds while it lives."""
        return self.root / "lock"

    @property
    def status(self) -> Path:
        """Return what the supervisor publishes."""
        return self.root / "status.json"

    @property
    def wanted(self) -> Path:
        """Return the list of parts that are to run."""
        return self.root / "wanted.json"

    @property
    def requests(self) -> Path:
        """Return the file whose lock is held while the list of wanted parts changes."""
        return self.root / "requests"

    @property
    def ports(self) -> Path:
        """Return the ports of the last start, kept so that they stay the same."""
        return self.root / "ports.json"

    @property
    def gateway_config(self) -> Path:
        """Return a gateway's configuration for this stack."""
        return self.root / "gateway.toml"

    @property
    def sinks_config(self) -> Path:
        """Return the sinks' configuration for this stack."""
        return self.root / "sinks.toml"

    @property
    def conf(self) -> Path:
        """Return the folder of generated configuration."""
        return self.root / "conf"

    @property
    def tools(self) -> Path:
        """Return the folder of programs fetched for this stack; a reset keeps it."""
        return self.root / "tools"

    @property
    def scratch(self) -> Path:
        """Return the folder of temporary files, emptied at each start."""
        return self.root / "tmp"

    @property
    def logs(self) -> Path:
        """Return the folder of log files."""
        return self.root / "logs"

    def data(self, part: str) -> Path:
        """Return the folder of what a part must not forget."""
        return self.root / "data" / part

    def log(self, part: str) -> Path:
        """Return the file of a part's output."""
        return self.logs / f"{part}.log"
