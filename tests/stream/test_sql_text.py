"""SQL as people write it, cut into statements; what does not belong is refused with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.failure import BadConfig
from stream.sql_text import Statement, script

ADDRESSES = {"KAFKA_BOOTSTRAP": "host:9092", "LAKE_URI": "s3://o'hare/lake"}


def cut(text: str) -> list[Statement]:
    return script("my.sql", text, ADDRESSES).statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1;;\n;SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; so'; SELECT 2", ["SELECT 'it''s; so'", "SELECT 2"]),
        ("SELECT `a;b`; SELECT 2", ["SELECT `a;b`", "SELECT 2"]),
        ('SELECT ";"; SELECT 2', ['SELECT ";"', "SELECT 2"]),
        ("SELECT 1 -- one; only\n; SELECT 2", ["SELECT 1 -- one; only", "SELECT 2"]),
        ("SELECT 1 /* a ; 'b */; SELECT 2", ["SELECT 1 /* a ; 'b */", "SELECT 2"]),
        ("SELECT 1 // a ; 'b\n; SELECT 2", ["SELECT 1 // a ; 'b", "SELECT 2"]),
        ("SELECT '--' ; SELECT 2", ["SELECT '--'", "SELECT 2"]),
        ("-- what\n/* it is */ SELECT 1; -- the end", ["SELECT 1"]),
        ("SELECT /*+ OPTIONS('a'=';') */ 1", ["SELECT /*+ OPTIONS('a'=';') */ 1"]),
    ],
)
def test_a_semicolon_ends_a_statement_unless_quoted_or_commented(
    text: str, statements: list[str]
) -> None:
    assert [each.text for each in cut(text)] == statements


def test_a_statement_knows_where_it_begins() -> None:
    found = cut("-- first\nSELECT 1;  SELECT\n2;\n\n  SELECT 3")
    assert [(each.line, each.column) for each in found] == [(2, 1), (2, 12), (5, 3)]


@given(st.lists(st.sampled_from(["SELECT ';'", "SELECT `;`", "SELECT 1 /* ; */", "SELECT 'a''b'"])))
def test_joined_statements_come_apart_again(statements: list[str]) -> None:
    text = ";\n".join(["SELECT 0", *statements])
    assert [each.text for each in cut(text)] == ["SELECT 0", *statements]


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("select 1", "SELECT"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
        ("(SELECT 1) UNION ALL (SELECT 2)", "SELECT"),
        ("VALUES (1)", "SELECT"),
        ("insert into t SELECT 1", "INSERT"),
        ("/* c */ EXPLAIN SELECT 1", "EXPLAIN"),
    ],
)
def test_a_statement_is_known_by_its_first_word(text: str, verb: str) -> None:
    assert [each.verb for each in cut(text)] == [verb]


def test_words_in_quotes_and_comments_are_not_words_of_the_statement() -> None:
    (one,) = cut("SELECT 'FOR SYSTEM_TIME' -- FOR SYSTEM_TIME\n FROM a for\n system_time AS OF t")
    assert one.says("FOR SYSTEM_TIME")
    (other,) = cut("SELECT 'FOR SYSTEM_TIME' /* FOR SYSTEM_TIME */ FROM `FOR SYSTEM_TIME`")
    assert not other.says("FOR SYSTEM_TIME")


def test_an_explained_insert_is_planned_as_a_stream_and_submitted_as_nothing() -> None:
    explained = script("my.sql", "EXPLAIN INSERT INTO t SELECT 1", {})
    assert explained.has("INSERT")
    assert not explained.inserts


def test_a_name_in_braces_is_its_address_and_its_quotes_stay_quotes() -> None:
    (one,) = cut("CREATE TABLE t (a INT) WITH ('a' = '${KAFKA_BOOTSTRAP}', 'b' = '${LAKE_URI}')")
    assert one.text.endswith("('a' = 'host:9092', 'b' = 's3://o''hare/lake')")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("-- nothing\n", "my.sql: holds no statement"),
        ("SELECT 1;\nSELECT 'a", "my.sql:2:8: ' has no end"),
        ("SELECT 1 /* a", "my.sql:1:10: /* has no end"),
        ("SELECT 1;\n SELECT '${KAFKA_BOOTSTRAPS}'", 'my.sql:2: nothing is called ${KAFKA_BOOTSTRAPS}; did you mean "KAFKA_BOOTSTRAP"?'),
        ("SELECT '${X}'", "known here: KAFKA_BOOTSTRAP, LAKE_URI"),
        ("SELETC 1", 'my.sql:1: SELETC begins no statement; did you mean "SELECT"?'),
        ("DELETE FROM alerts", "my.sql:1: DELETE begins no statement"),
        ("\n?", "my.sql:2: ? begins no statement"),
        ("BEGIN STATEMENT SET; INSERT INTO t SELECT 1; END", "my.sql:1: leave BEGIN out"),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT 1; END", "leave EXECUTE out"),
        ("INSERT INTO t SELECT 1;\nSELECT 2", "my.sql:2: a query beside an INSERT"),
    ],
)  # fmt: skip
def test_what_does_not_belong_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(BadConfig) as refused:
        cut(text)
    assert told in str(refused.value)
