"""Which ports answer from where the scanner stands, and what is to be expected behind them.

The facts here are what every look from outside begins with: a port that is open is asked further, one that is not is
left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Literal

from checks.linux.sockets import ListeningSocket
from scanner import (
    Absent,
    Blind,
    Cause,
    Each,
    Gap,
    NotUnderstood,
    Ports,
    Raw,
    Service,
    State,
    Target,
    Unseen,
    fact,
    probe,
)

#: TCP ports that are tried on every target, beside those the inventory declares: services that are asked further when
#: they answer, and those that should never be open to many (IANA service names; the usual ones of well-known products).
USUAL: Final = {
    7: "echo", 9: "discard", 11: "systat", 13: "daytime", 15: "netstat", 17: "qotd", 19: "chargen", 21: "ftp",
    22: "ssh", 23: "telnet", 25: "smtp", 37: "time", 53: "dns", 79: "finger", 80: "http", 88: "kerberos", 110: "pop3",
    111: "rpcbind", 119: "nntp", 135: "msrpc", 139: "netbios", 143: "imap", 179: "bgp", 389: "ldap", 443: "https",
    445: "smb", 465: "smtps", 512: "rexec", 513: "rlogin", 514: "rsh", 515: "lpd", 548: "afp", 554: "rtsp",
    563: "nntps", 587: "submission", 593: "msrpc", 623: "ipmi", 631: "ipp", 636: "ldaps", 853: "dot", 873: "rsync",
    902: "vmware", 990: "ftps", 992: "telnets", 993: "imaps", 995: "pop3s", 1099: "rmi", 1433: "mssql", 1521: "oracle",
    1883: "mqtt", 2049: "nfs", 2083: "cpanel", 2181: "zookeeper", 2375: "docker", 2376: "dockers", 2379: "etcd",
    2380: "etcd-peers", 2484: "oracles", 3000: "grafana", 3128: "proxy", 3260: "iscsi", 3268: "gc", 3269: "gcs",
    3306: "mysql", 3389: "rdp", 4190: "sieve", 4369: "epmd", 4443: "https", 4505: "salt", 4506: "salt",
    5000: "registry", 5060: "sip", 5061: "sips", 5222: "xmpp", 5269: "xmpp-server", 5432: "postgresql",
    5480: "vmware", 5601: "kibana", 5666: "nrpe", 5671: "amqps", 5672: "amqp", 5900: "vnc", 5901: "vnc", 5902: "vnc",
    5938: "teamviewer", 5984: "couchdb", 5985: "winrm", 5986: "winrms", 6000: "x11", 6001: "x11", 6379: "redis",
    6443: "kubernetes", 6514: "syslogs", 6556: "checkmk", 7001: "weblogic", 8000: "http",
    8006: "proxmox", 8008: "http", 8080: "http", 8081: "http", 8086: "influxdb", 8089: "splunk", 8161: "activemq",
    8443: "https", 8500: "consul", 8883: "mqtts", 8888: "http", 9000: "http", 9042: "cassandra", 9090: "http",
    9092: "kafka", 9100: "printer", 9200: "elasticsearch", 9300: "elastic-nodes", 9392: "veeam", 9419: "veeam",
    9443: "https", 10000: "webmin", 10050: "zabbix", 10250: "kubelet", 10255: "kubelet-open", 11211: "memcached",
    15672: "rabbitmq", 16509: "libvirt", 17988: "ilo", 25672: "erlang", 27017: "mongodb", 33060: "mysqlx",
    50000: "db2", 61616: "openwire",
}  # fmt: skip
#: Of so many ports tried, so large a part that is open is no list of services: something answers for the host.
_MANY: Final = 60
_MOST: Final = 0.8
#: Seconds for a long list of ports, and else.
_TIME_FOR_ALL: Final = 900
_TIME: Final = 120
_MUCH: Final = 2000
#: Ports on which TLS is spoken from the first byte.
TLS_PORTS: Final = frozenset(
    {443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 2083, 2376, 2484, 3269, 4443, 5061, 5671, 5986, 6443, 6514,
     8443, 8883, 9443, 10250}
)  # fmt: skip
#: Services that speak something else before TLS, and the name of that (scanner/channels/starttls.py).
STARTTLS: Final = {
    "ftp": "ftp", "imap": "imap", "ldap": "ldap", "mysql": "mysql", "nntp": "nntp", "pop3": "pop3",
    "postgresql": "postgresql", "rdp": "rdp", "sieve": "sieve", "smtp": "smtp", "submission": "smtp",
    "xmpp": "xmpp-client", "xmpp-server": "xmpp-server",
}  # fmt: skip
#: Shuts its door to who hangs up too often, so it is asked only where the inventory says that it speaks TLS.
_TOUCHY: Final = frozenset({"mysql"})
#: A name with a domain, not an address.
_HOST_NAME: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]*")


@fact
class PortList:
    """The TCP ports to try on a target, and the addresses that the inventory gives it beside its own."""

    numbers: tuple[int, ...]
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{len(self.numbers)} ports"


@fact
class Reached:
    """What one address of a target did with the ports that were tried, from the zone the scanner stands in.

    ``vantage`` is empty when the inventory does not say where the scanner stands; ``source`` is the scanner's address
    there. ``silent`` ports did not answer at all; of ``failed`` ones came an error (number and its name): the network
    said that it does not let us through, or we could not ask. ``shut_out`` says that what had answered no longer did at
    the end: then silence is about us, not about the ports.
    """

    vantage: str
    address: str
    source: str
    open: tuple[int, ...]
    refused: tuple[int, ...]
    silent: tuple[int, ...]
    failed: tuple[tuple[int, str], ...]
    shut_out: bool = False

    def __str__(self) -> str:
        return self.address

    @property
    def answers(self) -> bool:
        """Whether there is a host at this address for sure: it took or refused a connection."""
        return bool(self.open or self.refused)

    @property
    def seen_as(self) -> str:
        """Our address as the host sees it; empty when that is not known: who stands in a private network shows itself
        to the internet with another one.
        """
        translated = self.source and ip_address(self.source).is_private and ip_address(self.address).is_global
        return "" if translated else self.source

    @property
    def version(self) -> int:
        """Of IP: 4 or 6."""
        return 6 if ":" in self.address else 4

    @property
    def numbers(self) -> frozenset[int]:
        """The ports that were tried."""
        return frozenset((*self.open, *self.refused, *self.silent, *(number for number, _ in self.failed)))

    @property
    def tried(self) -> int:
        """How many ports were tried."""
        return len(self.numbers)

    @property
    def too_much(self) -> bool:
        """Whether so much is open that it is not the host that answers."""
        return len(self.open) > _MANY and len(self.open) > _MOST * self.tried


@fact
class Sweep:
    """What all addresses of a target did."""

    addresses: tuple[Reached, ...]

    def __str__(self) -> str:
        return ", ".join(one.address for one in self.addresses)


@fact
class ListenerList:
    """The TCP ports that listen inside and are not among those that are tried anyway: to be tried in a second sweep."""

    numbers: tuple[int, ...]
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.numbers)} ports"


@fact
class ListenerSweep:
    """What all addresses did with those."""

    addresses: tuple[Reached, ...]


@fact
class OpenPort:
    """A TCP port of the target that takes connections from where the scanner stands.

    ``service`` is the name in the inventory, else that of the usual service on this port, else empty; ``declared``
    says that the inventory has it, ``tls`` that it promises TLS here. ``further_address`` is empty at the target's own.
    """

    number: int
    service: str
    declared: bool
    tls: bool
    server_name: str
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/tcp"


@fact
class TlsPort:
    """A port where the scanner may ask for TLS; ``address`` only on the scanner's own host.

    ``declared`` says that the inventory promises TLS here. ``starttls`` is the protocol that is spoken before TLS. Over
    UDP it is a RADIUS server, which speaks TLS in EAP with who logs in on the network, in this ``realm``.
    ``further_address`` is as that of `OpenPort`.
    """

    number: int
    server_name: str = ""
    address: str = ""
    declared: bool = False
    starttls: str = ""
    protocol: Literal["tcp", "udp"] = "tcp"
    realm: str = ""
    further_address: str = ""

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@fact
class RadiusServer:
    """A RADIUS server that the inventory declares, the name its certificate should have, and the realm to ask for."""

    number: int
    server_name: str
    realm: str

    def __str__(self) -> str:
        return f"{self.number}/udp"


@probe("outside")
def radius_servers(target: Target) -> list[RadiusServer]:
    """As declared: over UDP silence tells nothing, so no other is sought."""
    if target.channel != "local":
        must_be_outside(target)
    return [
        RadiusServer(one.port, one.server_name or _own_name(target), one.realm)
        for one in target.services or ()
        if one.protocol == "udp" and one.name == "radius"
    ]


def must_be_outside(target: Target) -> None:
    """Raises Absent where there is no outside to look from, on the scanner's own host; Blind behind a jump host."""
    if target.channel == "local":
        raise Absent("the scanner runs on this host itself: nothing is seen from outside")
    if target.is_out_of_sight:
        raise Blind(
            f"reached by way of {target.jump}: where the scanner stands its address may be another host's, so nothing"
            " is asked from outside; write 'ports: usual' when it leads there from here too",
            Cause.POLICY,
        )


