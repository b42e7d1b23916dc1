"""Live flips of the Linux checks: on a real host the real setting is changed, the verdict follows and comes back.

The hardened host is scanned by an account with the exact sudo rules that `keurmeester rights` derives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scanner.model import State
from tests.lab.flips import (
    LOAD_FIREWALL,
    Flip,
    append,
    both,
    change,
    listens,
    mode,
    owner,
    policy,
    replace,
    rule,
    run,
    sshd,
    sysctl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flips import How
    from tests.lab.host import Host
    from tests.lab.lab import Lab
    from tests.lab.scan import Scanner


def account(line: str) -> How:
    """One account more."""
    return append("/etc/passwd", line)


def group(name: str, line: str) -> How:
    """The line of one group is another."""
    return replace("/etc/group", f"^{name}:.*$", line)


def sudo(line: str) -> How:
    """One rule or default more, after all others."""
    return change("/etc/sudoers.d/zz-flip", f"{line}\n", mode=0o440)


def saved(key: str, value: str) -> How:
    """What a restart would set, while the running kernel stays as it is."""
    return change("/etc/sysctl.d/99-flip.conf", f"{key} = {value}\n")


def remount(path: str, option: str) -> How:
    """A file system that is mounted nosuid, nodev and noexec gets one of these back."""
    return run(f"mount -o remount,{option} {path}", f"mount -o remount,no{option} {path}")


_UPGRADES: Final = "systemctl {} apt-daily-upgrade.timer"
#: A unit by the name of a known agent: the agents themselves are not in Debian.
_AGENT: Final = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
_CENTRAL: Final = "/etc/rsyslog.d/10-central.conf"


def off(units: str) -> How:
    """These services do not run, now and after a restart."""
    return run(f"systemctl disable -q --now {units}", f"systemctl enable -q --now {units}")


def older(package: str) -> How:
    """The installed version of a package is older than what the lists offer, as far as dpkg knows."""
    return replace("/var/lib/dpkg/status", rf"(^Package: {package}\n(?:.+\n)*?Version: )\S+", r"\g<1>0.1")


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
    # A key that is not in use: with one that others can read, sshd itself refuses to work.
    Flip("files.ssh-host-keys", change("/etc/ssh/ssh_host_ecdsa_key", "a key\n", mode=0o644)),
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

SSH_CRYPTO: Final = (
    Flip("ssh.key-exchange", sshd("KexAlgorithms +diffie-hellman-group14-sha1")),
    Flip("ssh.ciphers", sshd("Ciphers +aes128-cbc")),
    Flip("ssh.macs", sshd("MACs +hmac-md5")),
    Flip("ssh.signatures", sshd("PubkeyAcceptedAlgorithms +ssh-rsa")),
    Flip("ssh.post-quantum", sshd("KexAlgorithms curve25519-sha256")),
    Flip(
        "ssh.host-key-size",
        both(
            run(
                "ssh-keygen -q -t rsa -b 1024 -N '' -f /etc/ssh/ssh_host_rsa_key",
                "rm /etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_rsa_key.pub",
            ),
            sshd("HostKey /etc/ssh/ssh_host_rsa_key", "RequiredRSASize 1024"),
        ),
    ),
    Flip(
        "ssh.group-exchange",
        sshd("KexAlgorithms diffie-hellman-group-exchange-sha256"),
        before=State.NOTAPPLICABLE,
    ),
)

PAM: Final = (
    Flip(
        "pam.fails-closed",
        both(
            replace("/etc/pam.d/common-auth", r"default=die", "default=ignore"),
            replace("/etc/pam.d/common-auth", r"pam_deny", "pam_permit"),
        ),
    ),
    Flip("pam.other-denied", replace("/etc/pam.d/other", r"^(auth\s+required\s+)pam_deny", r"\1pam_permit")),
    Flip("pam.no-empty-passwords", replace("/etc/pam.d/common-auth", r"^(auth.*pam_unix.so)", r"\1 nullok")),
    Flip("pam.su-restricted", replace("/etc/pam.d/su", r"^auth(\s+required\s+pam_wheel.so.*)$", r"# auth\1")),
)

PASSWORDS: Final = (
    Flip("passwords.none-empty", replace("/etc/shadow", r"^plain:[^:]*:", "plain::")),
    Flip(
        "passwords.strong-hash",
        replace("/etc/shadow", r"^plain:[^:]*:", "plain:$1$abcdefgh$0123456789012345678901:"),
    ),
    Flip(
        "passwords.new-hash-strong",
        both(
            replace("/etc/login.defs", r"^ENCRYPT_METHOD.*$", "ENCRYPT_METHOD MD5"),
            replace("/etc/pam.d/common-password", r" yescrypt", " md5"),
        ),
    ),
    Flip("passwords.min-length", replace("/etc/security/pwquality.conf", r"^minlen.*$", "minlen = 8")),
    Flip("passwords.history", replace("/etc/pam.d/common-password", r"^password.*pam_pwhistory.so.*$", "")),
    Flip("passwords.lockout", replace("/etc/security/faillock.conf", r"^deny.*$", "deny = 50")),
)

SUDO: Final = (
    Flip("sudo.authenticates", sudo("plain ALL=(root) NOPASSWD: /usr/bin/id")),
    Flip("sudo.authenticates", sudo("Defaults:plain !authenticate"), name="default"),
    Flip("sudo.everything-for-few", sudo("plain ALL=(ALL) ALL")),
    Flip("sudo.commands-exact", sudo("plain ALL=(root) /usr/bin/cat /var/log/*")),
    Flip("sudo.no-exclusions", sudo("plain ALL=(root) ALL, !/usr/bin/su")),
    Flip("sudo.own-terminal", sudo("Defaults !use_pty")),
    Flip("sudo.logged", sudo("Defaults !syslog, !logfile")),
    Flip("sudo.short-memory", sudo("Defaults timestamp_timeout=480")),
    Flip("sudo.clean-environment", sudo("Defaults !env_reset")),
    Flip("sudo.files-closed", change("/etc/sudoers.d/flip", "# nothing\n", mode=0o644)),
)

SYSCTL: Final = (
    Flip("sysctl.address-randomisation", sysctl("kernel.randomize_va_space", "0")),
    Flip("sysctl.address-randomisation", saved("kernel.randomize_va_space", "1"), name="after-a-restart"),
    Flip("kernel.core-dumps", sysctl("kernel.core_pattern", "core")),
    Flip("sysctl.kernel-pointers", sysctl("kernel.kptr_restrict", "0")),
    Flip("sysctl.kernel-log", sysctl("kernel.dmesg_restrict", "0")),
    Flip("sysctl.privileged-core-dumps", sysctl("fs.suid_dumpable", "1")),
    Flip("sysctl.unprivileged-bpf", sysctl("kernel.unprivileged_bpf_disabled", "0")),
    Flip("sysctl.performance-counters", sysctl("kernel.perf_event_paranoid", "1")),
    Flip("sysctl.protected-links", sysctl("fs.protected_symlinks", "0")),
    Flip("sysctl.protected-files", sysctl("fs.protected_fifos", "0")),
    Flip("sysctl.line-disciplines", sysctl("dev.tty.ldisc_autoload", "1")),
    Flip("sysctl.lowest-memory", sysctl("vm.mmap_min_addr", "0")),
    Flip("sysctl.stop-when-damaged", sysctl("kernel.panic_on_oops", "0")),
    Flip("sysctl.syn-cookies", sysctl("net.ipv4.tcp_syncookies", "0")),
    Flip("sysctl.forwarding", sysctl("net.ipv6.conf.all.forwarding", "1")),
    Flip("sysctl.broadcast-pings", sysctl("net.ipv4.icmp_echo_ignore_broadcasts", "0")),
    Flip(
        "sysctl.reverse-path",
        both(sysctl("net.ipv4.conf.all.rp_filter", "0"), sysctl("net.ipv4.conf.eth0.rp_filter", "0")),
    ),
    Flip("sysctl.redirects-ignored", sysctl("net.ipv4.conf.all.accept_redirects", "1"), name="all"),
    Flip("sysctl.redirects-ignored-ipv6", sysctl("net.ipv6.conf.eth0.accept_redirects", "1")),
    Flip("sysctl.redirects-not-sent", sysctl("net.ipv4.conf.eth0.send_redirects", "1")),
    Flip(
        "sysctl.source-routes-refused",
        both(
            sysctl("net.ipv4.conf.all.accept_source_route", "1"),
            sysctl("net.ipv4.conf.eth0.accept_source_route", "1"),
        ),
    ),
    Flip("sysctl.router-advertisements", sysctl("net.ipv6.conf.eth0.accept_ra", "2")),
    Flip(
        "sysctl.impossible-senders-logged",
        both(sysctl("net.ipv4.conf.all.log_martians", "0"), sysctl("net.ipv4.conf.eth0.log_martians", "0")),
    ),
)

MOUNTS: Final = (
    Flip("mounts.tmp", remount("/tmp", "exec")),
    Flip("mounts.var-tmp", remount("/var/tmp", "suid")),
    Flip("mounts.shared-memory", remount("/dev/shm", "dev")),
    Flip("mounts.home", remount("/home", "suid")),
    Flip("mounts.logs-apart", run("umount --lazy /var/log", "mount --bind /mnt/log /var/log")),
)

FIREWALL: Final = (
    Flip("firewall.default-deny-input", policy("input", "accept")),
    Flip(
        "firewall.default-deny-input",
        run("iptables -P INPUT ACCEPT", "iptables -P INPUT DROP"),
        host="h-iptables",
        account="scan",
    ),
    Flip(
        "firewall.default-deny-input",
        run("ufw default allow incoming", "ufw default deny incoming"),
        host="h-ufw",
        account="scan",
    ),
    Flip(
        "firewall.default-deny-input",
        run("firewall-cmd -q --zone=trusted --change-interface=eth0", "firewall-cmd -q --reload"),
        host="h-firewalld",
        account="scan",
    ),
    Flip(
        "firewall.ipv6-as-strict",
        run("ip6tables -P INPUT ACCEPT", "ip6tables -P INPUT DROP"),
        host="h-iptables",
        account="scan",
    ),
    Flip(
        "firewall.default-deny-forward",
        both(sysctl("net.ipv6.conf.all.forwarding", "1"), policy("forward", "accept")),
    ),
    Flip("firewall.no-open-networks", rule("ip saddr 10.0.0.0/8 accept")),
    Flip("firewall.only-declared-open", rule("tcp dport 8080 accept")),
    Flip("firewall.sources-as-declared", rule("tcp dport 22 accept")),
    Flip(
        "firewall.no-loopback-from-outside",
        sysctl("net.ipv4.conf.eth0.route_localnet", "1"),
        host="h-plain",
        account="root",
    ),
    Flip("firewall.outbound-restricted", policy("output", "accept")),
    Flip("firewall.refusals-logged", run("grep -v log /etc/nftables.conf | nft -f -", LOAD_FIREWALL)),
    Flip(
        "firewall.one-manager",
        run("systemctl enable -q nftables", "systemctl disable -q nftables"),
        host="h-ufw",
        account="scan",
    ),
    Flip("firewall.loaded-at-boot", run("systemctl disable -q nftables", "systemctl enable -q nftables")),
    Flip(
        "firewall.before-network",
        run(
            "sed '/^Before=/d; /^Wants=/d' /lib/systemd/system/nftables.service > /etc/systemd/system/nftables.service;"
            " systemctl daemon-reload",
            "rm /etc/systemd/system/nftables.service; systemctl daemon-reload",
        ),
    ),
    Flip("firewall.running-equals-saved", rule("tcp dport 8081 accept")),
)

AUDIT: Final = (
    Flip(
        "audit.disk-full",
        replace("/etc/audit/auditd.conf", r"^disk_full_action.*$", "disk_full_action = suspend"),
    ),
    Flip(
        "audit.kept",
        replace("/etc/audit/auditd.conf", r"^max_log_file_action.*$", "max_log_file_action = rotate"),
    ),
    Flip("audit.logs-closed", mode("/var/log/audit", 0o755)),
)

LOGGING: Final = (
    Flip("logging.leaves-the-host", change(_CENTRAL, "# nothing goes anywhere\n")),
    Flip("logging.sent-encrypted", replace(_CENTRAL, r'StreamDriverMode="1"', 'StreamDriverMode="0"')),
    Flip("logging.waits-on-outage", replace(_CENTRAL, r'queue.filename="central"', "")),
    Flip(
        "logging.journal-kept",
        change("/etc/systemd/journald.conf.d/99-flip.conf", "[Journal]\nStorage=volatile\n"),
    ),
    Flip("logging.files-closed", mode("/var/log/syslog", 0o644)),
)

FOLDERS: Final = (
    Flip("filesystem.world-writable-files", change("/usr/local/etc/open.conf", "x\n", mode=0o666)),
    Flip("filesystem.sticky-folders", run("mkdir -m 777 /opt/open", "rmdir /opt/open")),
    Flip("filesystem.owners-exist", change("/opt/orphan", "x\n", owner=(4242, 4242))),
    Flip(
        "filesystem.known-setid-programs",
        run("install -m 4755 /bin/dash /usr/local/bin/rootshell", "rm /usr/local/bin/rootshell"),
    ),
)

SOCKETS: Final = (
    Flip("sockets.declared", listens(8080)),
    Flip("sockets.no-clear-text", listens(23)),
    Flip("sockets.mail-local", listens(25), before=State.NOTAPPLICABLE),
    Flip("sockets.inner-services-bound", listens(5432), before=State.NOTAPPLICABLE),
    Flip("sockets.no-open-container-engine", listens(2375)),
)

SERVICES: Final = (
    Flip(
        "services.no-legacy", off("inetd"), host="h-bad", account="scan", before=State.FAIL, during=State.PASS
    ),
    Flip(
        "services.no-desktop",
        off("avahi-daemon.socket avahi-daemon"),
        host="h-bad",
        account="scan",
        before=State.FAIL,
        during=State.PASS,
    ),
    Flip(
        "services.no-rpcbind",
        off("rpcbind.socket rpcbind"),
        host="h-bad",
        account="scan",
        before=State.FAIL,
        during=State.PASS,
    ),
    Flip(
        "services.none-failed",
        run("systemd-run -q --wait --unit=lab-fails /bin/false || true", "systemctl reset-failed lab-fails"),
    ),
    Flip(
        "time.synchronised",
        replace(
            "/etc/chrony/chrony.conf",
            r"^server .*$",
            "server 10.77.255.254 iburst",
            reload="systemctl restart chrony && sleep 0.2 && { grep -q 255.254 /etc/chrony/chrony.conf ||"
            " chronyc -h /run/chrony/chronyd.sock waitsync 50 0.5 0 0.1; } > /dev/null",
        ),
    ),
    Flip("backup.planned", run("systemctl stop backup-etc.timer", "systemctl start backup-etc.timer")),
    Flip(
        "backup.recent",
        change(
            "/etc/systemd/system/backup-etc.service.d/flip.conf",
            "[Service]\nExecStart=\nExecStart=/bin/false\n",
            reload="systemctl daemon-reload; systemctl start backup-etc.service || true",
        ),
    ),
    Flip(
        "backup.settings-closed",
        change("/etc/restic/password", "geheim\n", mode=0o644),
        before=State.NOTAPPLICABLE,
    ),
)

_SOURCES: Final = "/etc/apt/sources.list"
_SIGNED_BY: Final = r"\[signed-by=[^]]*\] "

SOFTWARE: Final = (
    Flip("package-sources.signed", replace(_SOURCES, r"\[signed-by", "[trusted=yes signed-by")),
    Flip(
        "package-sources.signed",
        change("/etc/apt/apt.conf.d/99-flip", 'Acquire::AllowInsecureRepositories "true";\n'),
        name="by-setting",
    ),
    Flip("package-sources.bound-to-key", replace(_SOURCES, _SIGNED_BY, "")),
    Flip("package-sources.encrypted", replace(_SOURCES, r"https:", "http:")),
    Flip(
        "package-sources.certificates-checked",
        change("/etc/apt/apt.conf.d/99-flip", 'Acquire::https::Verify-Peer "false";\n'),
    ),
    Flip("package-sources.security-suite", replace(_SOURCES, r"^.*bookworm-security.*$", "")),
    Flip("updates.security-installed", older("openssl"), host="h-plain", account="root"),
    Flip(
        "updates.lists-fresh",
        run(
            "sed -i.before 's/^Date: .*/Date: Sat, 01 Aug 2026 10:00:00 UTC/' /var/lib/apt/lists/*InRelease",
            "cd /var/lib/apt/lists; for file in *.before; do mv $file ${file%.before}; done",
        ),
        host="h-plain",
        account="root",
    ),
    Flip("updates.automatic", run(_UPGRADES.format("stop"), _UPGRADES.format("start"))),
    Flip(
        "end-of-support.release-supported",
        replace("/usr/lib/os-release", r"^VERSION_ID=.*$", 'VERSION_ID="10"'),
    ),
    Flip(
        "end-of-support.time-to-move", replace("/usr/lib/os-release", r"^VERSION_ID=.*$", 'VERSION_ID="11"')
    ),
    Flip("integrity.tool", run("mv /usr/bin/aide /usr/bin/aide.away", "mv /usr/bin/aide.away /usr/bin/aide")),
    Flip(
        "integrity.planned",
        run("systemctl stop aidecheck.timer", "systemctl start aidecheck.timer"),
    ),
    Flip(
        "integrity.baseline", run("mv /var/lib/aide/aide.db /root", "mv /root/aide.db /var/lib/aide/aide.db")
    ),
    Flip(
        "integrity.recent",
        run("touch -d '5 days ago' /var/log/aide/aide.log", "touch /var/log/aide/aide.log"),
    ),
    Flip(
        "malware.agent-runs",
        both(
            change("/etc/systemd/system/falcon-sensor.service", _AGENT),
            run("systemctl enable -q --now falcon-sensor", "systemctl disable -q --now falcon-sensor"),
        ),
        before=State.FAIL,
        during=State.PASS,
    ),
)

FLIPS: Final = (
    *SSH,
    *SSH_CRYPTO,
    *ACCOUNTS,
    *FILES,
    *PAM,
    *PASSWORDS,
    *SUDO,
    *SYSCTL,
    *MOUNTS,
    *FIREWALL,
    *AUDIT,
    *LOGGING,
    *FOLDERS,
    *SOCKETS,
    *SERVICES,
    *SOFTWARE,
)


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
