"""What the DNS says of a domain: its name servers, its addresses, who may issue certificates for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

import dns.flags
import dns.name
import dns.rdatatype
from pydantic import InstanceOf

from checks.network.answers import Answers, Question, Untold, askable, host_name
from checks.network.domains import Domain
from checks.network.example_answers import Said
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    Absent,
    Blind,
    Each,
    Layer,
    Lookup,
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

#: Names below a domain that are there more often than not; what is wrong with names is seen at these.
USUAL: Final = (
    "www", "autodiscover", "mail", "webmail", "mta-sts", "ftp", "vpn", "portal", "extranet", "test", "acceptatie",
    "formulieren", "afspraken", "raad", "zaaksysteem",
)  # fmt: skip
#: A name that nobody has made on purpose.
MADE_UP: Final = "keurmeester-test"
#: Name servers of one domain that are looked at (the root has 13).
NAME_SERVERS: Final = 13
_CAA_TAGS: Final = frozenset(
    {"issue", "issuewild", "iodef", "contactemail", "contactphone", "issuemail", "issuevmc"}
)
_CAA_ISSUER: Final = re.compile(r"(?:[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*)?")
_CAA_PARAMETER: Final = re.compile(r"[A-Za-z0-9-]+[ \t]*=[\x20-\x3a\x3c-\x7e]*")
#: What dnspython says of a TLSA record whose digest is too short or too long for its kind.
TLSA_LENGTH: Final = "length inconsistent with matching type"
_NORM_IPV6: Final = "Forum Standaardisatie, pas toe of leg uit: IPv6 en IPv4"


@fact
class DomainRecords:
    """What the DNS says of a domain and of the usual names below it."""

    domain: str
    answers: InstanceOf[Answers]

    def __str__(self) -> str:
        return self.domain

    @property
    def name_servers(self) -> tuple[str, ...]:
        """The names of its name servers; none when it is no zone of its own. Raises NotUnderstood."""
        return tuple(sorted(host_name(one.target) for one in self.answers(self.domain, "NS").own))

    @property
    def asks_of_servers(self) -> tuple[Question, ...]:
        """What is asked further about its name servers; never raises."""
        try:
            names = self.name_servers[:NAME_SERVERS]
        except Untold:
            names = ()
        return tuple((name, kind) for name in names if askable(name) for kind in ("A", "AAAA"))

    @property
    def caa(self) -> list[Any]:
        """The CAA records that hold for it: its own, else those of the nearest name above (RFC 8659 section 3)."""
        for name in _climb(self.domain):
            found = self.answers(name, "CAA").records
            if found:
                return found
        return []

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses a name leads to."""
        return (*self.answers(name, "A").texts, *self.answers(name, "AAAA").texts)


@dataclass(frozen=True)
class NameServer:
    """One name server of a domain: its addresses, and whether its name is an alias."""

    name: str
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    alias: bool


@fact
class NameServers:
    """The name servers of a domain that is a zone."""

    domain: str
    serial: int
    servers: tuple[NameServer, ...]

    def __str__(self) -> str:
        return self.domain


@fact
class OwnNameServer:
    """An address of the target that is one of a domain's name servers.

    ``listed`` are all name servers the DNS names for the domain, ``serial`` is the zone's as others see it.
    """

    domain: str
    address: str
    listed: tuple[str, ...]
    serial: int

    def __str__(self) -> str:
        return f"{self.domain} at {self.address}"


@fact
class OwnAnswer:
    """What the target's own name server says of the domain, asked directly."""

    asked: OwnNameServer
    answers: InstanceOf[Answers]

    def __str__(self) -> str:
        return str(self.asked)


def _climb(name: str) -> Iterator[str]:
    """A name and those above it, up to the top level."""
    labels = name.split(".")
    for at in range(len(labels)):
        yield ".".join(labels[at:])


def record_questions(name: str) -> tuple[Question, ...]:
    """What is asked of a domain."""
    return (
        (name, "SOA"),
        (name, "NS"),
        (name, "A"),
        (name, "AAAA"),
        *((one, "CAA") for one in _climb(name)),
        *((f"{label}.{name}", kind) for label in (*USUAL, MADE_UP) for kind in ("A", "AAAA")),
        *((f"_443._tcp.{one}", "TLSA") for one in (name, f"www.{name}")),
    )


