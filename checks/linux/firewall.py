"""What the host's packet filter really lets through, whoever manages it.

Judged are the rules in the kernel: nftables with all that is kept in it (iptables, ufw, firewalld), and the legacy
iptables tables beside it. A packet that nobody expects is walked through every chain it would meet
(checks/linux/netfilter); a rule that is not understood makes the verdict unknown as far as it has a say. A refusal
that was seen stays true whatever else could not be seen, for one drop is final; an opening does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Annotated, Final

from checks.linux import example_rulesets as recorded
from checks.linux._answers import named
from checks.linux.netfilter.rules import OTHER, TCP, UDP, Ruleset
from checks.linux.netfilter.spans import (
    PORTS,
    Spans,
    join,
    meet,
    minus,
    network,
    points,
    show_addresses,
    show_ports,
    size,
    spans,
)
from checks.linux.netfilter.together import ruleset
from checks.linux.netfilter.walk import Opening, Reach, by_port, open_to, reach
from scanner import (
    DEFAULT_DENY,
    IN_DEPTH,
    NO_GAP,
    Absent,
    Blind,
    Cause,
    Command,
    File,
    Layer,
    NotUnderstood,
    Raw,
    Service,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

#: More far addresses than this is "from anywhere": all private ranges together (RFC 1918; RFC 4193 and link-local).
ANYWHERE: Final = {4: 2**24 + 2**20 + 2**16, 6: 2**121 + 2**118}
#: More open ports than this is not a list of services but a default.
MOST_PORTS: Final = 1000
#: Interfaces of the host's own containers and virtual machines: these may send out through it. Docker names its
#: bridges by a number; any other ``br-`` may well be a network of people.
GUESTS: Final = re.compile(
    r"docker|br-[0-9a-f]{12}$|virbr|lxcbr|lxdbr|incusbr|podman|cni|veth|vnet|cali|flannel|cilium"
)
_NAMES: Final = {TCP: "tcp", UDP: "udp", OTHER: "other protocols"}
_LEGACY_TABLES: Final = frozenset({"filter", "nat", "mangle", "raw", "security"})

NFT: Final = Command("nft -j list ruleset", root=True, needs="nft", limit=8 << 20)
ADDRESSES: Final = Command("ip -j address show")
KERNEL: Final = Command(
    "grep -rH -e '' --include=forwarding --include=route_localnet /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf",
    exits=(0, 2),
)


# --- facts ----------------------------------------------------------------------------------------------------


@fact
class PacketFilter:
    """Every rule the kernel holds, the interfaces beside loopback, and the host's own addresses."""

    rules: Ruleset
    interfaces: tuple[str, ...]
    own: dict[int, Spans]

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions a neighbour can speak with this host; IPv6 when it has an address of its own."""
        return (4, 6) if self.own.get(6) else (4,)


@fact
class Routing:
    """Through which interfaces the kernel forwards, by IP version, and where it routes loopback addresses."""

    forwards: dict[int, tuple[str, ...]]
    route_localnet: tuple[str, ...]


@fact
class EffectiveFirewall:
    """What comes in to the host itself: every opening from outside, and what could not be judged.

    ``unseen`` names rules that could not be looked at, ``doubts`` rules that were seen and not understood.
    """

    versions: tuple[int, ...]
    openings: tuple[Opening, ...]
    doubts: tuple[str, ...]
    unseen: str
    logs: bool

    def ports(self, version: int, protocol: int, sure: bool = True) -> Spans:
        """Ports open to anywhere, on any interface; all that may be open when not ``sure``."""
        found = [one for one in self.openings if (one.version, one.protocol) == (version, protocol)]
        return open_to((one for one in found if one.sure or not sure), ANYWHERE[version])


@fact
class ForwardFilter:
    """What is let through from one interface to another, for the IP versions that are forwarded."""

    forwards: dict[int, tuple[str, ...]]
    openings: tuple[Opening, ...]
    doubts: tuple[str, ...]
    unseen: str


@fact
class OutputFilter:
    """What the host itself may send out."""

    versions: tuple[int, ...]
    openings: tuple[Opening, ...]
    doubts: tuple[str, ...]
    unseen: str


@probe(
    "linux",
    nft=NFT,
    ip4=Command("iptables-save", root=True, needs="iptables-save", limit=4 << 20),
    ip6=Command("ip6tables-save", root=True, needs="ip6tables-save", limit=4 << 20),
    old4=Command("iptables-legacy-save", root=True, needs="iptables-legacy-save", limit=4 << 20),
    old6=Command("ip6tables-legacy-save", root=True, needs="ip6tables-legacy-save", limit=4 << 20),
    tables4=File("/proc/net/ip_tables_names", root=True),
    tables6=File("/proc/net/ip6_tables_names", root=True),
    loaded=File("/sys/module/nf_tables/initstate"),
    addresses=ADDRESSES,
)
def packet_filter(
    nft: Raw | None,
    ip4: Raw | None,
    ip6: Raw | None,
    old4: Raw | None,
    old6: Raw | None,
    tables4: Raw | None,
    tables6: Raw | None,
    loaded: Raw | None,
    addresses: Raw,
) -> PacketFilter:
    """libnftables-json(5), iptables-save(8), and ip-address(8) in JSON."""
    saves = [("ip", ip4), ("ip6", ip6), ("ip", old4), ("ip6", old6)]
    interfaces, own = _addresses(addresses)
    return PacketFilter(
        ruleset(
            nft.text if nft else None,
            [(family, raw.text) for family, raw in saves if raw],
            {"ip": _tables(tables4), "ip6": _tables(tables6)},
            loaded is not None and bool(loaded.text.strip()),
        ),
        interfaces,
        own,
    )


def _tables(raw: Raw | None) -> frozenset[str]:
    names = frozenset(raw.lines if raw else ())
    if names - _LEGACY_TABLES:
        raise NotUnderstood("ip_tables_names: not a list of tables")
    return names


def _addresses(raw: Raw) -> tuple[tuple[str, ...], dict[int, Spans]]:
    links = json.loads(raw.text)
    if not any(link["ifname"] == "lo" for link in links):
        raise NotUnderstood("ip address: loopback is not listed")
    own: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    outside = [link for link in links if "LOOPBACK" not in link["flags"]]
    for link in outside:
        for info in link.get("addr_info", []):
            if info.get("family") in {"inet", "inet6"}:
                address = ip_address(info["local"])
                own[address.version].append((int(address), int(address)))
    return tuple(link["ifname"] for link in outside), {version: spans(some) for version, some in own.items()}


@probe("linux", kernel=KERNEL)
def routing(kernel: Raw) -> Routing:
    """Lines of ``/proc/sys/net/ipv4/conf/INTERFACE/KEY:VALUE``; sysctl(8) ip-sysctl documents the keys."""
    found: dict[tuple[str, str, str], str] = {}
    for line in kernel.lines:
        path, _, value = line.rpartition(":")
        *_, family, conf, interface, key = path.split("/")
        if conf != "conf" or not value.isdecimal():
            raise NotUnderstood(f"not a sysctl: {line[:60]}")
        found[family, interface, key] = value
    if ("ipv4", "all", "forwarding") not in found or ("ipv4", "all", "route_localnet") not in found:
        raise NotUnderstood("the sysctls of IPv4 are not there")

    def on(family: str, key: str) -> tuple[str, ...]:
        return tuple(
            sorted(
                name
                for (at, name, what), value in found.items()
                if (at, what) == (family, key) and value != "0"
            )
        )

    four = tuple(name for name in on("ipv4", "forwarding") if name not in {"all", "default", "lo"})
    # IPv6 is forwarded only when "all" says so, whatever one interface says.
    six = on("ipv6", "forwarding") if "all" in on("ipv6", "forwarding") else ()
    return Routing({4: four, 6: six}, on("ipv4", "route_localnet"))


@probe("linux")
def effective_firewall(packets: PacketFilter) -> EffectiveFirewall:
    """Everything from outside to the host itself, and to what answers in its place (a container's published port)."""
    found = reach(packets.rules, "input", packets.interfaces, packets.own, packets.versions)
    led = [
        f"{_NAMES[one.protocol]} {show_ports(one.ports, 3)} is led to another destination"
        for one in found.led
    ]
    return EffectiveFirewall(
        packets.versions,
        (*found.openings, *found.led),
        (*found.doubts, *dict.fromkeys(led)),
        packets.rules.unseen,
        found.logs,
    )


@probe("linux")
def forward_filter(packets: PacketFilter, routing: Routing) -> ForwardFilter:
    """From each interface that is not of the host's own guests to each other."""
    came_in = [name for name in packets.interfaces if not GUESTS.match(name)]
    versions = [version for version, names in routing.forwards.items() if names]
    found = (
        reach(packets.rules, "forward", came_in, packets.own, versions) if versions else Reach((), (), False)
    )
    return ForwardFilter(routing.forwards, found.openings, found.doubts, packets.rules.unseen)


@probe("linux")
def output_filter(packets: PacketFilter) -> OutputFilter:
    """Everything the host starts itself."""
    found = reach(packets.rules, "output", packets.interfaces, packets.own, packets.versions)
    return OutputFilter(packets.versions, found.openings, found.doubts, packets.rules.unseen)


# --- judging openings -----------------------------------------------------------------------------------------


def _groups(openings: Iterable[Opening]) -> Iterator[tuple[tuple[int, str, int], list[Opening]]]:
    """Openings by IP version, interface and protocol."""
    found: dict[tuple[int, str, int], list[Opening]] = {}
    for one in openings:
        found.setdefault((one.version, one.interface, one.protocol), []).append(one)
    yield from found.items()


def _by_default(openings: tuple[Opening, ...], most: int, sure: bool) -> list[str]:
    """Where more ports are open to anywhere than a list of services has, with the rules that do it."""
    where: dict[tuple[int, str], tuple[list[str], dict[str, None]]] = {}
    for (version, interface, protocol), some in _groups(openings):
        listed = [one for one in some if one.sure or not sure]
        wide = open_to(listed, ANYWHERE[version])
        if not wide or (protocol != OTHER and size(wide) <= most):
            continue
        what = "" if wide == PORTS else f" {show_ports(wide, 3)}"
        names, reasons = where.setdefault((version, interface), ([], {}))
        names.append(f"{_NAMES[protocol]}{what}")
        reasons.update((one.by, None) for one in listed if size(one.ports) > most or protocol == OTHER)
    return [
        f"IPv{version} {interface}: {', '.join(names)} ({'; '.join(list(reasons)[:2])})"
        for (version, interface), (names, reasons) in where.items()
    ]


def _refused_by_default(
    openings: tuple[Opening, ...], doubts: tuple[str, ...], unseen: str, most: int, good: str
) -> Verdict:
    """Whether nothing but a list of services is open to anywhere; the honest answer when that cannot be said."""
    if bad := _by_default(openings, most, sure=True):
        if unseen:
            raise Blind(
                f"could not look at {unseen}; what was seen accepts {named(bad, 3)}", Cause.TOOL_MISSING
            )
        return holds(False, f"accepted from anywhere: {'; '.join(bad[:4])}", good)
    if _by_default(openings, most, sure=False):
        raise NotUnderstood(f"rules that are not understood decide: {named(list(doubts), 3)}")
    return holds(True, good, good)


def _listed(firewall: EffectiveFirewall) -> str:
    """The ports open to anywhere, for people."""
    shown = [
        f"IPv{version} {_NAMES[protocol]} {show_ports(ports)}"
        for version in firewall.versions
        for protocol in (TCP, UDP)
        if (ports := firewall.ports(version, protocol))
    ]
    return "open to anywhere: " + ("; ".join(shown) or "nothing")


_RULES: Final = """cat > /etc/nftables.conf <<'END'
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iifname "lo" accept
		meta l4proto { icmp, ipv6-icmp } accept
		tcp dport 22 accept
		limit rate 5/minute log prefix "refused: "
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
END
nft -c -f /etc/nftables.conf && systemctl enable nftables && systemctl restart nftables"""
_SHOW: Final = "nft list ruleset"


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "firewall.default-deny-input",
    principle=DEFAULT_DENY,
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    title_nl="De firewall weigert al het inkomende verkeer dat geen regel toestaat",
    why_nl=(
        "Zonder deze grondregel staat elke dienst die iemand start, ook per ongeluk, meteen open voor het netwerk."
        " Gemeten is wat de kernel echt doet, over IPv4 en IPv6, op elke netwerkaansluiting."
    ),
    fix=_RULES,
    verify=_SHOW,
    advice=(
        "List every port that is in use before you drop the rest (ss -Hltnu), and keep a second session open."
        " With ufw: ufw default deny incoming; with firewalld: firewall-cmd --set-default-zone=public."
    ),
    advice_nl=(
        "Zet eerst elke poort die in gebruik is in de regels (ss -Hltnu) en houd een tweede sessie open."
        " Met ufw: ufw default deny incoming; met firewalld: firewall-cmd --set-default-zone=public."
    ),
    references=("nft(8), Chains and Verdict statements", "NIST SP 800-41 Rev. 1, section 4.1"),
)
def refuses_by_default(
    firewall: EffectiveFirewall,
    *,
    most_ports: Annotated[
        int, "how many ports may be open to anywhere before it is no list of services"
    ] = MOST_PORTS,
    open_interfaces: Annotated[tuple[str, ...], "interfaces from which everything may come in"] = (),
) -> Verdict:
    """The firewall refuses all incoming traffic that no rule allows.

    Without this ground rule every service that anyone starts, also by mistake, is open to the network at once. Judged
    is what the kernel really does, over IPv4 and IPv6, on every interface.
    """
    judged = tuple(one for one in firewall.openings if one.interface not in open_interfaces)
    verdict = _refused_by_default(
        judged, firewall.doubts, firewall.unseen, most_ports, "refused unless a rule allows it"
    )
    return (
        verdict._replace(observed=f"{verdict.observed}; {_listed(firewall)}") if verdict.passed else verdict
    )


