"""Security updates: whether they are in, whether they come by themselves, and whether the host knows of them at all.

Nothing is refreshed: the package lists are read as they lie there. So their age counts first: on old lists "nothing is
waiting" means nothing. For apt that age is the date in the signed list of the security suite itself.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Final

from checks.linux._answers import named, only_missing
from checks.linux.end_of_support import DEBIAN_12, ROCKY_9, OsRelease
from checks.linux.units import Units, shown
from scanner import (
    SECURE_DEPLOYMENT,
    Absent,
    Command,
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

APT: Final = Command(
    "apt list --upgradable --all-versions", needs="apt", slow=True, timeout=60, limit=8 << 20
)
APT_LISTS: Final = Command(
    "grep -rHE '^(Origin|Label|Suite|Codename|Date): ' --include=*Release /var/lib/apt/lists",
    root=True,
    needs="apt",
    exits=(0, 1),
    timeout=20,
)
DNF: Final = Command(
    "dnf -q -C updateinfo list --security", root=True, needs="dnf", slow=True, timeout=60, limit=4 << 20
)
#: 100 says that something waits, dnf(8).
DNF_ALL: Final = Command(
    "dnf -q -C check-update",
    root=True, needs="dnf", slow=True, timeout=60, limit=4 << 20, exits=(0, 100),
)  # fmt: skip
DNF_CACHE: Final = Command(
    "find /var/cache/dnf /var/cache/libdnf5 -regextype posix-extended"
    " -regex '.*/(repomd[.]xml|[^/]*updateinfo[^/]*)' -printf '%T@ %p\\n'",
    root=True,
    needs="dnf",
    exits=(0, 1),
)
#: Of these the package lists say which updates are for security.
_WITH_ADVISORIES: Final = frozenset({"rhel", "rocky", "almalinux", "ol", "fedora"})


@fact
class Waiting:
    """Updates of security that are known to the host and not installed."""

    security: tuple[str, ...]


@fact
class Pending:
    """Every update that is known to the host and not installed."""

    packages: tuple[str, ...]


@fact
class Lists:
    """How old the knowledge of updates is: the date of the security lists, oldest first of several."""

    dated: datetime
    source: str


@fact
class Kernels:
    """The kernel that runs, and those installed; ``asked`` when the system itself asks for a restart."""

    running: str
    installed: tuple[str, ...]
    asked: bool


@fact
class Automatic:
    """Whether security updates install themselves, and what does it."""

    on: bool
    how: str


@probe("linux", apt=APT, dnf=DNF)
def waiting(system: OsRelease, apt: Raw | None, dnf: Raw | None) -> Waiting:
    """`apt list`: ``name/suites version architecture [state]`` for every version of a package, the newest first; `dnf
    updateinfo list`: an advisory, its kind and a package per line (version 5: the severity before the package).
    """
    if apt is not None:
        return Waiting(_apt(apt)[0])
    if dnf is None:
        raise NotUnderstood(f"{system.name}: no package manager that is known here (apt, dnf)")
    if system.id not in _WITH_ADVISORIES:
        raise NotUnderstood(f"{system.name}: its package lists do not say which updates are for security")
    found = []
    for line in dnf.lines:
        matched = re.fullmatch(r"(\S+)\s+(\S+/Sec\.|security)\s+(.*\S)\s*", line)
        if matched:
            found.append(
                next(word for word in reversed(matched[3].split()) if "-" in word and ":" not in word[-3:])
            )
        elif not line.startswith(("Name ", "Last metadata", "Updating Subscription")):
            raise NotUnderstood(f"not a line of dnf updateinfo: {line[:80]}")
    return Waiting(tuple(found))


@probe("linux", apt=APT, dnf=DNF_ALL)
def pending(system: OsRelease, apt: Raw | None, dnf: Raw | None) -> Pending:
    """`apt list` as above; `dnf check-update`: ``name.architecture version repository``, and then what is replaced."""
    if apt is not None:
        return Pending(_apt(apt)[1])
    if dnf is None:
        raise NotUnderstood(f"{system.name}: no package manager that is known here (apt, dnf)")
    found = []
    for line in dnf.lines:
        if line.lower().startswith("obsoleting packages"):
            break
        matched = re.fullmatch(r"(\S+)\.\w+\s+\S+\s+\S+\s*", line)
        if matched:
            found.append(matched[1])
        elif not line.startswith(("Security: ", "Last metadata", "Updating Subscription")):
            raise NotUnderstood(f"not a line of dnf check-update: {line[:80]}")
    if bool(found) != (dnf.code == 100):
        raise NotUnderstood(f"dnf check-update ends with {dnf.code} and names {len(found)} updates")
    return Pending(tuple(found))


def _apt(apt: Raw) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The packages with an update of security, and all with an update."""
    first, _, rest = apt.text.partition("\n")
    if not first.startswith("Listing..."):
        raise NotUnderstood("not an answer of apt list")
    security, every = [], []
    for block in re.split(r"\n{2,}", rest.strip("\n")) if rest.strip("\n") else ():
        newer: list[str] = []  # the suites of the versions above the one that is installed
        for line in block.split("\n"):
            matched = re.fullmatch(r"([^/\s]+)/(\S+) (\S+) (\S+)(?: \[([^\]]*)\])?", line)
            if not matched:
                raise NotUnderstood(f"not a line of apt list: {line[:80]}")
            if (matched[5] or "").startswith("installed"):
                break
            newer += matched[2].split(",")
        else:
            raise NotUnderstood(f"apt list does not say which version is installed: {block[:80]}")
        every.append(matched[1])
        if any("security" in suite for suite in newer):
            security.append(matched[1])
    return tuple(security), tuple(every)


