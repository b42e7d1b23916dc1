"""A real Postfix, one setting at a time: what it refuses a stranger passes, what it allows him fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scanner.model import Finding, State
from tests.outside import look, told
from tests.servers.postfix import postfix

pytestmark = pytest.mark.server

GOOD = {
    "smtpd_tls_security_level": "may",
    "smtpd_tls_auth_only": "yes",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_helo_required": "yes",
    "disable_vrfy_command": "yes",
}
#: Check -> the one setting that makes it fail.
BAD = {
    "smtp.relay-refused": {"mynetworks": "127.0.0.0/8"},
    "smtp.login-after-tls": {"smtpd_tls_auth_only": "no"},
    "smtp.starttls-offered": {"smtpd_tls_security_level": "none"},
    "smtp.names-not-told": {"disable_vrfy_command": "no"},
    "smtp.hello-required": {"smtpd_helo_required": "no"},
}
OTHERS = {
    "later": {"smtpd_client_restrictions": "defer"},
    "black list": {
        "smtpd_client_restrictions": "check_client_access inline:{127.0.0.1=REJECT}",
        "smtpd_delay_reject": "no",
    },
    "relay without TLS": {"smtpd_tls_security_level": "none", **BAD["smtp.relay-refused"]},
}


@pytest.fixture(scope="module")
def findings() -> Iterator[dict[tuple[str, str], Finding]]:
    """Check and server -> what was found."""
    servers = {"good": GOOD, **{check: {**GOOD, **bad} for check, bad in BAD.items()}}
    servers |= {name: {**GOOD, **other} for name, other in OTHERS.items()}
    with TemporaryDirectory() as place, postfix(Path(place), servers) as (target, ports):
        found = look(target, only=BAD)
        names = {f"{port}/tcp": server for server, port in ports.items()}
        yield {
            (check, names[one.subject]): one for check in BAD for one in found[check] if one.subject in names
        }
        assert "queued as" not in Path(place, "log").read_text(), "mail was really sent"


@pytest.mark.parametrize("check", BAD)
def test_one_setting_flips_the_verdict(check: str, findings: dict[tuple[str, str], Finding]) -> None:
    good, bad = findings[check, "good"], findings[check, check]
    assert (good.status, bad.status) == (State.PASS, State.FAIL), told([good, bad])


def test_a_refusal_for_another_reason_says_nothing_of_relaying(
    findings: dict[tuple[str, str], Finding],
) -> None:
    check = "smtp.relay-refused"
    for server in ("later", "black list"):
        assert findings[check, server].status is State.UNKNOWN, told([findings[check, server]])
    assert findings[check, "relay without TLS"].status is State.FAIL
