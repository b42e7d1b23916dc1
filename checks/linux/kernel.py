"""What the kernel can be made to do: load modules hardly anyone uses, and leave its users' memory on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Final

from checks.linux._answers import complaints, named
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    SECURE_DEFAULT,
    Command,
    File,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    State,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    table,
)


@dataclass(frozen=True, kw_only=True)
class Denied(Row):
    """Modules that must not be loadable."""

    modules: tuple[str, ...]


def _row(
    id_: str,
    *modules: str,
    principle: str,
    severity: Severity,
    title: str,
    title_nl: str,
    why: str,
    why_nl: str,
    layer: Layer = Layer.HOST,
    advice: str = "",
    advice_nl: str = "",
) -> Denied:
    lines = "".join(f"install {module} /bin/false\\nblacklist {module}\\n" for module in modules)
    return Denied(
        id=id_,
        modules=modules,
        principle=principle,
        severity=severity,
        layer=layer,
        title=title,
        title_nl=title_nl,
        why=why,
        why_nl=why_nl,
        fix=f"printf '{lines}' > /etc/modprobe.d/{id_.replace('.', '-')}.conf\nmodprobe -r {' '.join(modules)}",
        verify=f"modprobe --show-depends -a {' '.join(modules)}\nlsmod",
        references=("modprobe.d(5) install", "ANSSI-BP-028 R10"),
        advice=advice,
        advice_nl=advice_nl,
    )


ROWS: Final = (
    _row(
        "kernel.rare-filesystems",
        "cramfs", "freevxfs", "hfs", "hfsplus", "jffs2",
        principle=SECURE_DEFAULT,
        severity=Severity.LOW,
        title="The kernel cannot load file systems that servers do not use",
        title_nl="De kernel kan geen bestandssystemen laden die servers niet gebruiken",
        why="A prepared disk or image makes the kernel read it with old code that few look after.",
        why_nl="Een geprepareerde schijf laat de kernel oude code gebruiken waar bijna niemand nog naar kijkt.",
    ),
    _row(
        "kernel.rare-protocols",
        "dccp", "rds", "sctp", "tipc",
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        layer=Layer.NETWORK,
        title="The kernel cannot load network protocols that servers do not use",
        title_nl="De kernel kan geen netwerkprotocollen laden die servers niet gebruiken",
        why="Any user makes the kernel load them by opening a socket; errors in them made users root.",
        why_nl="Elke gebruiker laat de kernel ze laden door ze te openen; fouten erin maakten gebruikers root.",
        advice="Telephony and some clusters use sctp or tipc: record that in a waiver.",
        advice_nl="Telefonie en sommige clusters gebruiken sctp of tipc: leg dat vast in een waiver.",
    ),
    _row(
        "kernel.usb-storage",
        "usb-storage", "uas",
        principle=DATA_FIRST,
        severity=Severity.MEDIUM,
        layer=Layer.DATA,
        title="The server does not take USB disks",
        title_nl="De server neemt geen USB-schijven aan",
        why="With a USB disk someone at the server takes data away or brings a program in.",
        why_nl="Met een USB-schijf neemt iemand bij de server gegevens mee of brengt hij een programma binnen.",
    ),
)  # fmt: skip

# A module (or built-in part) of every distribution's kernel: when modprobe does not find it, it sees no modules.
_WITNESS: Final = "ext4"
_ASKED: Final = tuple(chain.from_iterable(row.modules for row in ROWS))
MODPROBE: Final = Command(
    f"modprobe --show-depends -a {_WITNESS} {' '.join(_ASKED)}", root=True, needs="modprobe", exits=(0, 1)
)


@fact
class Modules:
    """What modprobe would do for the modules asked about, and which are in the kernel already."""

    denied: frozenset[str]
    missing: frozenset[str]
    loadable: frozenset[str]
    present: frozenset[str]


@probe("linux", depends=MODPROBE, loaded=File(path="/proc/modules"))
def modules(depends: Raw, loaded: Raw) -> Modules:
    """A line per module or dependency: insmod and its file, builtin and its name, or the command put in its place.

    The last does not name the module; it stands for those that nothing else was said of. It comes again for each module
    that needs one of them: three times where usb-storage and uas are both denied.
    """
    missing, loadable, built_in, instead = set(), set(), set(), list[str]()
    for line in complaints(depends):
        words = re.fullmatch(
            r"modprobe: (?:WARNING|ERROR|FATAL): Module (\S+) not found in directory .*", line
        )
        if not words:
            raise NotUnderstood(f"modprobe says {line[:80]!r}")
        missing.add(_name(words[1]))
    for line in depends.lines:
        verb, _, rest = line.strip().partition(" ")
        if verb == "insmod":
            loadable.add(_name(rest.split()[0].rpartition("/")[2].partition(".ko")[0]))
        elif verb == "builtin":
            built_in.add(_name(rest))
        elif verb == "install":
            instead.append(rest)
        else:
            raise NotUnderstood(f"modprobe says {line[:80]!r}")
    if _WITNESS not in loadable | built_in:
        raise NotUnderstood(f"modprobe does not find {_WITNESS}: it does not see this kernel's modules")
    silent = {_name(module) for module in _ASKED} - missing - loadable - built_in
    refusing = [command for command in instead if re.fullmatch(r"(/usr)?/bin/(false|true)", command)]
    if len(silent) > len(instead) or len(refusing) != len(instead):
        raise NotUnderstood(f"modprobe puts other commands in place of modules: {named(instead)}")
    present = built_in | {_name(line.split()[0]) for line in loaded.lines}
    return Modules(
        denied=frozenset(silent),
        missing=frozenset(missing),
        loadable=frozenset(loadable),
        present=frozenset(present),
    )


def _name(module: str) -> str:
    return module.replace("-", "_")


@table(*ROWS)
def cannot_load(modules: Modules, *, row: Denied) -> Verdict:
    """None of the row's modules can be loaded, and none is."""
    asked = {_name(module) for module in row.modules}
    wrong = [f"{module} is in the kernel" for module in sorted(asked & modules.present)]
    wrong += [f"{module} can be loaded" for module in sorted((asked & modules.loadable) - modules.present)]
    observed = f"denied: {named(sorted(asked & modules.denied)) or 'none'}"
    observed += f"; not installed: {named(sorted(asked & modules.missing)) or 'none'}"
    return holds(not wrong, ", ".join(wrong) or observed, "install <module> /bin/false, and not loaded")