@probe(
    "outside",
    reply=Each(
        Domain, lambda domain: Lookup(questions=record_questions(domain.name), timeout=60, limit=1 << 18)
    ),
)
def domain_records(reply: Raw, domain: Domain) -> DomainRecords:
    """RFC 1035 and its successors; what a single answer means is read where it is judged."""
    answers = Answers(reply)
    answers.soa_of(domain.name)
    return DomainRecords(domain.name, answers)


@probe(
    "outside",
    reply=Each(DomainRecords, lambda records: Lookup(questions=records.asks_of_servers, timeout=30)),
)
def name_servers(reply: Raw, records: DomainRecords) -> NameServers:
    """The addresses of the name servers."""
    names, answers = records.name_servers, Answers(reply)
    if not names:
        raise Absent(f"{records.domain} is no zone of its own")
    if len(names) > NAME_SERVERS or not all(map(askable, names)):
        raise NotUnderstood(f"{records.domain} has name servers that are not asked about")
    (soa,) = records.answers(records.domain, "SOA").own
    return NameServers(records.domain, soa.serial, tuple(_name_server(name, answers) for name in names))


def _name_server(name: str, answers: Answers) -> NameServer:
    four, six = answers(name, "A"), answers(name, "AAAA")
    return NameServer(name, four.texts, six.texts, host_name(four.canonical) != name)


@probe("outside")
def own_name_servers(found: list[NameServers], target: Target) -> list[OwnNameServer]:
    """Those that the target itself is, by its address or its name."""
    ours = {target.address, target.name}
    return [
        OwnNameServer(one.domain, address, tuple(server.name for server in one.servers), one.serial)
        for one in found
        for server in one.servers
        for address in (*server.ipv4, *server.ipv6)
        if ours & {server.name, address}
    ]


@probe(
    "outside",
    reply=Each(
        OwnNameServer,
        lambda own: Lookup(
            questions=((own.domain, "SOA"), (own.domain, "NS")), server=own.address, recursive=False
        ),
    ),
)
def own_answer(reply: Raw, own: OwnNameServer) -> OwnAnswer:
    """The answers of the target's own name server."""
    answers = Answers(reply)
    answers(own.domain, "SOA")
    return OwnAnswer(own, answers)


# --- name servers -----------------------------------------------------------------------------------------------


@check(
    "dns.name-servers-spread",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Het domein heeft naamservers in ten minste twee netwerken",
    why_nl="Staan alle naamservers in één netwerk, dan is met één storing alles weg: website, mail en inloggen.",
    fix="# at the registrar, and in the zone:\nDOMAIN. NS ns2.elsewhere.example.",
    verify="dig +short DOMAIN NS; dig +short NAMESERVER A",
    references=("RFC 2182 section 3.1", "RFC 1034 section 4.1"),
)
def name_servers_spread(found: NameServers) -> Verdict:
    """The domain has name servers in at least two networks.

    When all name servers are in one network, one disturbance takes everything away: web site, mail and logging in.
    Different is another /24 (IPv4) or /48 (IPv6).
    """
    networks = {
        str(ip_network(f"{address}/{24 if ip_address(address).version == 4 else 48}", strict=False))
        for server in found.servers
        for address in server.ipv4 or server.ipv6
    }
    return holds(
        len(found.servers) >= 2 and len(networks) >= 2,
        f"{len(found.servers)} name servers in {', '.join(sorted(networks)) or 'no network'}",
        "at least two name servers, in at least two networks",
    )


