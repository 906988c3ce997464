from compose.job_logs import concerning, told
from stream.jobs.cluster import Broken

LOG = """2026-11-25 22:40:50,001 INFO  o.a.f.X Job abc is submitted
2026-11-25 22:40:51,002 INFO  o.a.f.CheckpointCoordinator Triggering checkpoint 8 for job abc.
2026-11-25 22:40:52,003 WARN  o.a.f.Y decide (1/2)#0 (12_v1_0_0) switched to FAILED
java.lang.RuntimeException: it broke
\tat org.x.Y
2026-11-25 22:40:53,004 INFO  o.a.f.X Job xyz is submitted""".splitlines()


def test_a_record_that_concerns_the_job_comes_with_its_stack() -> None:
    first, second = concerning(LOG, ["abc", "_v1_"])
    assert first.endswith("Job abc is submitted")
    assert second.splitlines()[1:] == ["java.lang.RuntimeException: it broke", "\tat org.x.Y"]


def test_lines_of_every_checkpoint_come_only_when_asked_for() -> None:
    assert len(list(concerning(LOG, ["abc", "_v1_"], everything=True))) == 3


def test_a_failure_is_told_by_pythons_cause_and_innermost_traceback() -> None:
    stack = (
        "java.lang.RuntimeException: Error received from SDK harness\n"
        'Traceback (most recent call last):\n  File "outer.py"\nValueError: outer\n\n'
        "Traceback (most recent call last):\n  File \"inner.py\", line 3\nKeyError: 'x'\n\n"
        "\tat org.x.Y\nCaused by: a.B: c"
    )  # fmt: skip
    lines = list(told(Broken(1_700_000_000_000, "decide -> x", "KeyError: 'x'", stack)))
    assert lines == [
        "2023-11-14T22:13:20+00:00 decide failed: KeyError: 'x'",
        "  Traceback (most recent call last):",
        '    File "inner.py", line 3',
        "  KeyError: 'x'",
    ]


def test_a_failure_of_java_is_one_line() -> None:
    (line,) = told(Broken(0, None, "a.B: c", "a.B: c\n\tat x"))
    assert line == "1970-01-01T00:00:00+00:00 the job failed: a.B: c"
