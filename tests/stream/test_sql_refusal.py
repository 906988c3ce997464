"""What the planner throws becomes one line: where it is in the file, what is wrong, a near name."""

import pytest

from stream.sql_refusal import Known, first_line, messages_of, refusal
from stream.sql_text import Statement

KNOWN = Known(lambda: ["alerts", "windows"], lambda: ["device_id", "rule"], lambda: ["floor"])
# It begins in the fourth line of its file, behind eight other characters.
STATEMENT = Statement("SELECT\n rulle FROM alerts", 4, 9)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (
            ["SQL validation failed. From line 2, column 2 to line 2, column 6: Column 'rulle' not found in any table"],
            """my.sql:5:2: Column 'rulle' not found in any table; did you mean "rule"?""",
        ),
        (
            ["SQL validation failed. From line 1, column 3 to line 1, column 8: Object 'alertz' not found"],
            """my.sql:4:11: Object 'alertz' not found; did you mean "alerts"?""",
        ),
        (
            ["SQL validation failed. At line 1, column 8: Column 'window_start' is ambiguous"],
            "my.sql:4:16: Column 'window_start' is ambiguous",
        ),
        (
            ['SQL parse failed. Encountered "alerts" at line 2, column 15.\nWas expecting one of:\n    <EOF>', "the same"],
            'my.sql:5:15: Encountered "alerts"',
        ),
        (
            ["SQL validation failed. From line 1, column 8 to line 1, column 16: No match found for function signature flor(<CHARACTER>)"],
            'my.sql:4:16: No match found for function signature flor(<CHARACTER>); did you mean "floor"?',
        ),
        (
            ["Cannot find table '`default_catalog`.`default_database`.`window`' in any of the catalogs [default_catalog], nor as a temporary table."],
            "my.sql:4:9: Cannot find table '`default_catalog`.`default_database`.`window`' in any of the catalogs [default_catalog], nor as a temporary table; did you mean \"windows\"?",
        ),
        (
            [
                "Unable to create a sink for writing table 'a.b.t'.\n\nTable options are:\n\n'connector'='kafkaa'\n'properties.sasl.jaas.config'='secret'",
                "Cannot discover a connector using option: 'connector'='kafkaa'",
                "Could not find any factory for identifier 'kafkaa' that implements 'X' in the classpath.\n\nAvailable factory identifiers are:\n\nblackhole\nkafka",
            ],
            "my.sql:4:9: Could not find any factory for identifier 'kafkaa' that implements 'X' in the classpath; did you mean \"kafka\"?",
        ),
        (["Error when casting literal.", "Text 'x' could not be parsed"], "my.sql:4:9: Error when casting literal"),
        ([], "my.sql:4:9: the planner gives no reason"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_with_its_place_in_the_file(messages: list[str], told: str) -> None:
    error = refusal("my.sql", STATEMENT, messages, KNOWN)
    assert str(error) == told
    assert error.exit_code == 78


TRACE = """org.apache.flink.table.api.TableException: Sort on a non-time-attribute field is not supported.
	at org.apache.flink.table.planner.StreamExecSort.translateToPlanInternal(StreamExecSort.java:104)
Caused by: java.lang.IllegalStateException
	at somewhere.Else(Else.java:1)
Caused by: java.io.IOException: the disk: full
	... 42 more"""


def test_a_stack_trace_is_cut_down_to_what_it_says() -> None:
    messages = messages_of(TRACE)
    assert messages == [
        "Sort on a non-time-attribute field is not supported.",
        "",
        "the disk: full",
    ]
    assert first_line(messages) == "Sort on a non-time-attribute field is not supported."
    assert first_line(messages[::-1]) == "the disk: full"
