"""Hypothesis without its deadline (a busy machine is no defect), and what stays together in parallel runs."""

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None, max_examples=60)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each worker whole files, and the end-to-end tests to one: they share a stack."""
    for item in items:
        group = "e2e" if "e2e" in item.path.parts else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
