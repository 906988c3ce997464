import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from stack_fixture import one_part

from compose.cli import cli
from compose.local import control, sweep
from compose.local.layout import Layout
from compose.local.settings import PARTS, START_ORDER
from compose.local.state import PartState, StackState, publish, read_wanted
from schemas.failure import BadConfig, Failure, Unavailable


def run(*words: str, state: Path, answer: str | None = None):
    return CliRunner().invoke(
        cli, ["local", words[0], "--state", str(state), *words[1:]], input=answer
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--only", "kafak"], "no such part: kafak"),
        (["up", "--only", ","], "names no part"),
        (["up", "--with", "postgers"], "no such part: postgers"),
        (["logs", "nosuch"], "'nosuch' is not one of"),
        (["logs", "kafka", "-n", "-1"], "-1 is not in the range"),
        (["logs", "-f"], "name the part"),
        (["frobnicate"], "No such"),
    ],
)
def test_wrong_words_are_usage_errors(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(*words, state=tmp_path)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], list(PARTS)),
        (["--only", "kafka"], ["kafka"]),
        (["--with", "opensearch,postgres"], list(START_ORDER)),
        (["--only", "flink,kafka", "--with", "postgres"], ["kafka", "postgres", *PARTS[4:]]),
    ],
)
def test_what_only_a_sink_needs_comes_up_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], parts: list[str]
) -> None:
    asked: list[str] = []

    def up(_layout: Layout, wanted: list[str], _say: object) -> None:
        asked.extend(wanted)
        raise Unavailable("enough")

    monkeypatch.setattr(control, "up", up)
    run("up", *words, state=tmp_path)
    assert asked == parts


@pytest.mark.parametrize("words", [["status"], ["env"], ["logs"], ["logs", "kafka"]])
def test_without_a_stack_there_is_nothing_to_show(tmp_path: Path, words: list[str]) -> None:
    done = run(*words, state=tmp_path / "none")
    assert isinstance(done.exception, Unavailable)
    assert str(tmp_path / "none") in str(done.exception)
    assert not (tmp_path / "none").exists()


def test_down_without_a_stack_is_no_error(tmp_path: Path) -> None:
    done = run("down", state=tmp_path)
    assert done.exit_code == 0
    assert "no stack is up" in done.output


def test_the_status_of_a_stack_is_a_table_or_json(layout: Layout, supervisor) -> None:
    publish(layout, one_part(supervisor.pid))
    table = run("status", state=layout.root)
    assert [line.split()[:2] for line in table.output.splitlines()] == [
        ["PART", "STATE"],
        ["kafka", "ready"],
    ]
    answer = json.loads(run("status", "--json", state=layout.root).output)
    assert answer["supervisor"] == supervisor.pid
    assert {"name": "kafka", "state": "ready", "port": 1, "restarts": 0}.items() <= answer["parts"][
        0
    ].items()
    assert {"uptime_s", "rss_mib", "pid", "why"} <= answer["parts"][0].keys()


def test_a_stack_that_is_up_is_not_reset(layout: Layout, supervisor) -> None:
    layout.data("kafka").mkdir(parents=True)
    done = run("reset", "--yes", state=layout.root)
    assert isinstance(done.exception, Failure)
    assert "stop it first: tidegate local down" in str(done.exception)
    assert layout.data("kafka").exists()


def test_a_reset_asks_and_keeps_what_was_fetched(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for folder in (layout.data("kafka"), layout.tools, layout.logs, tmp_path / "jobs"):
        folder.mkdir(parents=True)
    layout.ports.write_text("{}")
    layout.lock.touch()
    assert run("reset", state=tmp_path, answer="n\n").exit_code == 1
    assert layout.data("kafka").exists()
    assert run("reset", state=tmp_path, answer="y\n").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "tools"]


def test_logs_of_all_parts_name_the_part(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    layout.log("kafka").write_text("one\ntwo\n")
    layout.log("s3").write_text("three\n")
    assert run("logs", "-n", "1", state=tmp_path).output.splitlines() == ["kafka: two", "s3: three"]
    assert run("logs", "kafka", state=tmp_path).output.splitlines() == ["one", "two"]


def test_a_state_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run("up", state=tmp_path / "file").exit_code == 2


def test_a_state_folder_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="choose another with --state"):
        control.up(Layout(tmp_path / "file" / "state"), ["mosquitto"], lambda _: None)


def test_a_part_that_failed_is_told_with_the_end_of_its_log(
    layout: Layout, supervisor, monkeypatch
) -> None:
    layout.logs.mkdir()
    layout.log("kafka").write_text("=== tidegate starts java ===\nno room\n")
    part = PartState(name="kafka", state="failed", port=1, why="exited with code 1")

    def answer(*_: object) -> None:
        asked = read_wanted(layout).number
        state = StackState(
            pid=supervisor.pid, run="r", started_ms=0, endpoints={}, parts=[part], asked=asked
        )
        publish(layout, state)

    answer()
    monkeypatch.setattr(control, "_signal", answer)
    monkeypatch.setattr(control, "find_tools", lambda layout, parts: None)
    with pytest.raises(Unavailable) as error:
        control.up(layout, ["kafka"], lambda _: None)
    assert (
        str(error.value)
        == f"kafka does not come up: it exited with code 1\nlast lines of {layout.log('kafka')}:\n    no room"
    )


@pytest.mark.parametrize("name", ["a:b", "a,b", "a|b", "a\nb"])
def test_a_path_that_class_paths_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig, match="class paths"):
        control.up(Layout(tmp_path / name), ["mosquitto"], lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_stack_whose_processes_outlived_it_is_not_reset(tmp_path: Path) -> None:
    env = {sweep.MARK: sweep.mark_of(tmp_path, "old")}
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as left:
        left.stdout.readline()
        with pytest.raises(Failure, match="stop it first"):
            control.reset(Layout(tmp_path))
        assert control.down(Layout(tmp_path), lambda _: None)
        assert left.wait(10) == -9
    control.reset(Layout(tmp_path))


def test_a_folder_with_data_of_somebody_elses_is_neither_used_nor_reset(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for words in (["up"], ["reset", "--yes"]):
        done = run(*words, state=tmp_path)
        assert isinstance(done.exception, BadConfig)
        assert "has data in it but is no state folder" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
