"""What `compare` may say of charts, rates and trends, and how mistakes are told."""

import pytest
from rule_builders import DAY, HOUR, MINUTE

from schemas.config import ConfigError
from stream.baselines import Decayed, Frozen, Median, Weekly
from stream.charts import Cusum, Ewma
from stream.rules import parse_rules
from stream.trends import Rate, Trend

HEAD = """\
version: 1
baselines:
  slow: {kind: decayed}
  week: {kind: weekly}
  first: {kind: frozen, learn_for: 4d}
  middle: {kind: frozen, learn_for: 4d, stat: median}
  zero: {kind: constant, mean: 0, std: 1}
rules:
"""


def text(
    compare: str,
    severities: str = "{level: WARNING, enter: 3}",
    window: str = "size: 1h, slide: 1h",
) -> str:
    return f"""{HEAD}\
  - name: found
    match: {{metric: temperature}}
    window: {{{window}}}
    aggregate: mean
    compare: {{{compare}}}
    severities: [{severities}]
"""


def one(*said: str):
    return parse_rules(text(*said)).rules[0]


UP, BOTH, TTL = 'op: ">=", ', 'op: "abs>=", ', 'op: "<=", to: time_to_limit, limit: 90'
LAP = "size: 1h, slide: 15m"


def test_each_kind_is_read_with_its_defaults():
    assert one(UP + "to: rate, over: 2h").method == Rate(2 * HOUR, HOUR)
    assert one(UP + "to: rate, over: 2h, unit: min").method == Rate(2 * HOUR, MINUTE)
    assert one(BOTH + "to: ewma, baseline: slow").method == Ewma(0.2, 6)
    assert one(BOTH + "to: ewma, baseline: slow, lambda: 0.05").method == Ewma(0.05, 6)
    assert one(UP + "to: cusum, baseline: week").method == Cusum(0.5, 6)
    assert one(
        'op: "<=", to: cusum, baseline: week, k: 1', "{level: WARNING, enter: -5}"
    ).method == Cusum(1, 10)
    assert one(TTL).method == Trend("linear", 24, 90, False, 0, 2, DAY, HOUR)
    said = TTL + ", fit: exponential, floor: 20, points: 30, min_tstat: 3, horizon: 5d, unit: d"
    assert one(said).method == Trend("exponential", 30, 90, False, 20, 3, 5 * DAY, DAY)
    down = TTL + ", fit: exponential, floor: 120, direction: falling"
    assert one(down).method == Trend("exponential", 24, 90, True, 120, 2, DAY, HOUR)