@probe("linux", apt=APT_LISTS, dnf=DNF_CACHE)
def lists(system: OsRelease, apt: Raw | None, dnf: Raw | None) -> Lists:
    """``file:Field: value`` of every signed list of apt; the moment of the last refresh of every list of dnf."""
    if apt is not None:
        return _apt_lists(apt)
    if dnf is None:
        raise NotUnderstood(f"{system.name}: no package manager that is known here (apt, dnf)")
    only_missing(dnf)
    times: dict[str, float] = {}
    advisories = set()
    for line in dnf.lines:
        seconds, _, path = line.partition(" ")
        repository = path.partition("/repodata/")[0]
        if path.endswith("/repomd.xml"):
            times[repository] = float(seconds)
        elif "updateinfo" in path:
            advisories.add(repository)
        else:
            raise NotUnderstood("not an answer of find")
    if not times:
        raise NotUnderstood("dnf has no package lists: nothing is known of updates")
    if not advisories:
        # A mirror may leave them out; then dnf finds no update for security, ever.
        raise NotUnderstood(
            "the package lists of dnf hold no advisories: which updates are for security is not known"
        )
    # Those of another repository (EPEL) say nothing of the system itself.
    if silent := [one for one in times if one not in advisories and re.search(r"baseos|appstream", one)]:
        raise NotUnderstood(f"no advisories in {named(silent)}: what waits from there is not known")
    return Lists(datetime.fromtimestamp(min(times.values()), UTC), "dnf")


def _apt_lists(apt: Raw) -> Lists:
    found: dict[str, dict[str, str]] = {}
    for line in apt.lines:
        path, mark, rest = line.partition(":")
        key, colon, value = rest.partition(": ")
        if not mark or not colon:
            raise NotUnderstood("not a field of a package list")
        found.setdefault(path, {})[key] = value.strip()
    if not found:
        raise NotUnderstood("apt has no package lists: nothing is known of updates")
    security = [
        values
        for values in found.values()
        if "security" in f"{values.get('Suite')} {values.get('Codename')} {values.get('Label')}".lower()
    ]
    if not security:
        raise NotUnderstood("no package list is one of a security suite")
    oldest = min(security, key=lambda values: parsedate_to_datetime(values["Date"]))
    return Lists(parsedate_to_datetime(oldest["Date"]).astimezone(UTC), oldest.get("Suite", "security"))