@check(
    "firewall.ipv6-as-strict",
    principle=(DEFAULT_DENY, NO_GAP),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="De firewall laat over IPv6 niets toe wat over IPv4 dicht is",
    why_nl="Wie alleen IPv4 afschermt, laat de achterdeur open: bijna elke server spreekt ook IPv6.",
    fix="nft add table inet filter    # rules in an inet table hold for IPv4 and IPv6 alike",
    verify=_SHOW,
    advice="Move rules from tables of family ip to family inet; with ufw set IPV6=yes in /etc/default/ufw.",
    advice_nl="Zet regels uit tabellen van familie ip over naar familie inet; met ufw: IPV6=yes in /etc/default/ufw.",
    references=("nft(8), Address families", "RFC 9099 section 2.3"),
)
def ipv6_as_strict(
    firewall: EffectiveFirewall,
    *,
    only_ipv6: Annotated[tuple[int, ...], "UDP ports that IPv6 itself needs: 546 is for DHCPv6"] = (546,),
) -> Verdict:
    """The firewall lets nothing in over IPv6 that is closed over IPv4.

    Who only guards IPv4 leaves the back door open: nearly every server speaks IPv6 as well.
    """
    if 6 not in firewall.versions:
        raise Absent("no interface has an IPv6 address")
    more = []
    for protocol in (TCP, UDP, OTHER):
        needed = spans(points(only_ipv6)) if protocol == UDP else ()
        extra = minus(minus(firewall.ports(6, protocol), firewall.ports(4, protocol, sure=False)), needed)
        perhaps = minus(minus(firewall.ports(6, protocol, sure=False), firewall.ports(4, protocol)), needed)
        if extra:
            more.append(f"{_NAMES[protocol]} {show_ports(extra)}" if protocol != OTHER else _NAMES[protocol])
        elif perhaps:
            raise NotUnderstood(f"rules that are not understood decide: {named(list(firewall.doubts), 3)}")
    if more and firewall.unseen:
        raise Blind(f"could not look at {firewall.unseen}", Cause.TOOL_MISSING)
    if more:
        return holds(
            False, f"open to anywhere over IPv6 and not over IPv4: {'; '.join(more)}", "nothing more"
        )
    return holds(True, f"nothing more over IPv6; {_listed(firewall)}", "nothing more")