@check(
    "dns.name-servers-resolve",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Elke naamserver van het domein bestaat",
    why_nl=(
        "Verwijst het domein naar een naamserver die er niet is, dan kan een ander die naam registreren en over het"
        " hele domein beslissen."
    ),
    fix="# leave only name servers that are there, in the zone and at the registrar:\nDOMAIN. NS ns1.provider.example.",
    verify="dig +short DOMAIN NS; dig NAMESERVER A",
    references=("RFC 1912 section 2.8", "RFC 2181 section 10.3"),
)
def name_servers_resolve(found: NameServers) -> Verdict:
    """Every name server of the domain is there.

    When a domain refers to a name server that is gone, someone else can register that name and decide over all of the
    domain. A name server is a name with an address, not an alias.
    """
    lost = [one.name for one in found.servers if one.alias or not (one.ipv4 or one.ipv6)]
    shown = ", ".join(lost) if lost else ", ".join(one.name for one in found.servers)
    return holds(
        not lost, f"without an address of its own: {shown}" if lost else shown, "each has an address"
    )


@check(
    "dns.name-servers-ipv6",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Ten minste twee naamservers hebben een IPv6-adres",
    why_nl="Wie alleen IPv6 heeft, vindt het domein anders niet; de overheid heeft IPv6 verplicht gesteld.",
    fix="ns1.DOMAIN. AAAA 2001:db8::53\nns2.DOMAIN. AAAA 2001:db8:1::53",
    verify="dig +short NAMESERVER AAAA",
    references=(_NORM_IPV6, "Internet.nl, test IPv6"),
)
def name_servers_ipv6(found: NameServers) -> Verdict:
    """At least two name servers have an IPv6 address.

    Whoever has IPv6 only does not find the domain otherwise; IPv6 is mandatory for government.
    """
    having = [one.name for one in found.servers if one.ipv6]
    return holds(len(having) >= 2, f"with AAAA: {', '.join(having) or 'none'}", "at least two")


@check(
    "dns.name-server-authoritative",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De naamserver beantwoordt zijn domein met gezag, en kent dezelfde naamservers",
    why_nl="Een naamserver die zijn zone niet kent, laat een deel van de bezoekers zonder antwoord.",
    fix="named-checkzone DOMAIN /etc/bind/DOMAIN.zone\nrndc reload DOMAIN",
    verify="dig @ADDRESS +norecurse DOMAIN NS",
    references=("RFC 1912 section 2.8", "RFC 1034 section 4.2.2"),
)
def name_server_authoritative(found: OwnAnswer) -> Verdict:
    """The name server answers for its domain with authority, and knows the same name servers.

    A name server that does not know its zone leaves a part of the visitors without an answer. Judged is a target that
    is itself a name server of the domain.
    """
    soa, listed = (found.answers(found.asked.domain, kind) for kind in ("SOA", "NS"))
    if not soa.is_answer:
        return holds(False, soa.says, "an answer with authority")
    if not soa.message.flags & dns.flags.AA or not soa.records:
        return holds(False, f"{soa}: no answer with authority", "an answer with authority")
    names = {host_name(one.target) for one in listed.records}
    return holds(
        names == set(found.asked.listed),
        f"names {', '.join(sorted(names))}; others see {', '.join(found.asked.listed)}",
        "the same name servers",
    )


@check(
    "dns.serial-current",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De naamserver heeft de zone die de anderen ook hebben",
    why_nl="Een naamserver die achterloopt geeft oude adressen en verlopen handtekeningen, en dat blijkt laat.",
    fix="rndc retransfer DOMAIN    # on the server that is behind",
    verify="dig @ADDRESS +norecurse +short DOMAIN SOA",
    references=("RFC 1912 section 2.2", "RFC 1982 section 3.2"),
)
def serial_current(found: OwnAnswer) -> Verdict:
    """The name server has the zone that the others have.

    A name server that is behind gives old addresses and expired signatures, which is noticed only when something
    breaks. Judged is a target that is itself a name server; ahead of what resolvers remember is fine.
    """
    records = found.answers(found.asked.domain, "SOA").records
    if not records:
        raise Absent("this name server does not have the zone")
    behind = (found.asked.serial - records[0].serial) % 2**32
    return holds(
        behind == 0 or behind >= 2**31,
        f"serial {records[0].serial}; others see {found.asked.serial}",
        "not behind",
    )