@probe(
    "linux",
    release=Command("uname -r"),
    boot=Command("find /boot -maxdepth 1 -name 'vmlinu[xz]-*' -printf '%f\\n'"),
    required=File("/run/reboot-required"),
)
def kernels(release: Raw, boot: Raw, required: Raw | None) -> Kernels:
    """The names of the kernels in /boot, and the flag that Debian's packages leave behind."""
    (running,) = release.lines
    names = tuple(re.sub(r"^vmlinu[xz]-", "", name) for name in boot.lines)
    if not all(re.fullmatch(r"[\w.+~-]+", name) for name in (running, *names)):
        raise NotUnderstood("not names of kernels")
    return Kernels(running, tuple(name for name in names if "rescue" not in name), required is not None)


@probe(
    "linux",
    config=Command("apt-config dump APT::Periodic Unattended-Upgrade", needs="apt-config"),
    installed=Command(
        "dpkg-query -W -f '${db:Status-Status}' unattended-upgrades", needs="dpkg-query", exits=(0, 1)
    ),
    dnf=File("/etc/dnf/automatic.conf"),
)
def automatic(
    system: OsRelease, config: Raw | None, installed: Raw | None, dnf: Raw | None, units: Units
) -> Automatic:
    """apt.conf(5) of unattended-upgrades, or dnf-automatic(8) with its timers."""
    if config is not None and installed is not None:
        on = dict(re.findall(r'(?m)^APT::Periodic::([\w-]+) "([^"]*)";$', config.text))
        if not re.fullmatch(r"((APT::Periodic|Unattended-Upgrade)\b.*;\n?)*", config.text):
            raise NotUnderstood("not an answer of apt-config")
        origins = re.findall(
            r'(?m)^Unattended-Upgrade::(?:Allowed-Origins|Origins-Pattern)::\S* "([^"]+)";$', config.text
        )
        faults = []
        if installed.code or installed.text.strip() != "installed":
            faults.append("unattended-upgrades is not installed")
        if on.get("Enable", "1") == "0":
            faults.append('APT::Periodic::Enable "0"')
        if on.get("Unattended-Upgrade", "0") == "0":
            faults.append('APT::Periodic::Unattended-Upgrade "0"')
        if on.get("Update-Package-Lists", "0") == "0":
            faults.append('APT::Periodic::Update-Package-Lists "0"')
        for name in ("apt-daily.timer", "apt-daily-upgrade.timer"):
            timer = units.get(name)
            if timer is None or not timer.is_active:
                faults.append(f"{name} does not run")
        if not origins:
            faults.append("unattended-upgrades may take updates from nowhere: no Origins-Pattern")
        if not faults and not any("security" in origin.lower() for origin in origins):
            raise NotUnderstood(f"whether updates of security come from {named(origins)} is not known here")
        return Automatic(not faults, "; ".join(faults) or "unattended-upgrades")
    if "fedora" not in (system.id, *system.like):
        raise NotUnderstood(f"{system.name}: what installs updates there is not known here")
    active = units.active("dnf-automatic-install.timer", "dnf-automatic.timer", "dnf5-automatic.timer")
    if not active:
        return Automatic(False, "no timer of dnf-automatic runs")
    if active[0].id == "dnf-automatic-install.timer":
        return Automatic(True, active[0].id)
    if dnf is None:
        raise NotUnderstood(f"{active[0].id} runs, but /etc/dnf/automatic.conf is not there")
    applies = re.search(r"(?mi)^\s*apply_updates\s*=\s*(yes|true|1)\s*$", dnf.text) is not None
    return Automatic(applies, f"{active[0].id}, apply_updates {'yes' if applies else 'no'}")


