"""How mail reaches a domain: its mail servers, the proof of their certificates (DANE, MTA-STS), and reports."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Final

import dns.reversename
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import InstanceOf

from checks.network import example_certificates as made
from checks.network import example_chains as recorded
from checks.network import example_policy_host as policy_host
from checks.network import served, spf
from checks.network.answers import Answers, Question, askable, host_name
from checks.network.dns import TLSA_LENGTH, tlsa_fault, tlsa_text
from checks.network.dns_signing import CHAIN_LIMIT, CHAIN_TIMEOUT, MailRoute, signing_questions
from checks.network.dnssec import Outcome, Status, Validator, chain_questions, read_anchors
from checks.network.example_answers import Said
from checks.network.example_shown import plain, seen, trusted
from checks.network.mail_records import MTA_STS, TLS_REPORTS, Exchanger, MailRecords, mail_questions, tags
from checks.network.mail_sender import dmarc_policy
from checks.network.ports import OpenPort, TlsPort
from checks.network.served import CertificatePath, ServedCertificate, is_for
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Dialogue,
    Each,
    Exchange,
    Layer,
    Lookup,
    NameAnchors,
    NotUnderstood,
    Raw,
    Say,
    ScanTime,
    Severity,
    Target,
    TlsWalk,
    TrustAnchors,
    Turn,
    Verdict,
    check,
    examples,
    exchanges,
    fact,
    holds,
    probe,
)
from scanner.transcript import write

_LIST: Final = "Forum Standaardisatie, pas toe of leg uit"
#: Addresses and names that are looked up the other way round.
_REVERSED: Final = 8
#: Addresses for within an organisation (RFC 1918, RFC 4193).
_INSIDE: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_FOR_SERVERS: Final = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
#: RFC 8461 section 3.2: at most about a year.
_LONGEST: Final = 31557600


# --- mail servers -----------------------------------------------------------------------------------------------


@fact
class ExchangerRecords:
    """What the DNS says of one mail server, and whether that is proved.

    ``addresses_proved`` and ``tlsa_proved`` are the outcomes of validation (RFC 4033 section 5).
    """

    host: str
    domains: tuple[str, ...]
    answers: InstanceOf[Answers]
    addresses_proved: InstanceOf[Outcome]
    tlsa_proved: InstanceOf[Outcome]

    def __str__(self) -> str:
        return self.host

    @property
    def outside(self) -> ExchangerRecords:
        """Itself, when its addresses are such as a stranger can reach. Raises NotUnderstood."""
        found = [text for kind in ("A", "AAAA") for text in self.answers(self.host, kind).texts]
        if within := [text for text in found if _is_inside(text)]:
            raise NotUnderstood(
                f"{self.host} has {', '.join(within)}, which no stranger can reach: when that is the view from inside,"
                " give a public resolver (inventory: resolvers)"
            )
        return self

    @property
    def tlsa(self) -> list[Any]:
        """Its TLSA records for port 25. Raises NotUnderstood."""
        return self.outside.answers(f"_25._tcp.{self.host}", "TLSA").records


def exchanger_questions(host: str) -> tuple[Question, ...]:
    """The chain to a mail server, its addresses, and its certificates for port 25 (RFC 7672 section 3)."""
    return (*chain_questions(host), (host, "A"), (host, "AAAA"), (f"_25._tcp.{host}", "TLSA"))


def _is_inside(address: str) -> bool:
    return any(ip_address(address) in network for network in _INSIDE)


@probe(
    "outside",
    reply=Each(
        Exchanger,
        lambda one: Lookup(questions=exchanger_questions(one.host), limit=CHAIN_LIMIT, timeout=CHAIN_TIMEOUT),
    ),
    anchors=NameAnchors(),
)
def exchanger_records(reply: Raw, anchors: Raw, one: Exchanger, now: ScanTime) -> ExchangerRecords:
    """The records of a mail server."""
    answers = Answers(reply)
    validator = Validator(answers, read_anchors(anchors.text), now)
    return ExchangerRecords(
        one.host,
        one.domains,
        answers,
        validator.answer(one.host, "A"),
        validator.answer(f"_25._tcp.{one.host}", "TLSA", under=one.host),
    )


@check(
    "mx.resolves",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Elke mailserver van het domein bestaat",
    why_nl="Een mailserver zonder adres neemt niets aan; wie die naam registreert, ontvangt de mail.",
    fix="DOMAIN. MX 10 mail.DOMAIN.\nmail.DOMAIN. A 192.0.2.25    ; an address, not a CNAME",
    verify="dig +short DOMAIN MX; dig +short MAILSERVER A",
    references=("RFC 5321 section 5.1", "RFC 2181 section 10.3"),
)
def mx_resolves(one: ExchangerRecords) -> Verdict:
    """Every mail server of the domain is there.

    A mail server without address takes nothing; whoever registers that name receives the mail. Its name may not be an
    alias.
    """
    four, six = one.outside.answers(one.host, "A"), one.answers(one.host, "AAAA")
    addresses = (*four.texts, *six.texts)
    if host_name(four.canonical) != one.host:
        return holds(False, f"an alias of {host_name(four.canonical)}", "a name with an address")
    return holds(bool(addresses), ", ".join(addresses) or "no address", "a name with an address")


@check(
    "mx.ipv6",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De mailserver heeft een IPv6-adres",
    why_nl="Wie alleen IPv6 heeft, kan anders niet mailen; de overheid heeft IPv6 verplicht gesteld.",
    fix="mail.DOMAIN. AAAA 2001:db8::25",
    verify="dig +short MAILSERVER AAAA",
    references=(f"{_LIST}: IPv6 en IPv4", "Internet.nl, test IPv6", "BIO2 1.3, measure 5.14.01"),
)
def mx_ipv6(one: ExchangerRecords) -> Verdict:
    """The mail server has an IPv6 address.

    Whoever has IPv6 only cannot send mail otherwise; IPv6 is mandatory for government.
    """
    found = one.outside.answers(one.host, "AAAA").texts
    return holds(bool(found), ", ".join(found) or "no AAAA", "an IPv6 address")


@check(
    "mx.signed",
    principle=(SECURE_DESIGN, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="mail",
    title_nl="De naam van de mailserver is bewezen met DNSSEC",
    why_nl="Is het adres van de mailserver te vervalsen, dan gaat de mail naar een ander, en is DANE niets waard.",
    fix="# sign the zone of the mail server's name, or let the provider do so:\ndelv MAILSERVER A",
    verify="delv MAILSERVER A    # fully validated",
    references=(f"{_LIST}: DNSSEC", "RFC 7672 section 2.1", "Internet.nl, test DNSSEC for mail"),
)
def mx_signed(one: ExchangerRecords) -> Verdict:
    """The name of the mail server is proved by DNSSEC.

    When the address of the mail server can be forged, mail goes to someone else, and DANE is worth nothing.
    """
    proved = one.outside.addresses_proved
    if proved.status is Status.UNESTABLISHED:
        raise NotUnderstood(proved.why)
    return holds(proved.status is Status.SECURE, str(proved), "secure")


@check(
    "dane.present",
    principle=(SECURE_DESIGN, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="mail",
    title_nl="De mailserver heeft een bewezen TLSA-record (DANE)",
    why_nl="Zonder DANE levert een afzender ook onversleuteld af, of bij een server die zich voordoet als deze.",
    fix=(
        "openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum\n"
        "_25._tcp.MAILSERVER. TLSA 3 1 1 <that digest>"
    ),
    verify="delv _25._tcp.MAILSERVER TLSA",
    references=(
        f"{_LIST}: STARTTLS en DANE",
        "RFC 7672 section 2.2",
        "Internet.nl, test DANE",
        "BIO2 1.3, measure 5.14.01",
    ),
)
def dane_present(one: ExchangerRecords, routes: list[MailRoute]) -> Verdict:
    """The mail server has a proved TLSA record (DANE).

    Without DANE a sender may deliver without encryption, or to a server that pretends to be this one. Both the domain's
    MX and the TLSA record must be proved by DNSSEC. Whether it matches is judged where the certificate is shown.
    """
    if not one.tlsa:
        return holds(False, "no TLSA record for port 25", "a proved TLSA record")
    if one.tlsa_proved.status is Status.UNESTABLISHED:
        raise NotUnderstood(one.tlsa_proved.why)
    if one.tlsa_proved.status is not Status.SECURE:
        return holds(False, f"TLSA {one.tlsa_proved}", "a proved TLSA record")
    proved = {route.domain: route.proved for route in routes}
    unsure = [name for name in one.domains if proved[name].status is Status.UNESTABLISHED]
    unproved = [
        name for name in one.domains if name not in unsure and proved[name].status is not Status.SECURE
    ]
    usable = [each for each in one.tlsa if each.usage in (2, 3) and not tlsa_fault(each)]
    if unsure and usable and not unproved:
        raise NotUnderstood("; ".join(f"the MX of {name}: {proved[name].why}" for name in unsure))
    return holds(
        bool(usable) and not unproved,
        f"the MX of {', '.join(unproved)} is not proved" if unproved else f"TLSA {tlsa_text(one.tlsa)}",
        "a proved TLSA record with usage 2 or 3",
    )


@check(
    "dane.well-formed",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="mail",
    title_nl="De TLSA-records van de mailserver zijn goed geschreven",
    why_nl="Met een record dat niet klopt, leveren afzenders die DANE controleren niets meer af.",
    fix=(
        "openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum\n"
        "_25._tcp.MAILSERVER. TLSA 3 1 1 <that digest>"
    ),
    verify="dig +short _25._tcp.MAILSERVER TLSA",
    references=("RFC 6698 section 2.1", "RFC 7672 section 3.1"),
)
def dane_well_formed(one: ExchangerRecords) -> Verdict:
    """The TLSA records of the mail server are written well.

    With a record that is wrong, senders that check DANE deliver nothing any more. For mail the usage is 2 or 3.
    """
    answer = one.outside.answers(f"_25._tcp.{one.host}", "TLSA")
    if TLSA_LENGTH in answer.malformed:
        return holds(False, answer.malformed, "usage 2 or 3, a digest of the right length")
    if not one.tlsa:
        raise Absent("there is no TLSA record for port 25")
    wrong = [why for each in one.tlsa if (why := tlsa_fault(each))]
    wrong += [
        f"{each.usage} {each.selector} {each.mtype}: not for mail"
        for each in one.tlsa
        if each.usage in (0, 1)
    ]
    return holds(
        not wrong, "; ".join(wrong) or tlsa_text(one.tlsa), "usage 2 or 3, a digest of the right length"
    )


@check(
    "dane.rollover",
    principle=FAIL_SECURE,
    severity=Severity.INFO,
    layer=Layer.DATA,
    platform="mail",
    title_nl="Er is een tweede TLSA-record voor het wisselen van het certificaat",
    why_nl="Met één record valt de mail uit wanneer het certificaat wisselt voordat DNS overal ververst is.",
    fix="_25._tcp.MAILSERVER. TLSA 3 1 1 <digest of the next key>    ; beside the current one",
    verify="dig +short _25._tcp.MAILSERVER TLSA",
    references=("RFC 7671 section 8.1", "Internet.nl, test DANE rollover scheme"),
)
def dane_rollover(one: ExchangerRecords) -> Verdict:
    """There is a second TLSA record for when the certificate changes.

    With one record mail fails when the certificate changes before the DNS is fresh everywhere.
    """
    if not one.tlsa:
        raise Absent("there is no TLSA record for port 25")
    return holds(len(one.tlsa) >= 2, f"{len(one.tlsa)}: {tlsa_text(one.tlsa)}", "at least two")


# --- domains without mail ---------------------------------------------------------------------------------------


@check(
    "mx.none-closed",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Een domein zonder mail weigert alle mail",
    why_nl="Ongebruikte domeinen zijn geliefd bij oplichters: niemand kijkt ernaar, en zonder beleid mag alles.",
    fix='DOMAIN. MX 0 .\nDOMAIN. TXT "v=spf1 -all"\n_dmarc.DOMAIN. TXT "v=DMARC1; p=reject"',
    verify="dig +short DOMAIN MX; dig +short DOMAIN TXT; dig +short _dmarc.DOMAIN TXT",
    references=("RFC 7505", "RFC 7208 section 10.1.2", "RFC 7489 section 6.3", "Internet.nl, parked domains"),
)
def none_closed(mail: MailRecords) -> Verdict:
    """A domain without mail refuses all mail.

    Domains that nobody uses are loved by swindlers: nobody looks at them, and without policy anything goes. A domain is
    without mail when it has no mail server and its SPF names nobody who may send.
    """
    if mail.exchangers:
        raise Absent(f"{mail.domain} takes mail")
    senders = [one for one in mail.spf if any(term.name not in ("all", "exp") for term in spf.terms(one))]
    if senders:
        raise Absent(f"{mail.domain} sends mail: {senders[0]}")
    found = dmarc_policy(mail)
    missing = [
        what
        for what, there in (
            ("no null MX", mail.null_mx),
            ("no SPF -all", [one.lower().split() for one in mail.spf] == [["v=spf1", "-all"]]),
            (
                "no DMARC p=reject",
                found is not None and not found.fault and found.policy(mail.domain) == "reject",
            ),
        )
        if not there
    ]
    return holds(not missing, ", ".join(missing) or "refuses all mail", "null MX, SPF -all, DMARC p=reject")


# --- MTA-STS and reports ----------------------------------------------------------------------------------------


@fact
class StsHost:
    """The host that gives the MTA-STS policy of a domain, and the certificate it shows."""

    mail: MailRecords
    served: ServedCertificate

    def __str__(self) -> str:
        return self.mail.domain


@fact
class StsPolicy:
    """The MTA-STS policy of a domain as its own server gives it (RFC 8461 section 3.2).

    ``distrust`` says why senders do not believe that server (section 3.3); ``gave_up`` why that is
    not known.
    """

    domain: str
    exchangers: tuple[str, ...]
    status: str
    media_type: str
    mode: str
    max_age: int
    mx: tuple[str, ...]
    distrust: str
    gave_up: str

    def __str__(self) -> str:
        return self.domain

    def names(self, host: str) -> bool:
        """Whether the policy names this mail server (RFC 8461 section 4.1)."""
        return any(
            host == one or (one.startswith("*.") and host.partition(".")[2] == one[2:]) for one in self.mx
        )


def _sts_address(mail: MailRecords) -> str:
    """Where the policy is to be had, or empty when the domain does not say that there is one. Raises as answers do."""
    if not mail.exchangers or not mail.texts("_mta-sts", MTA_STS):
        return ""
    found = (text for kind in ("A", "AAAA") for text in mail.answers(_policy_host(mail), kind).texts)
    return next(found, "")


def _policy_host(mail: MailRecords) -> str:
    return f"mta-sts.{mail.domain}"


def _get_policy(host: StsHost) -> Dialogue:
    name = _policy_host(host.mail)
    request = (
        f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {name}\r\nUser-Agent: keurmeester\r\nAccept: text/plain\r\n"
        "Connection: close\r\n\r\n"
    )
    return Dialogue(
        purpose="the MTA-STS policy",
        address=_sts_address(host.mail),
        port=443,
        secure=True,
        server_name=name,
        turns=(Say(request),),
    )


@probe(
    "outside",
    hello=Each(
        MailRecords,
        lambda mail: TlsWalk(443, _policy_host(mail), _sts_address(mail), parts="chain", timeout=10),
        when=lambda mail: bool(_sts_address(mail)),
    ),
)
def sts_host(hello: Raw, mail: MailRecords) -> StsHost:
    """The certificate that the policy host shows to senders."""
    try:
        return StsHost(mail, served.served(hello, TlsPort(443, _policy_host(mail))))
    except Absent as absent:
        raise NotUnderstood(f"the policy host: {absent}") from None


@probe(
    "outside",
    page=Each(StsHost, _get_policy),
    roots=Each(StsHost, lambda host: TrustAnchors(host.served.anchors)),
)
def sts_policy(page: Raw, roots: Raw, host: StsHost, now: ScanTime) -> StsPolicy:
    """The policy, and whether senders believe who gives it."""
    mail, (one,) = host.mail, exchanges(page)
    path = served.anchored(roots, host.served, now)
    if one.end == "refused":
        raise NotUnderstood("port 443 of its policy host answers one time, and not the next")
    head, _, body = one.received.decode("utf-8").partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    if not status.startswith("HTTP/1."):
        raise NotUnderstood("the policy host does not answer in HTTP")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    fields = [line.partition(":") for line in re.split(r"\r?\n", body) if line.strip()]
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in fields]
    single = dict(reversed(pairs))
    age = single.get("max_age", "")
    return StsPolicy(
        domain=mail.domain,
        exchangers=mail.exchangers,
        status=status.partition(" ")[2],
        media_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        mode=single.get("mode", "").lower() if single.get("version") == "STSv1" else "",
        max_age=int(age) if re.fullmatch(r"[0-9]{1,10}", age) else -1,
        mx=tuple(value.lower() for name, value in pairs if name == "mx"),
        distrust=_distrust(path, _policy_host(mail)),
        gave_up=path.gave_up,
    )


def _distrust(path: CertificatePath, name: str) -> str:
    """Why senders, which know public CAs only, do not believe that this is the policy host (RFC 8461 section 3.3)."""
    leaf = path.served.leaf
    if not is_for(leaf, name):
        return f"certificate for {', '.join(served.names(leaf)[:4]) or 'no name'}"
    if not set(served.purposes(leaf) or _FOR_SERVERS) & _FOR_SERVERS:
        return "certificate that is not for servers"
    if not path.path:
        return "" if path.gave_up else f"certificate: {path.distrust}"
    return "" if path.is_public else "certificate of no public CA"


def _unchunked(body: str) -> str:
    """RFC 9112 section 7.1, for text that is ASCII. Raises NotUnderstood."""
    found = ""
    while body:
        size, _, rest = body.partition("\r\n")
        if not re.fullmatch(r"[0-9A-Fa-f]{1,6}(?:;.*)?", size):
            raise NotUnderstood("the answer is not in chunks, as it says")
        count = int(size.partition(";")[0], 16)
        if count == 0:
            break
        found, body = found + rest[:count], rest[count + 2 :]
    return found


@check(
    "mta-sts.record",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    platform="mail",
    title_nl="Het domein kondigt MTA-STS aan, en heeft een host voor het beleid",
    why_nl="Afzenders die geen DANE controleren, weten zo toch dat zij moeten versleutelen en het certificaat nagaan.",
    fix='_mta-sts.DOMAIN. TXT "v=STSv1; id=2026112501"\nmta-sts.DOMAIN. A 192.0.2.80',
    verify="dig +short _mta-sts.DOMAIN TXT; dig +short mta-sts.DOMAIN A",
    references=("RFC 8461 section 3.1", "NCSC-NL, factsheet Beveilig verbindingen van mailservers"),
)
def sts_record(mail: MailRecords) -> Verdict:
    """The domain announces MTA-STS, and has a host for the policy.

    Senders that do not check DANE know by it that they must encrypt and check the certificate.
    """
    found = mail.receives.texts("_mta-sts", MTA_STS)
    if len(found) != 1:
        return holds(False, f"{len(found)} records" if found else "no record", "one record with an id")
    try:
        id_ = tags(found[0]).get("id", "")
    except ValueError as error:
        return holds(False, f"{found[0]}: {error}", "one record with an id")
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", id_):
        return holds(False, found[0], "one record with an id")
    hosts = [text for kind in ("A", "AAAA") for text in mail.answers(_policy_host(mail), kind).texts]
    shown = ", ".join(hosts) or f"{_policy_host(mail)} has no address"
    return holds(bool(hosts), f"{found[0]}; {shown}", "one record with an id, and an address")


@check(
    "mta-sts.policy",
    principle=(SECURE_DESIGN, FAIL_SECURE),
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    platform="mail",
    title_nl="Het MTA-STS-beleid is te vertrouwen, dwingt af, lang genoeg, en noemt elke mailserver",
    why_nl="Zonder geldig certificaat of in de stand testing houdt het niets tegen; wie ontbreekt, krijgt geen mail.",
    fix=(
        "printf 'version: STSv1\\nmode: enforce\\nmx: mail.DOMAIN\\nmax_age: 2592000\\n'"
        " > /var/www/mta-sts/.well-known/mta-sts.txt\n"
        "certbot certonly --webroot -w /var/www/mta-sts -d mta-sts.DOMAIN"
    ),
    verify="curl https://mta-sts.DOMAIN/.well-known/mta-sts.txt    # the policy, and no complaint about a certificate",
    references=("RFC 8461 sections 3.2, 3.3 and 4.1",),
)
def sts_enforced(found: StsPolicy, *, seconds: Annotated[int, "least age of the policy"] = 604800) -> Verdict:
    """The MTA-STS policy can be trusted, enforces, for long enough, and names every mail server.

    Senders pass over a policy whose host shows no certificate of a public CA for that name; in mode testing it stops
    nothing; a mail server that is missing will get no mail. Asked is the policy host, when it is a target of the
    inventory.
    """
    wrong = [found.distrust] if found.distrust else []
    if not found.status.startswith("200"):
        wrong.append(f"HTTP {found.status}")
    else:
        if found.mode != "enforce":
            wrong.append(f"mode {found.mode or 'missing'}")
        if not seconds <= found.max_age <= _LONGEST:
            wrong.append(f"max_age {found.max_age}")
        if found.media_type != "text/plain":
            wrong.append(f"type {found.media_type or 'missing'}")
        wrong += [f"{host} is not named" for host in found.exchangers if not found.names(host)]
    if found.gave_up and not wrong:
        raise NotUnderstood(f"the certificate of the policy host: {found.gave_up}")
    return holds(
        not wrong,
        ", ".join(wrong) or f"mode {found.mode}, max_age {found.max_age}, {len(found.mx)} mx",
        f"a public certificate, mode enforce, max_age {seconds} to {_LONGEST}, every mail server",
    )


@check(
    "tls-rpt.record",
    principle=FAIL_SECURE,
    severity=Severity.LOW,
    layer=Layer.DETECTION,
    platform="mail",
    title_nl="Afzenders kunnen melden dat versleuteld afleveren mislukt",
    why_nl="Zonder TLS-RPT merkt niemand dat mail blijft liggen doordat DANE of MTA-STS niet klopt.",
    fix='_smtp._tls.DOMAIN. TXT "v=TLSRPTv1; rua=mailto:tls@DOMAIN"',
    verify="dig +short _smtp._tls.DOMAIN TXT",
    references=("RFC 8460 section 3",),
)
def tls_reports(mail: MailRecords) -> Verdict:
    """Senders can report that delivering with encryption fails.

    Without TLS-RPT nobody notices that mail stays behind because DANE or MTA-STS is wrong.
    """
    found = mail.receives.texts("_smtp._tls", TLS_REPORTS)
    if len(found) != 1:
        return holds(False, f"{len(found)} records" if found else "no record", "one record with a rua")
    try:
        places = [one.strip() for one in tags(found[0]).get("rua", "").split(",")]
    except ValueError as error:
        return holds(False, f"{found[0]}: {error}", "one record with a rua")
    good = all(re.match(r"mailto:[^@\s]+@[^@\s]+$|https://[^\s/]+", one) for one in places)
    return holds(good, found[0], "one record with a rua, mailto or https")


# --- the mail server itself -------------------------------------------------------------------------------------


@fact
class SmtpGreeting:
    """The name that a mail server on this target gives itself, in its answer to EHLO (RFC 5321 section 4.1.1.1)."""

    port: int
    name: str

    def __str__(self) -> str:
        return f"{self.port}/tcp"

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked about that name."""
        return ((self.name, "A"), (self.name, "AAAA")) if "." in self.name and askable(self.name) else ()