@check(
    "dns.soa-timers",
    principle=FAIL_SECURE,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De tijden in het SOA-record zijn verstandig",
    why_nl=(
        "Verloopt een zone te snel, dan is het domein weg zodra de hoofdserver een weekend stilstaat; te lang, en"
        " fouten blijven hangen."
    ),
    fix="@ SOA ns1 hostmaster 2026112501 14400 3600 1209600 3600    ; refresh retry expire negative",
    verify="dig +short DOMAIN SOA",
    references=("RFC 1912 section 2.2", "RFC 2308 section 5", "RIPE-203"),
)
def soa_timers(records: DomainRecords) -> Verdict:
    """The times in the SOA record are sensible.

    When a zone expires too soon the domain is gone as soon as the primary stands still for a weekend; too late, and
    mistakes linger. Retry below refresh, refresh below a day, expire from one to six weeks, negative answers at most a
    day.
    """
    found = records.answers(records.domain, "SOA").own
    if not found:
        raise Absent(f"{records.domain} is no zone of its own")
    soa = found[0]
    good = (
        soa.retry < soa.refresh <= 86400 and 604800 <= soa.expire <= 6 * 604800 and 60 <= soa.minimum <= 86400
    )
    return holds(
        good,
        f"refresh {soa.refresh}, retry {soa.retry}, expire {soa.expire}, negative {soa.minimum}",
        "retry < refresh <= 86400, expire 604800 to 3628800, negative 60 to 86400",
    )


# --- certificates -----------------------------------------------------------------------------------------------


@check(
    "dns.caa-present",
    principle=(DEFAULT_DENY, SECURE_DEFAULT),
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="CAA zegt welke CA certificaten voor het domein mag geven",
    why_nl="Zonder CAA mag elke CA ter wereld een certificaat voor het domein geven, dus ook de zwakste.",
    fix='DOMAIN. CAA 0 issue "ca.example"\nDOMAIN. CAA 0 iodef "mailto:security@DOMAIN"',
    verify="dig +short DOMAIN CAA",
    references=("RFC 8659", "Internet.nl, test CAA"),
)
def caa_present(records: DomainRecords) -> Verdict:
    """CAA says which CA may issue certificates for the domain.

    Without CAA every CA in the world may, the weakest too. The nearest name with CAA records counts.
    """
    issuers = sorted(_caa_value(one) for one in records.caa if one.tag.lower() == b"issue")
    return holds(bool(issuers), f"issue {', '.join(issuers)}" if issuers else "no CAA issue", "an issue tag")


@check(
    "dns.caa-valid",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De CAA-records zijn goed geschreven",
    why_nl="Een tikfout laat een CA toe die niemand bedoelde, of weigert de eigen CA op de dag van verlengen.",
    fix='DOMAIN. CAA 0 issue "ca.example"    ; the name of the CA, without https://',
    verify="dig +short DOMAIN CAA",
    references=("RFC 8659 sections 4.1 to 4.4", "IANA, Certification Authority Restriction Properties"),
)
def caa_valid(records: DomainRecords) -> Verdict:
    """The CAA records are written well.

    A typing error admits a CA that nobody meant, or refuses one's own on the day of renewal.
    """
    if not records.caa:
        raise Absent("there is no CAA")
    wrong = [why for one in records.caa if (why := _caa_fault(one))]
    return holds(
        not wrong, "; ".join(wrong) or f"{len(records.caa)} records", "tags and values as RFC 8659 has them"
    )


def _caa_value(one: Any) -> str:
    return str(one.value.decode("latin-1")) or '""'


def _caa_fault(one: Any) -> str:
    """What is wrong with a CAA record; empty when nothing is."""
    tag, value = one.tag.decode("latin-1").lower(), _caa_value(one)
    if tag not in _CAA_TAGS:
        return f"{tag}: no known tag"
    if one.flags not in (0, 128):
        return f"{tag}: flags {one.flags}"
    if tag in ("issue", "issuewild", "issuemail") and not _names_issuer(one.value.decode("latin-1")):
        return f"{tag} {value}: not the name of a CA"
    if tag == "iodef" and not re.match(r"mailto:[^@\s]+@[^@\s]+$|https?://[^\s/]+", value):
        return f"iodef {value}: neither mailto nor https"
    return ""


