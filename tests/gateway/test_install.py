"""`gateway install` writes what systemd needs, says what it does, and keeps what was edited."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import config
from gateway.cli import gateway
from gateway.install import CONFIG, UNIT


def installed(root: Path, *words: str):
    return CliRunner().invoke(gateway, ["install", "--root", str(root), *words])


def test_an_install_writes_a_unit_and_a_configuration_that_passes_the_check(tmp_path: Path) -> None:
    result = installed(tmp_path)
    assert result.exit_code == 0, result.output
    read = config.read(tmp_path / CONFIG, {})
    assert (read.gateway.data_dir, len(read.routes)) == ("/var/lib/tidegate", 1)
    unit = (tmp_path / UNIT).read_text()
    for line in ("Type=notify", "WatchdogSec=30", "RestartPreventExitStatus=2 78", "UMask=0077"):
        assert f"\n{line}\n" in unit
    assert f"gateway run -c /{CONFIG}\n" in unit
    assert (tmp_path / CONFIG).stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "etc/tidegate/credentials").stat().st_mode & 0o777 == 0o700
    assert "systemctl enable --now tidegate" in result.stderr


def test_a_dry_run_shows_everything_and_changes_nothing(tmp_path: Path) -> None:
    result = installed(tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"would write {tmp_path / UNIT}" in result.stdout
    assert "    ProtectSystem=strict\n" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_second_install_keeps_what_was_edited_and_writes_beside_it(tmp_path: Path) -> None:
    installed(tmp_path)
    edited = (tmp_path / CONFIG).read_text().replace("127.0.0.1:9092", "localhost:9092")
    (tmp_path / CONFIG).write_text(edited)
    result = installed(tmp_path)
    assert f"unchanged {tmp_path / UNIT}" in result.stdout
    assert "gateway.toml.new: the file beside it was edited and stays" in result.stdout
    assert (tmp_path / CONFIG).read_text() == edited


def test_secrets_in_the_folder_are_handed_over_by_systemd(tmp_path: Path) -> None:
    folder = tmp_path / "etc/tidegate/credentials"
    folder.mkdir(parents=True)
    (folder / "kafka-password").write_text("x")
    installed(tmp_path)
    line = "LoadCredential=kafka-password:/etc/tidegate/credentials/kafka-password\n"
    assert f"\n{line}" in (tmp_path / UNIT).read_text()


def test_a_users_name_that_is_none_is_refused(tmp_path: Path) -> None:
    assert installed(tmp_path, "--user", "a b").exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to /etc")
def test_without_root_it_says_what_to_do() -> None:
    result = CliRunner().invoke(gateway, ["install"])
    assert "sudo tidegate gateway install" in str(result.exception)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    installed(tmp_path)
    unit = tmp_path / "tidegate.service"
    # The programs are not installed at their places here.
    text = (tmp_path / UNIT).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("Exec")]
    lines.insert(lines.index("[Service]") + 1, "ExecStart=/bin/true")
    unit.write_text(
        "\n".join([line.replace("User=tidegate", "User=root") for line in lines]) + "\n"
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "tidegate.service" not in done.stderr, done.stderr
