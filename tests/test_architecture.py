"""Which package may import which, and what an edge device must never load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("schemas", "gateway", "stream", "simulators", "compose")
ALLOWED = {
    "schemas": set(),
    "gateway": {"schemas"},
    "stream": {"schemas"},
    "simulators": {"schemas"},
    "compose": {"schemas", "gateway", "stream", "simulators"},
}
HEAVY = ("pyflink", "pandas", "pyarrow", "numpy", "duckdb", "apache_beam")
EDGE_MODULES = (
    "compose.cli",
    "gateway.cli",
    "simulators.cli",
    "compose.topics",
    "compose.schemas_cli",
    "compose.alerts_cli",
)


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return names


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    for path in modules(package):
        ours = {name.split(".")[0] for name in imports(path)} & set(PACKAGES)
        assert ours <= ALLOWED[package] | {package}, path


def test_nothing_imports_the_tests() -> None:
    for package in PACKAGES:
        for path in modules(package):
            assert not any(name.split(".")[0] == "tests" for name in imports(path)), path


def test_only_the_jobs_import_flink() -> None:
    for package in PACKAGES:
        for path in modules(package):
            if "jobs" not in path.relative_to(ROOT).parts:
                assert not any(name.split(".")[0] == "pyflink" for name in imports(path)), path


@pytest.mark.parametrize("module", ["panes", "windows", "rules", "engine"])
def test_the_engine_is_pure(module: str) -> None:
    script = f"import sys, stream.{module}; print(*sys.modules)"
    assert not loaded(script) & {*HEAVY, "confluent_kafka", "paho"}


def loaded(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", EDGE_MODULES)
def test_no_edge_command_loads_a_heavy_module(module: str) -> None:
    assert not loaded(f"import sys, {module}; print(*sys.modules)") & set(HEAVY)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["gateway", "--help"], ["gateway", "run", "--help"], ["simulate", "--help"]],
)
def test_no_edge_help_loads_a_heavy_module(words: list[str]) -> None:
    script = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules)); "
        f"sys.argv = ['tidegate', *{words!r}]; from compose.cli import main; main()"
    )
    assert not loaded(script) & set(HEAVY)
