"""Bearings run to failure on one shaft: the first to alarm is the one that fails, days before."""

from pathlib import Path

import pytest
from bearing_rig import like_that_rig, recorded
from rule_builders import HOUR

from schemas.records import Alert
from stream.backtest import Series, run
from stream.rules import load_rules

FAILS = "rig.bearing-1"


def first_alarms(series: list[Series]) -> dict[tuple[str, str], float]:
    """Hours before the end of the first alarm of each bearing and severity."""
    end = series[0].points[-1][0]
    found: dict[tuple[str, str], float] = {}
    alerts: list[Alert] = run(load_rules("bearing_wear"), series)
    for each in alerts:
        if each.event in ("FIRED", "ESCALATED"):
            found.setdefault((each.device_id, each.severity), (end - each.emitted_at) / HOUR)
    return found


def check(alarms: dict[tuple[str, str], float]) -> None:
    warned = alarms.pop((FAILS, "WARNING"))
    assert warned >= 40
    others = [hours for (device, _), hours in alarms.items() if device != FAILS]
    assert all(hours < warned for hours in others)


@pytest.mark.parametrize("seed", range(3))
def test_a_bearing_that_wears_is_warned_of_two_days_before_it_fails(seed):
    check(first_alarms(like_that_rig(seed)))


def test_the_rig_s_own_bearing_is_warned_of_two_days_before_it_fails(request):
    path = request.config.getoption("--ims")
    if path is None:
        pytest.skip("needs --ims CSV: the IMS bearing data, second test; it may not ship")
    alarms = first_alarms(list(recorded(Path(path))))
    check(dict(alarms))
    assert alarms[FAILS, "WARNING"] == pytest.approx(56.1, abs=0.1)
    assert alarms[FAILS, "CRITICAL"] == pytest.approx(46.1, abs=0.1)
    assert max(hours for (device, _), hours in alarms.items() if device != FAILS) < 15