@probe("outside")
def port_list(target: Target) -> list[PortList]:
    """The ports that were chosen and those the inventory declares."""
    must_be_outside(target)
    declared = {one.port for one in target.services or () if one.protocol == "tcp"} | login_port(target)
    chosen: Iterable[int]
    match target.ports:
        case None | "usual":
            chosen = USUAL
        case "all":
            chosen = range(1, 65536)
        case _:
            chosen = target.ports
    return [PortList(tuple(sorted({*chosen, *declared})), target.addresses)]


def _ports(ports: PortList) -> Ports:
    time = _TIME_FOR_ALL if len(ports.numbers) > _MUCH else _TIME
    return Ports(numbers=ports.numbers, addresses=ports.addresses, timeout=time)


@probe("outside", swept=Each(PortList, _ports))
def sweep(swept: Raw) -> Sweep:
    """What `Ports` gives: JSON with a list of ports for each address and what they did."""
    addresses = _reached(swept)
    for one in addresses:
        if one.too_much:
            raise NotUnderstood(
                f"{one.address}: {len(one.open)} of {one.tried} ports are open: something answers for the host"
            )
    return Sweep(addresses)


def _reached(swept: Raw) -> tuple[Reached, ...]:
    seen = json.loads(swept.text)
    addresses = tuple(
        Reached(
            vantage=seen["from"],
            address=address,
            source=ports.get("source", ""),
            open=tuple(ports["open"]),
            refused=tuple(ports["refused"]),
            silent=tuple(ports["silent"]),
            failed=tuple((int(number), why) for number, why in ports["failed"].items()),
            shut_out=not ports.get("still", True),
        )
        for address, ports in seen["addresses"].items()
    )
    if not addresses:
        raise NotUnderstood("no address was tried")
    return addresses