@check(
    "firewall.default-deny-forward",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="De host geeft geen verkeer door tussen netwerken, tenzij een regel dat toestaat",
    why_nl="Een server die ongevraagd doorgeeft, is een sluiproute tussen zones die gescheiden horen te zijn.",
    fix="sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0    # not a router\n"
    "nft add chain inet filter forward '{ type filter hook forward priority filter; policy drop; }'    # a router",
    verify="sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding\nnft list ruleset",
    advice="A host with containers needs forwarding: give its forward chain policy drop and allow what they need.",
    advice_nl="Een host met containers moet doorgeven: geef de forward-chain policy drop en sta toe wat nodig is.",
    references=("nft(8), Chains", "https://docs.kernel.org/networking/ip-sysctl.html (ip_forward)"),
)
def forwards_nothing_by_default(
    through: ForwardFilter,
    *,
    most_ports: Annotated[
        int, "how many ports may be forwarded from anywhere before it is a default"
    ] = MOST_PORTS,
) -> Verdict:
    """The host passes no traffic between networks unless a rule allows it.

    A server that forwards unasked is a way around, between zones that should be apart.
    """
    if not any(through.forwards.values()):
        return holds(True, "forwarding is off for IPv4 and IPv6", "off, or refused unless a rule allows it")
    return _refused_by_default(
        through.openings, through.doubts, through.unseen, most_ports, "forwarded only when a rule allows it"
    )


