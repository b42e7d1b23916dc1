"""Whether mail that pretends to come from a domain can be told from mail that does: SPF, DKIM and DMARC."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import InstanceOf

from checks.network import spf
from checks.network.answers import Answers, Question, Untold, askable
from checks.network.example_answers import Said
from checks.network.mail_records import DMARC, MailRecords, mail_questions, organisational, tags, versioned
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Each,
    Layer,
    Lookup,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_LIST: Final = "Forum Standaardisatie, pas toe of leg uit"
#: Selectors that well-known products and services use; asked when the inventory names none.
USUAL_SELECTORS: Final = (
    "default", "dkim", "mail", "smtp", "selector1", "selector2", "google", "s1", "s2", "k1", "k2", "k3", "key1",
    "mx", "20230601", "fm1", "protonmail", "zmail",
)  # fmt: skip
_POLICIES: Final = frozenset({"none", "quarantine", "reject"})
_STRICT: Final = frozenset({"quarantine", "reject"})
_ONE_LESS: Final = {"reject": "quarantine", "quarantine": "none"}
_MAILTO: Final = re.compile(
    r"mailto:[^@\s!,;]+@((?=[^!]*\.)[A-Za-z0-9.-]{3,253})(?:![0-9]+[kmgt]?)?", re.IGNORECASE
)
_HAS_KEY: Final = re.compile(r"(?:^|[;\s])p\s{0,9}=")
#: What a wildcard may have put where a key is looked for: ``v=spf1``, ``v=DMARC1``.
_OTHER_RECORD: Final = re.compile(r"\s{0,9}v\s{0,9}=(?!\s{0,9}DKIM)", re.IGNORECASE)
#: Addresses for reports whose permission is asked for.
_REPORTS: Final = 5


# --- SPF --------------------------------------------------------------------------------------------------------


@fact
class SpfNear:
    """A domain's SPF record with the records it refers to."""

    domain: str
    answers: InstanceOf[Answers]

    def __str__(self) -> str:
        return self.domain


@fact
class SpfFar:
    """And with the records that those refer to."""

    domain: str
    answers: InstanceOf[Answers]

    def __str__(self) -> str:
        return self.domain


@fact
class Spf:
    """A domain's SPF record, followed three steps deep; ``walk`` says what was met."""

    domain: str
    record: str
    walk: InstanceOf[spf.Walk]

    def __str__(self) -> str:
        return self.domain

    def whole(self, *kinds: str) -> Spf:
        """Itself when all records of these types that it refers to were seen. Raises NotUnderstood."""
        if self.walk.cut_off:
            raise NotUnderstood(f"SPF of {self.domain} asks far more than a receiver does")
        missing = sorted({name for name, kind in self.walk.missing if kind in kinds})
        if missing:
            raise NotUnderstood(f"SPF of {self.domain} goes deeper than is followed: {', '.join(missing)}")
        return self


@probe(
    "outside",
    reply=Each(MailRecords, lambda mail: Lookup(questions=spf.unasked(mail.domain, mail.told), timeout=40)),
)
def spf_near(reply: Raw, mail: MailRecords) -> SpfNear:
    """What the record itself refers to."""
    if not mail.spf:
        raise Absent(f"{mail.domain} has no SPF")
    return SpfNear(mail.domain, mail.answers | Answers(reply))


@probe(
    "outside",
    reply=Each(SpfNear, lambda near: Lookup(questions=spf.unasked(near.domain, near.answers), timeout=40)),
)
def spf_far(reply: Raw, near: SpfNear) -> SpfFar:
    """And what those refer to."""
    return SpfFar(near.domain, near.answers | Answers(reply))


@probe(
    "outside",
    reply=Each(SpfFar, lambda far: Lookup(questions=spf.unasked(far.domain, far.answers), timeout=40)),
)
def spf_followed(reply: Raw, far: SpfFar) -> Spf:
    """And what those refer to again."""
    answers = far.answers | Answers(reply)
    (record, *_) = spf.records(answers(far.domain, "TXT").strings)
    return Spf(far.domain, record, spf.follow(far.domain, answers))


@check(
    "spf.present",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Het domein heeft één SPF-record",
    why_nl="Zonder SPF mag elke computer mail sturen namens het domein; met twee records geldt er geen.",
    fix='DOMAIN. TXT "v=spf1 mx -all"',
    verify="dig +short DOMAIN TXT | grep v=spf1",
    references=(
        f"{_LIST}: SPF",
        "RFC 7208 sections 3.1 and 4.5",
        "Internet.nl, test SPF",
        "BIO2 1.3, measure 5.14.01",
    ),
)
def spf_present(mail: MailRecords) -> Verdict:
    """The domain has one SPF record.

    Without SPF every computer may send mail on behalf of the domain; with two records none counts. What a domain
    without mail lacks is told by `mx.none-closed`.
    """
    if not mail.spf and not mail.exchangers:
        raise Absent(f"{mail.domain} has no mail server, and names nobody who sends")
    return holds(len(mail.spf) == 1, "; ".join(mail.spf) or "no SPF", "one record")


@check(
    "spf.valid",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Het SPF-record is zonder fouten, ook in wat het insluit",
    why_nl="Bij een fout geeft de ontvanger het op: dan beschermt SPF niet meer, of komt eigen mail niet aan.",
    fix='DOMAIN. TXT "v=spf1 mx include:spf.provider.example -all"    ; only names that have SPF themselves',
    verify="checkdmarc DOMAIN",
    references=("RFC 7208 sections 4.6 and 12",),
)
def spf_valid(found: Spf) -> Verdict:
    """The SPF record is without mistakes, in what it includes too.

    At a mistake the receiver gives up: SPF then protects no longer, or one's own mail does not arrive.
    """
    if not found.walk.faults:
        found = found.whole("TXT", "MX")
        if found.walk.macros:
            raise NotUnderstood("what it includes differs per message")
    return holds(not found.walk.faults, "; ".join(found.walk.faults) or found.record, "no permanent error")


