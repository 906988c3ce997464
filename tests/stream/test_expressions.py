"""Expressions: what they calculate is what Python would, and what they refuse is everything else."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.expressions import expression

NAMES = ("a", "b", "c.d")
VALUES = st.floats(-1e6, 1e6)


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(parts, parts)
    return st.one_of(
        st.tuples(two, st.sampled_from("+-*/")).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
        st.tuples(two, st.sampled_from(["<", "<=", ">", ">=", "==", "!="])).map(
            lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"
        ),
        st.tuples(two, st.sampled_from(["min", "max"])).map(
            lambda t: f"{t[1]}({t[0][0]}, {t[0][1]})"
        ),
        st.tuples(two, st.sampled_from(["and", "or"])).map(
            lambda t: f"({t[0][0]} > 0 {t[1]} {t[0][1]} > 0)"
        ),
        parts.map(lambda x: f"-{x}"),
        parts.map(lambda x: f"abs({x})"),
        parts.map(lambda x: f"sqrt(abs({x}))"),
        parts.map(lambda x: f"({x}) ** 2"),
    )


WRITTEN = st.recursive(
    st.sampled_from(["a", "b", "'c.d'", "2", "0.5", "1e3"]), joined, max_leaves=8
)


@given(WRITTEN, st.tuples(VALUES, VALUES, VALUES))
def test_an_expression_is_worth_what_python_says(text, values):
    text += " + 0 * a"
    by_name = dict(zip(NAMES, values, strict=True))
    scope = {"a": by_name["a"], "b": by_name["b"], "c_d": by_name["c.d"], "sqrt": math.sqrt}
    made = expression(text)
    given_values = [by_name[name] for name in made.names]
    try:
        wanted = float(eval(text.replace("'c.d'", "c_d"), scope))
    except ArithmeticError:
        with pytest.raises((ArithmeticError, ValueError)):
            made.evaluate(given_values)
        return
    found = made.evaluate(given_values)
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sqr(a)", 'knows no function sqr; did you mean "sqrt"?'),
        ("min(a)", "min takes two values or more, got 1"),
        ("sqrt(a, b)", "sqrt takes one value, got 2"),
        ("1 + 2", "names no metric"),
        ("a **", "is no expression, such as torque * speed: invalid syntax"),
        ("", "is no expression"),
        ("a ^ 2", "'a ^ 2' cannot be calculated here; there are numbers, metrics"),
        ("a.b", "in quotes where they hold other signs"),
        ("a if b else c", "cannot be calculated here"),
        ("__import__('os').system('true')", "cannot be calculated here"),
        ("().__class__", "cannot be calculated here"),
        ("[a for a in b]", "cannot be calculated here"),
        ("a[0]", "cannot be calculated here"),
        ("f'{a}'", "cannot be calculated here"),
        ("True + a", "cannot be calculated here"),
        ("a is b", "compares with Is; there are"),
        ("1e999 * a", "holds a number too large"),
        ("a + " + "9" * 400, "holds a number too large"),
        ("-" * 900 + "a", "nested too deeply"),
        ("(" * 300 + "a" + ")" * 300, "is no expression"),
        ("a + " * 400 + "a", "longer than 1000 characters"),
        ("a\0", "is no expression"),
    ],
)
def test_what_is_no_expression_is_told(text, said):
    with pytest.raises(ValueError) as raised:
        expression(text)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a / b", [1, 0]), ("sqrt(a)", [-1]), ("log(a)", [0]), ("exp(a)", [1e6]),
        ("a ** 0.5", [-1]), ("a ** a", [1e308]), ("0 ** a", [-1]),
    ],
)  # fmt: skip
def test_what_has_no_value_raises_and_never_leaves_the_real_numbers(text, values):
    made = expression(text)
    with pytest.raises((ArithmeticError, ValueError)):
        made.evaluate(values)


def test_names_are_in_the_order_they_first_stand_in():
    made = expression("'b.x' - a * 'b.x' + c")
    assert made.names == ("b.x", "a", "c")
    assert made.evaluate([2, 3, 5]) == 2 - 3 * 2 + 5
