"""Whether the kernel writes down who did what, and keeps doing so when things go wrong.

The kernel itself is asked (`auditctl`), and every rule must be both loaded and in the files that load it after a
restart. In most containers the kernel refuses the question; then nothing is established.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from checks.linux._answers import named
from checks.linux.units import Units, shown
from scanner import (
    DATA_FIRST,
    FAIL_SECURE,
    IN_DEPTH,
    Command,
    File,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    State,
    Tree,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    read,
    table,
    tree_files,
)

STATUS: Final = Command("auditctl -s", root=True, needs="auditctl")
LOADED: Final = Command("auditctl -l", root=True, needs="auditctl")
SAVED: Final = Tree(path="/etc/audit", include="*.rules", root=True)


@fact
class AuditStatus:
    """What the kernel says of its audit: ``enabled`` is 2 when locked, ``failure`` 0 is silent, 1 logs, 2 panics."""

    enabled: int
    failure: int
    pid: int
    backlog_limit: int
    lost: int


#: Fields of a rule that do not narrow whose doings it records; arch and exit are judged where they count.
_NEUTRAL: Final = frozenset(("arch", "dir", "exit", "key", "path", "perm"))
_UNSET: Final = frozenset(("-1", "4294967295", "unset"))


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One rule as its words: the list and action, the system calls, and the fields with their comparison."""

    when: frozenset[str]
    calls: frozenset[str]
    fields: tuple[tuple[str, str, str], ...]

    def value(self, name: str, operator: str = "=") -> str | None:
        """The value that a field is compared with, or None."""
        return next((value for key, sign, value in self.fields if (key, sign) == (name, operator)), None)

    @property
    def for_everyone(self) -> bool:
        """Whether no condition narrows the rule: on an account, a program, the outcome or an argument.

        That processes without a login are left out (``auid>=1000``, ``auid!=unset``) is how such rules are written.
        """
        return all(
            name in _NEUTRAL
            or (
                name == "auid"
                and (
                    (sign == "!=" and value in _UNSET)
                    or (sign == ">=" and value.isdecimal() and int(value) <= 1000)
                )
            )
            for name, sign, value in self.fields
        )

    def watches(self, path: str, abi: str) -> bool:
        """Whether a write to this path or a change of its attributes is recorded, by calls of this ABI."""
        if "always" not in self.when or not set("wa") <= set(self.value("perm") or "rwxa"):
            return False
        if not self.for_everyone or self.calls - {"all"} or self.value("arch") not in (None, abi):
            return False
        file, folder = self.value("path"), self.value("dir")
        return file == path or (folder is not None and (path + "/").startswith(folder.rstrip("/") + "/"))


@fact
class AuditRules:
    """The rules in force, and those that the files load after a restart. ``machine`` is what `uname -m` says."""

    loaded: tuple[AuditRule, ...]
    saved: tuple[AuditRule, ...]
    machine: str


@fact
class Auditd:
    """The settings of the audit daemon, names and values in lower case; see auditd.conf(5)."""

    settings: dict[str, str]


def _complaint(raw: Raw) -> str:
    """What auditctl says beside its answer; it does not always end with an error then. Sudo's own warning is none."""
    said = (
        line for line in raw.err.decode().split("\n") if not line.startswith("sudo: unable to resolve host")
    )
    return "\n".join(said).strip()[:120]


@probe("linux", status=STATUS)
def audit_status(status: Raw) -> AuditStatus:
    """``name value`` on each line, auditctl(8) -s."""
    if complaint := _complaint(status):
        raise NotUnderstood(f"auditctl -s says {complaint!r}")
    words = (line.split() for line in status.lines)
    return read(AuditStatus, {line[0]: line[1] for line in words if len(line) > 1})


_FIELD: Final = re.compile(r"([a-z0-9_]+)(!=|>=|<=|&=|=|>|<|&)(.*)")


def _rule(line: str) -> AuditRule | None:
    """A rule of auditctl(8), or None for a line that sets something else. Raises NotUnderstood."""
    words = shlex.split(line, comments=True)
    when: set[str] = set()
    calls: set[str] = set()
    fields: list[tuple[str, str, str]] = []
    at = 0
    while at < len(words):
        option = words[at]
        if option in (
            "-D",
            "-c",
            "-i",
            "--loginuid-immutable",
            "--reset-lost",
            "--reset_backlog_wait_time_actual",
        ):
            at += 1
            continue
        if at + 1 == len(words):
            raise NotUnderstood(f"an audit rule says {line[:80]!r}")
        value = words[at + 1]
        at += 2
        if option in ("-a", "-A"):
            when |= set(value.split(","))
        elif option == "-w":
            when |= {"always", "exit"}
            # auditctl lets a watch end in a slash or not: it is the kernel that knows whether it is a folder.
            fields += [("path", "=", value.rstrip("/")), ("dir", "=", value.rstrip("/"))]
        elif option == "-p":
            fields.append(("perm", "=", value))
        elif option == "-S":
            calls |= set(value.split(","))
        elif option == "-F":
            match = _FIELD.fullmatch(value)
            if not match:
                raise NotUnderstood(f"an audit rule says {line[:80]!r}")
            fields.append((match[1], match[2], match[3]))
        elif option == "-C":
            fields.append(("compare", "=", value))
        elif option not in (
            "-k",
            "-b",
            "-f",
            "-e",
            "-r",
            "-q",
            "-m",
            "-R",
            "--backlog_wait_time",
            "--signal",
        ):
            raise NotUnderstood(f"an audit rule says {line[:80]!r}")
    return AuditRule(frozenset(when), frozenset(calls), tuple(fields)) if when else None


