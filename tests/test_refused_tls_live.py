"""What real servers with mutual TLS refuse and what not, and what they do with plain HTTP, as seen from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner.model import Target
from tests.outside import look, server_at, state, told
from tests.servers.programs import certificate, free_port, fresh_address, running
from tests.servers.welcome import welcome

pytestmark = pytest.mark.server

MUTUAL = ("refused-tls.without-certificate", "refused-tls.strange-certificate")
PLAIN = ("refused-tls.plain-http",)


def seen(target: Target, checks: Sequence[str]) -> list[str]:
    found = look(target, only=checks)
    print("\n".join(told(found[id_]) for id_ in checks))
    return [str(state(found[id_])) for id_ in checks]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(
    ("verify", "nobody", "stranger"),
    [
        ("off", "fail", "fail"),
        ("on", "pass", "pass"),
        ("optional_no_ca", "fail", "fail"),
        ("optional", "fail", "pass"),
    ],
)
def test_nginx(tmp_path: Path, version: str, verify: str, nobody: str, stranger: str) -> None:
    options = (f"ssl_verify_client {verify};", f"ssl_protocols {version};")
    with welcome(tmp_path / "nginx", *options, tls=True, client_certificate=True) as target:
        assert seen(target, MUTUAL) == [nobody, stranger]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("verify", "expected"), [(["-Verify", "1", "-verify_return_error"], "pass"), ([], "fail")]
)
def test_openssl_ends_the_handshake(tmp_path: Path, version: str, verify: list[str], expected: str) -> None:
    chain, key, root = certificate(tmp_path / "tls")
    address = fresh_address()
    port = free_port(address)
    words: list[str | Path] = [
        "openssl", "s_server", "-accept", f"{address}:{port}", "-cert", chain, "-key", key, "-CAfile", root, "-www",
        "-quiet", version, *verify,
    ]  # fmt: skip
    with running(words, address, port, log=tmp_path / "log"):
        target = server_at(address, {"port": port, "tls": True, "client_certificate": True})
        assert seen(target, MUTUAL) == [expected, expected]


def test_what_is_not_marked_is_not_asked(tmp_path: Path) -> None:
    with welcome(tmp_path / "nginx") as target:
        assert seen(target, MUTUAL) == ["notapplicable", "notapplicable"]


@pytest.mark.parametrize(
    ("options", "tls", "expected"),
    [
        ((), True, "pass"),
        ((), False, "fail"),
        (('error_page 497 =200 /;',), True, "fail"),
        (('error_page 497 =301 https://$host$request_uri;',), True, "pass"),
        (("ssl_verify_client on;",), True, "pass"),
    ],
)  # fmt: skip
def test_plain_http(tmp_path: Path, options: Sequence[str], tls: bool, expected: str) -> None:
    with welcome(tmp_path / "nginx", *options, tls=tls) as target:
        assert target.services
        promised = target.services[0].model_copy(update={"tls": True})
        assert seen(target.model_copy(update={"services": (promised,)}), PLAIN) == [expected]
