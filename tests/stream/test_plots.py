"""Pages of series: what is drawn, where, and that nothing in a name can break them."""

import re
from math import inf, nan
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rule_builders import HOUR, MINUTE, limit, rules

from compose.rules_cli import rules as command
from compose.rules_plots import write_plots
from schemas.failure import Failure
from stream.backtest import Series, run
from stream.plot_axes import Scale, thinned, time_ticks, value_range, value_ticks
from stream.plots import Marks, Page, Panel, marker, page
from stream.rule import Rules

numbers = st.floats(-1e6, 1e6) | st.floats()


@given(st.lists(st.tuples(st.integers(0, 10_000), numbers), max_size=200), st.integers(1, 50))
def test_a_thinned_line_keeps_its_extremes_in_no_more_columns_than_there_are(points, columns):
    points.sort(key=lambda point: point[0])
    made = thinned(points, 0, 10_000, columns)
    assert len(made) <= columns
    assert [each.at for each in made] == sorted({each.at for each in made})
    drawn = [x for _, x in points if abs(x) < 1e150]
    assert min((each.low for each in made), default=None) == min(drawn, default=None)
    assert max((each.high for each in made), default=None) == max(drawn, default=None)


@given(st.lists(numbers, max_size=20), st.lists(st.floats(-1e9, 1e9), max_size=4))
def test_a_scale_shows_all_values_and_a_few_round_ticks(values, limits):
    low, high = value_range(values, limits)
    assert low < high
    scale = Scale(low, high, 200, 0)
    assert all(scale.holds(x) for x in values if abs(x) < 1e150)
    ticks = value_ticks(low, high)
    assert len(ticks) <= 7
    assert all(-1 <= scale.at(tick) <= 201 for tick in ticks)


def test_limits_that_are_near_are_on_the_scale_and_far_ones_do_not_squash_it():
    assert value_range([0, 10], [15])[1] > 15
    assert value_range([0, 10], [100])[1] < 12


@pytest.mark.parametrize(
    ("hours", "told"),
    [(1, "01-01 00:00"), (30, "01-01 00:00"), (24 * 60, "1970-01-01"), (24 * 9000, "1970-01-01")],
)
def test_times_are_round_and_few(hours, told):
    ticks = time_ticks(0, hours * HOUR)
    assert ticks[0] == (0, told)
    assert 2 <= len(ticks) <= 12


def drawn(of: Rules, *values: float, labels=(), name: str = "pump") -> Page:
    """The page of a reading each 5 minutes."""
    marks: Marks = {}
    series = Series(name, "heat", [(i * 5 * MINUTE, x) for i, x in enumerate(values)])
    alerts = run(of, [series], marker(marks))
    panels = [Panel(rule, marks.get((name, "heat", rule.name), [])) for rule in of.rules]
    return Page(series, panels, alerts, list(labels))


