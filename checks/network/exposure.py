"""What answers from where the scanner stands, beside what was agreed and what listens inside.

Three views of one host: the inventory (declared), the host itself (listening, where we can log in) and the network
(answering). Each run sees from one zone, the ``vantage`` of the inventory. Silence proves something only where there is
a host for sure: it answered on another port, or we have been in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final

from checks.linux._answers import named
from checks.linux.sockets import ListeningSocket
from checks.network.datagrams import QUESTIONS, Datagram
from checks.network.ports import USUAL, ListenerSweep, Reached, Sweep, further, login_port
from scanner import (
    DEFAULT_DENY,
    IN_DEPTH,
    NO_GAP,
    SECURE_DEFAULT,
    Absent,
    Blind,
    Cause,
    Fleet,
    Gap,
    Layer,
    NotUnderstood,
    Service,
    Severity,
    State,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

#: Errors that say that something on the way, or the host, does not let us through: as good as a refusal.
_TURNED_AWAY: Final = frozenset({"EHOSTUNREACH", "EACCES", "EHOSTDOWN"})

#: Why it cannot be told whether we may come in.
NOT_KNOWN: Final = (
    "as whom we come is not known: write in which zone the scanner stands ('vantage:'); behind NAT or in a container"
    " its own address says nothing, so name zones under 'from:'"
)


@fact
class Exposure:
    """What every address of a target did with the TCP ports that were tried, and what listens inside.

    ``inside`` is None when nobody could look there. ``unseen`` says why a part of the view is missing, and ``cause``
    in a word; both are empty when it is whole.
    """

    vantage: str
    addresses: tuple[Reached, ...]
    inside: tuple[ListeningSocket, ...] | None
    unseen: str
    cause: Cause | None

    @property
    def place(self) -> str:
        """From where is looked, for people."""
        return f"from zone {self.vantage}" if self.vantage else "from where the scanner stands"

    @property
    def open(self) -> list[tuple[Reached, int]]:
        """Every open port of every address."""
        return [(at, number) for at in self.addresses for number in at.open]

    def numbers(self, version: int = 0) -> frozenset[int]:
        """The ports that are open on any address, of one version of IP when it is given."""
        return frozenset(number for at, number in self.open if version in (0, at.version))

    def sure(self, numbers: Iterable[int] = (), *, whole: bool = False) -> None:
        """Raises Blind unless what was not seen to be open was really tried, on a host that is there.

        ``numbers`` are the ports it is about; all when none are given. ``whole`` when it is about every port that
        listens inside, too.
        """
        if whole and self.unseen:
            raise Blind(self.unseen, self.cause)
        self.lasting()
        for at in self.addresses:
            if left := set(numbers) - at.numbers:
                few = named([str(number) for number in sorted(left)], 3)
                raise Blind(f"{at.address}: not tried, by the choice of ports: {few}", Cause.POLICY)
            lost = {number: why for number, why in at.failed if why not in _TURNED_AWAY}
            asked = set(numbers) or lost.keys()
            if bad := sorted(asked & lost.keys()):
                cause = Cause.ROUTE if lost[bad[0]].startswith(("ENET", "EHOST")) else Cause.INTERNAL
                shown = named([str(number) for number in bad], 3)
                raise Blind(f"{at.address}: could not try {shown}: {lost[bad[0]]}", cause)
            if not at.answers and self.inside is None:
                raise Blind(
                    f"{at.address}: no port answers or refuses; whether there is a host is not known",
                    Cause.TIMEOUT,
                )

    def lasting(self) -> None:
        """Raises Blind when an address stopped answering us while we looked."""
        for at in self.addresses:
            if at.shut_out:
                raise Blind(f"{at.address}: stopped answering us while we looked", Cause.REFUSED)


@fact
class Face:
    """The ports that a host shows, when all of it was seen: to be laid beside that of its twins."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]


@probe("outside")
def exposure(
    sweeps: list[Sweep],
    more: list[ListenerSweep] | Gap,
    sockets: list[ListeningSocket] | Gap,
    target: Target,
) -> Exposure:
    """Both sweeps as one; and the inside, unless it could not be seen.

    Where an account was given to look with, not having looked is a gap in the view.
    """
    gaps = [one for one in (sockets, more) if isinstance(one, Gap) and one.state is not State.NOTAPPLICABLE]
    gap = gaps[0] if gaps and target.credential is not None else None
    found: dict[str, Reached] = {}
    for at in (at for sweep in sweeps for at in sweep.addresses):
        found[at.address] = at
    for at in (at for sweep in ([] if isinstance(more, Gap) else more) for at in sweep.addresses):
        found[at.address] = _together(found[at.address], at) if at.address in found else at
    return Exposure(
        vantage=next(iter(found.values())).vantage,
        addresses=tuple(found.values()),
        inside=None if isinstance(sockets, Gap) else tuple(sockets),
        unseen=gap.detail if gap else "",
        cause=gap.cause if gap else None,
    )


def _together(one: Reached, other: Reached) -> Reached:
    return Reached(
        vantage=one.vantage,
        address=one.address,
        source=one.source,
        open=one.open + other.open,
        refused=one.refused + other.refused,
        silent=one.silent + other.silent,
        failed=one.failed + other.failed,
        shut_out=one.shut_out or other.shut_out,
    )