def _rules(lines: Iterable[str]) -> tuple[AuditRule, ...]:
    return tuple(rule for line in lines if (rule := _rule(line)))


@probe("linux", loaded=LOADED, saved=SAVED, machine=Command("uname -m"))
def audit_rules(loaded: Raw, saved: Raw | None, machine: Raw) -> AuditRules:
    """Rules as auditctl(8) takes them, from the kernel and from the files that augenrules(8) joins."""
    if (complaint := _complaint(loaded)) or not loaded.lines:
        raise NotUnderstood(f"auditctl -l says {complaint or 'nothing'!r}")
    files = tree_files(saved) if saved else {}
    parts = {path: lines for path, lines in files.items() if path.startswith("/etc/audit/rules.d/")}
    chosen = parts or {path: lines for path, lines in files.items() if path == "/etc/audit/audit.rules"}
    return AuditRules(
        loaded=() if loaded.lines == ["No rules"] else _rules(loaded.lines),
        saved=_rules(line for path in sorted(chosen) for line in chosen[path]),
        machine=machine.text.strip(),
    )


@probe("linux", conf=File(path="/etc/audit/auditd.conf", root=True))
def auditd(conf: Raw) -> Auditd:
    """``name = value`` on each line, auditd.conf(5)."""
    found = {}
    for line in conf.lines:
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        name, equals, value = bare.partition("=")
        if not equals:
            raise NotUnderstood(f"auditd.conf says {bare[:60]!r}")
        found[name.strip().lower()] = value.strip().lower()
    if not found:
        raise NotUnderstood("auditd.conf is empty")
    return Auditd(found)


@fact
class AuditLogs:
    """Path -> (permission bits, owner, group, kind) of what lies in /var/log/audit."""

    seen: dict[str, tuple[int, str, str, str]]


@probe(
    "linux",
    found=Command("find /var/log/audit -maxdepth 1 -printf '%m %u %g %y %p\\n'", root=True, needs="auditctl"),
)
def audit_logs(found: Raw) -> AuditLogs:
    """``mode owner group kind path``, find(1)."""
    seen = {}
    for line in found.lines:
        mode, owner, group, kind, path = line.split(" ", 4)
        seen[path] = (int(mode, 8), owner, group, kind)
    if not seen:
        raise NotUnderstood("find says nothing of /var/log/audit")
    return AuditLogs(seen)


@fact
class AuditPlugins:
    """The plugins of the audit daemon that are switched on, by the name of their file."""

    active: frozenset[str]


@probe("linux", tree=Tree(path="/etc/audit/plugins.d", include="*.conf", root=True))
def audit_plugins(tree: Raw | None) -> AuditPlugins:
    """``active = yes`` in a file of its own, auditd-plugins(5)."""
    files = tree_files(tree) if tree else {}
    return AuditPlugins(
        frozenset(
            path.rpartition("/")[2].removesuffix(".conf")
            for path, lines in files.items()
            if any(re.fullmatch(r"\s*active\s*=\s*yes\s*", line, re.IGNORECASE) for line in lines)
        )
    )


@fact
class KernelLine:
    """The words the kernel was started with."""

    words: tuple[str, ...]


@probe("linux", line=File(path="/proc/cmdline"))
def kernel_line(line: Raw) -> KernelLine:
    """Words with spaces between them, kernel-parameters.txt."""
    words = tuple(line.text.split())
    if not words:
        raise NotUnderstood("/proc/cmdline is empty")
    return KernelLine(words)


def _status(**changed: int) -> str:
    values = {
        "enabled": 1,
        "failure": 1,
        "pid": 812,
        "rate_limit": 0,
        "backlog_limit": 8192,
        "lost": 0,
        "backlog": 0,
    }
    return (
        "".join(f"{name} {value}\n" for name, value in {**values, **changed}.items())
        + "loginuid_immutable 0 unlocked\n"
    )


_REFUSED: Final = Raw(b"", b"Error sending status request (Operation not permitted)\n", 255)
_REFUSED_RULES: Final = Raw(b"", b"Error sending rule list data request (Operation not permitted)\n", 255)
_RUNS: Final = shown("auditd.service active enabled")


