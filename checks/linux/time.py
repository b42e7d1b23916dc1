"""Whether the host knows what time it is, from whom, and whether that agrees with the scanner.

Looked at are chrony, systemd-timesyncd and ntpd. In a container the clock is that of its host: there is nothing to
judge but whether it is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Annotated, Final

from checks.linux._answers import named
from checks.linux.units import Units, shown
from scanner import (
    FAIL_SECURE,
    IN_DEPTH,
    NO_GAP,
    Absent,
    Command,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    State,
    Timed,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_OFF: Final = "506 Cannot talk to daemon"
#: The reference ID of local reference mode, chrony.conf(5) local.
_LOCAL_MODE: Final = "7F7F0101"
_DAEMONS: Final = (
    "chrony.service", "chronyd.service", "systemd-timesyncd.service", "ntp.service", "ntpd.service", "ntpsec.service",
    "openntpd.service",
)  # fmt: skip


@fact
class HostClock:
    """How far the clock of the host is ahead of the scanner's, in seconds; negative when it is behind."""

    offset_seconds: float


@probe("linux", date=Command("date -u +%s.%N"))
def host_clock(date: Timed) -> HostClock:
    """Seconds since 1970 with nine decimals, beside the scanner's time halfway between question and answer."""
    said = date.text.strip()
    if not re.fullmatch(r"\d{9,11}\.\d{9}", said):
        raise NotUnderstood(f"date says {said[:40]!r}")
    return HostClock(round(float(said) - (date.at - date.took / 2), 3))


@check(
    "time.agrees-with-scanner",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="De klok wijkt niet af van die van de scanner",
    why_nl="Wie logboeken van twee hosts naast elkaar legt, moet op de tijd kunnen vertrouwen. Certificaten en "
    "Kerberos weigeren "
    "bovendien bij een klok die verkeerd staat.",
    fix="chronyc makestep    # or: systemctl restart systemd-timesyncd",
    verify="date -u",
    references=("ISO/IEC 27002:2022 8.17", "RFC 4120 7.1: clock skew of 5 minutes at most"),
    advice="When every host is off by the same time, look at the clock of the scanner.",
    advice_nl="Wijken alle hosts evenveel af, kijk dan naar de klok van de scanner.",
)
def agrees_with_scanner(
    clock: HostClock,
    *,
    seconds: Annotated[float, "seconds that the clocks may differ; the network is in it"] = 2.0,
) -> Verdict:
    """The clock does not differ from that of the scanner.

    Whoever lays the logs of two hosts side by side must be able to trust the time. And certificates and Kerberos refuse
    with a clock that is wrong.
    """
    return holds(
        abs(clock.offset_seconds) <= seconds,
        f"{clock.offset_seconds:+.3f} s",
        f"within {seconds} s of the scanner",
    )


examples(
    agrees_with_scanner,
    passes=["1795435200.125000000\n", "1795435198.500000000\n"],
    fails=["1795435260.000000000\n", "1795431600.000000000\n"],
    unknown=["", "1795435200.N\n", "Mon Nov 23\n"],
)


@fact
class Tracking:
    """What chrony says of its clock, chronyc(1) tracking. ``alone`` is its local mode: it follows nobody but itself.

    ``age_seconds`` is how long ago a source was last heard; chrony stays as sure as it was then.
    """

    alone: bool
    stratum: int
    offset_seconds: float
    leap: str
    age_seconds: float


@fact
class KernelClock:
    """Whether the kernel counts its clock as synchronised; a daemon tells it so."""

    synchronised: bool


@fact
class Container:
    """The kind of container this is, or ``none``."""

    kind: str


@probe("linux", tracking=Command("chronyc -c tracking", needs="chronyc", exits=(0, 1)))
def tracking(tracking: Timed) -> Tracking:
    """Fourteen values with commas between them; one line in words when chronyd does not run."""
    line = tracking.text.strip()
    if line == _OFF:
        raise Absent("chronyd does not run")
    values = line.split(",")
    if len(values) != 14:
        raise NotUnderstood(f"chronyc tracking says {line[:60]!r}")
    age = tracking.at - float(values[3])
    return Tracking(values[0] == _LOCAL_MODE, int(values[2]), float(values[4]), values[13], age)


