"""Your own SQL over the project's tables: everything is planned before anything runs."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from py4j.protocol import Py4JJavaError
from pyflink.common import Configuration, Row
from pyflink.table import StatementSet, StreamTableEnvironment, Table, TableResult
from pyflink.table.expressions import col
from pyflink.table.types import DataTypes
from pyflink.util.exceptions import JavaException

from schemas.failure import BadConfig, Failure, Unavailable
from stream.jobs import catalog
from stream.jobs.environment import Client, client, here
from stream.jobs.settings import Cluster, Tuning
from stream.lake_tables import TABLES
from stream.sql_refusal import Known, first_line, messages_of, refusal
from stream.sql_text import Script, Statement

Mode = Literal["batch", "bounded", "endless"]
Change = tuple[str, tuple[Any, ...]]
"""What became of a row ("+I", "-U", "+U" or "-D"), and the row."""

_SET = re.compile(r"SET\s+'((?:[^']|'')+)'\s*=\s*'((?:[^']|'')*)'\s*", re.IGNORECASE)
_OURS = re.compile(r"INSERT\s+(?:INTO|OVERWRITE)\s+`?(\w+)`?", re.IGNORECASE)
# These are what the command itself decides.
_FIXED = ("execution.runtime-mode", "execution.target", "rest.", "pipeline.name")


class Answer(NamedTuple):
    """What a statement gives; ``changes`` runs it, and closing the iterator ends it."""

    columns: list[str]
    changes: Callable[[], Iterator[Change]]


class Planned(NamedTuple):
    """A script that plans: what it shows, in order, and what it would insert, as one job."""

    answers: list[Answer]
    inserts: StatementSet | None


def mode_of(script: Script, *, follow: bool) -> Mode:
    """Return how topics are read.

    A batch misses nothing: to a stream, what comes behind the watermark is late. But versions and
    watermarks exist in streams only.
    """
    if follow or script.has("INSERT"):
        return "endless"
    streaming = any(map(script.says, ("FOR SYSTEM_TIME", "CURRENT_WATERMARK")))
    return "bounded" if streaming else "batch"


def open_client(
    name: str, script: Script, cluster: Cluster, tuning: Tuning, mode: Mode, delay_ms: int
) -> Client:
    """Return an environment that knows the project's tables.

    Jobs of a script that inserts go to the cluster; all else runs in this process.

    Raises:
        Unavailable: the lake is asked for and does not answer.
    """
    if script.inserts:
        opened = client(name, cluster, tuning)
    else:
        opened = here(name, cluster, tuning, batch=mode == "batch")
    scan = catalog.Scan(bounded=mode != "endless", delay_ms=delay_ms)
    shown = any(each.verb == "SHOW" for each in script.statements)
    lake = shown or any(script.says(f"LAKE_{table.name.upper()}") for table in TABLES)
    try:
        catalog.create(opened.tables, cluster, scan, lake=lake)
    except (Py4JJavaError, JavaException) as error:
        why = first_line(_messages(error))
        raise Unavailable(f"the tables on {cluster.lake_uri} cannot be made: {why}") from error
    return opened


def plan(opened: Client, script: Script) -> Planned:
    """Plan a script; its definitions and settings take effect at once.

    Raises:
        BadConfig: a statement does not plan; where and why, in the planner's words.
    """
    answers: list[Answer] = []
    inserts: StatementSet | None = None
    for statement in script.statements:
        with _refusing(opened.tables, script.name, statement):
            if statement.verb == "INSERT":
                inserts = inserts or opened.tables.create_statement_set()
                _insert(inserts, script.name, statement)
            elif statement.verb == "SELECT":
                answers.append(_query(opened.tables, script.name, statement))
            elif statement.verb == "SET":
                _set(opened, script.name, statement)
            elif statement.verb in ("SHOW", "DESCRIBE", "DESC", "EXPLAIN"):
                answers.append(_shown(opened.tables.execute_sql(statement.text)))
            else:
                _define(opened.tables, script.name, statement)
    return Planned(answers, inserts)


def submit(opened: Client, name: str, inserts: StatementSet) -> str:
    """Start the job of all INSERTs on the cluster; return Flink's job id."""
    inserts.attach_as_datastream()
    return str(opened.streams.execute_async(f"tidegate-{name}").get_job_id())


def settled(changes: Iterator[Change]) -> Iterator[Change]:
    """Return the rows that are left once all changes are done, in the order they came."""
    left: dict[str, list[tuple[Any, ...]]] = {}
    for op, row in changes:
        same = left.setdefault(repr(row), [])
        if op in ("+I", "+U"):
            same.append(row)
        elif same:
            same.pop()
    return (("+I", row) for same in left.values() for row in same)


