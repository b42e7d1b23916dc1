"""What listens on the host, beside what the inventory says it is there for.

A socket that listens on loopback alone is not reachable from outside and is left out everywhere but where it says so.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated, Final

from checks.linux._answers import named
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    NO_GAP,
    SECURE_DEFAULT,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Target,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

SOCKETS: Final = Command("ss -Hltnup", root=True)

#: Protocols that send everything readable, passwords included, and have a successor that does not.
CLEAR_TEXT: Final = {
    "7/tcp": "echo", "9/tcp": "discard", "13/tcp": "daytime", "17/tcp": "qotd", "19/tcp": "chargen", "21/tcp": "ftp",
    "23/tcp": "telnet", "37/tcp": "time", "69/udp": "tftp", "79/tcp": "finger", "109/tcp": "pop2", "177/udp": "xdmcp",
    "512/tcp": "rexec", "513/tcp": "rlogin", "513/udp": "rwho", "514/tcp": "rsh", "517/udp": "talk",
    "518/udp": "ntalk", "873/tcp": "rsync", "5900/tcp": "vnc", "6000/tcp": "x11",
}  # fmt: skip

#: Databases, queues and consoles that manage something: for one application or a few administrators, never for all.
INNER: Final = {
    1433: "mssql", 1521: "oracle", 2375: "docker", 2379: "etcd", 2380: "etcd", 3306: "mysql", 4369: "epmd",
    5432: "postgresql", 5601: "kibana", 5672: "amqp", 5984: "couchdb", 6379: "redis", 7000: "cassandra",
    7199: "cassandra jmx", 8086: "influxdb", 8161: "activemq", 9042: "cassandra", 9090: "cockpit or prometheus",
    9200: "elasticsearch", 9300: "elasticsearch", 10000: "webmin", 11211: "memcached", 15672: "rabbitmq",
    27017: "mongodb", 33060: "mysql x", 50000: "db2",
}  # fmt: skip
_MAIL: Final = frozenset({25, 465, 587})
#: Where the kernel picks ports for clients, ip_local_port_range: a UDP client there looks just like a server.
_CLIENT_PORTS: Final = range(32768, 61000)


@fact
class ListeningSocket:
    """A socket that takes connections or datagrams. ``address`` is ``*`` when it takes them on every address;
    ``scope`` is the one interface it is bound to, or empty.
    """

    protocol: str
    address: str
    port: int
    scope: str
    programs: tuple[str, ...]

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        scope = f"%{self.scope}" if self.scope else ""
        return f"{self.protocol} {where}{scope}:{self.port}"

    @property
    def key(self) -> str:
        """``443/tcp``."""
        return f"{self.port}/{self.protocol}"

    @property
    def is_local(self) -> bool:
        """Whether only the host itself can reach it."""
        if self.scope == "lo" or self.address == "*":
            return self.scope == "lo"
        return _is_loopback(self.address)

    @property
    def everywhere(self) -> bool:
        """Whether it listens on every address."""
        return not self.scope and self.address in {"*", "0.0.0.0", "::"}  # noqa: S104 -- seen, not bound

    @property
    def shown(self) -> str:
        """For an observation: the port and who listens."""
        return f"{self.key} ({', '.join(dict.fromkeys(self.programs)) or 'kernel'})"


_LINE: Final = re.compile(r"(tcp|udp)\s+(LISTEN|UNCONN)\s+\d+\s+\d+\s+(\S+):(\d+)\s+\S+:\S+\s*(.*)")
_WHERE: Final = re.compile(r"\[?([0-9a-fA-F:.]+|\*)\]?(?:%([^\]\s]+))?\]?")


@probe("linux", sockets=SOCKETS)
def listening_sockets(sockets: Raw) -> list[ListeningSocket]:
    """A line per socket, ss(8): kind, state, queues, local and peer address, and as root the programs."""
    found = []
    for line in sockets.lines:
        matched = _LINE.fullmatch(line.strip())
        where = _WHERE.fullmatch(matched[3]) if matched else None
        if not matched or not where:
            raise NotUnderstood(f"not a line of ss: {line[:80]}")
        programs = tuple(re.findall(r'\("((?:[^"\\]|\\.)*)",pid=', matched[5]))
        found.append(ListeningSocket(matched[1], where[1], int(matched[4]), where[2] or "", programs))
    if not found:
        raise NotUnderstood("ss lists no socket at all")
    return found


@lru_cache
def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _outside(sockets: list[ListeningSocket]) -> list[ListeningSocket]:
    return [one for one in sockets if not one.is_local]


def _names(sockets: list[ListeningSocket]) -> str:
    return named(
        list(dict.fromkeys(one.shown for one in sorted(sockets, key=lambda one: (one.port, one.protocol))))
    )


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "sockets.declared",
    principle=(NO_GAP, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Op de host luisteren alleen diensten die in de inventaris staan",
    why_nl=(
        "Wat luistert zonder dat het is afgesproken, is vergeten of niet van u: niemand werkt het bij of"
        " bewaakt het."
    ),
    fix="ss -Hltnup    # which program listens\nsystemctl disable --now NAME.service NAME.socket",
    verify="ss -Hltnup",
    advice="When the service is meant to be there, declare it in the inventory under 'services:'.",
    advice_nl="Is de dienst de bedoeling, zet haar dan in de inventaris onder 'services:'.",
    references=("ss(8)", "BIO2 1.3, control 8.20"),
)
def declared(
    sockets: list[ListeningSocket],
    target: Target,
    *,
    also: Annotated[tuple[str, ...], "ports of the system itself: clients of DHCP and DHCPv6"] = (
        "68/udp",
        "546/udp",
    ),
) -> Verdict:
    """Only services that are in the inventory listen on the host.

    What listens without being agreed is forgotten or not yours: nobody updates or guards it. Loopback does not count,
    nor do UDP ports in the range for clients.
    """
    if target.services is None:
        raise NotUnderstood("the inventory does not say which services this host offers ('services:')")
    known = {service.key for service in target.services} | set(also)
    if target.channel == "ssh":
        known.add(f"{target.port}/tcp")
    extra = [
        one
        for one in _outside(sockets)
        if one.key not in known and not (one.protocol == "udp" and one.port in _CLIENT_PORTS)
    ]
    return holds(not extra, f"not declared: {_names(extra) or 'nothing'}", f"only {', '.join(sorted(known))}")


@check(
    "sockets.no-clear-text",
    principle=(SECURE_DEFAULT, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Geen dienst uit de tijd van leesbare wachtwoorden luistert op het netwerk",
    why_nl=(
        "Telnet, FTP, rsh en hun tijdgenoten sturen alles leesbaar, ook wachtwoorden. Voor elk bestaat"
        " een veilige opvolger."
    ),
    fix="ss -Hltnup    # which program listens\nsystemctl disable --now NAME.service NAME.socket",
    verify="ss -Hltnup",
    advice="Use SSH and SFTP in their place.",
    advice_nl="Gebruik in plaats daarvan SSH en SFTP.",
    references=("IANA service names and port numbers", "NIST SP 800-123, section 4.2.1"),
)
def no_clear_text(sockets: list[ListeningSocket]) -> Verdict:
    """No service from the days of readable passwords listens on the network.

    Telnet, FTP, rsh and their contemporaries send everything readable, passwords included. Each has a safe successor.
    """
    found = sorted({f"{one.key} {CLEAR_TEXT[one.key]}" for one in _outside(sockets) if one.key in CLEAR_TEXT})
    return holds(not found, f"listening: {named(found) or 'none'}", "none")


@check(
    "sockets.mail-local",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.HOST,
    title_nl="Een host die geen mailserver is, neemt geen post aan van het netwerk",
    why_nl=(
        "Veel servers draaien een mailprogramma voor hun eigen berichten. Open voor het netwerk wordt"
        " dat een doorgeefluik."
    ),
    fix="postconf -e inet_interfaces=loopback-only && systemctl restart postfix",
    verify="ss -Hltn sport = :25",
    advice="With Exim: dpkg-reconfigure exim4-config, listen on 127.0.0.1 ; ::1 only.",
    advice_nl="Met Exim: dpkg-reconfigure exim4-config, luister alleen op 127.0.0.1 ; ::1.",
    references=("postconf(5) inet_interfaces",),
)
def mail_local(sockets: list[ListeningSocket], target: Target) -> Verdict:
    """A host that is no mail server takes no mail from the network.

    Many servers run a mail program for their own messages. Open to the network it becomes a relay.
    """
    mail = [one for one in sockets if one.protocol == "tcp" and one.port in _MAIL]
    if not mail:
        raise Absent("no mail server listens")
    known = {service.port for service in target.services or ()}
    open_ = [one for one in _outside(mail) if one.port not in known]
    if open_ and target.services is None:
        raise NotUnderstood(
            f"{_names(open_)} listens; the inventory does not say whether this is a mail server"
        )
    return holds(
        not open_, f"open to the network: {_names(open_) or 'none that is not declared'}", "loopback only"
    )


@check(
    "sockets.inner-services-bound",
    principle=(DEFAULT_DENY, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="Databases en beheerprogramma's luisteren niet op elk adres, tenzij dat is afgesproken",
    why_nl=(
        "Een database is er voor één toepassing. Luistert zij overal, dan is de firewall de enige laag"
        " die haar beschermt."
    ),
    fix="# PostgreSQL: listen_addresses = 'localhost'    MariaDB: bind-address = 127.0.0.1\n"
    "# Redis: bind 127.0.0.1 -::1\nsystemctl restart NAME",
    verify="ss -Hltnp",
    references=("PostgreSQL manual, listen_addresses", "MariaDB bind-address", "Redis security"),
)
def inner_services_bound(sockets: list[ListeningSocket], target: Target) -> Verdict:
    """Databases and management programs do not listen on every address, unless that was agreed.

    A database is there for one application. When it listens everywhere, the firewall is the only layer that protects
    it.
    """
    inner = [one for one in sockets if one.protocol == "tcp" and one.port in INNER]
    if not inner:
        raise Absent("no database or management port listens")
    known = {service.key for service in target.services or ()}
    open_ = [one for one in inner if one.everywhere and one.key not in known]
    return holds(
        not open_,
        f"on every address: {_names(open_) or 'none that is not declared'}",
        "one address, or declared",
    )


@check(
    "sockets.no-open-container-engine",
    principle=DEFAULT_DENY,
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="De besturing van containers staat niet zonder wachtwoord open op het netwerk",
    why_nl="Wie bij poort 2375 van Docker kan, is root op de host: er wordt niets gevraagd.",
    fix="systemctl edit docker    # ExecStart without -H tcp://...\nsystemctl restart docker",
    verify="ss -Hltnp sport = :2375",
    advice="Use ssh:// as Docker host for remote management.",
    advice_nl="Gebruik ssh:// als Docker-host voor beheer op afstand.",
    references=("https://docs.docker.com/engine/security/protect-access/",),
)
def no_open_container_engine(sockets: list[ListeningSocket]) -> Verdict:
    """The control of containers is not open on the network without a password.

    Whoever reaches port 2375 of Docker is root on the host: nothing is asked.
    """
    found = [one for one in _outside(sockets) if one.key == "2375/tcp"]
    return holds(not found, f"listening: {_names(found) or 'nothing on 2375/tcp'}", "nothing on 2375/tcp")


# --- examples -------------------------------------------------------------------------------------------------

_SSH: Final = """tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=612,fd=3))
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=612,fd=4))
"""
_GOOD: Final = (
    _SSH
    + """tcp LISTEN 0 511 *:443 *:* users:(("nginx",pid=701,fd=6),("nginx",pid=702,fd=6))