@check(
    "firewall.no-open-networks",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Geen heel netwerk mag bij alle poorten",
    why_nl="Wie een heel netwerk vertrouwt, laat één besmette werkplek overal bij, ook bij wat er nog bijkomt.",
    fix="nft -a list ruleset    # find the rule by its handle\nnft delete rule inet filter input handle HANDLE",
    verify=_SHOW,
    advice="Name the ports a network needs, in a rule for each, before you delete the rule that opens them all.",
    advice_nl="Maak eerst regels voor de poorten die een netwerk nodig heeft; verwijder dan de regel die alles opent.",
    references=("NIST SP 800-41 Rev. 1, section 4.1", "NIST SP 800-207, section 2.1"),
)
def no_open_networks(
    firewall: EffectiveFirewall,
    *,
    most_addresses: Annotated[int, "how many IPv4 addresses may reach every port"] = 256,
) -> Verdict:
    """No whole network may reach every port.

    A rule that trusts a whole network lets one infected workplace reach everything, also what is added later.
    """
    most = {4: most_addresses, 6: 2**64}
    wide: dict[str, None] = {}
    perhaps = False
    for (version, interface, _), some in _groups(firewall.openings):
        for sure in (True, False):
            for ports, far in by_port(one for one in some if one.sure or not sure):
                if size(ports) > MOST_PORTS and size(far) > most[version]:
                    perhaps = True
                    if sure:
                        wide[f"{show_addresses(far, version, 3)} on {interface}"] = None
    if wide and firewall.unseen:
        raise Blind(f"could not look at {firewall.unseen}", Cause.TOOL_MISSING)
    if perhaps and not wide:
        raise NotUnderstood(f"rules that are not understood decide: {named(list(firewall.doubts), 3)}")
    expected = f"at most {most_addresses} addresses reach every port"
    return holds(not wide, f"reach every port: {named(list(wide), 5) or 'none'}", expected)