@check(
    "audit.running",
    principle=IN_DEPTH,
    severity=Severity.HIGH,
    layer=Layer.DETECTION,
    title_nl="De audit van de kernel draait, ook na een herstart",
    why_nl="Zonder audit is na een inbraak niet te zien wie welk bestand of recht veranderde.",
    fix="apt install auditd\nsystemctl enable --now auditd\nauditctl -e 1",
    verify="auditctl -s; systemctl is-enabled auditd",
    references=("auditd(8)", "auditctl(8)", "ISO/IEC 27002:2022 8.15"),
    advice="In a container the kernel belongs to the host: run audit there.",
    advice_nl="In een container is de kernel van de host: laat audit daar draaien.",
)
def running(status: AuditStatus | None, units: Units) -> Verdict:
    """The audit of the kernel runs, and will after a restart.

    Without audit nobody can see after a break-in who changed which file or right.
    """
    expected = "enabled 1 or 2, auditd running and enabled"
    if status is None:
        return holds(False, "auditctl is not on the host", expected)
    unit = units.get("auditd.service")
    daemon = f"{unit.active}, {unit.file}" if unit else "not loaded"
    return holds(
        status.enabled > 0 and status.pid > 0 and unit is not None and unit.is_active and unit.at_boot,
        f"enabled {status.enabled}, pid {status.pid}, auditd.service {daemon}",
        expected,
    )


examples(
    running,
    passes=[
        {"status": _status(), "shown": _RUNS},
        {
            "status": Raw(
                _status().encode(), b"sudo: unable to resolve host web1: Name or service not known\n"
            ),
            "shown": _RUNS,
        },
    ],
    fails=[
        {"status": _status(enabled=0, pid=0), "shown": shown()},
        {"status": _status(enabled=0), "shown": _RUNS},
        {"status": _status(), "shown": shown("auditd.service active disabled")},
        {"status": Gap(State.NOTAPPLICABLE, None, "auditctl is not on the host"), "shown": shown()},
    ],
    error={"status": _REFUSED, "shown": shown()},
    unknown={"status": Raw(b"", b"Error - audit support not in kernel\n", 255), "shown": shown()},
)


# --- what the kernel does -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class KernelRow(Row):
    """A value of the kernel's audit that must lie within bounds."""

    field: str
    least: int = 0
    most: int | None = None


@table(
    KernelRow(
        id="audit.immutable",
        principle=FAIL_SECURE,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        field="enabled",
        least=2,
        title="The audit rules cannot be changed without a restart",
        why="Whoever becomes root switches audit off first. When it is locked, that takes a restart, and that "
        "shows.",
        title_nl="De auditregels zijn niet te wijzigen zonder herstart",
        why_nl="Wie root wordt zet eerst de audit uit. Is die vergrendeld, dan kost dat een herstart, en die "
        "valt op.",
        fix="echo '-e 2' > /etc/audit/rules.d/99-finalize.rules\naugenrules --load",
        verify="auditctl -s | grep enabled    # prints: enabled 2",
        references=("auditctl(8) -e 2", "ISO/IEC 27002:2022 8.15"),
        advice="Every later change of a rule needs a restart of the host.",
        advice_nl="Elke latere wijziging van een regel vraagt een herstart van de host.",
    ),
    KernelRow(
        id="audit.failure-loud",
        principle=FAIL_SECURE,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        field="failure",
        least=1,
        title="A failure of audit does not stay silent",
        why="With failure flag 0 the kernel says nothing when records are lost.",
        title_nl="Een storing in de audit blijft niet stil",
        why_nl="Met de waarde 0 zwijgt de kernel als er regels verloren gaan.",
        fix="echo '-f 1' > /etc/audit/rules.d/10-failure.rules\naugenrules --load",
        verify="auditctl -s | grep failure    # prints: failure 1 (or 2)",
        references=("auditctl(8) -f",),
        advice="With 2 the host stops when audit fails: a choice between certainty and availability.",
        advice_nl="Bij 2 stopt de host als de audit uitvalt: een keuze tussen zekerheid en beschikbaarheid.",
    ),
    KernelRow(
        id="audit.backlog",
        principle=FAIL_SECURE,
        severity=Severity.LOW,
        layer=Layer.DETECTION,
        field="backlog_limit",
        least=8192,
        title="The kernel has room for a burst of audit records",
        why="When the queue is full, records of that moment are lost: just when much happens.",
        title_nl="De kernel heeft ruimte voor een piek aan auditregels",
        why_nl="Is de wachtrij vol, dan gaan regels verloren: juist op het moment dat er veel gebeurt.",
        fix="echo '-b 8192' > /etc/audit/rules.d/10-backlog.rules\naugenrules --load",
        verify="auditctl -s | grep backlog_limit    # prints: backlog_limit 8192 or more",
        references=("auditctl(8) -b",),
    ),
    KernelRow(
        id="audit.none-lost",
        principle=FAIL_SECURE,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        field="lost",
        most=0,
        title="No audit record was lost since the last start",
        why="Lost records are a hole in the proof: what happened then cannot be found again.",
        title_nl="Er ging sinds de laatste start geen auditregel verloren",
        why_nl="Verloren regels zijn een gat in het bewijs: wat er toen gebeurde is niet terug te vinden.",
        fix="echo '-b 16384' > /etc/audit/rules.d/10-backlog.rules\naugenrules --load\nauditctl --reset-lost",
        verify="auditctl -s | grep lost    # prints: lost 0",
        references=("auditctl(8) -s, --reset-lost",),
        advice="Look in the journal when records were lost before you reset the counter.",
        advice_nl="Zoek eerst in het logboek wanneer er regels verloren gingen, zet dan pas de teller terug.",
    ),
)
def kernel_value(status: AuditStatus, *, row: KernelRow) -> Verdict:
    """Judge one value that the kernel gives."""
    value: int = getattr(status, row.field)
    expected = f"{row.field} {row.least} or more" if row.most is None else f"{row.field} {row.most}"
    return holds(
        value >= row.least and (row.most is None or value <= row.most), f"{row.field} {value}", expected
    )


