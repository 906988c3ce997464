"""The stream benchmarks run as their users run them, and count what the jobs wrote."""

import json

import pytest
from stack_fixture import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_jobs_are_measured_and_their_windows_counted(stack: RunningStack) -> None:
    few = ["--readings", "120000", "--hz", "1", "--json"]
    stream = stack.tidegate("bench", "stream", *few, "--devices", "100")
    assert stream.returncode == 0, stream.stderr
    figures = json.loads(stream.stdout)
    keys = ("ratio_vs_bare", "panes_ratio_vs_bare", "lake_ratio_vs_bare", "cpu_ratio_vs_bare")
    assert all(figures[key] > 0 for key in keys), figures
    assert {"bare_per_s", "bare_lake_per_s"} <= figures.keys()
    assert figures["windows"] in (100 * 39, 100 * 40)  # by when in half a minute it began
    scale = stack.tidegate("bench", "scale", *few, "--few", "20", "--many", "200")
    assert scale.returncode == 0, scale.stderr
    assert json.loads(scale.stdout)["sensors"] == [20, 200]
    refused = stack.tidegate("bench", "scale", "--few", "20", "--many", "70")
    assert (
        "70 sensors beside 20: panes are no whole times as long; try 200 or 2400" in refused.stderr
    )
