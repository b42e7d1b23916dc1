"""What file systems allow, and what has one of its own: judged on what is mounted, not on /etc/fstab."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from checks.linux._answers import named
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    SECURE_DEFAULT,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    table,
)

FINDMNT: Final = Command("findmnt --json --list --output TARGET,SOURCE,FSTYPE,OPTIONS")
_SHARES: Final = frozenset({"nfs", "nfs4", "cifs", "smb3"})
# Also over the network; whether these encrypt is not among their mount options.
_OTHER_SHARES: Final = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gpfs",
        "lustre",
    }
)
# Mounted when it is used by systemd itself, from a disk of the host.
_IDLE_LOCAL: Final = ("/boot", "/efi", "/proc/")
_UNSEEN: Final = "is mounted only when it is used: with which options is not seen"


@fact
class Mount:
    """One mounted file system."""

    target: str
    source: str
    kind: str
    options: frozenset[str]

    def __str__(self) -> str:
        return self.target


@fact
class Mounts:
    """All that is mounted, as the kernel has it; of two on one place the upper one."""

    mounted: tuple[Mount, ...]

    def holding(self, path: str) -> Mount:
        """The file system that a path is on."""
        over = [mount for mount in self.mounted if f"{path}/".startswith(f"{mount.target.rstrip('/')}/")]
        return max(over, key=lambda mount: len(mount.target))


@probe("linux", found=FINDMNT)
def mounts(found: Raw) -> Mounts:
    """A flat list in the order of mounting, findmnt(8)."""
    listed: list[dict[str, Any]] = json.loads(found.text)["filesystems"]
    by_target = {
        entry["target"]: Mount(
            target=entry["target"],
            source=entry["source"] or "",
            kind=entry["fstype"],
            options=frozenset(entry["options"].split(",")),
        )
        for entry in listed
    }
    if "/" not in by_target:
        raise NotUnderstood("findmnt names no root file system")
    return Mounts(mounted=tuple(by_target.values()))


@dataclass(frozen=True, kw_only=True)
class Restricted(Row):
    """Mount options that must hold for a path."""

    path: str
    options: tuple[str, ...]


def _row(
    id_: str,
    path: str,
    *options: str,
    severity: Severity,
    title: str,
    title_nl: str,
    why: str,
    why_nl: str,
    fix: str,
    advice: str = "",
    advice_nl: str = "",
) -> Restricted:
    return Restricted(
        id=id_,
        path=path,
        options=options,
        principle=SECURE_DEFAULT,
        severity=severity,
        layer=Layer.HOST,
        title=title,
        title_nl=title_nl,
        why=why,
        why_nl=why_nl,
        fix=fix,
        verify=f"findmnt --target {path} --output TARGET,OPTIONS",
        references=("mount(8) FILESYSTEM-INDEPENDENT MOUNT OPTIONS", "ANSSI-BP-028 R28"),
        advice=advice,
        advice_nl=advice_nl,
    )


_WHY: Final = (
    "Anyone may put files there; an attacker uses it to start what was brought in, or to become root with it."
)
_WHY_NL: Final = (
    "Iedereen mag daar bestanden neerzetten; een aanvaller start er wat hij meebracht, of wordt er root mee."
)
_CAUTION: Final = "Some installers run programs from there: give them another folder with TMPDIR."
_CAUTION_NL: Final = "Sommige installatieprogramma's starten daar iets: geef ze met TMPDIR een andere map."
ROWS: Final = (
    _row(
        "mounts.tmp",
        "/tmp",  # noqa: S108 -- looked at, not used
        "nodev", "nosuid", "noexec",
        severity=Severity.MEDIUM,
        title="No programs and devices work from /tmp",
        title_nl="Vanuit /tmp werken geen programma's en apparaten",
        why=_WHY,
        why_nl=_WHY_NL,
        fix=(
            "mkdir -p /etc/systemd/system/tmp.mount.d\ncp -n /usr/share/systemd/tmp.mount /etc/systemd/system/\n"
            "printf '[Mount]\\nOptions=mode=1777,strictatime,nosuid,nodev,noexec,size=50%%%%\\n'"
            " > /etc/systemd/system/tmp.mount.d/options.conf\n"
            "systemctl daemon-reload\nsystemctl enable --now tmp.mount"
        ),
        advice="On RHEL leave out the cp: the unit is already there. " + _CAUTION,
        advice_nl="Laat bij RHEL de cp weg: de unit is er al. " + _CAUTION_NL,
    ),
    _row(
        "mounts.var-tmp",
        "/var/tmp",  # noqa: S108 -- looked at, not used
        "nodev", "nosuid", "noexec",
        severity=Severity.MEDIUM,
        title="No programs and devices work from /var/tmp",
        title_nl="Vanuit /var/tmp werken geen programma's en apparaten",
        why=_WHY,
        why_nl=_WHY_NL,
        fix="echo '/var/tmp /var/tmp none bind,nodev,nosuid,noexec 0 0' >> /etc/fstab\nmount /var/tmp",
        advice=_CAUTION,
        advice_nl=_CAUTION_NL,
    ),
    _row(
        "mounts.shared-memory",
        "/dev/shm",  # noqa: S108 -- looked at, not used
        "nodev", "nosuid", "noexec",
        severity=Severity.MEDIUM,
        title="No programs and devices work from shared memory",
        title_nl="Vanuit het gedeelde geheugen werken geen programma's en apparaten",
        why=_WHY + " What is there leaves no trace on disk.",
        why_nl=_WHY_NL + " Wat daar staat, laat op schijf geen spoor na.",
        fix=(
            "echo 'tmpfs /dev/shm tmpfs defaults,nodev,nosuid,noexec 0 0' >> /etc/fstab\n"
            "mount -o remount,nodev,nosuid,noexec /dev/shm"
        ),
    ),
    _row(
        "mounts.home",
        "/home",
        "nodev", "nosuid",
        severity=Severity.LOW,
        title="No set-uid programs and devices work from users' folders",
        title_nl="Vanuit de mappen van gebruikers werken geen set-uid-programma's en apparaten",
        why="A disk or backup put back there could otherwise bring in a program that makes its user root.",
        why_nl="Een teruggezette schijf of back-up kan anders een programma meebrengen dat iemand root maakt.",
        fix="# after the line of /home in /etc/fstab says nodev,nosuid:\nmount -o remount,nodev,nosuid /home",
        advice="Without a file system of its own, /home can be bound to itself: /home /home none bind,nodev,nosuid.",
        advice_nl="Zonder eigen bestandssysteem kan /home aan zichzelf: /home /home none bind,nodev,nosuid.",
    ),
)  # fmt: skip


@table(*ROWS)
def restricted(mounts: Mounts, *, row: Restricted) -> Verdict:
    """The file system that the row's path is on has the row's options, and so has what is mounted below it."""
    first = mounts.holding(row.path)
    where = f"{row.path} is on {first.target} ({first.kind})"
    below = [mount for mount in mounts.mounted if mount.target.startswith(f"{row.path}/")]
    wrong = [
        f"{where if mount is first else mount.target} without {', '.join(lacking)}"
        for mount in (first, *below)
        if mount.kind != "autofs"
        and (lacking := [option for option in row.options if option not in mount.options])
    ]
    idle = [mount.target for mount in (first, *below) if mount.kind == "autofs"]
    if idle and not wrong:
        raise NotUnderstood(f"{named(idle)} {_UNSEEN}")
    return holds(not wrong, named(wrong) or f"{where} with {', '.join(row.options)}", ", ".join(row.options))


@check(
    "mounts.logs-apart",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Logboeken hebben een eigen bestandssysteem",
    why_nl=(
        "Volle logboeken leggen anders de server stil, en een volle server schrijft niets meer op: precies als een"
        " aanvaller dat wil."
    ),
    fix=(
        "lvcreate --size 8G --name log vg0\nmkfs.ext4 /dev/vg0/log\n"
        "echo '/dev/vg0/log /var/log ext4 defaults,nodev,nosuid,noexec 0 2' >> /etc/fstab"
    ),
    verify="findmnt /var/log",
    references=("ANSSI-BP-028 R28", "ISO/IEC 27002:2022 8.15"),
    advice="Copy the present logs to the new file system before it is mounted.",
    advice_nl="Kopieer de huidige logboeken naar het nieuwe bestandssysteem voordat het gekoppeld wordt.",
)
def logs_apart(mounts: Mounts) -> Verdict:
    """Logs have a file system of their own.

    Full logs would otherwise stop the server, and a full server writes nothing down any more: just when an attacker
    wants that.
    """
    mount = mounts.holding("/var/log")
    expected = "mounted on /var/log, from a volume of its own"
    if mount.target != "/var/log":
        return holds(False, f"/var/log is on {mount.target} ({mount.kind})", expected)
    # A subvolume or bind mount has a place of its own, but fills the same disk as the rest.
    around = [mounts.holding(path) for path in ("/", "/var")]
    shared = [other.target for other in around if _volume(other) == _volume(mount)]
    if shared:
        observed = f"/var/log is {mount.source}, on the same volume as {' and '.join(dict.fromkeys(shared))}"
        return holds(False, observed, expected)
    if mount.kind == "zfs" and _pool(mount) in map(_pool, around):
        raise NotUnderstood(f"whether the dataset {mount.source} has a quota or reservation is not seen")
    return holds(True, f"/var/log is on {mount.target} ({mount.kind})", expected)


def _volume(mount: Mount) -> str:
    """What a file system is on; findmnt writes the part of it that is mounted between brackets."""
    return mount.target if mount.kind == "tmpfs" else mount.source.partition("[")[0]


def _pool(mount: Mount) -> str:
    return mount.source.partition("/")[0] if mount.kind == "zfs" else ""


@check(
    "mounts.shares-restricted",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Vanaf netwerkschijven werken geen set-uid-programma's en apparaten",
    why_nl="Wie op de andere server kan schrijven, zet daar anders een programma neer dat hier iemand root maakt.",
    fix="# after the share's line in /etc/fstab says nodev,nosuid:\nmount -o remount,nodev,nosuid /mnt/share",
    verify="findmnt -t nfs,nfs4,cifs,smb3 --output TARGET,OPTIONS",
    references=("nfs(5)", "mount(8) nosuid"),
)
def shares_restricted(mounts: Mounts) -> Verdict:
    """No set-uid programs and devices work from network shares.

    Whoever can write on the other server could otherwise lay out a program there that makes its user root here.
    """
    shares = _shares(mounts, _SHARES | _OTHER_SHARES)
    wrong = [mount.target for mount in shares if not {"nodev", "nosuid"} <= mount.options]
    if not wrong and (idle := _idle(mounts)):
        raise NotUnderstood(f"{named(idle)} {_UNSEEN}")
    return holds(not wrong, named(wrong) or "all shares are nodev, nosuid", "nodev, nosuid")


@check(
    "mounts.shares-encrypted",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Verkeer met netwerkschijven is versleuteld",
    why_nl="Anders leest wie het netwerk kan aftappen elk bestand mee, en kan hij het onderweg wijzigen.",
    fix="# NFS: sec=krb5p (or xprtsec=tls); SMB: seal, in the share's line of /etc/fstab, then:\nmount -a",
    verify="findmnt -t nfs,nfs4,cifs,smb3 --output TARGET,OPTIONS",
    references=("nfs(5) sec, xprtsec", "mount.cifs(8) seal", "BIO2 1.3 maatregel 8.21.04"),
    advice="A share that the server on the other side does not encrypt has to be changed there first.",
    advice_nl="Een schijf die de server aan de andere kant niet versleutelt, moet eerst daar worden aangepast.",
)
def shares_encrypted(mounts: Mounts) -> Verdict:
    """Traffic with network shares is encrypted.

    Otherwise whoever can tap the network reads every file along, and can change it on its way.
    """
    shares = _shares(mounts, _SHARES | _OTHER_SHARES)
    wrong = [
        f"{mount.target} ({mount.kind})"
        for mount in shares
        if mount.kind in _SHARES and not _encrypted(mount)
    ]
    other = [
        f"{mount.target} ({mount.kind})" for mount in shares if mount.kind not in _SHARES | {"fuse.sshfs"}
    ]
    if other and not wrong:
        raise NotUnderstood(f"whether {named(other)} is encrypted on its way is not seen")
    if not wrong and (idle := _idle(mounts)):
        raise NotUnderstood(f"{named(idle)} {_UNSEEN}")
    return holds(not wrong, f"in clear: {named(wrong)}" if wrong else "all shares", "krb5p, TLS or seal")


def _shares(mounts: Mounts, kinds: frozenset[str]) -> list[Mount]:
    found = [mount for mount in mounts.mounted if mount.kind in kinds]
    if not found and (idle := _idle(mounts)):
        raise NotUnderstood(f"{named(idle)} {_UNSEEN}")
    if not found:
        raise Absent("no network share is mounted")
    return found


def _idle(mounts: Mounts) -> list[str]:
    """Where something is mounted as soon as it is used, and nothing is now."""
    return [
        mount.target
        for mount in mounts.mounted
        if mount.kind == "autofs"
        and not mount.target.startswith(_IDLE_LOCAL)
        and not any(other.target.startswith(f"{mount.target}/") for other in mounts.mounted)
    ]


def _encrypted(mount: Mount) -> bool:
    own = re.compile(r"sec=krb5p|xprtsec=(tls|mtls)|seal")
    return any(own.fullmatch(option) for option in mount.options)


# --- examples: Debian 12 ------------------------------------------------------------------------------------------

_DEBIAN: Final = {
    "/proc": ("proc", "proc", "rw,nosuid,nodev,noexec,relatime"),
    "/": ("/dev/mapper/vg0-root", "ext4", "rw,relatime,errors=remount-ro"),
    "/dev/shm": ("tmpfs", "tmpfs", "rw,nosuid,nodev"),  # noqa: S108 -- looked at, not used
}


def _mounted(**extra: tuple[str, str, str]) -> str:
    """An example: what findmnt says, with file systems added; ``var_log`` is /var/log."""
    table = _DEBIAN | {f"/{name.replace('_', '/')}": mount for name, mount in extra.items()}
    return json.dumps(
        {
            "filesystems": [
                {"target": target, "source": source, "fstype": kind, "options": options}
                for target, (source, kind, options) in table.items()
            ]
        },
        indent=3,
    )


_HOME: Final = ("/dev/mapper/vg0-home", "ext4", "rw,nosuid,nodev,relatime")
_AUTOFS: Final = (
    "auto.home",
    "autofs",
    "rw,relatime,fd=6,pgrp=801,timeout=300,minproto=5,maxproto=5,indirect",
)
_CLOSED: Final = ("tmpfs", "tmpfs", "rw,nosuid,nodev,noexec,relatime")
examples(
    "mounts.tmp",
    passes=_mounted(tmp=_CLOSED),
    fails=[_mounted(), _mounted(tmp=("tmpfs", "tmpfs", "rw,nosuid"))],
)
examples(
    "mounts.var-tmp",
    passes=_mounted(var_tmp=("/dev/mapper/vg0-root[/var/tmp]", "ext4", "rw,nosuid,nodev,noexec,relatime")),
    fails=[_mounted(), _mounted(tmp=_CLOSED)],
)
examples("mounts.shared-memory", passes=_mounted(dev_shm=_CLOSED), fails=_mounted())
examples(
    "mounts.home",
    passes=[
        _mounted(home=_HOME),
        _mounted(home=_HOME, home_anna=("nas:/home/anna", "nfs4", "rw,nosuid,nodev,sec=krb5p")),
    ],
    fails=[
        _mounted(),
        _mounted(home=_HOME, home_anna=("nas:/home/anna", "nfs4", "rw,relatime,sec=krb5p")),
        _mounted(home=_AUTOFS, home_anna=("nas:/home/anna", "nfs4", "rw,relatime,sec=krb5p")),
    ],
    unknown=['{"filesystems": []}', _mounted(home=_AUTOFS)],
)
examples(
    logs_apart,
    passes=_mounted(var_log=("/dev/mapper/vg0-log", "xfs", "rw,nosuid,nodev,noexec,relatime")),
    fails=[
        _mounted(),
        _mounted(var=("/dev/mapper/vg0-var", "xfs", "rw,relatime")),
        # openSUSE's and Ubuntu's way with btrfs, and a folder bound to itself: a place, but no space of its own.
        _mounted(var_log=("/dev/mapper/vg0-root[/@/var/log]", "btrfs", "rw,relatime,subvol=/@/var/log")),
        _mounted(
            var=("/dev/mapper/vg0-var", "xfs", "rw,relatime"),
            var_log=("/dev/mapper/vg0-var[/log]", "xfs", "rw,nosuid,relatime"),
        ),
    ],
    unknown=_mounted(
        var=("rpool/var", "zfs", "rw,xattr,posixacl"), var_log=("rpool/var/log", "zfs", "rw,xattr,posixacl")
    ),
)
examples(
    shares_restricted,
    passes=_mounted(srv=("files01:/export", "nfs4", "rw,nosuid,nodev,relatime,vers=4.2,sec=krb5p")),
    fails=[
        _mounted(srv=("files01:/export", "nfs4", "rw,relatime,vers=4.2,sec=sys")),
        _mounted(srv=("store01:/volume", "fuse.glusterfs", "rw,relatime,allow_other")),
    ],
    unknown=_mounted(srv=_AUTOFS),
    notapplicable=[
        _mounted(),
        _mounted(proc_sys_fs_binfmt=("systemd-1", "autofs", "rw,relatime,fd=29,direct")),
    ],
)
examples(
    shares_encrypted,
    passes=[
        _mounted(srv=("files01:/export", "nfs4", "rw,relatime,vers=4.2,sec=krb5p")),
        _mounted(srv=("//files01/data", "cifs", "rw,relatime,vers=3.1.1,seal,cache=strict")),
    ],
    fails=[
        _mounted(srv=("files01:/export", "nfs4", "rw,relatime,vers=4.2,sec=sys")),
        _mounted(srv=("//files01/data", "cifs", "rw,relatime,vers=3.1.1,cache=strict")),
    ],
    unknown=[
        _mounted(srv=("192.0.2.9:6789:/", "ceph", "rw,relatime,name=web,acl")),
        _mounted(srv=("files01:/export", "nfs4", "rw,relatime,vers=4.2,sec=krb5p"), mnt=_AUTOFS),
    ],
    notapplicable=_mounted(),
)
