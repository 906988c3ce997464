"""What a setting may be: its annotation taken apart."""

from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec


def branches(kind: Any) -> tuple[Any, ...]:
    """Return the kinds of a union; of anything else, itself."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def present(kind: Any) -> Any:
    """Return what a value is of whose kind may also be None: mistakes are told in those terms."""
    some = [branch for branch in branches(kind) if branch is not NoneType]
    return reduce(or_, some) if some else kind


def table_or(kind: Any) -> tuple[Any, Any]:
    """Return the struct that a value may be of, and what else it may be; None for what it cannot.

    Of ``A | Literal["b"]`` these are A and the rest.
    """
    structs = [branch for branch in branches(kind) if is_struct(branch)]
    rest = [branch for branch in branches(kind) if not is_struct(branch)]
    return structs[0] if structs else None, reduce(or_, rest) if rest else None


def is_struct(kind: Any) -> bool:
    """Whether a table is expected, and nothing else."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