def _stale(lists: Lists, now: ScanTime, days: int) -> bool:
    if lists.dated > now + timedelta(days=1):
        raise NotUnderstood(f"the package lists are of {lists.dated:%Y-%m-%d}, which is still to come")
    return lists.dated < now - timedelta(days=days)


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "updates.security-installed",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="Alle bekende beveiligingsupdates zijn geïnstalleerd",
    why_nl=(
        "Van een lek waarvoor een update bestaat, weet iedereen hoe het werkt. De BIO2 geeft voor ernstige lekken een"
        " week; wie elke dag scant, ziet op tijd wat er ligt."
    ),
    fix="apt-get update && apt-get upgrade    # or: dnf upgrade --security",
    verify="apt list --upgradable",
    advice="Restart the services (or the host) afterwards: what runs still uses the old files.",
    advice_nl="Herstart daarna de diensten (of de host): wat draait, gebruikt nog de oude bestanden.",
    references=("BIO2 1.3, measure 8.08.01", "apt(8)", "dnf(8) updateinfo"),
)
def security_installed(
    waiting: Waiting,
    lists: Lists,
    now: ScanTime,
    *,
    most_days: Annotated[int, "days after which the package lists say nothing about today"] = 7,
) -> Verdict:
    """All known security updates are installed.

    How a hole works is known to everyone once there is an update for it. BIO2 gives a week for serious ones; who scans
    daily sees in time what is waiting.
    """
    if waiting.security:
        return holds(False, f"{len(waiting.security)} waiting: {named(list(waiting.security))}", "none")
    if _stale(lists, now, most_days):
        raise NotUnderstood(
            f"the package lists are of {lists.dated:%Y-%m-%d}: nothing is known of what came after"
        )
    return holds(True, f"none waiting, by lists of {lists.dated:%Y-%m-%d}", "none")


@check(
    "updates.lists-fresh",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="De host weet van de nieuwste beveiligingsupdates",
    why_nl=(
        "Wie de lijsten niet ververst, ziet nooit een update liggen. Dan lijkt alles bij, terwijl niets"
        " bekend is."
    ),
    fix="apt-get update\nsystemctl enable --now apt-daily.timer    # or: dnf makecache",
    verify="grep -rH '^Date:' --include=*Release /var/lib/apt/lists",
    advice="Debian publishes a new security list daily; a mirror that stands still shows here too.",
    advice_nl="Debian publiceert elke dag een nieuwe lijst; een spiegel die stilstaat is hier ook te zien.",
    references=("apt-secure(8)", "https://wiki.debian.org/DebianRepository/Format#Date.2C_Valid-Until"),
)
def lists_fresh(
    lists: Lists,
    now: ScanTime,
    *,
    most_days: Annotated[
        int, "days that the package lists may be old; apt itself refuses Debian's after 7"
    ] = 7,
) -> Verdict:
    """The host knows of the newest security updates.

    Who does not refresh the lists never sees an update. Then all seems done, while nothing is known.
    """
    age = -(lists.dated - now).days
    observed = f"lists ({lists.source}) of {lists.dated:%Y-%m-%d}, {age} days old"
    return holds(not _stale(lists, now, most_days), observed, f"at most {most_days} days old")


@check(
    "updates.few-waiting",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Er liggen ook geen andere updates te wachten",
    why_nl=(
        "Gewone updates herstellen fouten en maken de volgende beveiligingsupdate klein en veilig om te"
        " installeren."
    ),
    fix="apt-get update && apt-get full-upgrade    # or: dnf upgrade",
    verify="apt list --upgradable",
    references=("apt(8)",),
)
def few_waiting(
    pending: Pending,
    lists: Lists,
    now: ScanTime,
    *,
    most: Annotated[int, "updates that may be waiting"] = 20,
) -> Verdict:
    """No other updates are piling up either.

    Ordinary updates mend faults, and keep the next security update small and safe to install.
    """
    if len(pending.packages) <= most and _stale(lists, now, 30):
        raise NotUnderstood(
            f"the package lists are of {lists.dated:%Y-%m-%d}: nothing is known of what came after"
        )
    return holds(
        len(pending.packages) <= most,
        f"{len(pending.packages)} waiting: {named(list(pending.packages), 5)}",
        f"at most {most}",
    )