@check(
    "firewall.only-declared-open",
    principle=(DEFAULT_DENY, NO_GAP),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="De firewall opent voor iedereen alleen poorten van diensten die in de inventaris staan",
    why_nl="Een open poort zonder afgesproken dienst is vergeten of stiekem: niemand bewaakt haar.",
    fix="nft -a list ruleset    # find the rule by its handle\nnft delete rule inet filter input handle HANDLE",
    verify=_SHOW,
    advice="Declare the service in the inventory when it is meant to be there; close the port when it is not.",
    advice_nl="Zet de dienst in de inventaris als zij de bedoeling is; sluit de poort als zij dat niet is.",
    references=("NIST SP 800-41 Rev. 1, section 4.1", "nft(8)"),
)
def only_declared_open(
    firewall: EffectiveFirewall,
    target: Target,
    *,
    also: Annotated[tuple[str, ...], "ports of the system itself: clients of DHCP and DHCPv6"] = (
        "68/udp",
        "546/udp",
    ),
) -> Verdict:
    """The firewall opens to anyone only ports of services that are in the inventory.

    An open port without an agreed service is forgotten or furtive: nobody guards it.
    """
    if target.services is None:
        raise NotUnderstood("the inventory does not say which services this host offers ('services:')")
    declared = {service.key for service in target.services} | set(also)
    if target.channel == "ssh":
        declared.add(f"{target.port}/tcp")
    extra, perhaps = [], False
    for version in firewall.versions:
        for protocol in (TCP, UDP):
            name = _NAMES[protocol]
            known = spans(points(int(key.split("/")[0]) for key in declared if key.endswith(f"/{name}")))
            if found := minus(firewall.ports(version, protocol), known):
                extra.append(f"IPv{version} {name} {show_ports(found)}")
            perhaps = perhaps or bool(minus(firewall.ports(version, protocol, sure=False), known))
    if extra and firewall.unseen:
        raise Blind(f"could not look at {firewall.unseen}", Cause.TOOL_MISSING)
    if perhaps and not extra:
        raise NotUnderstood(f"rules that are not understood decide: {named(list(firewall.doubts), 3)}")
    observed = f"open to anywhere and not declared: {'; '.join(extra) or 'nothing'}"
    return holds(not extra, observed, f"only {', '.join(sorted(declared)) or 'nothing'}")


@check(
    "firewall.sources-as-declared",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="De firewall laat bij elke dienst alleen de netwerken toe die de inventaris noemt",
    why_nl="Afgesproken is wie erbij mag. Laat de firewall meer toe, dan is die afspraak alleen papier.",
    fix="nft -a list ruleset    # find the rule by its handle\n"
    "nft replace rule inet filter input handle HANDLE ip saddr 10.1.0.0/16 tcp dport 5432 accept",
    verify=_SHOW,
    references=("nft(8)", "NIST SP 800-41 Rev. 1, section 4.1"),
)
def sources_as_declared(firewall: EffectiveFirewall, target: Target) -> Verdict:
    """For each service the firewall admits only the networks that the inventory names.

    It was agreed who may come in. When the firewall admits more, that agreement is only paper.
    """
    bounded = [service for service in target.services or () if service.from_ and "any" not in service.from_]
    if not bounded:
        raise Absent("the inventory limits no service to networks ('from:')")
    more: list[str] = []
    zones: list[str] = []
    perhaps = False
    for service in bounded:
        for version in firewall.versions:
            try:
                allowed = _allowed(service, version)
            except ValueError:
                # A zone has no addresses here; that it is not everyone is certain.
                zones.append(f"{service.key} from {', '.join(service.from_)}")
                if size(_reached(firewall, service, version, sure=True)) > ANYWHERE[version]:
                    more.append(f"{service.key} from anywhere, not only {', '.join(service.from_)}")
                continue
            reached = minus(_reached(firewall, service, version, sure=True), allowed)
            if reached:
                more.append(f"{service.key} also from {show_addresses(reached, version, 3)}")
            perhaps = perhaps or bool(minus(_reached(firewall, service, version, sure=False), allowed))
    if more and firewall.unseen:
        raise Blind(f"could not look at {firewall.unseen}", Cause.TOOL_MISSING)
    if perhaps and not more:
        raise NotUnderstood(f"rules that are not understood decide: {named(list(firewall.doubts), 3)}")
    if zones and not more:
        raise NotUnderstood(
            f"the inventory names zones, which have no addresses: {named(list(dict.fromkeys(zones)), 5)}"
        )
    return holds(
        not more,
        f"admitted beyond the inventory: {named(list(dict.fromkeys(more)), 5) or 'nothing'}",
        "nothing",
    )