@probe("outside")
def listener_list(
    sockets: list[ListeningSocket] | Gap, lists: list[PortList], target: Target
) -> list[ListenerList]:
    """What listens inside on another port than those that are tried anyway; a host may offer so many at most."""
    if isinstance(sockets, Gap):
        return []
    tried = {number for one in lists for number in one.numbers}
    numbers = {one.port for one in sockets if one.protocol == "tcp" and not one.is_local} - tried
    return [ListenerList(tuple(sorted(numbers)[:_MUCH]), target.addresses)] if numbers else []


@probe(
    "outside", swept=Each(ListenerList, lambda ports: Ports(numbers=ports.numbers, addresses=ports.addresses))
)
def listener_sweep(swept: Raw) -> ListenerSweep:
    """As the first sweep."""
    return ListenerSweep(_reached(swept))


@probe("outside")
def open_ports(sweeps: list[Sweep], target: Target) -> list[OpenPort]:
    """The ports that are open, on each address that the inventory names."""
    declared = {one.port: one for one in target.services or () if one.protocol == "tcp"}
    found = {
        (number, further(target, at.address)) for one in sweeps for at in one.addresses for number in at.open
    }
    return [
        OpenPort(
            number=number,
            service=service_name(target, number),
            declared=number in declared,
            tls=number in declared and declared[number].tls,
            server_name=_name(target, number),
            further_address=address,
        )
        for number, address in sorted(found)
    ]