@probe("outside")
def face(exposure: Exposure, datagrams: list[Datagram]) -> Face:
    """Raises Blind where a part of it could not be seen."""
    exposure.sure(whole=True)
    udp = {one.asked.number for one in datagrams if one.answers}
    return Face(tuple(sorted(exposure.numbers())), tuple(sorted(udp)))


# --- what was agreed ------------------------------------------------------------------------------------------


def declared(target: Target, protocol: str) -> dict[int, Service]:
    """The declared services of one protocol, by port. Raises NotUnderstood when the inventory does not say."""
    if target.services is None:
        raise NotUnderstood("the inventory does not say which services this host offers ('services:')")
    return {one.port: one for one in target.services if one.protocol == protocol}


def admitted(service: Service, vantage: str, source: str) -> bool | None:
    """Whether a service may be reached from this zone or address, by the inventory; None when it does not say."""
    if "any" in service.from_ or (vantage and vantage in service.from_):
        return True
    networks = [network for network in map(_network, service.from_) if network is not None]
    if source and any(ip_address(source) in network for network in networks):
        return True
    zones = len(service.from_) - len(networks)
    if not service.from_ or (zones and not vantage) or (networks and not source):
        return None
    return False


def _network(text: str) -> Any:
    try:
        return ip_network(text)
    except ValueError:
        return None


def shown(number: int, protocol: str, service: str = "") -> str:
    """``23/tcp (telnet)``."""
    name = service or (USUAL.get(number, "") if protocol == "tcp" else "")
    return f"{number}/{protocol}" + (f" ({name})" if name else "")


def _by_address(found: Iterable[tuple[str, str]]) -> str:
    """Address and what, grouped: ``192.0.2.1: 23/tcp (telnet), 79/tcp (finger); ...``."""
    grouped: dict[str, list[str]] = {}
    for address, what in found:
        grouped.setdefault(address, []).append(what)
    return "; ".join(f"{address}: {named(some)}" for address, some in grouped.items())


# --- checks ---------------------------------------------------------------------------------------------------

_LOOK: Final = "nc -vz -w 3 HOST PORT    # from the zone the scanner stands in"
_INSIDE: Final = "ss -Hltnp    # which program listens\nsystemctl disable --now NAME.service NAME.socket"
_SCANNING: Final = "NIST SP 800-115, section 4.2"


