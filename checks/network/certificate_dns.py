"""What the DNS says of the certificate of a TLS port: which CA may issue it (CAA), and which one it must be (TLSA).

That there are such records, and that they are signed, is for the checks of the domain. Evidence is the wire answer.
"""

from __future__ import annotations

import base64
import csv
from functools import cache, partial
from hashlib import sha256, sha512
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Final

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from checks.network import example_served as more
from checks.network.answers import Answers
from checks.network.example_answers import Said
from checks.network.example_shown import LISTENS, given, seen
from checks.network.mail_domain import ExchangerRecords, exchanger_questions
from checks.network.mail_records import mail_questions
from checks.network.served import MOST, ServedCertificate, certificate, is_address, issued, names
from checks.network.x509.names import shown
from checks.network.x509.paths import spki
from scanner import (
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    Absent,
    Blind,
    Cause,
    Each,
    Exchange,
    Gap,
    Layer,
    Lookup,
    NotUnderstood,
    Raw,
    Severity,
    State,
    Target,
    Turn,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)
from scanner.transcript import write

_USAGES: Final = frozenset({0, 1, 2, 3})
#: The port of mail servers, and the usages that count there (RFC 7672 section 3.1.3).
_MAIL, _OF_MAIL = 25, frozenset({2, 3})


@fact
class IssuerClaim:
    """The CAA records that count for a name: those of the nearest name that has any (RFC 8659 section 3).

    ``records`` are pairs of tag and value; ``of`` is the name they stand at, empty when there are none at all.
    """

    served: ServedCertificate
    of: str
    records: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return str(self.served)


#: Of one TLSA record: usage, selector, matching type and data (RFC 6698 section 2.1).
Pin = tuple[int, int, int, bytes]


@fact
class PinnedCertificate:
    """The TLSA records of a port, by the name at which they were asked for.

    That is the name that was asked for; at the port of mail servers also every mail server of the target's domains that
    leads to its address (RFC 7672 section 2.2.3). ``unseen`` says why those are not known, and ``cause`` in a word.
    """

    served: ServedCertificate
    records: tuple[tuple[str, tuple[Pin, ...]], ...]
    unseen: str
    cause: Cause | None

    def __str__(self) -> str:
        return str(self.served)


def _named(served: ServedCertificate) -> bool:
    return bool(served.name) and not is_address(served.name) and "." in served.name


def _asked(served: ServedCertificate) -> str:
    return served.name.rstrip(".").lower()


def _pinned(served: ServedCertificate) -> tuple[str, str]:
    return f"_{served.port}._tcp.{_asked(served)}", "TLSA"


def _climb(name: str) -> tuple[tuple[str, str], ...]:
    labels = name.rstrip(".").split(".")
    return tuple((".".join(labels[at:]), "CAA") for at in range(len(labels) - 1))


@probe(
    "dns",
    looked=Each(
        ServedCertificate,
        lambda served: Lookup(questions=_climb(served.name)),
        when=lambda served: _named(served) and bool(served.validation),
    ),
)
def issuer_claim(looked: Raw, served: ServedCertificate) -> IssuerClaim:
    """The answers to a question for each name upwards, RFC 8659 section 4."""
    answers = Answers(looked)
    for name, kind in _climb(served.name):
        found = tuple((one.tag.decode().lower(), one.value.decode()) for one in answers(name, kind).records)
        if found:
            return IssuerClaim(served, name, found)
    return IssuerClaim(served, "", ())


@probe(
    "dns",
    looked=Each(
        ServedCertificate,
        lambda served: Lookup(questions=(_pinned(served),) if _named(served) else ()),
        when=lambda served: served.protocol == "tcp" and (_named(served) or served.port == _MAIL),
    ),
)
def pinned_certificate(
    looked: Raw, served: ServedCertificate, servers: list[ExchangerRecords] | Gap, target: Target
) -> PinnedCertificate:
    """The answer to one question, RFC 6698 section 3, and what is known of the mail servers."""
    found = {_asked(served): Answers(looked)(*_pinned(served)).records} if _named(served) else {}
    gap = None
    if served.port == _MAIL:
        if isinstance(servers, Gap):
            gap = servers if servers.state is not State.NOTAPPLICABLE else None
        else:
            found |= {one.host: one.tlsa for one in servers if _leads_to(target, one)}
    return PinnedCertificate(
        served,
        tuple(
            (name, tuple((one.usage, one.selector, one.mtype, one.cert) for one in records))
            for name, records in found.items()
        ),
        gap.detail if gap else "",
        gap.cause if gap else None,
    )