@probe("linux", shown=Command("timedatectl show"))
def kernel_clock(shown: Raw) -> KernelClock:
    """``NTPSynchronized=yes``, timedatectl(1) show."""
    values = dict(line.split("=", 1) for line in shown.lines)
    return KernelClock({"yes": True, "no": False}[values["NTPSynchronized"]])


@probe("linux", kind=Command("systemd-detect-virt --container", exits=(0, 1)))
def container(kind: Raw) -> Container:
    """One word, systemd-detect-virt(1)."""
    word = kind.text.strip()
    if not re.fullmatch(r"[a-z0-9-]+", word) or (word == "none") != (kind.code == 1):
        raise NotUnderstood(f"systemd-detect-virt says {word[:40]!r}")
    return Container(word)


@check(
    "time.synchronised",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    title_nl="De klok loopt gelijk met een tijdbron",
    why_nl="Zonder tijdbron loopt elke klok weg. Dan kloppen logboeken, certificaten en wachtwoorden met een "
    "vervaldatum niet meer.",
    fix="apt install chrony\nsystemctl enable --now chrony",
    verify="chronyc tracking    # Leap status: Normal\ntimedatectl show -p NTPSynchronized",
    references=("chronyc(1) tracking", "timedatectl(1)", "ISO/IEC 27002:2022 8.17"),
)
def synchronised(
    chrony: Tracking | None,
    kernel: KernelClock,
    *,
    seconds: Annotated[float, "seconds that the clock may be off by its own measure"] = 0.1,
    silence: Annotated[float, "seconds that all sources of chrony may be silent"] = 86400.0,
) -> Verdict:
    """The clock keeps time with a source.

    Without a source every clock drifts. Then logs, certificates and passwords with an end date are no longer right.
    """
    expected = f"synchronised, off by {seconds} s at most"
    if chrony is None:
        said = "synchronised" if kernel.synchronised else "not synchronised"
        return holds(kernel.synchronised, f"the kernel's clock is {said}", expected)
    silent = chrony.age_seconds > silence
    good = (
        chrony.leap in ("Normal", "Insert second", "Delete second")
        and chrony.stratum > 0
        and not chrony.alone
        and not silent
    )
    return holds(
        good and abs(chrony.offset_seconds) <= seconds,
        f"chrony: {'its own clock, ' if chrony.alone else ''}{chrony.leap}, stratum {chrony.stratum},"
        f" off by {chrony.offset_seconds:+.6f} s{', but no source was heard of late' if silent else ''}",
        expected,
    )


_TRACKED: Final = (
    "7F000002,ntp.example.nl,4,1795434870.156149866,-0.000001577,0.000000071,0.000002062,0.088,0.003,0.992,"
    "0.000006166,0.000003320,1.0,Normal\n"
)
_LOST: Final = (
    "00000000,,0," + "0.000000000," * 4 + "0.000," * 3 + "1.000000000,1.000000000,0.0,Not synchronised\n"
)
_SHOW: Final = "Timezone=Etc/UTC\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes\n"
_ALONE: Final = _SHOW.replace("NTPSynchronized=yes", "NTPSynchronized=no")
_NO_CHRONY: Final = Gap(State.NOTAPPLICABLE, None, "chronyc is not on the host")
examples(
    synchronised,
    passes=[
        {"tracking": _TRACKED, "shown": _SHOW},
        {"tracking": _NO_CHRONY, "shown": _SHOW},
        {"tracking": Raw(b"506 Cannot talk to daemon\n", b"", 1), "shown": _SHOW},
    ],
    fails=[
        {"tracking": _LOST, "shown": _SHOW},
        {"tracking": _TRACKED.replace("7F000002,ntp.example.nl,4", "7F7F0101,,10"), "shown": _SHOW},
        {"tracking": _TRACKED.replace("-0.000001577", "3.250000000"), "shown": _SHOW},
        # chronyd 4.3 says Normal for ever after its only source went away.
        {"tracking": _TRACKED.replace("1795434870", "1794830070"), "shown": _SHOW},
        {"tracking": _NO_CHRONY, "shown": _ALONE},
    ],
    unknown=[
        {"tracking": "", "shown": _SHOW},
        {"tracking": Raw(b"501 Not authorised\n", b"", 1), "shown": _SHOW},
        {"tracking": _NO_CHRONY, "shown": "Timezone=Etc/UTC\n"},
    ],
)


