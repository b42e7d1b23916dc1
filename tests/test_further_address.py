"""What answers on a further address of a target is asked there: a service that its own address does not have, or has
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Finding, State, Target
from tests.outside import look, server_at, told
from tests.servers.programs import free_port, fresh_address, running
from tests.servers.tls import NAME, made, nginx

pytestmark = pytest.mark.server

CHECK = "refused-redis.without-login"
KEPT = "requirepass a-password-that-is-long"


@contextmanager
def redis(folder: Path, address: str, port: int, *options: str) -> Iterator[None]:
    """A server on this address alone."""
    folder.mkdir()
    lines = [f"bind {address}", f"dir {folder}", 'save ""', "daemonize no", "protected-mode no", *options]
    (folder / "redis.conf").write_text("\n".join([*lines, f"port {port}"]) + "\n")
    with running(["redis-server", folder / "redis.conf"], address, port, log=folder / "log"):
        yield


@pytest.fixture
def host() -> Target:
    """A target with two further addresses."""
    own, other = fresh_address(), fresh_address()
    service = {"port": free_port(own), "name": "redis"}
    return server_at(own, service, addresses=(other, "::1"), ports=(9,))


def found(target: Target, check: str, **more: Any) -> dict[str, State]:
    """What is found of each subject."""
    findings: list[Finding] = look(target, only=[check], **more)[check]
    assert len({one.subject for one in findings}) == len(findings), told(findings)
    return {one.subject: one.status for one in findings}


@pytest.mark.parametrize("which", [0, 1])
def test_a_service_on_a_further_address_alone_is_judged(host: Target, tmp_path: Path, which: int) -> None:
    (service,), address = host.services or (), host.addresses[which]
    subject = f"{service.port}/tcp of {address}"
    with redis(tmp_path / "open", address, service.port):
        assert found(host, CHECK) == {subject: State.FAIL}
    with redis(tmp_path / "closed", address, service.port, KEPT):
        assert found(host, CHECK) == {subject: State.PASS}


def test_one_address_takes_nothing_away_from_another(host: Target, tmp_path: Path) -> None:
    (service,) = host.services or ()
    with (
        redis(tmp_path / "own", host.address, service.port, KEPT),
        redis(tmp_path / "further", "::1", service.port),
    ):
        assert found(host, CHECK) == {
            f"{service.port}/tcp": State.PASS,
            f"{service.port}/tcp of ::1": State.FAIL,
        }


def test_tls_web_and_the_cluster_are_looked_at_on_every_address(tmp_path: Path) -> None:
    first, second = made(tmp_path / "first"), made(tmp_path / "second")
    port = free_port("127.0.0.1")
    listen = f"listen 127.0.0.1:{port} ssl;"
    block = (
        f"server {{{{ listen [::1]:{port} ssl; server_name {NAME}; ssl_certificate {{}}; ssl_certificate_key {{}}; {{}}"
        " location / {{ return 200 'x'; }} location /.git/HEAD {{ return 200 'ref: refs/heads/main'; }} }}"
    )
    worse = block.format(
        second.chain, second.key, "ssl_protocols TLSv1.1 TLSv1.2; ssl_ciphers DEFAULT@SECLEVEL=0;"
    )
    same = block.format(first.chain, first.key, "")
    hsts = "add_header Strict-Transport-Security max-age=31536000 always;"
    service = {"port": port, "name": "https", "tls": True, "server_name": NAME}
    about = {"ports": (9,), "cluster": "one"}
    target = server_at("127.0.0.1", service, addresses=("::1",), **about)
    twin = server_at("127.0.0.1", service, **about, name="twin")
    own, further = f"{port}/tcp", f"{port}/tcp of ::1"
    site = f"https://{NAME}:{port}/"
    wrong = {own: State.PASS, further: State.FAIL}
    with nginx(tmp_path, [first], hsts, extra=worse, port=port, listen=listen):
        assert found(target, "tls.no-tls11") == wrong
        for check in ("web.hsts", "web.nothing-left-behind"):
            assert found(target, check) == {site: State.PASS, f"{site} of ::1": State.FAIL}
        for check in ("certificates.nodes-alike", "tls.twins-alike"):
            (finding,) = look(target, twin, only=[check])[check]
            assert finding.status is State.FAIL, finding
    with nginx(tmp_path, [first], hsts, extra=same, port=port, listen=listen):
        assert set(found(target, "tls.no-tls11").values()) == {State.PASS}
        for check in ("certificates.nodes-alike", "tls.twins-alike"):
            (finding,) = look(target, twin, only=[check])[check]
            assert finding.status is State.PASS, finding
