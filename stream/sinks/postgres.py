"""The schema in PostgreSQL: numbered SQL files, each applied once, in order, never undone.

All pending files are applied in one transaction under an advisory lock: two callers apply each
once, and a file that fails leaves nothing behind.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import NamedTuple

import psycopg
from psycopg import sql

from schemas.failure import BadConfig, Failure, RetryLater, Unavailable
from stream.sinks.config import PostgresSection, connection_settings, password

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_LOCK_WAIT = "30s"


class Migration(NamedTuple):
    """One step of the schema: its number, its name and its SQL."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Return the text's hash: an applied step must never change."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the shipped steps in order, numbered from 1 without a gap."""
    folder = files("stream.sinks") / "migrations"
    found = sorted(
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in folder.iterdir()
        if (match := _NAME.fullmatch(file.name))
    )
    assert [each.version for each in found] == list(range(1, len(found) + 1)), "a gap in numbers"
    return found


class Applied(NamedTuple):
    """A step that a database has had."""

    version: int
    name: str
    sha256: str


def pending(applied: Sequence[Applied], shipped: Sequence[Migration]) -> list[Migration]:
    """Return what is still to be applied.

    Raises:
        Failure: the database has steps that are not those of this version.
    """
    if len(applied) > len(shipped):
        raise Failure(
            f"the schema is at version {len(applied)}, newer than the {len(shipped)} that this "
            "tidegate knows; use the tidegate that made it, or a newer one"
        )
    for had, ours in zip(applied, shipped, strict=False):
        if had != Applied(ours.version, ours.name, ours.sha256):
            raise Failure(
                f"version {had.version} of the schema was made from another {had.name} than this "
                "tidegate's; use the tidegate that made it, or name another [postgres] schema"
            )
    return list(shipped[len(applied) :])


@contextmanager
def connected(section: PostgresSection) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Connect; the block is one transaction, committed at its end unless it raises.

    Raises:
        Unavailable: the server does not answer or refuses the login.
        Failure: it refuses a statement.
    """
    secret = password(section)
    try:
        connection = psycopg.connect(**connection_settings(section), password=secret)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        raise Unavailable(
            f"{section.place}, user {section.username}: {_first_line(error)}; [postgres] in the "
            "sinks' configuration says where it is"
        ) from error
    try:
        with connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise Failure(
            f"{section.place}: {_first_line(error)}; grant {section.username} CREATE on the "
            f"database, or make it the owner of a schema {section.schema}"
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise RetryLater(
            f"{section.place}: another migration runs for more than {_LOCK_WAIT}; look for it in "
            "pg_stat_activity"
        ) from error
    except psycopg.OperationalError as error:
        raise Unavailable(f"{section.place}: {_first_line(error)}") from error
    except psycopg.Error as error:
        raise Failure(f"{section.place}: {_first_line(error)}") from error


def migrate(section: PostgresSection, shipped: Sequence[Migration]) -> list[Migration]:
    """Bring the schema up to the last of these steps; return those that were applied now.

    Raises:
        Unavailable, RetryLater, Failure: nothing was changed; the message says why.
    """
    with connected(section) as connection:
        name = sql.Identifier(section.schema)
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_LOCK_WAIT))
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"tidegate sinks {section.schema}"],
        )
        if not _exists(connection, section.schema):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions (version integer PRIMARY KEY, name text "
            "NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        todo = pending(_applied(connection), shipped)
        for step in todo:
            connection.execute(step.text.encode())
            connection.execute(
                "INSERT INTO schema_versions (version, name, sha256) VALUES (%s, %s, %s)",
                [step.version, step.name, step.sha256],
            )
    return todo


def waiting(section: PostgresSection, shipped: Sequence[Migration]) -> list[Migration]:
    """Return the steps that the database still lacks; changes nothing.

    Raises:
        Unavailable, Failure: as for :func:`migrate`.
    """
    with connected(section) as connection:
        there = connection.execute("SELECT to_regclass('schema_versions')").fetchone()
        applied = _applied(connection) if there and there[0] else []
        return pending(applied, shipped)


def require_migrated(section: PostgresSection) -> None:
    """Refuse a database whose schema is not this version's.

    Raises:
        BadConfig: it lacks steps.
        Unavailable, Failure: as for :func:`migrate`.
    """
    if missing := waiting(section, migrations()):
        raise BadConfig(
            f"{section.place}: schema {section.schema} lacks "
            f"{', '.join(step.name for step in missing)}; make it with: "
            "tidegate sinks postgres migrate"
        )


def _exists(connection: "psycopg.Connection[tuple[object, ...]]", schema: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
    return found.fetchone() is not None


def _applied(connection: "psycopg.Connection[tuple[object, ...]]") -> list[Applied]:
    rows = connection.execute("SELECT version, name, sha256 FROM schema_versions ORDER BY version")
    return [Applied(int(str(version)), str(name), str(sha)) for version, name, sha in rows]


def _first_line(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
