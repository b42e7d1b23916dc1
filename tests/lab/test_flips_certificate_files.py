"""Live flips of certificates in files: another file or mode on the real host, with the rights of a scan, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.flips import Flip

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner

# The machine's own trust store may hold a CA with a serial number that is frowned upon.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

#: Check -> how the certificate is issued that must not pass.
ISSUED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("certificate-files.valid", {"starts": -100, "ends": -1}),
    ("certificate-files.renewed-in-time", {"starts": -87, "ends": 3}),
)


@pytest.mark.parametrize(("check", "how"), ISSUED)
def test_the_verdict_follows_the_file(check: str, how: dict[str, Any], lab: Lab, scanner: Scanner) -> None:
    host = lab.host("h-good")
    scanner.allow(host)
    chain = lab.authority.issue("extra.lab.test", **how).chain
    Flip(check, lambda host: host.changed("/etc/nginx/extra.pem", chain)).prove(scanner, host)


def test_the_verdict_follows_the_mode_of_the_key(lab: Lab, scanner: Scanner) -> None:
    host = lab.host("h-good")
    scanner.allow(host)
    key = "/etc/ssl/lab/server.key"
    Flip("certificate-files.keys-closed", lambda host: host.changed(key, mode=0o644)).prove(scanner, host)
