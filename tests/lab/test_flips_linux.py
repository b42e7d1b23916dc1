"""Live flips of the Linux checks: on a real host the real setting is changed, the verdict follows and comes back.

The hardened host is scanned by an account with the exact sudo rules that `keurmeester rights` derives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scanner.model import State
from tests.lab.flips import Flip, append, change, mode, owner, replace, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flips import How
    from tests.lab.host import Host
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner


def sshd(*lines: str) -> How:
    """These lines come before all others, and in sshd_config the first value wins."""
    return change("/etc/ssh/sshd_config.d/00-flip.conf", "".join(f"{line}\n" for line in lines))


def account(line: str) -> How:
    """One account more."""
    return append("/etc/passwd", line)


def group(name: str, line: str) -> How:
    """The line of one group is another."""
    return replace("/etc/group", f"^{name}:.*$", line)


SSH: Final = (
    Flip("ssh.root-login", sshd("PermitRootLogin yes")),
    Flip("ssh.root-login", sshd("Match Address 10.0.0.0/8", "PermitRootLogin yes"), name="match"),
    Flip("ssh.keys-or-two-factors", sshd("PasswordAuthentication yes")),
    Flip("ssh.empty-passwords", sshd("PermitEmptyPasswords yes")),
    Flip("ssh.allow-list", replace("/etc/ssh/sshd_config.d/10-hardening.conf", "^AllowGroups.*$", "")),
    Flip("ssh.max-auth-tries", sshd("MaxAuthTries 20")),
    Flip("ssh.login-grace", sshd("LoginGraceTime 0")),
    Flip("ssh.forwarding", sshd("AllowTcpForwarding yes")),
    Flip("ssh.x11-forwarding", sshd("X11Forwarding yes")),
    Flip("ssh.dead-sessions", sshd("ClientAliveInterval 0")),
    Flip("ssh.strict-modes", sshd("StrictModes no")),
    Flip("ssh.host-trust", sshd("HostbasedAuthentication yes")),
    Flip("ssh.user-environment", sshd("PermitUserEnvironment yes")),
    Flip("ssh.log-level", sshd("LogLevel QUIET")),
)

ACCOUNTS: Final = (
    Flip("accounts.uid0-only-root", account("toor:x:0:0::/root:/bin/bash")),
    Flip("accounts.unique-users", account("twin:x:1001:1001::/home/twin:/usr/sbin/nologin")),
    Flip("accounts.unique-groups", append("/etc/group", "twins:x:27:")),
    Flip("accounts.groups-exist", account("lost:x:2001:2001::/home/lost:/usr/sbin/nologin")),
    Flip("accounts.shadow-group-empty", group("shadow", "shadow:x:42:plain")),
    Flip(
        "accounts.system-nologin", replace("/etc/passwd", "^(games:.*):/usr/sbin/nologin$", r"\1:/bin/bash")
    ),
    Flip("accounts.no-image-accounts", account("ubuntu:x:2002:100::/home/ubuntu:/bin/bash")),
    Flip("accounts.no-shared-names", account("beheer:x:2003:100::/home/beheer:/bin/bash")),
    Flip("accounts.no-root-by-group", group("disk", "disk:x:6:plain")),
    Flip(
        "accounts.hashes-in-shadow", account("old:$1$abcdefgh$0123456789012345678901:2004:100::/:/bin/false")
    ),
    Flip("accounts.no-dormant", run("lastlog -C -u plain", "lastlog -S -u plain")),
)

FILES: Final = (
    Flip("files.password-hashes", mode("/etc/shadow", 0o644)),
    Flip("files.account-database", mode("/etc/group", 0o666)),
    Flip("files.sudo-rules", mode("/etc/sudoers.d", 0o777), host="h-plain", account="root"),
    Flip("files.ssh-server-settings", owner("/etc/ssh/sshd_config", 1000, 1000)),
    Flip("files.ssh-host-keys", mode("/etc/ssh/ssh_host_ed25519_key", 0o644)),
    Flip("files.login-rules", mode("/etc/pam.d", 0o777)),
    Flip("files.scheduled-jobs", mode("/etc/crontab", 0o666)),
    Flip("files.units", owner("/etc/systemd/system", 1000, 1000)),
    Flip("files.command-folders", mode("/usr/local/bin", 0o777)),
    Flip("files.log-folders", mode("/var/log", 0o777)),
    Flip("files.private-logs", mode("/var/log/auth.log", 0o644)),
    Flip("files.key-folders", mode("/etc/ssl/private", 0o755)),
    Flip("files.root-home", mode("/root", 0o755)),
    Flip("files.temporary-folders", mode("/var/tmp", 0o777)),
    Flip(
        "files.boot-loader",
        change("/boot/grub/grub.cfg", "set timeout=5\n", mode=0o644),
        before=State.NOTAPPLICABLE,
    ),
    Flip(
        "files.data-folders",
        run("mkdir -m 777 /var/lib/mysql", "rmdir /var/lib/mysql"),
        before=State.NOTAPPLICABLE,
    ),
)

FLIPS: Final = (*SSH, *ACCOUNTS, *FILES)


@pytest.fixture(scope="module")
def good(lab: Lab, scanner: Scanner) -> Iterator[Host]:
    """The hardened host, on which the scanning account may do exactly what the checks need.

    When all flips are done, every verdict on it must be what it was before the first.
    """
    host = lab.host("h-good")
    with lab.box.entered():
        scanner.allow(host)
        before = scanner.look(host, "audit").states()
        yield host
        assert scanner.look(host, "audit").states() == before


@pytest.mark.parametrize("flip", FLIPS, ids=str)
def test_the_verdict_follows_the_setting(flip: Flip, lab: Lab, good: Host, scanner: Scanner) -> None:
    flip.prove(scanner, good if flip.host == good.name else lab.host(flip.host))


def test_enough_checks_are_flipped_live() -> None:
    assert len({flip.check for flip in FLIPS}) >= 30
