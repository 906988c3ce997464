"""sinks.toml: where Kafka, the registry and the databases behind the topics are."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from compose.local.layout import Layout
from gateway.sections import KafkaSection, RegistrySection, loopback
from gateway.secure import check_kafka, check_registry
from schemas.config import Complaint, load
from schemas.failure import BadConfig
from stream.sinks.config import OpenSearchSection, PostgresSection

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[?[0-9A-Fa-f:.]+\]?")
_INDEX = re.compile(r"[a-z0-9][a-z0-9._\-]{0,99}")


class Sinks(msgspec.Struct, frozen=True):
    """The whole file; what a command has no use for may be left out."""

    kafka: KafkaSection | None = None
    registry: RegistrySection | None = None
    postgres: PostgresSection | None = None
    opensearch: OpenSearchSection | None = None


def sinks_file(named: Path | None, state: Path) -> Path:
    """Return the file that was named, else that of the local stack.

    Raises:
        BadConfig: none was named and no stack has one.
    """
    if named is not None:
        return named
    path = Layout.of(state).sinks_config
    if not path.is_file():
        raise BadConfig(
            f"no --sinks FILE, and {path} does not exist; a stack of your own has one after: "
            "tidegate local up"
        )
    return path


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
        raise BadConfig(_missing(path, "postgres", "the database"))
    return section


def opensearch_of(path: Path, env: Mapping[str, str] = os.environ) -> OpenSearchSection:
    """Return the search cluster of sinks.toml.

    Raises:
        BadConfig: the file is wrong or names none.
    """
    section = read_sinks(path, env).opensearch
    if section is None:
        raise BadConfig(_missing(path, "opensearch", "the cluster"))
    return section


class Topics(NamedTuple):
    """What a reader of topics needs."""

    kafka: KafkaSection
    registry: RegistrySection


def topics_of(path: Path, env: Mapping[str, str] = os.environ) -> Topics:
    """Return where the topics and their schemas are.

    Raises:
        BadConfig: the file is wrong or does not say.
    """
    found = read_sinks(path, env)
    if found.kafka is None:
        raise BadConfig(_missing(path, "kafka", "the broker"))
    if found.registry is None:
        raise BadConfig(_missing(path, "registry", "the schema registry"))
    return Topics(found.kafka, found.registry)


def _missing(path: Path, section: str, what: str) -> str:
    return f"{path}: no section [{section}]: it says where {what} is"


def complaints(sinks: Sinks) -> list[Complaint]:
    """Return what is wrong beyond single values."""
    return [
        *(check_kafka(sinks.kafka) if sinks.kafka else ()),
        *(check_registry(sinks.registry) if sinks.registry else ()),
        *(_check_postgres(sinks.postgres) if sinks.postgres else ()),
        *(_check_opensearch(sinks.opensearch) if sinks.opensearch else ()),
    ]


def _check_postgres(postgres: PostgresSection) -> list[Complaint]:
    found = []
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


def _check_opensearch(opensearch: OpenSearchSection) -> list[Complaint]:
    found = []
    url = urlsplit(opensearch.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        found.append(Complaint(("opensearch", "url"), "expected http://HOST or https://HOST"))
    if url.username is not None:
        told = "credentials go into username and password_file: URLs come into logs"
        found.append(Complaint(("opensearch", "url"), told))
    if bool(opensearch.username) != bool(opensearch.password_file):
        told = "username and password_file go together"
        found.append(Complaint(("opensearch", "username"), told))
    elif opensearch.username and url.scheme != "https" and not loopback(url.hostname or ""):
        found.append(Complaint(("opensearch", "url"), "a password in plain text: use https://"))
    if not _INDEX.fullmatch(opensearch.index_prefix):
        wrong = "expected small letters, digits, dots, dashes and underscores"
        found.append(Complaint(("opensearch", "index_prefix"), wrong))
    return found
