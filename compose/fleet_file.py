"""Files that say what devices there are: CSV, TOML or JSON."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from compose.filled_in import csv_rows, text_of, time_of
from schemas.amounts import DurationMs
from schemas.config import Complaint, ConfigError, read_table, told
from schemas.records import Device
from schemas.toml_lines import KeyPath, key_lines

_LABEL = "label."


class DeviceFile(msgspec.Struct):
    """One device; ``valid_from`` is a time such as ``2026-01-31T06:00Z``, the epoch unless said."""

    device_id: str
    asset_id: str = ""
    site: str = ""
    device_class: str = msgspec.field(name="class", default="")
    interval: DurationMs | None = None
    iso_group: str | None = None
    valid_from: str = "1970-01-01"
    own_clock_metrics: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class FleetFile(msgspec.Struct):
    """The whole file."""

    devices: tuple[DeviceFile, ...]


def read_fleet(path: Path) -> list[Device]:
    """Read a file of devices.

    CSV has a row for each: ``device_id``, and any of ``asset_id``, ``site``, ``class``,
    ``interval``, ``iso_group``, ``valid_from`` and ``label.NAME``; an empty cell says nothing. TOML
    has ``[[devices]]``, JSON a list of objects, with ``labels`` as a table.

    Raises:
        ConfigError: every mistake with file, line where the form has lines, and key.
    """
    text = text_of(path, "devices")
    table, lines = _table(path, text)
    complaints: list[Complaint] = []
    found = read_table(FleetFile, table, (), complaints)
    devices = (
        []
        if found is None
        else [_device(i, one, complaints) for i, one in enumerate(found.devices)]
    )
    if not complaints:
        complaints += _mistakes(devices)
    if complaints:
        raise ConfigError([told(each, str(path), lines, {}) for each in complaints])
    return devices


def _table(path: Path, text: str) -> tuple[dict[str, Any], Mapping[KeyPath, int]]:
    if path.suffix == ".csv":
        return _csv(text)
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text), key_lines(text)
        if path.suffix == ".json":
            root = json.loads(text)
            return (root if isinstance(root, dict) else {"devices": root}), {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    except json.JSONDecodeError as error:
        raise ConfigError([f"{path}:{error.lineno}: not JSON: {error.msg}"]) from error
    raise ConfigError([f"{path}: expected a file that ends in .csv, .toml or .json"])


def _csv(text: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    devices: list[dict[str, Any]] = []
    lines: dict[KeyPath, int] = {}
    for line, row in csv_rows(text):
        lines["devices", len(devices)] = line
        labels = {k.removeprefix(_LABEL): v for k, v in row.items() if k.startswith(_LABEL)}
        plain = {key: value for key, value in row.items() if not key.startswith(_LABEL)}
        devices.append(plain | ({"labels": labels} if labels else {}))
    return {"devices": devices}, lines


def _device(index: int, given: DeviceFile, complaints: list[Complaint]) -> Device:
    return Device(
        device_id=given.device_id,
        asset_id=given.asset_id or given.device_id,
        site=given.site,
        device_class=given.device_class,
        interval_ms=None if given.interval is None else int(given.interval),
        iso_group=given.iso_group,
        own_clock_metrics=list(given.own_clock_metrics),
        valid_from=time_of(given.valid_from, ("devices", index, "valid_from"), complaints),
        labels=given.labels,
    )


def _mistakes(devices: list[Device]) -> list[Complaint]:
    found, seen = [], set[tuple[str, int]]()
    if not devices:
        found.append(Complaint(("devices",), "expected at least one device"))
    for index, each in enumerate(devices):
        if not each.device_id or "|" in each.device_id:
            found.append(
                Complaint(
                    ("devices", index, "device_id"),
                    f"expected a device's id, got {each.device_id!r}",
                )
            )
        if (key := (each.device_id, each.valid_from)) in seen:
            found.append(
                Complaint(
                    ("devices", index, "device_id"),
                    f"{each.device_id} is there twice from the same time on",
                )
            )
        seen.add(key)
    return found