def _allowed(service: Service, version: int) -> Spans:
    """The networks of a service. Raises ValueError when one is named otherwise than by address."""
    return join(
        *(network(text) for text in service.from_ if network(text) and (":" in text) == (version == 6))
    )


def _reached(firewall: EffectiveFirewall, service: Service, version: int, sure: bool) -> Spans:
    protocol = TCP if service.protocol == "tcp" else UDP
    port = ((service.port, service.port),)
    return join(
        *(
            one.far
            for one in firewall.openings
            if (one.version, one.protocol) == (version, protocol)
            and (one.sure or not sure)
            and meet(one.ports, port)
        )
    )


@check(
    "firewall.no-loopback-from-outside",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="Adressen van de host zelf (127.0.0.0/8) zijn van buiten niet te gebruiken",
    why_nl="Diensten die alleen op 127.0.0.1 luisteren, vertrouwen erop dat niemand van buiten bij dat adres kan.",
    fix="sysctl -w net.ipv4.conf.all.route_localnet=0\n"
    "nft insert rule inet filter input iifname != lo ip daddr 127.0.0.0/8 drop\n"
    "nft insert rule inet filter input iifname != lo ip saddr 127.0.0.0/8 drop",
    verify="sysctl -a -r route_localnet",
    advice="Kubernetes and some container networks set route_localnet themselves: there, keep the two rules.",
    advice_nl="Kubernetes en sommige containernetwerken zetten route_localnet zelf aan: houd daar de twee regels.",
    references=(
        "https://docs.kernel.org/networking/ip-sysctl.html (route_localnet)",
        "CVE-2020-8558",
        "RFC 1122 3.2.1.3",
    ),
)
def no_loopback_from_outside(routing: Routing, packets: PacketFilter) -> Verdict:
    """The host's own addresses (127.0.0.0/8) cannot be used from outside.

    Services that listen on 127.0.0.1 alone trust that nobody outside can reach that address. The kernel sees to that
    unless route_localnet is on; then rules must.
    """
    expected = "route_localnet 0, or refused by rules"
    if not routing.route_localnet:
        return holds(True, "route_localnet 0 on every interface: the kernel refuses them", expected)
    on = f"route_localnet 1 on {named(list(routing.route_localnet))}"
    loopback = network("127.0.0.0/8")
    found = reach(packets.rules, "input", packets.interfaces, {4: loopback}, [4])
    usual = reach(packets.rules, "input", packets.interfaces, packets.own, [4])
    reaching = [*found.openings] + [one for one in usual.openings if meet(one.far, loopback)]
    if not reaching:
        return holds(True, f"{on}; refused by rules", expected)
    if packets.rules.unseen:
        raise Blind(f"could not look at {packets.rules.unseen}", Cause.TOOL_MISSING)
    if not any(one.sure for one in reaching):
        raise NotUnderstood(f"rules that are not understood decide: {named(list(found.doubts), 3)}")
    return holds(False, f"{on}; accepted by {named(list({one.by: None for one in reaching}), 3)}", expected)


@check(
    "firewall.outbound-restricted",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="Een kritieke server mag niet zomaar overal heen verbinden",
    why_nl="Wie binnenkomt, haalt gereedschap op en stuurt gegevens weg. Beperkt uitgaand verkeer snijdt dat af.",
    fix="nft add chain inet filter output '{ type filter hook output priority filter; policy accept; }'\n"
    "nft add rule inet filter output ct state established,related accept\n"
    "nft add rule inet filter output oifname lo accept\n"
    "nft add rule inet filter output udp dport { 53, 123 } accept\n"
    "nft add rule inet filter output tcp dport { 53, 443 } accept\n"
    "nft chain inet filter output '{ policy drop; }'",
    verify=_SHOW,
    advice="Log what leaves for a week before you set the policy to drop.",
    advice_nl="Houd eerst een week bij wat naar buiten gaat, voordat u de policy op drop zet.",
    references=("nft(8)", "BIO2 1.3, measure 8.21.02"),
)
def outbound_restricted(
    leaving: OutputFilter,
    target: Target,
    *,
    most_ports: Annotated[
        int, "how many ports may be reached anywhere before it is no restriction"
    ] = MOST_PORTS,
) -> Verdict:
    """A critical server may not connect just anywhere.

    Who breaks in fetches tools and sends data away. Who limits what goes out cuts that off.
    """
    if target.criticality != "high":
        raise Absent("asked only of hosts with criticality high in the inventory")
    return _refused_by_default(
        leaving.openings, leaving.doubts, leaving.unseen, most_ports, "sent out only when a rule allows it"
    )


