"""Configuration mistakes are told with file, line, key, what was expected and the nearest key."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from schemas.amounts import told_at
from schemas.config import (
    ByteSize,
    Complaint,
    ConfigError,
    DurationMs,
    byte_size,
    duration,
    load,
    parse,
    read_secret,
)


class Store(msgspec.Struct, frozen=True):
    folder: str
    quota: ByteSize = ByteSize(1024)
    age: DurationMs = DurationMs(1000)
    ratio: float = 0.5
    mode: Literal["stop", "drop"] = "stop"
    note: str | None = None
    raw: dict[str, str | int | bool] = {}


class Folder(msgspec.Struct, frozen=True):
    topic: str
    keep: bool = True


class Settings(msgspec.Struct, frozen=True):
    store: Store
    paths: tuple[Folder, ...] = ()


GOOD = """
[store]
folder = "/data"
quota = "1.5GiB"
age = "2m"

[store.raw]
"linger.ms" = 5

[[paths]]
topic = "a"

[[paths]]
topic = "b"
keep = false
"""


def complaints(text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, Settings, name="x.toml", env=env or {})
    assert caught.value.exit_code == 78
    return list(caught.value.lines)


def test_a_good_file_becomes_frozen_records() -> None:
    settings = parse(GOOD, Settings, name="x.toml", env={})
    assert settings.store == Store(
        folder="/data",
        quota=ByteSize(3 << 29),
        age=DurationMs(120_000),
        raw={"linger.ms": 5},
    )
    assert settings.paths == (Folder("a"), Folder("b", keep=False))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[store]\nfolder='d'\nqouta='1GiB'",
            'x.toml:3: store.qouta: unknown key; did you mean "quota"?',
        ),
        ("[store]\nfolder='d'\n\nquota='1 GiBs'", "x.toml:4: store.quota: expected a size"),
        ("[store]\nfolder='d'\nage=5", "x.toml:3: store.age: expected a duration"),
        ("[store]\nfolder=5", "x.toml:2: store.folder: expected str, got int (5)"),
        ("[store]\nquota='1GiB'", "x.toml:1: store.folder: missing"),
        ("", "x.toml: store.folder: missing"),
        ("[stroe]\nfolder='d'", 'x.toml:1: stroe: unknown key; did you mean "store"?'),
        (
            "[store]\nfolder='d'\nmode='dorp'",
            "expected one of stop, drop, got 'dorp'; did you mean \"drop\"?",
        ),
        (
            "[store]\nfolder='d'\n[[paths]]\ntopic='a'\n[[paths]]\ntopci='b'",
            "x.toml:6: paths[1].topci: unknown key",
        ),
        ("[store]\nfolder='d'\npaths=3", "x.toml:3: store.paths: unknown key"),
        ("store = 3", "x.toml:1: store: expected a table"),
        (
            "paths = 3\n[store]\nfolder='d'",
            "x.toml:1: paths: expected an array of tables ([[paths]])",
        ),
        ("[store\nfolder='d'", "x.toml:1: not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    assert any(told in line for line in complaints(text)), complaints(text)


def test_every_mistake_is_told_at_once() -> None:
    assert len(complaints("[store]\nfodler='d'\nquota=1\n[nope]\n")) == 4


def test_the_environment_overrides_the_file() -> None:
    env = {
        "TIDEGATE__STORE__QUOTA": "2KiB",
        "TIDEGATE__STORE__RATIO": "0.25",
        "TIDEGATE__STORE__RAW__linger.ms": "9",
        "TIDEGATE__OTHER__STATE": "/tmp/x",
    }
    store = parse(GOOD, Settings, name="x.toml", env=env).store
    assert (store.quota, store.ratio, store.raw) == (2048, 0.25, {"linger.ms": "9"})


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    told = complaints(GOOD, {"TIDEGATE__STORE__QOUTA": "1", "TIDEGATE__STORE__AGE": "soon"})
    assert any(line.startswith("environment TIDEGATE__STORE__QOUTA: store.qouta") for line in told)
    assert any(line.startswith("environment TIDEGATE__STORE__AGE: store.age") for line in told)


def test_a_check_over_several_keys_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"x.toml:4: store.quota: too small"):
        parse(
            GOOD,
            Settings,
            name="x.toml",
            env={},
            check=lambda s: [Complaint(("store", "quota"), "too small")],
        )


def test_a_missing_file_is_a_bad_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration: No such file"):
        load(tmp_path / "none.toml", Settings, env={})


def test_amounts_have_units() -> None:
    assert [duration(t) for t in ("250ms", "1.5h", "2d")] == [250, 5_400_000, 172_800_000]
    assert [byte_size(t) for t in ("10B", "2kB", "256KiB")] == [10, 2000, 262_144]
    for bad in ("", "5", "m", "-1s", "1 week"):
        with pytest.raises(ValueError, match="expected a duration"):
            duration(bad)


@pytest.mark.parametrize("text", ["36501d", "9" * 400 + "ms"])
def test_an_amount_beyond_all_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration of at most 36500d, got '"):
        duration(text)
    with pytest.raises(ValueError, match="expected a size of at most"):
        byte_size("9" * 400 + "kB")


def test_a_time_of_no_year_is_told_all_the_same() -> None:
    assert told_at(0) == "1970-01-01 00:00"
    assert told_at(99_999_999_999_999_999) == "99999999999999999 ms"


def test_a_secret_comes_from_the_credentials_directory(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush\n")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret("password", env=env) == "hush"
    with pytest.raises(ConfigError, match="cannot read the secret"):
        read_secret("other", env=env)


class MayHave(msgspec.Struct, frozen=True):
    store: Store | None = None


def test_a_table_that_may_be_left_out_is_read_as_any_other() -> None:
    assert parse("", MayHave, name="x", env={}).store is None
    with pytest.raises(ConfigError, match=r"x:3: store\.ratoi: unknown key; did you mean"):
        parse('[store]\nfolder = "/"\nratoi = 1\n', MayHave, name="x", env={})
    found = parse("", MayHave, name="x", env={"TIDEGATE__STORE__FOLDER": "/data"})
    assert found.store == Store(folder="/data")
