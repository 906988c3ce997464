"""Where the sinks write to, as their sections of sinks.toml say, and what drivers make of it."""

import ssl
from typing import Literal
from urllib.parse import urlencode

import msgspec

from schemas.config import read_secret, secret_path
from schemas.failure import BadConfig

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


class OpenSearchSection(msgspec.Struct, frozen=True):
    """An OpenSearch or Elasticsearch cluster; indices are named ``index_prefix`` and a topic."""

    url: str
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    index_prefix: str = "tidegate-"

    def login(self) -> tuple[str, str] | None:
        """Return user and password, None where the cluster asks for none.

        Raises:
            ConfigError: the password cannot be read.
        """
        if not self.username:
            return None
        return self.username, read_secret(self.password_file)

    def tls(self) -> ssl.SSLContext | None:
        """Return whom to trust; the system's authorities where it is None.

        Raises:
            BadConfig: the authority cannot be read.
        """
        if not self.ca_file:
            return None
        try:
            return ssl.create_default_context(cafile=secret_path(self.ca_file))
        except OSError as error:
            raise BadConfig(f"[opensearch] ca_file: {error}") from error


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