@contextmanager
def _refusing(tables: StreamTableEnvironment, name: str, statement: Statement) -> Iterator[None]:
    """Turn what the planner throws within into an error for a person."""

    def columns() -> list[str]:
        words = set(statement.words)
        named = [table for table in tables.list_tables() if table.upper() in words]
        schemas = [tables.from_path(table).get_schema() for table in named]
        return [column for schema in schemas for column in schema.get_field_names()]

    try:
        yield
    except (Py4JJavaError, JavaException) as error:
        known = Known(tables.list_tables, columns, tables.list_functions)
        raise refusal(name, statement, _messages(error), known) from error


def _messages(error: Py4JJavaError | JavaException) -> list[str]:
    if isinstance(error, JavaException):
        return messages_of(error.stack_trace)
    messages = []
    cause = error.java_exception
    while cause is not None:
        messages.append(str(cause.getMessage() or cause.toString()))
        cause = cause.getCause()
    return messages


def _insert(inserts: StatementSet, name: str, statement: Statement) -> None:
    target = _OURS.match(statement.text)
    if target and target[1].lower() in catalog.NAMES:
        raise BadConfig(
            f"{name}:{statement.line}: {target[1]} is the project's own and only read; insert "
            "into a table that you CREATE before"
        )
    inserts.add_insert_sql(statement.text)
    inserts.explain()


def _query(tables: StreamTableEnvironment, name: str, statement: Statement) -> Answer:
    table = _picklable(tables.sql_query(statement.text))
    table.explain()

    def changes() -> Iterator[Change]:
        try:
            with _refusing(tables, name, statement):
                result = table.execute()
            yield from _rows(result)
        except (Py4JJavaError, JavaException) as error:
            last = first_line(_messages(error)[::-1])
            raise Failure(f"{name}:{statement.line}: the query failed: {last}") from error

    return Answer(table.get_schema().get_field_names(), changes)


def _picklable(table: Table) -> Table:
    """Return the table with columns that PyFlink cannot fetch cast to such as it can."""
    casts = []
    for column in table._j_table.getResolvedSchema().getColumns():  # noqa: SLF001
        root = column.getDataType().getLogicalType().getTypeRoot().name()
        name = column.getName()
        if root == "TIMESTAMP_WITH_LOCAL_TIME_ZONE":
            casts.append(col(name).cast(DataTypes.TIMESTAMP(3)).alias(name))
        elif root.startswith("INTERVAL"):
            casts.append(col(name).cast(DataTypes.STRING()).alias(name))
        else:
            casts.append(None)
    if not any(casts):
        return table
    names = table.get_schema().get_field_names()
    return table.select(*[cast or col(name) for cast, name in zip(casts, names, strict=True)])


def _shown(result: TableResult) -> Answer:
    schema = result._j_table_result.getResolvedSchema()  # noqa: SLF001 - PyFlink parses types
    rows = list(_rows(result))
    return Answer(list(schema.getColumnNames()), lambda: iter(rows))


def _rows(result: TableResult) -> Iterator[Change]:
    with result.collect() as rows:
        for row in rows:
            yield str(row.get_row_kind()), tuple(_plain(value) for value in row)


def _plain(value: Any) -> Any:
    """Return a value without PyFlink's own types in it: a row is a dict by its fields' names."""
    if isinstance(value, Row):
        return {name: _plain(part) for name, part in value.as_dict().items()}
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return bytes(value) if isinstance(value, bytearray) else value


def _set(opened: Client, name: str, statement: Statement) -> None:
    found = _SET.fullmatch(statement.text)
    if found is None:
        raise BadConfig(f"{name}:{statement.line}: expected SET 'option' = 'value'")
    key, value = (part.replace("''", "'") for part in found.groups())
    if key.startswith(_FIXED):
        raise BadConfig(f"{name}:{statement.line}: {key} is decided by the command's own options")
    opened.tables.get_config().set(key, value)
    configuration = Configuration()
    configuration.set_string(key, value)
    opened.streams.configure(configuration)


def _define(tables: StreamTableEnvironment, name: str, statement: Statement) -> None:
    """Carry out a definition, but none that would start a job."""
    for operation in tables._j_tenv.getParser().parse(statement.text):  # noqa: SLF001
        if operation.getClass().getSimpleName().endswith("ASOperation"):
            raise BadConfig(
                f"{name}:{statement.line}: CREATE TABLE … AS is not for here; write CREATE TABLE "
                "and INSERT INTO as two statements"
            )
    tables.execute_sql(statement.text)