@check(
    "spf.lookups",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="SPF vraagt hoogstens tien keer iets aan DNS",
    why_nl="Na tien vragen stopt de ontvanger met een fout, en geldt SPF voor het hele domein niet meer.",
    fix=(
        "# put addresses in the place of includes that hold just a few:\n"
        'DOMAIN. TXT "v=spf1 ip4:192.0.2.25 include:spf.provider.example -all"'
    ),
    verify="checkdmarc DOMAIN    # dns_lookups",
    references=("RFC 7208 section 4.6.4",),
)
def spf_lookups(found: Spf) -> Verdict:
    """SPF asks the DNS at most ten times.

    After ten the receiver stops with an error, and SPF no longer counts for the whole domain. Counted is all that a
    receiver asks when nothing matches before the end.
    """
    if found.walk.lookups <= spf.LOOKUPS:
        found = found.whole("TXT")
        if found.walk.macros:
            raise NotUnderstood("what it includes differs per message")
    return holds(found.walk.lookups <= spf.LOOKUPS, f"{found.walk.lookups} lookups", f"at most {spf.LOOKUPS}")


@check(
    "spf.void-lookups",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="SPF verwijst hoogstens twee keer naar niets",
    why_nl="Na twee lege antwoorden mag de ontvanger stoppen; en wie de lege naam registreert, mag meezenden.",
    fix="# take names that are gone out of the record\ndig +short DOMAIN TXT",
    verify="checkdmarc DOMAIN    # dns_void_lookups",
    references=("RFC 7208 section 4.6.4",),
)
def spf_void_lookups(found: Spf) -> Verdict:
    """SPF refers to nothing at most twice.

    After two empty answers a receiver may stop with an error; and whoever registers the empty name may send too. What
    differs per message (macros) is not counted.
    """
    if len(found.walk.voids) <= spf.VOIDS:
        found = found.whole("TXT", "A", "AAAA", "MX")
    return holds(
        len(found.walk.voids) <= spf.VOIDS,
        f"{len(found.walk.voids)} empty: {', '.join(found.walk.voids)}" if found.walk.voids else "none empty",
        f"at most {spf.VOIDS}",
    )


