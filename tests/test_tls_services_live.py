"""Live flips of TLS where it is no web site: HAProxy, stunnel, SIP, MQTT and AMQP over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State
from tests.outside import look, server_at, state, told
from tests.servers.tls import NAME
from tests.servers.tls_services import AT, SERVICES

pytestmark = pytest.mark.server

CHECKS = ("tls.no-tls11", "tls.versions-sufficient")


@pytest.mark.parametrize("service", SERVICES)
def test_tls_1_1_fails_as_soon_as_it_is_allowed(service: str, tmp_path: Path) -> None:
    for turn, (old, wanted) in enumerate(((False, State.PASS), (True, State.FAIL), (False, State.PASS))):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with SERVICES[service](folder, old=old) as port:
            target = server_at(AT, {"port": port, "tls": True, "server_name": NAME})
            found = look(target, only=CHECKS)
            for check in CHECKS:
                assert state(found[check], f"{port}/tcp") is wanted, told(found[check])