for _id, _good, _bad in (
    ("audit.immutable", {"enabled": 2}, {"enabled": 1}),
    ("audit.failure-loud", {"failure": 2}, {"failure": 0}),
    ("audit.backlog", {"backlog_limit": 8192}, {"backlog_limit": 64}),
    ("audit.none-lost", {"lost": 0}, {"lost": 31}),
):
    examples(
        _id,
        passes=_status(**_good),
        fails=_status(**_bad),
        error=_REFUSED,
        unknown=["", Raw(b"enabled 2\n", b"Error receiving audit netlink packet\n", 0)],
    )


@check(
    "audit.from-boot",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.DETECTION,
    title_nl="De kernel auditeert vanaf het opstarten",
    why_nl="Programma's die vóór auditd starten worden anders nooit gevolgd, ook later niet.",
    fix="sed -i 's/^GRUB_CMDLINE_LINUX=\"/&audit=1 audit_backlog_limit=8192 /' /etc/default/grub\nupdate-grub",
    verify="grep -o 'audit=1' /proc/cmdline",
    references=("auditd(8) NOTES", "kernel-parameters.txt: audit="),
    advice="RHEL: grubby --update-kernel=ALL --args='audit=1'. It counts from the next restart.",
    advice_nl="RHEL: grubby --update-kernel=ALL --args='audit=1'. Het geldt vanaf de volgende herstart.",
)
def from_boot(line: KernelLine) -> Verdict:
    """The kernel audits from the moment it starts.

    Programs that start before auditd are otherwise never followed, not even later.
    """
    values = [word.partition("=")[2] for word in line.words if word.partition("=")[0] == "audit"]
    on = bool(values) and values[-1] in ("1", "on")
    return holds(on, f"audit={values[-1]}" if values else "no audit= on the kernel command line", "audit=1")


_LINE: Final = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-37-amd64 root=/dev/sda1 ro quiet"
examples(
    from_boot,
    passes=f"{_LINE} audit=1\n",
    fails=[f"{_LINE}\n", f"{_LINE} audit=0\n", f"{_LINE} audit=1 audit=0\n"],
    unknown="",
)


# --- what is recorded -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RecordRow(Row):
    """What must be recorded: writes to paths, and calls by both ABIs of a 64-bit machine."""

    paths: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()


_ABIS: Final = {"x86_64": ("b64", "b32"), "aarch64": ("b64", "b32"), "i686": ("b32",), "armv7l": ("b32",)}
#: Calls by which a file, its name or its attributes are changed.
_WRITING: Final = frozenset((
    "chmod", "chown", "creat", "fchmod", "fchmodat", "fchown", "fchownat", "ftruncate", "lchown", "link", "linkat",
    "open", "openat", "openat2", "rename", "renameat", "renameat2", "setxattr", "symlink", "symlinkat", "truncate",
    "unlink", "unlinkat", "write",
))  # fmt: skip
#: Calls that a 64-bit ARM kernel does not have; auditctl refuses their names there.
_NOT_ON_ARM: Final = frozenset(("chmod", "chown", "creat", "lchown", "open"))


def _missing(rules: tuple[AuditRule, ...], machine: str, row: RecordRow) -> list[str]:
    """What a set of rules does not record of what it should."""
    if machine not in _ABIS:
        raise NotUnderstood(f"which calls a {machine} has is not known here")
    lost = [
        path
        for path in row.paths
        if not all(any(rule.watches(path, abi) for rule in rules) for abi in _ABIS[machine])
    ]
    for abi in _ABIS[machine]:
        recorded = [
            rule
            for rule in rules
            if {"always", "exit"} <= rule.when
            and rule.value("arch") in (None, abi)
            # A rule that looks at one file, program or account does not record the call as such.
            and rule.for_everyone
            and all(rule.value(name) is None for name in ("path", "dir", "perm"))
        ]
        for code in row.exits or ("",):
            fitting = [rule for rule in recorded if not code or rule.value("exit") == code]
            if not code:
                fitting = [rule for rule in recorded if rule.value("exit") is None]
            calls = frozenset[str]().union(*(rule.calls for rule in fitting))
            lost += [
                f"{call} {abi} {code}".strip()
                for call in row.calls
                if call not in calls
                and "all" not in calls
                and not (machine == "aarch64" and abi == "b64" and call in _NOT_ON_ARM)
            ]
    return lost


