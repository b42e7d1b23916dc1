"""What a walk through the system's folders finds: files that all may change, that nobody owns, that give rights.

One `find` walks /etc, /usr, /opt, /var and /tmp once, at the lowest priority, without the images of containers. Folders
in there that often have a file system of their own (/var/log, /usr/local) are walked as well; into other file systems
it does not cross. What lies elsewhere (/home, /srv, mounted disks) is not looked at.
"""

from __future__ import annotations

import csv
import re
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    SECURE_DEFAULT,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_START: Final = ("/etc", "/usr", "/opt", "/var", "/tmp")  # noqa: S108 -- looked at, not used
# Often a file system (or subvolume) of its own, to which -xdev does not go by itself. They are left out where the walk
# comes by, and started from with a slash behind them, which -path does not match: so each is walked once.
_APART: Final = (
    "/usr/local", "/var/cache", "/var/lib", "/var/log", "/var/log/audit", "/var/spool", "/var/tmp", "/var/www",  # noqa: S108
)  # fmt: skip
_UNMERGED: Final = ("/bin", "/sbin", "/lib")
_IMAGES: Final = tuple(
    f"/var/lib/{name}" for name in ("containerd", "containers", "docker", "lxc", "lxd", "machines")
)


def _any(paths: tuple[str, ...]) -> str:
    return "'(' " + " -o ".join(f"-path {path}" for path in paths) + " ')'"


def _print(kind: str) -> str:
    return f"-printf '{kind} %m %U %G %p\\0'"


WALK: Final = Command(
    # The slash behind a folder also leads find into one that is a link.
    f"nice -n 19 find {' '.join(f'{path}/' for path in _START + _APART)} {' '.join(_UNMERGED)} -xdev"
    f" {_any(_APART + _IMAGES)} -prune -o '('"
    f" {_any(tuple(f'{path}/' for path in _START))} {_print('looked')}"
    f" , -type f -perm -0002 {_print('writable')}"
    f" , -type d -perm -0002 '!' -perm -1000 {_print('open')}"
    f" , -nouser {_print('nouser')}"
    f" , -nogroup {_print('nogroup')}"
    f" , -type f -perm /6000 {_print('setid')} ')'",
    root=True,
    slow=True,
    timeout=120,
    limit=8 << 20,
    exits=(0, 1),
)
# Users that systemd makes up while a service runs; nobody has these ids when it does not. systemd.exec(5) DynamicUser.
_DYNAMIC: Final = range(61184, 65520)


def _known_programs() -> tuple[str, ...]:
    text = files("checks.linux").joinpath("setid_programs.csv").read_text()
    return tuple(row["path"] for row in csv.DictReader(text.splitlines()))


#: Set-uid and set-gid programs that distributions ship; their packages and purposes are in the file.
KNOWN: Final = _known_programs()


@fact
class SystemFiles:
    """What the walk found, as paths; bytes in a name that are no UTF-8 are written as escapes."""

    writable: tuple[str, ...]
    open_folders: tuple[str, ...]
    unowned: tuple[str, ...]
    setid: tuple[str, ...]


@probe("linux", walk=WALK)
def system_files(walk: Raw) -> SystemFiles:
    """Records that end in NUL: kind, mode, user, group and path. A file that goes while find walks is no fault."""
    missing = " ".join(only_missing(walk))
    found: dict[str, list[str]] = {}
    *records, rest = walk.out.split(b"\0")
    if rest:
        raise NotUnderstood("the last record of find is cut short")
    for record in records:
        words = re.fullmatch(rb"([a-z]+) [0-7]{1,5} (\d+) (\d+) (/.*)", record, re.DOTALL)
        if not words:
            raise NotUnderstood(f"find says {record[:60]!r}")
        kind = words[1].decode()
        if int(words[3 if kind == "nogroup" else 2]) in _DYNAMIC and kind in {"nouser", "nogroup"}:
            continue
        # A name may be any bytes: anyone can make one, and it must not blind the whole walk.
        found.setdefault(kind, []).append(words[4].decode(errors="backslashreplace"))
    looked = found.get("looked", [])
    unseen = [path for path in _START if f"{path}/" not in looked and f"'{path}/'" not in missing]
    if unseen:
        raise NotUnderstood(f"find says nothing of {named(unseen)}")
    return SystemFiles(
        writable=tuple(found.get("writable", ())),
        open_folders=tuple(found.get("open", ())),
        unowned=tuple(dict.fromkeys(found.get("nouser", []) + found.get("nogroup", []))),
        setid=tuple(dict.fromkeys(found.get("setid", ()))),
    )