@fact
class SmtpName:
    """The name a mail server gives itself, and the addresses it leads to."""

    port: int
    name: str
    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.port}/tcp"


@fact
class OwnAddress:
    """The target's address in the inventory, when it takes mail or serves domains."""

    address: str

    def __str__(self) -> str:
        return self.address

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked when it is a name."""
        return () if _is_address(self.address) else ((self.address, "A"), (self.address, "AAAA"))


@fact
class OwnAddresses:
    """The addresses of the target."""

    addresses: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.addresses)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked about them: their names."""
        return tuple((_reverse(one), "PTR") for one in self.addresses[:_REVERSED])


@fact
class OwnNames:
    """The names that the target's addresses lead to, by address."""

    names: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        return ", ".join(name for _, names in self.names for name in names)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked about those names: their addresses."""
        names = dict.fromkeys(name for _, names in self.names for name in names[:_REVERSED])
        return tuple((name, kind) for name in names if askable(name) for kind in ("A", "AAAA"))


@fact
class ReverseNames:
    """The target's addresses, each with the names it leads to and those of them that lead back to it."""

    found: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]

    def __str__(self) -> str:
        return ", ".join(address for address, _, _ in self.found)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _reverse(address: str) -> str:
    return host_name(dns.reversename.from_address(address))


