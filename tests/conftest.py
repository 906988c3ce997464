"""Hypothesis without its deadline: a busy machine is no defect. Data that may not ship. Lanes."""

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("no deadline", deadline=None, max_examples=60)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ims",
        metavar="CSV",
        help="the second test of the IMS bearing data, features of 10 minutes; it has no licence "
        "to ship under, so what is measured on it is skipped without",
    )


class Lanes(LoadScopeScheduling):
    """One worker takes all end-to-end tests, which share a stack; the others go where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes | None:
    return Lanes(config, log) if config.getvalue("dist") == "loadscope" else None
