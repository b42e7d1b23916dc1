"""Whether the host makes backups of itself, as far as that shows on the host.

A backup that the hypervisor, the storage or a puller on another host makes leaves no trace here. So a host on which no
known tool is found is *unknown*, not failed, unless the profile says that every host must make its own.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from checks.linux.units import CronUses, Unit, Units, shown
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_TOOLS: Final = (
    "autorestic", "backupninja", "bacula", "bareos", "borg", "borgmatic", "duplicity", "duply", "kopia", "mysqldump",
    "pg_dump", "pg_dumpall", "pgbackrest", "proxmox-backup-client", "rdiff-backup", "restic",
    "resticprofile", "rsnapshot",
)  # fmt: skip
#: Timers that make a backup, by their own name or that of what they start.
_TIMER: Final = re.compile(
    r"(?i)backup|restic|borg|kopia|duplicity|duply|rsnapshot|rdiff|pgbackrest|barman|pg_?dump|mysqldump"
)
#: Timers with such a name that copy nothing off, or look after the store instead of filling it.
#: The first copy the package database (Debian, SUSE) and /etc/sysconfig (SUSE) to another folder of the same host.
_OTHER: Final = re.compile(
    r"(?i)^(dpkg-db-backup|backup-rpmdb|backup-sysconfig)\.|prune|forget|check|compact|verify|cleanup|exporter"
)
_AGENTS: Final = (
    "acronis_mms", "amanda", "bacula-fd", "bareos-fd", "bareos-filedaemon", "barman", "burp-client", "cohesity-agent",
    "commvault", "Galaxy", "dsmcad", "emagent-backup", "kopia", "netbackup", "networker", "rubrikagents",
    "urbackupclientbackend", "veeamservice", "vprotect",
)  # fmt: skip


@fact
class BackupSigns:
    """What on the host makes backups: timers with what they start, agents, and lines of cron.

    ``idle`` names what is there but does not run.
    """

    timers: tuple[tuple[Unit, Unit | None], ...]
    agents: tuple[str, ...]
    cron: tuple[str, ...]
    idle: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All that runs, by name."""
        return [timer.id for timer, _ in self.timers] + [*self.agents, *self.cron]


@probe("linux")
def backup_signs(units: Units, cron: CronUses) -> BackupSigns:
    """Known tools among what runs; cron counts only while it runs itself."""
    known = [unit for unit in units.all if unit.id.endswith(".timer") and _makes_backups(unit)]
    timers = [(unit, units.get(unit.runs)) for unit in known if unit.is_active]
    agents = units.active(*(f"{name}.service" for name in _AGENTS))
    broken = [unit for name in _AGENTS if (unit := units.get(f"{name}.service")) and not unit.is_active]
    planned = cron.of(*_TOOLS)
    runs = bool(units.active("cron.service", "crond.service"))
    idle = [
        f"{unit.id} {unit.active}" for unit in known + broken if not unit.is_active and unit.load == "loaded"
    ]
    return BackupSigns(
        timers=tuple(timers),
        agents=tuple(unit.id for unit in agents),
        cron=tuple(planned) if runs else (),
        idle=tuple(idle + ([] if runs else [f"{line}, but cron does not run" for line in planned])),
    )


def _makes_backups(timer: Unit) -> bool:
    return any(_TIMER.search(name) and not _OTHER.search(name) for name in (timer.id, timer.runs))


