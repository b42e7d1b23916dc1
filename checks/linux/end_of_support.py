"""Whether the operating system still gets security updates from its maker.

The dates are in end_of_support.csv, each with its source and the day it was read. ``ends`` is the end of regular
support, ``free`` of an extension that everyone gets (Debian LTS), ``paid`` of one that must be bought.
"""

from __future__ import annotations

import csv
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Annotated, Final

from scanner import (
    SECURE_DEPLOYMENT,
    File,
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

OS_RELEASE: Final = File("/etc/os-release")
#: Of these the first number of VERSION_ID is what support goes by.
_BY_MAJOR: Final = frozenset({"rhel", "rocky", "almalinux", "centos", "ol", "debian"})


@dataclass(frozen=True, slots=True)
class Support:
    """Until when a release is supported: for everyone, and for who pays."""

    name: str
    everyone: datetime
    paid: datetime


def _day(text: str) -> datetime:
    """The last moment of a day, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1, seconds=-1)


def _table() -> dict[tuple[str, str], Support]:
    rows = csv.DictReader(files(__package__).joinpath("end_of_support.csv").read_text().splitlines())
    found = {}
    for row in rows:
        everyone = _day(row["free"] or row["ends"])
        found[row["id"], row["version"]] = Support(
            row["name"], everyone, _day(row["paid"]) if row["paid"] else everyone
        )
    return found


_SUPPORT: Final = _table()


@fact
class OsRelease:
    """Which operating system this is, os-release(5)."""

    id: str
    version: str
    name: str
    like: tuple[str, ...]

    @property
    def release(self) -> str:
        """The part of the version that support goes by: ``12``, ``22.04``, ``9``."""
        return self.version.partition(".")[0] if self.id in _BY_MAJOR else self.version


@probe("linux", text=OS_RELEASE)
def os_release(text: Raw) -> OsRelease:
    """Assignments as in a shell, os-release(5)."""
    values = {}
    for line in text.lines:
        if line.startswith("#"):
            continue
        key, mark, value = line.partition("=")
        words = shlex.split(value)
        if not mark or not key.replace("_", "").isalnum() or len(words) > 1:
            raise NotUnderstood("os-release: not an assignment")
        values[key] = words[0] if words else ""
    if "ID" not in values:
        raise NotUnderstood("os-release: no ID")
    return OsRelease(
        values["ID"], values.get("VERSION_ID", ""), values.get("PRETTY_NAME", values["ID"]),
        tuple(values.get("ID_LIKE", "").split()),
    )  # fmt: skip


def _support(system: OsRelease) -> Support:
    found = _SUPPORT.get((system.id, system.release))
    if found is None:
        raise NotUnderstood(f"{system.name}: until when it is supported is not known here")
    return found


@check(
    "end-of-support.release-supported",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="Het besturingssysteem krijgt nog beveiligingsupdates van de maker",
    why_nl=(
        "Na het einde van de ondersteuning worden nieuwe lekken bekend en nooit meer gedicht. Bijwerken"
        " helpt dan niet."
    ),
    fix="# plan the move to a supported release; Debian: release notes, chapter 4; Ubuntu: do-release-upgrade",
    verify="cat /etc/os-release",
    advice=(
        "With a paid extension (Ubuntu Pro, RHEL ELS, SUSE LTSS) set the tunable 'paid' for the hosts"
        " that have it."
    ),
    advice_nl=(
        "Met een betaalde verlenging (Ubuntu Pro, RHEL ELS, SUSE LTSS): zet 'paid' aan voor hosts die"
        " haar hebben."
    ),
    references=(
        "end_of_support.csv: date and source of each release, read 2026-11-23",
        "BIO2 1.3, control 8.08",
    ),
)
def release_supported(
    system: OsRelease,
    now: ScanTime,
    *,
    paid: Annotated[bool, "whether extended support has been bought for these hosts"] = False,
) -> Verdict:
    """The operating system still gets security updates from its maker.

    After the end of support new holes become known and are never closed. Updating does not help then.
    """
    support = _support(system)
    ends = support.paid if paid else support.everyone
    return holds(now <= ends, f"{support.name}: supported until {ends:%Y-%m-%d}", f"after {now:%Y-%m-%d}")


@check(
    "end-of-support.time-to-move",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    title_nl="Er is nog genoeg tijd om naar een volgende versie te gaan",
    why_nl="Een overstap vraagt testen en overleg. Wie pas begint als de ondersteuning stopt, is te laat.",
    fix="# plan the move to a supported release; Debian: release notes, chapter 4; Ubuntu: do-release-upgrade",
    verify="cat /etc/os-release",
    references=("end_of_support.csv: date and source of each release, read 2026-11-23",),
)
def time_to_move(
    system: OsRelease,
    now: ScanTime,
    *,
    days: Annotated[int, "days of support that must be left"] = 180,
    paid: Annotated[bool, "whether extended support has been bought for these hosts"] = False,
) -> Verdict:
    """There is enough time left to move to a next release.

    A move takes testing and consultation. Who begins when support stops is too late.
    """
    support = _support(system)
    left = ((support.paid if paid else support.everyone) - now).days
    return holds(
        left >= days, f"{support.name}: {max(left, 0)} days of support left", f"at least {days} days"
    )


DEBIAN_12: Final = """PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
"""
UBUNTU_20: Final = """PRETTY_NAME="Ubuntu 20.04.6 LTS"
NAME="Ubuntu"
VERSION_ID="20.04"
ID=ubuntu
ID_LIKE=debian
"""
ROCKY_9: Final = """NAME="Rocky Linux"
VERSION="9.4 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"
"""
_SOON: Final = datetime.fromisoformat("2028-05-01T12:00:00+00:00")
examples(
    release_supported,
    passes=[DEBIAN_12, ROCKY_9],
    fails=[UBUNTU_20, DEBIAN_12.replace("12", "11")],
    unknown=['ID=arch\nPRETTY_NAME="Arch Linux"\n', "ID=debian\n", "no assignment"],
)
examples(time_to_move, passes=[DEBIAN_12, ROCKY_9], fails=[{"text": DEBIAN_12, "now": _SOON}, UBUNTU_20])