def _by_hand(test: str, then: str) -> str:
    """The same walk for an administrator: what containers and systemd's made-up users own is theirs."""
    folders = " ".join(f"{path}/" for path in (*_START, "/usr/local", "/var/log", "/var/tmp"))  # noqa: S108
    left = " -o ".join(f"-path {path}" for path in (*_IMAGES, "/var/lib/private"))
    return f"find {folders} -xdev '(' {left} ')' -prune -o {test} {then}"


def _none(paths: tuple[str, ...]) -> Verdict:
    return holds(not paths, named(sorted(paths)) or "none found", "none")


@check(
    "filesystem.world-writable-files",
    principle=DATA_FIRST,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="In de systeemmappen staat geen bestand dat iedereen mag wijzigen",
    why_nl="Wie een script, instelling of gegevensbestand van een ander wijzigt, laat die ander doen wat hij wil.",
    fix=_by_hand("-type f -perm -0002", "-exec chmod o-w {} +"),
    verify=_by_hand("-type f -perm -0002", "-ls"),
    references=("ISO/IEC 27002:2022 8.3", "ANSSI-BP-028 R54"),
    advice="See first which program writes there, and give it a group.",
    advice_nl="Kijk eerst welk programma daar schrijft, en geef dat een groep.",
)
def no_world_writable_files(files: SystemFiles) -> Verdict:
    """No file in the system's folders can be changed by everyone.

    Whoever changes another's script, setting or data makes that other do what they want.
    """
    return _none(files.writable)


@check(
    "filesystem.sticky-folders",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="In mappen waar iedereen mag schrijven, blijft ieders bestand van hemzelf",
    why_nl="Zonder sticky bit kan iedereen er bestanden van een ander verwijderen of vervangen.",
    fix=_by_hand("-type d -perm -0002 '!' -perm -1000", "-exec chmod +t {} +"),
    verify=_by_hand("-type d -perm -0002 '!' -perm -1000", "-ls"),
    references=("inode(7) S_ISVTX", "ANSSI-BP-028 R54"),
)
def shared_folders_are_sticky(files: SystemFiles) -> Verdict:
    """In folders where everyone may write, each one's files remain their own.

    Without the sticky bit anyone can remove or replace another's files there.
    """
    return _none(files.open_folders)


@check(
    "filesystem.owners-exist",
    principle=DATA_FIRST,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Elk bestand in de systeemmappen is van een bestaande gebruiker en groep",
    why_nl="Wie later het vrijgekomen nummer krijgt, krijgt ook de oude bestanden van de vertrokken gebruiker.",
    fix=_by_hand("'(' -nouser -o -nogroup ')'", "-exec chown -h root:root {} +"),
    verify=_by_hand("'(' -nouser -o -nogroup ')'", "-ls"),
    references=("ISO/IEC 27002:2022 5.18", "ANSSI-BP-028 R53"),
    advice="Look at what it is first: data of someone who left may have to be kept or destroyed.",
    advice_nl="Kijk eerst wat het is: gegevens van iemand die weg is, moeten soms bewaard of vernietigd worden.",
)
def owners_exist(files: SystemFiles) -> Verdict:
    """Every file in the system's folders belongs to a user and group that exist.

    Whoever is given the freed number later, is also given the old files of the user who left.
    """
    return _none(files.unowned)