@fact
class CoreDumps:
    """What happens to the memory of a program that crashes: core(5) pattern, and where systemd-coredump stores it."""

    pattern: str
    storage: str | None


@probe(
    "linux",
    pattern=File(path="/proc/sys/kernel/core_pattern"),
    config=Command(
        "systemd-analyze cat-config systemd/coredump.conf", root=True, needs="systemd-analyze", exits=(0, 1)
    ),
)
def core_dumps(pattern: Raw, config: Raw | None) -> CoreDumps:
    """One line, and the settings of coredump.conf(5) in order of precedence; the last Storage= counts."""
    (line,) = pattern.lines
    storage = None
    if config is not None and config.code == 0:
        # Storage= without a value sets the default again.
        found = re.findall(r"^[ \t]*Storage[ \t]*=[ \t]*(\w*)[ \t]*$", config.text, re.MULTILINE)
        storage = (found[-1].lower() if found else "") or "external"
    return CoreDumps(pattern=line, storage=storage)


@check(
    "kernel.core-dumps",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Van een programma dat vastloopt blijft geen geheugen op schijf achter",
    why_nl="In dat geheugen staan wachtwoorden, sleutels en persoonsgegevens, buiten elke toegangsregel om.",
    fix="printf 'kernel.core_pattern = |/bin/false\\n' > /etc/sysctl.d/99-zz-core-dumps.conf\nsysctl --system",
    verify="sysctl kernel.core_pattern\nsystemd-analyze cat-config systemd/coredump.conf",
    references=("core(5)", "coredump.conf(5) Storage=", "ISO/IEC 27002:2022 8.12"),
    advice="With systemd-coredump, Storage=none in /etc/systemd/coredump.conf.d does it too and keeps the log line.",
    advice_nl="Met systemd-coredump kan ook Storage=none in /etc/systemd/coredump.conf.d; dan blijft de logregel.",
)
def no_core_dumps(dumps: CoreDumps) -> Verdict:
    """A program that crashes leaves no memory on disk.

    That memory holds passwords, keys and personal data, outside every access rule.
    """
    expected = "|/bin/false, or systemd-coredump with Storage=none"
    handler = dumps.pattern.removeprefix("|").split(" ")[0] if dumps.pattern.startswith("|") else ""
    if handler.endswith("/systemd-coredump"):
        if dumps.storage is None:
            raise NotUnderstood("the settings of systemd-coredump could not be read")
        return holds(dumps.storage == "none", f"systemd-coredump, Storage={dumps.storage}", expected)
    off = handler in {"/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true"}
    return holds(off, f"kernel.core_pattern = {dumps.pattern}", expected)