@probe(
    "outside",
    reply=Each(
        OpenPort,
        lambda port: Dialogue(
            purpose="the name of the mail server",
            port=port.number,
            turns=(
                Say(until=r"(?m)^\d{3} [^\n]*\n"),
                Say("EHLO keurmeester-test\r\n", until=r"(?m)^\d{3} [^\n]*\n"),
                Say("QUIT\r\n", until=r"(?m)^\d{3} [^\n]*\n"),
            ),
        ),
        when=lambda port: port.service == "smtp",
    ),
)
def smtp_greeting(reply: Raw, port: OpenPort) -> SmtpGreeting:
    """The greeting and the answer to EHLO."""
    (one,) = exchanges(reply)
    if one.end == "refused":
        raise Absent("nothing listens there")
    if not one.turns or not one.turns[0].received.startswith(b"220"):
        raise NotUnderstood(f"no greeting of a mail server: {one.received[:60]!r}")
    if len(one.turns) < 2 or not (match := re.match(rb"250[ -]([^\s]+)", one.turns[1].received)):
        raise NotUnderstood("the mail server does not answer to EHLO")
    return SmtpGreeting(port.number, match[1].decode("ascii").rstrip(".").lower())


@probe("outside", reply=Each(SmtpGreeting, lambda one: Lookup(questions=one.questions)))
def smtp_name(reply: Raw, one: SmtpGreeting) -> SmtpName:
    """Where that name leads."""
    answers = Answers(reply)
    found = [text for name, kind in one.questions for text in answers(name, kind).texts]
    return SmtpName(one.port, one.name, tuple(found))


