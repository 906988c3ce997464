"""Keep Python workers' servers on loopback.

A TaskManager talks to its Python workers over gRPC servers of Apache Beam, which take any caller.
Beam asks for the loopback address, but then passes on the port alone, and they listen on all
interfaces. No setting changes that, so one class is put before the shipped one in which the call
``NettyServerBuilder.forPort(address.getPort())`` is ``NettyServerBuilder.forAddress(address)``.

Class files: Java Virtual Machine Specification, chapter 4 (constant pool: §4.4).
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CLASS = "org/apache/beam/sdk/fn/server/ServerFactory$InetSocketAddressServerFactory.class"
_UTF8, _CLASS, _METHOD, _NAME_AND_TYPE = 1, 7, 10, 12
# Bytes after the tag; a long and a double take two places in the pool.
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4}
_SIZES |= {19: 2, 20: 2}
_WIDE = (5, 6)
_INVOKEVIRTUAL, _INVOKESTATIC, _NOP = 0xB6, 0xB8, 0x00
_MAGIC = 0xCAFEBABE


class NotPatchable(Exception):
    """The class is not the one this was written for."""


class _Constant(NamedTuple):
    place: int
    tag: int
    content: bytes


def loopback_jar(flink_python: Path, target: Path) -> None:
    """Write a jar with the changed class, to be put before ``flink_python`` on the class path.

    Raises:
        NotPatchable: the shipped class is another one.
    """
    try:
        with zipfile.ZipFile(flink_python) as shipped:
            changed = on_loopback(shipped.read(CLASS))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise NotPatchable(f"{flink_python}: {error}") from error
    with zipfile.ZipFile(target, "w") as jar:
        jar.writestr(zipfile.ZipInfo(CLASS), changed)


def on_loopback(class_file: bytes) -> bytes:
    """Return the class with ``forAddress(address)`` for ``forPort(address.getPort())``.

    Raises:
        NotPatchable: the call is not there exactly once.
    """
    try:
        return _changed(class_file)
    except (struct.error, LookupError, UnicodeDecodeError) as error:
        raise NotPatchable(f"a damaged class file: {error}") from error


def _changed(class_file: bytes) -> bytes:
    magic, _, _, count = struct.unpack_from(">IHHH", class_file)
    if magic != _MAGIC:
        raise NotPatchable("no class file")
    constants = list(_constants(class_file, count))
    pool_end = 10 + sum(1 + len(constant.content) for constant in constants)
    get_port = _method(constants, "java/net/InetSocketAddress", "getPort")
    for_port = _method(constants, None, "forPort")
    builder = struct.unpack(">HH", for_port.content)[0]
    builder_name = _class_name(constants, builder)
    added = b"".join(
        (
            _utf8("forAddress"),
            _utf8(f"(Ljava/net/SocketAddress;)L{builder_name};"),
            struct.pack(">BHH", _NAME_AND_TYPE, count, count + 1),
            struct.pack(">BHH", _METHOD, builder, count + 2),
        )
    )
    old = struct.pack(">BHBH", _INVOKEVIRTUAL, get_port.place, _INVOKESTATIC, for_port.place)
    new = bytes([_NOP] * 3) + struct.pack(">BH", _INVOKESTATIC, count + 3)
    body = class_file[pool_end:]
    if body.count(old) != 1:
        raise NotPatchable("the call of forPort is not there once")
    head = class_file[:8] + struct.pack(">H", count + 4)
    return head + class_file[10:pool_end] + added + body.replace(old, new)


def _constants(class_file: bytes, count: int) -> Iterator[_Constant]:
    position, index = 10, 1
    while index < count:
        tag = class_file[position]
        if tag == _UTF8:
            size = 2 + struct.unpack_from(">H", class_file, position + 1)[0]
        elif tag in _SIZES:
            size = _SIZES[tag]
        else:
            raise NotPatchable(f"unknown constant {tag}")
        yield _Constant(index, tag, class_file[position + 1 : position + 1 + size])
        position += 1 + size
        index += 2 if tag in _WIDE else 1


def _method(constants: list[_Constant], owner: str | None, name: str) -> _Constant:
    """Return the constant of the method of that name, of any class if ``owner`` is None."""
    by_index = {constant.place: constant for constant in constants}
    found = []
    for constant in (constant for constant in constants if constant.tag == _METHOD):
        class_index, name_and_type = struct.unpack(">HH", constant.content)
        name_index = struct.unpack(">HH", by_index[name_and_type].content)[0]
        if by_index[name_index].content[2:] == name.encode() and owner in (
            None,
            _class_name(constants, class_index),
        ):
            found.append(constant)
    if len(found) != 1:
        raise NotPatchable(f"{len(found)} methods {name} instead of one")
    return found[0]


def _class_name(constants: list[_Constant], index: int) -> str:
    by_index = {constant.place: constant for constant in constants}
    name_index = struct.unpack(">H", by_index[index].content)[0]
    return by_index[name_index].content[2:].decode()


def _utf8(text: str) -> bytes:
    return struct.pack(">BH", _UTF8, len(text)) + text.encode()
