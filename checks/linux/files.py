"""Who may read and change the files that everything else stands on: their owner, group and mode.

One `ls` looks at all of them; it also marks a path that has an access control list. One `find` looks for what others
than root could change within folders of settings. A row is about those of its paths that exist. No content is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Final

from checks.linux._answers import named, only_missing
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    IN_DEPTH,
    SECURE_DEFAULT,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Verdict,
    examples,
    fact,
    holds,
    probe,
    table,
)

_ROOT: Final = ("root",)
SSH_HOST_KEYS: Final = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "ecdsa", "ed25519", "dsa"))


@dataclass(frozen=True, kw_only=True)
class Permissions(Row):
    """What a group of paths may allow at most.

    ``owners`` is empty when any will do. Other groups than ``groups`` (when given) may have no right that everyone
    does not have. ``bits`` must be set.
    """

    paths: tuple[str, ...]
    most: int
    owners: tuple[str, ...]
    groups: tuple[str, ...]
    bits: int

    def faults(self, path: Path) -> list[str]:
        """What is wrong with this path, in words."""
        wrong = []
        if path.mode & 0o777 & ~self.most:
            wrong.append(f"mode {path.mode:04o}")
        if path.mode & self.bits != self.bits:
            wrong.append(f"mode {path.mode:04o} lacks {self.bits:o}")
        if self.owners and path.user not in self.owners:
            wrong.append(f"owner {path.user}")
        # With an access control list the group bits of the mode are the most that anyone named in it may do.
        if self.groups and (path.mode >> 3 & 7) & ~(path.mode & 7):
            if path.group not in self.groups:
                wrong.append(f"group {path.group} mode {path.mode:04o}")
            if path.listed:
                wrong.append("an access control list")
        return wrong


def _row(
    id_: str,
    *paths: str,
    most: int,
    title: str,
    title_nl: str,
    why: str,
    why_nl: str,
    fix: str,
    principle: str = DATA_FIRST,
    severity: Severity = Severity.HIGH,
    layer: Layer = Layer.HOST,
    owners: tuple[str, ...] = _ROOT,
    groups: tuple[str, ...] = (),
    bits: int = 0,
    references: tuple[str, ...] = (),
    advice: str = "",
    advice_nl: str = "",
) -> Permissions:
    return Permissions(
        id=id_,
        paths=paths,
        most=most,
        owners=owners,
        groups=groups,
        bits=bits,
        principle=principle,
        severity=severity,
        layer=layer,
        title=title,
        title_nl=title_nl,
        why=why,
        why_nl=why_nl,
        fix=fix,
        verify=f"ls -ldL {' '.join(paths)}",
        references=(*references, "ISO/IEC 27002:2022 8.3"),
        advice=advice,
        advice_nl=advice_nl,
    )


ROWS: Final = (
    _row(
        "files.password-hashes",
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/gshadow",
        "/etc/gshadow-",
        "/etc/security/opasswd",
        most=0o640,
        groups=("root", "shadow"),
        severity=Severity.CRITICAL,
        layer=Layer.DATA,
        title="Only root can read the password hashes",
        title_nl="Alleen root kan de wachtwoordhashes lezen",
        why="Whoever has the hashes can guess passwords elsewhere, unseen and without limit.",
        why_nl="Wie de hashes heeft, kan elders wachtwoorden raden, ongezien en zo vaak als hij wil.",
        fix=(
            "chown root:shadow /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow-\n"
            "chmod 0640 /etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow-\nchmod 0600 /etc/security/opasswd"
        ),
        references=("shadow(5)",),
        advice="RHEL has no group shadow: chown root:root and chmod 0000 there.",
        advice_nl="RHEL heeft geen groep shadow: daar chown root:root en chmod 0000.",
    ),
    _row(
        "files.account-database",
        "/etc/passwd",
        "/etc/passwd-",
        "/etc/group",
        "/etc/group-",
        most=0o644,
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        layer=Layer.IDENTITY,
        title="Only root can change accounts and groups",
        title_nl="Alleen root kan accounts en groepen wijzigen",
        why="Whoever can write here makes themselves root with one line.",
        why_nl="Wie hier kan schrijven, maakt zichzelf met één regel root.",
        fix=(
            "chown root:root /etc/passwd /etc/passwd- /etc/group /etc/group-\n"
            "chmod 0644 /etc/passwd /etc/passwd- /etc/group /etc/group-"
        ),
        references=("passwd(5)", "group(5)"),
    ),
    _row(
        "files.sudo-rules",
        "/etc/sudoers",
        "/etc/sudoers.d",
        "/etc/sudo.conf",
        most=0o755,
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        layer=Layer.IDENTITY,
        title="Only root can change who may use sudo",
        title_nl="Alleen root kan wijzigen wie sudo mag gebruiken",
        why="A line in these files gives someone all rights on the server.",
        why_nl="Een regel in deze bestanden geeft iemand alle rechten op de server.",
        fix=(
            "chown -hR root:root /etc/sudoers /etc/sudoers.d\nchmod -R go-w /etc/sudoers.d\n"
            "chmod 0440 /etc/sudoers\nchmod 0750 /etc/sudoers.d"
        ),
        references=("sudoers(5)",),
    ),
    _row(
        "files.ssh-server-settings",
        "/etc/ssh",
        "/etc/ssh/sshd_config",
        "/etc/ssh/sshd_config.d",
        most=0o755,
        principle=DEFAULT_DENY,
        layer=Layer.IDENTITY,
        title="Only root can change how the SSH server works",
        title_nl="Alleen root kan wijzigen hoe de SSH-server werkt",
        why="These settings decide who may come in; whoever can change them comes in.",
        why_nl="Deze instellingen bepalen wie binnen mag; wie ze kan wijzigen, komt binnen.",
        fix=(
            "chown root:root /etc/ssh /etc/ssh/sshd_config\nchown -hR root:root /etc/ssh/sshd_config.d\n"
            "chmod 0755 /etc/ssh\nchmod 0600 /etc/ssh/sshd_config\nchmod -R go-w /etc/ssh/sshd_config.d"
        ),
        references=("sshd_config(5)",),
    ),
    _row(
        "files.ssh-host-keys",
        *SSH_HOST_KEYS,
        most=0o640,
        groups=("root", "ssh_keys"),
        severity=Severity.CRITICAL,
        layer=Layer.DATA,
        title="Only root can read the server's own SSH keys",
        title_nl="Alleen root kan de eigen SSH-sleutels van de server lezen",
        why="Whoever has these keys can pass for this server and catch the administrators' logins.",
        why_nl="Wie deze sleutels heeft, kan zich voordoen als deze server en de logins van beheerders opvangen.",
        fix="chown root:root /etc/ssh/ssh_host_*_key\nchmod 0600 /etc/ssh/ssh_host_*_key",
        references=("sshd(8) FILES",),
        advice="Keys that were readable count as leaked: make new ones with ssh-keygen -A.",
        advice_nl="Sleutels die leesbaar waren, gelden als gelekt: maak nieuwe met ssh-keygen -A.",
    ),
    _row(
        "files.login-rules",
        "/etc/pam.d",
        "/etc/security",
        "/etc/login.defs",
        "/etc/nsswitch.conf",
        "/etc/ld.so.preload",
        "/etc/profile",
        "/etc/profile.d",
        "/etc/environment",
        most=0o755,
        principle=DEFAULT_DENY,
        layer=Layer.IDENTITY,
        title="Only root can change what happens at login",
        title_nl="Alleen root kan wijzigen wat er bij het inloggen gebeurt",
        why="Whoever can change these rules skips the password check or runs code as every user who logs in.",
        why_nl=(
            "Wie deze regels kan wijzigen, slaat de wachtwoordcontrole over of laat iedereen die inlogt zijn code"
            " uitvoeren."
        ),
        fix=(
            "chown -hR root:root /etc/pam.d /etc/security /etc/profile.d\n"
            "chmod -R go-w /etc/pam.d /etc/security /etc/profile.d"
        ),
        references=("pam.d(5)", "nsswitch.conf(5)"),
    ),
    _row(
        "files.scheduled-jobs",
        "/etc/crontab",
        "/etc/anacrontab",
        "/etc/cron.d",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/etc/cron.weekly",
        "/etc/cron.monthly",
        "/var/spool/cron",
        most=0o755,
        principle=DEFAULT_DENY,
        title="Only root can change the scheduled jobs of the system",
        title_nl="Alleen root kan de geplande taken van het systeem wijzigen",
        why="These jobs run as root: whoever can write here is root within a day.",
        why_nl="Deze taken draaien als root: wie hier kan schrijven is binnen een dag root.",
        fix=(
            "chown -hR root:root /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly"
            " /etc/cron.monthly\nchmod -R go-w /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily"
            " /etc/cron.weekly /etc/cron.monthly"
        ),
        references=("crontab(5)",),
    ),
    _row(
        "files.units",
        "/etc/systemd",
        "/etc/systemd/system",
        "/etc/init.d",
        "/etc/rc.local",
        "/usr/lib/systemd/system",
        "/etc/udev/rules.d",
        most=0o755,
        principle=DEFAULT_DENY,
        title="Only root can change what starts with the server",
        title_nl="Alleen root kan wijzigen wat er met de server opstart",
        why="What starts here runs as root: whoever can write here owns the server after the next start.",
        why_nl="Wat hier start, draait als root: wie hier kan schrijven, is na de volgende start de baas.",
        fix=(
            "chown -hR root:root /etc/systemd/system /etc/init.d /etc/udev/rules.d\n"
            "chmod -R go-w /etc/systemd/system /etc/init.d /etc/udev/rules.d"
        ),
        references=("systemd.unit(5)",),
    ),
    _row(
        "files.command-folders",
        "/usr",
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/local",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/local/lib",
        "/opt",
        "/etc",
        most=0o755,
        principle=DEFAULT_DENY,
        title="Only root can add programs to the folders where everyone's commands come from",
        title_nl="Alleen root kan programma's toevoegen aan de mappen waar ieders commando's vandaan komen",
        why="Whoever can put a program here has it run by root, by using the name of a known command.",
        why_nl="Wie hier een programma kan neerzetten onder de naam van een bekend commando, laat root het uitvoeren.",
        fix=(
            "chown root:root /usr/local/bin /usr/local/sbin /usr/local/lib\n"
            "chmod 0755 /usr/local/bin /usr/local/sbin /usr/local/lib"
        ),
        references=("Filesystem Hierarchy Standard 3.0, 4.9",),
        advice="Older Debian gave /usr/local to the group staff; nothing in the system needs that.",
        advice_nl="Ouder Debian gaf /usr/local aan de groep staff; niets in het systeem heeft dat nodig.",
    ),
    _row(
        "files.boot-loader",
        "/boot/grub/grub.cfg",
        "/boot/grub2/grub.cfg",
        "/boot/grub2/user.cfg",
        most=0o700,
        severity=Severity.MEDIUM,
        title="Only root can read and change the boot loader's settings",
        title_nl="Alleen root kan de instellingen van de bootloader lezen en wijzigen",
        why="They hold the boot password's hash and decide with which protection the kernel starts.",
        why_nl="Hierin staan de hash van het bootwachtwoord en de bescherming waarmee de kernel start.",
        fix="chown root:root /boot/grub/grub.cfg\nchmod 0600 /boot/grub/grub.cfg",
        references=("grub-mkconfig(8)",),
        advice="Debian sets the mode back at each kernel update; on RHEL the folder is /boot/grub2.",
        advice_nl="Debian zet de rechten terug bij elke kernelupdate; bij RHEL heet de map /boot/grub2.",
    ),
    _row(
        "files.log-folders",
        "/var/log",
        "/var/log/journal",
        "/var/log/audit",
        "/var/log/sssd",
        "/var/log/samba",
        most=0o775,
        owners=("root", "sssd"),
        groups=("root", "adm", "syslog", "systemd-journal", "sssd"),
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        title="Only the system can add and remove logs",
        title_nl="Alleen het systeem kan logboeken toevoegen en verwijderen",
        why="Whoever can remove or replace a log wipes out their own tracks.",
        why_nl="Wie een logboek kan verwijderen of vervangen, wist zijn eigen sporen.",
        fix="chown root:root /var/log\nchmod 0755 /var/log",
        references=("ISO/IEC 27002:2022 8.15",),
    ),
    _row(
        "files.private-logs",
        "/var/log/auth.log",
        "/var/log/secure",
        "/var/log/syslog",
        "/var/log/messages",
        "/var/log/maillog",
        "/var/log/mail.log",
        "/var/log/btmp",
        "/var/log/audit/audit.log",
        most=0o660,
        owners=("root", "syslog"),
        groups=("root", "adm", "utmp", "syslog"),
        severity=Severity.MEDIUM,
        layer=Layer.DATA,
        title="Ordinary users cannot read the logs about people",
        title_nl="Gewone gebruikers kunnen de logboeken over personen niet lezen",
        why="These logs say who did what and when: personal data, and at times a password typed as a name.",
        why_nl=(
            "Hierin staat wie wat wanneer deed: persoonsgegevens, en soms een wachtwoord dat als naam is getypt."
        ),
        fix="chmod o-rwx /var/log/auth.log /var/log/syslog /var/log/mail.log /var/log/btmp",
        references=("AVG artikel 5 lid 1 onder f", "ISO/IEC 27002:2022 8.15"),
        advice="Set the same mode in /etc/logrotate.d and in rsyslog ($FileCreateMode 0640), or it comes back.",
        advice_nl="Zet dezelfde rechten in /etc/logrotate.d en rsyslog ($FileCreateMode 0640), anders komt het terug.",
    ),
    _row(
        "files.data-folders",
        "/var/lib/mysql",
        "/var/lib/mongodb",
        "/var/lib/mongo",
        "/var/lib/redis",
        "/var/lib/valkey",
        "/var/lib/ldap",
        "/var/lib/samba/private",
        "/var/lib/krb5kdc",
        "/var/kerberos/krb5kdc",
        most=0o771,
        owners=(),
        layer=Layer.DATA,
        title="Ordinary users cannot list or change the folders of databases",
        title_nl="Gewone gebruikers kunnen de mappen van databases niet inzien of wijzigen",
        why="Whoever reads a database's files gets round all rights within that database.",
        why_nl="Wie de bestanden van een database leest, komt om alle rechten in die database heen.",
        fix="chmod o-rwx /var/lib/mysql /var/lib/redis /var/lib/ldap",
        references=("ISO/IEC 27002:2022 8.3",),
        advice="PostgreSQL is not listed: it refuses to start when its data folder is open to others.",
        advice_nl="PostgreSQL staat er niet bij: dat start niet als zijn datamap voor anderen open staat.",
    ),
    _row(
        "files.key-folders",
        "/etc/ssl/private",
        "/etc/krb5.keytab",
        "/etc/ipsec.secrets",
        "/etc/wireguard",
        "/etc/sssd/sssd.conf",
        "/etc/letsencrypt/archive",
        "/etc/letsencrypt/live",
        "/etc/ppp/chap-secrets",
        most=0o750,
        owners=("root", "sssd"),
        groups=("root", "ssl-cert", "sssd", "systemd-network"),
        layer=Layer.DATA,
        title="Ordinary users cannot get at the server's keys and machine passwords",
        title_nl="Gewone gebruikers kunnen niet bij de sleutels en machinewachtwoorden van de server",
        why="With these keys someone passes for this server, reads its traffic or logs in on its behalf.",
        why_nl="Met deze sleutels doet iemand zich voor als deze server, leest zijn verkeer of logt namens hem in.",
        fix=(
            "chmod o-rwx /etc/ssl/private /etc/krb5.keytab /etc/wireguard\n"
            "chmod o-rwx /etc/letsencrypt/archive /etc/letsencrypt/live"
        ),
        references=("ISO/IEC 27002:2022 8.24",),
    ),
    _row(
        "files.root-home",
        "/root",
        "/root/.ssh",
        "/root/.ssh/authorized_keys",
        most=0o750,
        groups=_ROOT,
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        layer=Layer.DATA,
        title="Root's home folder is closed to others",
        title_nl="De thuismap van root is dicht voor anderen",
        why="Administrators leave scripts, exports and keys there; and whoever writes there logs in as root.",
        why_nl="Beheerders laten er scripts, exports en sleutels achter; en wie er schrijft, logt in als root.",
        fix="chown root:root /root\nchmod 0700 /root",
        references=("BIO2 1.3 maatregel 8.03",),
    ),
    _row(
        "files.temporary-folders",
        "/tmp",  # noqa: S108 -- looked at, not used
        "/var/tmp",  # noqa: S108 -- looked at, not used
        "/dev/shm",  # noqa: S108 -- looked at, not used
        most=0o777,
        bits=0o1000,
        principle=SECURE_DEFAULT,
        title="In the shared temporary folders nobody can remove another's files",
        title_nl="In de gedeelde tijdelijke mappen kan niemand bestanden van een ander weghalen",
        why="Without the sticky bit anyone can replace another's temporary file by their own.",
        why_nl="Zonder het sticky bit kan iedereen een tijdelijk bestand van een ander vervangen door dat van hem.",
        fix="chown root:root /tmp /var/tmp\nchmod 1777 /tmp /var/tmp",
        references=("inode(7) S_ISVTX",),
    ),
)  # fmt: skip

PATHS: Final = tuple(dict.fromkeys(chain.from_iterable(row.paths for row in ROWS)))
LIST: Final = Command(f"ls -ldL --time-style=+%s {' '.join(PATHS)}", root=True, exits=(0, 1, 2))
# Type and mode, mark of an access list or label, links, owner, group, size or device numbers, time, name: ls(1).
_LINE: Final = re.compile(r"[-dcbps]([-rwxsStT]{9})([.+@]?) +\d+ (\S+) +(\S+) +(?:\d+, +)?\d+ \d+ (/.*)")


# Within these folders too, everything must be root's alone to change; only what is not is listed, and the folders.
INSIDE: Final = (
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/init.d",
    "/etc/pam.d",
    "/etc/profile.d",
    "/etc/security",
    "/etc/ssh/sshd_config.d",
    "/etc/sudoers.d",
    "/etc/systemd/system",
    "/etc/udev/rules.d",
)
FIND: Final = Command(
    f"find -L {' '.join(INSIDE)} -maxdepth 2"
    " '(' -type d -o -type f '(' -perm /022 -o '!' -user root ')' ')' -printf '%m %u %g %p\\n'",
    root=True,
    exits=(0, 1),
)


@fact
class Path:
    """One path that exists: its mode, who owns it, and whether it has an access control list."""

    path: str
    mode: int
    user: str
    group: str
    listed: bool


@fact
class Paths:
    """All paths of this topic that exist; ``inside`` is what others can change in folders of settings."""

    found: tuple[Path, ...]
    inside: tuple[Path, ...]


@probe("linux", listed=LIST, inside=FIND)
def paths(listed: Raw, inside: Raw) -> Paths:
    """Of all that was asked each path is in the answer, or in a complaint that it is not there."""
    found = []
    for line in listed.lines:
        words = _LINE.fullmatch(line)
        if not words:
            raise NotUnderstood(f"ls says {line[:80]!r}")
        letters, mark, user, group, path = words.groups()
        found.append(Path(path=path, mode=_mode(letters), user=user, group=group, listed=mark == "+"))
    _all_seen(PATHS, listed, found)
    within = []
    for line in inside.lines:
        words = re.fullmatch(r"([0-7]{1,5}) (\S+) (\S+) (/.*)", line)
        if not words:
            raise NotUnderstood(f"find says {line[:80]!r}")
        within.append(Path(path=words[4], mode=int(words[1], 8), user=words[2], group=words[3], listed=False))
    _all_seen(INSIDE, inside, within)
    return Paths(found=tuple(found), inside=tuple(path for path in within if _changeable(path)))


def _all_seen(asked: tuple[str, ...], answer: Raw, found: list[Path]) -> None:
    said = " ".join(only_missing(answer))
    seen = {path.path for path in found}
    if unseen := [path for path in asked if path not in seen and f"'{path}':" not in said]:
        raise NotUnderstood(f"nothing was said of {named(unseen)}")


def _changeable(path: Path) -> bool:
    # With an access control list the group bits are what its users may do: group root says nothing then.
    return path.user != "root" or bool(path.mode & 0o022)


def _mode(letters: str) -> int:
    bits = sum(0o400 >> place for place, letter in enumerate(letters) if letter not in "-ST")
    special = {2: 0o4000, 5: 0o2000, 8: 0o1000}
    return bits | sum(bit for place, bit in special.items() if letters[place] in "sStT")


@table(*ROWS)
def closed(paths: Paths, *, row: Permissions) -> Verdict:
    """No path of the row allows more than it may."""
    present = [path for path in paths.found if path.path in row.paths]
    if not present:
        raise Absent(f"none of {', '.join(row.paths)} exists")
    wrong = [f"{path.path}: {', '.join(faults)}" for path in present if (faults := row.faults(path))]
    folders = tuple(f"{path}/" for path in row.paths if path in INSIDE)
    wrong += [
        f"{path.path}: mode {path.mode:04o} {path.user}:{path.group}"
        for path in paths.inside
        if path.path.startswith(folders)
    ]
    expected = f"at most {row.most:04o}" + (f" with {row.bits:o}" if row.bits else "")
    expected += f", owner {' or '.join(row.owners)}" if row.owners else ""
    expected += f", group {' or '.join(row.groups)}" if row.groups else ""
    return holds(not wrong, named(wrong) or f"{len(present)} of {len(row.paths)} exist, all closed", expected)


# --- examples: Debian 12 ------------------------------------------------------------------------------------------

_DEBIAN: Final = """\
-rw-r----- 1 root shadow 1012 1770000000 /etc/shadow
-rw-r--r-- 1 root root 1743 1770000000 /etc/passwd
-r--r----- 1 root root 1714 1770000000 /etc/sudoers
drwxr-xr-x 2 root root 4096 1770000000 /etc/sudoers.d
-rw-r--r-- 1 root root 3223 1770000000 /etc/ssh/sshd_config
-rw------- 1 root root 399 1770000000 /etc/ssh/ssh_host_ed25519_key
drwxr-xr-x 2 root root 4096 1770000000 /etc/pam.d
-rw-r--r-- 1 root root 1042 1770000000 /etc/crontab
drwxr-xr-x 5 root root 4096 1770000000 /etc/systemd/system
drwxr-xr-x 2 root root 4096 1770000000 /usr/local/bin
-rw------- 1 root root 8712 1770000000 /boot/grub/grub.cfg
drwxr-xr-x 9 root root 4096 1770000000 /var/log
drwxr-sr-x+ 3 root systemd-journal 4096 1770000000 /var/log/journal
-rw-r----- 1 root adm 81543 1770000000 /var/log/auth.log
drwx------ 6 mysql mysql 4096 1770000000 /var/lib/mysql
drwx--x--- 2 root ssl-cert 4096 1770000000 /etc/ssl/private
drwx------ 4 root root 4096 1770000000 /root
drwxrwxrwt 12 root root 4096 1770000000 /tmp
"""


_INSIDE: Final = """\
755 root root /etc/pam.d
755 root root /etc/sudoers.d
755 root root /etc/systemd/system
755 root root /etc/systemd/system/multi-user.target.wants
"""


def seen(*lines: str, inside: str = _INSIDE) -> dict[str, Raw]:
    """An example: what Debian 12 says, with some lines of `ls` in place of those for the same paths."""
    shown = {line.rpartition(" ")[2]: line for line in (*_DEBIAN.splitlines(), *lines)}
    within = {line.rpartition(" ")[2] for line in inside.splitlines()}
    return {
        "listed": _answer(
            "\n".join(shown.values()), [f"ls: cannot access '{x}'" for x in PATHS if x not in shown]
        ),
        "inside": _answer(inside, [f"find: '{x}'" for x in INSIDE if x not in within]),
    }


def _answer(out: str, missing: list[str]) -> Raw:
    err = "".join(f"{path}: No such file or directory\n" for path in missing)
    return Raw(out=out.encode(), err=err.encode(), code=1)


_FAILS: Final = {
    "files.password-hashes": [
        "-rw-r--r-- 1 root shadow 1012 1770000000 /etc/shadow",
        "-rw-r----- 1 root users 1012 1770000000 /etc/shadow",
        "-rw-r-----+ 1 root shadow 1012 1770000000 /etc/shadow",
    ],
    "files.account-database": ["-rw-r--r-- 1 anna root 1743 1770000000 /etc/passwd"],
    "files.sudo-rules": ["drwxrwxr-x 2 root beheer 4096 1770000000 /etc/sudoers.d"],
    "files.ssh-server-settings": ["-rw-rw-r-- 1 root beheer 3223 1770000000 /etc/ssh/sshd_config"],
    "files.ssh-host-keys": ["-rw-r--r-- 1 root root 399 1770000000 /etc/ssh/ssh_host_ed25519_key"],
    "files.login-rules": ["drwxrwxrwx 2 root root 4096 1770000000 /etc/pam.d"],
    "files.scheduled-jobs": ["-rw-rw-rw- 1 root root 1042 1770000000 /etc/crontab"],
    "files.units": ["drwxr-xr-x 5 deploy deploy 4096 1770000000 /etc/systemd/system"],
    "files.command-folders": ["drwxrwsr-x 2 root staff 4096 1770000000 /usr/local/bin"],
    "files.boot-loader": ["-r--r--r-- 1 root root 8712 1770000000 /boot/grub/grub.cfg"],
    "files.log-folders": [
        "drwxrwxrwx 9 root root 4096 1770000000 /var/log",
        "drwxrwxr-x 9 root users 4096 1770000000 /var/log",
    ],
    "files.private-logs": ["-rw-r--r-- 1 root adm 81543 1770000000 /var/log/auth.log"],
    "files.data-folders": ["drwxr-xr-x 6 mysql mysql 4096 1770000000 /var/lib/mysql"],
    "files.key-folders": ["drwxr-xr-x 2 root root 4096 1770000000 /etc/ssl/private"],
    "files.root-home": ["drwxr-xr-x 4 root root 4096 1770000000 /root"],
    "files.temporary-folders": ["drwxrwxrwx 12 root root 4096 1770000000 /tmp"],
}
for _id, _lines in _FAILS.items():
    examples(_id, passes=seen(), fails=[seen(line) for line in _lines])
examples(
    "files.password-hashes",
    unknown=[
        seen() | {"listed": Raw(out=_DEBIAN.encode())},
        seen() | {"listed": Raw(err=b"ls: cannot access '/etc/shadow': Permission denied\n", code=2)},
    ],
)
_WARNED: Final = b"sudo: unable to resolve host web01: Name or service not known\n"
examples(
    "files.sudo-rules",
    passes={name: Raw(out=raw.out, err=_WARNED + raw.err, code=raw.code) for name, raw in seen().items()},
    fails=[seen(inside=f"{_INSIDE}664 root {group} /etc/sudoers.d/beheer\n") for group in ("beheer", "root")],
    unknown=seen() | {"inside": Raw()},
)