@check(
    "updates.restarted",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="De host draait op de nieuwste kernel die is geïnstalleerd",
    why_nl="Een nieuwe kernel die nog niet is gestart, dicht geen lek. Tot de herstart draait de oude door.",
    fix="systemctl reboot",
    verify="uname -r; ls /boot",
    advice="Plan the restart; of a cluster, one node at a time.",
    advice_nl="Plan de herstart; bij een cluster één knooppunt tegelijk.",
    references=("uname(1)", "Debian policy for /run/reboot-required: update-notifier-common"),
)
def restarted(kernels: Kernels) -> Verdict:
    """The host runs on the newest kernel that is installed.

    A new kernel that was not started yet closes no hole. Until the restart the old one runs on.
    """
    if kernels.asked:
        return holds(
            False, f"/run/reboot-required is there; running {kernels.running}", "no restart asked for"
        )
    if not kernels.installed:
        raise Absent("no kernel in /boot: the host's kernel comes from elsewhere")
    flavour = _flavour(kernels.running)
    alike = [name for name in kernels.installed if _flavour(name) == flavour]
    if kernels.running not in alike:
        raise NotUnderstood(
            f"{kernels.running} runs and is not in /boot, which has {named(list(kernels.installed), 3)}"
        )
    newest = max(alike, key=_order)
    return holds(
        newest == kernels.running, f"running {kernels.running}, newest installed {newest}", "the newest"
    )


def _flavour(release: str) -> str:
    """The part of a kernel's name that says what it is for: ``amd64``, ``cloud-amd64``, ``el.x86_64``."""
    rest = re.sub(r"^\d[\d.]*(-[\d.]*\d)?[-.]?", "", release)
    return re.sub(r"(el|fc|deb)\d+([_.]\d+)*", r"\1", rest)


def _order(release: str) -> list[int]:
    """Its numbers, so that 6.1.0-10 comes after 6.1.0-9."""
    return [int(part) for part in re.findall(r"\d+", release)]


@check(
    "updates.automatic",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Beveiligingsupdates installeren zichzelf",
    why_nl="Wat een mens elke week moet onthouden, gaat een keer mis. Een lek wordt vaak binnen een dag misbruikt.",
    fix="apt-get install unattended-upgrades\n"
    'printf \'APT::Periodic::Update-Package-Lists "1";\\nAPT::Periodic::Unattended-Upgrade "1";\\n\''
    " > /etc/apt/apt.conf.d/20auto-upgrades",
    verify="apt-config dump APT::Periodic Unattended-Upgrade",
    advice="RHEL: dnf install dnf-automatic && systemctl enable --now dnf-automatic-install.timer. When another tool"
    " installs updates, accept the finding and name that tool.",
    advice_nl="RHEL: dnf install dnf-automatic && systemctl enable --now dnf-automatic-install.timer. Installeert ander"
    " gereedschap de updates, accepteer dan de bevinding en noem het.",
    references=("unattended-upgrade(8)", "dnf-automatic(8)", "BIO2 1.3, measure 8.08.01"),
)
def installs_itself(automatic: Automatic) -> Verdict:
    """Security updates install themselves.

    What a person must remember every week goes wrong once. A hole is often abused within a day.
    """
    return holds(automatic.on, automatic.how, "unattended-upgrades or dnf-automatic, on")


# --- examples -------------------------------------------------------------------------------------------------

