"""TOML configuration to frozen records: the one place where the project reads a setting.

A configuration is described by ``msgspec.Struct`` classes: one field a key, nested structs for
tables, a tuple of structs for an array of tables, a dict for a table that is passed through.
Every mistake is collected and told with file, line, key, what was expected and the nearest known
key; nothing here touches the network.

``TIDEGATE__SECTION__KEY`` in the environment overrides ``[section] key``. A section this program
does not know is another program's and is left alone; an unknown key in a known one is an error.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from schemas.amounts import ByteSize, DurationMs, byte_size, duration
from schemas.failure import BadConfig
from schemas.kinds import branches, is_struct, present, table_or
from schemas.toml_lines import KeyPath, key_lines

__all__ = [
    "ByteSize",
    "Complaint",
    "ConfigError",
    "DurationMs",
    "byte_size",
    "duration",
    "load",
    "parse",
    "read_secret",
    "read_table",
    "secret_path",
    "told",
]

T = TypeVar("T", bound=msgspec.Struct)

ENV_PREFIX = "TIDEGATE__"


class Complaint(NamedTuple):
    """One thing wrong with a configuration; ``key`` is its path in the file."""

    key: KeyPath
    message: str


class ConfigError(BadConfig):
    """Everything wrong with one configuration, a line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Keep the lines for whoever wants them one by one."""
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(
    path: Path,
    kind: type[T],
    *,
    env: Mapping[str, str] = os.environ,
    check: Callable[[T], Sequence[Complaint]] | None = None,
) -> T:
    """Read a TOML file into ``kind``; see :func:`parse`.

    Raises:
        ConfigError: the file cannot be read, or as for :func:`parse`.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{path}: cannot read the configuration: {reason}"]) from error
    return parse(text, kind, name=str(path), env=env, check=check)


def parse(
    text: str,
    kind: type[T],
    *,
    name: str,
    env: Mapping[str, str] = os.environ,
    check: Callable[[T], Sequence[Complaint]] | None = None,
) -> T:
    """Read TOML text into ``kind``, apply the environment, then run ``check`` on the result.

    Args:
        text: the TOML document.
        kind: the struct that describes it.
        name: how messages call the text, usually its path.
        env: where overrides are looked for.
        check: offline validation over several keys; it may return any number of complaints.

    Raises:
        ConfigError: with every mistake that was found.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax(name, str(error))]) from error
    origins = _apply(env, kind, table)
    complaints: list[Complaint] = []
    config = read_table(kind, table, (), complaints)
    if config is not None and not complaints and check is not None:
        complaints.extend(check(config))
    if complaints or config is None:
        lines = key_lines(text)
        raise ConfigError([told(c, name, lines, origins) for c in complaints])
    return config


def read_secret(path: str, *, env: Mapping[str, str] = os.environ) -> str:
    """Return the text of a ``*_file`` secret without its last line end.

    Raises:
        ConfigError: the file cannot be read. The message never holds the secret.
    """
    full = secret_path(path, env=env)
    try:
        return full.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{full}: cannot read the secret: {reason}"]) from error


def secret_path(path: str, *, env: Mapping[str, str] = os.environ) -> Path:
    """Return where a secret is; a relative path is in systemd's ``$CREDENTIALS_DIRECTORY``."""
    return Path(env.get("CREDENTIALS_DIRECTORY", "")) / path


def _apply(env: Mapping[str, str], kind: type[T], table: dict[str, Any]) -> dict[KeyPath, str]:
    """Write overrides into the table; return which keys came from which variable."""
    origins: dict[KeyPath, str] = {}
    known = {field.encode_name: present(field.type) for field in msgspec.structs.fields(kind)}
    for variable in sorted(env):
        parts = variable.removeprefix(ENV_PREFIX).split("__")
        section = parts[0].lower()
        if not variable.startswith(ENV_PREFIX) or not is_struct(known.get(section)):
            continue
        inner: dict[str, Any] = table.setdefault(section, {})
        key, leaf = _target(known[section], parts[1:])
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        if key:
            inner[key[-1]] = _from_text(env[variable], leaf)
            origins[(section, *key)] = variable
    return origins


