import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from compose.bundle import package


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch) -> Path:
    jars = tmp_path / "jars" / "flink" / "lib"
    jars.mkdir(parents=True)
    (jars / "tidegate-jvm.jar").write_bytes(b"classes")
    monkeypatch.setenv("TIDEGATE__LOCAL__JARS", str(tmp_path / "jars"))
    done = CliRunner().invoke(package, ["--rules=demo", f"-o{tmp_path / 'one.zip'}"])
    assert done.exit_code == 0, done.output
    CliRunner().invoke(package, ["--rules=demo", f"-o{tmp_path / 'two.zip'}"])
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def test_it_holds_programs_rules_jars_and_requirements(bundle: Path) -> None:
    assert (bundle / "jars.txt").read_text().endswith("  tidegate-jvm.jar\n")
    assert "version: 1" in (bundle / "rules.yaml").read_text()
    assert "apache-flink==2.3.0\n" in (bundle / "requirements.txt").read_text()
    assert not list(bundle.rglob("*.java"))


def test_its_own_packages_are_all_that_the_program_imports(bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "job.py", "alerts", "--help"],
        cwd=bundle,
        env=os.environ | {"PYTHONPATH": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--registry" in done.stdout, done.stderr


def test_the_script_hands_everything_to_flink(bundle: Path, tmp_path: Path) -> None:
    flink = tmp_path / "flink"
    flink.write_text('#!/bin/sh\necho "$@"\n')
    flink.chmod(0o755)
    env = {
        "FLINK": str(flink), "FLINK_URL": "f:8081", "KAFKA_BOOTSTRAP": "k:9092",
        "REGISTRY_URL": "http://r", "LAKE_URI": "s3://lake", "SAVEPOINT": "s3://s", "PATH": os.environ["PATH"],
    }  # fmt: skip
    words = ["sh", str(bundle / "submit.sh"), "lake", "--parallelism", "2"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "run", "-d", "-m", "f:8081", "-s", "s3://s", "-claimMode", "NO_CLAIM",
        "-pyfs", f"{bundle}/python", "-py", f"{bundle}/job.py", "lake", "--kafka=k:9092",
        "--registry=http://r", "--lake=s3://lake", f"--rules={bundle}/rules.yaml",
        "--parallelism", "2",
    ]  # fmt: skip
    del env["LAKE_URI"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "LAKE_URI" in done.stderr