def _leads_to(target: Target, server: ExchangerRecords) -> bool:
    """Whether a mail server is this target. Raises as answers do."""
    leads = {ip_address(text) for kind in ("A", "AAAA") for text in server.answers(server.host, kind).texts}
    ours = {one for one in (target.address, *target.addresses) if is_address(one)}
    return target.address == server.host or not leads.isdisjoint(map(ip_address, ours))


@cache
def _issuers() -> dict[str, frozenset[str]]:
    """Organisation of a CA, as in the certificates it issues -> the domains it answers to in CAA."""
    rows = csv.DictReader(files("checks.network").joinpath("caa_issuers.csv").read_text().splitlines())
    return {row["organisation"]: frozenset(row["domains"].split()) for row in rows}


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "certificate-dns.issuer-allowed",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De CA van het certificaat mag het volgens CAA uitgeven",
    why_nl=(
        "Met CAA zegt u welke CA's certificaten voor uw domein mogen geven. Staat de eigen CA er niet"
        " bij, dan is het certificaat buiten u om gekomen, of mislukt de volgende vernieuwing."
    ),
    fix='DOMAIN. CAA 0 issue \\"ca.example\\"    ; the CA you use',
    verify="dig +short DOMAIN CAA",
    references=(
        "RFC 8659",
        "checks/network/caa_issuers.csv",
    ),
)
def issuer_allowed(claim: IssuerClaim) -> Verdict:
    """The CA of the certificate may issue it according to CAA.

    With CAA you say which CAs may issue certificates for your domain. When your own is not among them, the
    certificate came without you, or its next renewal fails.
    """
    if not claim.records:
        raise Absent("there are no CAA records: any CA may issue")
    wild = any(name.startswith("*.") for name in names(claim.served.leaf))
    tags = {tag for tag, _ in claim.records}
    tag = "issuewild" if wild and "issuewild" in tags else "issue"
    if tag not in tags:
        raise Absent("the CAA records restrict no CA")
    allowed = {value.split(";", 1)[0].strip().lower() for one, value in claim.records if one == tag} - {""}
    issuer = claim.served.leaf.issuer
    called = [str(one.value) for one in issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    domains = next((_issuers()[name] for name in called if name in _issuers()), None)
    if domains is None and allowed:
        raise NotUnderstood(f"which names {shown(issuer)} answers to in CAA is not known")
    observed = f"issued by {shown(issuer)}; {claim.of} allows {', '.join(sorted(allowed))[:200] or 'no CA'}"
    return holds(bool(allowed & (domains or frozenset())), observed, "the CA is among them")


def _candidates(usage: int, served: ServedCertificate) -> list[x509.Certificate]:
    """What a record of this usage may be about: the server's own certificate, or a CA above it."""
    return [served.leaf] if usage in {1, 3} else _above(served)


def _above(served: ServedCertificate) -> list[x509.Certificate]:
    """The certificates shown that lead up from the server's own; another that is shown says nothing of it."""
    found = [served.leaf]
    for one in found:  # it grows on the way
        found += [two for two in served.others[:MOST] if two not in found and issued(one, two)]
    return found[1:]


def _matches(record: tuple[int, int, int, bytes], one: x509.Certificate) -> bool:
    _, selector, kind, data = record
    content = spki(one) if selector else one.public_bytes(Encoding.DER)
    return data == {0: content, 1: sha256(content).digest(), 2: sha512(content).digest()}[kind]


def _told(name: str, records: tuple[Pin, ...], served: ServedCertificate) -> tuple[bool | None, str]:
    """Whether one of a name's records matches, None when that cannot be told; and in words."""
    usages = _OF_MAIL if served.port == _MAIL else _USAGES
    usable = [one for one in records if one[0] in usages and one[1] <= 1 and one[2] <= 2]
    if not usable:
        kinds = ", ".join(map(str, sorted(usages)))
        return None, f"{name}: no TLSA record is of a kind that is used: usage {kinds}"
    matched = [one for one in usable if any(_matches(one, each) for each in _candidates(one[0], served))]
    shown = ", ".join(f"{usage} {selector} {kind}" for usage, selector, kind, _ in matched or usable)
    if matched:
        return True, f"{name}: matches {shown}"
    if all(usage == 0 for usage, *_ in usable):
        return None, f"{name}: the TLSA records name a root, which need not be shown"
    if name != _asked(served):
        # Who delivers asks for the name of the MX (RFC 7672 section 8.1), and may be shown another certificate.
        return None, f"{name}: none matches of {shown}, and it was not asked for (inventory: server_name)"
    return False, f"{name}: none matches of {shown}"


@check(
    "certificate-dns.pin-matches",
    principle=(SECURE_DEPLOYMENT, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De TLSA-records passen bij het certificaat",
    why_nl=(
        "Wie TLSA (DANE) controleert, zoals mailservers doen, weigert een certificaat dat er niet bij"
        " past. Vaak is na een vernieuwing het record vergeten."
    ),
    fix="# _443._tcp.NAME. TLSA 3 1 1 and the SHA-256 of\nopenssl x509 -in server.crt -noout -pubkey"
    " | openssl pkey -pubin -outform DER",
    verify="dig +short _443._tcp.NAME TLSA",
    references=(
        "RFC 6698 section 2.1",
        "RFC 7671 section 5",
        "RFC 7672 sections 2.2.3 and 3.1.3",
    ),
)
def pin_matches(pinned: PinnedCertificate) -> Verdict:
    """The TLSA records match the certificate.

    Who verifies TLSA (DANE), as mail servers do, refuses a certificate that does not match. Often the record
    was forgotten at a renewal. One record that matches is enough; whether the DNS is signed is another check. For mail
    the records of every MX of the target's domains count that leads to its address.
    """
    told = [_told(name, records, pinned.served) for name, records in pinned.records if records]
    wrong = [words for matches, words in told if matches is False]
    if not wrong:
        if doubts := [words for matches, words in told if matches is None]:
            raise NotUnderstood("; ".join(doubts))
        if pinned.unseen:
            raise Blind(pinned.unseen, pinned.cause)
        if not told:
            names = ", ".join(name for name, _ in pinned.records) or "a name of this port"
            mail = pinned.served.port == _MAIL
            where = " (is the MX called otherwise: inventory, domains or server_name)" if mail else ""
            raise Absent(f"there are no TLSA records at {names}{where}")
    return holds(
        not wrong, "; ".join(wrong or [words for _, words in told])[:300], "one that matches at each name"
    )


# --- examples -------------------------------------------------------------------------------------------------


@cache
def _answer(name: str, kind: str, *records: str, code: str = "NOERROR") -> Exchange:
    query = dns.message.make_query(name, kind, id=1)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    reply.set_rcode(dns.rcode.from_text(code))
    if records:
        reply.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *records))
    return Exchange(f"{name} {kind}", (Turn(query.to_wire(), reply.to_wire()),), "done")