tcp LISTEN 0 244 127.0.0.1:5432 0.0.0.0:* users:(("postgres",pid=650,fd=5))
tcp LISTEN 0 100 [::1]:25 [::]:* users:(("master",pid=655,fd=14))
udp UNCONN 0 0 127.0.0.1:323 0.0.0.0:* users:(("chronyd",pid=402,fd=5))
udp UNCONN 0 0 0.0.0.0%eth0:68 0.0.0.0:* users:(("dhclient",pid=390,fd=9))
udp UNCONN 0 0 [fe80::5054:ff:fe12:3456]%eth0:546 [::]:* users:(("systemd-network",pid=380,fd=19))
udp UNCONN 0 0 0.0.0.0:41234 0.0.0.0:* users:(("rsyslogd",pid=600,fd=9))
"""
)
_BAD: Final = (
    _GOOD
    + """tcp LISTEN 0 128 0.0.0.0:23 0.0.0.0:* users:(("inetutils-inetd",pid=800,fd=4))
tcp LISTEN 0 80 0.0.0.0:3306 0.0.0.0:* users:(("mariadbd",pid=811,fd=21))
tcp LISTEN 0 100 0.0.0.0:25 0.0.0.0:* users:(("master",pid=655,fd=13))
tcp LISTEN 0 4096 *:2375 *:* users:(("dockerd",pid=822,fd=4))
"""
)
_SERVES: Final = {"services": [{"port": 443, "tls": True}]}
examples(
    declared,
    passes={"sockets": _GOOD, "target": _SERVES},
    fails=[{"sockets": _BAD, "target": _SERVES}, {"sockets": _GOOD, "target": {"services": []}}],
    unknown=[{"sockets": _GOOD}, {"sockets": "", "target": _SERVES}],
)
examples(no_clear_text, passes=_GOOD, fails=_BAD, unknown=["", "Netid State Recv-Q"])
examples(
    mail_local,
    passes=[{"sockets": _GOOD}, {"sockets": _BAD, "target": {"services": [{"port": 25}]}}],
    fails={"sockets": _BAD, "target": _SERVES},
    unknown={"sockets": _BAD},
    notapplicable={"sockets": _SSH},
)
examples(
    inner_services_bound,
    passes=[{"sockets": _GOOD}, {"sockets": _BAD, "target": {"services": [{"port": 3306}, {"port": 2375}]}}],
    fails={"sockets": _BAD},
    notapplicable={"sockets": _SSH},
)
examples(no_open_container_engine, passes=_GOOD, fails=_BAD)
