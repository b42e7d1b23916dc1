"""Several releases of the same distribution, each really running: every check understands what each of them says.

Other families (Red Hat, SUSE, Ubuntu) cannot be had from Debian's archive; the examples in the checks carry their
recorded answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scanner.model import BLIND, State
from tests.lab.flips import Flip, change, mode, replace, sysctl

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner

#: Host -> the release it says it is.
RELEASES: Final = {"h-bullseye": "11", "h-bookworm": "12", "h-trixie": "13"}

#: What belongs to the kernel, which the hosts have on loan from the machine and which answers to nobody in a
#: container; what a bare host rightly cannot tell, and what is made of that; and what depends on the age of the
#: cached package lists.
NOT_HERE: Final = ("audit.", "kernel.", "backup.", "layers.", "updates.")

#: Checks whose tools answer in other words from release to release.
FLIPS: Final = (
    Flip(
        "ssh.root-login",
        change("/etc/ssh/sshd_config.d/00-flip.conf", "PermitRootLogin no\n"),
        during=State.PASS,
    ),
    Flip("ssh.ciphers", change("/etc/ssh/sshd_config.d/00-flip.conf", "Ciphers +aes128-cbc\n")),
    Flip("accounts.uid0-only-root", replace("/etc/passwd", r"\Z", "toor:x:0:0::/root:/bin/bash\n")),
    Flip("files.account-database", mode("/etc/group", 0o666)),
    Flip("passwords.none-empty", replace("/etc/shadow", r"^plain:[^:]*:", "plain::")),
    Flip("sysctl.syn-cookies", sysctl("net.ipv4.tcp_syncookies", "0")),
    Flip(
        "sudo.no-exclusions",
        change("/etc/sudoers.d/flip", "plain ALL=(root) ALL, !/usr/bin/su\n", mode=0o440),
    ),
)


@pytest.mark.parametrize("name", RELEASES)
def test_no_answer_is_beyond_us(name: str, lab: Lab, scanner: Scanner) -> None:
    host = lab.host(name, kind="systemd")
    assert f'VERSION_ID="{RELEASES[name]}"' in host.must("cat /etc/os-release")
    found = scanner.scan(
        [lab.target(host, "root", consent="try", services=[{"port": 22, "from": ["10.77.0.0/16"]}])]
    )
    unclear = [
        f"{one.check} {one.subject} {one.status} {one.cause}: {one.observed}"
        for one in found
        if one.status in BLIND and not one.check.startswith(NOT_HERE)
    ]
    assert unclear == []


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("flip", FLIPS, ids=lambda flip: flip.check)
def test_a_setting_is_seen_on_every_release(flip: Flip, name: str, lab: Lab, scanner: Scanner) -> None:
    host = lab.host(name, kind="systemd")
    before = scanner.look(host, "root", [flip.check]).state(flip.check)
    assert before is (State.FAIL if flip.during is State.PASS else State.PASS)
    Flip(flip.check, flip.how, host=name, account="root", before=before, during=flip.during).prove(
        scanner, host
    )