@probe("outside")
def own_address(target: Target) -> list[OwnAddress]:
    """The address in the inventory."""
    if target.channel == "local" or not any(one.name == "smtp" for one in target.services or ()):
        raise Absent("the inventory names no mail server here")
    return [OwnAddress(target.address)]


@probe("outside", reply=Each(OwnAddress, lambda own: Lookup(questions=own.questions)))
def own_addresses(reply: Raw, own: OwnAddress) -> OwnAddresses:
    """The addresses that the target's name leads to, or the one it has."""
    if not own.questions:
        return OwnAddresses((str(ip_address(own.address)),))
    answers = Answers(reply)
    return OwnAddresses(tuple(text for name, kind in own.questions for text in answers(name, kind).texts))


@probe("outside", reply=Each(OwnAddresses, lambda own: Lookup(questions=own.questions)))
def own_names(reply: Raw, own: OwnAddresses) -> OwnNames:
    """Their names (RFC 1035 section 3.5)."""
    answers = Answers(reply)
    return OwnNames(
        tuple(
            (address, tuple(host_name(one.target) for one in answers(question, "PTR").records))
            for address, (question, _) in zip(own.addresses, own.questions, strict=False)
        )
    )


@probe("outside", reply=Each(OwnNames, lambda own: Lookup(questions=own.questions)))
def reverse_names(reply: Raw, own: OwnNames) -> ReverseNames:
    """And whether those lead back."""
    answers, asked = Answers(reply), {name for name, _ in own.questions}
    found = []
    for address, names in own.names:
        back = [
            name
            for name in names
            if name in asked and address in (*answers(name, "A").texts, *answers(name, "AAAA").texts)
        ]
        found.append((address, names, tuple(back)))
    return ReverseNames(tuple(found))


