"""Files of devices: CSV, TOML and JSON say the same, and mistakes are told with their place."""

from pathlib import Path

import pytest

from compose.fleet_file import read_fleet
from schemas.config import ConfigError
from schemas.records import Device

CSV = """\ufeffdevice_id,asset_id,class,interval,iso_group,valid_from,label.line
plant.pump-1,P-1,pump,30s,2,2026-01-31T06:00Z,3
plant.pump-2,,,,,,
"""
TOML = """
[[devices]]
device_id = "plant.pump-1"
asset_id = "P-1"
class = "pump"
interval = "30s"
iso_group = "2"
valid_from = "2026-01-31T06:00Z"
labels = {line = "3"}
[[devices]]
device_id = "plant.pump-2"
"""
JSON = """[{"device_id": "plant.pump-1", "asset_id": "P-1", "class": "pump", "interval": "30s",
"iso_group": "2", "valid_from": "2026-01-31T06:00Z", "labels": {"line": "3"}},
{"device_id": "plant.pump-2"}]
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(("name", "text"), [("f.csv", CSV), ("f.toml", TOML), ("f.json", JSON)])
def test_all_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read_fleet(written(tmp_path, name, text)) == [
        Device(
            device_id="plant.pump-1",
            asset_id="P-1",
            site="",
            device_class="pump",
            interval_ms=30_000,
            iso_group="2",
            valid_from=1_769_839_200_000,
            labels={"line": "3"},
        ),
        Device(device_id="plant.pump-2", asset_id="plant.pump-2", site=""),
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("f.csv", "device_id,asset\na,b\n", "f.csv:2: devices[0].asset: unknown key; did you mean"),
        ("f.csv", "device_id\na\na\n", "f.csv:3: devices[1].device_id: a is there twice"),
        ("f.csv", "device_id\na,b\n", "f.csv:2: devices[0].more than the heading: unknown key"),
        ("f.csv", "device_id\n", "devices: expected at least one device"),
        ("f.csv", "device_id,valid_from\na,soon\n", "f.csv:2: devices[0].valid_from: expected a"),
        ("f.csv", "device_id,interval\na,soon\n", "f.csv:2: devices[0].interval: "),
        ("f.toml", '[[devices]]\nasset_id="x"\n', "f.toml:1: devices[0].device_id: missing"),
        ("f.toml", "[[devices]\n", "not TOML"),
        ("f.json", '["a"]', "devices[0]: expected a table"),
        ("f.json", "[", "f.json:1: not JSON"),
        ("f.json", '[{"device_id": "a|1"}]', "expected a device's id, got 'a|1'"),
        ("f.xml", "<a/>", "expected a file that ends in .csv, .toml or .json"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_fleet(written(tmp_path, name, text))
    assert told in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_fleet(path)
