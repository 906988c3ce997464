import os
from pathlib import Path

import pytest

from compose.local import packages, tools
from compose.local.layout import Layout
from compose.local.packages import fetch_mosquitto, to_install
from schemas.failure import Unavailable

PLAN = """NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  libmosquitto1 mosquitto
Inst libmosquitto1 (2.0.11-1.2+deb12u2 Debian:12.12/oldstable [amd64])
Inst mosquitto (2.0.11-1.2+deb12u2 Debian:12.12/oldstable [amd64])
Conf libmosquitto1 (2.0.11-1.2+deb12u2 Debian:12.12/oldstable [amd64])
Conf mosquitto (2.0.11-1.2+deb12u2 Debian:12.12/oldstable [amd64])
"""
APT = """#!/bin/sh
case "$1" in
--simulate) echo 'Inst libmosquitto1 (1)'; echo 'Inst mosquitto (1)' ;;
download) shift; for name in "$@"; do : > "$name.deb"; done ;;
install) echo 'E: Unable to locate package mosquitto' >&2; exit 100 ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/sbin" "$3/usr/lib/here"
case "$2" in
*/mosquitto.deb) : > "$3/usr/sbin/mosquitto" ;;
*/libmosquitto1.deb) : > "$3/usr/lib/here/libmosquitto.so.1" ;;
esac
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch) -> Layout:
    """A machine with apt-get and without mosquitto, for an ordinary user."""
    for name, script in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(tools, "_SERVER_FOLDERS", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if tools.find_mosquitto(Layout(tmp_path)) is not None:
        pytest.skip("mosquitto lies where ordinary programs do")
    return Layout(tmp_path / "a state")


def test_the_plan_of_apt_names_the_packages_that_are_missing() -> None:
    assert to_install(PLAN) == ["libmosquitto1", "mosquitto"]
    assert to_install("mosquitto is already the newest version") == []


def test_an_ordinary_user_gets_the_package_unpacked_beside_the_stack(debian: Layout) -> None:
    said = []
    fetch_mosquitto(debian, said.append)
    found = tools.find_mosquitto(debian)
    assert found == debian.tools / "mosquitto" / "usr" / "sbin" / "mosquitto"
    assert (
        tools.find_tools(debian, ["mosquitto"]).mosquitto_libraries
        == debian.tools / "mosquitto" / "usr" / "lib" / "here"
    )
    assert said == ["mosquitto: unpacking the Debian package beside the stack (once)"]
    fetch_mosquitto(debian, said.append)
    assert len(said) == 1  # a second start fetches nothing


def test_what_apt_said_last_is_in_the_error(debian: Layout, monkeypatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if Path("/run/systemd/system").exists():
        pytest.skip("here the package is unpacked for root too")
    with pytest.raises(
        Unavailable, match="Unable to locate package mosquitto; install it yourself"
    ):
        fetch_mosquitto(debian, lambda _: None)


def test_without_apt_the_error_says_what_to_do(debian: Layout, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(Unavailable, match="sudo apt-get install mosquitto"):
        packages.fetch_mosquitto(debian, lambda _: None)


@pytest.mark.parametrize(
    ("release", "feature"),
    [
        ('JAVA_VERSION="17.0.15"', 17),
        ('JAVA_VERSION="21"', 21),
        ('JAVA_VERSION="1.8.0_392"', 8),
        ("rubbish", 0),
    ],
)
def test_the_release_of_a_java_is_read_from_its_folder(
    tmp_path: Path, release: str, feature: int
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\n{release}\n')
    assert tools.java_release(tmp_path / "bin" / "java") == feature


def test_missing_jars_are_named_with_the_command_that_builds_them(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv(tools.JARS_VARIABLE, str(tmp_path))
    with pytest.raises(Unavailable, match=r"has no flink/lib, kafka; build the jars with: mvn"):
        tools.find_tools(Layout(tmp_path), ["kafka", "taskmanager"])