@check(
    "firewall.refusals-logged",
    principle=IN_DEPTH,
    severity=Severity.LOW,
    layer=Layer.DETECTION,
    title_nl="De firewall schrijft op wat hij weigert",
    why_nl="Wie poorten afzoekt, laat vooral geweigerde pakketten achter. Zonder logregel ziet niemand dat.",
    fix="nft add rule inet filter input limit rate 5/minute log prefix '\"refused: \"'",
    verify=_SHOW,
    advice="Always with a rate limit, or the log itself is the attack. ufw: ufw logging low; firewalld:"
    " firewall-cmd --set-log-denied=unicast.",
    advice_nl="Altijd met een maximum, anders is het log zelf de aanval. ufw: ufw logging low; firewalld:"
    " firewall-cmd --set-log-denied=unicast.",
    references=("nft(8), Log statement", "NIST SP 800-41 Rev. 1, section 4.1"),
)
def refusals_logged(firewall: EffectiveFirewall) -> Verdict:
    """The firewall writes down what it refuses.

    Whoever scans ports mostly leaves refused packets behind. Without a log line nobody sees that.
    """
    if _by_default(firewall.openings, MOST_PORTS, sure=False) and not firewall.logs:
        raise Absent("nothing is refused by default, so there is nothing to log")
    if not firewall.logs and (firewall.unseen or firewall.doubts):
        raise NotUnderstood(
            f"not all rules could be judged: {firewall.unseen or named(list(firewall.doubts), 3)}"
        )
    return holds(
        firewall.logs, "refused packets are logged" if firewall.logs else "nothing is logged", "logged"
    )


# --- examples -------------------------------------------------------------------------------------------------

_ADDRESSES: Final = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"link_type":"loopback","addr_info":'
    '[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},'
    '{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]},'
    '{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"link_type":"ether",'
    '"addr_info":[{"family":"inet","local":"10.77.0.11","prefixlen":16,"scope":"global","label":"eth0"}IPV6]}]'
)
ONLY_IPV4: Final = _ADDRESSES.replace("IPV6", "")
BOTH: Final = _ADDRESSES.replace(
    "IPV6", ',{"family":"inet6","local":"fe80::5054:ff:fe12:3456","prefixlen":64,"scope":"link"}'
)
TWO_LEGS: Final = ONLY_IPV4[:-1] + (
    ',{"ifindex":3,"ifname":"eth1","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"link_type":"ether",'
    '"addr_info":[{"family":"inet","local":"10.78.0.11","prefixlen":16,"scope":"global","label":"eth1"}]}]'
)
_BRIDGED: Final = TWO_LEGS.replace('"eth0"', '"br-office"').replace('"eth1"', '"br-guests"')
_LEGACY: Final = """# Generated by iptables-save v1.8.7 on Mon Nov 23 10:00:00 2026
*filter
:INPUT {policy} [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:services - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j services
-A services -p tcp -m multiport --dports 22,443 -m comment --comment "web and ssh" -j ACCEPT
-A services -s 10.1.0.0/16 -p tcp -m tcp --dport 5432 -j ACCEPT
COMMIT
# Completed on Mon Nov 23 10:00:00 2026
"""
_KERNEL: Final = """/proc/sys/net/ipv4/conf/all/forwarding:{0}
/proc/sys/net/ipv4/conf/all/route_localnet:{1}
/proc/sys/net/ipv4/conf/default/forwarding:{0}
/proc/sys/net/ipv4/conf/default/route_localnet:0
/proc/sys/net/ipv4/conf/eth0/forwarding:{0}
/proc/sys/net/ipv4/conf/eth0/route_localnet:0
/proc/sys/net/ipv4/conf/lo/forwarding:{0}
/proc/sys/net/ipv4/conf/lo/route_localnet:0
/proc/sys/net/ipv6/conf/all/forwarding:0
/proc/sys/net/ipv6/conf/default/forwarding:0
/proc/sys/net/ipv6/conf/eth0/forwarding:0
/proc/sys/net/ipv6/conf/lo/forwarding:0"""


def seen(nft: str, addresses: str = BOTH, **more: object) -> dict[str, object]:
    """An example of a host with nft and these rules."""
    return {"nft": nft, "addresses": addresses, **more}


_OLD_DROP: Final = {"ip4": _LEGACY.format(policy="DROP"), "addresses": ONLY_IPV4}
_OLD_ACCEPT: Final = {"ip4": _LEGACY.format(policy="ACCEPT"), "addresses": ONLY_IPV4}
_LOADED: Final = {"loaded": "live\n"}
_WEB: Final = {"services": [{"port": 443, "tls": True}]}

