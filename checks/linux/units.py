"""What runs and is planned, by systemd and by cron: one question to each serves all topics that ask."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator

from checks.linux._answers import only_missing
from scanner import Command, NotUnderstood, Raw, fact, probe, read

# Patterns match what is loaded: everything that runs, failed, or is wanted at boot. A unit that is not among them is
# neither running nor enabled. Dates come in the zone of TZ, for `--timestamp=` is younger than RHEL 8.
UNITS: Final = Command(
    "env TZ=UTC systemctl show --all --property=Id,Names,LoadState,ActiveState,UnitFileState,Result,Unit"
    ",ExecMainExitTimestamp,LastTriggerUSec '*.service' '*.timer'",
    limit=4 << 20,
)
# What cron runs may hold passwords: of each line that is no remark only the name of a known tool is printed.
CRON: Final = Command(
    r"grep -RaoP '^[^#\n]*\K\b(aide|autorestic|backupninja|bacula|bareos|borg|borgmatic|duplicity|duply|kopia|mysqldump"
    r"|pg_dump|pg_dumpall|pgbackrest|proxmox-backup-client|rdiff-backup|restic|resticprofile|rsnapshot|samhain|tripwire)\b'"
    " /etc/crontab /etc/cron.d /etc/cron.hourly /etc/cron.daily /etc/cron.weekly /etc/cron.monthly /etc/anacrontab"
    " /var/spool/cron /var/spool/anacron",
    root=True,
    exits=(0, 1, 2),
)
_MOMENT: Final = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")


def _moment(value: str) -> datetime | None:
    if value in ("", "n/a"):
        return None
    found = _MOMENT.fullmatch(value)
    if not found:
        raise ValueError("not a moment as systemctl(1) writes it with TZ=UTC")
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


Moment = Annotated[datetime | None, BeforeValidator(_moment)]


@fact
class Unit:
    """One service or timer. ``names`` are all it goes by; ``ended`` and ``triggered`` are None when never, or not
    since the last start of the host.
    """

    id: str
    names: tuple[str, ...]
    load: str
    active: str
    file: str
    result: str = ""
    runs: str = ""
    ended: Moment = None
    triggered: Moment = None

    @property
    def is_active(self) -> bool:
        """Whether it runs, or (a timer) waits for its time."""
        return self.active in ("active", "reloading")

    @property
    def at_boot(self) -> bool:
        """Whether it starts by itself after a restart of the host."""
        return self.file in ("enabled", "static", "generated")


@fact
class Units:
    """Every service and timer that systemd has loaded."""

    all: tuple[Unit, ...]

    def get(self, name: str) -> Unit | None:
        """The unit that goes by this name; None when it neither runs nor is wanted at boot."""
        return next((unit for unit in self.all if name in unit.names), None)

    def active(self, *names: str) -> list[Unit]:
        """Those of these names that run, each once."""
        found = [unit for unit in self.all if unit.is_active and not set(names).isdisjoint(unit.names)]
        return sorted(found, key=lambda unit: unit.id)


@probe("linux", shown=UNITS)
def units(shown: Raw) -> Units:
    """Blocks of ``Property=value`` with an empty line between them, systemctl(1) show."""
    found: dict[str, Unit] = {}
    for block in re.split(r"\n{2,}", shown.text.strip("\n")):
        values = dict(line.split("=", 1) for line in block.split("\n"))
        unit = read(
            Unit,
            {
                "id": values["Id"],
                "names": tuple(values["Names"].split()),
                "load": values["LoadState"],
                "active": values["ActiveState"],
                "file": values["UnitFileState"],
                "result": values.get("Result", ""),
                "runs": values.get("Unit", ""),
                "ended": values.get("ExecMainExitTimestamp", ""),
                "triggered": values.get("LastTriggerUSec", ""),
            },
        )
        found[unit.id] = unit
    if not any(unit.is_active for unit in found.values()):
        raise NotUnderstood("systemctl show names no unit that runs")
    return Units(tuple(found.values()))


@fact
class CronUses:
    """Known tools that a line of cron names -> the files that do; see `CRON`."""

    tools: dict[str, tuple[str, ...]]

    def of(self, *names: str) -> list[str]:
        """``tool in file`` for those of these tools that cron runs."""
        return [f"{name} in {path}" for name in names for path in self.tools.get(name, ())]


@probe("linux", found=CRON)
def cron_uses(found: Raw) -> CronUses:
    """``file:tool`` on each line, grep(1)."""
    only_missing(found)
    tools: dict[str, tuple[str, ...]] = {}
    for line in found.lines:
        path, colon, name = line.rpartition(":")
        if not colon or not path.startswith("/"):
            raise NotUnderstood(f"grep says {line[:60]!r}")
        tools[name] = tuple(dict.fromkeys((*tools.get(name, ()), path)))
    return CronUses(tools)


def shown(*units: str) -> str:
    """An example of what systemctl says, beside the journal that always runs.

    Each unit is ``"name active enabled"``, or with more: ``"name active enabled Result=success ..."``; ``_`` stands for
    a space within a value.
    """
    blocks = []
    for line in ("systemd-journald.service active static", *units):
        name, active, file, *more = line.split()
        rest = [one.replace("_", " ") for one in more]
        blocks.append(
            "\n".join((f"Id={name}", f"Names={name}", "LoadState=loaded", f"ActiveState={active}",
                       f"UnitFileState={file}", *rest))
        )  # fmt: skip
    return "\n\n".join(blocks) + "\n"