def svgs(text: str) -> list[ET.Element]:
    return [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def of_kind(svg: ET.Element, kind: str) -> list[ET.Element]:
    return [each for each in svg.iter() if each.get("class") == kind]


TWO = limit("[{level: WARNING, enter: 10}, {level: CRITICAL, enter: 20}]")
ONE_ALERT = [5.0] * 12 + [15.0] * 6 + [25.0] * 6 + [5.0] * 12


def test_alerts_are_bars_where_they_were_by_severity_and_limits_are_lines():
    (svg,) = svgs(page(drawn(TWO, *ONE_ALERT)))
    (warning,), (critical,) = of_kind(svg, "alert WARNING"), of_kind(svg, "alert CRITICAL")
    left, width = float(warning.get("x", 0)), float(warning.get("width", 0))
    assert float(critical.get("x", 0)) == pytest.approx(left + width, abs=0.2)
    per_ms = (1120 - 64 - 12) / (180 * MINUTE)
    assert left == pytest.approx(64 + 75 * MINUTE * per_ms, abs=0.2)
    assert [of_kind(svg, f"limit {level}")[0][0].text for level in ("WARNING", "CRITICAL")] == [
        "WARNING at 10", "CRITICAL at 20",
    ]  # fmt: skip
    assert len(of_kind(svg, "windows")) == 1
    assert not of_kind(svg, "score")


def test_an_alert_that_is_not_over_reaches_the_edge():
    (svg,) = svgs(page(drawn(TWO, *[5.0] * 12, *[15.0] * 24)))
    (bar,) = of_kind(svg, "alert WARNING")
    assert float(bar.get("x", 0)) + float(bar.get("width", 0)) == pytest.approx(1108, abs=0.2)


def test_a_limit_far_off_is_said_and_not_drawn():
    text = page(drawn(limit("[{level: WARNING, enter: 1000}]"), *ONE_ALERT))
    assert "WARNING at 1000 is off the chart" in text
    assert not of_kind(svgs(text)[0], "limit WARNING")


def test_labels_inside_are_drawn_and_those_outside_are_not():
    (svg,) = svgs(page(drawn(TWO, *ONE_ALERT, labels=[(HOUR, 2 * HOUR), (90 * HOUR, 91 * HOUR)])))
    assert len(of_kind(svg, "label")) == 1


def test_a_score_has_a_strip_of_its_own_and_what_is_usual_a_band():
    of = rules(
        """
        - name: odd
          match: {metric: heat}
          window: {size: 15m, slide: 15m}
          aggregate: mean
          compare: {op: "abs>=", to: zscore, baseline: vendor}
          severities: [{level: WARNING, enter: 3}]
        """,
        header="version: 1\nbaselines:\n  vendor: {kind: constant, mean: 5, std: 1}",
    )
    (svg,) = svgs(page(drawn(of, *[5.0, 6.0, 4.0] * 40)))
    assert len(of_kind(svg, "score")) == len(of_kind(svg, "usual")) == 1
    assert len(of_kind(svg, "limit WARNING")) == 2


@pytest.mark.parametrize("values", [[], [1.0], [nan, inf], [1e308, -1e308], [0.0] * 9])
def test_any_series_can_be_drawn(values):
    text = page(drawn(TWO, *values))
    assert len(svgs(text)) == 1
    assert "nan" not in text.lower().replace("tenant", "")
    assert "inf" not in re.sub(r"INFO|info", "", text)


def test_a_line_is_broken_where_windows_are_missing():
    page_of = drawn(TWO, *[5.0] * 12)
    marks = page_of.panels[0].marks
    split = [*marks, *(mark._replace(end=mark.end + 40 * HOUR) for mark in marks)]
    (svg,) = svgs(page(page_of._replace(panels=[Panel(TWO.rules[0], split)])))
    (line,) = of_kind(svg, "windows")
    assert (line.get("d") or "").count("M") == 2


def test_names_cannot_break_a_page_or_leave_the_folder(tmp_path):
    name = "../<script>&'\""
    marks: Marks = {}
    series = [Series(name, "heat", [(0, 1.0)]), Series("..__script____", "heat", [(0, 1.0)])]
    index = write_plots(tmp_path / "p", TWO, series, marks, [], {})
    assert index == tmp_path / "p" / "index.html"
    files = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert len(files) == 3
    for file in files:
        assert "<script" not in (tmp_path / "p" / file).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    links = re.findall(r'href="([^"]+)"', index.read_text())
    assert sorted([*links, "index.html"]) == files


def test_the_command_draws_each_series_and_lists_the_worst_first(tmp_path):
    rows = "".join(f"{i * 5 * MINUTE},{x},1\n" for i, x in enumerate(ONE_ALERT))
    (tmp_path / "pump.csv").write_text(
        f"timestamp,calm,heat\n{rows}".replace("calm,heat", "heat,calm")
    )
    path = tmp_path / "r.yaml"
    path.write_text(
        "version: 1\nrules:\n- {name: hot, match: {metric: heat}, window: {size: 15m, slide: 15m},"
        ' aggregate: mean, compare: {op: ">=", to: value}, severities: [{level: WARNING, enter: 10}]}'
    )
    words = [
        "test",
        str(path),
        "--data",
        str(tmp_path / "pump.csv"),
        "--plot",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert done.stderr == f"drawn: {tmp_path / 'out' / 'index.html'}\n"
    links = re.findall(r'href="([^"]+)"', (tmp_path / "out" / "index.html").read_text())
    assert links == ["pump.heat.html", "pump.calm.html"]
    assert "no rule is for this series" in (tmp_path / "out" / "pump.calm.html").read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    Path(tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="cannot be written"):
        write_plots(tmp_path / "file" / "p", TWO, [], {}, [], {})
