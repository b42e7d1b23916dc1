"""`keurmeester rights` gives exactly enough: with the derived sudo rules an account sees what root sees, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanner.model import Cause, State

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner


def test_the_derived_rules_are_enough_and_no_more(lab: Lab, scanner: Scanner) -> None:
    host = lab.host("h-rights")
    rules = scanner.allow(host, "audit")
    as_audit, as_root = scanner.look(host, "audit"), scanner.look(host, "root")
    beyond_root = {finding.check for finding in as_root if finding.cause is Cause.PRIVILEGE}
    lacking = [f for f in as_audit if f.cause is Cause.PRIVILEGE and f.check not in beyond_root]
    assert lacking == []
    differs = {
        key: (state, as_root.states().get(key))
        for key, state in as_audit.states().items()
        if as_root.states().get(key) is not state
    }
    # The rules themselves are a finding of their own kind: what sudo gives is looked at as well.
    assert {check for _, check, _ in differs if not check.startswith("sudo.")} == set()
    assert rules.count("NOPASSWD") == rules.count("\n") - 3
    for refused in (
        "id",
        "cat /etc/shadow",
        "timeout -k 2 10 cat /etc/shadow",
        "sh",
        "timeout -k 2 10 sshd -T -d",
    ):
        done = host.sh(f"su audit -c 'sudo -n {refused}'")
        assert done.returncode != 0, refused
        assert "password is required" in done.stderr, refused


def test_a_program_of_the_account_itself_is_never_run_as_root(lab: Lab, scanner: Scanner) -> None:
    host = lab.host("h-rights")
    scanner.allow(host, "audit")
    host.must("install -d -o audit /home/audit/bin && printf '#!/bin/sh\\nid -u\\n' > /home/audit/bin/sshd")
    host.must("chmod 755 /home/audit/bin/sshd")
    done = host.sh("su audit -c 'PATH=/home/audit/bin:$PATH sudo -n timeout -k 2 10 sshd -T'")
    assert done.returncode == 0, done.stderr
    assert "permitrootlogin" in done.stdout


def test_without_rights_it_is_privilege_never_a_verdict(lab: Lab, scanner: Scanner) -> None:
    host = lab.host("h-rights")
    for account in ("plain", "asks"):
        found = scanner.look(host, account)
        assert found.state("ssh.root-login") is State.ERROR
        assert {finding.cause for finding in found.of("ssh.root-login")} == {Cause.PRIVILEGE}
        as_root = scanner.look(host, "root").states()
        better = {
            key: state
            for key, state in found.states().items()
            if state in (State.PASS, State.FAIL) and as_root.get(key) is not state
        }
        assert better == {}