examples(
    refuses_by_default,
    passes=[
        seen(recorded.DROP),
        seen(recorded.NESTED),
        _OLD_DROP,
        {**_OLD_DROP, "nft": recorded.EMPTY},
    ],
    fails=[
        seen(recorded.ACCEPT),
        seen(recorded.EMPTY),
        seen(recorded.IPV4_ONLY),
        seen(recorded.WHOLE_INTERFACE),
        seen(recorded.NO_WAY_OUT),
        seen(recorded.BACK_FROM_MAP),
        _OLD_ACCEPT,
    ],
    unknown=[seen(recorded.UNCLEAR), seen("{}"), seen('{"nftables": []}', "[]")],
    error=[
        {"addresses": BOTH, **_LOADED},
        {**_OLD_ACCEPT, **_LOADED},
        seen(recorded.EMPTY, tables4="filter\n"),
    ],
)
examples(
    ipv6_as_strict,
    passes=[seen(recorded.DROP), seen(recorded.NESTED)],
    fails=[seen(recorded.IPV4_ONLY), seen(recorded.MORE_ON_IPV6)],
    notapplicable=seen(recorded.IPV4_ONLY, ONLY_IPV4),
)
examples(
    forwards_nothing_by_default,
    passes=[
        seen(recorded.ROUTER, kernel=_KERNEL.format(0, 0)),
        seen(recorded.DROP, TWO_LEGS, kernel=_KERNEL.format(1, 0)),
    ],
    fails=[
        seen(recorded.ROUTER, TWO_LEGS, kernel=_KERNEL.format(1, 0)),
        seen(recorded.EMPTY, TWO_LEGS, kernel=_KERNEL.format(1, 0)),
        seen(recorded.EMPTY, _BRIDGED, kernel=_KERNEL.format(1, 0)),
    ],
    unknown=seen(recorded.DROP, kernel="/proc/sys/net/ipv6/conf/all/forwarding:0"),
)
examples(
    no_open_networks,
    passes=[seen(recorded.DROP), seen(recorded.FEW_HOSTS)],
    fails=[seen(recorded.WHOLE_NETWORK), seen(recorded.ACCEPT)],
    unknown=seen(recorded.UNCLEAR),
)
# Docker publishes a port: it never meets INPUT, where nothing is open but SSH to one network.
_PUBLISHED: Final = {
    "addresses": ONLY_IPV4,
    "ip4": """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 10.1.0.0/16 -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
""",
}
examples(refuses_by_default, passes=_PUBLISHED)
examples(
    only_declared_open,
    passes={**_PUBLISHED, "target": {"services": [{"port": 8080}]}},
    unknown={**_PUBLISHED, "target": _WEB},
)
examples(
    sources_as_declared,
    unknown={**_PUBLISHED, "target": {"services": [{"port": 8080, "from": ["10.1.0.0/16"]}]}},
)
examples(
    only_declared_open,
    passes=seen(recorded.DROP, target=_WEB),
    fails=[seen(recorded.MORE_ON_IPV6, target=_WEB), seen(recorded.DROP, target={"services": []})],
    unknown=[seen(recorded.DROP), seen(recorded.UNCLEAR, target=_WEB)],
)
_DATABASE: Final = {"services": [{"port": 5432, "from": ["10.1.0.0/16"]}]}
examples(
    sources_as_declared,
    passes=seen(recorded.FEW_HOSTS, ONLY_IPV4, target=_DATABASE),
    fails=[
        seen(recorded.WHOLE_NETWORK, ONLY_IPV4, target=_DATABASE),
        seen(recorded.FEW_HOSTS, target={"services": [{"port": 5432, "from": ["10.1.2.0/24"]}]}),
        seen(recorded.DROP, target={"services": [{"port": 22, "from": ["management"]}]}),
    ],
    unknown=seen(recorded.DROP, target={"services": [{"port": 8443, "from": ["town-hall"]}]}),
    notapplicable=[seen(recorded.DROP), seen(recorded.DROP, target=_WEB)],
)
examples(
    no_loopback_from_outside,
    passes=[
        seen(recorded.DROP, kernel=_KERNEL.format(0, 0)),
        seen(recorded.LOOPBACK, kernel=_KERNEL.format(0, 1)),
    ],
    fails=seen(recorded.DROP, kernel=_KERNEL.format(0, 1)),
    unknown=seen(recorded.UNCLEAR, kernel=_KERNEL.format(0, 1)),
)
examples(
    outbound_restricted,
    passes=seen(recorded.OUTBOUND, target={"criticality": "high"}),
    fails=seen(recorded.DROP, target={"criticality": "high"}),
    notapplicable=seen(recorded.DROP),
)
examples(
    refusals_logged,
    passes=seen(recorded.DROP),
    fails=[seen(recorded.NESTED), seen(recorded.LOGS_ONE)],
    notapplicable=seen(recorded.ACCEPT),
)