@check(
    "mx.reverse-name",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="mail",
    title_nl="Het adres van de mailserver heeft een naam die naar dat adres terugleidt",
    why_nl="Veel ontvangers weigeren mail van een adres zonder naam, of met een naam die iemand anders kan verzinnen.",
    fix="# in the zone of who manages the address:\n25.2.0.192.in-addr.arpa. PTR mail.DOMAIN.",
    verify="dig +short -x ADDRESS; dig +short MAILSERVER A",
    references=("RFC 1912 section 2.1", "RFC 8601 section 2.7.3 (iprev)"),
)
def reverse_name(found: ReverseNames) -> Verdict:
    """The address of the mail server has a name that leads back to that address.

    Many receivers refuse mail from an address without a name, or with a name that anyone can make up. Judged is a
    target for which the inventory has a service smtp.
    """
    if not found.found:
        raise NotUnderstood("the name of this target leads to no address")
    outside = [one for one in found.found if not _is_inside(one[0])]
    if not outside:
        raise NotUnderstood(f"{found} is an address within: receivers see another one")
    shown = [
        f"{address}: {', '.join(back) if back else f'{names[0]}, which does not lead back' if names else 'no name'}"
        for address, names, back in outside
    ]
    return holds(all(back for _, _, back in outside), "; ".join(shown), "a name that leads back")