@check(
    "spf.policy",
    principle=(DEFAULT_DENY, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="SPF laat niet iedereen toe",
    why_nl="Met +all, ?all, geen all, of netten zo groot als internet mag iedereen mail sturen namens het domein.",
    fix='DOMAIN. TXT "v=spf1 mx -all"',
    verify="dig +short DOMAIN TXT | grep v=spf1",
    references=(f"{_LIST}: SPF", "RFC 7208 section 5.1", "Internet.nl, test SPF policy"),
)
def spf_policy(found: Spf) -> Verdict:
    """SPF does not let everyone in.

    When the record ends in +all or ?all, or in nothing, everyone may send mail on behalf of the domain; so too when it,
    or what it includes, names more of the internet than one /8 (a /16 of IPv6). -all and ~all are both fine: with DMARC
    they come to the same.
    """
    walk = found.walk
    if not walk.open_to and walk.all_ in ("-", "~", ""):
        found = found.whole("TXT")
        if walk.macros:
            raise NotUnderstood("whom it lets in differs per message")
    shown = f"{walk.all_}all" if walk.all_ else "no all"
    shown = f"lets in {', '.join(walk.open_to)}; {shown}" if walk.open_to else shown
    return holds(
        walk.all_ in ("-", "~") and not walk.open_to, f"{shown}: {found.record}", "-all or ~all, not everyone"
    )


@check(
    "spf.no-ptr",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="SPF gebruikt geen ptr",
    why_nl="ptr is traag en laat de eigenaar van een adres beslissen hoe dat heet; veel ontvangers slaan het over.",
    fix="# put a, mx or ip4 in the place of ptr\ndig +short DOMAIN TXT",
    verify="dig +short DOMAIN TXT | grep ptr",
    references=("RFC 7208 section 5.5",),
)
def spf_no_ptr(found: Spf) -> Verdict:
    """SPF does not use ptr.

    It is slow, and lets the owner of an address decide what that is called; many receivers skip it.
    """
    if not found.walk.ptr:
        found = found.whole("TXT")
    return holds(not found.walk.ptr, ", ".join(found.walk.ptr) or "no ptr", "no ptr")


# --- DKIM -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DkimKey:
    """One published key (RFC 6376 section 3.6.1); ``fault`` says why it is none. ``kind`` is rsa or ed25519."""

    selector: str
    kind: str = ""
    bits: int = 0
    revoked: bool = False
    testing: bool = False
    fault: str = ""


@fact
class Dkim:
    """The DKIM keys of a domain that were found; ``nothing`` when it is proved that there are none at all."""

    domain: str
    declared: tuple[str, ...]
    keys: tuple[DkimKey, ...]
    nothing: bool
    receives: bool

    def __str__(self) -> str:
        return self.domain

    @property
    def active(self) -> tuple[DkimKey, ...]:
        """The keys that are not revoked. Raises Absent when there are none."""
        found = tuple(one for one in self.keys if not one.revoked)
        if not found:
            raise Absent(f"no DKIM key of {self.domain} was found")
        return found


def dkim_questions(domain: str, selectors: tuple[str, ...] = ()) -> tuple[Question, ...]:
    """What is asked: the selectors of the inventory, else the usual ones."""
    labels = ("", *(f"{one}." for one in selectors or USUAL_SELECTORS))
    return tuple((f"{label}_domainkey.{domain}", "TXT") for label in labels)


@probe(
    "outside",
    reply=Each(
        MailRecords, lambda mail: Lookup(questions=dkim_questions(mail.domain, mail.selectors), timeout=40)
    ),
)
def dkim(reply: Raw, mail: MailRecords) -> Dkim:
    """The keys, read as RFC 6376 and 8463 say."""
    answers = Answers(reply)
    found = [
        _dkim_key(one, text)
        for one in mail.selectors or USUAL_SELECTORS
        for text in answers(f"{one}._domainkey.{mail.domain}", "TXT").strings
        if _HAS_KEY.search(text) and not _OTHER_RECORD.match(text)
    ]
    return Dkim(
        mail.domain,
        mail.selectors,
        tuple(found),
        # RFC 8020: below a name that is not there is nothing.
        answers(f"_domainkey.{mail.domain}", "TXT").must().no_such_name and not found,
        bool(mail.exchangers),
    )


def _dkim_key(selector: str, text: str) -> DkimKey:
    try:
        found = tags(text)
    except ValueError as error:
        return DkimKey(selector, fault=str(error))
    testing = "y" in (one.strip() for one in found.get("t", "").split(":"))
    kind, data = found.get("k", "rsa").lower(), re.sub(r"\s", "", found.get("p", ""))
    if found.get("v", "DKIM1") != "DKIM1" or "p" not in found or kind not in ("rsa", "ed25519"):
        return DkimKey(selector, kind, testing=testing, fault="no key of DKIM1, rsa or ed25519")
    if not data:
        return DkimKey(selector, kind, revoked=True, testing=testing)
    try:
        der = base64.b64decode(data, validate=True)
    except binascii.Error:
        return DkimKey(selector, kind, testing=testing, fault="p is no base64")
    if kind == "ed25519":
        return DkimKey(selector, kind, 256, testing=testing, fault="" if len(der) == 32 else "p is no key")
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return DkimKey(selector, kind, testing=testing, fault="p is no key")
    if not isinstance(key, rsa.RSAPublicKey):
        return DkimKey(selector, kind, testing=testing, fault="p is no RSA key")
    return DkimKey(selector, kind, key.key_size, testing=testing)


@check(
    "dkim.present",
    principle=(SECURE_DESIGN, DEFAULT_DENY),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Het domein heeft in DNS een sleutel voor DKIM",
    why_nl="Zonder handtekening ziet niemand of mail onderweg veranderd is, en overleeft DMARC geen doorsturen.",
    fix=(
        "opendkim-genkey -b 2048 -d DOMAIN -s mail1\n"
        "# put mail1.txt in the zone, and name the selector in the inventory: dkim_selectors: [mail1]"
    ),
    verify="dig +short SELECTOR._domainkey.DOMAIN TXT",
    references=(f"{_LIST}: DKIM", "RFC 6376", "RFC 8020", "Internet.nl, test DKIM"),
    advice="A selector cannot be guessed for sure: name it in 'dkim_selectors'.",
    advice_nl="Een selector is niet met zekerheid te raden: noem hem in 'dkim_selectors'.",
)
def dkim_present(found: Dkim) -> Verdict:
    """The domain has a key for DKIM in the DNS.

    Without a signature a receiver cannot see whether mail was changed on its way, and DMARC does not survive
    forwarding; without a key no signature counts. A key must be there for every selector that the inventory names; when
    it names none, one of the usual. Whether all mail is signed with it cannot be seen from outside.
    """
    working = {one.selector for one in found.keys if not one.revoked and not one.fault}
    shown = f"keys for {', '.join(sorted(working))}" if working else "no key"
    if found.declared:
        return holds(set(found.declared) <= working, shown, f"keys for {', '.join(found.declared)}")
    if working:
        return holds(True, shown, "a key")
    if not found.receives:
        raise Absent(f"{found.domain} takes no mail")
    if not found.nothing:
        raise NotUnderstood(
            "there may be keys, but under none of the usual selectors; name yours in 'dkim_selectors'"
        )
    return holds(False, "there is nothing below _domainkey", "a key")


@check(
    "dkim.key-strength",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="De DKIM-sleutels zijn goed en lang genoeg",
    why_nl="Een korte sleutel is te kraken; daarna ondertekent een ander mail namens het domein.",
    fix="opendkim-genkey -b 2048 -d DOMAIN -s mail2    # publish it, then let the server sign with it",
    verify="dig +short SELECTOR._domainkey.DOMAIN TXT",
    references=("RFC 8301 section 3.2", "RFC 8463"),
)
def dkim_key_strength(found: Dkim, *, bits: Annotated[int, "least length of an RSA key"] = 2048) -> Verdict:
    """The DKIM keys are well-formed and long enough.

    A short key can be broken; after that someone else signs mail on behalf of the domain. RFC 8301 refuses RSA
    below 1024 bits and asks for 2048.
    """
    weak = [
        f"{one.selector}: {one.fault or f'{one.bits} bits'}"
        for one in found.active
        if one.fault or (one.kind == "rsa" and one.bits < bits)
    ]
    good = ", ".join(f"{one.selector}: {one.kind} {one.bits} bits" for one in found.active)
    return holds(not weak, ", ".join(weak) or good, f"RSA of at least {bits} bits, or Ed25519")


@check(
    "dkim.not-testing",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="DKIM staat niet meer in de proefstand",
    why_nl="Met t=y zegt het domein zelf dat ontvangers niets op de handtekening hoeven te bouwen.",
    fix='SELECTOR._domainkey.DOMAIN. TXT "v=DKIM1; k=rsa; p=..."    ; without t=y',
    verify="dig +short SELECTOR._domainkey.DOMAIN TXT | grep t=",
    references=("RFC 6376 section 3.6.1",),
)
def dkim_not_testing(found: Dkim) -> Verdict:
    """DKIM is no longer being tried out.

    With t=y the domain itself says that receivers need not rely on the signature.
    """
    trying = [one.selector for one in found.active if one.testing]
    return holds(not trying, f"t=y: {', '.join(trying)}" if trying else "no t=y", "no t=y")


# --- DMARC ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DmarcPolicy:
    """A DMARC record (RFC 7489 section 6.3): where it stands, its tags, and what is wrong with it."""

    name: str
    record: str
    tags: dict[str, str]
    fault: str

    @property
    def psd(self) -> str:
        """What it says of being a public suffix: y, n or (u) nothing."""
        return self.tags.get("psd", "u").lower()

    @property
    def subdomains(self) -> str:
        """What is asked for names below that are there."""
        return self._enacted(self.tags.get("sp", self.tags.get("p", "")))

    @property
    def made_up(self) -> str:
        """What is asked for names below that are not there (np, RFC 9989)."""
        return self._enacted(self.tags["np"]) if "np" in self.tags else self.subdomains

    def policy(self, domain: str) -> str:
        """The policy that holds for a domain: that for names below when the record is of one above it."""
        return self._enacted(self.tags.get("p", "")) if self.name == domain else self.subdomains

    def _enacted(self, asked: str) -> str:
        """What is left of a policy: nothing with pct=0 (RFC 7489 section 6.6.4), one step less with t=y (RFC 9989)."""
        if re.fullmatch("0+", self.tags.get("pct", "")):
            return "none"
        trying = self.tags.get("t", "").lower() == "y"
        return _ONE_LESS.get(asked.lower(), asked.lower()) if trying else asked.lower()

    @property
    def reports(self) -> tuple[str, ...]:
        """Where aggregate reports go."""
        return tuple(one.strip()[:500] for one in self.tags.get("rua", "").split(",") if one.strip())

    @property
    def outside(self) -> tuple[str, ...]:
        """The domains of others that reports go to."""
        found = [match[1].lower() for one in self.reports if (match := _MAILTO.fullmatch(one))]
        return tuple(dict.fromkeys(one for one in found if not _same_organisation(one, self.name)))


@fact
class Dmarc:
    """The DMARC policy of a domain, and the answers of those it sends reports to."""

    domain: str
    policy: DmarcPolicy
    answers: InstanceOf[Answers]

    def __str__(self) -> str:
        return self.domain

    @property
    def good(self) -> DmarcPolicy:
        """The policy when it can be read. Raises Absent: what is wrong with it is told by one check."""
        if self.policy.fault:
            raise Absent(f"the record is not valid: {self.policy.fault}")
        return self.policy


def dmarc_policy(mail: MailRecords) -> DmarcPolicy | None:
    """The policy of a domain, its own or that of its organisation; None when there is none.

    RFC 7489 section 6.6.3 asks the domain and then the organisational domain, which is the one below a public suffix;
    its successor RFC 9989 walks up, and takes the highest record but for what ``psd`` says. Where the two differ,
    receivers do: NotUnderstood.
    """
    places = list(organisational(mail.domain))
    found = [
        _read_dmarc(name, records)
        for name in places
        if (records := versioned(mail.answers(f"_dmarc.{name}", "TXT").strings, DMARC))
    ]
    if not found or found[0].name == mail.domain:
        return found[0] if found else None
    *between, top = found
    if top.name != places[-1] or top.psd == "y" or any(one.psd == "n" for one in between):
        raise NotUnderstood(
            f"receivers differ on whether _dmarc.{found[0].name} holds for {mail.domain}: give it a record of its own"
        )
    return top


def _read_dmarc(name: str, found: tuple[str, ...]) -> DmarcPolicy:
    record = "; ".join(found) if len(found) > 1 else found[0]
    if len(found) > 1:
        return DmarcPolicy(name, record, {}, f"{len(found)} records: none counts")
    try:
        read = tags(record)
    except ValueError as error:
        return DmarcPolicy(name, record, {}, str(error))
    # RFC 7489 sections 6.3 and 6.6.3: mistakes elsewhere are passed over by receivers.
    faults = [
        f"{tag}={read[tag]}" for tag in ("p", "sp") if tag in read and read[tag].lower() not in _POLICIES
    ]
    if "p" not in read:
        faults.append("no p")
    return DmarcPolicy(name, record, read, ", ".join(faults))


def _same_organisation(one: str, other: str) -> bool:
    """Whether two domains share their last two labels: as near as one comes without a list of public suffixes."""
    return one.split(".")[-2:] == other.split(".")[-2:]


def _asks_of_reports(mail: MailRecords) -> tuple[Question, ...]:
    """The permission of others to send them reports (RFC 7489 section 7.1); never raises."""
    try:
        found = dmarc_policy(mail)
    except Untold:
        return ()
    names = [f"{found.name}._report._dmarc.{one}" for one in found.outside[:_REPORTS]] if found else []
    return tuple((name, "TXT") for name in names if askable(name))


@probe("outside", reply=Each(MailRecords, lambda mail: Lookup(questions=_asks_of_reports(mail), timeout=30)))
def dmarc(reply: Raw, mail: MailRecords) -> Dmarc:
    """The policy, and whether others take its reports."""
    found, answers = dmarc_policy(mail), Answers(reply)
    if found is None:
        raise Absent(f"{mail.domain} has no DMARC")
    return Dmarc(mail.domain, found, answers)


_DMARC_FIX: Final = '_dmarc.DOMAIN. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@DOMAIN"'
_DMARC_VERIFY: Final = "dig +short _dmarc.DOMAIN TXT"


@check(
    "dmarc.present",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="Het domein heeft een geldig DMARC-record",
    why_nl="Zonder DMARC kan iedereen het domein als afzender tonen, ook als SPF en DKIM in orde zijn.",
    fix=_DMARC_FIX,
    verify=_DMARC_VERIFY,
    references=(
        f"{_LIST}: DMARC",
        "RFC 7489 section 6.3",
        "Internet.nl, test DMARC",
        "BIO2 1.3, measure 5.14.01",
    ),
)
def dmarc_present(mail: MailRecords) -> Verdict:
    """The domain has a valid DMARC record.

    Without DMARC everyone can show the domain as sender, even when SPF and DKIM are in order. A record of the
    organisation's domain (the last two labels) counts for all below it.
    """
    found = dmarc_policy(mail)
    if found is None:
        return holds(False, "no DMARC", "one valid record")
    return holds(
        not found.fault, f"{found.record}{' -- ' if found.fault else ''}{found.fault}", "one valid record"
    )


@check(
    "dmarc.policy",
    principle=(DEFAULT_DENY, FAIL_SECURE),
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="DMARC laat ontvangers vervalste mail weren",
    why_nl="Met p=none kijkt men alleen toe: vervalste mail komt gewoon aan.",
    fix=_DMARC_FIX,
    verify=_DMARC_VERIFY,
    references=(
        f"{_LIST}: DMARC",
        "RFC 7489 sections 6.3 and 6.6.4",
        "RFC 9989 (t)",
        "Internet.nl, test DMARC policy",
    ),
)
def dmarc_strict(found: Dmarc) -> Verdict:
    """DMARC lets receivers keep forged mail out.

    With p=none one just watches: forged mail arrives. pct=0 is none for all; with t=y reject comes to quarantine, and
    quarantine to none.
    """
    policy = found.good.policy(found.domain)
    return holds(
        policy in _STRICT,
        f"{policy} from _dmarc.{found.policy.name}: {found.policy.record}",
        "quarantine or reject",
    )


@check(
    "dmarc.subdomains",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="DMARC geldt ook voor namen onder het domein",
    why_nl="Met sp=none of np=none verzint een oplichter zelf een naam onder het domein en komt zijn mail aan.",
    fix='_dmarc.DOMAIN. TXT "v=DMARC1; p=reject; sp=reject; rua=mailto:dmarc@DOMAIN"    ; no np=none',
    verify=_DMARC_VERIFY,
    references=("RFC 7489 section 6.3", "RFC 9989 (np)"),
)
def dmarc_subdomains(found: Dmarc) -> Verdict:
    """DMARC holds for names below the domain too.

    With sp=none, or np=none for names that are not there, a swindler makes up a name below the domain, and that mail
    arrives.
    """
    policies = {found.good.subdomains, found.policy.made_up}
    if found.policy.name != found.domain:
        raise Absent(f"the policy is that of {found.policy.name}")
    return holds(
        policies <= _STRICT,
        f"{' and '.join(sorted(policies))} for names below: {found.policy.record}",
        "quarantine or reject",
    )


@check(
    "dmarc.everyone",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    platform="mail",
    title_nl="DMARC geldt voor alle mail, niet voor een deel",
    why_nl="Met een lager pct glipt een deel van de vervalste mail erdoor.",
    fix=_DMARC_FIX,
    verify=_DMARC_VERIFY,
    references=("RFC 7489 section 6.3, pct and 6.6.4",),
)
def dmarc_everyone(found: Dmarc) -> Verdict:
    """DMARC holds for all mail, not for a part.

    With a lower pct (or t=y) a part of the forged mail slips through.
    """
    share, trying = found.good.tags.get("pct", "100"), found.policy.tags.get("t", "n").lower()
    return holds(share == "100" and trying == "n", f"pct={share}, t={trying}", "pct=100, not t=y")


@check(
    "dmarc.reports",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.DETECTION,
    platform="mail",
    title_nl="DMARC-rapporten komen aan bij wie ze mag ontvangen",
    why_nl="Zonder rapporten ziet niemand misbruik van het domein, noch eigen mail die wordt geweigerd.",
    fix='_dmarc.DOMAIN. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@DOMAIN"\nDOMAIN._report._dmarc.OTHER. TXT "v=DMARC1"',
    verify="dig +short DOMAIN._report._dmarc.OTHER TXT",
    references=("RFC 7489 sections 6.2 and 7.1",),
)
def dmarc_reports(found: Dmarc) -> Verdict:
    """DMARC reports arrive with who may have them.

    Without reports nobody sees abuse of the domain, nor one's own mail being refused. Another organisation must say in
    its own DNS that it takes the reports, else they are not sent.
    """
    policy = found.good
    wrong = [f"{one}: no mailto address" for one in policy.reports if not _MAILTO.fullmatch(one)]
    for other in policy.outside:
        name = f"{policy.name}._report._dmarc.{other}"
        if not askable(name):
            wrong.append(f"{other[:60]}: no domain")
        elif not versioned(found.answers(name, "TXT").strings, DMARC):
            wrong.append(f"{other} does not say that it takes reports")
    return holds(
        bool(policy.reports) and not wrong,
        "; ".join(wrong) or f"rua={','.join(policy.reports)}",
        "rua, allowed there",
    )


# --- examples ---------------------------------------------------------------------------------------------------

_DOMAIN: Final = "gemeente.test"
_BASE: Final = (
    f"{_DOMAIN}. IN SOA ns1.{_DOMAIN}. hostmaster.{_DOMAIN}. 7 7200 3600 1209600 3600",
    f"{_DOMAIN}. IN MX 10 mail.{_DOMAIN}.",
)
_NONE: Final[dict[str, Any]] = {"target": {}}


def _mail(*lines: str, domain: str = _DOMAIN, fails: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "mail_records.reply": Said(mail_questions(domain), *_BASE, *lines, fails=fails),
        "target": {"domains": (domain,), **more},
    }


def _spf(
    record: str,
    *lines: str,
    near: tuple[Question, ...] = (),
    far: tuple[Question, ...] = (),
    last: tuple[Question, ...] = (),
) -> dict[str, Any]:
    return {
        **_mail(f'{_DOMAIN}. IN TXT "{record}"'),
        "spf_near.reply": Said(near, *_BASE, *lines),
        "spf_far.reply": Said(far, *_BASE, *lines),
        "spf_followed.reply": Said(last, *_BASE, *lines),
    }


_MX: Final = ((_DOMAIN, "MX"),)
_SPF_GOOD: Final = _spf("v=spf1 mx -all", near=_MX)
_INCLUDED: Final = ("spf.provider.test", "TXT")
_DEEPER: Final = ("more.provider.test", "TXT")
_SPF_INCLUDES: Final = _spf(
    "v=spf1 mx include:spf.provider.test ~all",
    'spf.provider.test. IN TXT "v=spf1 include:more.provider.test -all"',
    'more.provider.test. IN TXT "v=spf1 include:yet.provider.test -all"',
    'yet.provider.test. IN TXT "v=spf1 ip4:192.0.2.0/24 -all"',
    near=(*_MX, _INCLUDED),
    far=(_DEEPER,),
    last=(("yet.provider.test", "TXT"),),
)
_SPF_DEEP: Final = _spf(
    "v=spf1 include:spf.provider.test -all",
    'spf.provider.test. IN TXT "v=spf1 include:more.provider.test -all"',
    'more.provider.test. IN TXT "v=spf1 include:yet.provider.test -all"',
    'yet.provider.test. IN TXT "v=spf1 include:last.provider.test -all"',
    near=(_INCLUDED,),
    far=(_DEEPER,),
    last=(("yet.provider.test", "TXT"),),
)
_INSIDE: Final = f"_ldap._tcp.dc._msdcs.{_DOMAIN}. IN SRV 0 100 389 dc1.{_DOMAIN}."
#: What the resolver says does not exist, and what it knows from inside.
_NOT_OUTSIDE: Final = [
    {"mail_records.reply": Said(mail_questions(_DOMAIN)), "target": {"domains": (_DOMAIN,)}},
    _mail(_INSIDE, f'{_DOMAIN}. IN TXT "v=spf1 mx -all"', f'_dmarc.{_DOMAIN}. IN TXT "v=DMARC1; p=reject"'),
]
_NO_SPF: Final = {**_mail(), "spf_near.reply": "", "spf_far.reply": "", "spf_followed.reply": ""}
_MANY: Final = _spf("v=spf1 " + " ".join(f"exists:%{{i}}.{n}.test" for n in range(11)) + " -all")
#: 126 networks.
_MUCH: Final = _spf(
    'v=spf1 " '
    + " ".join(
        f'"{" ".join(f"ip4:192.0.2.{at}" for at in range(first, first + 14))} "'
        for first in range(0, 126, 14)
    )
    + ' "-all'
)
_FLOOD: Final = (
    'spf.provider.test. IN TXT "v=spf1 " '
    + " ".join(f'"{"exists:x.test " * 17}"' for _ in range(6))
    + ' "-all"',
)
_EMPTY: Final = tuple((f"{label}.gone.test", kind) for label in "abc" for kind in ("A", "AAAA"))

examples(
    spf_present,
    passes=_mail(f'{_DOMAIN}. IN TXT "v=spf1 mx -all"', f'{_DOMAIN}. IN TXT "v=spf10 other"'),
    fails=[_mail(), _mail(f'{_DOMAIN}. IN TXT "v=spf1 mx -all"', f'{_DOMAIN}. IN TXT "v=spf1 -all"')],
    notapplicable=[_NONE, {**_mail(), "mail_records.reply": Said(mail_questions(_DOMAIN), _BASE[0])}],
    unknown=_NOT_OUTSIDE,
    error=_mail(fails=(_DOMAIN,)),
)
examples(
    spf_valid,
    passes=[_SPF_GOOD, _SPF_INCLUDES, _MUCH],
    fails=[
        _spf("v=spf1 ip4:192.0.2.300 -all"),
        _spf("v=spf1 mx include:spf.provider.test -all", near=(*_MX, _INCLUDED)),
        _spf(f"v=spf1 include:{_DOMAIN} -all"),
        *(
            _spf(f"v=spf1 {text}")
            for text in (
                "-all foo",
                "-all ip4:192.0.2.300",
                "redirect=a.test redirect=b.test -all",
                "exp=a.test exp=a.test -all",
                "ip4:192.0.2.0/255.255.255.0 -all",
                "ip4:192.0.2.0/024 -all",
                "ip6:fe80::1%eth0 -all",
                "a:192.0.2.1 -all",
                f"include:{'x' * 64}.test -all",
                "include:a..test -all",
                "include:localhost -all",
                "ptr/24 -all",
                "exists:%{q}.test -all",
            )
        ),
    ],
    notapplicable=_NO_SPF,
    unknown=[
        _SPF_DEEP,
        _spf(f"v=spf1 include:{'a.' * 30}test -all"),
        _spf("v=spf1 include:a\\\\999b.test -all"),
    ],
)
examples(
    spf_lookups,
    passes=[_SPF_GOOD, _SPF_INCLUDES, _MUCH],
    fails=_MANY,
    notapplicable=_NO_SPF,
    unknown=_SPF_DEEP,
)
examples(
    spf_void_lookups,
    passes=[_SPF_GOOD, _SPF_INCLUDES],
    fails=_spf("v=spf1 a:a.gone.test a:b.gone.test a:c.gone.test -all", near=_EMPTY),
    notapplicable=_NO_SPF,
    unknown=_SPF_DEEP,
)
examples(
    spf_policy,
    passes=[
        _SPF_GOOD,
        _SPF_INCLUDES,
        _MUCH,
        _spf(
            "v=spf1 -include:spf.provider.test ip4:16.0.0.0/8 ~all",
            'spf.provider.test. IN TXT "v=spf1 ?ip4:0.0.0.0/0 +all"',
            near=(_INCLUDED,),
        ),
    ],
    fails=[
        _spf("v=spf1 mx ?all", near=_MX),
        _spf("v=spf1 +all"),
        _spf("v=spf1 mx", near=_MX),
        *(
            _spf(f"v=spf1 {text} -all", near=_MX)
            for text in (
                "ip4:0.0.0.0/0",
                "ip4:0.0.0.0/1 ip4:128.0.0.0/1",
                "ip6:::/0",
                "?ip4:0.0.0.0/0",
                "mx/0",
                "mx//0",
                "ip4:16.0.0.0/8 ip4:18.0.0.0/9",
            )
        ),
        _spf(
            "v=spf1 exists:provider.test -all",
            "provider.test. IN A 192.0.2.1",
            near=(("provider.test", "A"),),
        ),
        *(
            _spf(
                f"v=spf1 {mark}include:spf.provider.test -all",
                f'spf.provider.test. IN TXT "v=spf1 {text}"',
                near=(_INCLUDED,),
            )
            for mark, text in (
                ("", "mx:gone.test/0"),
                ("", "+all"),
                ("?", "+all"),
                ("", "ip4:0.0.0.0/0 -all"),
            )
        ),
    ],
    notapplicable=_NO_SPF,
    unknown=[
        _SPF_DEEP,
        _spf("v=spf1 redirect=%{d}.provider.test"),
        _spf("v=spf1 include:%{d}.provider.test -all"),
        _spf("v=spf1 include:spf.provider.test -all", *_FLOOD, near=(_INCLUDED,)),
    ],
)
examples(
    spf_no_ptr,
    passes=_SPF_GOOD,
    fails=_spf("v=spf1 ptr -all"),
    notapplicable=_NO_SPF,
    unknown=_SPF_DEEP,
)


#: Public keys; their private halves are gone.
_RSA_2048: Final = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3lymGeBpGjsnH6GMUEVHkl17tisieNy+iky7eWYg7GA4/MFzOASCCxyi"
    "A0waNMx+YS0uO8fy0w+6mX2ac8R65ukyhFgFox4+1Ard4TiYwqlPENfQMO6My/5hkCzYUSpCQbbVqH3DQ8fUn3rpOaJyQQ0bHFek"
    "CCfGbSCxGNq/jmEq/mHuWJw0pKMwybuMbLcyXrixC6rYFG28rh+cj9ZCxfZ/JAG7PRzCG+BRi+EPrjgH2cFdAPX4nsDGM4rLebIC"
    "yANUFnmYBns5ArVR2SJfv/tociqx80RCrAnxtdyHbv7lmOk8X4esnIqT5afYHvpjBOFmBPWPfpPwVe+JDR3sCwIDAQAB"
)
_RSA_1024: Final = (
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCxUY3c9o1RoFmoLDpn56ebA3bL1MgYCR+uznwkgr8Y6L1zci+Zxz+V7wo1uCk1"
    "j96by01YL8tUDft6auU3/NCswFWRD6YW4A1s+EHnCewKUdPv7Ql40aKZunMlTikjthYXRC6YemIUm4ChAZgSLCvxgLjBp1QzGUId"
    "+oIhLnsGNQIDAQAB"
)
_ED25519: Final = "DN6eA89lpvCUjUCGvEZQmzUkFo6zDYNFq3YC1OurtcM="