def _names_issuer(value: str) -> bool:
    """Whether it is the name of a CA, or none, with parameters behind it (RFC 8659 section 4.2)."""
    issuer, *parameters = (part.strip(" \t") for part in value.split(";"))
    return bool(_CAA_ISSUER.fullmatch(issuer)) and all(
        not one or _CAA_PARAMETER.fullmatch(one) for one in parameters
    )


@check(
    "dns.caa-reports",
    principle=FAIL_SECURE,
    severity=Severity.INFO,
    layer=Layer.DETECTION,
    platform="dns",
    title_nl="CAA zegt waar een CA een geweigerde aanvraag meldt",
    why_nl="Een geweigerde aanvraag kan een poging tot misbruik zijn; zonder adres hoort niemand ervan.",
    fix='DOMAIN. CAA 0 iodef "mailto:security@DOMAIN"',
    verify="dig +short DOMAIN CAA | grep iodef",
    references=("RFC 8659 section 4.4",),
)
def caa_reports(records: DomainRecords) -> Verdict:
    """CAA says where a CA reports a request that it refused.

    A refused request may be an attempt at abuse; without an address nobody hears of it.
    """
    if not records.caa:
        raise Absent("there is no CAA")
    found = sorted(_caa_value(one) for one in records.caa if one.tag.lower() == b"iodef")
    return holds(bool(found), ", ".join(found) or "no iodef", "an iodef tag")


@check(
    "dns.tlsa-well-formed",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De TLSA-records voor het web zijn goed geschreven",
    why_nl="Een TLSA-record dat niet klopt, maakt de website onbereikbaar voor wie DANE controleert.",
    fix=(
        "openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum\n"
        "_443._tcp.DOMAIN. TLSA 3 1 1 <that digest>"
    ),
    verify="dig +short _443._tcp.DOMAIN TLSA",
    references=("RFC 6698 section 2.1", "RFC 7671"),
)
def tlsa_well_formed(records: DomainRecords) -> Verdict:
    """The TLSA records for the web are written well.

    A TLSA record that is wrong makes the web site unreachable for those who check DANE. Whether it matches the
    certificate is judged where the certificate is shown.
    """
    answers = [
        records.answers(f"_443._tcp.{name}", "TLSA") for name in (records.domain, f"www.{records.domain}")
    ]
    wrong = [f"{one}: {one.malformed}" for one in answers if TLSA_LENGTH in one.malformed]
    found = [] if wrong else [record for one in answers for record in one.records]
    if not (found or wrong):
        raise Absent("there are no TLSA records for the web")
    wrong += [why for one in found if (why := tlsa_fault(one))]
    return holds(
        not wrong, "; ".join(wrong) or tlsa_text(found), "usage, selector, matching and length as RFC 6698"
    )


def tlsa_fault(one: Any) -> str:
    """What is wrong with a TLSA record (RFC 6698 section 2.1); empty when nothing is."""
    text = f"{one.usage} {one.selector} {one.mtype}"
    if one.usage not in (0, 1, 2, 3) or one.selector not in (0, 1) or one.mtype not in (0, 1, 2):
        return f"{text}: not defined"
    return "" if one.cert else f"{text}: nothing to match with"


def tlsa_text(found: Iterable[Any]) -> str:
    """TLSA records, short."""
    return ", ".join(sorted({f"{one.usage} {one.selector} {one.mtype}" for one in found}))


# --- names and addresses ----------------------------------------------------------------------------------------


def _wrong(names: Iterable[str], judge: Callable[[str], list[str]]) -> list[str]:
    """What is wrong with any of these. Raises what kept one of them from being seen, when nothing is wrong with the
    others.
    """
    found: list[str] = []
    unseen: list[NotUnderstood | Blind] = []
    for name in names:
        try:
            found += judge(name)
        except Untold as reason:
            unseen.append(reason)
    if unseen and not found:
        raise unseen[0]
    return found


