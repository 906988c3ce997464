"""Hypothesis without its deadline: a busy machine is no defect. Data that may not ship."""

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None, max_examples=60)
settings.load_profile("no deadline")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--ims",
        metavar="CSV",
        help="the second test of the IMS bearing data, features of 10 minutes; it has no licence "
        "to ship under, so what is measured on it is skipped without",
    )