@check(
    "mx.greeting-name",
    principle=(SECURE_DEPLOYMENT, DATA_FIRST),
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De mailserver noemt zich bij een naam die bestaat",
    why_nl="Een verzonnen of interne naam verraadt hoe het netwerk heet, en laat ontvangers de mail wantrouwen.",
    fix="postconf -e 'myhostname = mail.DOMAIN'\nsystemctl reload postfix",
    verify="printf 'EHLO x\\r\\nQUIT\\r\\n' | nc MAILSERVER 25",
    references=("RFC 5321 sections 2.3.5 and 4.1.1.1",),
)
def greeting_name(found: SmtpName) -> Verdict:
    """The mail server calls itself by a name that is there.

    A made-up or internal name tells what the network is called, and makes receivers distrust the mail.
    """
    if found.addresses and all(map(_is_inside, found.addresses)):
        raise NotUnderstood(
            f"{found.name} leads to {', '.join(found.addresses)}, which is the view from inside"
        )
    return holds(
        bool(found.addresses),
        f"{found.name}: {', '.join(found.addresses) or 'no address'}",
        "a name with an address",
    )


# --- examples ---------------------------------------------------------------------------------------------------

_DOMAIN: Final = "gemeente.test"
_SOA: Final = f"{_DOMAIN}. IN SOA ns1.{_DOMAIN}. hostmaster.{_DOMAIN}. 7 7200 3600 1209600 3600"
_MX: Final = f"{_DOMAIN}. IN MX 10 mail.{_DOMAIN}."
_NONE: Final[dict[str, Any]] = {"target": {}}