def _caa(*records: str, name: str = "example.nl") -> bytes:
    """The answers for www.example.nl upwards, with records at one of the names."""
    return write(
        _answer(one, "CAA", *(records if one == name else ())) for one in ("www.example.nl", "example.nl")
    )


def _tlsa(*pins: tuple[int, str], code: str = "NOERROR", port: int = 443) -> bytes:
    """The answer for the port: a record of this usage for each certificate."""
    records = [_record(usage, der) for usage, der in pins]
    return write([_answer(f"_{port}._tcp.www.example.nl", "TLSA", *records, code=code)])


def _record(usage: int, der: str) -> str:
    return f"{usage} 1 1 {sha256(spki(certificate(base64.b64decode(der)))).hexdigest()}"


def _mail(*pins: tuple[int, str]) -> dict[str, Any]:
    """A mail server with these records."""
    service = {"port": 25, "name": "smtp", "tls": True, "server_name": "www.example.nl"}
    found = given(more.PLAIN, looked=partial(_tlsa, *pins, port=25), about={"services": [service]})
    return {**found, "sockets": LISTENS.replace(":443", ":25")}


@cache
def _text_of_mx(pins: tuple[tuple[int, str], ...], address: str, fails: tuple[str, ...]) -> str:
    """What is said of mx.example.nl: its address, and a record of this usage for each certificate."""
    lines = [f"mx.example.nl. IN A {address}"]
    lines += [f"_25._tcp.mx.example.nl. IN TLSA {_record(*pin)}" for pin in pins]
    return str(Said(exchanger_questions("mx.example.nl"), *lines, fails=fails))