def _dkim(*lines: str, selectors: tuple[str, ...] = (), base: tuple[str, ...] = _BASE) -> dict[str, Any]:
    return {
        "mail_records.reply": Said(mail_questions(_DOMAIN), *base),
        "dkim.reply": Said(dkim_questions(_DOMAIN, selectors), *base, *lines),
        "target": {"domains": (_DOMAIN,), "dkim_selectors": selectors},
    }


def _dkim_record(selector: str, text: str) -> str:
    parts = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
    return f"{selector}._domainkey.{_DOMAIN}. IN TXT {parts}"


_DKIM_GOOD: Final = _dkim(_dkim_record("selector1", f"v=DKIM1; k=rsa; p={_RSA_2048}"))
_DKIM_SHORT: Final = _dkim(_dkim_record("selector1", f"v=DKIM1; k=rsa; t=y; p={_RSA_1024}"))
#: What `*.gemeente.test` answers everywhere is no key.
_DKIM_WILDCARD: Final = _dkim(
    *(_dkim_record(one, "v=DMARC1; p=reject") for one in USUAL_SELECTORS), f"_domainkey.{_DOMAIN}. IN TXT x"
)
_DKIM_REVOKED: Final = _dkim(_dkim_record("selector1", "v=DKIM1; p="))

examples(
    dkim_present,
    passes=[
        _DKIM_GOOD,
        _dkim(_dkim_record("own", f"v=DKIM1; k=ed25519; p = {_ED25519}"), selectors=("own",)),
    ],
    fails=[
        _dkim(),
        _dkim(_dkim_record("selector1", f"v=DKIM1; k=rsa; p={_RSA_2048}"), selectors=("own",)),
    ],
    notapplicable=_dkim(base=_BASE[:1]),
    unknown=[
        _dkim(_dkim_record("secret", "v=DKIM1; p=")),
        _DKIM_REVOKED,
        _DKIM_WILDCARD,
        _dkim(base=()),
        _dkim(base=(*_BASE, _INSIDE)),
    ],
)
examples(
    dkim_key_strength,
    passes=[_DKIM_GOOD, _dkim(_dkim_record("s1", f"v=DKIM1; k=ed25519; p={_ED25519}"))],
    fails=[
        _DKIM_SHORT,
        _dkim(_dkim_record("s1", "v=DKIM1; p=MIGfMA0GCSq")),
        _dkim(_dkim_record("s1", "v=dkim1; p=")),
    ],
    notapplicable=[_dkim(), _DKIM_REVOKED, _DKIM_WILDCARD],
)
examples(dkim_not_testing, passes=_DKIM_GOOD, fails=_DKIM_SHORT, notapplicable=_dkim())