def _mail(*lines: str, fails: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "mail_records.reply": Said(mail_questions(_DOMAIN), _SOA, *lines, fails=fails),
        "mail_route.chain": Said(signing_questions(_DOMAIN), _SOA, *lines),
        "anchors": "",
        "target": {"domains": (_DOMAIN,), **more},
    }


def _host(*lines: str) -> dict[str, Any]:
    """A mail server in a world without DNSSEC."""
    return {
        **_mail(_MX),
        "exchanger_records.reply": Said(exchanger_questions(f"mail.{_DOMAIN}"), _SOA, *lines),
    }


def _proved(name: str) -> dict[str, Any]:
    """A mail server as it was recorded."""
    domain = f"{name}.test"
    return {
        "mail_records.reply": Said(
            mail_questions(domain), _SOA.replace(_DOMAIN, domain), f"{domain}. IN MX 10 mail.{domain}."
        ),
        "exchanger_records.reply": recorded.recorded(f"exchanger mail.{domain}"),
        "anchors": recorded.ANCHOR,
        "mail_route.chain": recorded.recorded(f"chain {domain}"),
        "now": recorded.TAKEN,
        "target": {"domains": (domain,)},
    }


_A: Final = f"mail.{_DOMAIN}. IN A 192.0.2.25"
_AAAA: Final = f"mail.{_DOMAIN}. IN AAAA 2001:db8::25"
_TLSA: Final = f"_25._tcp.mail.{_DOMAIN}. IN TLSA"
_GONE: Final = {**_mail(), "mail_records.reply": Said(mail_questions(_DOMAIN)), "exchanger_records.reply": ""}
_TAKES_NONE: Final = {**_mail(), "exchanger_records.reply": "", "anchors": "", "mail_route.chain": ""}

examples(
    mx_resolves,
    passes=_host(_A),
    fails=[_host(), _host(f"mail.{_DOMAIN}. IN CNAME other.{_DOMAIN}.", f"other.{_DOMAIN}. IN A 192.0.2.25")],
    notapplicable=_mail(f"{_DOMAIN}. IN MX 0 ."),
    unknown=[
        _host(_A.replace("192.0.2.25", "10.1.2.3")),
        _host(_A, _AAAA.replace("2001:db8:", "fd00:")),
        {**_host(_A), **_mail(_MX, f"_ldap._tcp.dc._msdcs.{_DOMAIN}. IN SRV 0 100 389 dc1.{_DOMAIN}.")},
        _GONE,
    ],
    error=_mail(fails=(_DOMAIN,)),
)
_WITHIN: Final = _host(_A.replace("192.0.2.25", "10.1.2.3"))
examples(mx_ipv6, passes=_host(_A, _AAAA), fails=_host(_A), notapplicable=_mail(), unknown=_WITHIN)
examples(
    mx_signed,
    passes=_proved("good"),
    fails=[_proved("unsigned"), _proved("expired")],
    notapplicable=_mail(),
    unknown=[_host(_A), _WITHIN],
)
examples(
    dane_present,
    passes=_proved("good"),
    fails=[_host(_A), _proved("unsigned")],
    notapplicable=_mail(),
    unknown=[_host(_A, f"{_TLSA} 3 1 1 {'ab' * 32}"), _WITHIN],
)
examples(
    dane_well_formed,
    passes=_proved("good"),
    fails=[
        _host(_A, f"{_TLSA} 1 1 1 {'ab' * 32}"),
        _host(_A, f"{_TLSA[:-4]}TYPE52 \\# 23 030101{'ab' * 20}"),
    ],
    notapplicable=_host(_A),
)
examples(
    dane_rollover,
    passes=_host(_A, f"{_TLSA} 3 1 1 {'ab' * 32}", f"{_TLSA} 3 1 1 {'cd' * 32}"),
    fails=_host(_A, f"{_TLSA} 3 1 1 {'ab' * 32}"),
    notapplicable=_host(_A),
)
_CLOSED: Final = (
    f"{_DOMAIN}. IN MX 0 .",
    f'{_DOMAIN}. IN TXT "v=spf1 -all"',
    f'_dmarc.{_DOMAIN}. IN TXT "v=DMARC1; p=reject"',
)
examples(
    none_closed,
    passes=_mail(*_CLOSED),
    fails=[
        _mail(),
        _mail(*_CLOSED[1:]),
        _mail(*_CLOSED[:2]),
        _mail(_CLOSED[0], f'{_DOMAIN}. IN TXT "v=spf1 ~all"', _CLOSED[2]),
    ],
    notapplicable=[_mail(_MX), _mail(f'{_DOMAIN}. IN TXT "v=spf1 include:news.test -all"')],
    error=_mail(fails=(_DOMAIN,)),
)
examples(
    sts_record,
    passes=_mail(
        _MX, f'_mta-sts.{_DOMAIN}. IN TXT "v=STSv1; id=20261125"', f"mta-sts.{_DOMAIN}. IN A 192.0.2.80"
    ),
    fails=[
        _mail(_MX),
        _mail(_MX, f'_mta-sts.{_DOMAIN}. IN TXT "v=STSv1; id=20261125"'),
        _mail(_MX, f'_mta-sts.{_DOMAIN}. IN TXT "v=STSv1; id="'),
    ],
    notapplicable=_mail(),
    error=_mail(_MX, fails=(f"_mta-sts.{_DOMAIN}",)),
)
examples(
    tls_reports,
    passes=_mail(_MX, f'_smtp._tls.{_DOMAIN}. IN TXT "v=TLSRPTv1; rua=mailto:tls@{_DOMAIN}"'),
    fails=[_mail(_MX), _mail(_MX, f'_smtp._tls.{_DOMAIN}. IN TXT "v=TLSRPTv1; rua=tls@{_DOMAIN}"')],
    notapplicable=_mail(),
    error=_mail(_MX, fails=(f"_smtp._tls.{_DOMAIN}",)),
)


