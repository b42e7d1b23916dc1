"""Which kinds of services answer from the zone where the scanner stands, and from where they may.

Three kinds: what should answer nobody, what is for administrators, and what is for its own zone or for one application.
A service is known by its name in the inventory, else by its usual port. What the inventory agrees for a zone by name or
network is agreed; ``any`` is no agreement for these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from checks.linux._answers import named
from checks.network.datagrams import Datagram
from checks.network.exposure import NOT_KNOWN, Exposure, admitted, said, shown, swept, translated
from checks.network.ports import USUAL, further, service_name
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    SECURE_DEFAULT,
    Absent,
    Blind,
    Cause,
    Layer,
    NotUnderstood,
    Row,
    Service,
    Severity,
    Target,
    Verdict,
    examples,
    holds,
    table,
)

_CLOSE: Final = "ss -Hltnup    # which program listens\nsystemctl disable --now NAME.service NAME.socket"
_ONLY: Final = (
    "nft add rule inet filter input ip saddr 192.0.2.128/26 tcp dport PORT accept    # the zone that may\n"
    "nft add rule inet filter input tcp dport PORT drop    # and the same on the way there"
)
_TRY: Final = "nc -vz -w 3 HOST PORT    # from the zone the scanner stands in; with -u for UDP"
_MANAGEMENT: Final = ("beheer", "management")


@dataclass(frozen=True, kw_only=True)
class Group(Row):
    """A kind of services, by name, over TCP and UDP; ``neighbours`` says that hosts of the same zone may use it."""

    layer: Layer = Layer.NETWORK
    verify: str = _TRY
    tcp: frozenset[str]
    udp: frozenset[str] = frozenset()
    neighbours: bool = False

    @property
    def ports(self) -> frozenset[int]:
        """The usual TCP ports of these."""
        return frozenset(number for number, name in USUAL.items() if name in self.tcp)


def _services(names: str) -> frozenset[str]:
    return frozenset(names.split())


NOBODY: Final = (
    Group(
        id="zones.no-readable-logins",
        principle=(DEFAULT_DENY, DATA_FIRST),
        severity=Severity.CRITICAL,
        tcp=_services("telnet rlogin rsh rexec"),
        title="Telnet, rlogin, rsh and rexec do not answer",
        why="They send names, passwords and all that is typed readable over the network. SSH has replaced them.",
        title_nl="Telnet, rlogin, rsh en rexec antwoorden niet",
        why_nl="Zij sturen namen, wachtwoorden en alles wat wordt getypt leesbaar over het netwerk. SSH verving ze.",
        fix=_CLOSE,
        references=("NIST SP 800-123, section 4.2.1", "RFC 4251"),
    ),
    Group(
        id="zones.no-small-services",
        principle=(DEFAULT_DENY, SECURE_DEFAULT),
        severity=Severity.MEDIUM,
        tcp=_services("echo discard systat daytime netstat qotd chargen time finger"),
        title="The test services of former days (echo, chargen, finger and the like) do not answer",
        why="Nobody needs them any more; they help to attack others, and tell who works here.",
        title_nl="De proefdiensten van vroeger (echo, chargen, finger en dergelijke) antwoorden niet",
        why_nl="Niemand heeft ze nog nodig; ze helpen anderen aan te vallen en vertellen wie hier werkt.",
        fix=_CLOSE,
        references=("CERT Advisory CA-1996-01", "RFC 1288 section 3"),
    ),
    Group(
        id="zones.no-screens",
        principle=DEFAULT_DENY,
        severity=Severity.HIGH,
        tcp=_services("x11"),
        title="No X11 display answers over the network",
        why="Who may connect to a display sees the screen and types along, readable for all in between.",
        title_nl="Geen X11-scherm antwoordt over het netwerk",
        why_nl="Wie bij een scherm kan, kijkt mee en typt mee, leesbaar voor iedereen ertussen.",
        fix="# display manager: start X with -nolisten tcp (the default); forward through ssh -X",
        references=("Xserver(1) -nolisten", "Xsecurity(7)"),
    ),
    Group(
        id="zones.no-open-control",
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        tcp=_services("docker kubelet-open"),
        title="No control of containers that asks for no password answers",
        why="Docker on port 2375 makes anyone root on the host; the open port of the kubelet shows all that runs.",
        title_nl="Geen besturing van containers die om geen wachtwoord vraagt, antwoordt",
        why_nl="Docker op poort 2375 maakt iedereen root op de host; de open poort van de kubelet toont al wat draait.",
        fix="systemctl edit docker    # ExecStart without -H tcp://...\nsystemctl restart docker\n"
        "# kubelet: readOnlyPort: 0",
        references=(
            "https://docs.docker.com/engine/security/protect-access/",
            "https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/",
        ),
    ),
)

SOME: Final = (
    Group(
        id="zones.management-login",
        principle=DEFAULT_DENY,
        severity=Severity.HIGH,
        tcp=_services("ssh winrm winrms"),
        udp=_services("snmp"),
        title="Management ports (SSH, WinRM, SNMP) answer only from the management zone",
        why="Who can reach the login of administrators can guess passwords and use every hole in it.",
        title_nl="Beheerpoorten (SSH, WinRM, SNMP) antwoorden alleen vanuit de beheerzone",
        why_nl="Wie bij de aanmelding van beheerders kan, kan wachtwoorden raden en elk lek erin gebruiken.",
        fix=_ONLY,
        references=("BIO2 1.3, control 8.20", "NIST SP 800-41 Rev. 1, section 4.1"),
    ),
    Group(
        id="zones.remote-desktop",
        principle=DEFAULT_DENY,
        severity=Severity.HIGH,
        tcp=_services("rdp vnc teamviewer"),
        title="Remote desktops (RDP, VNC) answer only from the management zone",
        why="Open remote desktops are among the commonest ways in for ransomware.",
        title_nl="Bureaubladen op afstand (RDP, VNC) antwoorden alleen vanuit de beheerzone",
        why_nl="Open bureaubladen op afstand horen bij de meest gebruikte ingangen van gijzelsoftware.",
        fix=_ONLY,
        references=("CISA, StopRansomware Guide, part 1", "BIO2 1.3, control 8.22"),
    ),
    Group(
        id="zones.hypervisors",
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        tcp=_services("vmware proxmox libvirt"),
        title="Hypervisors answer only from the management zone",
        why="Who holds the hypervisor holds every server on it, with all layers inside them.",
        title_nl="Hypervisors antwoorden alleen vanuit de beheerzone",
        why_nl="Wie de hypervisor heeft, heeft elke server erop, met alle lagen daarbinnen.",
        fix=_ONLY,
        references=(
            "NIST SP 800-125A Rev. 1, Security Recommendations for Server-based Hypervisor Platforms",
            "CISA, StopRansomware Guide, part 1",
        ),
    ),
    Group(
        id="zones.backup",
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        tcp=_services("veeam"),
        title="The management of backups answers only from the management zone",
        why="Ransomware destroys the backups first: then nothing is left but paying.",
        title_nl="Het beheer van back-ups antwoordt alleen vanuit de beheerzone",
        why_nl="Gijzelsoftware vernietigt eerst de back-ups: dan rest alleen nog betalen.",
        fix=_ONLY,
        references=("CISA, StopRansomware Guide, part 1", "BIO2 1.3, control 8.22"),
    ),
    Group(
        id="zones.hardware",
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        tcp=_services("ipmi ilo"),
        udp=_services("ipmi"),
        title="The controllers of the hardware (IPMI, iLO) answer only from the management zone",
        why="The controller can switch a server off or start it from another disk, whatever runs on it.",
        title_nl="De besturing van de hardware (IPMI, iLO) antwoordt alleen vanuit de beheerzone",
        why_nl="Daarmee is een server uit te zetten of van een andere schijf te starten, wat er ook op draait.",
        fix="ipmitool lan set 1 vlan id NUMBER    # a network of its own, for administrators alone",
        references=("CISA Alert TA13-207A, Risks of Using the IPMI", "BIO2 1.3, control 8.22"),
    ),
    Group(
        id="zones.consoles",
        principle=DEFAULT_DENY,
        severity=Severity.HIGH,
        tcp=_services("webmin cpanel kibana grafana rabbitmq activemq weblogic splunk"),
        title="Web consoles for management answer only from the management zone",
        why="A console is made for a few administrators, and each hole in it is used within days.",
        title_nl="Webconsoles voor beheer antwoorden alleen vanuit de beheerzone",
        why_nl="Een console is voor een paar beheerders gemaakt, en elk lek erin wordt binnen dagen gebruikt.",
        fix=_ONLY,
        references=("CISA BOD 23-02, internet-exposed management interfaces", "BIO2 1.3, control 8.22"),
    ),
    Group(
        id="zones.orchestration",
        principle=DEFAULT_DENY,
        severity=Severity.CRITICAL,
        tcp=_services("dockers kubernetes kubelet etcd etcd-peers consul salt"),
        neighbours=True,
        title="What directs many hosts at once (Kubernetes, etcd, Consul, Salt) answers only from its own or the"
        " management zone",
        why="Who gets in here gets in everywhere it directs.",
        title_nl="Wat veel hosts tegelijk bestuurt (Kubernetes, etcd, Consul, Salt) antwoordt alleen vanuit de eigen"
        " zone of de beheerzone",
        why_nl="Wie hier binnenkomt, komt overal binnen waar het bestuurt.",
        fix=_ONLY,
        references=("NSA/CISA, Kubernetes Hardening Guide 1.2, Network separation and hardening",),
    ),
    Group(
        id="zones.monitoring-agents",
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        tcp=_services("zabbix nrpe checkmk"),
        title="Monitoring agents answer only the monitoring in the management zone",
        why="An agent tells what runs and how, and some carry out what they are asked.",
        title_nl="Bewakingsprogramma's antwoorden alleen de bewaking in de beheerzone",
        why_nl="Zo'n programma vertelt wat er draait en hoe, en sommige voeren uit wat men vraagt.",
        fix=_ONLY,
        references=("Zabbix manual, agent Server=", "Checkmk manual, only_from"),
    ),
    Group(
        id="zones.databases",
        principle=(DEFAULT_DENY, DATA_FIRST),
        severity=Severity.HIGH,
        tcp=_services(
            "mssql oracle oracles mysql mysqlx postgresql db2 mongodb cassandra couchdb influxdb elasticsearch"
            " elastic-nodes"
        ),
        udp=_services("mssql-browser"),
        neighbours=True,
        title="Databases do not answer from another zone, unless that was agreed for it",
        why="A database is there for one application. Where others reach it, one stolen password opens all of it.",
        title_nl="Databases antwoorden niet vanuit een andere zone, tenzij dat daarvoor is afgesproken",
        why_nl=(
            "Een database is er voor één toepassing. Is zij van elders te bereiken, dan is één gestolen wachtwoord"
            " genoeg voor alles wat erin staat."
        ),
        fix=_ONLY,
        references=("BIO2 1.3, control 8.22", "PCI DSS 4.0.1, requirement 1.4.4"),
    ),
    Group(
        id="zones.queues-and-caches",
        principle=(DEFAULT_DENY, DATA_FIRST),
        severity=Severity.HIGH,
        tcp=_services("amqp amqps kafka zookeeper openwire erlang epmd redis memcached"),
        udp=_services("memcached"),
        neighbours=True,
        title="Queues and caches do not answer from another zone, unless that was agreed for it",
        why="They are made for a closed network and many trust whoever can reach them.",
        title_nl="Wachtrijen en caches antwoorden niet vanuit een andere zone, tenzij dat daarvoor is afgesproken",
        why_nl="Ze zijn gemaakt voor een gesloten netwerk en veel ervan vertrouwen ieder die erbij kan.",
        fix=_ONLY,
        references=("Redis documentation, security: network security", "memcached documentation, security"),
    ),
    Group(
        id="zones.file-sharing",
        principle=(DEFAULT_DENY, DATA_FIRST),
        severity=Severity.HIGH,
        tcp=_services("smb netbios nfs afp rsync iscsi"),
        neighbours=True,
        title="File and disk sharing (SMB, NFS, AFP, rsync, iSCSI) does not answer from another zone, unless agreed",
        why="Shares are how worms and ransomware travel, and hold what is worth taking.",
        title_nl="Gedeelde bestanden en schijven (SMB, NFS, AFP, rsync, iSCSI) antwoorden niet vanuit een andere zone,"
        " tenzij afgesproken",
        why_nl="Via gedeelde mappen reizen wormen en gijzelsoftware, en daar staat wat de moeite waard is.",
        fix=_ONLY,
        references=("CISA, SMB Security Best Practices", "BIO2 1.3, control 8.22"),
    ),
    Group(
        id="zones.remote-calls",
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        tcp=_services("rpcbind msrpc rmi"),
        udp=_services("rpcbind"),
        neighbours=True,
        title="The registers of remote calls (rpcbind, Windows RPC, Java RMI) do not answer from another zone",
        why="They tell a stranger every service there is and where, and have had holes of their own.",
        title_nl="De registers van aanroepen op afstand (rpcbind, Windows RPC, Java RMI) antwoorden niet vanuit een"
        " andere zone",
        why_nl="Ze vertellen een vreemde welke diensten er zijn en waar, en hadden zelf menig lek.",
        fix=_ONLY,
        references=("rpcbind(8)", "NIST SP 800-123, section 4.2.1"),
    ),
    Group(
        id="zones.directory",
        principle=DEFAULT_DENY,
        severity=Severity.MEDIUM,
        tcp=_services("kerberos ldap ldaps gc gcs"),
        udp=_services("cldap"),
        neighbours=True,
        title="The directory (LDAP, Kerberos, global catalogue) does not answer from another zone, unless agreed",
        why="The directory knows every account: whoever reaches it can ask, guess and collect tickets to crack.",
        title_nl="De directory (LDAP, Kerberos, global catalog) antwoordt niet vanuit een andere zone, tenzij"
        " afgesproken",
        why_nl="De directory kent elk account: wie erbij kan, kan vragen, raden en tickets verzamelen om te kraken.",
        fix=_ONLY,
        references=(
            "Microsoft, How to configure a firewall for AD domains and trusts",
            "BIO2 1.3, control 8.22",
        ),
    ),
    Group(
        id="zones.printing",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        tcp=_services("lpd ipp printer"),
        neighbours=True,
        title="Printer ports do not answer from another zone, unless that was agreed for it",
        why="Who reaches a printer directly passes the print server by, and can read or change what it does.",
        title_nl="Printerpoorten antwoorden niet vanuit een andere zone, tenzij dat daarvoor is afgesproken",
        why_nl="Wie rechtstreeks bij een printer kan, omzeilt de printserver en kan lezen of wijzigen wat hij doet.",
        fix=_ONLY,
        references=("NISTIR 8023, Risk Management for Replication Devices",),
    ),
    Group(
        id="zones.local-discovery",
        principle=DEFAULT_DENY,
        severity=Severity.LOW,
        tcp=frozenset(),
        udp=_services("mdns ssdp netbios"),
        neighbours=True,
        title="Discovery of the neighbourhood (mDNS, SSDP, NetBIOS) does not answer another zone",
        why="It is meant for one network segment; further away it only tells strangers what there is.",
        title_nl="Verkenning van de buurt (mDNS, SSDP, NetBIOS) antwoordt een andere zone niet",
        why_nl="Die is bedoeld voor één netwerksegment; verder weg vertelt zij alleen vreemden wat er is.",
        fix="systemctl disable --now avahi-daemon.service avahi-daemon.socket nmbd.service",
        references=("RFC 6762 section 11", "US-CERT VU#550620, mDNS and unicast queries"),
    ),
)


# --- judging --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    """A service of a group that answers: as it is shown, what the inventory has of it, and our own addresses there."""

    shown: str
    service: Service | None
    sources: tuple[str, ...]

    def agreed(self, vantage: str) -> bool:
        """Whether the inventory lets this zone in by name or network."""
        if self.service is None or "any" in self.service.from_:
            return False
        return any(admitted(self.service, vantage, source) for source in self.sources)

    def in_doubt(self, vantage: str) -> bool:
        """Whether somebody may come in by agreement, and it is not known whether that is us."""
        if self.service is None or not self.service.from_:
            return False
        return all(admitted(self.service, vantage, source) is None for source in self.sources)


def _answers(row: Group, exposure: Exposure, datagrams: Iterable[Datagram], target: Target) -> list[_Answer]:
    known = {one.key: one for one in target.services or ()}
    found: list[_Answer] = []
    for at, number in exposure.open:
        service = known.get(f"{number}/tcp")
        name = service_name(target, number)
        if name in row.tcp:
            found.append(_Answer(f"{at.address} {shown(number, 'tcp', name)}", service, (at.seen_as,)))
    for one in datagrams:
        if one.answers and one.understood and one.service in row.udp:
            sources = tuple(
                at.seen_as for at in exposure.addresses if one.asked.address == further(target, at.address)
            )
            key = f"{one.asked.number}/udp"
            found.append(_Answer(f"{one} ({one.service})", known.get(key), sources))
    return found


def _sure(row: Group, exposure: Exposure, datagrams: Iterable[Datagram]) -> None:
    """Raises unless nothing else of the group answers: it was tried on a host that is there.

    Where silence tells nothing, the host itself must have been seen not to listen.
    """
    of_group = [one for one in datagrams if one.asked.service in row.udp]
    for one in of_group:
        if one.answers and not one.understood:
            raise NotUnderstood(f"{one} answers, and not as {one.asked.service} does")
    exposure.sure(row.ports)
    inside = exposure.inside
    listens = {one.key for one in inside or () if not one.is_local}
    for one in of_group:
        if one.tells_nothing and (inside is None or f"{one.asked.number}/udp" in listens):
            raise Blind(f"{one} is silent, as {one.asked.service} can be that is there", Cause.TIMEOUT)


def _none(row: Group, exposure: Exposure, datagrams: Iterable[Datagram]) -> Verdict:
    """Nothing of the group answers."""
    _sure(row, exposure, datagrams)
    names = ", ".join(sorted({*row.tcp, *row.udp}))
    return holds(True, f"{exposure.place} none answers: {names}", "none")


@table(*NOBODY)
def answers_nobody(exposure: Exposure, datagrams: list[Datagram], target: Target, *, row: Group) -> Verdict:
    """The services of the row do not answer."""
    found = _answers(row, exposure, datagrams, target)
    if not found:
        return _none(row, exposure, datagrams)
    return holds(False, f"{exposure.place} answers: {named([one.shown for one in found])}", "none")


@table(*SOME)
def answers_some(
    exposure: Exposure,
    datagrams: list[Datagram],
    target: Target,
    *,
    row: Group,
    management: Annotated[
        tuple[str, ...], "zones of administrators, by their names in the inventory"
    ] = _MANAGEMENT,
) -> Verdict:
    """The services of the row answer only from where they may."""
    found = _answers(row, exposure, datagrams, target)
    if not found:
        return _none(row, exposure, datagrams)
    others = [one for one in found if not one.agreed(exposure.vantage)]
    wrong = [one.shown for one in others]
    if not wrong:
        _sure(row, exposure, datagrams)
        return holds(
            True, f"agreed for this zone: {named([one.shown for one in found])}", "only what is agreed"
        )
    if not exposure.vantage or all(one.in_doubt(exposure.vantage) for one in others):
        raise NotUnderstood(f"{named(wrong)} answers; {NOT_KNOWN}")
    if exposure.vantage in management or (row.neighbours and exposure.vantage == target.zone):
        raise Absent(
            f"{named(wrong)} answers, as it may {exposure.place}; what others can reach, a look from their zone tells"
        )
    return holds(
        False, f"{exposure.place} answers, not agreed: {named(wrong)}", "nothing that is not agreed for it"
    )


# --- examples -------------------------------------------------------------------------------------------------

_HERE: Final = {"platform": "other", "credential": None, "zone": "server"}
_NO_SNMP: Final = said(snmp=None)


def _seen(vantage: str = "kantoor", *open_: int) -> str:
    silent = [number for number in USUAL if number not in open_]
    return swept(vantage, v4={"open": list(open_), "silent": silent})


def _one(row: Group) -> int:
    return min((number for number in row.ports), default=0)


def _answered(row: Group) -> dict[str, str]:
    """What an Avahi says when the group has no TCP service of its own."""
    back = b"\0\0\x84\0\0\1\0\1\0\0\0\0"
    return _NO_SNMP if row.tcp else said(mdns=back)


def _open(row: Group, vantage: str = "kantoor", **target: object) -> dict[str, object]:
    swept_ = _seen(vantage, _one(row)) if row.tcp else swept(vantage, v4={"refused": [22]})
    return {"swept": swept_, "said": _answered(row), "target": {**_HERE, **target}}


def _agreed(row: Group, origin: str) -> dict[str, object]:
    port = {"port": _one(row)} if row.tcp else {"port": 5353, "protocol": "udp"}
    return _open(row, services=[{**port, "purpose": "x", "from": [origin]}])


def _behind_nat(row: Group) -> dict[str, object]:
    seen = _agreed(row, "203.0.113.0/24")
    return {**seen, "swept": translated(str(seen["swept"]))}


_CLOSED: Final = {"swept": _seen("kantoor", 443), "said": _NO_SNMP, "target": _HERE}
_NOBODY_HOME: Final = {"swept": _seen("kantoor"), "said": said(), "target": _HERE}
_NOT_TRIED: Final = {"swept": swept(v4={"open": [443]}), "said": said(), "target": _HERE}

for one in NOBODY:
    examples(
        one.id, passes=_CLOSED, fails=[_open(one), _open(one, "beheer")], error=[_NOBODY_HOME, _NOT_TRIED]
    )
for one in SOME:
    examples(
        one.id,
        passes=[
            _CLOSED,
            _agreed(one, "kantoor"),
            _agreed(one, "198.51.100.0/24"),
        ],
        fails=[_open(one), _agreed(one, "any"), _agreed(one, "beheer")],
        unknown=[_open(one, ""), _behind_nat(one)],
        notapplicable=[_open(one, "beheer"), *([_open(one, "server")] if one.neighbours else [])],
        error=[_NOBODY_HOME, *([_NOT_TRIED] if one.tcp else [])],
    )
examples("zones.local-discovery", unknown={**_CLOSED, "said": said(mdns=b"what?")})
_LISTENS: Final = "tcp LISTEN 0 511 *:443 *:*\nudp UNCONN 0 0 127.0.0.1:161 0.0.0.0:*\n"
_WITHIN: Final = {
    "sweep.swept": _seen("kantoor", 443),
    "said": said(),
    "sockets": _LISTENS,
    "target": {**_HERE, "platform": "linux", "credential": "scan", "port": 2222},
}
_AGREED: Final = _agreed(next(one for one in SOME if one.id == "zones.management-login"), "kantoor")
examples(
    "zones.management-login",
    passes=_WITHIN,
    fails={
        "swept": _seen("kantoor", 2222),
        "said": said(),
        "target": {**_HERE, "port": 2222, "credential": "scan"},
    },
    error=[
        {**_CLOSED, "said": said()},
        {**_AGREED, "said": said()},
        {**_WITHIN, "sockets": _LISTENS.replace("127.0.0.1", "0.0.0.0")},  # noqa: S104 -- seen, not bound
    ],
    unknown={**_AGREED, "said": said(snmp=b"what?")},
)