@table(
    RecordRow(
        id="audit.records-accounts",
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        paths=("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d"),
        title="Changes of accounts and rights are recorded",
        why="A new account or a new sudo rule is how an intruder stays. The record tells who made it and when.",
        title_nl="Wijzigingen in accounts en rechten worden vastgelegd",
        why_nl="Met een nieuw account of een nieuwe sudo-regel blijft een indringer binnen. De regel zegt wie "
        "dat deed en wanneer.",
        fix="for f in passwd shadow group gshadow sudoers sudoers.d; do\n"
        '  echo "-w /etc/$f -p wa -k identity"\ndone > /etc/audit/rules.d/30-identity.rules\naugenrules --load',
        verify="auditctl -l | grep identity",
        references=("audit.rules(7)", "BIO2 1.3 5.18.01, 8.15"),
        advice="When audit is locked (enabled 2), the rules load at the next restart.",
        advice_nl="Is de audit vergrendeld (enabled 2), dan worden de regels bij de volgende herstart geladen.",
    ),
    RecordRow(
        id="audit.records-time",
        principle=IN_DEPTH,
        severity=Severity.LOW,
        layer=Layer.DETECTION,
        paths=("/etc/localtime",),
        calls=("adjtimex", "settimeofday", "clock_settime"),
        title="Changes of the clock are recorded",
        why="Whoever moves the clock makes the order in every log untrue.",
        title_nl="Wijzigingen van de klok worden vastgelegd",
        why_nl="Wie de klok verzet, maakt de volgorde in elk logboek onwaar.",
        fix="for a in b64 b32; do\n"
        '  echo "-a always,exit -F arch=$a -S adjtimex,settimeofday,clock_settime -k time"\n'
        "done > /etc/audit/rules.d/30-time.rules\necho '-w /etc/localtime -p wa -k time' >> "
        "/etc/audit/rules.d/30-time.rules\n"
        "augenrules --load",
        verify="auditctl -l | grep time",
        references=("audit.rules(7)", "ISO/IEC 27002:2022 8.15, 8.17"),
    ),
    RecordRow(
        id="audit.records-modules",
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        calls=("init_module", "finit_module", "delete_module"),
        title="Loading and removing kernel modules is recorded",
        why="A module runs inside the kernel and can hide everything from then on. Its loading is the last trace.",
        title_nl="Laden en verwijderen van kernelmodules wordt vastgelegd",
        why_nl="Een module draait in de kernel en kan vanaf dan alles verbergen. Het laden ervan is het laatste "
        "spoor.",
        fix="for a in b64 b32; do\n"
        '  echo "-a always,exit -F arch=$a -S init_module,finit_module,delete_module -k modules"\n'
        "done > /etc/audit/rules.d/30-modules.rules\naugenrules --load",
        verify="auditctl -l | grep modules",
        references=("audit.rules(7)", "ISO/IEC 27002:2022 8.15"),
    ),
    RecordRow(
        id="audit.records-rights",
        principle=IN_DEPTH,
        severity=Severity.LOW,
        layer=Layer.DETECTION,
        calls=(
            "chmod",
            "fchmod",
            "fchmodat",
            "chown",
            "fchown",
            "fchownat",
            "lchown",
            "setxattr",
            "removexattr",
        ),
        title="Changes of the rights and owners of files are recorded",
        why="With a wider right on one file a leak begins. The record tells who opened it.",
        title_nl="Wijzigingen van rechten en eigenaren van bestanden worden vastgelegd",
        why_nl="Met een ruimer recht op één bestand begint een lek. De regel zegt wie het openzette.",
        fix="for a in b64 b32; do\n"
        '  echo "-a always,exit -F arch=$a -S chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown -F auid>=1000'
        ' -F auid!=unset -k rights"\n'
        '  echo "-a always,exit -F arch=$a -S setxattr,lsetxattr,fsetxattr,removexattr -F auid>=1000'
        ' -F auid!=unset -k rights"\n'
        "done > /etc/audit/rules.d/30-rights.rules\naugenrules --load",
        verify="auditctl -l | grep rights",
        references=("audit.rules(7)", "ISO/IEC 27002:2022 8.15"),
    ),
    RecordRow(
        id="audit.records-refusals",
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.DETECTION,
        calls=("open", "openat", "creat", "truncate", "ftruncate"),
        exits=("-EACCES", "-EPERM"),
        title="Refused access to files is recorded",
        why="Somebody who looks around in a system he does not know runs into refusals first. They are the "
        "earliest sign.",
        title_nl="Geweigerde toegang tot bestanden wordt vastgelegd",
        why_nl="Wie rondkijkt in een systeem dat hij niet kent, stuit eerst op weigeringen. Dat is het vroegste "
        "teken.",
        fix="for a in b64 b32; do for e in EACCES EPERM; do\n"
        '  echo "-a always,exit -F arch=$a -S open,openat,creat,truncate,ftruncate -F exit=-$e -F auid>=1000'
        ' -F auid!=unset -k refused"\n'
        "done; done > /etc/audit/rules.d/30-refused.rules\naugenrules --load",
        verify="auditctl -l | grep refused",
        references=("audit.rules(7)", "ISO/IEC 27002:2022 8.15"),
    ),
)
def recorded(rules: AuditRules, status: AuditStatus, *, row: RecordRow) -> Verdict:
    """Judge whether something is recorded, now and after a restart."""
    expected = "recorded by rules that are loaded and saved, on 64-bit machines for b64 and b32"
    now = _missing(rules.loaded, rules.machine, row)
    later = _missing(rules.saved, rules.machine, row)
    if status.enabled == 0:
        return holds(False, "audit is switched off (enabled 0)", expected)
    if _silenced(rules.loaded):
        return holds(False, "a rule `-a never,task` silences all calls", expected)
    if now:
        return holds(False, f"not recorded: {named(now)}", expected)
    if any(_may_silence(rule, row) for rule in (*rules.loaded, *rules.saved)):
        raise NotUnderstood(
            "a rule leaves records out: whether it comes first and how much it takes is not seen"
        )
    return holds(
        not later, f"not in the files: {named(later)}" if later else "recorded, now and later", expected
    )


