"""What a real PostgreSQL refuses and what not, as seen from outside, while its rules are changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.outside import look, state, told
from tests.servers.postgresql import PostgresqlServer, postgresql

pytestmark = pytest.mark.server

CLEAR = "refused-postgresql.clear-text"
PASSWORD = "refused-postgresql.without-password"
EXCHANGE = "refused-postgresql.weak-password-exchange"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with postgresql() as running:
        yield running


@pytest.mark.parametrize(
    ("rules", "tls", "clear", "password", "exchange"),
    [
        (("hostssl all all all scram-sha-256",), True, "pass", "pass", "pass"),
        (("host all all all scram-sha-256",), True, "fail", "pass", "pass"),
        (("host all all all scram-sha-256",), False, "fail", "pass", "pass"),
        (("hostssl all all all trust",), True, "pass", "fail", "notapplicable"),
        (
            ("hostssl all postgres all trust", "hostssl all all all scram-sha-256"),
            True,
            "pass",
            "fail",
            "pass",
        ),
        (("host all all all trust",), False, "fail", "fail", "notapplicable"),
        (("hostssl all all all password",), True, "pass", "pass", "fail"),
        (("hostssl all all all scram-sha-256", "host all all all password"), True, "fail", "pass", "fail"),
        (("hostssl all all all scram-sha-256", "host all all all ident"), True, "fail", "pass", "pass"),
        (("hostssl all all all reject",), True, "unknown", "pass", "notapplicable"),
        (("local all all trust",), True, "unknown", "pass", "notapplicable"),
        (("hostnossl all all all trust", "hostssl all all all scram-sha-256"), True, "fail", "fail", "pass"),
        (("hostssl all all all cert",), True, "pass", "pass", "notapplicable"),
    ],
)
def test_a_rule_and_its_verdict(
    server: PostgresqlServer, rules: Sequence[str], tls: bool, clear: str, password: str, exchange: str
) -> None:
    server.rules(*rules, tls=tls)
    found = look(server.target, only=[CLEAR, PASSWORD, EXCHANGE])
    for id_, expected in ((CLEAR, clear), (PASSWORD, password), (EXCHANGE, exchange)):
        assert str(state(found[id_])) == expected, told(found[id_])


def test_passwords_kept_as_md5_are_asked_for_as_md5(server: PostgresqlServer) -> None:
    server.rules("hostssl all all all md5", password="md5")
    assert str(state(look(server.target, only=[EXCHANGE])[EXCHANGE])) == "fail"
    server.rules("hostssl all all all md5")
    assert str(state(look(server.target, only=[EXCHANGE])[EXCHANGE])) == "pass"