_AT: Final = ScanTime.fromisoformat("2026-11-25T12:00:00+00:00")


def _page(
    *lines: str,
    head: str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain",
    shown: str = policy_host.HOST,
    roots: str = trusted(policy_host.ROOT),
    now: ScanTime = _AT,
) -> dict[str, Any]:
    text = f"{head}\r\n\r\n" + "".join(f"{line}\r\n" for line in lines)
    return {
        **_mail(_MX, f'_mta-sts.{_DOMAIN}. IN TXT "v=STSv1; id=1"', f"mta-sts.{_DOMAIN}. IN A 192.0.2.80"),
        "page": write([Exchange("the MTA-STS policy", (Turn(b"GET", text.encode()),), "closed")]),
        "hello": seen(shown)["walk"],
        "roots": roots,
        "now": now,
    }


_POLICY: Final = ("version: STSv1", "mode: enforce", "mx: *.gemeente.test", "max_age: 2592000")
examples(
    sts_enforced,
    passes=[
        _page(*_POLICY),
        _page(
            "46", *_POLICY, "", "0", "",
            head="HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked",
        ),
    ],
    fails=[
        _page(_POLICY[0], "mode: testing", *_POLICY[2:]),
        _page(*_POLICY[:2], "mx: other.test", _POLICY[3]),
        _page(*_POLICY[:3], "max_age: 3600"),
        _page(head="HTTP/1.1 404 Not Found"),
        _page(*_POLICY, shown=made.GOOD, roots=trusted(made.ROOT)),
        _page(*_POLICY, roots=trusted()),
        _page(*_POLICY, roots=trusted(own=policy_host.ROOT)),
        _page(*_POLICY, now=ScanTime.fromisoformat("2027-02-25T12:00:00+00:00")),
    ],
    notapplicable=_mail(_MX) | {"page": "", "hello": "", "roots": ""},
    unknown=[
        _page(head="SSH-2.0-x"),
        {**_page(*_POLICY), "hello": plain},
        {**_page(*_POLICY), **_GONE},
    ],
    error={**_page(*_POLICY), **_mail(_MX, fails=(f"_mta-sts.{_DOMAIN}",))},
)  # fmt: skip


def _smtp(said: str, *lines: str) -> dict[str, Any]:
    turns = (Turn(b"", b"220 hello\r\n"), Turn(b"EHLO", said.encode()))
    name = said[4:].partition("\r")[0]
    return {
        "swept": '{"from":"","addresses":{"192.0.2.25":{"open":[25],"refused":[],"silent":[],"failed":{}}}}',
        "smtp_greeting.reply": write([Exchange("the name of the mail server", turns, "done")]),
        "smtp_name.reply": Said(((name, "A"), (name, "AAAA")), *lines) if "." in name else "",
        "target": {},
    }


examples(
    greeting_name,
    passes=_smtp("250 mail.gemeente.test\r\n", _A),
    fails=[_smtp("250 mail.intern.test\r\n", _A), _smtp("250 localhost\r\n")],
    notapplicable={
        **_smtp("250 x.test\r\n"),
        "swept": '{"from":"","addresses":{"192.0.2.25":{"open":[22],"refused":[],"silent":[],"failed":{}}}}',
    },
    unknown=[_smtp("502 no\r\n"), _smtp("250 mail.gemeente.test\r\n", _A.replace("192.0.2.25", "10.1.2.3"))],
)


def _reversed(*lines: str, names: tuple[str, ...] = (), address: str = "127.0.0.1") -> dict[str, Any]:
    return {
        "own_addresses.reply": "",
        "own_names.reply": Said(((_reverse(address), "PTR"),), *lines),
        "reverse_names.reply": Said(((name, kind) for name in names for kind in ("A", "AAAA")), *lines),
        "target": {"address": address, "services": ({"port": 25, "name": "smtp"},)},
    }


_PTR: Final = f"1.0.0.127.in-addr.arpa. IN PTR mail.{_DOMAIN}."
examples(
    reverse_name,
    passes=_reversed(_PTR, f"mail.{_DOMAIN}. IN A 127.0.0.1", names=(f"mail.{_DOMAIN}",)),
    fails=[_reversed(), _reversed(_PTR, _A, names=(f"mail.{_DOMAIN}",))],
    unknown=_reversed(address="10.1.2.3"),
    notapplicable=_NONE,
)