def _silenced(rules: tuple[AuditRule, ...]) -> bool:
    return any({"never", "task"} <= rule.when and not rule.fields for rule in rules)


def _may_silence(rule: AuditRule, row: RecordRow) -> bool:
    """Whether a rule for everyone may keep what the row asks out of the log, audit.rules(7): the first match counts."""
    if "exclude" in rule.when:
        return rule.value("msgtype") in ("SYSCALL", "PATH", "1300", "1302")
    if not {"never", "exit"} <= rule.when or not all(
        name in _NEUTRAL or (name == "auid" and sign == ">=") for name, sign, _ in rule.fields
    ):
        return False
    if place := rule.value("path") or rule.value("dir"):
        return any(f"{path}/".startswith(f"{place.rstrip('/')}/") for path in row.paths)
    asked = {*row.calls, *(_WRITING if row.paths else ())}
    return not rule.calls or "all" in rule.calls or not rule.calls.isdisjoint(asked)


_LOADED: Final = """-w /etc/passwd -p wa -k identity
-w /etc/shadow -p wa -k identity
-w /etc/group -p wa -k identity
-w /etc/gshadow -p wa -k identity
-w /etc/sudoers -p wa -k identity
-w /etc/sudoers.d -p wa -k identity
-w /etc/localtime -p wa -k time
""" + "".join(
    f"-a always,exit -F arch={abi} -S {rest}\n"
    for abi in ("b64", "b32")
    for rest in (
        "adjtimex,settimeofday,clock_settime -F key=time",
        "init_module,delete_module,finit_module -F key=modules",
        "chmod,fchmod,chown,fchown,lchown,fchownat,fchmodat -F auid>=1000 -F auid!=-1 -F key=rights",
        "setxattr,lsetxattr,fsetxattr,removexattr -F auid>=1000 -F auid!=-1 -F key=rights",
        "open,truncate,ftruncate,creat,openat -F exit=-EACCES -F auid>=1000 -F auid!=-1 -F key=refused",
        "open,truncate,ftruncate,creat,openat -F exit=-EPERM -F auid>=1000 -F auid!=-1 -F key=refused",
    )
)
_SAVED: Final = "-D\n-b 8192\n--backlog_wait_time 60000\n-f 1\n# what follows is ours\n" + _LOADED


def _kept(text: str, name: str = "rules.d/30-all.rules") -> str:
    return "".join(f"/etc/audit/{name}\0{line}\n" for line in text.split("\n"))


_ALL: Final = {"loaded": _LOADED, "saved": _kept(_SAVED), "machine": "x86_64\n", "status": _status()}


def _without(word: str) -> str:
    return "".join(line + "\n" for line in _LOADED.split("\n") if word not in line)


for _id, _word in (
    ("audit.records-accounts", "/etc/sudoers"),
    ("audit.records-time", "adjtimex"),
    ("audit.records-modules", "b32 -S init_module"),
    ("audit.records-rights", "b64 -S setxattr"),
    ("audit.records-refusals", "EPERM"),
):
    examples(
        _id,
        passes=[_ALL, {**_ALL, "saved": _kept(_SAVED, "audit.rules")}],
        fails=[
            {**_ALL, "loaded": _without(_word)},
            {**_ALL, "saved": _kept(_without(_word))},
            {**_ALL, "loaded": "No rules\n"},
            {**_ALL, "loaded": "-a never,task\n" + _LOADED},
            {**_ALL, "status": _status(enabled=0)},
        ],
        error={**_ALL, "loaded": _REFUSED_RULES, "status": _REFUSED},
        unknown=[
            {**_ALL, "loaded": ""},
            {**_ALL, "loaded": Raw(_LOADED.encode(), b"Error receiving audit netlink packet\n", 0)},
            {**_ALL, "saved": _kept("-z strange\n")},
            {**_ALL, "machine": "s390x\n"},
        ],
    )