def _mx(
    *pins: tuple[int, str], name: str = "", address: str = "192.0.2.25", fails: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A mail server at 192.0.2.25, and mx.example.nl that leads to an address; a port that is asked for a name."""
    service = {"port": 25, "name": "smtp", "tls": True, "server_name": name}
    soa = "example.nl. IN SOA ns1.example.nl. hostmaster.example.nl. 7 7200 3600 1209600 3600"
    about = {"services": [service], "domains": ("example.nl",), "address": "192.0.2.25"}
    looked: Any = ""
    if name == "www.example.nl":
        looked = partial(_tlsa, port=25)
    elif name:
        looked = partial(_answer_of_mx, pins)
    return {
        **given(more.PLAIN, looked=looked, about=about),
        "sockets": LISTENS.replace(":443", ":25"),
        "mail_records.reply": Said(mail_questions("example.nl"), soa, "example.nl. IN MX 10 mx.example.nl."),
        "exchanger_records.reply": partial(_text_of_mx, pins, address, fails),
        "anchors": "",
    }


def _answer_of_mx(pins: tuple[tuple[int, str], ...]) -> bytes:
    return write([_answer("_25._tcp.mx.example.nl", "TLSA", *(_record(*pin) for pin in pins))])


def _half() -> bytes:
    return write([_answer("www.example.nl", "CAA")])


examples(
    issuer_allowed,
    passes=[
        seen(more.BY_LETS_ENCRYPT, looked=partial(_caa, '0 issue "letsencrypt.org"')),
        seen(
            more.BY_LETS_ENCRYPT,
            looked=partial(_caa, '0 issue "pki.goog"', '0 issue "letsencrypt.org; validationmethods=dns-01"'),
        ),
        seen(more.BY_LETS_ENCRYPT, looked=partial(_caa, '0 issue "letsencrypt.org"', name="www.example.nl")),
    ],
    fails=[
        seen(more.BY_LETS_ENCRYPT, looked=partial(_caa, '0 issue "pki.goog"')),
        seen(more.BY_LETS_ENCRYPT, looked=partial(_caa, '0 issue ";"')),
    ],
    unknown=[
        given(more.PUBLIC_OV, looked=partial(_caa, '0 issue "letsencrypt.org"')),
        seen(more.BY_LETS_ENCRYPT, looked=_half),
    ],
    notapplicable=[
        seen(more.BY_LETS_ENCRYPT, looked=_caa),
        seen(more.BY_LETS_ENCRYPT, looked=partial(_caa, '0 iodef "mailto:security@example.nl"')),
        given(more.PLAIN),
    ],
)
examples(
    pin_matches,
    passes=[
        given(more.PLAIN, looked=partial(_tlsa, (3, more.PLAIN))),
        given(more.PLAIN, looked=partial(_tlsa, (3, more.OTHER_KEY), (2, more.ISSUING))),
        given(more.PLAIN, looked=partial(_tlsa, (1, more.PLAIN))),
        _mail((3, more.PLAIN)),
        _mx((3, more.PLAIN)),
        _mx((3, more.PLAIN), name="www.example.nl"),
        seen(more.PLAIN, more.ISSUING, more.ROOT, looked=partial(_tlsa, (2, more.ROOT))),
    ],
    fails=[
        given(more.PLAIN, looked=partial(_tlsa, (3, more.OTHER_KEY))),
        given(more.PLAIN, looked=partial(_tlsa, (2, more.PLAIN))),
        _mail((1, more.PLAIN), (3, more.OTHER_KEY)),
        _mx((3, more.OTHER_KEY), name="mx.example.nl"),
        seen(more.PLAIN, more.ISSUING, more.OTHER_ISSUING, looked=partial(_tlsa, (2, more.OTHER_ISSUING))),
    ],
    unknown=[
        given(more.PLAIN, looked=partial(_tlsa, (0, more.ROOT))),
        given(more.PLAIN, looked=partial(_tlsa, (200, more.PLAIN))),
        _mail((1, more.PLAIN)),
        _mx((3, more.OTHER_KEY)),
    ],
    error=[
        given(more.PLAIN, looked=partial(_tlsa, code="SERVFAIL")),
        _mx((3, more.PLAIN), fails=("_25._tcp.mx.example.nl",)),
        {
            **_mx((3, more.PLAIN), name="www.example.nl"),
            "mail_records.reply": Said(mail_questions("example.nl"), fails=("example.nl",)),
        },
    ],
    notapplicable=[
        given(more.PLAIN, looked=_tlsa),
        _mail(),
        _mx(),
        _mx((3, more.OTHER_KEY), address="192.0.2.26"),
        given(more.PLAIN, name="10.1.2.3"),
    ],
)
