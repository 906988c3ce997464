"""The stream benchmarks run as their users run them, and count what the jobs wrote."""

import json

import pytest
from stack_fixture import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_jobs_are_measured_and_their_windows_counted(stack: RunningStack) -> None:
    many = ["--readings", "1600000", "--hz", "10", "--json"]
    stream = stack.tidegate("bench", "stream", *many, "--devices", "100")
    assert stream.returncode == 0, stream.stderr
    figures = json.loads(stream.stdout)
    keys = ("ratio_vs_bare", "panes_ratio_vs_bare", "lake_ratio_vs_bare", "cpu_ratio_vs_bare")
    assert all(figures[key] > 0 for key in keys), figures
    assert {"bare_per_s", "bare_lake_per_s"} <= figures.keys()
    assert figures["windows"] in (100 * 53, 100 * 54)  # by when in half a minute it began
    slow = ["--readings", "600000", "--hz", "1", "--json"]
    scale = stack.tidegate("bench", "scale", *slow, "--few", "100", "--many", "1000")
    assert scale.returncode == 0, scale.stderr
    assert json.loads(scale.stdout)["sensors"] == [100, 1000]
    refused = stack.tidegate("bench", "scale", "--few", "100", "--many", "350")
    assert (
        "350 sensors beside 100: panes are no whole times as long; try 1000 or 12000"
        in refused.stderr
    )


def test_a_pack_is_measured_and_its_windows_and_alerts_are_those_of_the_engine(
    stack: RunningStack,
) -> None:
    few = ["--pack", "sensor_health", "--pack", "generic", "--machines", "60", "--json"]
    packs = stack.tidegate("bench", "packs", *few)
    assert packs.returncode == 0, packs.stderr
    figures = json.loads(packs.stdout)
    assert figures["generic_panes_per_s"] > 0
    assert figures["generic_windows"] > 1000
    unknown = stack.tidegate("bench", "packs", "--pack", "none")
    assert unknown.returncode == 2
    assert "no pack 'none'; there are bearing_wear, demo, generic" in unknown.stderr
