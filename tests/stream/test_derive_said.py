"""Derived metrics and models in a rule file: what cannot work is told with its line."""

import json
from pathlib import Path

import pytest

from schemas.config import ConfigError
from stream.pane_sizes import pane_ms, pane_sizes
from stream.rules import load_rules, parse_rules, rules_text

RULE = """
rules:
  - name: limit
    match: {metric: "%s"}
    window: {size: 1h, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 1}]
"""
MODEL = {
    "kind": "t2_q", "version": 1, "inputs": ["a", "b"], "every": "60s", "mean": [1, 2],
    "scale": [1, 1], "components": [[0.6, 0.8]], "variances": [1.5], "t2_limit": 9, "q_limit": 2,
    "quantile": 0.999,
}  # fmt: skip


def written(*derive: str, models: str = "", metric: str = "power") -> str:
    lines = "\n".join(f"  - {{{each}}}" for each in derive)
    return f"version: 1\n{models}\nderive:\n{lines}{RULE % metric}"


def complaint(*derive: str, models: str = "", metric: str = "power") -> str:
    with pytest.raises(ConfigError) as raised:
        parse_rules(written(*derive, models=models, metric=metric), "f.yaml")
    (line,) = raised.value.lines
    return line


def inline(**over: object) -> str:
    return f"models: {{loop: {json.dumps(MODEL | over)}}}"


@pytest.mark.parametrize(
    ("derive", "said"),
    [
        (['metric: power, expr: "sqr(a)"'], 'f.yaml:4: derive[0].expr: knows no function sqr; did you mean "sqrt"?'),
        (["metric: power"], "f.yaml:4: derive[0]: expected one of expr,"),
        (['metric: power, expr: "a", model: x'], "f.yaml:4: derive[0]: expected one of expr,"),
        (['metric: "p*", expr: "a"'], "f.yaml:4: derive[0].metric: expected the name of one metric"),
        (['metric: p, expr: "a"', 'metric: p, expr: "b"'], "f.yaml:5: derive[1].metric: 'p' is there twice for the same devices"),
        (['metric: p, expr: "q + a"', 'metric: q, expr: "p - b"'], "f.yaml:4: derive[0]: is made of itself: p of q of p"),
        (['metric: p, expr: "p + 1"'], "f.yaml:4: derive[0]: is made of itself: p of p"),
        (['metric: power, expr: "volt * a", inputs: {vlot: u.1, a: i.1}'], ""),
        (['metric: p, expr: "\'a b\' + 1"'], "derive[0].expr: expected the name of a metric, got 'a b'"),
        (['metric: power, expr: "a", every: 7m'], "derive[0].every: expected one of 1s 5s 10s 30s 1m"),
        (['metric: power, expr: "a", every: 1h'], "derive[0].every: power comes every 3600s, which does not divide the slide of rule limit, 900s"),
        (['metric: power, expr: "q"', 'metric: q, expr: "a", every: 1h'], "derive[1].every: q comes every 3600s, which does not divide that of power, 900s"),
        (['metric: power, expr: "a", unti: W'], 'derive[0].unti: unknown key; did you mean "unit"?'),
        (["metric: power, model: lop"], "derive[0].model: 'lop' is no t2_q or rul model under models; there are: none"),
        (['metric: power, expr: "a", device: "x y"'], "derive[0].device: expected a name or a glob"),
        (['metric: power, expr: "a", inputs: [a]'], "derive[0].inputs: expected a table of names in expr"),
    ],
)  # fmt: skip
def test_what_cannot_be_derived_is_told_with_its_line(derive, said):
    if said:
        assert said in complaint(*derive)
        return
    with pytest.raises(ConfigError) as raised:
        parse_rules(written(*derive), "f.yaml")
    assert raised.value.lines == (
        "f.yaml:4: derive[0].expr: 'volt' is none of the inputs; did you mean \"vlot\"?",
        "f.yaml:4: derive[0].inputs.vlot: is not in expr",
    )


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"kind": "t2q"}, 'models.loop.kind: expected one of t2_q, rul, baseline, got \'t2q\'; did you mean "t2_q"?'),
        ({"mean": [1]}, "models.loop.mean: expected a number for each of 2 inputs"),
        ({"scale": [1, 0]}, "models.loop.scale: expected numbers above 0"),
        ({"components": [[1]]}, "models.loop.components: expected rows of 2 numbers"),
        ({"variances": [0]}, "models.loop.variances: expected a number above 0"),
        ({"q_limit": 0}, "models.loop.q_limit: expected more than 0"),
        ({"version": 2}, "models.loop.version: "),
        ({"inputs": ["a", "a"]}, "models.loop.inputs: expected 1 to 64 names, each once"),
        ({"means": [1, 2]}, 'models.loop.means: unknown key; did you mean "mean"?'),
        ({"mean": ["x", 2]}, "models.loop.mean: expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_is_told(over, said):
    assert said in complaint("metric: power, model: loop", models=inline(**over))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", every: 1m", "every: means nothing beside a model, which has its own: 60s"),
        (", inputs: [x]", "inputs: expected a metric for each of the model's, in order: a, b"),
    ],
)
def test_a_model_s_metrics_and_step_are_its_own(more, said):
    assert said in complaint(f"metric: power, model: loop{more}", models=inline())