def _target(kind: Any, parts: list[str]) -> tuple[list[str], Any]:
    """Follow a variable's parts into a struct; inside a pass-through table they keep their case."""
    key: list[str] = []
    for part in parts:
        if is_struct(kind):
            key.append(part.lower())
            known = {f.encode_name: present(f.type) for f in msgspec.structs.fields(kind)}
            kind = known.get(part.lower())
        else:
            key.append(part)
            kind = None
    return key, kind


def _from_text(text: str, leaf: Any) -> object:
    plain = {str, DurationMs, ByteSize}
    if leaf is None or get_origin(leaf) is Literal or plain & set(branches(leaf)):
        return text
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def read_table(
    kind: type[T], table: Mapping[str, Any], path: KeyPath, complaints: list[Complaint]
) -> T | None:
    """Return the table as ``kind``; None, and complaints added, when it is wrong.

    ``path`` is the table's own place in the file.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    before = len(complaints)
    complaints.extend(
        Complaint((*path, key), _unknown(key, fields)) for key in table if key not in fields
    )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[field.name] = _value(field.type, table[name], (*path, name), complaints)
        elif field.required and is_struct(field.type):
            values[field.name] = _value(field.type, {}, (*path, name), complaints)
        elif field.required:
            complaints.append(Complaint((*path, name), "missing; it has no default"))
    return None if len(complaints) > before else kind(**values)


def _value(kind: Any, value: Any, path: KeyPath, complaints: list[Complaint]) -> Any:
    if value is not None:
        kind = present(kind)
    table, kind = table_or(kind)
    if table is not None and (kind is None or isinstance(value, Mapping)):
        if isinstance(value, Mapping):
            return read_table(table, value, path, complaints)
        complaints.append(Complaint(path, f"expected a table, got {value!r}"))
        return None
    elements = get_args(kind)
    if get_origin(kind) is tuple and is_struct(elements[0]):
        if isinstance(value, list):
            return tuple(
                _value(elements[0], item, (*path, index), complaints)
                for index, item in enumerate(value)
            )
        complaints.append(Complaint(path, f"expected an array of tables ([[{path[-1]}]])"))
        return None
    try:
        return msgspec.convert(value, kind, dec_hook=_amounts)
    except msgspec.ValidationError as error:
        told_of = _expected(kind, value, str(error))
        complaints.append(Complaint(path, told_of + ("; or a table" if table else "")))
        return None


def _amounts(kind: type, value: object) -> object:
    if kind in (DurationMs, ByteSize):
        return (duration if kind is DurationMs else byte_size)(str(value))
    raise NotImplementedError(f"{kind} in a configuration")


def _expected(kind: Any, value: object, message: str) -> str:
    if get_origin(kind) is Literal:
        known = [str(item) for item in get_args(kind)]
        return f"expected one of {', '.join(known)}, got {value!r}{nearest(str(value), known)}"
    # msgspec says what it wanted; the value is what a person looks for in the file.
    text = message[:1].lower() + message[1:].replace("`", "")
    return text if "got" in text and repr(value) in text else f"{text} ({value!r})"


def _unknown(key: str, known: Mapping[str, object]) -> str:
    near = nearest(key, list(known))
    return f"unknown key{near or '; known here: ' + ', '.join(sorted(known))}"


def nearest(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean "…"?`` for the known word that is most like one; "" if none is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""


def _syntax(name: str, message: str) -> str:
    line = re.search(r"line (\d+)", message)
    where = f"{name}:{line[1]}" if line else name
    return f"{where}: not TOML: {message}"


def told(
    complaint: Complaint, name: str, lines: Mapping[KeyPath, int], origins: Mapping[KeyPath, str]
) -> str:
    """Return a complaint with its place: the file's name and line, or the variable it is from."""
    origin = origins.get(complaint.key)
    where = f"environment {origin}" if origin else _place(complaint.key, name, lines)
    return f"{where}: {_spelled(complaint.key)}: {complaint.message}"


def _place(key: KeyPath, name: str, lines: Mapping[KeyPath, int]) -> str:
    for parent in _parents(key):
        if parent in lines:
            return f"{name}:{lines[parent]}"
    return name


def _parents(key: KeyPath) -> Iterator[KeyPath]:
    for length in range(len(key), 0, -1):
        yield key[:length]


def _spelled(key: KeyPath) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