def _dmarc(
    record: str, *lines: str, asked: tuple[Question, ...] = (), domain: str = _DOMAIN
) -> dict[str, Any]:
    return {
        **_mail(
            f'_dmarc.{_DOMAIN}. IN TXT "{record}"',
            f"below.{_DOMAIN}. IN MX 10 mail.{_DOMAIN}.",
            domain=domain,
        ),
        "dmarc.reply": Said(asked, *_BASE, *lines),
    }


_OTHER: Final = ((f"{_DOMAIN}._report._dmarc.reports.test", "TXT"),)
_DMARC_GOOD: Final = _dmarc(f"v=DMARC1; p=reject; rua=mailto:dmarc@{_DOMAIN}")
_DMARC_NONE: Final = _dmarc("v=DMARC1; p=none; pct=50")
_NO_DMARC: Final = {**_mail(), "dmarc.reply": ""}
_BELOW: Final = f"below.{_DOMAIN}"


def _between(top: str, between: str) -> dict[str, Any]:
    """A name two below the organisation's, which has a record between them."""
    lines = [f'_dmarc.{name}. IN TXT "{text}"' for name, text in ((_DOMAIN, top), (_BELOW, between)) if text]
    name = f"deep.{_BELOW}"
    return {
        **_mail(*lines, f"{name}. IN MX 10 mail.{_DOMAIN}.", domain=name),
        "dmarc.reply": Said((), *_BASE, *lines),
    }