@check(
    "backup.planned",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.RECOVERY,
    title_nl="Een back-up van deze host is ingepland",
    why_nl="Na ransomware, een fout of een defecte schijf is een back-up het enige wat gegevens terugbrengt.",
    fix="apt install borgmatic\nborgmatic config generate    # fill in what and where to\nborgmatic init "
    "--encryption repokey-blake2\n"
    "systemctl enable --now borgmatic.timer",
    verify="systemctl list-timers --all | grep -iE 'backup|borg|restic'",
    references=("ISO/IEC 27002:2022 8.13", "BIO2 1.3 8.13.01"),
    advice="Keep a copy that this host cannot change or remove, and try to restore it once a year.",
    advice_nl="Bewaar een kopie die deze host niet kan wijzigen of wissen en oefen het terugzetten jaarlijks.",
)
def planned(
    signs: BackupSigns,
    *,
    own: Annotated[bool, "every host must make a backup itself: then finding no tool is a failure"] = False,
) -> Verdict:
    """A backup of this host is planned.

    After ransomware, a mistake or a broken disk, a backup is the only thing that brings data back.
    """
    expected = "a timer, agent or cron line of a backup tool"
    if signs.names:
        return holds(True, named(signs.names), expected)
    if signs.idle:
        return holds(False, f"does not run: {named(list(signs.idle))}", expected)
    if own:
        return holds(False, "no known backup tool", expected)
    raise NotUnderstood(
        "no known backup tool here; a backup from outside (hypervisor, storage) does not show on the host"
    )


_BORG: Final = (
    "borgmatic.timer active enabled Unit=borgmatic.service LastTriggerUSec=Mon_2026-11-23_02:10:00_UTC"
)
_DONE: Final = (
    "borgmatic.service inactive static Result=success ExecMainExitTimestamp=Mon_2026-11-23_02:14:31_UTC"
)
_PLAIN: Final = "dpkg-db-backup.timer active enabled Unit=dpkg-db-backup.service"
_CRON: Final = "cron.service active enabled"
_LINE: Final = "/etc/cron.d/restic:restic\n"


def _on(*units: str, cron: str = "") -> dict[str, str]:
    return {"shown": shown(_PLAIN, *units), "found": cron}


examples(
    planned,
    passes=[_on(_BORG, _DONE), _on("bareos-filedaemon.service active enabled"), _on(_CRON, cron=_LINE)],
    fails=[
        _on("bareos-filedaemon.service failed enabled"),
        _on("nightly-backup.timer inactive enabled Unit=nightly-backup.service"),
        _on(cron=_LINE),
    ],
    unknown=[_on(_CRON), {"shown": shown(_CRON), "found": Raw(b"", b"grep: Binary file\n", 2)}],
)