@check(
    "dns.no-wildcard",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Een verzonnen naam onder het domein heeft geen adres en is geen alias",
    why_nl="Met een wildcard bestaat elke naam: ook die van een oplichter, en een fout in een adres valt nooit op.",
    fix="# take the wildcard out of the zone and write the names that are meant:\nwww.DOMAIN. A 192.0.2.10",
    verify=f"dig +short {MADE_UP}.DOMAIN A",
    references=("RFC 4592 section 2", "RFC 1912 section 2.7"),
)
def no_wildcard(records: DomainRecords) -> Verdict:
    """A made-up name below the domain has no address, and is no alias.

    With a wildcard every name exists: that of a swindler too, and a mistake in an address never shows.
    """
    name = f"{MADE_UP}.{records.domain}"
    answer = records.answers(name, "A").must()
    alias = [f"an alias of {host_name(answer.canonical)}"] if answer.canonical != answer.name else []
    found = [*alias, *records.addresses(name)]
    return holds(
        not found,
        f"{MADE_UP}: {', '.join(found) or 'neither address nor alias'}",
        "neither address nor alias",
    )


@check(
    "dns.no-private-addresses",
    principle=DATA_FIRST,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Het domein en de gebruikelijke namen eronder verwijzen niet naar interne adressen",
    why_nl=(
        "Interne adressen in de openbare DNS verraden hoe het netwerk eruitziet, en leiden bezoekers naar wat bij hen"
        " toevallig op dat adres zit."
    ),
    fix="# move the name to the zone that only the inside sees, or give it a public address\nrndc reload DOMAIN",
    verify="dig +short www.DOMAIN A",
    references=("RFC 1918 section 5", "IANA, IPv4 and IPv6 Special-Purpose Address Registries"),
    advice="Asked is the resolver of the scanner: one that sees the inside view will find inside addresses.",
    advice_nl="Gevraagd is de resolver van de scanner: een resolver binnen ziet binnenadressen.",
)
def no_private_addresses(records: DomainRecords) -> Verdict:
    """The domain and the usual names below it do not refer to internal addresses.

    Internal addresses in the public DNS tell what the network looks like, and lead visitors to whatever is at that
    address where they are. Judged are the domain itself and the usual names below it.
    """

    def private(name: str) -> list[str]:
        return [f"{name} {one}" for one in records.addresses(name) if not ip_address(one).is_global]

    names = (records.domain, *(f"{label}.{records.domain}" for label in USUAL))
    inside = _wrong(names, private)
    return holds(not inside, ", ".join(inside) or "none", "public addresses")


@check(
    "dns.no-dangling-alias",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Geen gebruikelijke naam onder het domein is een alias van een naam die er niet meer is",
    why_nl="Wie de verdwenen naam registreert, heeft een website onder de naam van de gemeente, met een certificaat.",
    fix="# remove the alias from the zone before the service it leads to is given up\nrndc reload DOMAIN",
    verify="dig www.DOMAIN A    # NXDOMAIN behind a CNAME",
    references=("OWASP WSTG-CONF-10", "RFC 8020"),
)
def no_dangling_alias(records: DomainRecords) -> Verdict:
    """No usual name below the domain is an alias of a name that is gone.

    Whoever registers the lost name has a web site under the name of the municipality, with a valid certificate. Judged
    are names that most domains have, such as www and portal.
    """
    aliases: list[str] = []

    def lost(label: str) -> list[str]:
        answer = records.answers(f"{label}.{records.domain}", "A").must()
        if answer.canonical == answer.name:
            return []
        aliases.append(label)
        return [f"{label} -> {host_name(answer.canonical)}"] if answer.no_such_name else []

    gone = _wrong(USUAL, lost)
    if not aliases:
        raise Absent("the usual names are no aliases")
    return holds(
        not gone, ", ".join(gone) or f"{len(aliases)} aliases lead somewhere", "each alias leads somewhere"
    )