@check(
    "time.one-service",
    principle=FAIL_SECURE,
    severity=Severity.LOW,
    layer=Layer.DETECTION,
    title_nl="Precies één tijddienst zet de klok, ook na een herstart",
    why_nl="Twee tijddiensten trekken ieder aan de klok. Zonder tijddienst die vanzelf start loopt de klok na "
    "een herstart weg.",
    fix="systemctl disable --now systemd-timesyncd\nsystemctl enable --now chrony",
    verify="systemctl is-active chrony systemd-timesyncd ntpsec; systemctl is-enabled chrony",
    references=("chronyd(8)", "systemd-timesyncd.service(8)"),
)
def one_service(units: Units, container: Container) -> Verdict:
    """Exactly one time service sets the clock, and will after a restart.

    Two of them pull at the clock, each its own way. Without one that starts by itself the clock drifts after a restart.
    """
    if container.kind != "none":
        raise Absent(f"a {container.kind} container: the clock is that of its host")
    running = units.active(*_DAEMONS)
    said = [f"{unit.id} ({unit.file})" for unit in running]
    return holds(
        len(running) == 1 and running[0].at_boot,
        f"running: {named(said) or 'none'}",
        "one, running and enabled",
    )


_IRON: Final = Raw(b"none\n", b"", 1)
examples(
    one_service,
    passes={"shown": shown("chrony.service active enabled"), "kind": _IRON},
    fails=[
        {
            "shown": shown("chrony.service active enabled", "systemd-timesyncd.service active enabled"),
            "kind": _IRON,
        },
        {"shown": shown("chrony.service active disabled"), "kind": _IRON},
        {"shown": shown("ntpsec.service failed enabled"), "kind": _IRON},
    ],
    notapplicable={"shown": shown(), "kind": "lxc\n"},
    unknown=[
        {"shown": shown(), "kind": ""},
        {"shown": shown(), "kind": "none\n"},
        {"shown": "", "kind": _IRON},
    ],
)


# --- sources --------------------------------------------------------------------------------------------------


@fact
class TimeSources:
    """Where the time comes from: the names or addresses as configured, and how many of them can be used now.

    ``clocks`` counts those that hang on the host itself (a reference clock). ``usable`` is None when that is not known.
    """

    daemon: str
    names: tuple[str, ...]
    usable: int | None
    clocks: int = 0


@probe(
    "linux",
    chrony=Command("chronyc -c -N sources", needs="chronyc", exits=(0, 1)),
    ntp=Command("ntpq -pn", needs="ntpq", exits=(0, 1)),
    timesyncd=Command("systemd-analyze cat-config systemd/timesyncd.conf", exits=(0, 1)),
)
def time_sources(
    chrony: Raw | None, ntp: Raw | None, timesyncd: Raw, units: Units, container: Container
) -> TimeSources:
    """The sources of the one service that runs; each in its own form."""
    if container.kind != "none":
        raise Absent(f"a {container.kind} container: the clock is that of its host")
    running = units.active(*_DAEMONS)
    if not running:
        raise Absent("no time service runs")
    if len(running) > 1:
        raise NotUnderstood(f"{named([unit.id for unit in running])} all set the clock")
    name = running[0].id
    if name in ("chrony.service", "chronyd.service") and chrony:
        return _chrony(chrony.lines)
    if name == "systemd-timesyncd.service" and timesyncd.code == 0:
        return _timesyncd(timesyncd.lines)
    if name in ("ntp.service", "ntpd.service", "ntpsec.service") and ntp and ntp.code == 0:
        return _ntp(ntp.lines)
    raise NotUnderstood(f"the sources of {name} are not read")


def _chrony(lines: list[str]) -> TimeSources:
    rows = [line.split(",") for line in lines]
    for row in rows:
        if len(row) != 10 or row[0] not in ("^", "=", "#") or row[1] not in ("*", "+", "-", "?", "x", "~"):
            raise NotUnderstood(f"chronyc sources says {','.join(row)[:60]!r}")
    usable = [row for row in rows if row[1] in ("*", "+", "-") and int(row[5]) > 0]
    return TimeSources(
        "chrony",
        tuple(dict.fromkeys(row[2] for row in rows)),
        len(usable),
        sum(row[0] == "#" for row in usable),
    )