examples(
    "audit.records-accounts",
    passes={**_ALL, "loaded": "-a always,exit -S all -F dir=/etc -F perm=wa -F key=etc\n"},
    fails=[
        {**_ALL, "loaded": _LOADED.replace("shadow -p wa", "shadow -p r")},
        {**_ALL, "loaded": _LOADED.replace("-w /etc/passwd", "-w /etc/passwd-")},
        # Of one account, of failures only, of one ABI only.
        {**_ALL, "loaded": "-a always,exit -S all -F dir=/etc -F perm=wa -F auid=1005 -F key=etc\n"},
        {**_ALL, "loaded": "-a always,exit -F arch=b64 -S openat -F dir=/etc -F success=0 -F key=etc\n"},
        {**_ALL, "loaded": "-a always,exit -F arch=b64 -S all -F dir=/etc -F perm=wa -F key=etc\n"},
    ],
)
examples(
    "audit.records-rights",
    passes={
        **_ALL,
        "machine": "aarch64\n",
        "loaded": _LOADED.replace("b64 -S chmod,fchmod,chown,fchown,lchown", "b64 -S fchmod,fchown"),
    },
)
examples(
    "audit.records-modules",
    passes=[
        {**_ALL, "loaded": f"{narrow}\n{_LOADED}"}
        for narrow in (
            "-a never,exit -F arch=b64 -S adjtimex -F key=chrony",
            "-a never,exit -F arch=b64 -S all -F exe=/usr/bin/vmtoolsd",
            "-a always,exclude -F msgtype=CWD",
        )
    ],
    unknown=[
        {**_ALL, "loaded": f"{broad}\n{_LOADED}"}
        for broad in (
            "-a never,exit -S all",
            "-a never,exit -F arch=b64 -S init_module,finit_module -F auid>=1000",
            "-a always,exclude -F msgtype=SYSCALL",
        )
    ],
    fails=[
        {**_ALL, "loaded": _LOADED.replace("-F key=modules", f"{narrow} -F key=modules")}
        for narrow in ("-F uid!=0", "-F success=0", "-F auid=1005", "-C uid!=euid", "-F a0=5")
    ],
)


# --- the daemon -----------------------------------------------------------------------------------------------

_CONF: Final = """#
# This file controls the configuration of the audit daemon
#
local_events = yes
write_logs = yes
log_file = /var/log/audit/audit.log
log_group = adm
max_log_file = 8
num_logs = 5
max_log_file_action = ROTATE
space_left_action = SYSLOG
admin_space_left_action = SUSPEND
disk_full_action = SUSPEND
disk_error_action = SUSPEND
"""


@check(
    "audit.disk-full",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.DETECTION,
    title_nl="Een volle of kapotte schijf zet de audit niet stil uit",
    why_nl="Met de standaard SUSPEND draait de host gewoon door zonder iets vast te leggen. Een aanvaller hoeft "
    "dan alleen de schijf "
    "vol te schrijven.",
    fix="sed -i -E 's/^(space_left_action).*/\\1 = email/; s/^(admin_space_left_action).*/\\1 = single/;"
    " s/^(disk_full_action).*/\\1 = halt/; s/^(disk_error_action).*/\\1 = halt/' /etc/audit/auditd.conf\n"
    "service auditd reload",
    verify="grep -E '_action' /etc/audit/auditd.conf",
    references=("auditd.conf(5): ignore and suspend stop recording", "ISO/IEC 27002:2022 8.6, 8.15"),
    advice="With halt or single the service stops when the disk is full: decide per system, with its owner.",
    advice_nl="Met halt of single stopt de dienst als de schijf vol is: beslis dat per systeem, met de eigenaar.",
)
def disk_full(
    auditd: Auditd,
    *,
    warn: Annotated[tuple[str, ...], "what may happen when space gets short"] = (
        "syslog", "email", "exec", "single", "halt",
    ),
    stop: Annotated[tuple[str, ...], "what may happen when nothing can be written any more"] = (
        "syslog", "exec", "rotate", "single", "halt",
    ),
) -> Verdict:  # fmt: skip
    """A full or broken disk does not silently switch audit off.

    With the default SUSPEND the host simply goes on without recording anything. An attacker only has to fill the disk.
    """
    wanted = {"space_left_action": warn, "admin_space_left_action": warn, "disk_full_action": stop,
              "disk_error_action": stop}  # fmt: skip
    # auditd.conf(5) gives no default for these; the program takes ignore.
    found = {name: auditd.settings.get(name, "not set (ignore)").split()[0] for name in wanted}
    wrong = [f"{name} {value}" for name, value in found.items() if value not in wanted[name]]
    return holds(
        not wrong,
        named(wrong) or ", ".join(f"{name} {value}" for name, value in found.items()),
        "no ignore, no suspend",
    )


_FIRM: Final = _CONF.replace("SUSPEND", "halt").replace("= SYSLOG", "= email")
examples(
    disk_full,
    passes=[_FIRM, _FIRM.replace("= email", "= exec /usr/local/sbin/alarm")],
    fails=[
        _CONF,
        _FIRM.replace("disk_full_action = halt\n", ""),
        _FIRM.replace("error_action = halt", "error_action = ignore"),
    ],
    unknown=["", "auditd is fine\n"],
)


