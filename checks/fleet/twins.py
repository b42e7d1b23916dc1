"""Whether hosts that are meant to be alike are alike: those with one word under ``cluster`` in the inventory.

The weakest of a pair decides how strong the pair is, and after a failover the difference is what people meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, TypeVar

from checks.linux._answers import named
from checks.linux.end_of_support import DEBIAN_12, OsRelease
from checks.linux.example_rulesets import ACCEPT, DROP
from checks.linux.firewall import EffectiveFirewall, seen
from checks.linux.netfilter.rules import TCP, UDP
from checks.linux.netfilter.spans import Spans
from checks.linux.sockets import ListeningSocket
from checks.linux.ssh import Situation
from checks.linux.sysctl import Running, answers
from checks.linux.updates import Kernels, Lists, Waiting
from scanner import (
    NO_GAP,
    Absent,
    Fleet,
    Layer,
    NotUnderstood,
    ScanTime,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

T = TypeVar("T")

_WHY_NL: Final = (
    "Wat op de ene dicht is en op de andere open, is open: een aanvaller kiest de zwakste van de twee."
)
_CLIENT_PORTS: Final = range(32768, 61000)


def _alike(fleet: Fleet[T], key: Callable[[T], Any], tell: Callable[[T, T], str]) -> Verdict:
    """Whether all members of a cluster have one value; ``tell`` says how an odd one differs from the others."""
    if not all(target.cluster for target in fleet.targets.values()):
        raise Absent("these hosts belong to no cluster")
    groups = list(fleet.groups(key).values())
    if len(groups) == 1:
        return holds(True, f"alike: {', '.join(sorted(groups[0]))}", "alike")
    usual = fleet.members[groups[0][0]]
    odd = [f"{name} ({tell(fleet.members[name], usual)})" for group in groups[1:] for name in group]
    return holds(False, f"{', '.join(sorted(groups[0]))}; differs: {named(odd, 5)}", "alike")


def _fields(one: dict[str, Any], other: dict[str, Any]) -> str:
    """What differs between two sets of settings, the first few."""
    names = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return named([f"{name} {one.get(name)}, not {other.get(name)}" for name in names], 3)


@check(
    "twins.same-ssh",
    principle=NO_GAP,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="Hosts van één cluster laten op dezelfde manier mensen binnen via SSH",
    why_nl=_WHY_NL,
    fix="scp /etc/ssh/sshd_config.d/*.conf OTHER:/etc/ssh/sshd_config.d/ && ssh OTHER systemctl reload ssh",
    verify="sshd -T    # on both, side by side",
    references=("sshd_config(5)", "BIO2 1.3, control 8.09"),
    within="cluster",
)
def same_ssh(fleet: Fleet[Situation]) -> Verdict:
    """Hosts of one cluster let people in through SSH in the same way.

    What is closed on one and open on the other is open: an attacker picks the weakest of the two.
    """

    def tell(one: Any, usual: Any) -> str:
        return _fields(asdict(one[0]), asdict(usual[0])) or "other Match blocks"

    return _alike(fleet, lambda situations: situations, tell)


@check(
    "twins.same-kernel-settings",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Hosts van één cluster hebben dezelfde kernelinstellingen",
    why_nl=_WHY_NL,
    fix="scp /etc/sysctl.d/*.conf OTHER:/etc/sysctl.d/ && ssh OTHER sysctl --system",
    verify="sysctl -a    # on both, side by side",
    references=("sysctl.d(5)", "BIO2 1.3, control 8.09"),
    within="cluster",
)
def same_kernel_settings(fleet: Fleet[Running]) -> Verdict:
    """Hosts of one cluster have the same kernel settings.

    What is closed on one and open on the other is open: an attacker picks the weakest of the two.
    """
    return _alike(
        fleet,
        lambda running: tuple(sorted(running.values.items())),
        lambda one, usual: _fields(dict(one.values), dict(usual.values)),
    )


@fact
class OpenPorts:
    """What is open to anywhere, by IP version and protocol: all of a firewall that is kept until the end of a run."""

    spans: tuple[tuple[str, Spans], ...]


@probe("linux")
def open_ports(firewall: EffectiveFirewall) -> OpenPorts:
    """For sure open, that is: what a firewall only may open is no difference."""
    return OpenPorts(
        tuple(
            (f"IPv{version} {name}", firewall.ports(version, protocol))
            for version in sorted(firewall.versions)
            for protocol, name in ((TCP, "tcp"), (UDP, "udp"))
        )
    )


@check(
    "twins.same-firewall",
    principle=NO_GAP,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="De firewall van hosts van één cluster opent dezelfde poorten",
    why_nl=_WHY_NL,
    fix="scp /etc/nftables.conf OTHER:/etc/nftables.conf && ssh OTHER systemctl reload nftables",
    verify="nft list ruleset    # on both, side by side",
    references=("nft(8)", "BIO2 1.3, control 8.09"),
    within="cluster",
)
def same_firewall(fleet: Fleet[OpenPorts]) -> Verdict:
    """The firewalls of hosts of one cluster open the same ports.

    What is closed on one and open on the other is open: an attacker picks the weakest of the two. Compared is what is
    open to anywhere; that hosts name each other in their rules is no difference.
    """
    return _alike(
        fleet,
        lambda ports: ports.spans,
        lambda one, usual: _fields(dict(one.spans), dict(usual.spans)),
    )


@fact
class Served:
    """What listens to others, such as ``22/tcp``: all of the sockets that is kept until the end of a run."""

    keys: frozenset[str]


@probe("linux")
def served(sockets: list[ListeningSocket]) -> Served:
    """What a program opens for its own questions, and on the loopback, serves nobody."""
    return Served(
        frozenset(
            one.key
            for one in sockets
            if not one.is_local and not (one.protocol == "udp" and one.port in _CLIENT_PORTS)
        )
    )


@check(
    "twins.same-services",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Op hosts van één cluster luisteren dezelfde diensten",
    why_nl="Een dienst die maar op één van de twee draait, is vergeten weg te halen of vergeten aan te zetten.",
    fix="ss -Hltnup    # on both, side by side\nsystemctl disable --now NAME.service    # or enable it on the other",
    verify="ss -Hltnup",
    references=("ss(8)", "BIO2 1.3, control 8.09"),
    within="cluster",
)
def same_services(fleet: Fleet[Served]) -> Verdict:
    """The same services listen on hosts of one cluster.

    A service that runs on one of the two only was forgotten: to remove, or to switch on.
    """

    def tell(one: Served, usual: Served) -> str:
        more, less = sorted(one.keys - usual.keys), sorted(usual.keys - one.keys)
        return " and ".join(
            text for text in (more and f"also {named(more, 5)}", less and f"not {named(less, 5)}") if text
        )

    return _alike(fleet, lambda one: one.keys, tell)


@check(
    "twins.same-release",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Hosts van één cluster draaien dezelfde versie van het besturingssysteem",
    why_nl="Twee versies geven twee soorten fouten, en bijwerken kan dan niet in één keer worden beproefd.",
    fix="# bring the older host to the release of the others",
    verify="cat /etc/os-release",
    references=("os-release(5)", "BIO2 1.3, control 8.09"),
    within="cluster",
)
def same_release(fleet: Fleet[OsRelease]) -> Verdict:
    """Hosts of one cluster run the same release of the operating system.

    Two releases give two kinds of faults, and then an update cannot be tried out once for all.
    """
    return _alike(
        fleet, lambda system: (system.id, system.version), lambda one, usual: f"{one.name}, not {usual.name}"
    )


@check(
    "twins.same-kernel",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Hosts van één cluster draaien dezelfde kernel",
    why_nl="De host die bij een ronde updates is overgeslagen, is hier te zien: hij draait nog op de oude kernel.",
    fix="apt-get update && apt-get full-upgrade && systemctl reboot    # on the older host",
    verify="uname -r",
    references=("uname(1)", "BIO2 1.3, measure 8.08.01"),
    within="cluster",
)
def same_kernel(fleet: Fleet[Kernels]) -> Verdict:
    """Hosts of one cluster run the same kernel.

    The host that was left out in a round of updates shows here: it still runs on the old kernel.
    """
    return _alike(
        fleet, lambda kernels: kernels.running, lambda one, usual: f"{one.running}, not {usual.running}"
    )


@fact
class KnownUpdates:
    """The updates for security that wait, by package lists of this week."""

    waiting: frozenset[str]


@probe("linux")
def known_updates(waiting: Waiting, lists: Lists, now: ScanTime) -> KnownUpdates:
    """On old lists "nothing waits" means nothing: then two hosts are not alike, but unknown."""
    if lists.dated < now - timedelta(days=7):
        raise NotUnderstood(f"the package lists are of {lists.dated:%Y-%m-%d}")
    return KnownUpdates(frozenset(waiting.security))


@check(
    "twins.same-updates",
    principle=NO_GAP,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Op hosts van één cluster wachten dezelfde beveiligingsupdates",
    why_nl="Wie de ene host bijwerkt en de andere vergeet, heeft nog één lek te veel, en denkt dat het gedicht is.",
    fix="apt-get update && apt-get upgrade    # on the host that is behind",
    verify="apt list --upgradable",
    references=("BIO2 1.3, measure 8.08.01",),
    within="cluster",
)
def same_updates(fleet: Fleet[KnownUpdates]) -> Verdict:
    """The same security updates wait on hosts of one cluster.

    Who updates one host and forgets the other has one hole too many, and thinks it is closed.
    """
    return _alike(
        fleet,
        lambda known: known.waiting,
        lambda one, usual: f"{len(one.waiting)} waiting, not {len(usual.waiting)}",
    )


# --- examples -------------------------------------------------------------------------------------------------

_CLUSTER: Final = {"target": {"cluster": "web"}}
_SSHD: Final = """permitrootlogin no
passwordauthentication no
kbdinteractiveauthentication no
usepam yes
permitemptypasswords no
maxauthtries 4
clientaliveinterval 300
clientalivecountmax 3
x11forwarding no
allowtcpforwarding no
allowstreamlocalforwarding no
allowagentforwarding no
permittunnel no
gatewayports no
hostbasedauthentication no
ignorerhosts yes
loglevel VERBOSE
authenticationmethods any
"""


def _pair(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {"@web1": {**one, **_CLUSTER}, "@web2": {**one, **_CLUSTER}, "@web3": {**other, **_CLUSTER}}


def _apart(one: dict[str, Any]) -> dict[str, Any]:
    return {"@web1": one, "@web2": one}


def _sshd(dump: str) -> dict[str, Any]:
    return {"dump": dump, "files": "/etc/ssh/sshd_config\0Include /etc/ssh/sshd_config.d/*.conf\n"}


_SAME_SSH: Final = _sshd(_SSHD)
examples(
    same_ssh,
    passes=_pair(_SAME_SSH, _SAME_SSH),
    fails=_pair(_SAME_SSH, _sshd(_SSHD.replace("passwordauthentication no", "passwordauthentication yes"))),
    notapplicable=_apart(_SAME_SSH),
)
_STRICT: Final = {"answer": answers("kernel.randomize_va_space = 2\n")["answer"]}
_LOOSE: Final = {"answer": answers("kernel.randomize_va_space = 1\n")["answer"]}
examples(same_kernel_settings, passes=_pair(_STRICT, _STRICT), fails=_pair(_STRICT, _LOOSE))
examples(same_firewall, passes=_pair(seen(DROP), seen(DROP)), fails=_pair(seen(DROP), seen(ACCEPT)))
_TWO: Final = {"sockets": "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\ntcp LISTEN 0 511 *:443 *:*\n"}
_THREE: Final = {"sockets": f"{_TWO['sockets']}tcp LISTEN 0 80 0.0.0.0:3306 0.0.0.0:*\n"}
examples(same_services, passes=_pair(_TWO, _TWO), fails=[_pair(_TWO, _THREE), _pair(_THREE, _TWO)])
_NEWER: Final = {"text": DEBIAN_12.replace("12", "13")}
examples(
    same_release,
    passes=_pair({"text": DEBIAN_12}, {"text": DEBIAN_12}),
    fails=_pair({"text": DEBIAN_12}, _NEWER),
)
_OLD: Final = {"release": "6.1.0-9-amd64\n", "boot": ""}
_NEW: Final = {"release": "6.1.0-28-amd64\n", "boot": ""}
examples(same_kernel, passes=_pair(_NEW, _NEW), fails=_pair(_NEW, _OLD))
_LISTS: Final = """/var/lib/apt/lists/security_InRelease:Suite: oldstable-security
/var/lib/apt/lists/security_InRelease:Date: Sun, 22 Nov 2026 18:02:11 UTC
"""
_DONE: Final = {"text": DEBIAN_12, "waiting.apt": "Listing...\n", "lists.apt": _LISTS}
_BEHIND: Final = {
    **_DONE,
    "waiting.apt": "Listing...\nopenssl/oldstable-security 3.0.17-1~deb12u3 amd64 [upgradable from: 3.0.17-1~deb12u2]\n"
    "openssl/now 3.0.17-1~deb12u2 amd64 [installed,upgradable to: 3.0.17-1~deb12u3]\n\n",
}
_STALE: Final = {**_DONE, "lists.apt": _LISTS.replace("Sun, 22 Nov", "Thu, 22 Oct")}
examples(same_updates, passes=_pair(_DONE, _DONE), fails=_pair(_DONE, _BEHIND), error=_pair(_DONE, _STALE))
