"""Expressions over several metrics: a small language, compiled once, that can only calculate.

    torque * speed * 0.10472 > 9000
    'bearing.temp' - ambient

Python's grammar without nearly everything: numbers, names of metrics (in quotes where they are no
identifiers), ``+ - * / **``, comparisons and ``and or not`` as 1 and 0, and a few functions.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from schemas.config import nearest

Compiled = Callable[[Sequence[float]], float]

_LONGEST = 1000
_DEEPEST = 200
"""Bounds what evaluation can cost and keeps it far from Python's own limit."""

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # unlike **, it never leaves the real numbers
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ONE: Mapping[str, Callable[[float], float]] = {
    "abs": abs,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
}
_MANY: Mapping[str, Callable[[list[float]], float]] = {"min": min, "max": max}
_FUNCTIONS = [*_ONE, *_MANY]


class Expression(NamedTuple):
    """What was written, the names in it in the order they first stand, and how to evaluate it.

    ``evaluate`` takes a value for each name. It may raise ArithmeticError or ValueError (a
    division by 0, a root or logarithm of what has none, a number too large).
    """

    text: str
    names: tuple[str, ...]
    evaluate: Compiled


def expression(text: str) -> Expression:
    """Compile an expression.

    Raises:
        ValueError: it is none, with what is wrong.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters; derive a part as a metric first")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"is no expression, such as torque * speed: {_said(error)}") from error
    names: list[str] = []
    compiled = _compiled(tree.body, names, 0)
    if not names:
        raise ValueError("names no metric")
    return Expression(text, tuple(names), compiled)


def _said(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        where = f" at character {error.offset}" if error.offset else ""
        return f"{error.msg}{where}"
    return str(error) or "nested too deeply"


def _compiled(node: ast.expr, names: list[str], depth: int) -> Compiled:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply; derive a part as a metric first")
    below = depth + 1
    match node:
        case ast.Constant(value=str() as name) | ast.Name(id=name):
            return _name(name, names)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _number(number)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _compiled(operand, names, below)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _unary(operator.neg, _compiled(operand, names, below))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _unary(operator.not_, _compiled(operand, names, below))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            sides = _compiled(left, names, below), _compiled(right, names, below)
            return _binary(_BINARY[type(op)], *sides)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return _chain(ops, [_compiled(each, names, below) for each in (left, *rest)])
        case ast.BoolOp(op=op, values=values):
            return _all_or_any(op, [_compiled(each, names, below) for each in values])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call(name, [_compiled(each, names, below) for each in args])
    raise ValueError(
        f"{ast.unparse(node)!r} cannot be calculated here; there are numbers, metrics (in "
        "quotes where they hold other signs), + - * / **, comparisons, and, or, not, "
        f"{', '.join(_FUNCTIONS)}"
    )


def _number(number: float) -> Compiled:
    try:
        value = float(number)
    except OverflowError as error:
        raise ValueError("holds a number too large") from error
    if not math.isfinite(value):
        raise ValueError("holds a number too large")
    return lambda _: value


def _name(name: str, names: list[str]) -> Compiled:
    if name not in names:
        names.append(name)
    return operator.itemgetter(names.index(name))


def _unary(of: Callable[[float], float], inner: Compiled) -> Compiled:
    return lambda values: float(of(inner(values)))


def _binary(of: Callable[[float, float], float], left: Compiled, right: Compiled) -> Compiled:
    return lambda values: of(left(values), right(values))


def _chain(ops: list[ast.cmpop], sides: list[Compiled]) -> Compiled:
    unknown = [type(op).__name__ for op in ops if type(op) not in _COMPARISONS]
    if unknown:
        raise ValueError(f"compares with {unknown[0]}; there are < <= > >= == !=")
    by = [_COMPARISONS[type(op)] for op in ops]
    links = list(zip(by, sides, sides[1:], strict=False))
    return lambda values: float(all(of(a(values), b(values)) for of, a, b in links))


def _all_or_any(op: ast.boolop, parts: list[Compiled]) -> Compiled:
    whole = all if isinstance(op, ast.And) else any
    return lambda values: float(whole(part(values) for part in parts))


def _call(name: str, args: list[Compiled]) -> Compiled:
    if name in _ONE and len(args) == 1:
        return _unary(_ONE[name], args[0])
    if name in _MANY and len(args) > 1:
        of = _MANY[name]
        return lambda values: of([each(values) for each in args])
    if name in _FUNCTIONS:
        wanted = "one value" if name in _ONE else "two values or more"
        raise ValueError(f"{name} takes {wanted}, got {len(args)}")
    near = nearest(name, _FUNCTIONS) or f"; there are {', '.join(_FUNCTIONS)}"
    raise ValueError(f"knows no function {name}{near}")
