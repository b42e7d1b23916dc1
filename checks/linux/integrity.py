"""Whether somebody would notice that a file of the system was changed: AIDE, or an agent that does the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from checks.linux.units import CronUses, Units, shown
from scanner import (
    FAIL_SECURE,
    IN_DEPTH,
    Absent,
    Command,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    ScanTime,
    Severity,
    State,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_AGENTS: Final = ("auditbeat", "ossec", "ossec-hids", "samhain", "wazuh-agent")
_CRON: Final = ("aide", "samhain", "tripwire")
#: Debian's own script: on a host with systemd it ends at once and leaves the work to the timer.
_DEBIAN: Final = "aide in /etc/cron.daily/aide"


@fact
class IntegrityTool:
    """What compares files with how they were: AIDE (``aide``), agents that run, and what starts AIDE.

    ``perhaps`` says that Debian's script for cron is there, which starts it on some versions only.
    """

    aide: bool
    agents: tuple[str, ...]
    starts: tuple[str, ...]
    idle: tuple[str, ...]
    perhaps: bool = False


@probe("linux", version=Command("aide --version", needs="aide"))
def integrity_tool(version: Raw | None, units: Units, cron: CronUses) -> IntegrityTool:
    """``AIDE 0.18.3`` to begin with, aide(1); and what would start it."""
    if version is not None and not (version.text + version.err.decode()).lower().startswith("aide"):
        raise NotUnderstood(f"aide --version says {version.text[:40]!r}")
    timers = [unit for unit in units.all if unit.id.endswith(".timer") and "aide" in unit.id + unit.runs]
    named_by_cron = cron.of(*_CRON)
    planned = [line for line in named_by_cron if line != _DEBIAN]
    runs = bool(units.active("cron.service", "crond.service"))
    starts = [unit.id for unit in timers if unit.is_active] + (planned if runs else [])
    idle = [f"{unit.id} {unit.active}" for unit in timers if not unit.is_active]
    return IntegrityTool(
        aide=version is not None,
        agents=tuple(unit.id for unit in units.active(*(f"{name}.service" for name in _AGENTS))),
        starts=tuple(starts),
        idle=tuple(idle + ([] if runs else [f"{line}, but cron does not run" for line in planned])),
        perhaps=_DEBIAN in named_by_cron,
    )


_AIDE: Final = "AIDE 0.18.3\n\nCompile-time options:\nuse pcre2: mandatory\n"
_TIMER: Final = "dailyaidecheck.timer active enabled Unit=dailyaidecheck.service"
_WAZUH: Final = "wazuh-agent.service active enabled"
_NO_AIDE: Final = Gap(State.NOTAPPLICABLE, None, "aide is not on the host")


def _on(*units: str, cron: str = "", aide: object = _AIDE) -> dict[str, object]:
    return {"version": aide, "shown": shown(*units), "cron_uses.found": cron}


@check(
    "integrity.tool",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Een hulpmiddel bewaakt of systeembestanden veranderen",
    why_nl="Een aanvaller die blijft, verandert programma's of instellingen. Zonder vergelijking met hoe het "
    "was merkt niemand dat.",
    fix="apt install aide\naideinit\ncp /var/lib/aide/aide.db.new /var/lib/aide/aide.db",
    verify="aide --version",
    references=("aide(1)", "ISO/IEC 27002:2022 8.16"),
    advice="RHEL: dnf install aide; aide --init; mv /var/lib/aide/aide.db.new.gz /var/lib/aide/aide.db.gz.",
    advice_nl="RHEL: dnf install aide; aide --init; mv /var/lib/aide/aide.db.new.gz /var/lib/aide/aide.db.gz.",
)
def tool(integrity: IntegrityTool) -> Verdict:
    """A tool watches whether files of the system change.

    An attacker who stays changes programs or settings. Without a comparison with how it was, nobody notices.
    """
    found = (["aide"] if integrity.aide else []) + list(integrity.agents)
    return holds(bool(found), f"found: {named(found) or 'none'}", f"aide, or one of {', '.join(_AGENTS)}")


examples(
    tool,
    passes=[_on(), _on(_WAZUH, aide=_NO_AIDE)],
    fails=_on(aide=_NO_AIDE),
    unknown=_on(aide="Usage: aide\n".replace("Usage", "?")),
)


@check(
    "integrity.planned",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="De vergelijking van bestanden draait vanzelf",
    why_nl="Een hulpmiddel dat niemand start vindt niets.",
    fix="apt install aide-common\nsystemctl enable --now dailyaidecheck.timer",
    verify="systemctl list-timers --all | grep aide",
    references=("aide(1)", "systemd.timer(5)"),
    advice="RHEL: echo '0 4 * * * root /usr/sbin/aide --check' > /etc/cron.d/aide.",
    advice_nl="RHEL: echo '0 4 * * * root /usr/sbin/aide --check' > /etc/cron.d/aide.",
)
def planned(integrity: IntegrityTool) -> Verdict:
    """The comparison of files runs by itself.

    A tool that nobody starts finds nothing.
    """
    if not integrity.aide:
        if integrity.agents:
            raise NotUnderstood(f"{named(list(integrity.agents))} runs: what it watches is not read")
        raise Absent("no known tool that compares files")
    if integrity.perhaps and not integrity.starts and not integrity.idle:
        raise NotUnderstood(
            "/etc/cron.daily/aide leaves the work to a timer on some versions, and no timer runs"
        )
    idle = f"; does not run: {named(list(integrity.idle))}" if integrity.idle else ""
    return holds(
        bool(integrity.starts),
        f"started by: {named(list(integrity.starts)) or 'nothing'}{idle}",
        "a timer, or a line of cron while cron runs",
    )


_RHEL_CRON: Final = "/etc/cron.d/aide:aide\n"
examples(
    planned,
    passes=[_on(_TIMER), _on("crond.service active enabled", cron=_RHEL_CRON)],
    fails=[
        _on(),
        _on(cron=_RHEL_CRON),
        _on("dailyaidecheck.timer inactive disabled Unit=dailyaidecheck.service"),
    ],
    notapplicable=_on(aide=_NO_AIDE),
    unknown=[
        _on(_WAZUH, aide=_NO_AIDE),
        _on("cron.service active enabled", cron="/etc/cron.daily/aide:aide\n"),
    ],
)


@fact
class AideFiles:
    """The files of AIDE by path -> (bytes, when changed last): data bases and reports."""

    seen: dict[str, tuple[int, datetime]]


@probe(
    "linux",
    found=Command(
        "find /var/lib/aide /var/log/aide -maxdepth 1 -type f -printf '%s %T@ %p\\n'",
        root=True,
        needs="aide",
        exits=(0, 1),
    ),
)
def aide_files(found: Raw) -> AideFiles:
    """``bytes moment path``, find(1)."""
    only_missing(found)
    seen = {}
    for line in found.lines:
        size, moment, path = line.split(" ", 2)
        seen[path] = (int(size), datetime.fromtimestamp(float(moment), UTC))
    return AideFiles(seen)


@check(
    "integrity.baseline",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="AIDE heeft een vastgelegde stand om mee te vergelijken",
    why_nl="Zonder gegevensbank weet AIDE niet hoe de bestanden waren en meldt het nooit iets.",
    fix="aideinit\ncp /var/lib/aide/aide.db.new /var/lib/aide/aide.db",
    verify="ls -l /var/lib/aide",
    references=("aide(1) --init", "aide.conf(5) database_in"),
    advice="Make it on a host that you trust, best right after installation, and keep a copy elsewhere.",
    advice_nl="Maak hem op een host die u vertrouwt, het liefst direct na installatie, en bewaar een kopie elders.",
)
def baseline(files: AideFiles) -> Verdict:
    """AIDE has a recorded state to compare with.

    Without a data base AIDE does not know how the files were, and never reports a thing.
    """
    bases = {path: size for path, (size, _) in files.seen.items() if path.startswith("/var/lib/aide/aide.db")}
    live = [
        path for path in bases if path.rpartition("/")[2] in ("aide.db", "aide.db.gz") and bases[path] > 0
    ]
    return holds(
        bool(live), f"in /var/lib/aide: {named(sorted(bases)) or 'no data base'}", "aide.db or aide.db.gz"
    )


_BASE: Final = "4186231 1790000000.0000000000 /var/lib/aide/aide.db\n"
_REPORT: Final = "2143 1795402800.1234567890 /var/log/aide/aide.log\n"
examples(
    baseline,
    passes=[_BASE, _BASE.replace("aide.db", "aide.db.gz") + _REPORT],
    fails=[
        _BASE.replace("aide.db", "aide.db.new"),
        _BASE.replace("4186231", "0"),
        Raw(b"", b"find: '/var/lib/aide': No such file or directory\n", 1),
    ],
    notapplicable={"found": _NO_AIDE},
    unknown=[Raw(b"", b"find: '/var/lib/aide': Input/output error\n", 1), "aide.db\n"],
)


@check(
    "integrity.recent",
    principle=(IN_DEPTH, FAIL_SECURE),
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="De bestanden zijn kortgeleden nog vergeleken",
    why_nl="Een vergelijking die stil is opgehouden geeft een rust die er niet is.",
    fix="systemctl start dailyaidecheck.service\njournalctl -u dailyaidecheck.service -e",
    verify="ls -l /var/log/aide",
    references=("aide(1)",),
)
def recent(
    files: AideFiles, now: ScanTime, *, days: Annotated[float, "days that the last report may be old"] = 2.0
) -> Verdict:
    """The files were compared not long ago.

    A comparison that silently stopped gives a calm that is not there.
    """
    # An empty report was made by logrotate, and one of aideinit compared nothing.
    reports = [
        when
        for path, (size, when) in files.seen.items()
        if path.startswith("/var/log/aide/") and size > 0 and "init" not in path.rpartition("/")[2]
    ]
    if not reports:
        raise NotUnderstood("no report in /var/log/aide: whether AIDE ran is not known")
    last = max(reports)
    return holds(
        last >= now - timedelta(days=days), f"last report {last:%Y-%m-%d %H:%M} UTC", f"within {days:g} days"
    )


examples(
    recent,
    passes=_BASE + _REPORT,
    fails=[
        _BASE + _REPORT.replace("1795402800", "1790402800"),
        # Rotated away: what is new is empty.
        _BASE
        + _REPORT.replace("2143", "0")
        + _REPORT.replace("1795402800", "1790402800").replace("aide.log", "aide.log.1"),
    ],
    notapplicable={"found": _NO_AIDE},
    unknown=[_BASE, "aide.log\n", _BASE + _REPORT.replace("aide.log", "aideinit.log")],
)
