"""A real OpenLDAP server, one setting at a time: what it refuses a stranger passes, what it allows him fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import Finding, State
from tests.outside import look, told
from tests.servers.slapd import slapd

pytestmark = pytest.mark.server
CHECKS = (
    "ldap.anonymous-refused",
    "ldap.empty-password-refused",
    "ldap.clear-login-refused",
    "ldap.starttls-offered",
)


def verdicts(
    folder: Path, *settings: str, check: str, tls: bool = True, access: tuple[str, ...] = ()
) -> set[State]:
    """The states on the open port, and on the one over TLS where the check looks there too."""
    with slapd(folder, *settings, tls=tls, access=access) as target:
        found = look(target, only=[check])[check]
    ports = {f"{service.port}/tcp" for service in target.services or ()}
    ours: list[Finding] = [one for one in found if one.subject in ports]
    print(told(found))
    return {one.status for one in ours}


@pytest.mark.parametrize(
    "closed",
    [
        {"settings": ("require authc",)},
        {"settings": ("disallow bind_anon", "require authc")},
        {"access": ("access to * by users read by * none",)},
    ],
    ids=["require", "disallow", "access"],
)
def test_a_stranger_who_may_read(closed: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    check = "ldap.anonymous-refused"
    settings = closed.get("settings", ())
    assert verdicts(tmp_path / "good", *settings, check=check, access=closed.get("access", ())) == {
        State.PASS
    }
    assert verdicts(tmp_path / "bad", check=check) == {State.FAIL}


def test_an_open_directory_behind_tls_is_no_closed_one(tmp_path: Path) -> None:
    check = "ldap.anonymous-refused"
    assert verdicts(tmp_path / "open", "security ssf=1", check=check) == {State.FAIL, State.UNKNOWN}
    closed = verdicts(tmp_path / "closed", "security ssf=1", "require authc", check=check)
    assert closed == {State.PASS, State.UNKNOWN}


def test_an_empty_password(tmp_path: Path) -> None:
    check = "ldap.empty-password-refused"
    assert verdicts(tmp_path / "good", check=check) == {State.PASS}
    assert verdicts(tmp_path / "bad", "allow bind_anon_dn", check=check) == {State.FAIL}


def test_a_password_in_the_clear(tmp_path: Path) -> None:
    check = "ldap.clear-login-refused"
    assert verdicts(tmp_path / "good", "security simple_bind=128", check=check) == {State.PASS}
    assert verdicts(tmp_path / "bad", check=check) == {State.FAIL}


def test_starttls(tmp_path: Path) -> None:
    check = "ldap.starttls-offered"
    assert verdicts(tmp_path / "good", check=check) == {State.PASS}
    assert verdicts(tmp_path / "bad", check=check, tls=False) == {State.FAIL}


def test_where_no_directory_is_declared_nothing_is_asked(tmp_path: Path) -> None:
    with slapd(tmp_path) as target:
        ours = {f"{service.port}/tcp" for service in target.services or ()}
        found = look(target.model_copy(update={"services": ()}), only=CHECKS)
    for check in CHECKS:
        assert not ours & {one.subject for one in found[check]}, told(found[check])
