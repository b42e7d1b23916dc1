"""The tables of the TLS guidelines say what the guidelines say."""

from __future__ import annotations

import pytest

from checks.network.ncsc import Level, judged


@pytest.mark.parametrize(
    ("about", "item", "now", "before"),
    [
        ("version", "TLS 1.1", Level.INSUFFICIENT, Level.PHASE_OUT),
        ("version", "TLS 1.3", Level.GOOD, Level.GOOD),
        ("suite", "TLS_RSA_WITH_AES_128_CBC_SHA", Level.INSUFFICIENT, Level.PHASE_OUT),
        ("suite", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Level.SUFFICIENT, Level.GOOD),
        ("suite", "TLS_AES_128_CCM_8_SHA256", Level.INSUFFICIENT, Level.INSUFFICIENT),
        ("group", "ffdhe2048", Level.INSUFFICIENT, Level.PHASE_OUT),
        ("group", "X25519MLKEM768", Level.GOOD, Level.INSUFFICIENT),
        ("group", "sect233k1", Level.INSUFFICIENT, Level.INSUFFICIENT),
        ("client renegotiation", "unlimited", Level.PHASE_OUT, Level.SUFFICIENT),
        ("certificate key", "RSA 2048", Level.PHASE_OUT, Level.SUFFICIENT),
    ],
)
def test_what_changed_between_the_two_versions(about: str, item: str, now: Level, before: Level) -> None:
    assert judged("2025-05", about, item).level is now
    assert judged("2.1", about, item).level is before


def test_a_verdict_names_the_row_that_decided() -> None:
    said = str(judged("2025-05", "group", "ffdhe3072"))
    assert said == "ffdhe3072: Uit te faseren (NCSC-NL TLS 2025-05, 3.3.3.1 table 7)"
    assert str(judged("2025-05", "suite", "TLS_MADE_UP")).endswith("(NCSC-NL TLS 2025-05, suite not listed)")


def test_levels_have_an_order() -> None:
    assert [one for one in Level if one.at_least(Level.SUFFICIENT)] == [Level.GOOD, Level.SUFFICIENT]