@check(
    "backup.recent",
    principle=(DATA_FIRST, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.RECOVERY,
    title_nl="De laatste back-up is gelukt en recent",
    why_nl="Een back-up die stil is opgehouden ontdekt men meestal pas op de dag dat hij nodig is.",
    fix="systemctl start borgmatic.service\njournalctl -u borgmatic.service -e    # why the last run failed",
    verify="systemctl show -p Result -p ExecMainExitTimestamp borgmatic.service",
    references=("ISO/IEC 27002:2022 8.13", "systemd.timer(5)"),
    advice="What an agent or cron made is not seen here: look in the console of the backup.",
    advice_nl="Wat een agent of cron maakte is hier niet te zien: kijk in de console van de back-up.",
)
def recent(
    signs: BackupSigns, now: ScanTime, *, days: Annotated[float, "days that the last backup may be old"] = 2.0
) -> Verdict:
    """The last backup succeeded and is recent.

    A backup that silently stopped is mostly found out on the day that it is needed.
    """
    if not signs.timers:
        raise NotUnderstood(
            f"{named(signs.names)}: when it last made a backup is not read"
            if signs.names
            else "no known backup timer"
        )
    expected = f"every last run a success, one within {days:g} days"
    oldest = now - timedelta(days=days)
    told, failed, fresh, unsure = [], False, False, []
    for timer, service in signs.timers:
        if service is None:
            unsure.append(f"{timer.id} starts {timer.runs or 'nothing'}, which systemd does not know")
            continue
        if service.result not in ("", "success"):
            failed = True
            told.append(f"{service.id} {service.result}")
        elif service.ended is None:
            late = timer.triggered is not None and timer.triggered < oldest
            told.append(
                f"{service.id} last started {timer.triggered:%Y-%m-%d %H:%M}" if timer.triggered else ""
            )
            if not late:
                unsure.append(f"{service.id} did not end since the host started")
        else:
            fresh = fresh or service.ended >= oldest
            told.append(f"{service.id} success {service.ended:%Y-%m-%d %H:%M}")
    said = named([one for one in told if one])
    if not failed and not fresh and unsure:
        raise NotUnderstood(named(unsure))
    return holds(fresh and not failed, said, expected)


examples(
    recent,
    passes=[
        _on(_BORG, _DONE),
        _on(_BORG, _DONE, "borg-weekly.timer active enabled Unit=borg-weekly.service",
            "borg-weekly.service inactive static Result=success ExecMainExitTimestamp=Tue_2026-11-17_02:14:31_UTC"),
    ],
    fails=[
        _on(_BORG, _DONE.replace("2026-11-23", "2026-11-12")),
        _on(_BORG, _DONE.replace("success", "exit-code")),
        _on(_BORG.replace("2026-11-23", "2026-11-12"), "borgmatic.service inactive static Result=success"),
    ],
    unknown=[
        _on(_BORG, "borgmatic.service inactive static Result=success"),
        _on(_BORG),
        _on("veeamservice.service active enabled"),
        _on(_CRON, cron=_LINE),
        _on(_CRON),
    ],
)  # fmt: skip


@fact
class BackupFiles:
    """Path -> (permission bits, owner, group) of the settings of backup tools, passwords and keys among them."""

    seen: dict[str, tuple[int, str, str]]


@probe(
    "linux",
    found=Command(
        "find /etc/restic /etc/resticprofile /etc/autorestic /etc/default/restic /etc/borg /etc/borgmatic "
        "/etc/borgmatic.d"
        " /etc/duply /etc/kopia /etc/backup.d /etc/bacula /etc/bareos /etc/pgbackrest /etc/pgbackrest.conf"
        " /etc/proxmox-backup-client /etc/rsnapshot.conf -maxdepth 2 -type f -printf '%m %u %g %p\\n'",
        root=True,
        exits=(0, 1),
    ),
)
def backup_files(found: Raw) -> BackupFiles:
    """``mode owner group path``, find(1)."""
    only_missing(found)
    seen = {}
    for line in found.lines:
        mode, owner, group, path = line.split(" ", 3)
        seen[path] = (int(mode, 8), owner, group)
    if not seen:
        raise Absent("no settings of a known backup tool in /etc")
    return BackupFiles(seen)


@check(
    "backup.settings-closed",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De instellingen van de back-up zijn niet voor iedereen leesbaar",
    why_nl="In die bestanden staan het wachtwoord en de plaats van de back-up. Wie ze leest heeft alle "
    "gegevens, ook die van vorig "
    "jaar, en kan ze wissen.",
    fix="chmod -R o-rwx /etc/borgmatic /etc/restic",
    verify="find /etc/borgmatic /etc/restic -type f -perm /0007",
    references=("ISO/IEC 27002:2022 8.13, 8.24",),
)
def settings_closed(
    files: BackupFiles,
    *,
    public: Annotated[tuple[str, ...], "files in which no secret can stand"] = ("/etc/rsnapshot.conf",),
) -> Verdict:
    """The settings of the backup are not readable for everyone.

    They hold the password and the place of the backup. Whoever reads them has all data, that of last year too, and can
    wipe it.
    """
    wrong = [
        f"{path} {mode:o}" for path, (mode, _, _) in files.seen.items() if mode & 0o007 and path not in public
    ]
    return holds(not wrong, named(wrong) or f"{len(files.seen)} files, all closed", "no rights for others")


_NONE: Final = b"find: '/etc/restic': No such file or directory\n"
examples(
    settings_closed,
    passes=[
        Raw(b"600 root root /etc/borgmatic/config.yaml\n640 root backup /etc/restic/password\n", _NONE, 1),
        "644 root root /etc/rsnapshot.conf\n",
    ],
    fails="644 root root /etc/borgmatic/config.yaml\n",
    notapplicable=Raw(b"", _NONE, 1),
    unknown=[Raw(b"", b"find: '/etc/restic': Input/output error\n", 1), "config.yaml\n"],
)