def _timesyncd(lines: list[str]) -> TimeSources:
    if "[Time]" not in lines:
        raise NotUnderstood("timesyncd.conf has no [Time]")
    found: dict[str, list[str]] = {"NTP": [], "FallbackNTP": []}
    # The file shows the built-in fallback behind a '#', timesyncd.conf(5).
    for line in [line[1:] for line in lines if line.startswith("#FallbackNTP=")] + lines:
        name, equals, value = line.partition("=")
        if equals and name.strip() in found:
            found[name.strip()] = [*found[name.strip()], *value.split()] if value.strip() else []
    names = found["NTP"] or found["FallbackNTP"]
    if not names:
        raise NotUnderstood("timesyncd.conf names no server")
    return TimeSources("systemd-timesyncd", tuple(dict.fromkeys(names)), None)


def _ntp(lines: list[str]) -> TimeSources:
    if len(lines) < 2 or not lines[0].split()[:2] == ["remote", "refid"]:
        raise NotUnderstood(f"ntpq says {' '.join(lines)[:60]!r}")
    names, usable, clocks = [], 0, 0
    for line in lines[2:]:
        words = line[1:].split()
        if len(words) < 10:
            raise NotUnderstood(f"ntpq says {line[:60]!r}")
        if words[1] == ".POOL.":
            continue
        names.append(words[0])
        good = line[0] in "*+o-#" and words[-4] != "0"
        usable += good
        clocks += good and words[0].startswith("127.127.")
    return TimeSources("ntpd", tuple(dict.fromkeys(names)), usable, clocks)


@check(
    "time.enough-sources",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.DETECTION,
    title_nl="De klok volgt genoeg tijdbronnen om een foute te herkennen",
    why_nl="Wie één klok heeft weet hoe laat het is, wie er twee heeft weet het niet, wie er drie heeft ziet "
    "welke fout is.",
    fix="printf 'server %s iburst\\n' ntp1.example.nl ntp2.example.nl ntp3.example.nl > "
    "/etc/chrony/sources.d/own.sources\n"
    "chronyc reload sources",
    verify="chronyc -N sources",
    references=("RFC 8633 3.2: use at least four sources", "chrony.conf(5)"),
    advice="RHEL: write the lines in /etc/chrony.conf. systemd-timesyncd follows one source at a time: use chrony.",
    advice_nl="RHEL: zet de regels in /etc/chrony.conf. systemd-timesyncd volgt één bron tegelijk: gebruik chrony.",
)
def enough_sources(
    sources: TimeSources,
    *,
    at_least: Annotated[int, "usable time sources; a clock of the host itself is enough too"] = 3,
) -> Verdict:
    """The clock follows enough sources to know a wrong one.

    With one clock you know what time it is, with two you do not, with three you see which one is wrong.
    """
    expected = f"{at_least} usable sources, or a reference clock"
    if sources.usable is None:
        return holds(False, f"{sources.daemon} follows one source at a time", expected)
    return holds(
        sources.usable >= at_least or sources.clocks > 0,
        f"{sources.usable} usable of {len(sources.names)}: {named(list(sources.names))}",
        expected,
    )


@check(
    "time.approved-sources",
    principle=NO_GAP,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="De tijd komt van aangewezen bronnen",
    why_nl="Wie de tijdbron beheert kan de klok verzetten. Een openbare pool bestaat uit onbekende "
    "vrijwilligers, en elke host kan er "
    "andere krijgen.",
    fix="sed -i -E 's/^(pool|server) /# &/' /etc/chrony/chrony.conf\n"
    "printf 'server %s iburst\\n' ntp1.example.nl ntp2.example.nl ntp3.example.nl > "
    "/etc/chrony/sources.d/own.sources\n"
    "systemctl restart chrony",
    verify="chronyc -N sources",
    references=("ISO/IEC 27002:2022 8.17", "time.nl (SIDN Labs)"),
    advice="Say in the profile which sources are yours.",
    advice_nl="Geef in het profiel aan welke bronnen van u zijn.",
)
def approved_sources(
    sources: TimeSources,
    *,
    approved: Annotated[tuple[str, ...], "patterns of names, and networks, of time sources that may be followed"] = (
        "*.time.nl", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
        "fe80::/10", "::1/128", "PHC*", "PPS*", "GPS*", "NMEA*", "SHM*",
    ),
) -> Verdict:  # fmt: skip
    """The time comes from appointed sources.

    Whoever runs the source can move the clock. A public pool consists of unknown volunteers, and every host may get
    others.
    """
    strange = [name for name in sources.names if not _approved(name, approved)]
    if not sources.names:
        raise NotUnderstood(f"{sources.daemon} names no source")
    return holds(
        not strange,
        f"not appointed: {named(strange)}" if strange else named(list(sources.names)),
        named(list(approved)),
    )