_DMARC_DIFFER: Final = [
    _between("", "v=DMARC1; p=reject"),
    _between("v=DMARC1; p=reject", "v=DMARC1; p=reject; psd=n"),
    _between("v=DMARC1; p=reject; psd=y", "v=DMARC1; p=reject"),
]

examples(
    dmarc_present,
    passes=[_DMARC_GOOD, _dmarc("v=DMARC1; p=none", domain=_BELOW)],
    fails=[
        _mail(),
        _dmarc("v=DMARC1; rua=mailto:x@y.test"),
        _dmarc("v=DMARC1; p=rejct"),
        _dmarc(" v=DMARC1; p=reject"),
    ],
    notapplicable=_NONE,
    unknown=[*_DMARC_DIFFER, *_NOT_OUTSIDE],
    error=_mail(fails=(f"_dmarc.{_DOMAIN}",)),
)
examples(
    dmarc_strict,
    passes=[
        _DMARC_GOOD,
        _dmarc("v=DMARC1; p=none; sp=quarantine", domain=_BELOW),
        _dmarc("v=DMARC1; p=reject; t=y"),
        _between("v=DMARC1; p=reject; psd=n", "v=DMARC1; p=none"),
    ],
    fails=[
        _DMARC_NONE,
        _dmarc("v=DMARC1; p=reject; sp=none", domain=_BELOW),
        _dmarc("v=DMARC1; p=reject; pct=0"),
        _dmarc("v=DMARC1; p=quarantine; t=y"),
        _between("v=DMARC1; p=none", "v=DMARC1; p=reject"),
    ],
    notapplicable=_NO_DMARC,
    unknown=_DMARC_DIFFER,
)
examples(
    dmarc_subdomains,
    passes=[_DMARC_GOOD, _dmarc("v=DMARC1; p=none; sp=reject; np=quarantine")],
    fails=[
        _dmarc("v=DMARC1; p=reject; sp=none"),
        _dmarc("v=DMARC1; p=reject; np=none"),
        _dmarc("v=DMARC1; p=reject; pct=0"),
        _dmarc("v=DMARC1; p=reject; sp=quarantine; t=y"),
    ],
    notapplicable=[_NO_DMARC, _dmarc("v=DMARC1; p=reject", domain=_BELOW)],
)
examples(dmarc_everyone, passes=_DMARC_GOOD, fails=_DMARC_NONE, notapplicable=_NO_DMARC)
examples(
    dmarc_reports,
    passes=[
        _DMARC_GOOD,
        _dmarc(
            "v=DMARC1; p=reject; rua=mailto:x@reports.test!10m",
            f'{_DOMAIN}._report._dmarc.reports.test. IN TXT "v=DMARC1"',
            asked=_OTHER,
        ),
    ],
    fails=[
        _dmarc("v=DMARC1; p=reject"),
        _dmarc("v=DMARC1; p=reject; rua=dmarc@gemeente.test"),
        _dmarc("v=DMARC1; p=reject; rua=mailto:x@reports.test", asked=_OTHER),
        _dmarc("v=DMARC1; p=reject; rua=mailto:x@a..test"),
    ],
    notapplicable=_NO_DMARC,
)
