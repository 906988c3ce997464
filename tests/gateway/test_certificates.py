"""When certificates end, read from real ones, and files that are replaced."""

import contextlib
import logging
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.certificates import Expiry, _not_after, _seconds, not_after
from gateway.files import Watched

DAY = 86_400


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("issued")
    for name, days, kind in (
        ("short", 2, "rsa:2048"),
        ("long", 40_000, "ec -pkeyopt ec_paramgen_curve:P-256"),
    ):
        words = f"req -x509 -newkey {kind} -nodes -days {days} -subj /CN={name}"
        subprocess.run(
            ["openssl", *words.split(), "-keyout", f"{name}.key", "-out", f"{name}.crt"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


def openssl_end(path: Path) -> int:
    words = ["openssl", "x509", "-in", str(path), "-noout", "-enddate"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    import ssl

    return ssl.cert_time_to_seconds(told.removeprefix("notAfter="))


def test_the_end_is_the_one_openssl_tells_before_and_after_2050(issued: Path) -> None:
    for name in ("short", "long"):
        path = issued / f"{name}.crt"
        assert not_after(path.read_text()) == openssl_end(path)
    assert not_after((issued / "short.crt").read_text()) < time.time() + 3 * DAY


def test_of_a_chain_the_first_to_end_counts(issued: Path) -> None:
    both = (issued / "long.crt").read_text() + "\n" + (issued / "short.crt").read_text()
    assert not_after(both) == openssl_end(issued / "short.crt")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_is_told_so(text: str) -> None:
    with pytest.raises(ValueError):
        not_after(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_certificate_or_a_value_error(der: bytes) -> None:
    with contextlib.suppress(ValueError):
        _not_after(der)


def test_a_cut_or_bent_certificate_is_a_value_error_or_another_time(issued: Path) -> None:
    import ssl

    der = ssl.PEM_cert_to_DER_cert((issued / "short.crt").read_text())
    for at in range(0, len(der), 7):
        for bent in (der[:at], der[:at] + bytes((der[at] ^ 0xFF,)) + der[at + 1 :]):
            with contextlib.suppress(ValueError):
                _not_after(bent)


def test_two_digit_years_turn_at_fifty() -> None:
    assert _seconds(0x17, "491231235959Z") > 2_500_000_000
    assert _seconds(0x17, "500101000000Z") < 0


def test_a_warning_comes_at_30_14_and_3_days_and_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    expiry = Expiry("mqtt")
    expiry.look(0.0)
    expiry.renewed(100 * DAY)
    told = {}
    for hour in range(102 * 24):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            expiry.look(hour * 3600.0)
        if caplog.records:
            told[hour // 24] = caplog.records[0].getMessage()
    assert told == {
        70: "the mqtt certificate ends in 30.0 days",
        86: "the mqtt certificate ends in 14.0 days",
        97: "the mqtt certificate ends in 3.0 days",
        100: "the mqtt certificate has ended",
    }


def test_a_renewed_certificate_warns_again_and_one_found_late_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    expiry = Expiry("kafka")
    expiry.renewed(5 * DAY)
    expiry.look(0.0)
    expiry.look(1.0)
    expiry.renewed(6 * DAY)
    expiry.look(2.0)
    assert len(caplog.records) == 2
    assert caplog.records[0].fields == {"side": "kafka", "left_s": 5 * DAY}  # type: ignore[attr-defined]


def test_a_replaced_file_counts_once_and_when_two_looks_agree(tmp_path: Path) -> None:
    cert, key = tmp_path / "c", tmp_path / "k"
    cert.write_text("1")
    watched = Watched([cert, key])
    assert not watched.changed()
    cert.write_text("22")
    assert not watched.changed(), "the key may be on its way"
    key.write_text("3")
    assert not watched.changed()
    assert watched.changed()
    assert not watched.changed()


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text("same size")
    link = tmp_path / "now"
    link.symlink_to("a")
    watched = Watched([link / "key"])
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    assert [watched.changed() for _ in range(3)] == [False, True, False]