def test_baselines_are_those_that_a_comparison_goes_with():
    freeze = ("PENDING", "FIRING")
    assert one(UP + "to: robust_z, baseline: middle").baseline == Median(Frozen(4 * DAY))
    assert one(UP + "to: ewma, baseline: middle").baseline == Median(Frozen(4 * DAY))
    assert one(UP + "to: zscore, baseline: week").baseline == Weekly(Decayed(48, 300_000, 24))
    assert one(UP + "to: offset, baseline: slow").baseline == Decayed(freeze_while=freeze)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((UP + "to: rate",), ':13: rules[0].compare: "to: rate" needs over'),
        ((UP + "to: rate, over: 90m",), ":13: rules[0].compare.over: expected a multiple of the window's slide"),
        ((UP + "to: rate, over: 0s",), ":13: rules[0].compare.over: expected more than 0, got 0"),
        ((UP + "to: rate, over: 10d, unit: h", "{level: WARNING, enter: 3}", LAP), ":13: rules[0].compare.over: reaches 960 windows back, at most 240 are kept; a longer slide needs fewer"),
        ((UP + "to: rate, over: 2h, unit: hour",), ":13: rules[0].compare.unit: expected one of s, min, h, d, got 'hour'"),
        ((UP + "to: rate, over: 2h, baseline: slow",), ':13: rules[0].compare.baseline: means nothing with "to: rate"'),
        ((UP + "to: rate, over: 2h", "{level: WARNING, enter: 3}", "size: 1h, slide: 1h, grow_to: 2h"), ':11: rules[0].window.grow_to: "to: rate" needs windows of one length'),
        ((UP + "to: value, over: 2h",), ':13: rules[0].compare.over: means nothing with "to: value"'),
        ((UP + "to: value, lamda: 1",), ':13: rules[0].compare.lamda: unknown key; did you mean "lambda"?'),
        ((UP + "to: rat",), "rules[0].compare.to: expected one of value, zscore, robust_z, ratio, offset, rate, ewma, cusum, time_to_limit, got 'rat'; did you mean"),
        ((UP + "to: zscore, baseline: slow, k: 1",), ':13: rules[0].compare.k: means nothing with "to: zscore"'),
        ((UP + "to: ewma",), ":13: rules[0].compare.baseline: ewma needs one of the file's baselines: slow, week, first, middle, zero"),
        ((UP + "to: ewma, baseline: slow, lambda: 0",), ":13: rules[0].compare.lambda: expected more than 0 and at most 1, got 0"),
        ((UP + "to: ewma, baseline: slow, lambda: .nan",), ":13: rules[0].compare.lambda: expected a finite number, got .nan"),
        ((UP + "to: ewma, baseline: slow", "{level: WARNING, enter: 3}", LAP), ':11: rules[0].window.slide: "to: ewma" needs windows that do not overlap: expected the size'),
        ((UP + "to: cusum, baseline: slow, k: -1",), ":13: rules[0].compare.k: expected 0 or more, got -1"),
        ((UP + "to: cusum, baseline: slow", "{level: WARNING, enter: 0}"), ":14: rules[0].severities[0].enter: a chart starts at 0, so 0 is met at once"),
        (('op: "<=", to: cusum, baseline: slow', "{level: WARNING, enter: 5}"), ":14: rules[0].severities[0].enter: a chart starts at 0, so 5 is met at once"),
        ((UP + "to: ratio, baseline: first", "{level: WARNING, enter: 0.25}"), ":14: rules[0].severities[0].enter: a ratio of 1 is what is usual, so 0.25 is met always or never;"),
        (('op: "<=", to: ratio, baseline: first', "{level: WARNING, enter: 1.25}"), ":14: rules[0].severities[0].enter: a ratio of 1 is what is usual, so 1.25 is met"),
        ((BOTH + "to: ratio, baseline: first",), ":13: rules[0].compare.op: a ratio has no sign"),
        ((UP + "to: ratio, baseline: zero",), ":7: baselines.zero.mean: a ratio needs more than 0, got 0"),
        ((UP + "to: zscore, baseline: middle",), ':13: rules[0].compare.to: "zscore" does not go with baseline middle: robust_z is for one of kind frozen with stat median, zscore for all others'),
        ((UP + "to: robust_z, baseline: first",), ':13: rules[0].compare.to: "robust_z" does not go with baseline first'),
        ((UP + "to: time_to_limit, limit: 90",), ':13: rules[0].compare.op: little time is what is bad: expected "<="'),
        (('op: "<=", to: time_to_limit',), ':13: rules[0].compare: "to: time_to_limit" needs limit'),
        ((TTL + ", points: 5",), ":13: rules[0].compare.points: expected 10 to 120, got 5"),
        (("op: '<=', to: time_to_limit, limit: .inf",), ":13: rules[0].compare.limit: expected a finite number, got .inf"),
        ((TTL + ", fit: exponential",), ":13: rules[0].compare: floor is what an exponential fit needs, and no other has"),
        ((TTL + ", floor: 3",), ":13: rules[0].compare: floor is what an exponential fit needs, and no other has"),
        ((TTL + ", fit: exponential, floor: 95",), ":13: rules[0].compare.floor: 95 is on the wrong side of the limit, 90: a trend that is rising begins below"),
        ((TTL + ", fit: exponential, floor: 20, direction: falling",), ":13: rules[0].compare.floor: 20 is on the wrong side of the limit, 90: a trend that is falling begins above"),
        ((TTL, "{level: WARNING, enter: 48}"), ":14: rules[0].severities[0].enter: expected 0 to the horizon, 24, got 48; unless said, it is as long as the points reach back"),
        ((TTL, "{level: WARNING, enter: 3}", LAP), ':11: rules[0].window.slide: "to: time_to_limit" needs windows that do not overlap'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_was_expected(said, told):
    with pytest.raises(ConfigError) as wrong:
        parse_rules(text(*said), "my.yaml")
    assert told in str(wrong.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (UP + "to: rate, over: 2h", UP + "to: rate, over: 3h"),
        (UP + "to: ewma, baseline: slow", UP + "to: ewma, baseline: slow, lambda: 0.1"),
        (UP + "to: ewma, baseline: first", UP + "to: ewma, baseline: middle"),
        (UP + "to: ratio, baseline: first", UP + "to: offset, baseline: first"),
        (TTL, TTL + ", min_tstat: 3"),
        (TTL, TTL + ", direction: falling"),
    ],
)
def test_another_comparison_is_another_meaning(before, after):
    assert one(before).digest != one(after).digest


def test_what_a_rule_remembers_costs_what_check_says(tmp_path):
    from click.testing import CliRunner

    from stream.rules_cli import rules as command

    def cost(compare: str) -> int:
        path = tmp_path / "r.yaml"
        path.write_text(text(compare))
        done = CliRunner().invoke(command, ["check", str(path)])
        return int(done.stdout.split(" bytes")[0].split()[-1])

    plain = cost(UP + "to: value")
    assert cost(UP + "to: rate, over: 2h") == plain + 3 * 18
    assert cost(TTL) == plain + 24 * 18
    assert cost(UP + "to: robust_z, baseline: middle") == plain + 512 * 9
    assert cost(UP + "to: zscore, baseline: week") == plain + 168 * 29
