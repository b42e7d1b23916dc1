"""Live flips of what a TLS server shows: another certificate or protocol on the real server, and back."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from scanner.model import State
from tests.lab.certificates import Pair
from tests.lab.flips import Flip, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import Host
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner

# The machine's own trust store may hold a CA with a serial number that is frowned upon.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

SITE: Final = "/etc/nginx/sites-enabled/default"
#: systemd gives up on a service that is restarted too often, unless told to forget.
RESTART: Final = "systemctl reset-failed nginx; systemctl restart nginx"
NAME: Final = "h-good.lab.test"

#: Check -> how the certificate is issued that must not pass.
ISSUED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("tls.certificate-valid", {"starts": -100, "ends": -1}),
    ("tls.certificate-renewed-in-time", {"starts": -87, "ends": 3}),
    ("tls.key-strength", {"rsa_bits": 1024}),
    ("tls.key-not-phased-out", {"rsa_bits": 2048}),
    ("tls.name-matches", {"names": ("other.lab.test",)}),
    ("tls.chain-trusted", {"self_signed": True}),
    ("tls.chain-trusted", {"complete": False}),
    ("tls.purpose", {"for_servers": False}),
    ("tls.no-wildcard", {"names": ("*.lab.test",)}),
)
#: Check -> the protocols the server speaks.
SPOKEN: Final = (("tls.protocol", "TLSv1.1"), ("tls.newest-protocol", "TLSv1.2"))


@contextmanager
def serving(host: Host, pair: Pair | None = None, protocols: str = "") -> Iterator[None]:
    """The web server shows this certificate, or speaks these protocols only.

    OpenSSL itself refuses what is too weak, unless its security level is 0.
    """
    with ExitStack() as stack:
        stack.callback(host.must, RESTART)
        stack.enter_context(replace(SITE, r"ssl_ciphers .*;", "ssl_ciphers ALL:@SECLEVEL=0;")(host))
        if pair:
            stack.enter_context(host.changed("/etc/ssl/lab/server.pem", pair.chain))
            stack.enter_context(host.changed("/etc/ssl/lab/server.key", pair.key))
        if protocols:
            stack.enter_context(replace(SITE, r"ssl_protocols .*;", f"ssl_protocols {protocols};")(host))
        host.must(RESTART)
        yield


@pytest.fixture(scope="module")
def good(lab: Lab, scanner: Scanner) -> Host:
    host = lab.host("h-good")
    scanner.allow(host)
    return host


@pytest.mark.parametrize(("check", "how"), ISSUED, ids=lambda value: value if isinstance(value, str) else "")
def test_the_verdict_follows_the_certificate(
    check: str, how: dict[str, Any], lab: Lab, good: Host, scanner: Scanner
) -> None:
    names = how.get("names", (NAME,))
    pair = lab.authority.issue(*names, **{key: value for key, value in how.items() if key != "names"})
    Flip(check, lambda host: serving(host, pair)).prove(scanner, good)


def test_the_verdict_follows_the_signature(good: Host, scanner: Scanner) -> None:
    """OpenSSL still signs with SHA-1; the library that makes the other certificates refuses to."""
    good.must(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1 -nodes -days 90"
        " -keyout /run/weak.key -out /run/weak.pem"
        f" -subj /CN={NAME} -addext subjectAltName=DNS:{NAME} 2> /dev/null"
    )
    pair = Pair(good.must("cat /run/weak.pem").encode(), good.must("cat /run/weak.key").encode())
    Flip("tls.signature-hash", lambda host: serving(host, pair)).prove(scanner, good)


@pytest.mark.parametrize(("check", "protocols"), SPOKEN)
def test_the_verdict_follows_the_protocols(check: str, protocols: str, good: Host, scanner: Scanner) -> None:
    Flip(check, lambda host: serving(host, protocols=protocols)).prove(scanner, good)


def test_an_expired_certificate_on_another_host_fails_there(lab: Lab, scanner: Scanner) -> None:
    assert (
        scanner.look(lab.host("h-bad"), only=["tls.certificate-valid"]).state("tls.certificate-valid")
        is State.FAIL
    )
