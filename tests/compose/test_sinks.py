"""sinks.toml: what it says, what is wrong with it, and what drivers are told."""

import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import stream.sinks
from compose.sinks import opensearch_of, postgres_of, read_sinks, sinks_file, topics_of
from schemas.config import ConfigError
from schemas.failure import BadConfig
from stream.sinks.config import PostgresSection, connection_settings, jdbc_url, password


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sinks.toml"
    path.write_text(text)
    return path


def test_a_database_is_reached_over_verified_tls_unless_said_otherwise(tmp_path: Path) -> None:
    path = written(tmp_path, '[postgres]\nhost = "db.example"\nca_file = "/etc/ca.pem"\n')
    section = postgres_of(path, {})
    assert connection_settings(section)["sslmode"] == "verify-full"
    asked = parse_qs(urlsplit(jdbc_url(section).removeprefix("jdbc:")).query)
    assert asked["sslmode"] == ["verify-full"]
    assert asked["sslrootcert"] == ["/etc/ca.pem"]
    assert asked["reWriteBatchedInserts"] == ["true"]


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[postgres]\ntls = "require"\n')
    section = postgres_of(
        path, {"TIDEGATE__POSTGRES__HOST": "other", "TIDEGATE__POSTGRES__PORT": "6"}
    )
    assert jdbc_url(section).startswith(
        "jdbc:postgresql://other:6/tidegate?currentSchema=tidegate&"
    )


def test_the_sample_says_everything_that_can_be_said() -> None:
    sample = Path(stream.sinks.__file__).parent / "sinks.toml"
    found = read_sinks(sample, {})
    for section in (found.postgres, found.opensearch):
        written = tomllib.loads(sample.read_text())
        assert section is not None
        assert any(table.keys() == set(section.__struct_fields__) for table in written.values())


def test_an_address_of_ipv6_is_written_as_a_url_wants_it() -> None:
    section = PostgresSection(host="::1", tls="disable")
    assert urlsplit(jdbc_url(section).removeprefix("jdbc:")).hostname == "::1"
    assert connection_settings(section)["host"] == "::1"


def test_the_password_is_in_no_url_and_no_message(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t&x\n")
    section = PostgresSection(password_file=str(secret), tls="disable")
    assert password(section) == "s3cr3t&x"
    assert "s3cr3t" not in jdbc_url(section) + str(connection_settings(section)) + repr(section)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[postgres]\n", 'tls: tls = "verify-full" needs ca_file'),
        ('[postgres]\ntls = "disable"\nschema = "Robert\'; --"\n', "schema: expected small letters"),
        ('[postgres]\ntls = "disable"\nhost = "a,b?x=1"\n', "host: expected one host name"),
        ('[postgres]\ntls = "disable"\nport = 0\n', "port: expected a port"),
        ('[postgres]\ntls = "disable"\nhots = "x"\n', 'hots: unknown key; did you mean "host"?'),
        ('[postgres]\ntls = "prefer"\n', "tls"),
        ('[opensearch]\nurl = "search:9200"\n', "url: expected http://HOST"),
        ('[opensearch]\nurl = "https://u:p@search"\n', "url: credentials go into username"),
        ('[opensearch]\nurl = "https://x"\nusername = "u"\n', "password_file go together"),
        (
            '[opensearch]\nurl = "http://x"\nusername = "u"\npassword_file = "p"\n',
            "url: a password in plain text",
        ),
        ('[opensearch]\nurl = "https://x"\nindex_prefix = "-A"\n', "expected small letters"),
        ('[registry]\nurl = "http://x"\nusername = "u"\n', "password_file go together"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        postgres_of(written(tmp_path, text), {})
    assert said in str(error.value)


def test_a_file_without_a_database_says_which_section_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"no section \[postgres\]"):
        postgres_of(written(tmp_path, ""), {})


def test_what_a_command_needs_and_the_file_lacks_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nbootstrap_servers = "b:1"\n')
    with pytest.raises(BadConfig, match=r"no section \[registry\]"):
        topics_of(path, {})
    with pytest.raises(BadConfig, match=r"no section \[opensearch\]"):
        opensearch_of(path, {})


def test_without_a_file_the_local_stacks_is_meant(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="tidegate local up"):
        sinks_file(None, tmp_path)
    written(tmp_path, "")
    assert sinks_file(None, tmp_path) == tmp_path / "sinks.toml"
    assert sinks_file(Path("mine"), tmp_path) == Path("mine")