_LISTS: Final = """/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease:Origin: Debian
/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease:Suite: oldstable
/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_InRelease:Date: Sat, 11 Jul 2026 10:16:37 UTC
/var/lib/apt/lists/security.debian.org_dists_bookworm-security_InRelease:Label: Debian-Security
/var/lib/apt/lists/security.debian.org_dists_bookworm-security_InRelease:Suite: oldstable-security
/var/lib/apt/lists/security.debian.org_dists_bookworm-security_InRelease:Date: Sun, 22 Nov 2026 18:02:11 UTC
"""
_OLD: Final = _LISTS.replace("22 Nov", "22 Oct").replace("Sun", "Thu")
_NONE: Final = "Listing...\n"
_SOME: Final = (
    _NONE
    + """openssl/oldstable-security 3.0.17-1~deb12u3 amd64 [upgradable from: 3.0.17-1~deb12u2]
openssl/oldstable,now 3.0.17-1~deb12u2 amd64 [installed,upgradable to: 3.0.17-1~deb12u3]

tzdata/oldstable-updates 2026b-0+deb12u1 all [upgradable from: 2026a-0+deb12u1]
tzdata/now 2026a-0+deb12u1 all [installed,upgradable to: 2026b-0+deb12u1]

"""
)
#: The newest version is no security update, and one that lies behind it is.
_BEHIND: Final = (
    _NONE
    + """openssl/jammy-updates 3.0.2-0ubuntu1.20 amd64 [upgradable from: 3.0.2-0ubuntu1.10]
openssl/jammy-security 3.0.2-0ubuntu1.18 amd64
openssl/now 3.0.2-0ubuntu1.10 amd64 [installed,upgradable to: 3.0.2-0ubuntu1.20]
openssl/jammy 3.0.2-0ubuntu1 amd64

"""
)
_PAST: Final = (
    _NONE
    + """curl/oldstable 7.88.1-10+deb12u15 amd64 [upgradable from: 7.88.1-10+deb12u14]
curl/now 7.88.1-10+deb12u14 amd64 [installed,upgradable to: 7.88.1-10+deb12u15]
curl/oldstable-security 7.88.1-10+deb12u5 amd64

"""
)
_DNF: Final = """RLSA-2026:1234 Important/Sec. openssl-1:3.0.7-28.el9_4.x86_64
RLSA-2026:1240 Moderate/Sec.  kernel-5.14.0-427.40.1.el9_4.x86_64
"""
_CACHE: Final = """1795345200.0000000000 /var/cache/dnf/baseos-2d1c6d0e/repodata/repomd.xml
1795345200.0000000000 /var/cache/dnf/baseos-2d1c6d0e/repodata/0c3a-updateinfo.xml.gz
"""
_NO_ADVISORIES: Final = _CACHE.splitlines()[0] + "\n"


def _debian(waiting: str = _NONE, lists: str = _LISTS) -> dict[str, object]:
    return {"text": DEBIAN_12, "waiting.apt": waiting, "pending.apt": waiting, "lists.apt": lists}


def _rocky(waiting: str, text: str = ROCKY_9) -> dict[str, object]:
    return {"text": text, "waiting.dnf": waiting, "lists.dnf": _CACHE}


_CENTOS: Final = ROCKY_9.replace('"rocky"', '"centos"')
examples(
    security_installed,
    passes=[_debian(), _debian(_PAST), _rocky("")],
    fails=[_debian(_SOME), _debian(_SOME, _OLD), _debian(_BEHIND), _rocky(_DNF)],
    unknown=[
        _debian(_NONE, _OLD),
        _debian(_NONE, ""),
        _debian("E: broken"),
        _debian(
            _NONE + "openssl/oldstable-security 3.0.17-1~deb12u3 amd64 [upgradable from: 3.0.17-1~deb12u2]\n"
        ),
        _rocky("", _CENTOS),
        {**_rocky(""), "lists.dnf": _NO_ADVISORIES},
        {**_rocky(""), "lists.dnf": _NO_ADVISORIES + _CACHE.replace("baseos", "epel")},
        {"text": DEBIAN_12},
    ],
)
examples(
    lists_fresh,
    passes=[_debian(), _rocky("")],
    fails=_debian(_NONE, _OLD),
    unknown=[_debian(_NONE, ""), _debian(_NONE, _LISTS.replace("22 Nov 2026", "22 Dec 2026"))],
)
_MANY: Final = _NONE + "".join(
    f"package{n}/oldstable 2 amd64 [upgradable from: 1]\npackage{n}/now 1 amd64 [installed,upgradable to: 2]\n\n"
    for n in range(30)
)
_SLES: Final = 'NAME="SLES"\nVERSION_ID="15.6"\nID="sles"\nID_LIKE="suse"\n'
_CHECKED: Final = "\nkernel.x86_64                  5.14.0-427.40.1.el9_4           baseos\n"
_MORE: Final = _CHECKED + "".join(f"package{n}.noarch    2-1.el9    appstream\n" for n in range(30))


def _dnf(out: str, code: int = 100) -> dict[str, object]:
    return {**_rocky(""), "pending.dnf": Raw(out.encode(), b"", code)}


