"""What the gateway remembers of its subscriptions, a disk that refuses included."""

import json
import logging
from pathlib import Path

import pytest

from gateway.assembly import keep_filters, remember_filters


def test_filters_of_former_configurations_are_known_until_they_are_ended(tmp_path: Path) -> None:
    assert remember_filters(tmp_path, ["a", "b"]) == []
    assert remember_filters(tmp_path, ["b", "c"]) == ["a"]
    assert remember_filters(tmp_path, ["b", "c"]) == ["a"], "a crash before it was ended"
    keep_filters(tmp_path, ["b", "c"])
    assert remember_filters(tmp_path, ["c"]) == ["b"]
    assert json.loads((tmp_path / "subscriptions.json").read_text()) == ["b", "c"]


def test_a_bent_file_or_a_disk_that_refuses_is_no_reason_not_to_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "subscriptions.json").write_text('["a"')
    assert remember_filters(tmp_path, ["b"]) == []
    with caplog.at_level(logging.WARNING):
        assert remember_filters(tmp_path / "missing", ["b"]) == []
    assert "cannot be kept" in caplog.text
