"""The base install on a Raspberry Pi: from wheels alone, and small."""

import json
import re
import subprocess
import sys
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest

MOST_MB = 35
NAME = re.compile(r"[A-Za-z0-9._-]+")
OFFLINE = ("Retrying (", "Failed to establish", "Name or service not known")


def base() -> list[str]:
    """What the project requires without extras, as requirements."""
    return [
        line.split(";")[0].strip() for line in requires("tidegate") or [] if "extra" not in line
    ]


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_every_package_of_the_base_has_a_wheel_for_aarch64(version: str, tmp_path: Path) -> None:
    """The Pythons of the last two releases of Raspberry Pi OS; glibc is 2.36 and later there."""
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (17, 28, 34)]
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report=-",
            "--disable-pip-version-check", "--only-binary=:all:", "--ignore-installed",
            f"--target={tmp_path}", f"--python-version={version}", "--retries=1", "--timeout=10",
            "--platform=manylinux2014_aarch64", *platforms, *base(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    if any(sign in done.stderr for sign in OFFLINE):
        pytest.skip("the package index cannot be reached: wheels for aarch64 are NOT checked")
    assert done.returncode == 0, done.stderr
    files = {
        each["download_info"]["url"].rpartition("/")[2]
        for each in json.loads(done.stdout)["install"]
    }
    assert len(files) >= len(base())
    assert any("aarch64" in name for name in files)
    assert not [name for name in files if "x86_64" in name or not name.endswith(".whl")]


def test_the_base_is_known() -> None:
    assert {NAME.findall(line)[0] for line in base()} == {
        "cbor2",
        "click",
        "confluent-kafka",
        "fastavro",
        "msgspec",
        "paho-mqtt",
        "prometheus-client",
    }


def test_the_base_is_small() -> None:
    todo, seen = base(), set()
    size = 0
    while todo:
        (name, *_) = NAME.findall(todo.pop().lower())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        size += sum(
            file.size or 0 for file in found.files or [] if not str(file).endswith((".pyc", ".pyo"))
        )
        needed = (line for line in found.requires or [] if ";" not in line)
        todo += needed
    assert size < MOST_MB * 1_000_000, f"{size / 1e6:.1f} MB: {sorted(seen)}"
