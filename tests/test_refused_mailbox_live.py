"""A real Dovecot, one setting at a time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scanner.model import State
from tests.outside import look, told
from tests.servers.dovecot import dovecot

pytestmark = pytest.mark.server
CHECK = "mailbox.login-after-tls"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("ssl = required", "disable_plaintext_auth = yes"), State.PASS),
        (("ssl = yes", "disable_plaintext_auth = no"), State.FAIL),
        (("ssl = no", "disable_plaintext_auth = no"), State.FAIL),
    ],
)
def test_a_password_before_tls(settings: tuple[str, ...], expected: State) -> None:
    with TemporaryDirectory() as place, dovecot(Path(place), "login_trusted_networks =", *settings) as target:
        found = look(target, only=[CHECK])[CHECK]
        ports = {f"{service.port}/tcp" for service in target.services or ()}
    ours = [one for one in found if one.subject in ports]
    assert [one.status for one in ours] == [expected, expected], told(ours)
