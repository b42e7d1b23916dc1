"""How the zone of a domain is signed (DNSSEC), and whether the chain from the root to it holds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from importlib.resources import files
from typing import Annotated, Any, Final

import dns.dnssec
import dns.name
import dns.rdatatype
from pydantic import InstanceOf

from checks.network import example_chains as recorded
from checks.network.answers import Answer, Answers, Question, Untold, host_name
from checks.network.dnssec import Outcome, Status, Validator, chain_questions, read_anchors
from checks.network.domains import Domain
from checks.network.example_answers import Said
from scanner import (
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Each,
    Layer,
    Lookup,
    NameAnchors,
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

_NORM: Final = "Forum Standaardisatie, pas toe of leg uit: DNSSEC"
#: Bytes that may come for the chain of one name: keys and signatures are long.
CHAIN_LIMIT: Final = 1 << 18
CHAIN_TIMEOUT: Final = 40
#: Types of records that stand where a zone begins.
_APEX: Final = frozenset({dns.rdatatype.SOA, dns.rdatatype.DNSKEY})
_RSA: Final = frozenset({1, 5, 7, 8, 10})
_BITS: Final = {13: 256, 14: 384, 15: 256, 16: 456}


@dataclass(frozen=True)
class ZoneKey:
    """One DNSKEY: ``bits`` is 0 when they are not known for its algorithm."""

    tag: int
    algorithm: int
    bits: int


@dataclass(frozen=True)
class DelegationSigner:
    """One DS, as the parent zone has it."""

    tag: int
    algorithm: int
    digest: int


@dataclass(frozen=True)
class Signature:
    """When a signature begins and ends to hold."""

    begins: datetime
    ends: datetime

    def margin(self, usual: timedelta) -> timedelta:
        """How long before its end it is late: one that lasts shorter than twice the usual is made anew for each answer
        or each day (RFC 4035 section 2.2 leaves how long to the signer), and is late in its last quarter.
        """
        lasts = self.ends - self.begins
        return max(lasts / 4, timedelta()) if lasts <= 2 * usual else usual


@fact
class Signing:
    """How the zone that a domain is in is signed.

    ``zone`` begins at the domain or above it. ``status`` and ``why`` are those of the chain down to
    it. ``denial`` is NSEC or NSEC3, whichever the zone denies with, or empty when nothing shows it. ``signatures`` are
    the times of its signatures.
    """

    domain: str
    zone: str
    status: Status
    why: str
    keys: tuple[ZoneKey, ...]
    ds: tuple[DelegationSigner, ...]
    denial: str
    iterations: int
    salt: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.domain

    @property
    def signed(self) -> Signing:
        """Itself when the zone has keys. Raises Absent."""
        if not self.keys:
            raise Absent(f"{self.zone} is not signed")
        return self


@fact
class MailRoute:
    """Whether the MX records of a domain, or their absence, are proved (RFC 4033 section 5)."""

    domain: str
    proved: InstanceOf[Outcome]

    def __str__(self) -> str:
        return self.domain


def signing_questions(name: str) -> tuple[Question, ...]:
    """The chain to a domain, and what tells of its own zone."""
    return (*chain_questions(name), (name, "SOA"), (name, "NSEC3PARAM"), (name, "MX"))


_CHAIN: Final = Each(
    Domain,
    lambda domain: Lookup(questions=signing_questions(domain.name), limit=CHAIN_LIMIT, timeout=CHAIN_TIMEOUT),
)


@probe("outside", chain=_CHAIN, anchors=NameAnchors())
def signing(chain: Raw, anchors: Raw, domain: Domain, now: ScanTime) -> Signing:
    """RFC 4034 for the records, RFC 4035 section 5 for the chain."""
    answers = Answers(chain)
    soa = answers.soa_of(domain.name)
    zone = _zone(answers, soa)
    validator = Validator(answers, read_anchors(anchors.text), now)
    outcome = validator.chain(domain.name)
    status, why = outcome.status, outcome.why
    if status is Status.SECURE and outcome.zone != zone:
        status = Status.UNESTABLISHED
        why = (
            f"{soa.server} has a zone {host_name(zone)}, and {host_name(outcome.zone) or 'the root'} proves that none"
            " begins there: a view from within"
        )
    denial, iterations, salt = _denial(answers, zone)
    keys = answers(zone, "DNSKEY").records
    ds = answers(zone, "DS").records if zone != dns.name.root else []
    return Signing(
        domain=domain.name,
        zone=host_name(zone),
        status=status,
        why=why,
        keys=tuple(ZoneKey(dns.dnssec.key_id(one), int(one.algorithm), _bits(one)) for one in keys),
        ds=tuple(DelegationSigner(one.key_tag, int(one.algorithm), int(one.digest_type)) for one in ds),
        denial=denial,
        iterations=iterations,
        salt=salt,
        signatures=_signatures(answers, zone),
    )


@probe("outside", chain=_CHAIN, anchors=NameAnchors())
def mail_route(chain: Raw, anchors: Raw, domain: Domain, now: ScanTime) -> MailRoute:
    """What cannot be told of one domain is an outcome here, so that it is no gap for another."""
    try:
        proved = Validator(Answers(chain), read_anchors(anchors.text), now).answer(domain.name, "MX")
    except Untold as reason:
        proved = Outcome(Status.UNESTABLISHED, str(reason))
    return MailRoute(domain.name, proved)


def _zone(answers: Answers, soa: Answer) -> dns.name.Name:
    """The zone that a name is in: the owner of the SOA (RFC 2308 section 2 for where it stands). No zone begins at an
    alias (RFC 1034 section 3.6.2), so that is in the zone of the name above it, by its keys or the SOA instead of them.
    """
    told = soa
    while told.canonical != told.name:
        told = answers(told.name.parent(), "DNSKEY").must()
    for rrset in (*told.message.answer, *told.message.authority):
        if rrset.rdtype in _APEX and told.name.is_subdomain(rrset.name):
            return rrset.name
    raise NotUnderstood(f"{soa}: no SOA says which zone it is in")


def _bits(key: Any) -> int:
    if key.algorithm not in _RSA:
        return _BITS.get(int(key.algorithm), 0)
    # RFC 3110 section 2: the length of the exponent in one byte or, after a zero, in two; then the modulus.
    data = key.key
    skipped = 1 + data[0] if data[0] else 3 + int.from_bytes(data[1:3])
    return int.from_bytes(data[skipped:]).bit_length()


def _denial(answers: Answers, zone: dns.name.Name) -> tuple[str, int, str]:
    """What the zone denies with, its iterations and salt: from a denial of its own, else from its parameters."""
    for answer in answers.all():
        for rrset in answer.message.authority:
            if rrset.rdtype == dns.rdatatype.NSEC3 and rrset.name.parent() == zone:
                return "NSEC3", rrset[0].iterations, rrset[0].salt.hex()
    parameters = answers(zone, "NSEC3PARAM").records if (zone, "NSEC3PARAM") in answers else []
    if parameters:
        return "NSEC3", parameters[0].iterations, parameters[0].salt.hex()
    denied = any(
        rrset.rdtype == dns.rdatatype.NSEC and rrset.name.is_subdomain(zone)
        for answer in answers.all()
        for rrset in answer.message.authority
    )
    return "NSEC" if denied else "", 0, ""


def _signatures(answers: Answers, zone: dns.name.Name) -> tuple[Signature, ...]:
    found = {
        Signature(
            datetime.fromtimestamp(one.inception, tz=UTC), datetime.fromtimestamp(one.expiration, tz=UTC)
        )
        for answer in answers.all()
        for rrset in (*answer.message.answer, *answer.message.authority)
        if rrset.rdtype == dns.rdatatype.RRSIG
        for one in rrset
        if one.signer == zone
    }
    return tuple(sorted(found, key=lambda one: one.ends))


@lru_cache(maxsize=1)
def _known() -> dict[tuple[str, int], tuple[str, bool]]:
    """(kind, number) -> name, and whether it may be used: dnssec_algorithms.csv."""
    rows = csv.DictReader(files(__package__).joinpath("dnssec_algorithms.csv").read_text().splitlines())
    return {(row["kind"], int(row["number"])): (row["name"], row["use"] == "good") for row in rows}


def _judge(kind: str, numbers: set[int]) -> tuple[bool, str]:
    """Whether all of these may be used, and their names. Raises NotUnderstood for one that is not in the list."""
    found = []
    for number in sorted(numbers):
        if (kind, number) not in _known():
            raise NotUnderstood(f"{kind} {number} is not in dnssec_algorithms.csv")
        found.append(_known()[kind, number])
    return all(good for _, good in found), ", ".join(name for name, _ in found)


# --- checks -----------------------------------------------------------------------------------------------------

_SIGN: Final = (
    "# BIND, in the zone: dnssec-policy default; inline-signing yes;\n"
    "rndc reload DOMAIN\n"
    "# then give the registrar the DS: dnssec-dsfromkey -2 KDOMAIN.*.key"
)


@check(
    "dnssec.signed",
    principle=(SECURE_DESIGN, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="Het domein is ondertekend met DNSSEC",
    why_nl=(
        "Zonder handtekening kan wie tussen bezoeker en naamserver zit elk adres vervangen, en niemand merkt het."
        " DANE en andere bewijzen in DNS zijn dan niets waard."
    ),
    fix=_SIGN,
    verify="dig +short DOMAIN DNSKEY; dig +short DOMAIN DS",
    references=(_NORM, "RFC 9364", "Internet.nl, test DNSSEC", "BIO2 1.3, measure 5.14.01"),
)
def domain_signed(signing: Signing) -> Verdict:
    """The domain is signed with DNSSEC.

    Without signatures anyone between a visitor and the name server can replace an address unnoticed, and DANE and
    other proofs in the DNS are worth nothing. Asked are keys in the zone, and a DS for them in its parent (or an anchor
    for it in the inventory's `dns_anchors`).
    """
    signed = bool(signing.keys and (signing.ds or signing.status is Status.SECURE))
    if not signed and signing.status is Status.UNESTABLISHED:
        # Who passes no keys or DS on, or has a view of its own, does not show that there are none.
        raise NotUnderstood(signing.why)
    proved = "" if signing.ds else f", {signing.status}"
    return holds(
        signed,
        f"{signing.zone}: {len(signing.keys)} DNSKEY, {len(signing.ds)} DS{proved}",
        "a DNSKEY, and a DS in the parent zone or an anchor in the inventory",
    )


@check(
    "dnssec.chain-valid",
    principle=(FAIL_SECURE, SECURE_DEPLOYMENT),
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De DNSSEC-keten van de root tot het domein klopt",
    why_nl=(
        "Klopt een handtekening niet, dan bestaat het domein niet meer voor iedereen die controleert: website en mail"
        " vallen voor hen uit."
    ),
    fix="rndc dnssec -status DOMAIN\nrndc sign DOMAIN\ndnssec-dsfromkey -2 KDOMAIN.*.key    # the DS for the registrar",
    verify="delv DOMAIN SOA +rtrace",
    references=("RFC 4035 section 5", "RFC 6840", "Internet.nl, test DNSSEC"),
)
def chain_valid(signing: Signing) -> Verdict:
    """The DNSSEC chain from the root to the domain holds.

    When a signature is wrong the domain is gone for all who validate: web site and mail fail for them. The chain is
    followed from the root's keys (root_anchors.csv), or from an anchor in the inventory's `dns_anchors`.
    """
    if signing.status is Status.UNESTABLISHED:
        raise NotUnderstood(signing.why)
    if signing.status is Status.INSECURE:
        raise Absent(signing.why)
    return holds(
        signing.status is Status.SECURE,
        f"{signing.zone}: {signing.status}{': ' if signing.why else ''}{signing.why}",
        "secure",
    )


@check(
    "dnssec.algorithm",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De zone is ondertekend met een algoritme dat nog mag",
    why_nl="Handtekeningen over SHA-1 zijn na te maken; steeds meer resolvers zien zo'n zone als niet ondertekend.",
    fix="# BIND, in the zone: dnssec-policy default;   (ECDSAP256SHA256; rolls the keys over)\nrndc reload DOMAIN",
    verify="dig +short DOMAIN DNSKEY",
    references=(
        "RFC 9904",
        "RFC 8624 section 3.1",
        "RFC 9905",
        "dnssec_algorithms.csv: status and source of each",
    ),
)
def algorithm_strong(signing: Signing) -> Verdict:
    """The zone is signed with an algorithm that may still be used.

    Signatures over SHA-1 can be forged, and more and more resolvers treat such a zone as not signed.
    """
    good, names = _judge("algorithm", {key.algorithm for key in signing.signed.keys})
    return holds(good, f"{signing.zone}: {names}", "RSASHA256 or better, ECDSAP256SHA256 for new zones")


@check(
    "dnssec.key-size",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De sleutels van de zone zijn lang genoeg",
    why_nl="Wie een korte RSA-sleutel ontbindt, ondertekent zelf antwoorden die iedereen gelooft.",
    fix="# BIND, in the zone: dnssec-policy default;   (ECDSAP256SHA256)\nrndc reload DOMAIN",
    verify="dig +short +multi DOMAIN DNSKEY",
    references=("RFC 6781 section 3.4.2", "NIST SP 800-57 part 1, table 2"),
)
def key_size(signing: Signing, *, bits: Annotated[int, "least length of an RSA key"] = 2048) -> Verdict:
    """The keys of the zone are long enough.

    Whoever factors a short RSA key signs answers that all believe.
    """
    keys = signing.signed.keys
    if not all(key.bits for key in keys):
        raise NotUnderstood("the length of a key is not known")
    short = [key for key in keys if key.algorithm in _RSA and key.bits < bits]
    shown = ", ".join(f"{key.tag}: {key.bits} bits" for key in short or keys)
    return holds(not short, f"{signing.zone}: {shown}", f"RSA of at least {bits} bits, or elliptic curves")


@check(
    "dnssec.nsec3-parameters",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="NSEC3 gebruikt geen extra rondes en geen salt",
    why_nl=(
        "Extra rondes kosten elke resolver rekentijd en houden niemand tegen; boven een grens geldt de zone als niet"
        " ondertekend."
    ),
    fix="# BIND, in the dnssec-policy: nsec3param iterations 0 optout no salt-length 0;\nrndc reload DOMAIN",
    verify="dig +short DOMAIN NSEC3PARAM    # 1 0 0 -",
    references=("RFC 9276 section 3.1",),
)
def nsec3_parameters(signing: Signing) -> Verdict:
    """NSEC3 uses no extra iterations and no salt.

    Extra iterations cost every resolver time and stop nobody; beyond a limit the zone counts as not signed.
    """
    if not signing.signed.denial:
        raise NotUnderstood(f"{signing.zone} denied nothing, so it does not show with what it would")
    if signing.denial != "NSEC3":
        raise Absent(f"{signing.zone} does not use NSEC3")
    return holds(
        signing.iterations == 0 and not signing.salt,
        f"{signing.zone}: iterations {signing.iterations}, salt {signing.salt or '-'}",
        "iterations 0, salt -",
    )


@check(
    "dnssec.signatures-fresh",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De handtekeningen in de zone verlopen niet binnenkort",
    why_nl="Een handtekening die bijna verloopt wijst op een ondertekenaar die stilstaat; daarna valt het domein uit.",
    fix="rndc dnssec -status DOMAIN\nrndc sign DOMAIN",
    verify="dig +dnssec DOMAIN SOA | grep RRSIG",
    references=("RFC 6781 section 4.4.2",),
)
def signatures_fresh(
    signing: Signing, now: ScanTime, *, days: Annotated[float, "days before the first signature runs out"] = 2
) -> Verdict:
    """The signatures in the zone do not run out soon.

    A signature that is about to expire tells of a signer that stands still; after that the domain is gone. Most signers
    renew a week ahead. One that lasts only a day or so, because it is made for each answer, is renewed before its last
    quarter.
    """
    if not signing.signed.signatures:
        raise Absent(f"{signing.zone} shows no signatures")
    usual = timedelta(days=days)
    late = [one for one in signing.signatures if one.ends - now < one.margin(usual)]
    first = (late or signing.signatures)[0]
    return holds(
        not late,
        f"{signing.zone}: the first signature runs out on {first.ends:%Y-%m-%d %H:%M} UTC",
        f"at least {days:g} days from now, or a quarter of the time that a short one lasts",
    )


@check(
    "dnssec.ds-digest",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="dns",
    title_nl="De DS in de bovenliggende zone gebruikt SHA-256 of beter",
    why_nl="Een DS met SHA-1 mag niet meer; resolvers laten hem straks vallen, en dan is de zone onbewezen.",
    fix="dnssec-dsfromkey -2 KDOMAIN.*.key    # give this DS to the registrar, and let it remove the old one",
    verify="dig +short DOMAIN DS",
    references=("RFC 9905", "RFC 8624 section 3.3", "dnssec_algorithms.csv: status and source of each"),
)
def ds_digest(signing: Signing) -> Verdict:
    """The DS in the parent zone uses SHA-256 or better.

    A DS with SHA-1 may no longer be made; resolvers will drop it, and the zone is then without proof.
    """
    if not signing.ds:
        raise Absent(f"there is no DS for {signing.zone}")
    good, names = _judge("digest", {one.digest for one in signing.ds})
    return holds(good, f"{signing.zone}: {names}", "SHA-256 or SHA-384")


def _example(name: str) -> dict[str, Any]:
    return {
        "chain": recorded.recorded(f"chain {name}.test"),
        "anchors": recorded.ANCHOR,
        "now": recorded.TAKEN,
        "target": {"domains": (f"{name}.test",)},
    }


def _own_anchor(zone: str) -> str:
    """The keys of a zone, as a file of `dns_anchors` has them."""
    keys = Answers(Raw(out=recorded.recorded(f"chain {zone}").encode()))(zone, "DNSKEY")
    return "\n".join(f"{zone}. IN DNSKEY {one}" for one in keys.texts)


_NONE: Final = {"chain": "", "anchors": "", "target": {}}
_SOA: Final = "good.test. IN SOA ns1.good.test. hostmaster.good.test. 7 7200 3600 1209600 3600"

examples(
    domain_signed,
    passes=[_example("good"), {**_example("no-ds"), "anchors": partial(_own_anchor, "no-ds.test")}],
    fails=[_example("unsigned"), _example("no-ds")],
    notapplicable=_NONE,
    unknown=[
        {**_example("good"), "chain": Said(signing_questions("good.test"), _SOA)},
        {**_example("unsigned"), "anchors": ""},
    ],
)
examples(
    chain_valid,
    passes=_example("good"),
    fails=[_example("expired"), _example("wrong-ds")],
    notapplicable=_example("unsigned"),
    unknown={**_example("good"), "anchors": ". IN DS 1 13 2 00"},
)
examples(
    algorithm_strong,
    passes=_example("good"),
    fails=_example("sha1"),
    notapplicable=_example("unsigned"),
)
examples(key_size, passes=_example("good"), fails=_example("short-key"), notapplicable=_example("unsigned"))
examples(nsec3_parameters, passes=_example("nsec3"), fails=_example("salted"), notapplicable=_example("good"))
examples(
    signatures_fresh,
    passes=_example("good"),
    fails=[{**_example("good"), "now": recorded.LATER}, _example("expired")],
    notapplicable=_example("unsigned"),
)
examples(ds_digest, passes=_example("good"), fails=_example("sha1-ds"), notapplicable=_example("no-ds"))