@check(
    "audit.kept",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="Auditlogboeken worden bewaard, niet overschreven",
    why_nl="Vijf bestanden van acht megabyte zijn op een drukke dag in uren vol. Dan wist de host zelf de sporen.",
    fix="sed -i -E 's/^max_log_file_action.*/max_log_file_action = keep_logs/' /etc/audit/auditd.conf\nservice "
    "auditd reload",
    verify="grep -E 'max_log_file_action|write_logs' /etc/audit/auditd.conf; grep -r '^active' "
    "/etc/audit/plugins.d",
    references=("auditd.conf(5) max_log_file_action", "BIO2 1.3 8.15.04"),
    advice="Keeping all needs a plan for the disk: forward the records, then old files may go.",
    advice_nl="Alles bewaren vraagt een plan voor de schijf: stuur de regels door, dan mogen oude bestanden weg.",
)
def kept(
    auditd: Auditd,
    plugins: AuditPlugins,
    *,
    megabytes: Annotated[int, "room for local records that is enough when old files are overwritten"] = 4096,
) -> Verdict:
    """Audit logs are kept, not overwritten.

    Five files of eight megabytes are full within hours on a busy day. Then the host itself wipes the traces.
    """
    values = auditd.settings
    action = values.get("max_log_file_action", "not set (ignore)").split()[0]
    sends = sorted(plugins.active & {"au-remote"})
    room = 0
    if action == "rotate":
        size, count = values.get("max_log_file", "8"), values.get("num_logs", "0")
        if not (size.isdecimal() and count.isdecimal()):
            raise NotUnderstood(f"auditd.conf: max_log_file {size!r}, num_logs {count!r}")
        room = int(size) * int(count)
    # The old way to say that nothing is written, which auditd still takes.
    written = values.get("write_logs", "yes") == "yes" and values.get("log_format") != "nolog"
    enough = written and (action == "keep_logs" or (action == "rotate" and room >= megabytes))
    if not enough and not sends and "syslog" in plugins.active:
        raise NotUnderstood("the records also go to syslog; whether they are kept there is not read")
    return holds(
        enough or (bool(sends) and action in ("rotate", "keep_logs")),
        f"max_log_file_action {action}{f', {room} MB' if room else ''}, write_logs {'yes' if written else 'no'},"
        f" forwarded by: {named(sends) or 'nothing'}",
        f"keep_logs, or forwarded, or room for {megabytes} MB",
    )


_QUIET: Final = (
    "/etc/audit/plugins.d/syslog.conf\0active = no\n/etc/audit/plugins.d/syslog.conf\0direction = out\n"
)
examples(
    kept,
    passes=[
        {"conf": _CONF.replace("ROTATE", "keep_logs"), "tree": _QUIET},
        {"conf": _CONF, "tree": _QUIET.replace("active = no", "active = yes").replace("syslog", "au-remote")},
        {"conf": _CONF.replace("num_logs = 5", "num_logs = 600")},
    ],
    fails=[
        {"conf": _CONF, "tree": _QUIET},
        {"conf": _CONF.replace("ROTATE", "ignore"), "tree": _QUIET},
        {"conf": _CONF.replace("ROTATE", "keep_logs") + "log_format = NOLOG\n", "tree": _QUIET},
        {
            "conf": _CONF.replace("ROTATE", "keep_logs").replace("write_logs = yes", "write_logs = no"),
            "tree": _QUIET,
        },
    ],
    unknown=[
        {"conf": _CONF.replace("= 8\n", "= lots\n"), "tree": _QUIET},
        {"conf": _CONF, "tree": _QUIET.replace("active = no", "active = yes")},
    ],
)


@check(
    "audit.logs-closed",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DETECTION,
    title_nl="Alleen root kan de auditlogboeken lezen",
    why_nl="In de logboeken staan namen, opdrachten en soms wachtwoorden. Wie ze kan wijzigen wist zijn eigen "
    "sporen.",
    fix="chown -R root:root /var/log/audit\nchmod 0750 /var/log/audit\nchmod 0600 /var/log/audit/*\n"
    "sed -i 's/^log_group.*/log_group = root/' /etc/audit/auditd.conf",
    verify="ls -la /var/log/audit",
    references=("auditd.conf(5) log_file, log_group", "ISO/IEC 27002:2022 8.15"),
)
def logs_closed(
    auditd: Auditd,
    logs: AuditLogs,
    *,
    groups: Annotated[tuple[str, ...], "groups that may read the audit logs"] = ("root", "adm"),
) -> Verdict:
    """Only root can read the audit logs.

    They hold names, commands and sometimes passwords. Whoever can change them wipes the own traces.
    """
    file = auditd.settings.get("log_file", "/var/log/audit/audit.log")
    if not file.startswith("/var/log/audit/"):
        raise NotUnderstood(f"log_file is {file}: that place is not read")
    wrong = [
        f"{path} {mode:o} {owner}:{group}"
        for path, (mode, owner, group, kind) in logs.seen.items()
        if owner != "root" or group not in groups or mode & (0o027 if kind == "d" else 0o137)
    ]
    return holds(
        not wrong, named(wrong) or f"{len(logs.seen)} files and folders, all closed", "root, 0750 and 0640"
    )


_LOGS: Final = (
    "750 root adm d /var/log/audit\n640 root adm f /var/log/audit/audit.log\n"
    "440 root root f /var/log/audit/audit.log.1\n"
)
examples(
    logs_closed,
    passes={"conf": _CONF, "found": _LOGS},
    fails=[
        {"conf": _CONF, "found": _LOGS.replace("640 root adm", "644 root adm")},
        {"conf": _CONF, "found": _LOGS.replace("750 root", "755 root")},
        {"conf": _CONF, "found": _LOGS.replace("440 root root", "640 root users")},
    ],
    unknown=[
        {"conf": _CONF.replace("/var/log/audit/", "/srv/"), "found": _LOGS},
        {"conf": _CONF, "found": ""},
    ],
)
