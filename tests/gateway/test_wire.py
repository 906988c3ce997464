"""Schema ids: from the registry, from the disk while it is down, never from another registry."""

from pathlib import Path

import pytest
from edge_rig import FakeRegistry

from gateway.kafka import Recoverable
from gateway.wire import Binding, Topics
from schemas.registry import Registry, SchemaIds

TOPICS = Topics("tidegate.readings", "tidegate.dead-letters")


def binding(folder: Path, url: str, now: list[float] | None = None) -> Binding:
    clock = now or [0.0]
    ids = SchemaIds(folder / "ids.json", Registry(url, timeout_s=1))
    return Binding(ids, TOPICS, now=lambda: clock[0])


def test_ids_come_from_the_registry_and_serve_while_it_is_down(tmp_path: Path) -> None:
    registry = FakeRegistry()
    ids = binding(tmp_path, registry.url).bind().ids
    registry.stop()
    assert binding(tmp_path, registry.url).bind().ids == ids == (1, 2)


def test_without_a_known_id_the_uplink_has_to_wait(tmp_path: Path) -> None:
    with pytest.raises(Recoverable, match="schema id not known yet"):
        binding(tmp_path, "http://127.0.0.1:9").bind()


def test_ids_of_another_registry_are_not_used(tmp_path: Path) -> None:
    registry = FakeRegistry()
    binding(tmp_path, registry.url).bind()
    registry.stop()
    with pytest.raises(Recoverable):
        binding(tmp_path, "http://127.0.0.1:9").bind()


def test_ids_that_changed_make_the_uplink_start_again(tmp_path: Path) -> None:
    registry = FakeRegistry()
    now = [0.0]
    bound = binding(tmp_path, registry.url, now)
    wire = bound.bind()
    bound.check(wire)
    registry.ids.update({"tidegate.readings-value": 9})
    now[0] = 299.0
    bound.check(wire)
    now[0] = 301.0
    with pytest.raises(Recoverable, match="other schema ids"):
        bound.check(wire)
    assert bound.bind().ids == (9, 2)
    registry.stop()
