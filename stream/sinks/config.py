"""Where the sinks write to: sinks.toml. Passwords are in files of their own."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import msgspec

from schemas.config import Complaint, load, read_secret, secret_path
from schemas.failure import BadConfig

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[?[0-9A-Fa-f:.]+\]?")
_CONNECT_S = 10
# A server that takes longer for a batch is gone; without a bound a sink waits for it for ever.
_SOCKET_S = 60


class PostgresSection(msgspec.Struct, frozen=True):
    """A PostgreSQL database, and the schema in it that holds the tables.

    ``tls`` is libpq's sslmode; the verifying ones need ``ca_file``. The job's TaskManagers look
    for that file under the same path.
    """

    host: str = "127.0.0.1"
    port: int = 5432
    database: str = "tidegate"
    schema: str = "tidegate"
    username: str = "tidegate"
    password_file: str = ""
    tls: Literal["disable", "require", "verify-ca", "verify-full"] = "verify-full"
    ca_file: str = ""

    @property
    def place(self) -> str:
        """Return how messages call it."""
        return f"PostgreSQL at {self.host}:{self.port}, database {self.database}"


class Sinks(msgspec.Struct, frozen=True):
    """The whole file; a sink without a section is not configured."""

    postgres: PostgresSection | None = None


def read_sinks(path: Path, env: Mapping[str, str] = os.environ) -> Sinks:
    """Read and check sinks.toml, offline.

    Raises:
        ConfigError: with everything that is wrong.
    """
    return load(path, Sinks, env=env, check=complaints)


def postgres_of(path: Path, env: Mapping[str, str] = os.environ) -> PostgresSection:
    """Return the database of sinks.toml.

    Raises:
        BadConfig: the file is wrong or names none.
    """
    section = read_sinks(path, env).postgres
    if section is None:
        raise BadConfig(f"{path}: no section [postgres]: it says where the database is")
    return section


def complaints(sinks: Sinks) -> list[Complaint]:
    """Return what is wrong beyond single values."""
    found = []
    if (postgres := sinks.postgres) is not None:
        if not _SCHEMA.fullmatch(postgres.schema):
            wrong = "expected small letters, digits and underscores, 63 at most"
            found.append(Complaint(("postgres", "schema"), wrong))
        if not _HOST.fullmatch(postgres.host):
            found.append(Complaint(("postgres", "host"), "expected one host name or address"))
        if not 0 < postgres.port < 1 << 16:
            found.append(Complaint(("postgres", "port"), "expected a port, 1 to 65535"))
        if postgres.tls.startswith("verify") and not postgres.ca_file:
            wrong = f'tls = "{postgres.tls}" needs ca_file: whose certificates to trust'
            found.append(Complaint(("postgres", "tls"), wrong))
    return found


def password(section: PostgresSection) -> str:
    """Return the password; empty when no file is named.

    Raises:
        ConfigError: the file cannot be read.
    """
    return read_secret(section.password_file) if section.password_file else ""


def connection_settings(section: PostgresSection) -> dict[str, str | int]:
    """Return libpq's parameters of the database, without the password."""
    settings: dict[str, str | int] = {
        "host": section.host.strip("[]"),
        "port": section.port,
        "dbname": section.database,
        "user": section.username,
        "sslmode": section.tls,
        "connect_timeout": _CONNECT_S,
        "application_name": "tidegate",
        "options": f"-c search_path={section.schema}",
    }
    if section.ca_file:
        settings["sslrootcert"] = str(secret_path(section.ca_file))
    return settings


def jdbc_url(section: PostgresSection) -> str:
    """Return the database's JDBC URL, without user and password."""
    host = section.host.strip("[]")
    options = {
        "currentSchema": section.schema,
        "sslmode": section.tls,
        # Many rows in one INSERT: the default sends one for each.
        "reWriteBatchedInserts": "true",
        # Text is what its column says, be it a time or JSON.
        "stringtype": "unspecified",
        "ApplicationName": "tidegate-warehouse",
        "connectTimeout": str(_CONNECT_S),
        "socketTimeout": str(_SOCKET_S),
        "tcpKeepAlive": "true",
    }
    if section.ca_file:
        options["sslrootcert"] = str(secret_path(section.ca_file).resolve())
    place = f"[{host}]" if ":" in host else host
    return f"jdbc:postgresql://{place}:{section.port}/{section.database}?{urlencode(options)}"
