"""A real Samba domain controller: it answers as Active Directory does, in other words than OpenLDAP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scanner.model import State, Target
from tests.outside import look, told
from tests.servers.samba_dc import DomainController

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainController]:
    controller = DomainController(tmp_path_factory.mktemp("domain"))
    yield controller
    controller.close()


def verdicts(target: Target, check: str) -> dict[str, State]:
    """Port -> verdict."""
    found = look(target, only=[check])[check]
    print(told(found))
    return {one.subject: one.status for one in found}


def test_a_password_over_an_open_line(domain: DomainController) -> None:
    check = "ldap.clear-login-refused"
    with domain.serving("ldap server require strong auth = yes") as target:
        assert set(verdicts(target, check).values()) == {State.PASS}
    with domain.serving("ldap server require strong auth = no") as target:
        assert set(verdicts(target, check).values()) == {State.FAIL}


def test_a_stranger_reads_nothing(domain: DomainController) -> None:
    with domain.serving() as target:
        seen = verdicts(target, "ldap.anonymous-refused")
    assert seen == dict.fromkeys(("389/tcp", "636/tcp", "3268/tcp", "3269/tcp"), State.PASS)


def test_an_empty_password_is_refused_where_passwords_are_weighed(domain: DomainController) -> None:
    with domain.serving() as target:
        seen = verdicts(target, "ldap.empty-password-refused")
    weighed = dict.fromkeys(("636/tcp", "3269/tcp"), State.PASS)
    assert seen == weighed | dict.fromkeys(("389/tcp", "3268/tcp"), State.UNKNOWN)
