import struct
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.local.beam import CLASS, NotPatchable, loopback_jar, on_loopback

SPEC = find_spec("pyflink")
pytestmark = pytest.mark.skipif(SPEC is None, reason="needs PyFlink's jar")


@pytest.fixture(scope="module")
def flink_python() -> Path:
    return next(Path(SPEC.submodule_search_locations[0], "opt").glob("flink-python*.jar"))


@pytest.fixture(scope="module")
def shipped(flink_python: Path) -> bytes:
    with zipfile.ZipFile(flink_python) as jar:
        return jar.read(CLASS)


def test_the_server_gets_the_address_and_not_only_its_port(shipped: bytes) -> None:
    changed = on_loopback(shipped)
    assert b"forAddress" in changed
    assert b"forAddress" not in shipped
    # Four constants more and not a byte of code.
    assert struct.unpack_from(">H", changed, 8)[0] == struct.unpack_from(">H", shipped, 8)[0] + 4
    added = changed.index(b"forAddress") - 3
    grown = len(changed) - len(shipped)
    body, old_body = changed[added + grown :], shipped[added:]
    different = [index for index in range(len(body)) if body[index] != old_body[index]]
    assert 0 < len(different) <= 6
    assert different[-1] - different[0] < 6


def test_a_class_is_changed_once_only(shipped: bytes) -> None:
    with pytest.raises(NotPatchable, match="not there once"):
        on_loopback(on_loopback(shipped))


def test_the_jar_holds_the_changed_class_alone(
    flink_python: Path, shipped: bytes, tmp_path: Path
) -> None:
    loopback_jar(flink_python, tmp_path / "patch.jar")
    with zipfile.ZipFile(tmp_path / "patch.jar") as jar:
        assert jar.namelist() == [CLASS]
        assert jar.read(CLASS) == on_loopback(shipped)


def test_a_jar_without_the_class_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.jar", "w") as jar:
        jar.writestr("else", b"")
    with pytest.raises(NotPatchable):
        loopback_jar(tmp_path / "other.jar", tmp_path / "patch.jar")


@given(
    st.binary(max_size=200).map(lambda tail: b"\xca\xfe\xba\xbe\0\0\0\x34" + tail)
    | st.binary(max_size=50)
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(NotPatchable):
        on_loopback(content)