@check(
    "exposure.only-declared",
    principle=(NO_GAP, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Van buitenaf antwoorden alleen TCP-poorten die in de inventaris staan",
    why_nl=(
        "Wat antwoordt zonder dat het is afgesproken, is vergeten, per ongeluk aangezet of van een indringer."
        " Gekeken is vanuit de zone waar de scanner staat, over elk adres van de host."
    ),
    fix=_INSIDE,
    verify=_LOOK,
    advice="When the service is meant to be there, declare it in the inventory under 'services:'.",
    advice_nl="Is de dienst de bedoeling, zet haar dan in de inventaris onder 'services:'.",
    references=(_SCANNING, "BIO2 1.3, control 8.20"),
)
def only_declared(exposure: Exposure, target: Target) -> Verdict:
    """From outside only TCP ports that are in the inventory answer.

    What answers without being agreed is forgotten, started by mistake, or an intruder's. Looked at from the zone the
    scanner stands in, over every address of the host.
    """
    known = declared(target, "tcp").keys() | login_port(target)
    extra = [(at.address, shown(number, "tcp")) for at, number in exposure.open if number not in known]
    if not extra:
        exposure.sure(whole=True)
    tried = max(at.tried for at in exposure.addresses)
    observed = _by_address(extra) or f"nothing else of {tried} ports"
    return holds(
        not extra,
        f"{exposure.place} answers, not declared: {observed}",
        f"only {', '.join(f'{number}/tcp' for number in sorted(known)) or 'nothing'}",
    )


@check(
    "exposure.declared-answers",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Elke afgesproken dienst die van hieruit bereikbaar mag zijn, antwoordt ook",
    why_nl=(
        "Een dienst die niet antwoordt ligt eruit, of bestaat niet meer: dan klopt de inventaris niet en staat er"
        " misschien nog een regel voor open in een firewall."
    ),
    fix="systemctl status NAME    # start it, or take it out of 'services:' and out of the firewall",
    verify=_LOOK,
    references=(_SCANNING, "BIO2 1.3, measure 5.09.01"),
)
def declared_answers(exposure: Exposure, target: Target) -> Verdict:
    """Every agreed service that may be reached from here does answer.

    A service that does not answer is down or is no more: then the inventory is wrong, and perhaps a firewall still has
    a rule for it.
    """
    services = declared(target, "tcp")
    meant = [
        number
        for number, service in services.items()
        if any(admitted(service, exposure.vantage, at.seen_as) for at in exposure.addresses)
    ]
    if not meant:
        raise Absent(f"the inventory lets no TCP service of this host be reached {exposure.place}")
    gone = [number for number in meant if number not in exposure.numbers()]
    if gone:
        exposure.sure(gone)
    what = named([shown(number, "tcp", services[number].name) for number in gone or meant])
    return holds(
        not gone,
        f"{exposure.place} {'does not answer' if gone else 'answers'}: {what}",
        "all that may be reached",
    )


@check(
    "exposure.from-as-declared",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Een dienst antwoordt niet vanuit een zone die volgens de inventaris niet mag",
    why_nl=(
        "Afgesproken is wie bij de dienst mag. Antwoordt zij ook vanuit een andere zone, dan is die afspraak alleen"
        " papier: geen firewall houdt haar in stand."
    ),
    fix="nft insert rule inet filter input ip saddr != 192.0.2.0/24 tcp dport PORT drop    # and on the way there",
    verify=_LOOK,
    advice="When this zone may come in after all, write it under 'from:' of the service.",
    advice_nl="Mag deze zone er toch bij, zet haar dan bij de dienst onder 'from:'.",
    references=("NIST SP 800-41 Rev. 1, section 4.1", "BIO2 1.3, control 8.22"),
)
def from_as_declared(exposure: Exposure, target: Target) -> Verdict:
    """A service does not answer from a zone that the inventory does not admit.

    It was agreed who may use the service. When it answers from another zone too, that agreement is only paper: no
    firewall upholds it.
    """
    services = declared(target, "tcp")
    bounded = {number: one for number, one in services.items() if one.from_ and "any" not in one.from_}
    if not bounded:
        raise Absent("the inventory limits no TCP service to zones or networks ('from:')")
    may = [
        (at, number, admitted(bounded[number], exposure.vantage, at.seen_as))
        for at, number in exposure.open
        if number in bounded
    ]
    wrong = [
        (at.address, shown(number, "tcp", bounded[number].name)) for at, number, one in may if one is False
    ]
    if not wrong and any(one is None for _, _, one in may):
        raise NotUnderstood(NOT_KNOWN)
    if not wrong:
        exposure.sure(bounded)
    return holds(
        not wrong,
        f"{exposure.place} answers, and should not: {_by_address(wrong) or 'nothing'}",
        "only what may be reached from there",
    )


def _compare(exposure: Exposure, one: int, other: int) -> tuple[str, ...]:
    """What is open over one version of IP and not over the other. Raises Absent or Blind."""
    versions = {at.version for at in exposure.addresses}
    if versions != {4, 6}:
        raise Absent(f"only an address of IPv{versions.pop()} is known of this host")
    more = sorted(exposure.numbers(one) - exposure.numbers(other))
    exposure.sure(more)
    if not more:
        exposure.sure()
    return tuple(shown(number, "tcp") for number in more)


@check(
    "exposure.ipv6-no-more",
    principle=(DEFAULT_DENY, NO_GAP),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Over IPv6 antwoordt niets dat over IPv4 dicht is",
    why_nl="Wie alleen IPv4 afschermt, laat de achterdeur open: bijna elke server spreekt ook IPv6.",
    fix="nft add table inet filter    # rules in an inet table hold for IPv4 and IPv6 alike",
    verify="nc -6 -vz -w 3 HOST PORT    # from the zone the scanner stands in",
    advice="Give the network firewall the same rules for IPv6.",
    advice_nl="Geef ook de netwerkfirewall voor IPv6 dezelfde regels.",
    references=("RFC 9099 section 2.3", "nft(8), Address families"),
)
def ipv6_no_more(exposure: Exposure) -> Verdict:
    """Over IPv6 nothing answers that is closed over IPv4.

    Who only guards IPv4 leaves the back door open: nearly every server speaks IPv6 as well.
    """
    more = _compare(exposure, 6, 4)
    return holds(not more, f"{exposure.place} only over IPv6: {named(list(more)) or 'nothing'}", "nothing")


@check(
    "exposure.ipv4-no-more",
    principle=NO_GAP,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="Over IPv4 antwoordt niets dat over IPv6 dicht is",
    why_nl=(
        "Een dienst die alleen over IPv4 antwoordt, wordt over twee protocollen verschillend beheerd en bewaakt. Voor"
        " de overheid is IPv6 naast IPv4 bovendien een verplichte standaard."
    ),
    fix="ss -Hltn    # does it listen on [::] as well?\nnft list ruleset    # do the rules admit IPv6?",
    verify="nc -6 -vz -w 3 HOST PORT    # from the zone the scanner stands in",
    references=("Forum Standaardisatie, 'pas toe of leg uit': IPv6 en IPv4", "RFC 6540"),
)
def ipv4_no_more(exposure: Exposure) -> Verdict:
    """Over IPv4 nothing answers that is closed over IPv6.

    A service that answers over IPv4 alone is run and guarded differently over two protocols. For Dutch government IPv6
    beside IPv4 is a mandatory standard, too.
    """
    more = _compare(exposure, 4, 6)
    return holds(not more, f"{exposure.place} only over IPv4: {named(list(more)) or 'nothing'}", "nothing")


@check(
    "exposure.not-firewall-alone",
    principle=IN_DEPTH,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Geen dienst luistert op elk adres terwijl alleen een firewall haar verbergt",
    why_nl=(
        "Valt de firewall een ogenblik weg, of staat er een regel verkeerd, dan is de dienst meteen open. Wie hem"
        " alleen op loopback laat luisteren, heeft een tweede laag."
    ),
    fix="# PostgreSQL: listen_addresses = 'localhost'    MariaDB: bind-address = 127.0.0.1\n"
    "# Redis: bind 127.0.0.1 -::1\nsystemctl restart NAME",
    verify="ss -Hltnp",
    references=("NIST SP 800-123, section 4.2.1", "ss(8)"),
)
def not_firewall_alone(exposure: Exposure, sockets: list[ListeningSocket], target: Target) -> Verdict:
    """No service listens on every address while only a firewall hides it.

    When the firewall is gone for a moment, or one rule is wrong, the service is open at once. One that listens on
    loopback alone has a second layer. What the inventory declares is for another zone, and not counted.
    """
    known = declared(target, "tcp").keys() | login_port(target)
    wide = {one.port: one for one in sockets if one.protocol == "tcp" and one.everywhere}
    hidden = [one for number, one in sorted(wide.items()) if number not in exposure.numbers() | known]
    exposure.sure([one.port for one in hidden], whole=True)
    return holds(
        not hidden,
        f"on every address, and closed {exposure.place}: {named([one.shown for one in hidden]) or 'nothing'}",
        "on loopback, or declared",
    )


@check(
    "exposure.seen-inside",
    principle=(NO_GAP, IN_DEPTH),
    severity=Severity.HIGH,
    layer=Layer.DETECTION,
    title_nl="Wat van buitenaf antwoordt, ziet de host zelf ook luisteren",
    why_nl=(
        "Antwoordt een poort die de host zelf niet kent, dan staat er iets tussen (een proxy, adresvertaling, een"
        " container) dat niemand heeft bekeken, of de host verbergt een programma: zo doet een rootkit het."
    ),
    fix="nft list table ip nat    # is the port passed on?\nss -Hltnp    # else examine the host from a rescue system",
    verify="ss -Hltn",
    advice="Declare what is in between, and scan it as a target of its own.",
    advice_nl="Leg vast wat ertussen staat en scan het als eigen doel.",
    references=("MITRE ATT&CK T1014, Rootkit", _SCANNING),
)
def seen_inside(exposure: Exposure, datagrams: list[Datagram], sockets: list[ListeningSocket]) -> Verdict:
    """What answers from outside is seen to listen by the host itself.

    When a port answers that the host does not know, something stands in between (a proxy, address translation, a
    container) that nobody has looked at; or the host hides a program, as a rootkit does.
    """
    inside = {one.key for one in sockets if not one.is_local}
    found = [(at.address, f"{number}/tcp", shown(number, "tcp")) for at, number in exposure.open]
    found += [
        (
            one.asked.address or "its own address",
            f"{one.asked.number}/udp",
            shown(one.asked.number, "udp", one.service),
        )
        for one in datagrams
        if one.answers
    ]
    strange = [(address, what) for address, key, what in found if key not in inside]
    if not strange:
        exposure.sure(whole=True)
    if not found:
        raise Absent(f"{exposure.place} nothing answers")
    return holds(
        not strange, f"answers, and does not listen inside: {_by_address(strange) or 'nothing'}", "nothing"
    )


@check(
    "exposure.silent-by-default",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Poorten waarop niets wordt aangeboden, blijven stil: er staat een filter voor de host",
    why_nl=(
        "Weigert een host zelf elke lege poort, dan houdt geen firewall iets tegen: elke dienst die iemand start, staat"
        " meteen open. Een filter dat alles weigert wat niet is toegestaan, zwijgt."
    ),
    fix="nft add chain inet filter input '{ type filter hook input priority filter; policy drop; }'",
    verify=_LOOK,
    advice="List every port that is in use before you drop the rest (ss -Hltnu).",
    advice_nl="Zet eerst elke poort die in gebruik is in de regels (ss -Hltnu), en laat dan de rest vallen.",
    references=("NIST SP 800-41 Rev. 1, section 4.1", "BIO2 1.3, control 8.20"),
)
def silent_by_default(exposure: Exposure) -> Verdict:
    """Ports on which nothing is offered stay silent: a filter stands before the host.

    When a host itself refuses every empty port, no firewall holds anything back: each service that anyone starts is
    open at once. A filter that refuses what is not allowed is silent, or says so (ICMP), or refuses even what listens.
    """
    exposure.sure()
    said, bad = [], False
    for at in exposure.addresses:
        quiet = len(at.silent) + sum(why in _TURNED_AWAY for _, why in at.failed)
        if not quiet + len(at.refused):
            raise Absent(f"{at.address}: every port that was tried is open; no other was tried")
        said.append(f"{at.address}: {len(at.open)} open, {quiet} silent, {len(at.refused)} refused")
        bad = bad or (len(at.refused) >= quiet and not _filter_refuses(exposure, at))
    if bad and exposure.unseen:
        # What listens inside would tell whether it is a filter that refuses.
        raise Blind(exposure.unseen, exposure.cause)
    return holds(not bad, f"{exposure.place} {'; '.join(said)}", "more silent than refused")


def _filter_refuses(exposure: Exposure, at: Reached) -> bool:
    """Whether a port is refused on which something does listen, so that it is a filter that refuses."""
    if exposure.inside is None:
        return False
    every = {"*", "0.0.0.0" if at.version == 4 else "::"}  # noqa: S104 -- seen, not bound
    wide = {
        one.port
        for one in exposure.inside
        if (one.protocol, one.scope) == ("tcp", "") and one.address in every
    }
    return bool(wide & set(at.refused))


@check(
    "exposure.described",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.GOVERNANCE,
    title_nl="Van alles wat van buitenaf antwoordt staat vast waarvoor het is, voor wie, en van wie",
    why_nl="Een open poort zonder doel en eigenaar sluit niemand, want niemand weet wat er dan stukgaat.",
    fix="# inventory: owner: TEAM, services: [{port: 443, name: https, purpose: website, from: [any]}]",
    verify="keurmeester inventory check",
    references=("BIO2 1.3, measure 5.09.01", "ISO/IEC 27002:2022 5.9"),
)
def described(exposure: Exposure, datagrams: list[Datagram], target: Target) -> Verdict:
    """Of everything that answers from outside it is settled what it is for, for whom, and whose it is.

    Nobody closes an open port without purpose and owner, for nobody knows what will then break.
    """
    known = {one.key: one for one in target.services or ()}
    keys = [f"{number}/tcp" for number in sorted(exposure.numbers())]
    keys += sorted({f"{one.asked.number}/udp" for one in datagrams if one.answers})
    if not keys:
        exposure.sure()
        raise Absent(f"{exposure.place} nothing answers")
    missing = ["owner of the host"] if not target.owner else []
    for key in keys:
        service = known.get(key)
        if service is None:
            missing.append(f"{key}: all")
        elif lacks := [
            what for what, there in (("purpose", service.purpose), ("from", service.from_)) if not there
        ]:
            missing.append(f"{key}: {' and '.join(lacks)}")
    if not missing:
        exposure.sure(whole=True)
    return holds(
        not missing,
        f"not filled in: {named(missing) or 'nothing'}",
        "an owner; a purpose and 'from' for each service",
    )


@check(
    "exposure.udp-as-declared",
    principle=(NO_GAP, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Van buitenaf antwoorden alleen UDP-diensten die zijn afgesproken voor deze zone",
    why_nl=(
        "UDP wordt bij het afschermen vaak vergeten. Gevraagd is naar DNS, NTP, SNMP, LDAP, IKE, rpcbind, NetBIOS,"
        " IPMI, memcached en hun soort: wat daarvan antwoordt zonder afspraak, is te veel. Een SNMP-agent zonder versie"
        " 3 zwijgt tegen wie zijn community niet kent, en is zo niet te zien."
    ),
    fix="ss -Hlunp    # which program listens\nsystemctl disable --now NAME.service NAME.socket",
    verify="ss -Hlunp",
    advice="When it is meant to be there, declare it with 'protocol: udp', and under 'from' who may come in.",
    advice_nl="Is het de bedoeling, leg het dan vast met 'protocol: udp', en onder 'from' wie erbij mag.",
    references=(_SCANNING, "BIO2 1.3, control 8.20"),
)
def udp_as_declared(exposure: Exposure, datagrams: list[Datagram], target: Target) -> Verdict:
    """From outside only UDP services answer that were agreed for this zone.

    UDP is often forgotten when a host is shut off. Asked were DNS, NTP, SNMP, LDAP, IKE, rpcbind, NetBIOS, IPMI,
    memcached and their kind: what answers without agreement is too much. An SNMP agent without version 3 is silent to
    who does not know its community, and is not seen this way.
    """
    services = declared(target, "udp")
    extra, doubts = [], False
    for one in (one for one in datagrams if one.answers):
        service = services.get(one.asked.number)
        sources = {
            at.seen_as for at in exposure.addresses if one.asked.address == further(target, at.address)
        }
        may = [admitted(service, exposure.vantage, source) for source in sources] if service else [False]
        if False in may and True not in may:
            extra.append(
                shown(one.asked.number, "udp", one.service)
                + (f" of {one.asked.address}" if one.asked.address else "")
            )
        doubts = doubts or (service is not None and bool(service.from_) and True not in may and None in may)
    if not extra and doubts:
        raise NotUnderstood(NOT_KNOWN)
    if not extra:
        exposure.lasting()
        heard = {one.asked.address for one in datagrams if one.state != "silent"}
        if any(one.asked.address not in heard for one in datagrams):
            exposure.sure()
    return holds(
        not extra,
        f"{exposure.place} answers, not agreed: {named(extra) or 'nothing'}",
        "only what is agreed for this zone",
    )


@check(
    "exposure.no-amplification",
    principle=SECURE_DEFAULT,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Geen UDP-dienst antwoordt een onbekende met veel meer dan hij vroeg",
    why_nl=(
        "Wie het afzenderadres van een ander gebruikt, laat zo'n dienst het verkeer vermenigvuldigen dat diens"
        " verbinding plat legt. Uw server doet dan mee aan de aanval."
    ),
    fix="nft insert rule inet filter input ip saddr != 192.0.2.0/24 udp dport PORT drop",
    verify="nc -u -w 2 HOST PORT    # how much comes back for a short question",
    references=("CISA Alert TA14-017A, UDP-Based Amplification Attacks", "RFC 2827"),
)
def no_amplification(
    exposure: Exposure,
    datagrams: list[Datagram],
    *,
    factor: Annotated[float, "how many times the size of the question an answer may be"] = 3.0,
) -> Verdict:
    """No UDP service answers a stranger with much more than was asked.

    Who uses the sender address of another lets such a service multiply the traffic that takes their connection down.
    Your server then takes part in the attack.
    """
    replies = [one for one in datagrams if one.answers]
    if not replies:
        exposure.sure()
        raise Absent(f"{exposure.place} none of the UDP services that were asked answers")
    much = [one for one in replies if one.received > factor * one.sent]
    told = [f"{one} ({one.service}) {one.received} bytes for {one.sent}" for one in much or replies]
    return holds(not much, named(told, 5), f"at most {factor:g} times the question")


@check(
    "exposure.twins-alike",
    principle=NO_GAP,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Hosts van één cluster tonen van buitenaf dezelfde poorten",
    why_nl="Wat op de ene dicht is en op de andere open, is open: een aanvaller kiest de zwakste van de twee.",
    fix="scp /etc/nftables.conf OTHER:/etc/nftables.conf && ssh OTHER systemctl reload nftables",
    verify=_LOOK,
    references=("BIO2 1.3, control 8.09", _SCANNING),
    within="cluster",
)
def twins_alike(fleet: Fleet[Face]) -> Verdict:
    """Hosts of one cluster show the same ports to the outside.

    What is closed on one and open on the other is open: an attacker picks the weakest of the two.
    """
    groups = list(fleet.groups(lambda one: one).values())
    usual = fleet.members[groups[0][0]]
    odd = [f"{name} ({_difference(fleet.members[name], usual)})" for group in groups[1:] for name in group]
    return holds(
        not odd,
        f"{', '.join(sorted(groups[0]))}: {_shown_face(usual)}"
        + (f"; differs: {named(odd, 5)}" if odd else ""),
        "alike",
    )


def _keys(one: Face) -> list[str]:
    return [f"{number}/tcp" for number in one.tcp] + [f"{number}/udp" for number in one.udp]


def _shown_face(one: Face) -> str:
    return named(_keys(one)) or "nothing"


def _difference(one: Face, usual: Face) -> str:
    more = [key for key in _keys(one) if key not in _keys(usual)]
    fewer = [key for key in _keys(usual) if key not in _keys(one)]
    return "; ".join(f"{word} {named(keys, 5)}" for word, keys in (("also", more), ("not", fewer)) if keys)


# --- examples -------------------------------------------------------------------------------------------------


def swept(vantage: str = "kantoor", **addresses: Mapping[str, Any]) -> str:
    """What a sweep gives: ``v4`` and ``v6`` are the addresses, each with what its ports did."""
    empty: dict[str, Any] = {"open": [], "refused": [], "silent": [], "failed": {}}
    names = {"v4": ("192.0.2.10", "198.51.100.7"), "v6": ("2001:db8::10", "2001:db8:1::7")}
    seen = {names[at][0]: {"source": names[at][1], **empty, **ports} for at, ports in addresses.items()}
    return json.dumps({"from": vantage, "addresses": seen})


def translated(seen: str) -> str:
    """The same seen from a private network, of an address of the internet."""
    return seen.replace("198.51.100.7", "192.168.1.7").replace("192.0.2.10", "93.184.215.14")


def said(**answers: bytes | None) -> dict[str, str]:
    """Transcripts of all datagrams: these services answer so, or are refused (None); the others stay silent."""
    found = {}
    for service, question in QUESTIONS.items():
        back = answers.get(service.replace("-", "_"), b"")
        end = "refused" if back is None else "done" if back else "timeout"
        turn = [base64.b64encode(data).decode() for data in (question.data, back or b"")]
        found[f"{question.port}/udp"] = json.dumps({"ask": "x", "end": end, "turns": [turn]}) + "\n"
    return found


_WEB: Final = {"port": 443, "name": "https", "purpose": "website", "tls": True, "from": ["any"]}
_SSH: Final = {"port": 22, "name": "ssh", "purpose": "administration", "from": ["beheer"]}
_NET: Final = {"port": 5432, "name": "postgresql", "purpose": "register", "from": ["198.51.100.0/24"]}
_TIME: Final = {"port": 123, "protocol": "udp", "name": "ntp", "purpose": "time", "from": ["any"]}
_HOST: Final = {"services": [_WEB, _SSH], "owner": "Team Web", "platform": "other", "credential": None}
_INSIDE_OF: Final = {**_HOST, "platform": "linux", "credential": "scan"}
_DROPS: Final = swept(v4={"open": [443], "silent": [22, 23, 80, 5432]})
_REFUSES: Final = swept(v4={"open": [443], "refused": [22, 23, 80, 5432]})
_TOO_MUCH: Final = swept(v4={"open": [22, 23, 443], "silent": [80]})
_DEAD: Final = swept(v4={"silent": [22, 23, 80, 443, 5432]})
_NO_ROUTE: Final = swept(v4={"failed": {"22": "ENETUNREACH", "443": "ENETUNREACH"}})
_BOTH: Final = swept(v4={"open": [443], "silent": [22, 23]}, v6={"open": [443], "silent": [22, 23]})
_MORE6: Final = swept(v4={"open": [443], "silent": [22, 23]}, v6={"open": [22, 443], "silent": [23]})
_MORE4: Final = swept(v4={"open": [22, 443], "silent": [23]}, v6={"open": [443], "silent": [22, 23]})
_LISTENS: Final = """tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=612,fd=3))
tcp LISTEN 0 511 *:443 *:* users:(("nginx",pid=701,fd=6))
tcp LISTEN 0 244 127.0.0.1:5432 0.0.0.0:* users:(("postgres",pid=650,fd=5))
"""
_LISTENS_WIDE: Final = _LISTENS.replace("127.0.0.1:5432", "0.0.0.0:5432")
_LISTENS_ODD: Final = _LISTENS + 'tcp LISTEN 0 9 0.0.0.0:8765 0.0.0.0:* users:(("python3",pid=99,fd=3))\n'
#: The time, as chrony 4.3 gives it (the timestamps made even), and a list of two programs.
_NTP: Final = bytes.fromhex("240a00e90000000000000000 7f7f0101".replace(" ", "")) + bytes(32)
_PROGRAMS: Final = (
    b"keur"
    + bytes.fromhex("00000001")
    + bytes(16)
    + (6 * bytes.fromhex("00000001000186a00000000200000006 0000006f".replace(" ", "")) + bytes(4))
)

examples(
    only_declared,
    passes=[
        {"swept": _DROPS, "target": _HOST},
        {"sweep.swept": _DROPS, "sockets": _LISTENS, "target": _INSIDE_OF},
        {
            "sweep.swept": _DROPS, "sockets": _LISTENS_ODD, "listener_sweep.swept": swept(v4={"silent": [8765]}),
            "target": _INSIDE_OF,
        },
    ],
    fails=[
        {"swept": _TOO_MUCH, "target": _HOST},
        {
            "sweep.swept": _DROPS, "sockets": _LISTENS_ODD, "listener_sweep.swept": swept(v4={"open": [8765]}),
            "target": _INSIDE_OF,
        },
    ],
    unknown=[
        {"swept": _DROPS, "target": {**_HOST, "services": None}},
        {"swept": swept(v4={"open": list(range(1, 101))}), "target": _HOST},
    ],
    error=[
        {"swept": _DEAD, "target": _HOST},
        {"swept": _NO_ROUTE, "target": _HOST},
        {"swept": swept(v4={"open": [443], "failed": {"23": "EMFILE"}}), "target": _HOST},
        {"swept": swept(v4={"open": [443], "silent": [22, 23, 80], "still": False}), "target": _HOST},
    ],
    notapplicable={"target": {"channel": "local", "services": []}},
)  # fmt: skip
examples(
    declared_answers,
    passes={"swept": _DROPS, "target": _HOST},
    fails=[
        {"swept": swept(v4={"open": [22], "refused": [443]}), "target": _HOST},
        {"swept": swept(v4={"open": [443], "silent": [5432]}), "target": {**_HOST, "services": [_WEB, _NET]}},
    ],
    notapplicable={"swept": _DROPS, "target": {**_HOST, "services": [_SSH]}},
    error={"swept": _DEAD, "target": _HOST},
)
examples(
    from_as_declared,
    passes=[
        {"swept": _DROPS, "target": _HOST},
        {"swept": swept("beheer", v4={"open": [22, 443]}), "target": _HOST},
        {"swept": swept(v4={"open": [443, 5432]}), "target": {**_HOST, "services": [_WEB, _NET]}},
    ],
    fails=[
        {"swept": _TOO_MUCH, "target": _HOST},
        {
            "swept": swept(v4={"open": [443, 5432]}),
            "target": {**_HOST, "services": [{**_NET, "from": ["203.0.113.0/24"]}]},
        },
    ],
    unknown=[
        {"swept": swept("", v4={"open": [22, 443]}), "target": _HOST},
        {"swept": translated(swept(v4={"open": [5432]})), "target": {**_HOST, "services": [_NET]}},
    ],
    notapplicable={"swept": _DROPS, "target": {**_HOST, "services": [_WEB]}},
    error={"swept": _DEAD, "target": _HOST},
)
examples(
    ipv6_no_more,
    passes={"swept": _BOTH},
    fails={"swept": _MORE6},
    notapplicable={"swept": _DROPS},
    error={"swept": swept(v4={"open": [443]}, v6={"failed": {"443": "ENETUNREACH"}})},
)
examples(ipv4_no_more, passes={"swept": _BOTH}, fails={"swept": _MORE4}, notapplicable={"swept": _DROPS})
examples(
    not_firewall_alone,
    passes={"sweep.swept": _DROPS, "sockets": _LISTENS, "target": _INSIDE_OF},
    fails={"sweep.swept": _DROPS, "sockets": _LISTENS_WIDE, "target": _INSIDE_OF},
    unknown={"sweep.swept": _DROPS, "sockets": _LISTENS, "target": {**_INSIDE_OF, "services": None}},
)
_LISTENS_TIME: Final = _LISTENS + 'udp UNCONN 0 0 0.0.0.0:123 0.0.0.0:* users:(("chronyd",pid=402,fd=5))\n'
examples(
    seen_inside,
    passes=[
        {"sweep.swept": _DROPS, "said": said(), "sockets": _LISTENS, "target": _INSIDE_OF},
        {"sweep.swept": _DROPS, "said": said(ntp=_NTP), "sockets": _LISTENS_TIME, "target": _INSIDE_OF},
    ],
    fails=[
        {"sweep.swept": _TOO_MUCH, "said": said(), "sockets": _LISTENS, "target": _INSIDE_OF},
        {
            "sweep.swept": swept(v4={"open": [5432]}),
            "said": said(),
            "sockets": _LISTENS,
            "target": _INSIDE_OF,
        },
        {"sweep.swept": _DROPS, "said": said(ntp=_NTP), "sockets": _LISTENS, "target": _INSIDE_OF},
    ],
    notapplicable={"sweep.swept": _DEAD, "said": said(), "sockets": _LISTENS, "target": _INSIDE_OF},
)
examples(
    silent_by_default,
    passes=[
        {"swept": _DROPS},
        {"swept": swept(v4={"open": [443], "failed": {"22": "EHOSTUNREACH", "23": "EHOSTUNREACH"}})},
        {"sweep.swept": _REFUSES, "sockets": _LISTENS_WIDE, "target": _INSIDE_OF},
    ],
    fails=[{"swept": _REFUSES}, {"sweep.swept": _REFUSES.replace("22, ", ""), "sockets": _LISTENS}],
    error={"swept": _DEAD},
)
examples(
    described,
    passes=[
        {"swept": _DROPS, "said": said(), "target": _HOST},
        {"swept": _DROPS, "said": said(ntp=_NTP), "target": {**_HOST, "services": [_WEB, _TIME]}},
    ],
    fails=[
        {"swept": _TOO_MUCH, "said": said(), "target": _HOST},
        {"swept": _DROPS, "said": said(), "target": {**_HOST, "owner": ""}},
        {"swept": _DROPS, "said": said(), "target": {**_HOST, "services": [{"port": 443}]}},
        {"swept": _DROPS, "said": said(ntp=_NTP), "target": _HOST},
    ],
    error={"swept": _DEAD, "said": said(), "target": _HOST},
    notapplicable={"swept": swept(v4={"refused": [22, 443]}), "said": said(), "target": _HOST},
)
_SILENT6: Final = {f"{port} of 2001:db8::10": talk for port, talk in said().items()}
_REFUSED6: Final = {port: talk.replace('"timeout"', '"refused"') for port, talk in _SILENT6.items()}
examples(
    udp_as_declared,
    passes=[
        {"swept": _DROPS, "said": said(), "target": _HOST},
        {"swept": _DROPS, "said": said(ntp=_NTP), "target": {**_HOST, "services": [_WEB, _TIME]}},
    ],
    fails=[
        {"swept": _DROPS, "said": said(ntp=_NTP), "target": _HOST},
        {
            "swept": _DROPS, "said": said(ntp=_NTP),
            "target": {**_HOST, "services": [_WEB, {**_TIME, "from": ["beheer"]}]},
        },
        {
            "swept": _BOTH, "said": {**said(ntp=_NTP), **_SILENT6},
            "target": {
                **_HOST, "addresses": ["2001:db8::10"],
                "services": [_WEB, {**_TIME, "from": ["2001:db8:1::/48"]}],
            },
        },
    ],
    unknown=[
        {"swept": _DROPS, "said": said(), "target": {**_HOST, "services": None}},
        {
            "swept": swept("", v4={"open": [443], "silent": [22]}), "said": said(ntp=_NTP),
            "target": {**_HOST, "services": [_WEB, {**_TIME, "from": ["beheer"]}]},
        },
    ],
    error=[
        {"swept": _DEAD, "said": said(), "target": _HOST},
        {
            "swept": swept(v4={"silent": [443]}, v6={"open": [443]}), "said": {**said(), **_REFUSED6},
            "target": {**_HOST, "addresses": ["2001:db8::10"]},
        },
    ],
)  # fmt: skip
examples(
    no_amplification,
    passes={"swept": _DROPS, "said": said(ntp=_NTP)},
    fails={"swept": _DROPS, "said": said(rpcbind=_PROGRAMS)},
    notapplicable={"swept": _DROPS, "said": said()},
    error={"swept": _DEAD, "said": said()},
)
_TWIN: Final = {**_HOST, "cluster": "web"}
examples(
    twins_alike,
    passes={
        "@a": {"swept": _DROPS, "said": said(), "target": _TWIN},
        "@b": {"swept": _DROPS, "said": said(), "target": _TWIN},
    },
    fails=[
        {
            "@a": {"swept": _DROPS, "said": said(), "target": _TWIN},
            "@b": {"swept": _TOO_MUCH, "said": said(), "target": _TWIN},
        },
        {
            "@a": {"swept": _DROPS, "said": said(), "target": _TWIN},
            "@b": {"swept": _DROPS, "said": said(ntp=_NTP), "target": _TWIN},
        },
    ],
    error={
        "@a": {"swept": _DROPS, "said": said(), "target": _TWIN},
        "@b": {"swept": _DEAD, "said": said(), "target": _TWIN},
    },
    notapplicable={"@a": {"swept": _DROPS, "said": said(), "target": _TWIN}},
)