@check(
    "filesystem.known-setid-programs",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Alleen bekende programma's geven rechten van een ander",
    why_nl=(
        "Een set-uid- of set-gid-programma draait met de rechten van zijn eigenaar. Een fout daarin, of een onbekend"
        " programma dat iemand achterliet, maakt elke gebruiker root."
    ),
    fix="chmod ug-s /path/of/the/program",
    verify=_by_hand("-type f -perm /6000", "-ls"),
    references=("ANSSI-BP-028 R56", "checks/linux/setid_programs.csv"),
    advice="Where the program is needed, add its path to `approved` in the profile.",
    advice_nl="Is het programma nodig, zet zijn pad dan bij `approved` in het profiel.",
)
def setid_programs_are_known(
    files: SystemFiles,
    *,
    approved: Annotated[
        tuple[str, ...], "paths of further set-uid and set-gid programs that may be there"
    ] = (),
) -> Verdict:
    """Only known programs give another's rights.

    A set-uid or set-gid program runs with its owner's rights. An error in it, or an unknown one that someone left
    behind, makes any user root.
    """
    known = (*KNOWN, *approved)
    patterns = [pattern for pattern in known if any(letter in pattern for letter in "*?[")]
    paths = {path: _merged(path) for path in files.setid}
    strange = [
        path
        for path, merged in paths.items()
        if merged not in known and not any(fnmatchcase(merged, pattern) for pattern in patterns)
    ]
    observed = f"unknown: {named(sorted(strange))}" if strange else f"{len(files.setid)} known ones"
    return holds(not strange, observed, "only those in setid_programs.csv and the profile")


def _merged(path: str) -> str:
    return f"/usr{path}" if path.startswith(tuple(f"{folder}/" for folder in _UNMERGED)) else path


# --- examples: Debian 12 ------------------------------------------------------------------------------------------

_LOOKED: Final = [f"looked {'1777' if path == _START[-1] else '755'} 0 0 {path}/" for path in _START]
_SETID: Final = [
    "setid 4755 0 0 /usr/bin/passwd",
    "setid 2755 0 42 /usr/sbin/unix_chkpwd",
    "setid 4755 0 0 /bin/su",
]


def _walked(*records: str | bytes, looked: list[str] = _LOOKED, err: str = "", code: int = 0) -> Raw:
    raw = (
        record if isinstance(record, bytes) else record.encode() for record in (*looked, *_SETID, *records)
    )
    return Raw(out=b"".join(record + b"\0" for record in raw), err=err.encode(), code=code)


_GONE: Final = "find: '/var/lib/apt/lists/partial/x': No such file or directory\n"
_REFUSED: Final = "find: '/var/lib/private': Permission denied\n"
examples(
    no_world_writable_files,
    passes=[_walked(), _walked(err=_GONE, code=1)],
    fails=[_walked("writable 666 0 0 /etc/app/app.conf"), _walked(b"writable 666 1000 1000 /tmp/caf\xe9")],
    unknown=[
        _walked(looked=_LOOKED[:1]),
        # A folder that is a link was named, and not gone into.
        _walked(looked=[line.removesuffix("/") for line in _LOOKED]),
        _walked(err=_REFUSED, code=1),
        Raw(out=_walked("writable 666 0 0 /etc/app").out[:-1]),
    ],
)
examples(shared_folders_are_sticky, passes=_walked(), fails=_walked("open 777 0 0 /var/spool/app"))
examples(
    owners_exist,
    passes=_walked(
        "nouser 700 61842 61842 /var/lib/private/app", "nogroup 700 61842 61842 /var/lib/private/app"
    ),
    fails=[_walked("nouser 644 1007 100 /opt/app/x"), _walked("nogroup 644 61842 1007 /opt/app/x")],
)
examples(setid_programs_are_known, passes=_walked(), fails=_walked("setid 4755 0 0 /usr/bin/vim.basic"))
