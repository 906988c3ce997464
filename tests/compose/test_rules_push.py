"""`tidegate rules push` and `show`: what is pushed, what is refused, what is told of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rule_builders import HOUR

import compose.in_force
import compose.rules_push
from compose.intents import Intent, write_intent
from compose.rule_topic import Pushed, _judged, _superseded
from compose.rules_push import push, show
from compose.upgrade import Asked, Where
from schemas.failure import BadConfig, Failure
from schemas.records import RuleSet
from stream.rule_sets import text_digest

NOW = 1_795_000_000_000
DAY = 24 * HOUR
HOT = """version: 1
rules:
  - name: hot
    match: {metric: temperature}
    window: {size: 15m, slide: 15m}
    aggregate: mean
    compare: {op: ">=", to: value}
    severities: [{level: WARNING, enter: 80}]
"""
COLD = """  - name: cold
    match: {metric: temperature}
    window: {size: 15m, slide: 15m}
    aggregate: mean
    compare: {op: "<=", to: value}
    severities: [{level: WARNING, enter: 5}]
"""
WARM = HOT.replace("80", "70")


class Topic:
    """The topic of rules; what is published comes a moment later."""

    def __init__(self) -> None:
        self.found: dict[bytes, tuple[RuleSet, int]] = {}

    def put(self, text: str, version: int, from_ms: int, at: int = NOW + 500) -> None:
        given = RuleSet(
            version=version, effective_from=from_ms, sha256=text_digest(text), text=text
        )
        self.found[f"{version}".encode()] = given, at


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic()
    monkeypatch.setattr(compose.rules_push, "_now_ms", lambda: NOW)
    monkeypatch.setattr(compose.rules_push, "read", lambda state: None)
    monkeypatch.setattr(
        compose.in_force,
        "pushed",
        lambda endpoints, prefix, panes="*=1000": _judged(made.found, panes),
    )
    monkeypatch.setattr(
        compose.rules_push,
        "publish",
        lambda endpoints, prefix, text, version, from_ms: made.put(text, version, from_ms),
    )
    return made


@pytest.fixture
def submitted(tmp_path: Path, topic: Topic) -> Path:
    """A job with the rule hot."""
    return job(tmp_path)


def job(folder: Path, after: int | None = 0) -> Path:
    rules = written(folder, HOT, "own.yaml")
    argv = [
        "alerts", f"--rules={rules}", "--prefix=tidegate.", "--parallelism=2",
        "--checkpoint-interval=1s", "--lateness=5s",
    ]  # fmt: skip
    argv += [] if after is None else [f"--rules-after={after}"]
    write_intent(folder, Intent(name="alerts", argv=argv, wanted=True))
    return folder


def written(folder: Path, text: str, name: str = "rules.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def pushes(folder: Path, text: str, *words: str) -> Result:
    return CliRunner().invoke(push, [written(folder, text), *words, f"--state={folder}"])


def shows(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(show, [*words, f"--state={folder}"])


def test_versions_count_up_and_each_says_what_it_changes(submitted: Path, topic: Topic) -> None:
    first = pushes(submitted, HOT + COLD, "--effective-from=+10m", "--json")
    assert json.loads(first.output) == {
        "version": 1,
        "effective_from": "2026-11-18T11:16:40Z",
        "sha256": text_digest(HOT + COLD),
        "replaces": 0,
        "added": ["cold"],
        "removed": [],
        "changed": [],
        "retold": [],
        "kept": ["hot"],
        "pushed": True,
    }
    second = pushes(submitted, WARM, "--effective-from=+20m")
    assert second.output.splitlines() == [
        "version 2, from 2026-11-18T11:26:40Z on, in place of version 1",
        "cold: gone, its alerts end",
        "hot: changed, begins anew",
    ]
    assert [each.version for each, _ in topic.found.values()] == [1, 2]


def test_what_does_not_touch_a_rules_memory_is_told_apart(submitted: Path, topic: Topic) -> None:
    told = pushes(submitted, HOT + "    labels: {team: rotating}\n")
    assert "hot: changed, goes on" in told.output


def test_a_dry_run_says_the_same_and_pushes_nothing(submitted: Path, topic: Topic) -> None:
    told = pushes(submitted, WARM, "--dry-run")
    assert told.output.startswith("would be version 1, from 2026-11-18T11:07:40Z on")
    assert topic.found == {}


def test_a_time_that_no_calendar_has_is_a_usage_error(submitted: Path, topic: Topic) -> None:
    result = pushes(submitted, WARM, "--effective-from=99999999999999999")
    assert result.exit_code == 2
    assert "is no time up to the year 9999" in result.output


@pytest.mark.parametrize("time", [str(NOW), "2026-11-18T11:06:39Z", "+0s"])
def test_a_time_that_is_not_in_the_future_is_refused(
    submitted: Path, topic: Topic, time: str
) -> None:
    result = pushes(submitted, WARM, f"--effective-from={time}")
    assert isinstance(result.exception, Failure)
    assert "is not in the future (it is 2026-11-18T11:06:40Z)" in str(result.exception)
    assert topic.found == {}


def test_the_newest_rules_are_not_pushed_again_but_those_before_are(
    submitted: Path, topic: Topic
) -> None:
    pushes(submitted, WARM)
    again = pushes(submitted, WARM)
    assert isinstance(again.exception, Failure)
    assert "as version 1 from 2026-11-18T11:07:40Z on; nothing was pushed" in str(again.exception)
    back = pushes(submitted, HOT, "--effective-from=+30s")
    assert back.output.startswith("version 2, from 2026-11-18T11:07:10Z on, in place of the job's")
    assert "never: a later version holds from then on" in shows(submitted).output


def test_rules_for_finer_panes_need_an_upgrade(submitted: Path, topic: Topic) -> None:
    result = pushes(submitted, HOT.replace("15m", "5m"))
    assert isinstance(result.exception, BadConfig)
    assert "temperature: panes of 900 s, and the rules need 300 s" in str(result.exception)
    assert "--upgrade" in str(result.exception)
    assert topic.found == {}


def test_a_job_of_a_release_that_takes_no_pushed_rules_needs_an_upgrade(
    tmp_path: Path, topic: Topic
) -> None:
    result = pushes(job(tmp_path, after=None), WARM)
    assert "submitted by a release that takes no pushed rules" in str(result.exception)
    assert topic.found == {}


def test_with_upgrade_the_job_is_exchanged_and_what_was_pushed_counts_no_more(
    submitted: Path, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Asked] = []

    def answer(_at: Where, one: Asked) -> str:
        asked.append(one)
        return "f00d"

    monkeypatch.setattr(compose.rules_push, "upgrade", answer)
    pushes(submitted, WARM)
    finer = HOT.replace("15m", "5m")
    dry = pushes(submitted, finer, "--upgrade", "--dry-run")
    assert (dry.exit_code, asked) == (0, [])
    told = pushes(submitted, finer, "--upgrade")
    assert told.output.startswith("alerts: runs as f00d, by ")
    (one,) = asked
    assert one.rules_after == 1
    assert Path(str(one.rules)).read_text() == finer


def test_wrong_rules_are_refused_with_their_place(submitted: Path, topic: Topic) -> None:
    result = pushes(submitted, HOT.replace("mean", "meen"))
    assert isinstance(result.exception, BadConfig)
    assert "rules.yaml:6: " in str(result.exception)


def test_show_says_what_was_what_is_and_what_comes(submitted: Path, topic: Topic) -> None:
    topic.put(WARM, 1, NOW - 2 * HOUR, at=NOW - 3 * HOUR)
    topic.put(HOT + COLD, 2, NOW - HOUR, at=NOW - 3 * HOUR)
    topic.put(HOT, 3, NOW + HOUR)
    topic.put(HOT, 4, NOW, at=NOW)
    late = "2026-11-18T11:06:40Z, no earlier than it was to hold"
    assert shows(submitted).output.splitlines() == [
        f"the job's own from {'always':24} until 2026-11-18T09:06:40Z: {submitted}/own.yaml",
        "version 1    from 2026-11-18T09:06:40Z     until 2026-11-18T10:06:40Z",
        "  hot: changed, begins anew",
        "version 2    from 2026-11-18T10:06:40Z     in force",
        "  cold: new",
        "  hot: changed, begins anew",
        "version 3    from 2026-11-18T12:06:40Z     to come",
        "  cold: gone, its alerts end",
        "  hot: the same",
        f"version 4    from {'2026-11-18T11:06:40Z':24} refused: it reached the topic at {late}",
    ]
    found = json.loads(shows(submitted, "--json").output)["sets"]
    assert [(each["version"], each["status"].split(":")[0]) for each in found][2:] == [
        (2, "in force"),
        (3, "to come"),
        (4, "refused"),
    ]
    assert shows(submitted, "2").output == HOT + COLD
    missing = shows(submitted, "7")
    assert "there is no version 7" in str(missing.exception)


def test_rules_of_a_later_submission_replace_what_was_pushed(tmp_path: Path, topic: Topic) -> None:
    topic.put(WARM, 1, NOW - HOUR, at=NOW - 2 * HOUR)
    lines = shows(job(tmp_path, after=1)).output.splitlines()
    assert lines[0].endswith(f"in force: {tmp_path}/own.yaml")
    assert "replaced by the rules that the job was submitted or upgraded with" in lines[1]


def test_without_a_job_rules_wait_for_one(tmp_path: Path, topic: Topic) -> None:
    told = pushes(tmp_path, WARM)
    assert told.output.startswith("version 1, ")
    assert shows(tmp_path).output.splitlines()[0].startswith("version 1 ")


def test_sets_that_hold_no_more_leave_the_topic_after_ninety_days(
    monkeypatch: pytest.MonkeyPatch, topic: Topic
) -> None:
    monkeypatch.setattr("compose.rule_topic.time.time_ns", lambda: NOW * 1_000_000)
    for version, days in ((1, 300), (2, 200), (3, 80), (4, 70)):
        topic.put(HOT, version, NOW - days * DAY, at=NOW - (days + 1) * DAY)
    topic.put(HOT, 5, NOW - 299 * DAY, at=NOW - 295 * DAY)
    sets: list[Pushed] = _judged(topic.found, "*=1000")
    assert _superseded(sets) == [b"1", b"5"]