@check(
    "dns.web-ipv6",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De website heeft een IPv6-adres naast het IPv4-adres",
    why_nl="Wie alleen IPv6 heeft, komt anders niet op de site; de overheid heeft IPv6 verplicht gesteld.",
    fix="DOMAIN. AAAA 2001:db8::80\nwww.DOMAIN. AAAA 2001:db8::80",
    verify="dig +short www.DOMAIN AAAA",
    references=(_NORM_IPV6, "Internet.nl, test IPv6", "BIO2 1.3, measure 5.14.01"),
)
def web_ipv6(records: DomainRecords) -> Verdict:
    """The web site has an IPv6 address beside that of IPv4.

    Whoever has IPv6 only does not reach the site otherwise; IPv6 is mandatory for government.
    """
    web = [name for name in (records.domain, f"www.{records.domain}") if records.addresses(name)]
    if not web:
        raise Absent("neither the domain nor www has an address")
    without = [name for name in web if not records.answers(name, "AAAA").records]
    return holds(
        not without, f"without AAAA: {', '.join(without)}" if without else ", ".join(web), "an AAAA each"
    )


# --- examples ---------------------------------------------------------------------------------------------------

_TARGET: Final = {"domains": ("gemeente.test",)}
_SOA: Final = "gemeente.test. IN SOA ns1.gemeente.test. hostmaster.gemeente.test. 7 7200 3600 1209600 3600"
_BASE: Final = (_SOA, "gemeente.test. IN NS ns1.gemeente.test.", "gemeente.test. IN NS ns2.elders.test.")


def _records(*lines: str, base: tuple[str, ...] = _BASE, fails: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "domain_records.reply": Said(record_questions("gemeente.test"), *base, *lines, fails=fails),
        "target": _TARGET,
    }


def _servers(*lines: str, base: tuple[str, ...] = _BASE) -> dict[str, Any]:
    names = ("ns1.gemeente.test", "ns2.elders.test")
    asked = [(name, kind) for name in names for kind in ("A", "AAAA")]
    return {**_records(base=base), "name_servers.reply": Said(asked, *lines)}


def _own(*lines: str, fails: tuple[str, ...] = ()) -> dict[str, Any]:
    asked = (("gemeente.test", "SOA"), ("gemeente.test", "NS"))
    return {
        **_servers("ns1.gemeente.test. IN A 127.0.0.1", "ns2.elders.test. IN A 192.0.2.53"),
        "own_answer.reply": Said(asked, *lines, fails=fails, authoritative=True),
    }


_NONE: Final[dict[str, Any]] = {"target": {}}
_NO_ZONE: Final = _records("www.gemeente.test. IN A 93.184.215.14", base=())
_ALIAS: Final = _records(
    "elders.test. IN SOA ns1.elders.test. hostmaster.elders.test. 7 1 2 3 4",
    "elders.test. IN NS ns1.elders.test.",
    base=("gemeente.test. IN CNAME elders.test.",),
) | {"name_servers.reply": ""}
_WHOLE: Final = _servers(
    "ns1.gemeente.test. IN A 192.0.2.53",
    "ns1.gemeente.test. IN AAAA 2001:db8:1::53",
    "ns2.elders.test. IN A 198.51.100.53",
    "ns2.elders.test. IN AAAA 2001:db8:2::53",
)
_ONE_NETWORK: Final = _servers("ns1.gemeente.test. IN A 192.0.2.53", "ns2.elders.test. IN A 192.0.2.54")