def test_a_name_that_is_near_is_told():
    near = complaint("metric: power, model: lop", models=inline())
    assert near.endswith("'lop' is no t2_q or rul model under models; did you mean \"loop\"?")


def test_a_baseline_s_model_must_be_one():
    with pytest.raises(
        ConfigError, match="'loop' is no baseline model under models; there are: none"
    ):
        parse_rules(
            f"version: 1\n{inline()}\nbaselines: {{well: {{kind: fitted, model: loop}}}}"
            + (RULE % "x").replace("to: value", "to: zscore, baseline: well"),
            "f.yaml",
        )


def test_panes_are_those_of_what_is_made_of_them():
    made = parse_rules(
        written(
            'metric: power, expr: "torque * speed"',
            'metric: loss, expr: "power - out", every: 1m',
            metric="loss",
        )
    )
    assert pane_sizes(made) == "loss=60000,out=60000,power=60000,speed=60000,torque=60000,*=3600000"
    assert [each.pane_ms for each in made.derived] == [60_000, 60_000]
    wide = parse_rules(written('metric: power, expr: "torque * speed"'))
    assert pane_ms(wide)("torque") == pane_ms(wide)("power") == 900_000


def test_a_state_is_told_at_least_as_often_as_its_rule_asks():
    with pytest.raises(
        ConfigError, match="load comes every 3600s, which does not divide the slide"
    ):
        parse_rules(
            written('metric: load, expr: "a > 1", every: 1h', metric="b").replace(
                "    window", "    when: {metric: load, op: '>=', value: 1}\n    window"
            )
        )


def test_many_short_panes_of_a_derived_metric_are_too_dear_for_a_long_window():
    said = complaint('metric: power, expr: "a", every: 1s', metric="*")
    assert "rules[0].window: makes 3600 panes of 1s, at most 1440 are allowed" in said


def test_a_model_s_file_goes_into_the_text_and_lines_stay(tmp_path: Path):
    (tmp_path / "loop.json").write_text(json.dumps(MODEL, indent=2))
    file = tmp_path / "rules.yaml"
    file.write_text(
        written("metric: power, model: loop", models="models: {loop: loop.json} # fitted")
    )
    text = rules_text(str(file))
    assert text.count("\n") == file.read_text().count("\n")
    assert parse_rules(text) == load_rules(str(file))
    assert parse_rules(text).derived[0].inputs == ("a", "b")
    (tmp_path / "loop.json").unlink()
    assert rules_text(_kept(tmp_path, text)) == text  # it needs no other file


def _kept(folder: Path, text: str) -> str:
    (folder / "kept.yaml").write_text(text)
    return str(folder / "kept.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "loop.json: No such file or directory; `tidegate rules fit` writes models"),
        ("{", "loop.json: is no JSON"),
        (b"\xff", "loop.json: not UTF-8"),
        ("[" * 100_000, "loop.json: is no JSON"),
        ("7", "models.loop: expected a model or the name of its file: 7"),
    ],
)
def test_a_model_s_file_that_cannot_be_read_is_told_with_the_line_that_names_it(
    tmp_path, content, said
):
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "loop.json").write_bytes(data)
    file = tmp_path / "rules.yaml"
    file.write_text(written("metric: power, model: loop", models="models: {loop: loop.json}"))
    with pytest.raises(ConfigError) as raised:
        load_rules(str(file))
    assert said in str(raised.value)
    assert f"{file}:2: models" in str(raised.value)


def test_a_file_s_name_in_a_text_alone_is_told():
    said = complaint("metric: power, model: loop", models="models: {loop: loop.json}")
    assert "f.yaml:2: models.loop: expected a model or the name of its file: 'loop.json'" in said