# --- examples: Debian 12, kmod 30 ---------------------------------------------------------------------------------


def _modprobe(
    *lines: str, missing: tuple[str, ...] = (), loaded: str = "ext4 983040 1 - Live 0x0\n"
) -> dict[str, object]:
    """An example: what modprobe says of the witness and of some modules; the others are denied."""
    said = {_name(re.split(r"[/ ]", line.rstrip())[-1].partition(".ko")[0]) for line in lines}
    denied = [module for module in _ASKED if _name(module) not in said | {_name(name) for name in missing}]
    out = ["insmod /lib/modules/6.1.0-40-amd64/kernel/lib/crc16.ko ", *lines]
    out.append("insmod /lib/modules/6.1.0-40-amd64/kernel/fs/ext4/ext4.ko ")
    out += ["install /bin/false " for _ in denied]
    err = (
        f"modprobe: WARNING: Module {name} not found in directory /lib/modules/6.1.0-40-amd64\n"
        for name in missing
    )
    return {
        "depends": Raw(
            out="\n".join([*out, ""]).encode(), err="".join(err).encode(), code=1 if missing else 0
        ),
        "loaded": loaded,
    }


for _rule in ROWS:
    _first = _rule.modules[0]
    _file = f"insmod /lib/modules/6.1.0-40-amd64/kernel/any/{_first}.ko.xz "
    examples(
        _rule.id,
        passes=[_modprobe(), _modprobe(missing=_rule.modules), _modprobe("install /bin/false ")],
        fails=[
            _modprobe(_file),
            _modprobe(f"builtin {_first}"),
            _modprobe(loaded=f"{_name(_first)} 40960 0 - Live 0x0\n"),
        ],
        unknown=[
            {**_modprobe(), "depends": Raw(err=b"modprobe: FATAL: could not open moddep file\n", code=1)},
            _modprobe("install /usr/local/bin/ask "),
        ],
        notapplicable={
            **_modprobe(),
            "depends": Gap(State.NOTAPPLICABLE, None, "modprobe is not on the host"),
        },
    )

_COREDUMP: Final = "# /etc/systemd/coredump.conf\n[Coredump]\n#Storage=external\n"
_PIPE: Final = "|/lib/systemd/systemd-coredump %P %u %g %s %t 9223372036854775808 %h\n"
examples(
    no_core_dumps,
    passes=[
        {"pattern": "|/bin/false\n"},
        {
            "pattern": _PIPE,
            "config": f"{_COREDUMP}\n# /etc/systemd/coredump.conf.d/a.conf\n[Coredump]\nStorage=none\n",
        },
    ],
    fails=[
        {"pattern": "core\n"},
        {"pattern": _PIPE, "config": _COREDUMP},
        {"pattern": _PIPE, "config": f"{_COREDUMP}Storage=none\n# later.conf\n[Coredump]\nStorage=\n"},
    ],
    unknown=[{"pattern": _PIPE}, {"pattern": ""}],
)