examples(name_servers_spread, passes=_WHOLE, fails=_ONE_NETWORK, notapplicable=[_NONE, _ALIAS])
examples(
    name_servers_resolve,
    passes=_WHOLE,
    fails=[
        _servers("ns1.gemeente.test. IN A 192.0.2.53"),
        _servers(
            "ns1.gemeente.test. IN A 192.0.2.53",
            "ns2.elders.test. IN CNAME ns3.elders.test.",
            "ns3.elders.test. IN A 198.51.100.53",
        ),
    ],
    notapplicable=_NONE,
)
examples(name_servers_ipv6, passes=_WHOLE, fails=_ONE_NETWORK, notapplicable=_NONE)
examples(
    name_server_authoritative,
    passes=_own(*_BASE),
    fails=[
        _own(_SOA, "gemeente.test. IN NS ns1.gemeente.test."),
        _own(fails=("gemeente.test",)),
    ],
    notapplicable=_WHOLE | {"own_answer.reply": ""},
)
examples(
    serial_current,
    passes=[_own(*_BASE), _own(_SOA.replace(" 7 ", " 8 "))],
    fails=_own(_SOA.replace(" 7 ", " 6 ")),
    error=_own(fails=("gemeente.test",)),
)
examples(
    soa_timers,
    passes=_records(),
    fails=[
        _records(base=(_SOA.replace(" 1209600 ", " 7200 "),)),
        _records(base=(_SOA.replace(" 3600 1", " 9600 1"),)),
    ],
    notapplicable=[_NONE, _NO_ZONE, _ALIAS],
    unknown=_records(base=()),
    error=_records(fails=("gemeente.test",)),
)
examples(
    caa_present,
    passes=[
        _records('gemeente.test. IN CAA 0 issue "ca.example"'),
        _records('test. IN CAA 0 issue ";"'),
    ],
    fails=[_records(), _records('gemeente.test. IN CAA 0 iodef "mailto:x@gemeente.test"')],
    notapplicable=_NONE,
    error=_records(fails=("test",)),
)
examples(
    caa_valid,
    passes=_records(
        'gemeente.test. IN CAA 0 issue "ca.example; accounturi=https://ca.example/acct/1"',
        'gemeente.test. IN CAA 0 issuewild ";"',
        'gemeente.test. IN CAA 128 iodef "mailto:security@gemeente.test"',
    ),
    fails=[
        _records('gemeente.test. IN CAA 0 issue "https://ca.example/"'),
        _records('gemeente.test. IN CAA 0 isue "ca.example"'),
        _records('gemeente.test. IN CAA 0 iodef "security@gemeente.test"'),
    ],
    notapplicable=_records(),
)
examples(
    caa_reports,
    passes=_records('gemeente.test. IN CAA 0 iodef "mailto:security@gemeente.test"'),
    fails=_records('gemeente.test. IN CAA 0 issue "ca.example"'),
    notapplicable=_records(),
)
examples(
    tlsa_well_formed,
    passes=_records(f"_443._tcp.www.gemeente.test. IN TLSA 3 1 1 {'ab' * 32}"),
    fails=[
        _records(f"_443._tcp.www.gemeente.test. IN TYPE52 \\# 23 030101{'ab' * 20}"),
        _records(f"_443._tcp.www.gemeente.test. IN TLSA 4 1 1 {'ab' * 32}"),
    ],
    notapplicable=_records(),
)
examples(
    no_wildcard,
    passes=_records("www.gemeente.test. IN A 93.184.215.14"),
    fails=[
        _records(f"{MADE_UP}.gemeente.test. IN A 93.184.215.14"),
        _records(f"{MADE_UP}.gemeente.test. IN CNAME gone.cloud.test."),
    ],
    notapplicable=_NONE,
)
examples(
    no_private_addresses,
    passes=_records("www.gemeente.test. IN A 93.184.215.14"),
    fails=[
        _records("vpn.gemeente.test. IN A 10.1.2.3", fails=("www.gemeente.test",)),
        _records("gemeente.test. IN AAAA fd00::1"),
    ],
    error=_records("www.gemeente.test. IN A 93.184.215.14", fails=("vpn.gemeente.test",)),
    notapplicable=_NONE,
)
examples(
    no_dangling_alias,
    passes=_records(
        "www.gemeente.test. IN CNAME gemeente.cloud.test.", "gemeente.cloud.test. IN A 93.184.215.14"
    ),
    fails=[
        _records("portal.gemeente.test. IN CNAME gemeente.cloud.test."),
        _records("portal.gemeente.test. IN CNAME gemeente.cloud.test.", fails=("www.gemeente.test",)),
    ],
    notapplicable=_records("www.gemeente.test. IN A 93.184.215.14"),
    error=_records("portal.gemeente.test. IN CNAME gemeente.cloud.test.", fails=("gemeente.cloud.test",)),
)
examples(
    web_ipv6,
    passes=_records("www.gemeente.test. IN A 93.184.215.14", "www.gemeente.test. IN AAAA 2606:2800:220:1::1"),
    fails=_records("www.gemeente.test. IN A 93.184.215.14"),
    notapplicable=_records(),
)
