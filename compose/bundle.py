"""`tidegate jobs package`: a zip from which `flink run` submits our jobs to a session cluster."""

import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import click

import schemas
import stream
from compose.local.tools import jars_folder
from stream.rules import rules_text

_README = """tidegate's Flink jobs, for `flink run` on a session cluster of Flink 2.3.0.

The cluster has to have the jars of jars.txt in lib/ (with their plugins), and Python 3.11 or 3.12
with requirements.txt on every TaskManager and where this is run. Then:

  FLINK_URL=host:8081 KAFKA_BOOTSTRAP=host:9092 REGISTRY_URL=http://... LAKE_URI=s3://... \\
    sh submit.sh lake|alerts|archive [--parallelism N] [--prefix P.] [--checkpoint-interval-ms N]

SAVEPOINT=s3://... goes on from a snapshot, which is left alone. FLINK names the `flink` command.
"""
_SUBMIT = """#!/bin/sh
# Usage and environment: README.txt
set -eu
here=$(cd "$(dirname "$0")" && pwd)
job=${1:?lake, alerts or archive}
shift
set -- "$job" "--kafka=${KAFKA_BOOTSTRAP:?}" "--registry=${REGISTRY_URL:?}" \\
  "--lake=${LAKE_URI:?}" "--rules=$here/rules.yaml" "$@"
if [ -n "${SAVEPOINT:-}" ]; then
  from="-s $SAVEPOINT -claimMode NO_CLAIM"
fi
# shellcheck disable=SC2086
PYTHONPATH="$here/python" exec "${FLINK:-flink}" run -d -m "${FLINK_URL:?}" ${from:-} \\
  -pyfs "$here/python" -py "$here/job.py" "$@"
"""
_SKIPPED = ("jvm", "__pycache__")


@click.command("package")
@click.option("--rules", default="generic", show_default=True, help="A rule file or a pack's name.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("tidegate-jobs.zip"),
    show_default=True,
)
def package(rules: str, output: Path) -> None:
    """Write a zip that submits the jobs with `flink run`.

    It holds the programs, the rules and the list of jars. The same input gives the same bytes.
    """
    text = rules_text(rules)
    jars = jars_folder() / "flink" / "lib"
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in sorted(_contents(text, jars)):
            # Without a time of its own, a file is what is in it.
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, data)
    click.echo(output)


def _contents(rules: str, jars: Path) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", _README.encode()
    yield "submit.sh", _SUBMIT.encode()
    yield "rules.yaml", rules.encode()
    yield "jars.txt", "".join(map(_jar_line, sorted(jars.glob("*.jar")))).encode()
    yield "requirements.txt", "".join(f"{each}\n" for each in _requirements()).encode()
    for package_ in (schemas, stream):
        (root,) = map(Path, package_.__path__)
        for path in root.rglob("*"):
            inside = path.relative_to(root)
            if path.is_file() and not set(inside.parts) & set(_SKIPPED):
                yield f"python/{root.name}/{inside.as_posix()}", path.read_bytes()
    (jobs,) = (Path(each) / "jobs" / "main.py" for each in stream.__path__)
    yield "job.py", jobs.read_bytes()


def _jar_line(jar: Path) -> str:
    return f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"


def _requirements() -> list[str]:
    """Return what the programs import, as the distribution pins it."""
    wanted = ("apache-flink", "fastavro", "msgspec", "pyyaml", "setuptools")
    found = []
    for each in requires("tidegate") or []:
        if "extra == " in each and 'extra == "stream"' not in each:
            continue
        if each.startswith(wanted):
            found.append(each.partition(";")[0].strip())
    return sorted(found)