examples(
    few_waiting,
    passes=[_debian(_SOME), _dnf("", 0), _dnf(_CHECKED + "Obsoleting Packages\nnew.noarch  2  baseos\n")],
    fails=[_debian(_MANY), _dnf(_MORE)],
    unknown=[
        _debian(_NONE, _OLD.replace("Oct", "Aug")),
        _dnf("", 100),
        _dnf(_CHECKED, 0),
        _dnf("Error: no cache\n"),
        {**_dnf("", 0), "lists.dnf": _NO_ADVISORIES},
        {"text": _SLES},
    ],
)
examples(
    restarted,
    passes=[
        {"release": "6.1.0-28-amd64\n", "boot": "vmlinuz-6.1.0-9-amd64\nvmlinuz-6.1.0-28-amd64\n"},
        {"release": "6.1.0-28-amd64\n", "boot": "vmlinuz-6.1.0-29-cloud-amd64\nvmlinuz-6.1.0-28-amd64\n"},
        {
            "release": "5.14.0-427.40.1.el9_4.x86_64\n",
            "boot": "vmlinuz-5.14.0-427.40.1.el9_4.x86_64\nvmlinuz-0-rescue-4f\n",
        },
    ],
    fails=[
        {"release": "6.1.0-9-amd64\n", "boot": "vmlinuz-6.1.0-9-amd64\nvmlinuz-6.1.0-28-amd64\n"},
        {
            "release": "6.1.0-28-amd64\n",
            "boot": "vmlinuz-6.1.0-28-amd64\n",
            "required": "*** System restart required ***\n",
        },
    ],
    unknown={"release": "6.1.0-9-amd64\n", "boot": "vmlinuz-6.1.0-28-amd64\n"},
    notapplicable={"release": "6.8.0-cloud\n", "boot": ""},
)
_SECURITY: Final = 'Unattended-Upgrade::Origins-Pattern:: "origin=Debian,label=Debian-Security";\n'
_PERIODIC: Final = (
    'APT::Periodic "";\nAPT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
    f'Unattended-Upgrade "";\nUnattended-Upgrade::Origins-Pattern "";\n{_SECURITY}'
)
_TIMER: Final = shown("apt-daily.timer active enabled", "apt-daily-upgrade.timer active enabled")
examples(
    installs_itself,
    passes=[
        {"text": DEBIAN_12, "config": _PERIODIC, "installed": "installed", "shown": _TIMER},
        {"text": ROCKY_9, "shown": shown("dnf-automatic-install.timer active enabled")},
        {
            "text": ROCKY_9,
            "shown": shown("dnf-automatic.timer active enabled"),
            "dnf": "[commands]\napply_updates = yes\n",
        },
    ],
    fails=[
        {"text": DEBIAN_12, "config": _PERIODIC.replace("1", "0"), "installed": "installed", "shown": _TIMER},
        # The line of security made a remark in 50unattended-upgrades.
        {
            "text": DEBIAN_12,
            "config": _PERIODIC.replace(_SECURITY, ""),
            "installed": "installed",
            "shown": _TIMER,
        },
        # The timers still run apt.systemd.daily, which stops at once.
        {
            "text": DEBIAN_12,
            "config": _PERIODIC + 'APT::Periodic::Enable "0";\n',
            "installed": "installed",
            "shown": _TIMER,
        },
        {
            "text": DEBIAN_12,
            "config": _PERIODIC,
            "installed": Raw(code=1, err=b"dpkg-query: no packages found\n"),
            "shown": _TIMER,
        },
        {
            "text": DEBIAN_12,
            "config": _PERIODIC,
            "installed": "installed",
            "shown": shown("apt-daily.timer active enabled", "apt-daily-upgrade.timer inactive disabled"),
        },
        {
            "text": DEBIAN_12,
            "config": _PERIODIC,
            "installed": "installed",
            "shown": shown("apt-daily-upgrade.timer active enabled"),
        },
        {"text": ROCKY_9, "shown": shown("cron.service active enabled")},
    ],
    unknown=[
        {
            "text": DEBIAN_12,
            "config": _PERIODIC.replace("-Security", ""),
            "installed": "installed",
            "shown": _TIMER,
        },
        {"text": _SLES, "shown": shown("cron.service active enabled")},
        {"text": ROCKY_9, "shown": shown("dnf-automatic.timer active enabled")},
    ],
)