@probe("outside")
def tls_ports(
    sockets: list[ListeningSocket] | Gap,
    reached: list[OpenPort] | Gap,
    radius: list[RadiusServer],
    target: Target,
) -> list[TlsPort | Unseen]:
    """Where TLS is to be expected: the usual ports and those the inventory says so of, as far as they listen (seen
    from inside, where we can log in) or answer (seen from outside).

    On the scanner's own host loopback counts too; elsewhere only what can be reached from outside. A port the inventory
    promises TLS on is asked unless the host itself says that nothing listens there. Services that change over to TLS
    (STARTTLS) are asked where they answer, and RADIUS servers where the inventory declares them.
    """
    if target.channel != "local":
        must_be_outside(target)
    declared = {one.port for one in target.services or () if one.tls and one.protocol == "tcp"}
    wanted = TLS_PORTS | declared
    found: dict[tuple[int, str], TlsPort] = {}
    if not isinstance(sockets, Gap):
        own = target.channel == "local"
        for one in sockets:
            if one.protocol != "tcp" or one.port not in wanted or (one.is_local and not own):
                continue
            # Never connect to an address that a remote host names: it may name another's.
            address = one.address if own and not one.everywhere and not one.scope else ""
            place = one.port, further(target, one.address)
            if place not in found or one.everywhere:
                found[place] = _tls_port(target, *place, address)
    if not isinstance(reached, Gap):
        upgrading = {port.number for port in reached if port.service in STARTTLS.keys() - _TOUCHY}
        seen = {(port.number, port.further_address) for port in reached if port.number in wanted | upgrading}
        found = {place: _tls_port(target, *place) for place in seen} | found
    if isinstance(sockets, Gap):
        promised = declared - {number for number, _ in found}
        found |= {(number, ""): _tls_port(target, number) for number in promised}
    ports: list[TlsPort | Unseen] = [found[place] for place in sorted(found)]
    ports += [
        TlsPort(one.number, one.server_name, declared=True, protocol="udp", realm=one.realm) for one in radius
    ]
    for gap, elsewhere in ((sockets, reached), (reached, sockets)):
        # What an account was given to look with, or is the only view, did not show is not simply absent.
        alone = isinstance(elsewhere, Gap) or (gap is sockets and target.credential is not None)
        if isinstance(gap, Gap) and gap.state is not State.NOTAPPLICABLE and alone:
            return [*ports, Unseen("other ports", gap)]
    return ports


def _tls_port(target: Target, number: int, further_address: str = "", address: str = "") -> TlsPort:
    service = _service(target, number)
    usual = "" if number in TLS_PORTS else STARTTLS.get(service_name(target, number), "")
    return TlsPort(
        number=number,
        server_name=_name(target, number),
        address=address,
        declared=service is not None and service.tls,
        starttls=(service.starttls if service else "") or usual,
        further_address=further_address,
    )


def _service(target: Target, number: int) -> Service | None:
    """What the inventory says of a TCP port."""
    services = target.services or ()
    return next((one for one in services if one.port == number and one.protocol == "tcp"), None)


def further(target: Target, address: str) -> str:
    """The address when it is one of those that the inventory gives the target beside its own, else empty."""
    return address if address in target.addresses and address != target.address else ""


def login_port(target: Target) -> set[int]:
    """The port that we log in on ourselves, where we do."""
    return {target.port} if target.channel == "ssh" and target.credential is not None else set()


def service_name(target: Target, number: int) -> str:
    """What a TCP port is for: by its name in the inventory, else because we log in there, else by custom."""
    names = (one.name for one in target.services or () if (one.port, one.protocol) == (number, "tcp"))
    return next(names, "") or ("ssh" if number in login_port(target) else USUAL.get(number, ""))


def _name(target: Target, number: int) -> str:
    """The name to ask a port for: that of the service, else the target's own when it is one with a domain."""
    service = _service(target, number)
    return (service.server_name if service else "") or _own_name(target)


def _own_name(target: Target) -> str:
    return next((name for name in (target.address, target.name) if _HOST_NAME.fullmatch(name)), "")