def _approved(name: str, approved: Iterable[str]) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in approved)
    return any(pattern == name or ("/" in pattern and address in ip_network(pattern)) for pattern in approved)


_CHRONY: Final = shown("chrony.service active enabled")
_THREE: Final = """^,*,ntp1.time.nl,1,6,377,14,0.000000151,0.000000222,0.000003135
^,+,ntp2.time.nl,1,6,377,15,-0.000000219,-0.000000162,0.000003249
^,-,10.1.2.3,2,6,17,12,0.000000300,0.000000310,0.000004100
"""
_POOL: Final = """^,*,2.debian.pool.ntp.org,2,6,377,14,0.000000151,0.000000222,0.000003135
^,?,2.debian.pool.ntp.org,0,6,0,4294967295,0.000000000,0.000000000,0.000000000
"""
_NTPQ: Final = """     remote           refid      st t when poll reach   delay   offset  jitter
==============================================================================
 0.pool.ntp.org  .POOL.          16 p    -   64    0    0.000    0.000   0.001
*10.1.1.1        .GPS.            1 u   36   64  377    0.512    0.021   0.030
+10.1.1.2        10.1.1.1         2 u   35   64  377    0.498    0.019   0.028
+10.1.1.3        10.1.1.1         2 u   31   64  377    0.488    0.017   0.025
"""
_TIMESYNCD: Final = (
    "# /etc/systemd/timesyncd.conf\n[Time]\n#NTP=\n#FallbackNTP=0.debian.pool.ntp.org 1.debian.pool.ntp.org\n"
)
_FAILED: Final = Raw(b"", b"No files found for systemd/timesyncd.conf.\n", 1)


def _with_chrony(sources: str) -> dict[str, object]:
    return {"chrony": sources, "timesyncd": _FAILED, "shown": _CHRONY, "kind": _IRON}


def _with_timesyncd(conf: str) -> dict[str, object]:
    return {"timesyncd": conf, "shown": shown("systemd-timesyncd.service active enabled"), "kind": _IRON}


_WITH_NTP: Final = {
    "ntp": _NTPQ,
    "timesyncd": _FAILED,
    "shown": shown("ntpsec.service active enabled"),
    "kind": _IRON,
}
_NO_ANSWER: Final = [
    {"timesyncd": _FAILED, "shown": _CHRONY, "kind": _IRON},
    {**_with_chrony(""), "chrony": Raw(b"506 Cannot talk to daemon\n", b"", 1)},
    {**_with_timesyncd(""), "timesyncd": _FAILED},
    {**_WITH_NTP, "ntp": Raw(b"", b"ntpq: read: Connection refused\n", 1)},
    {**_WITH_NTP, "shown": shown("openntpd.service active enabled")},
    {**_WITH_NTP, "shown": shown("openntpd.service active enabled", "chrony.service active enabled")},
]
_NO_SERVICE: Final = [
    {"timesyncd": _FAILED, "shown": shown(), "kind": _IRON},
    {"timesyncd": _FAILED, "shown": shown(), "kind": "systemd-nspawn\n"},
]
examples(
    enough_sources,
    passes=[
        _with_chrony(_THREE),
        _WITH_NTP,
        _with_chrony(_THREE[:0] + "#,*,PHC0,0,3,377,6,0.000000005,0.000000007,0.000000120\n"),
    ],
    fails=[_with_chrony(_POOL), _with_timesyncd(_TIMESYNCD), _with_chrony("")],
    notapplicable=_NO_SERVICE,
    unknown=_NO_ANSWER,
)
examples(
    approved_sources,
    passes=[_with_chrony(_THREE), _WITH_NTP, _with_timesyncd(_TIMESYNCD + "NTP=10.0.0.1\n")],
    fails=[
        _with_chrony(_POOL),
        _with_timesyncd(_TIMESYNCD),
        _with_chrony(_THREE.replace("10.1.2.3", "203.0.113.9")),
    ],
    notapplicable=_NO_SERVICE,
    unknown=[*_NO_ANSWER, _with_chrony("")],
)
