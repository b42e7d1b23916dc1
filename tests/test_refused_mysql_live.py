"""What a real MariaDB refuses and what not, as seen from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outside import look, state, told
from tests.servers.mariadb import MariadbServer, mariadb

pytestmark = pytest.mark.server

CLEAR, ROOT, NOBODY = (
    "refused-mysql.clear-text",
    "refused-mysql.root-without-password",
    "refused-mysql.anonymous",
)


def seen(server: MariadbServer) -> tuple[str, str, str]:
    found = look(server.target, only=[CLEAR, ROOT, NOBODY])
    print(told(found[CLEAR] + found[ROOT] + found[NOBODY]))
    return str(state(found[CLEAR])), str(state(found[ROOT])), str(state(found[NOBODY]))


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    with mariadb() as running:
        yield running


def test_a_host_that_is_not_allowed_gets_nowhere(server: MariadbServer) -> None:
    assert seen(server) == ("pass", "notapplicable", "notapplicable")


def test_accounts_and_their_verdicts(server: MariadbServer) -> None:
    server.run("CREATE USER app@'%' IDENTIFIED BY 'q7Wc2nU8'")
    assert seen(server) == ("unknown", "pass", "pass")
    server.run("CREATE USER root@'%'")
    assert seen(server) == ("unknown", "fail", "pass")
    server.run("ALTER USER root@'%' IDENTIFIED VIA unix_socket")
    assert seen(server) == ("unknown", "pass", "pass")
    server.run(
        "INSTALL SONAME 'auth_ed25519'", "ALTER USER root@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')"
    )
    assert seen(server) == ("unknown", "pass", "pass")
    server.run("DROP USER root@'%'", "CREATE USER ''@'%'")
    assert seen(server) == ("fail", "fail", "fail")
    server.run("SET GLOBAL require_secure_transport = ON")
    # MariaDB refuses with the same words as a wrong password: what is seen no longer says which of the two it is.
    assert seen(server) == ("unknown", "fail", "fail")
    server.run("SET GLOBAL require_secure_transport = OFF")
    assert seen(server) == ("fail", "fail", "fail")
    server.run("DROP USER ''@'%'")
    assert seen(server) == ("unknown", "pass", "pass")


def test_without_tls_all_is_in_the_clear() -> None:
    with mariadb(tls=False) as server:
        server.run("CREATE USER root@'%'")
        assert seen(server) == ("fail", "fail", "pass")
