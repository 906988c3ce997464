"""One stack for all end-to-end tests; each test has topics and jobs of its own."""

from collections.abc import Iterator

import pytest
from stack_fixture import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
