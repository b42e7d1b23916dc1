"""Kernel settings: what they are now, and what they will be after a restart.

A row holds when its keys are right in the running kernel and will be right again after a restart: because a
sysctl.d(5) file says so, or because no file touches a key whose default is right in every kernel. Where the default
differs from one kernel build to the next, a file must say it. What other programs set later (ufw, tuned) is seen only
in the running kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from typing import Final, Literal

from checks.linux._answers import named, only_missing
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    IN_DEPTH,
    SECURE_DEFAULT,
    SECURE_DESIGN,
    Absent,
    Command,
    File,
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
    tree_files,
)

# First the folder that wins from the next where both have a file of one name; sysctl.d(5).
FOLDERS: Final = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
_CONF: Final = "/etc/sysctl.conf"
# An empty file (or a link to /dev/null) hides its namesakes, so the names are needed beside the lines.
NAMES: Final = Command(
    f"find {' '.join(FOLDERS)} -maxdepth 1 -name '*.conf' -printf '%p\\n'", root=True, exits=(0, 1)
)
LINES: Final = Command(
    f"grep -RaHZvE --include=*.conf '^[[:space:]]*([#;]|$)' {' '.join(FOLDERS)} {_CONF}",
    root=True,
    exits=(0, 1, 2),
)


@fact
class Persisted:
    """What the files will set at the next start: key or pattern -> value and file, and the keys no pattern may set."""

    assigned: dict[str, tuple[str, str]]
    excluded: frozenset[str]

    def value(self, key: str) -> tuple[int, str] | None:
        """The value the files give this key and the file that does; None when none does. Raises NotUnderstood."""
        found = self.assigned.get(key)
        if found is None and key not in self.excluded:
            matching = [pattern for pattern in self.assigned if _matches(key, pattern)]
            # The files are in order of reading, and so are the patterns: the last one read wins.
            found = self.assigned[matching[-1]] if matching else None
        if found is None:
            return None
        if not re.fullmatch(r"-?\d+", found[0]):
            raise NotUnderstood(f"{found[1]} gives {key} a value that is no number")
        return int(found[0]), found[1]


def _matches(key: str, pattern: str) -> bool:
    parts, wanted = key.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


# As root: with hidepid= other users do not see process 1 at all.
@probe("linux", names=NAMES, lines=LINES, init=File(path="/proc/1/comm", root=True))
def persisted(names: Raw, lines: Raw, init: Raw) -> Persisted:
    """The files in the order in which systemd-sysctl(8) reads them: by name, whatever their folder.

    systemd reads /etc/sysctl.conf only through a link in a folder; `sysctl --system` of another init reads it last.
    """
    only_missing(lines)
    missing = " ".join(only_missing(names))
    if not names.out and not all(f"'{folder}'" in missing for folder in FOLDERS):
        raise NotUnderstood("find says nothing of the folders of sysctl.d")
    content = tree_files(lines)
    listed = set(names.lines)
    for path in content:
        folder, _, _ = path.rpartition("/")
        if folder in FOLDERS and path not in listed:
            raise NotUnderstood(f"find does not list {path}, which grep reads")
    first: dict[str, str] = {}
    for folder in reversed(FOLDERS):
        for path in names.lines:
            if path.startswith(f"{folder}/"):
                first[path.removeprefix(f"{folder}/")] = path
    read = [first[name] for name in sorted(first)]
    if init.text.strip() != "systemd":
        read.append(_CONF)
    assigned: dict[str, tuple[str, str]] = {}
    excluded: set[str] = set()
    for path in read:
        for line in content.get(path, []):
            key, sign, value = line.strip().partition("=")
            dotted = _dotted(key.strip().removeprefix("-").strip())
            # Of a key that comes twice the last line counts, and that may be the one that leaves it alone.
            if sign:
                assigned.pop(dotted, None)
                excluded.discard(dotted)
                assigned[dotted] = (value.strip(), path)
            elif key.startswith("-"):
                assigned.pop(dotted, None)
                excluded.add(dotted)
    return Persisted(assigned=assigned, excluded=frozenset(excluded))


def _dotted(key: str) -> str:
    """The key as sysctl(8) prints it: with dots, and a dot within a name as a slash."""
    separator = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if separator and separator[0] == "/" else key


_MANY: Final = 1 << 62


@dataclass(frozen=True)
class Key:
    """One kernel setting and what is right: from ``least`` to ``most``.

    ``default`` is what every kernel starts with; None where that differs per build. ``absent`` says what it means
    when the kernel has no such key: there is nothing to set (gone), no protection (open), or nobody knows.
    """

    name: str
    least: int
    most: int
    default: int | None = None
    absent: Literal["gone", "open", "unknown"] = "unknown"

    def right(self, value: int) -> bool:
        """Whether the value is one of those that are right."""
        return self.least <= value <= self.most

    @property
    def wanted(self) -> str:
        """``kernel.kptr_restrict = 1 to 2``."""
        upto = " or more" if self.most == _MANY else f" to {self.most}" if self.most > self.least else ""
        return f"{self.name} = {self.least}{upto}"


@dataclass(frozen=True, kw_only=True)
class Setting(Row):
    """One claim about one or more keys."""

    keys: tuple[Key, ...]


def _row(
    id_: str,
    *keys: Key,
    principle: str,
    severity: Severity,
    title: str,
    title_nl: str,
    why: str,
    why_nl: str,
    layer: Layer = Layer.HOST,
    references: tuple[str, ...] = ("kernel.org admin-guide/sysctl",),
    advice: str = "",
    advice_nl: str = "",
) -> Setting:
    names = " ".join(key.name for key in keys)
    lines = "\\n".join(f"{key.name} = {key.least}" for key in keys)
    return Setting(
        id=id_,
        keys=keys,
        principle=principle,
        severity=severity,
        layer=layer,
        title=title,
        title_nl=title_nl,
        why=why,
        why_nl=why_nl,
        fix=f"printf '{lines}\\n' > /etc/sysctl.d/99-zz-{id_.partition('.')[2]}.conf\nsysctl --system",
        verify=f"sysctl {names}\ngrep -rE '{names.replace(' ', '|')}' {' '.join(FOLDERS[:4])}",
        references=references,
        advice=advice,
        advice_nl=advice_nl,
    )


ROWS: Final = (
    _row(
        "sysctl.address-randomisation",
        Key("kernel.randomize_va_space", 2, 2, default=2),
        principle=SECURE_DESIGN,
        severity=Severity.HIGH,
        title="Programs get a different place in memory at each start",
        title_nl="Programma's krijgen bij elke start een andere plaats in het geheugen",
        why="An attacker who does not know where code and data are cannot make use of most memory errors.",
        why_nl="Wie niet weet waar code en gegevens staan, kan de meeste geheugenfouten niet misbruiken.",
        references=("kernel.org admin-guide/sysctl/kernel randomize_va_space", "ANSSI-BP-028 R9"),
    ),
    _row(
        "sysctl.kernel-pointers",
        Key("kernel.kptr_restrict", 1, 2, default=0),
        principle=SECURE_DESIGN,
        severity=Severity.MEDIUM,
        title="The kernel hides its addresses from users",
        title_nl="De kernel verbergt zijn adressen voor gebruikers",
        why="With those addresses an error in the kernel is much easier to abuse.",
        why_nl="Met die adressen is een fout in de kernel veel makkelijker te misbruiken.",
        references=("kernel.org admin-guide/sysctl/kernel kptr_restrict", "ANSSI-BP-028 R9"),
    ),
    _row(
        "sysctl.kernel-log",
        Key("kernel.dmesg_restrict", 1, 1),
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="Only administrators read the kernel's log",
        title_nl="Alleen beheerders lezen het logboek van de kernel",
        why="It shows addresses, devices and errors that help an attacker on the next step.",
        why_nl="Het toont adressen, apparaten en fouten die een aanvaller verder helpen.",
        references=("kernel.org admin-guide/sysctl/kernel dmesg_restrict", "ANSSI-BP-028 R9"),
    ),
    _row(
        "sysctl.process-tracing",
        Key("kernel.yama.ptrace_scope", 1, 3, absent="open"),
        principle=SECURE_DESIGN,
        severity=Severity.MEDIUM,
        title="A program cannot look into the memory of another program",
        title_nl="Een programma kan niet in het geheugen van een ander programma kijken",
        why="One broken program could otherwise read passwords and keys from all others of the same user.",
        why_nl="Eén gekraakt programma kan anders wachtwoorden en sleutels lezen uit alle andere van die gebruiker.",
        references=("kernel.org admin-guide/LSM/Yama",),
    ),
    _row(
        "sysctl.privileged-core-dumps",
        Key("fs.suid_dumpable", 0, 0, default=0),
        principle=DATA_FIRST,
        severity=Severity.MEDIUM,
        layer=Layer.DATA,
        title="Programs with extra rights leave no memory dump behind",
        title_nl="Programma's met extra rechten laten geen geheugendump achter",
        why="Such a dump holds what the program had in memory: password hashes, keys, personal data.",
        why_nl="Zo'n dump bevat wat het programma in het geheugen had: wachtwoordhashes, sleutels, persoonsgegevens.",
        references=("proc_sys_fs(5) suid_dumpable",),
    ),
    _row(
        "sysctl.unprivileged-bpf",
        Key("kernel.unprivileged_bpf_disabled", 1, 2, absent="gone"),
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        title="Ordinary users cannot load programs into the kernel",
        title_nl="Gewone gebruikers kunnen geen programma's in de kernel laden",
        why="Many of the errors that make a user root lay in BPF; few users need it.",
        why_nl="Veel fouten waarmee een gebruiker root wordt, zaten in BPF; bijna niemand heeft het nodig.",
        references=("kernel.org admin-guide/sysctl/kernel unprivileged_bpf_disabled", "ANSSI-BP-028 R9"),
        advice="Value 1 cannot be undone without a restart; 2 can.",
        advice_nl="Waarde 1 is pas na een herstart terug te draaien; 2 ook zonder.",
    ),
    _row(
        "sysctl.performance-counters",
        Key("kernel.perf_event_paranoid", 2, 4, default=2, absent="gone"),
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        title="Ordinary users cannot measure the kernel and other users",
        title_nl="Gewone gebruikers kunnen niet meten aan de kernel en aan anderen",
        why="Precise measurements give away secrets of others, and the interface had many errors.",
        why_nl="Precieze metingen verraden geheimen van anderen, en de interface bevatte veel fouten.",
        references=("kernel.org admin-guide/perf-security", "ANSSI-BP-028 R9"),
    ),
    _row(
        "sysctl.no-other-kernel",
        Key("kernel.kexec_load_disabled", 1, 1, default=0, absent="gone"),
        principle=SECURE_DESIGN,
        severity=Severity.LOW,
        title="No other kernel can be started from the running one",
        title_nl="Vanuit de draaiende kernel is geen andere kernel te starten",
        why="Whoever is root for a moment could otherwise pass by Secure Boot and stay unseen.",
        why_nl="Wie even root is, kan anders om Secure Boot heen en blijft onopgemerkt.",
        references=("kernel.org admin-guide/sysctl/kernel kexec_load_disabled",),
        advice="A host with kdump needs kexec: record that in a waiver.",
        advice_nl="Een host met kdump heeft kexec nodig: leg dat vast in een waiver.",
    ),
    _row(
        "sysctl.protected-links",
        Key("fs.protected_hardlinks", 1, 1, default=0, absent="open"),
        Key("fs.protected_symlinks", 1, 1, default=0, absent="open"),
        principle=SECURE_DESIGN,
        severity=Severity.MEDIUM,
        title="Links in shared folders cannot lead a program astray",
        title_nl="Koppelingen in gedeelde mappen kunnen een programma niet misleiden",
        why="With a link in /tmp a user lets a program of root write to another file than it thinks.",
        why_nl="Met een koppeling in /tmp laat een gebruiker een programma van root in een ander bestand schrijven.",
        references=("proc_sys_fs(5) protected_hardlinks, protected_symlinks", "ANSSI-BP-028 R14"),
    ),
    _row(
        "sysctl.protected-files",
        Key("fs.protected_fifos", 1, 2, default=0, absent="open"),
        Key("fs.protected_regular", 1, 2, default=0, absent="open"),
        principle=SECURE_DESIGN,
        severity=Severity.MEDIUM,
        title="In shared folders a program does not write to a file laid out by another",
        title_nl="In gedeelde mappen schrijft een programma niet in een bestand dat een ander klaarzette",
        why="Whoever lays the file out first would otherwise read or spoil what a program of root writes.",
        why_nl="Wie het bestand als eerste klaarzet, leest of bederft anders wat een programma van root schrijft.",
        references=("proc_sys_fs(5) protected_fifos, protected_regular", "ANSSI-BP-028 R14"),
    ),
    _row(
        "sysctl.line-disciplines",
        Key("dev.tty.ldisc_autoload", 0, 0, absent="open"),
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        title="Users cannot make the kernel load old terminal drivers",
        title_nl="Gebruikers kunnen de kernel geen oude terminaldrivers laten laden",
        why="Those drivers are hardly used and had errors that made any user root.",
        why_nl="Die drivers worden amper gebruikt en bevatten fouten waarmee elke gebruiker root werd.",
        references=("kernel.org admin-guide/sysctl (dev.tty.ldisc_autoload)", "CVE-2017-2636"),
    ),
    _row(
        "sysctl.lowest-memory",
        Key("vm.mmap_min_addr", 65536, _MANY),
        principle=SECURE_DESIGN,
        severity=Severity.LOW,
        title="Programs cannot use the lowest part of memory",
        title_nl="Programma's kunnen het laagste deel van het geheugen niet gebruiken",
        why="Code laid there is run by the kernel when it follows an empty pointer.",
        why_nl="Code die daar staat, voert de kernel uit als hij een lege verwijzing volgt.",
        references=("kernel.org admin-guide/sysctl/vm mmap_min_addr",),
    ),
    _row(
        "sysctl.stop-when-damaged",
        Key("kernel.panic_on_oops", 1, 1),
        principle=FAIL_SECURE,
        severity=Severity.LOW,
        title="The kernel stops when it finds itself damaged",
        title_nl="De kernel stopt als hij merkt dat hij beschadigd is",
        why="A kernel that goes on after an error may skip its checks, and gives an attacker another try.",
        why_nl="Een kernel die na een fout doorgaat, slaat misschien controles over en helpt een aanvaller verder.",
        references=("kernel.org admin-guide/sysctl/kernel panic_on_oops", "ANSSI-BP-028 R9"),
        advice="The server then restarts or halts: weigh that against availability, and set kernel.panic too.",
        advice_nl="De server herstart of stopt dan: weeg dat af tegen beschikbaarheid, en zet ook kernel.panic.",
    ),
    _row(
        "sysctl.syn-cookies",
        Key("net.ipv4.tcp_syncookies", 1, 2, default=1, absent="open"),
        principle=IN_DEPTH,
        severity=Severity.MEDIUM,
        layer=Layer.NETWORK,
        title="The server withstands a flood of half connections",
        title_nl="De server houdt stand bij een vloed van halve verbindingen",
        why="Without cookies a few computers can keep everyone from connecting.",
        why_nl="Zonder cookies kunnen een paar computers ervoor zorgen dat niemand meer kan verbinden.",
        references=("kernel.org networking/ip-sysctl tcp_syncookies", "RFC 4987"),
    ),
    _row(
        "sysctl.forwarding",
        Key("net.ipv4.ip_forward", 0, 0, default=0),
        Key("net.ipv6.conf.all.forwarding", 0, 0, default=0, absent="gone"),
        principle=SECURE_DEFAULT,
        severity=Severity.MEDIUM,
        layer=Layer.NETWORK,
        title="The server does not pass traffic on between networks",
        title_nl="De server geeft geen verkeer door tussen netwerken",
        why="A server that routes is a way around the firewall between two networks.",
        why_nl="Een server die routeert, is een weg om de firewall tussen twee netwerken heen.",
        references=("kernel.org networking/ip-sysctl ip_forward", "ISO/IEC 27002:2022 8.22"),
        advice="Routers, VPN servers and container hosts need it: record that in a waiver.",
        advice_nl="Routers, VPN-servers en containerhosts hebben het nodig: leg dat vast in een waiver.",
    ),
    _row(
        "sysctl.broadcast-pings",
        Key("net.ipv4.icmp_echo_ignore_broadcasts", 1, 1, default=1),
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        layer=Layer.NETWORK,
        title="The server does not answer a ping to everyone",
        title_nl="De server beantwoordt geen ping aan iedereen",
        why="With such a ping under a false name one packet becomes a flood at the victim.",
        why_nl="Met zo'n ping onder valse naam wordt één pakket een vloed bij het slachtoffer.",
        references=("kernel.org networking/ip-sysctl icmp_echo_ignore_broadcasts", "RFC 2644"),
    ),
)

#: Routing is switched per interface as well; sysctl_network judges this row.
FORWARDING: Final = next(row for row in ROWS if row.id == "sysctl.forwarding")
_ALONE: Final = tuple(row for row in ROWS if row is not FORWARDING)
KEYS: Final = tuple(key.name for key in chain.from_iterable(row.keys for row in ROWS))
# sysctl(8) of procps 3 counts a step down from 256 for each key that is not there; procps 4 says 1 or 2.
RUNNING: Final = Command(f"sysctl {' '.join(KEYS)}", root=True, exits=(0, 1, 2, *range(256 - len(KEYS), 256)))


@fact
class Running:
    """What the running kernel says: key -> value; a key it does not have is not there."""

    values: dict[str, int]


@probe("linux", answer=RUNNING)
def running(answer: Raw) -> Running:
    """A line per key, and a complaint for each that is not there: together all that were asked."""
    said = " ".join(only_missing(answer))
    values = {}
    for line in answer.lines:
        words = re.fullmatch(r"([a-z0-9_.]+) = (-?\d+)", line)
        if not words:
            raise NotUnderstood(f"sysctl says {line[:80]!r}")
        values[words[1]] = int(words[2])
    unseen = [key for key in KEYS if key not in values and f"/proc/sys/{key.replace('.', '/')}:" not in said]
    if unseen:
        raise NotUnderstood(f"sysctl says nothing of {named(unseen)}")
    return Running(values=values)


@table(*_ALONE)
def right_now_and_after_a_restart(running: Running, persisted: Persisted, *, row: Setting) -> Verdict:
    """Each key of the row is right now, and stays so."""
    present = [key for key in row.keys if key.name in running.values]
    absent = [key for key in row.keys if key not in present]
    if unknown := [key.name for key in absent if key.absent == "unknown"]:
        raise NotUnderstood(f"the kernel does not show {', '.join(unknown)}")
    wrong = [f"the kernel has no {key.name}" for key in absent if key.absent == "open"]
    if not present and not wrong:
        raise Absent(f"the kernel has no {', '.join(key.name for key in absent)}")
    seen: list[str] = []
    for key in present:
        now, after = running.values[key.name], persisted.value(key.name)
        said = f"{key.name} is {now}, " + (f"{after[0]} in {after[1]}" if after else "in no file")
        later = after[0] if after else key.default
        held = key.right(now) and later is not None and key.right(later)
        (seen if held else wrong).append(said)
    expected = " and ".join(key.wanted for key in row.keys) + ", now and after a restart"
    return holds(not wrong, "; ".join(wrong or seen), expected)


# --- examples -----------------------------------------------------------------------------------------------------

_NAMES: Final = (
    "/etc/sysctl.d/99-sysctl.conf\n/etc/sysctl.d/99-zz-example.conf\n/usr/lib/sysctl.d/50-vendor.conf\n"
)


def answers(set_now: str, *lines: str, names: str = _NAMES, init: str = "systemd") -> dict[str, object]:
    """An example: what the running kernel says, and lines in a file of the administrator."""
    missing = [key for key in KEYS if f"{key} = " not in set_now]
    return {
        "answer": Raw(
            out=set_now.encode(),
            err="".join(
                f"sysctl: cannot stat /proc/sys/{key.replace('.', '/')}: No such file or directory\n"
                for key in missing
            ).encode(),
            code=255,
        ),
        "names": names,
        "lines": "".join(f"/etc/sysctl.d/99-zz-example.conf\0{line}\n" for line in lines)
        or "/usr/lib/sysctl.d/50-vendor.conf\0kernel.pid_max = 4194304\n",
        "init": f"{init}\n",
    }


for _setting in _ALONE:
    _now = "".join(f"{key.name} = {key.least}\n" for key in _setting.keys)
    _files = [f"{key.name} = {key.least}" for key in _setting.keys]
    _first = _setting.keys[0]
    _off = _first.least - 1 if _first.least else _first.most + 1
    examples(
        _setting.id,
        passes=answers(_now, *_files),
        fails=[
            answers(_now.replace(f"{_first.name} = {_first.least}", f"{_first.name} = {_off}"), *_files),
            answers(_now, f"{_first.name}={_off}"),
        ],
        unknown={**answers(_now, *_files), "answer": ""},
    )

examples(
    "sysctl.kernel-pointers",
    passes=[
        answers("kernel.kptr_restrict = 1\n", "kernel/kptr_restrict=0", "-kernel.kptr_restrict = 2"),
        answers("kernel.kptr_restrict = 1\n", "kernel.kptr_* = 1"),
        {
            **answers("kernel.kptr_restrict = 1\n", init="init"),
            "lines": "/etc/sysctl.conf\0kernel.kptr_restrict = 1\n",
        },
    ],
    fails=[
        answers("kernel.kptr_restrict = 1\n"),
        answers("kernel.kptr_restrict = 1\n", "kernel.kptr_* = 1", "-kernel.kptr_restrict"),
        answers("kernel.kptr_restrict = 1\n", "kernel.kptr_restrict = 1", "-kernel.kptr_restrict"),
        {**answers("kernel.kptr_restrict = 1\n"), "lines": "/etc/sysctl.conf\0kernel.kptr_restrict = 1\n"},
        {
            # The administrator's empty file of the same name hides the vendor's.
            **answers(
                "kernel.kptr_restrict = 1\n", names="/etc/sysctl.d/50-a.conf\n/usr/lib/sysctl.d/50-a.conf\n"
            ),
            "lines": "/usr/lib/sysctl.d/50-a.conf\0kernel.kptr_restrict = 1\n",
        },
    ],
)
examples("sysctl.address-randomisation", passes=answers("kernel.randomize_va_space = 2\n"))
examples("sysctl.kernel-log", fails=answers("kernel.dmesg_restrict = 1\n"))
examples("sysctl.process-tracing", fails=answers("kernel.randomize_va_space = 2\n"))
examples("sysctl.unprivileged-bpf", notapplicable=answers("kernel.randomize_va_space = 2\n"))
