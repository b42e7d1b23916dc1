"""What the host's TLS ports offer: versions, suites, groups, signatures and settings, judged one by one and by the
guidelines of NCSC-NL.

Everything rests on hellos of our own (tls_endpoint.py), so nothing depends on what the scanner's own OpenSSL still
speaks. What was seen to be accepted fails at once; that something is refused passes only when all of it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Annotated, Any, Final, TypeAlias

from checks.network.ncsc import CURRENT, TITLE, Guideline, Judged, Level, judged
from checks.network.tls_endpoint import Part, StartTls, TlsOffer
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    FAIL_SECURE,
    NO_GAP,
    SECURE_DEFAULT,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Exchange,
    Fleet,
    Layer,
    NotUnderstood,
    Raw,
    Row,
    Severity,
    Target,
    Turn,
    Verdict,
    check,
    examples,
    exchanges,
    holds,
    table,
)
from scanner.tlsnames import Suite
from scanner.transcript import write

#: The guidelines' names of the versions.
_SPELLED: Final = {
    "SSLv2": "SSL 2.0", "SSLv3": "SSL 3.0", "TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2",
    "TLSv1.3": "TLS 1.3",
}  # fmt: skip
_SET: Final = (
    "# nginx: ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;\n"
    "# Apache: SSLProtocol -all +TLSv1.2 +TLSv1.3\n"
    "# Apache: SSLCipherSuite ECDHE+AESGCM:ECDHE+CHACHA20\n"
    "systemctl reload nginx"
)
_MANY: Final = 6


def _named(names: Iterable[object]) -> str:
    """The first of them, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - _MANY} more" if len(listed) > _MANY else ""
    return ", ".join(listed[:_MANY]) + more


def _spelled(versions: Iterable[str]) -> str:
    return ", ".join(_SPELLED[name] for name in versions) or "none"


def _all_good(part: Part[tuple[Judged, ...]], floor: Level, what: str) -> Verdict:
    """Whether everything seen is at least of this level, and nothing is left unseen.

    What is worse fails at once. Raises Blind when nothing is worse, but not all could be established; Absent when there
    is nothing of the kind.
    """
    worse = [one for one in part.seen if not one.level.at_least(floor)]
    if worse:
        return holds(False, _named(worse), f"at least {floor.shown}")
    whole = part.whole
    if not whole:
        raise Absent(f"this port offers no {what}")
    return holds(True, f"{len(whole)} {what}: {_named(one.item for one in whole)}", f"at least {floor.shown}")


# --- versions -------------------------------------------------------------------------------------------------


@check(
    "tls.protocol",
    principle=(SECURE_DESIGN, DATA_FIRST),
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="De dienst spreekt TLS 1.2 of nieuwer",
    why_nl="Oudere versies zijn gebroken. Wie niets nieuwers aanbiedt, versleutelt alleen voor de vorm.",
    fix=_SET,
    verify="openssl s_client -connect HOST:PORT -servername NAME -tls1_2 </dev/null",
    references=(f"{TITLE}, section 3.3.1", "RFC 8996"),
    version=2,
)
def protocol(offer: TlsOffer) -> Verdict:
    """The service speaks TLS 1.2 or newer.

    Older versions are broken. A server that offers nothing newer encrypts for show.
    """
    new = [name for name in ("TLSv1.2", "TLSv1.3") if offer.version[name].seen]
    if not new:
        _ = offer.version["TLSv1.2"].whole, offer.version["TLSv1.3"].whole
    return holds(bool(new), f"offered: {_spelled(offer.accepted.seen)}", "TLS 1.2 or TLS 1.3")


@check(
    "tls.newest-protocol",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De dienst spreekt TLS 1.3",
    why_nl="TLS 1.3 is volgens het NCSC 'goed', TLS 1.2 'voldoende': er kan minder verkeerd worden ingesteld.",
    fix=_SET,
    verify="openssl s_client -connect HOST:PORT -servername NAME -tls1_3 </dev/null",
    references=(f"{TITLE}, section 3.3.1", "RFC 8446"),
    version=2,
)
def newest_protocol(offer: TlsOffer) -> Verdict:
    """The service speaks TLS 1.3.

    TLS 1.3 is "good" according to the NCSC, TLS 1.2 "sufficient": less can be set wrong in it.
    """
    return holds(offer.version["TLSv1.3"].whole, f"offered: {_spelled(offer.accepted.seen)}", "TLS 1.3")


_OLD: Final = {
    "tls.no-ssl2": "SSLv2", "tls.no-ssl3": "SSLv3", "tls.no-tls10": "TLSv1", "tls.no-tls11": "TLSv1.1",
}  # fmt: skip


def _version_row(id_: str, severity: Severity, option: str, why: str, why_nl: str, *references: str) -> Row:
    spelled = _SPELLED[_OLD[id_]]
    return Row(
        id=id_, principle=(SECURE_DESIGN, DATA_FIRST), severity=severity, layer=Layer.DATA,
        title=f"{spelled} is refused", why=why, title_nl=f"{spelled} wordt geweigerd", why_nl=why_nl, fix=_SET,
        verify=f"openssl s_client -connect HOST:PORT -servername NAME {option} -cipher 'ALL:@SECLEVEL=0' </dev/null",
        references=(f"{TITLE}, section 3.3.1", *references),
        advice="Clients that can do no better are older than ten years; give them a way of their own, apart.",
        advice_nl="Wie niets beters kan, is ouder dan tien jaar; geef die een eigen, afgescheiden ingang.",
    )  # fmt: skip


@table(
    _version_row(
        "tls.no-ssl2", Severity.CRITICAL, "-ssl2",
        "SSL 2 can be undone in hours, and a server that has it betrays its newer connections too when the key is the"
        " same (DROWN).",
        "SSL 2 is in uren ongedaan te maken, en verraadt bij dezelfde sleutel ook de nieuwere verbindingen (DROWN).",
        "RFC 6176", "CVE-2016-0800",
    ),
    _version_row(
        "tls.no-ssl3", Severity.CRITICAL, "-ssl3",
        "SSL 3 cannot prove its padding: someone in between reads a cookie byte by byte (POODLE).",
        "SSL 3 kan zijn opvulling niet bewijzen: wie ertussen zit, leest een cookie byte voor byte mee (POODLE).",
        "RFC 7568", "CVE-2014-3566",
    ),
    _version_row(
        "tls.no-tls10", Severity.HIGH, "-tls1",
        "TLS 1.0 rests on MD5 and SHA-1 and is withdrawn; it also keeps the door open for downgrades.",
        "TLS 1.0 rust op MD5 en SHA-1 en is ingetrokken; het houdt bovendien de deur open voor terugval.",
        "RFC 8996",
    ),
    _version_row(
        "tls.no-tls11", Severity.HIGH, "-tls1_1",
        "TLS 1.1 rests on MD5 and SHA-1 and is withdrawn; it also keeps the door open for downgrades.",
        "TLS 1.1 rust op MD5 en SHA-1 en is ingetrokken; het houdt bovendien de deur open voor terugval.",
        "RFC 8996",
    ),
)  # fmt: skip
def old_version_refused(offer: TlsOffer, *, row: Row) -> Verdict:
    """An old version is refused."""
    accepted = offer.version[_OLD[row.id]]
    if not accepted.seen:
        _ = accepted.whole
    return holds(not accepted.seen, f"offered: {_spelled(offer.accepted.seen)}", row.title)


@check(
    "tls.versions-sufficient",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Elke aangeboden versie is volgens het NCSC ten minste voldoende",
    why_nl="De zwakste versie telt: een aanvaller kiest die, ook als de meeste bezoekers iets beters krijgen.",
    fix=_SET,
    verify="keurmeester explain tls.versions-sufficient --target HOST",
    references=(f"{TITLE}, section 3.3.1",),
)
def versions_sufficient(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """Every version offered is at least sufficient according to the NCSC.

    The weakest version counts: an attacker chooses it, even when most visitors get something better.
    """
    accepted = offer.accepted
    seen = tuple(judged(guideline, "version", _SPELLED[name]) for name in accepted.seen)
    return _all_good(Part(seen, accepted.gap, accepted.cause), Level.SUFFICIENT, "versions")


# --- suites ---------------------------------------------------------------------------------------------------

Forbidden: TypeAlias = Callable[[Suite], bool]
_SMALL_BLOCKS: Final = ("3DES", "DES", "IDEA", "RC2", "GOST28147", "Magma", "Skipjack")
_RARE: Final = ("Camellia", "ARIA", "SEED", "GOST28147", "Kuznyechik", "Magma", "SM4", "Skipjack", "AEGIS")
_FORBIDDEN: Final[dict[str, Forbidden]] = {
    "tls.no-null": lambda suite: suite.cipher == "NULL",
    "tls.no-anonymous": lambda suite: suite.authentication == "none",
    "tls.no-export": lambda suite: suite.export or 0 < suite.bits < 112,
    "tls.no-rc4": lambda suite: suite.cipher == "RC4",
    "tls.no-small-blocks": lambda suite: suite.cipher.startswith(_SMALL_BLOCKS),
    "tls.forward-secrecy": lambda suite: not suite.forward_secret,
    "tls.no-shared-secrets": lambda suite: (
        suite.exchange in {"PSK", "SRP", "KRB5"} or "PSK" in suite.authentication
    ),
    "tls.no-short-tags": lambda suite: suite.cipher.endswith("CCM-8"),
    "tls.no-sha1-mac": lambda suite: suite.hash in {"SHA-1", "MD5"},
    "tls.no-cbc": lambda suite: suite.cipher.endswith("-CBC"),
    "tls.no-rare-ciphers": lambda suite: suite.cipher.startswith(_RARE),
}


def _suite_row(
    name: str,
    severity: Severity,
    ciphers: str,
    title: str,
    why: str,
    title_nl: str,
    why_nl: str,
    *references: str,
) -> Row:
    return Row(
        id=f"tls.{name}", principle=(SECURE_DESIGN, DATA_FIRST), severity=severity, layer=Layer.DATA,
        title=title, why=why, title_nl=title_nl, why_nl=why_nl, fix=_SET,
        verify=f"openssl s_client -connect HOST:PORT -servername NAME -cipher '{ciphers}:@SECLEVEL=0' </dev/null",
        references=references,
    )  # fmt: skip


@table(
    _suite_row(
        "no-null", Severity.CRITICAL, "eNULL",
        "Nothing goes over TLS unencrypted",
         "A suite with cipher NULL proves who is there and hides nothing: everyone on the way reads along.",
        "Er gaat niets onversleuteld over TLS",
         "Een suite met NULL bewijst wie er is en verbergt niets: iedereen onderweg leest mee.",
        f"{TITLE}, section 3.3.4", "RFC 9325 section 4.1",
    ),
    _suite_row(
        "no-anonymous", Severity.CRITICAL, "aNULL",
        "The server proves who it is in every suite",
         "In an anonymous suite no certificate is shown: whoever sits in between can pose as the server unnoticed.",
        "De server bewijst in elke suite wie hij is",
         "In een anonieme suite wordt geen certificaat getoond: wie ertussen zit, doet zich ongemerkt voor als de"
         " server.",
        f"{TITLE}, section 3.3.2", "RFC 9325 section 4.1",
    ),
    _suite_row(
        "no-export", Severity.CRITICAL, "EXPORT:DES",
        "No suite has a key that can be guessed",
         "Keys of 40 and 56 bits (EXPORT, single DES) are found in hours. As long as the server accepts them, a visitor"
         " can be forced into them (FREAK).",
        "Geen enkele suite heeft een sleutel die te raden is",
         "Sleutels van 40 en 56 bits (EXPORT, enkele DES) zijn in uren gevonden. Zolang de server ze aanneemt, is een"
         " bezoeker ernaartoe te dwingen (FREAK).",
        f"{TITLE}, section 3.3.4", "RFC 9325 section 4.1", "CVE-2015-0204",
    ),
    _suite_row(
        "no-rc4", Severity.HIGH, "RC4",
        "RC4 is refused",
         "What RC4 puts out is biased: what is sent often, such as a cookie, can be computed from enough traffic.",
        "RC4 wordt geweigerd",
         "De uitvoer van RC4 is scheef verdeeld: wat vaak wordt gestuurd, zoals een cookie, is uit genoeg verkeer te"
         " berekenen.",
        f"{TITLE}, section 3.3.4", "RFC 7465",
    ),
    _suite_row(
        "no-small-blocks", Severity.HIGH, "3DES:IDEA:RC2",
        "Ciphers with blocks of 64 bits (3DES, IDEA, RC2) are refused",
         "With blocks of 64 bits two equal ones turn up after some tens of gigabytes, and give away what was in them"
         " (Sweet32).",
        "Versleuteling met blokken van 64 bits (3DES, IDEA, RC2) wordt geweigerd",
         "Met blokken van 64 bits komen er na enkele tientallen gigabytes twee gelijke voor, en die verraden wat erin"
         " zat (Sweet32).",
        f"{TITLE}, section 3.3.4", "CVE-2016-2183",
    ),
    _suite_row(
        "forward-secrecy", Severity.HIGH, "kRSA",
        "A stolen key does not open yesterday's traffic",
         "With RSA key transport the private key decrypts everything that was ever recorded. A key made anew for each"
         " connection (ECDHE) cannot be stolen afterwards.",
        "Een gestolen sleutel opent het verkeer van gisteren niet",
         "Bij RSA-sleuteltransport ontcijfert de privésleutel alles wat ooit is opgenomen. Een sleutel die per"
         " verbinding nieuw wordt gemaakt (ECDHE) is achteraf niet te stelen.",
        f"{TITLE}, section 3.3.3", "RFC 9325 section 4.1",
    ),
    _suite_row(
        "no-shared-secrets", Severity.MEDIUM, "PSK:SRP",
        "No suite rests on a shared secret or password",
         "PSK, SRP and Kerberos suites prove identity with a secret that both sides hold, and that many tend to hold.",
        "Geen enkele suite rust op een gedeeld geheim of wachtwoord",
         "PSK-, SRP- en Kerberos-suites bewijzen wie er is met een geheim dat beide kanten hebben, en vaak velen.",
        f"{TITLE}, section 3.3.3",
    ),
    _suite_row(
        "no-short-tags", Severity.LOW, "AESCCM8",
        "Every message carries a seal of full length",
         "CCM_8 seals a message with 64 bits instead of 128: meant for tiny devices, easier to forge.",
        "Elk bericht draagt een zegel van volle lengte",
         "CCM_8 verzegelt een bericht met 64 bits in plaats van 128: bedoeld voor heel kleine apparaten, en eerder te"
         " vervalsen.",
        f"{TITLE}, section 3.3.4", "RFC 9325 section 4.2",
    ),
    _suite_row(
        "no-sha1-mac", Severity.MEDIUM, "SHA1",
        "No suite seals with SHA-1 or MD5",
         "The NCSC counts every suite with a SHA-1 seal as insufficient since 2025.",
        "Geen enkele suite verzegelt met SHA-1 of MD5",
         "Het NCSC telt elke suite met een SHA-1-zegel sinds 2025 als onvoldoende.",
        f"{TITLE}, appendix B",
    ),
    _suite_row(
        "no-cbc", Severity.LOW, "SHA256:SHA384",
        "No suite encrypts in CBC mode",
         "In CBC mode the seal is checked last: time and again that led to attacks that measure how long it takes"
         " (Lucky Thirteen). The NCSC phases it out.",
        "Geen enkele suite versleutelt in CBC-modus",
         "In CBC-modus wordt het zegel als laatste gecontroleerd: dat gaf steeds weer aanvallen die meten hoe lang dat"
         " duurt (Lucky Thirteen). Het NCSC faseert het uit.",
        f"{TITLE}, section 3.3.4", "CVE-2013-0169",
    ),
    _suite_row(
        "no-rare-ciphers", Severity.LOW, "CAMELLIA:ARIA:SEED",
        "Only ciphers that everyone examines are offered",
         "Camellia, ARIA, SEED, GOST and the like are hardly used: less examined, and code that nobody misses.",
        "Alleen versleuteling die iedereen onderzoekt, wordt aangeboden",
         "Camellia, ARIA, SEED, GOST en dergelijke worden nauwelijks gebruikt: minder onderzocht, en code die niemand"
         " mist.",
        f"{TITLE}, section 3.3.4",
    ),
)  # fmt: skip
def suite_refused(offer: TlsOffer, *, row: Row) -> Verdict:
    """Suites of a kind are refused."""
    suites = offer.all_suites
    bad = [suite.name for suite in suites.seen if _FORBIDDEN[row.id](suite)]
    if bad:
        return holds(False, _named(bad), "none")
    whole = suites.whole
    if not whole:
        raise Absent("this port accepts no suite at all")
    return holds(True, f"none among {len(whole)} suites", "none")


def _judged_suites(offer: TlsOffer, guideline: str) -> Part[tuple[Judged, ...]]:
    suites = offer.all_suites
    return Part(tuple(judged(guideline, "suite", one.name) for one in suites.seen), suites.gap, suites.cause)


@check(
    "tls.suites-sufficient",
    principle=(SECURE_DESIGN, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Geen aangeboden suite is volgens het NCSC onvoldoende",
    why_nl="De zwakste suite telt: een aanvaller stuurt daarop aan, ook als de meeste bezoekers iets beters krijgen.",
    fix=_SET,
    verify="keurmeester explain tls.suites-sufficient --target HOST",
    references=(f"{TITLE}, appendix B",),
)
def suites_sufficient(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """No suite offered is insufficient according to the NCSC.

    The weakest suite counts: an attacker steers for it, even when most visitors get something better.
    """
    return _all_good(_judged_suites(offer, guideline), Level.PHASE_OUT, "suites")


@check(
    "tls.suites-not-phased-out",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Geen aangeboden suite is volgens het NCSC uit te faseren",
    why_nl="Wat uit te faseren is, houdt nog stand; haal het weg bij de volgende wijziging, vóór het moet.",
    fix=_SET,
    verify="keurmeester explain tls.suites-not-phased-out --target HOST",
    references=(f"{TITLE}, appendix B",),
)
def suites_not_phased_out(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """No suite offered is to be phased out according to the NCSC.

    What is to be phased out still holds; take it away at the next change, before it must go.
    """
    return _all_good(_judged_suites(offer, guideline), Level.SUFFICIENT, "suites")


@check(
    "tls.good-suite-offered",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Er wordt een suite aangeboden die volgens het NCSC goed is",
    why_nl="Wie het sterkste wil gebruiken, moet dat kunnen: TLS 1.3 met AES-256-GCM of ChaCha20-Poly1305.",
    fix=_SET,
    verify="openssl s_client -connect HOST:PORT -tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384 </dev/null",
    references=(f"{TITLE}, appendix B",),
)
def good_suite_offered(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """A suite is offered that is good according to the NCSC.

    Who wants to use the strongest must be able to: TLS 1.3 with AES-256-GCM or ChaCha20-Poly1305.
    """
    suites = _judged_suites(offer, guideline)
    good = [one.item for one in suites.seen if one.level is Level.GOOD]
    if not good:
        _ = suites.whole
    return holds(bool(good), f"good: {_named(good) or 'none'}", "at least one")


@check(
    "tls.good-suites-first",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De server kiest zelf, en het sterkste eerst",
    why_nl=(
        "Zolang er zwakkere suites worden aangeboden, moet de server ze pas nemen als het niet anders kan. Anders"
        " kiest de bezoeker, of wie ertussen zit."
    ),
    fix="# nginx: ssl_prefer_server_ciphers on;    Apache: SSLHonorCipherOrder on\nsystemctl reload nginx",
    verify="keurmeester explain tls.good-suites-first --target HOST",
    references=(f"{TITLE}, appendix B (order of suites)",),
)
def good_suites_first(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """The server chooses, and the strongest first.

    As long as weaker suites are offered, the server should take them only when there is no other way. Otherwise the
    visitor chooses, or whoever sits in between. Not asked of TLS 1.3, nor where all suites are at least sufficient.
    """
    older = {name: part for name, part in offer.order.items() if name != "TLSv1.3"}
    levels = {
        name: [judged(guideline, "suite", suite.name).level for suite in part.whole]
        for name, part in older.items()
    }
    weak = [
        name for name, found in levels.items() if not all(one.at_least(Level.SUFFICIENT) for one in found)
    ]
    if not weak:
        raise Absent("every suite before TLS 1.3 is at least sufficient, so their order does not matter")
    several = [name for name in weak if len(levels[name]) > 1]
    if not several:
        raise Absent("there is but one suite per version, so nothing to order")
    if not offer.server_order["older"].whole:
        return holds(False, "the visitor's order counts", "the server's")
    ranks = list(Level)
    wrong = [name for name in several if levels[name] != sorted(levels[name], key=ranks.index)]
    observed = f"the server's order counts; a weaker suite goes first in: {_spelled(wrong)}"
    return holds(not wrong, observed, "good and sufficient, then to be phased out, then insufficient")


# --- key exchange ---------------------------------------------------------------------------------------------


def _judged_groups(offer: TlsOffer, guideline: str) -> Part[tuple[Judged, ...]]:
    """The groups offered, those of DHE by the name of their prime; an own prime has none that is listed."""
    groups, primes = offer.all_groups, offer.primes
    names = [one.name for one in groups.seen] + [
        one.name or f"own prime of {one.bits} bits" for one in primes.seen
    ]
    gap, cause = (groups.gap, groups.cause) if groups.gap else (primes.gap, primes.cause)
    return Part(tuple(judged(guideline, "group", name) for name in dict.fromkeys(names)), gap, cause)


_GROUPS: Final = (
    "# nginx: ssl_ecdh_curve X25519MLKEM768:X25519:prime256v1:secp384r1;    (the first needs OpenSSL 3.5)\n"
    "# Apache: SSLOpenSSLConfCmd Curves X25519MLKEM768:X25519:prime256v1:secp384r1\n"
    "systemctl reload nginx"
)


@check(
    "tls.groups-sufficient",
    principle=(SECURE_DESIGN, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Geen aangeboden groep voor sleuteluitwisseling is volgens het NCSC onvoldoende",
    why_nl="Een te kleine of zelfgemaakte groep is te breken, en daarmee elke verbinding die hem gebruikt.",
    fix=_GROUPS,
    verify="keurmeester explain tls.groups-sufficient --target HOST",
    references=(f"{TITLE}, sections 3.3.2.1 and 3.3.3.1",),
)
def groups_sufficient(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """No group for key exchange is insufficient according to the NCSC.

    A group that is too small or home-made can be broken, and with it every connection that uses it.
    """
    return _all_good(_judged_groups(offer, guideline), Level.PHASE_OUT, "groups")


@check(
    "tls.groups-not-phased-out",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Geen aangeboden groep voor sleuteluitwisseling is volgens het NCSC uit te faseren",
    why_nl="Gewone Diffie-Hellman (DHE) is traag en lastig goed in te stellen; elliptische krommen doen het beter.",
    fix=_GROUPS,
    verify="keurmeester explain tls.groups-not-phased-out --target HOST",
    references=(f"{TITLE}, sections 3.3.2.1 and 3.3.3.1",),
)
def groups_not_phased_out(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """No group for key exchange is to be phased out according to the NCSC.

    Plain Diffie-Hellman (DHE) is slow and hard to set well; elliptic curves do better.
    """
    return _all_good(_judged_groups(offer, guideline), Level.SUFFICIENT, "groups")


@check(
    "tls.dh-group-size",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het priemgetal voor Diffie-Hellman is groot genoeg",
    why_nl="Een priemgetal van 1024 bits is voor een staat te breken, en daarna elke verbinding ermee (Logjam).",
    fix="# nginx: ssl_ciphers without DHE; or ssl_dhparam FILE with ffdhe3072 of RFC 7919\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_2 -cipher 'kDHE:@SECLEVEL=0' </dev/null | grep 'Temp Key'",
    references=(f"{TITLE}, section 3.3.3.1", "CVE-2015-4000"),
)
def dh_group_size(
    offer: TlsOffer, *, bits: Annotated[int, "bits that the prime must have at least"] = 3072
) -> Verdict:
    """The prime for Diffie-Hellman is large enough.

    A prime of 1024 bits can be broken by a state, and after that every connection that uses it (Logjam).
    """
    small = [f"{one.bits} bits ({one.name or 'own'})" for one in offer.primes.seen if one.bits < bits]
    if small:
        return holds(False, _named(small), f"{bits} bits")
    primes = offer.primes.whole
    if not primes:
        raise Absent("no suite with plain Diffie-Hellman is accepted")
    return holds(True, _named(f"{one.bits} bits ({one.name or 'own'})" for one in primes), f"{bits} bits")


@check(
    "tls.dh-group-standard",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Diffie-Hellman gebruikt een groep waarvan bewezen is dat hij deugt",
    why_nl="Of een eigen priemgetal deugt, kan een bezoeker niet zien: er kan een achterdeur in zitten.",
    fix="# nginx: ssl_ciphers without DHE; or ssl_dhparam FILE with ffdhe3072 of RFC 7919\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_2 -cipher 'kDHE:@SECLEVEL=0' </dev/null | grep 'Temp Key'",
    references=(f"{TITLE}, section 3.3.3.1", "RFC 7919"),
)
def dh_group_standard(offer: TlsOffer) -> Verdict:
    """Diffie-Hellman uses a group that is proved to be sound.

    A visitor cannot see whether a prime of one's own is sound: there can be a back door in it.
    """
    own = [f"{one.bits} bits" for one in offer.primes.seen if not one.name.startswith("ffdhe")]
    if own:
        return holds(False, f"not of RFC 7919: {_named(own)}", "a group of RFC 7919")
    primes = offer.primes.whole
    if not primes:
        raise Absent("no suite with plain Diffie-Hellman is accepted")
    return holds(True, _named(one.name for one in primes), "a group of RFC 7919")


@check(
    "tls.post-quantum",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Er wordt een sleuteluitwisseling aangeboden die ook tegen een quantumcomputer bestand is",
    why_nl=(
        "Wat nu wordt opgenomen, kan later worden ontcijferd. Gegevens die lang geheim moeten blijven, vragen nu al"
        " om een hybride uitwisseling (X25519MLKEM768)."
    ),
    fix=_GROUPS,
    verify="openssl s_client -connect HOST:PORT -tls1_3 -groups X25519MLKEM768 </dev/null    # OpenSSL 3.5 or newer",
    references=(f"{TITLE}, section 3.3.3", "NIST FIPS 203"),
)
def post_quantum(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """A key exchange is offered that withstands a quantum computer too.

    What is recorded now can be decrypted later. Data that must stay secret for long asks for a hybrid exchange today.
    """
    groups = offer.groups["TLSv1.3"]
    hybrid = [one.name for one in groups.seen if one.kind == "hybrid"]
    if not hybrid:
        _ = groups.whole
    return holds(
        bool(hybrid), f"offered: {_named(one.name for one in groups.seen) or 'no TLS 1.3'}", "a hybrid group"
    )


_HASHES: Final = "signature hash"


@check(
    "tls.handshake-signature",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De server ondertekent zijn sleuteluitwisseling met een sterke hashfunctie",
    why_nl="Met SHA-1 of MD5 is een handtekening te vervalsen: dan zit een ander ongemerkt aan de andere kant.",
    fix="# openssl.cnf: SignatureAlgorithms = ECDSA+SHA256:RSA-PSS+SHA256:ECDSA+SHA384\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_2 -sigalgs RSA+SHA1:ECDSA+SHA1 </dev/null",
    references=(f"{TITLE}, section 3.3.5", "RFC 9155"),
)
def handshake_signature(offer: TlsOffer, *, guideline: Guideline = CURRENT) -> Verdict:
    """The server signs its key exchange with a strong hash function.

    With SHA-1 or MD5 a signature can be forged: then another sits at the other end unnoticed. RSASSA-PSS is judged by
    its hash; Ed25519 and Ed448 have their own.
    """
    schemes = [scheme for part in offer.schemes.values() for scheme in part.seen]
    old = [name for name in offer.accepted.seen if name in {"SSLv3", "TLSv1", "TLSv1.1"}]
    if not schemes and old and not offer.version["TLSv1.2"].seen:
        return holds(False, f"{_spelled(old)} sign with MD5 and SHA-1", "SHA-256 or more")
    seen = tuple(judged(guideline, _HASHES, scheme.hash) for scheme in schemes if scheme.hash)
    part = next((one for one in offer.schemes.values() if one.gap), None)
    worse = _all_good(Part(seen, part.gap, part.cause) if part else Part(seen), Level.PHASE_OUT, "hashes")
    if not worse.passed:
        weak = [one.name for one in schemes if one.hash in {"SHA-1", "MD5"}] or [one.name for one in schemes]
        return holds(False, f"signs with {_named(weak)}", worse.expected)
    return holds(True, f"signs with {_named(dict.fromkeys(one.name for one in schemes))}", worse.expected)


# --- settings -------------------------------------------------------------------------------------------------


@check(
    "tls.compression-off",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Compressie van TLS staat uit",
    why_nl="Gecomprimeerd verkeer verraadt aan zijn lengte wat erin staat, zoals een sessiecookie (CRIME).",
    fix="# Apache: SSLCompression off    OpenSSL 1.1 and newer: off unless it is turned on\nsystemctl reload apache2",
    verify="openssl s_client -connect HOST:PORT -tls1_2 </dev/null | grep Compression",
    references=(f"{TITLE}, section 3.4.1", "CVE-2012-4929"),
)
def compression_off(offer: TlsOffer) -> Verdict:
    """Compression of TLS is off.

    Compressed traffic gives away by its length what is in it, such as a session cookie (CRIME).
    """
    if not offer.compression.seen:
        _ = offer.compression.whole
    return holds(
        not offer.compression.seen, f"compression {'on' if offer.compression.seen else 'off'}", "off"
    )


def _old_setting(part: Part[bool | None], what: str) -> bool:
    """Whether it is so up to TLS 1.2. Raises Absent where only TLS 1.3 is spoken, Blind when not established."""
    if part.whole is None:
        raise Absent(f"{what} does not exist in TLS 1.3, and nothing older is spoken")
    return part.whole


@check(
    "tls.secure-renegotiation",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Heronderhandelen is beveiligd",
    why_nl="Zonder die beveiliging kan wie ertussen zit zijn eigen opdracht vóór die van de bezoeker zetten.",
    fix="apt-get install --only-upgrade openssl    # has it since 0.9.8m; remove UnsafeLegacyRenegotiation",
    verify="openssl s_client -connect HOST:PORT -tls1_2 </dev/null | grep 'Secure Renegotiation'",
    references=(f"{TITLE}, section 3.4.2", "RFC 5746", "CVE-2009-3555"),
)
def secure_renegotiation(offer: TlsOffer) -> Verdict:
    """Renegotiation is secured.

    Without that, someone in between can put an order of their own before the visitor's.
    """
    told = _old_setting(offer.secure_renegotiation, "renegotiation")
    return holds(told, f"renegotiation_info {'sent' if told else 'not sent'}", "sent")


@check(
    "tls.extended-master-secret",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De sleutel van een verbinding hangt vast aan de hele onderhandeling (extended master secret)",
    why_nl="Anders kan wie ertussen zit twee verbindingen dezelfde sleutel geven (Triple Handshake).",
    fix="apt-get install --only-upgrade openssl    # OpenSSL 1.1.0, GnuTLS 3.4, Java 11 and newer have it",
    verify="openssl s_client -connect HOST:PORT -tls1_2 </dev/null | grep 'Extended master secret'",
    references=(f"{TITLE}, section 4.1", "RFC 7627"),
)
def extended_master_secret(offer: TlsOffer) -> Verdict:
    """The key of a connection is tied to the whole negotiation (extended master secret).

    Otherwise someone in between can give two connections the same key (Triple Handshake).
    """
    told = _old_setting(offer.extended_master_secret, "the extended master secret")
    return holds(told, f"extended_master_secret {'sent' if told else 'not sent'}", "sent")


@check(
    "tls.encrypt-then-mac",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Waar nog CBC wordt gebruikt, gaat verzegelen ná versleutelen",
    why_nl="Dan wordt een vervalst bericht weggegooid vóór het wordt ontcijferd, en valt er niets te meten.",
    fix=_SET,
    verify="keurmeester explain tls.encrypt-then-mac --target HOST",
    references=("RFC 7366",),
)
def encrypt_then_mac(offer: TlsOffer) -> Verdict:
    """Where CBC is still used, sealing comes after encrypting.

    Then a forged message is thrown away before it is decrypted, and there is nothing to measure.
    """
    if not any(suite.cipher.endswith("-CBC") for suite in offer.all_suites.seen):
        _ = offer.all_suites.whole
        raise Absent("no suite in CBC mode is accepted")
    told = bool(offer.encrypt_then_mac.whole)
    return holds(told, f"encrypt_then_mac {'sent' if told else 'not sent'}", "sent")


@check(
    "tls.no-heartbeat",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De heartbeat-uitbreiding staat uit",
    why_nl="Niemand gebruikt hem, en door een fout erin lekte het geheugen van half internet (Heartbleed).",
    fix="apt-get install --only-upgrade openssl    # OpenSSL 1.1.1 and newer do not have it any more",
    verify="openssl s_client -connect HOST:PORT -tls1_2 -tlsextdebug </dev/null | grep -i heartbeat",
    references=("RFC 6520", "CVE-2014-0160"),
)
def no_heartbeat(offer: TlsOffer) -> Verdict:
    """The heartbeat extension is off.

    Nobody uses it, and a mistake in it leaked the memory of half the internet (Heartbleed). Only seen is whether it is
    there, not whether it leaks.
    """
    told = _old_setting(offer.heartbeat, "heartbeat over TCP")
    return holds(not told, f"heartbeat {'offered' if told else 'not offered'}", "not offered")


@check(
    "tls.fallback-refused",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Wie terugvalt op een oudere versie, wordt gewaarschuwd",
    why_nl=(
        "Wie ertussen zit, kan een bezoeker met storingen naar een oudere versie duwen. De server hoort te zeggen dat"
        " er iets beters is (TLS_FALLBACK_SCSV)."
    ),
    fix="apt-get install --only-upgrade openssl    # OpenSSL 1.0.1j and newer have it; or offer one version only",
    verify="openssl s_client -connect HOST:PORT -tls1_2 -fallback_scsv </dev/null",
    references=("RFC 7507",),
)
def fallback_refused(offer: TlsOffer) -> Verdict:
    """Who falls back to an older version is warned.

    Someone in between can push a visitor to an older version with disturbances. The server should say that there is
    something better (TLS_FALLBACK_SCSV). TLS 1.3 guards itself; what counts is the newest version below it.
    """
    refused = offer.fallback_refused.whole
    if refused is None:
        raise Absent("only one version is spoken: there is nothing to fall back to")
    return holds(refused, f"falling back is {'refused' if refused else 'accepted without a word'}", "refused")


@check(
    "tls.no-early-data",
    principle=DEFAULT_DENY,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Vroege gegevens (0-RTT) worden niet aangenomen",
    why_nl=(
        "Wat een bezoeker al bij het aankloppen stuurt, kan wie ertussen zit herhalen: een opdracht wordt dan twee keer"
        " uitgevoerd."
    ),
    fix="# nginx: ssl_early_data off;    Apache: does not have it\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -tls1_3 -sess_out /tmp/s </dev/null | grep 'Max Early Data'",
    references=(f"{TITLE}, section 3.4.4", "RFC 8446 section 8"),
)
def no_early_data(offer: TlsOffer) -> Verdict:
    """Early data (0-RTT) is not accepted.

    What a visitor sends along with the first knock can be repeated by someone in between: an order is then carried out
    twice.
    """
    size = offer.early_data.whole
    if size is None:
        raise Absent("TLS 1.3 is not spoken, and nothing older has early data")
    return holds(size == 0, f"early data: {f'{size} bytes' if size else 'off'}", "off")


@check(
    "tls.client-renegotiation",
    principle=FAIL_SECURE,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="Een bezoeker kan niet laten heronderhandelen",
    why_nl=(
        "Heronderhandelen kost de server veel meer dan de bezoeker: wie dat onbeperkt mag, legt de dienst plat met een"
        " enkele computer."
    ),
    fix="apt-get install --only-upgrade nginx    # nginx, Apache and OpenSSL 3 refuse it unless told otherwise",
    verify="printf 'R\\n' | openssl s_client -connect HOST:PORT -tls1_2",
    references=(f"{TITLE}, section 3.4.2", "CVE-2011-1473"),
)
def client_renegotiation(offer: TlsOffer) -> Verdict:
    """A visitor cannot make the server negotiate anew.

    That costs the server much more than the visitor: who may do it without end brings the service down with a single
    computer. One is asked for; how many more would be allowed is not tried. Up to ten the NCSC counts as sufficient.
    """
    allowed = _old_setting(offer.renegotiation, "renegotiation")
    return holds(
        not allowed, f"a renegotiation by the client is {'accepted' if allowed else 'refused'}", "refused"
    )


@check(
    "tls.starttls-offered",
    principle=(DATA_FIRST, SECURE_DEFAULT),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Waar de inventaris TLS na STARTTLS belooft, wordt dat aangeboden",
    why_nl="Zonder STARTTLS gaat alles leesbaar over het net, ook als iedereen denkt dat het versleuteld is.",
    fix="# give the service a certificate; Postfix: smtpd_tls_security_level = may; PostgreSQL: ssl = on",
    verify="openssl s_client -connect HOST:PORT -starttls PROTOCOL </dev/null",
    references=("RFC 8314", "BIO2 1.3, measure 8.21.04"),
)
def starttls_offered(upgrade: StartTls, target: Target) -> Verdict:
    """Where the inventory promises TLS after STARTTLS, it is offered.

    Without STARTTLS all goes readable over the network, even when everyone thinks that it is encrypted.
    """
    promised = any(one.port == upgrade.port and (one.tls or one.starttls) for one in target.services or ())
    if not promised:
        raise Absent("the inventory does not promise TLS here")
    said = f"{upgrade.protocol}: {'offered' if upgrade.offered else upgrade.said}"
    return holds(upgrade.offered, said, "offered")


@check(
    "tls.unknown-name",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.APPLICATION,
    title_nl="Een onbekende naam krijgt niet het certificaat van de dienst",
    why_nl=(
        "Wie met een verzonnen naam toch de dienst krijgt, kan hem vinden zonder zijn naam te kennen, en er een eigen"
        " naam naar laten wijzen."
    ),
    fix="# nginx: server { listen 443 ssl default_server; ssl_reject_handshake on; }\nsystemctl reload nginx",
    verify="openssl s_client -connect HOST:PORT -servername no-such-name.invalid </dev/null",
    references=("RFC 6066 section 3", "RFC 9525 section 7.4"),
)
def unknown_name(offer: TlsOffer) -> Verdict:
    """An unknown name does not get the certificate of the service.

    Who gets the service with a made-up name can find it without knowing its name, and let a name of their own point to
    it. Another certificate, or an alert, is a refusal.
    """
    if not offer.name:
        raise Absent("the inventory gives no name for this service, so every name is unknown")
    right, unknown = offer.shown["right"].whole, offer.shown["unknown"].whole
    if not right.chain or not (unknown.chain or unknown.alert):
        raise NotUnderstood(f"no certificate to compare: the right name gets {right.alert or right.suite}")
    same = unknown.chain[:1] == right.chain[:1]
    said = "the same certificate" if same else unknown.alert or "another certificate"
    return holds(not same, f"no-such-name.invalid gets: {said}", "an alert or another certificate")


@check(
    "tls.twins-alike",
    principle=NO_GAP,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Tweelingen bieden dezelfde versies, suites en groepen aan",
    why_nl="Verschilt er een, dan is een wijziging niet overal doorgevoerd, en kiest een aanvaller de zwakste.",
    fix="diff <(ssh HOST1 nginx -T) <(ssh HOST2 nginx -T)    # then roll out one configuration for both",
    verify="keurmeester explain tls.twins-alike",
    references=("BIO2 1.3, control 8.09",),
    within="cluster",
)
def twins_alike(offers: Fleet[TlsOffer]) -> Verdict:
    """Twins offer the same versions, suites and groups.

    When one differs, a change was not made everywhere, and an attacker chooses the weakest.
    """
    odd = offers.odd_ones(_policy)
    return holds(not odd, f"differing: {', '.join(odd) or 'none'} of {len(offers)}", "none")


def _policy(found: object) -> object:
    """All that a target's ports offer, to compare; what one port shows is whole or the comparison is blind."""
    offers: tuple[TlsOffer, ...] = found  # type: ignore[assignment]
    return frozenset(
        (
            one.port,
            one.accepted.whole,
            frozenset(suite.code for suite in one.all_suites.whole),
            frozenset(group.code for group in one.all_groups.whole),
        )
        for one in offers
    )


# --- examples -------------------------------------------------------------------------------------------------

_LISTENS: Final = 'tcp LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("nginx",pid=701,fd=6))\n'
_NEW: Final = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
_GOOD_OLD: Final = (
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
)
_CBC: Final = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"
#: Of nobody's, and in the sizes of old.
_OWN_PRIME: Final = (1 << 2047 | 0x1234567).to_bytes(256)
_SMALL_PRIME: Final = (1 << 1023 | 0x1234567).to_bytes(128)
_LARGE_PRIME: Final = (1 << 3071 | 0x1234567).to_bytes(384)


def _walk(
    old: tuple[str, ...] = _GOOD_OLD,
    new: tuple[str, ...] = _NEW,
    *,
    more: dict[str, tuple[str, ...]] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """An example: what a port answers that speaks these suites in TLS 1.2 and 1.3, and ``more`` in other versions."""
    suites = {name: found for name, found in (("TLSv1.3", new), ("TLSv1.2", old)) if found} | (more or {})
    return {
        "sockets": _LISTENS,
        "walk": partial(_offered, tuple(suites.items()), tuple(rest.items())),
        "target": {"services": [{"port": 443, "tls": True, "server_name": "www.example.nl"}]},
    }


@lru_cache(maxsize=128)
def _offered(suites: tuple[tuple[str, tuple[str, ...]], ...], rest: tuple[tuple[str, Any], ...]) -> bytes:
    from checks.network import example_tls
    from scanner import tlswire

    options = {"chain": (b"a certificate",), **dict(rest)}
    if options.get("prime") == "ffdhe3072":
        options["prime"] = example_tls.ffdhe3072()
    known = {
        "renegotiation_info": tlswire.RENEGOTIATION_INFO,
        "extended_master_secret": tlswire.EXTENDED_MASTER_SECRET,
        "encrypt_then_mac": tlswire.ENCRYPT_THEN_MAC,
        "heartbeat": tlswire.HEARTBEAT,
    }
    options["extensions"] = tuple(known[name] for name in options.get("extensions", _SOUND))
    return example_tls.Server(dict(suites), **options).walk()


def _cut(example: dict[str, Any], ask: str) -> dict[str, Any]:
    """The same, but no answer to one question came in time."""
    suites, rest = example["walk"].args
    return {**example, "walk": partial(_offered, suites, (*rest, ("silent", (ask,))))}


def _plain() -> bytes:
    from checks.network import example_tls

    return example_tls.plain()


_SOUND: Final = ("renegotiation_info", "extended_master_secret", "encrypt_then_mac")
_GOOD: Final = _walk()
_ONLY_NEW: Final = _walk(old=())
_MODERN: Final = _walk(groups=("X25519MLKEM768", "x25519", "secp256r1"))

examples(
    protocol,
    passes=[_GOOD, _ONLY_NEW, _walk(new=())],
    fails=_walk((), (), more={"TLSv1": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}),
    unknown={**_GOOD, "walk": _plain},
    error=_cut(_walk((), (), more={"TLSv1": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}), "suites TLSv1.2"),
)
examples(newest_protocol, passes=_GOOD, fails=_walk(new=()), error=_cut(_walk(new=()), "suites TLSv1.3"))
for _id, _name in _OLD.items():
    _bad = "SSL_CK_RC4_128_WITH_MD5" if _name == "SSLv2" else "TLS_RSA_WITH_AES_128_CBC_SHA"
    examples(
        _id,
        passes=[_GOOD, _walk(hangs_up="reset")],
        fails=[_walk(more={_name: (_bad,)}), _walk(more={_name: (_bad,)}, hangs_up="reset")],
        error=[_cut(_GOOD, f"suites {_name}"), _cut(_walk(hangs_up="reset"), f"suites {_name}")],
    )
examples(
    versions_sufficient,
    passes=[_GOOD, _ONLY_NEW],
    fails=_walk(more={"TLSv1.1": ("TLS_RSA_WITH_AES_128_CBC_SHA",)}),
    error=_cut(_GOOD, "suites TLSv1.1"),
)
_EACH: Final = {
    "tls.no-null": "TLS_RSA_WITH_NULL_SHA256",
    "tls.no-anonymous": "TLS_ECDH_anon_WITH_AES_128_CBC_SHA",
    "tls.no-export": "TLS_RSA_WITH_DES_CBC_SHA",
    "tls.no-rc4": "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "tls.no-small-blocks": "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "tls.forward-secrecy": "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "tls.no-shared-secrets": "TLS_PSK_WITH_AES_256_GCM_SHA384",
    "tls.no-short-tags": "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    "tls.no-sha1-mac": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "tls.no-cbc": _CBC,
    "tls.no-rare-ciphers": "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_GCM_SHA384",
}
for _id, _name in _EACH.items():
    examples(
        _id, passes=[_GOOD, _ONLY_NEW], fails=_walk((*_GOOD_OLD, _name)), error=_cut(_GOOD, "suites TLSv1.2")
    )
examples(
    suites_sufficient,
    passes=[_GOOD, _walk((*_GOOD_OLD, _CBC))],
    fails=_walk((*_GOOD_OLD, "TLS_RSA_WITH_AES_128_GCM_SHA256")),
    error=_cut(_GOOD, "suites TLSv1.3"),
)
examples(suites_not_phased_out, passes=_GOOD, fails=_walk((*_GOOD_OLD, _CBC)))
examples(good_suite_offered, passes=_GOOD, fails=[_walk(new=()), _walk(new=("TLS_AES_128_GCM_SHA256",))])
examples(
    good_suites_first,
    passes=_walk((*_GOOD_OLD, _CBC)),
    fails=[_walk((_CBC, *_GOOD_OLD)), _walk((*_GOOD_OLD, _CBC), own_order=False)],
    notapplicable=[_GOOD, _walk((_CBC,))],
    error=_cut(_walk((*_GOOD_OLD, _CBC)), "order TLSv1.2"),
)
_DHE: Final = ("TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",)
examples(
    groups_sufficient,
    passes=[_GOOD, _MODERN],
    fails=[_walk(groups=("x25519", "sect571r1")), _walk(_DHE, prime=_OWN_PRIME)],
    error=_cut(_GOOD, "groups TLSv1.2"),
)
examples(
    groups_not_phased_out,
    passes=_GOOD,
    fails=[_walk(groups=("x25519", "secp224r1")), _walk(_DHE, prime=_OWN_PRIME)],
)
examples(
    dh_group_size,
    passes=_walk(_DHE, prime=_LARGE_PRIME),
    fails=[_walk(_DHE, prime=_SMALL_PRIME), _walk(_DHE, prime=_OWN_PRIME)],
    notapplicable=[_GOOD, _ONLY_NEW],
    error=_cut(_GOOD, "suites TLSv1.2"),
)
examples(
    dh_group_standard,
    passes=_walk(_DHE, prime="ffdhe3072"),
    fails=_walk(_DHE, prime=_LARGE_PRIME),
    notapplicable=_GOOD,
)
examples(post_quantum, passes=_MODERN, fails=[_GOOD, _walk(new=())], error=_cut(_GOOD, "groups TLSv1.3"))
examples(
    handshake_signature,
    passes=[_GOOD, _walk(schemes=("ed25519", "rsa_pss_pss_sha512"))],
    fails=[
        _walk(schemes=("ecdsa_secp256r1_sha256", "rsa_pkcs1_sha1")),
        _walk((), (), more={"TLSv1": ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",)}),
    ],
    error=_cut(_GOOD, "schemes TLSv1.2"),
)
examples(compression_off, passes=_GOOD, fails=_walk(compression=True))
examples(secure_renegotiation, passes=_GOOD, fails=_walk(extensions=()), notapplicable=_ONLY_NEW)
examples(extended_master_secret, passes=_GOOD, fails=_walk(extensions=()), notapplicable=_ONLY_NEW)
examples(
    encrypt_then_mac,
    passes=_walk((_CBC,)),
    fails=_walk((_CBC,), extensions=()),
    notapplicable=[_GOOD, _ONLY_NEW],
)
examples(no_heartbeat, passes=_GOOD, fails=_walk(extensions=(*_SOUND, "heartbeat")), notapplicable=_ONLY_NEW)
examples(
    fallback_refused,
    passes=_GOOD,
    fails=_walk(fallback_refused=False),
    notapplicable=_ONLY_NEW,
    error=_cut(_GOOD, "fallback TLSv1.2"),
)
examples(
    no_early_data,
    passes=_GOOD,
    fails=_walk(early_data=16384),
    notapplicable=_walk(new=()),
)


def _before_tls(said: bytes) -> dict[str, Any]:
    """An example: PostgreSQL on 5432, which the inventory promises TLS of, says this to a request for it."""
    return {
        "sockets": "tcp LISTEN 0 244 0.0.0.0:5432 0.0.0.0:*\n",
        "walk": write([Exchange("chain", (Turn(_SSL_REQUEST, said),), "done")]),
        "target": {"services": [{"port": 5432, "name": "postgresql", "tls": True}]},
    }


_SSL_REQUEST: Final = b"\0\0\0\x08\x04\xd2\x16\x2f"


def _upgraded() -> bytes:
    """The same server, when it goes on in TLS."""
    asked = Turn(_SSL_REQUEST, b"S")
    said = exchanges(Raw(out=_offered((("TLSv1.3", _NEW),), ())))
    return write(replace(one, turns=(asked, *one.turns)) for one in said)


def _renegotiating(how: str) -> dict[str, Any]:
    """An example: a server that answers as OpenSSL does to a client that wants to begin anew."""

    def walk() -> bytes:
        from checks.network import example_renegotiation

        (recorded,) = exchanges(Raw(out=f"{getattr(example_renegotiation, how)}\n".encode()))
        said = exchanges(Raw(out=_GOOD["walk"]()))
        return write([*(one for one in said if one.ask != recorded.ask), recorded])

    return {**_GOOD, "walk": walk}


examples(
    client_renegotiation,
    passes=_renegotiating("REFUSED"),
    fails=_renegotiating("ACCEPTED"),
    notapplicable=_ONLY_NEW,
    error=_cut(_GOOD, "renegotiation"),
)
examples(
    starttls_offered,
    passes={**_before_tls(b""), "walk": _upgraded},
    fails=_before_tls(b"N"),
    unknown=[
        _before_tls(words)
        for words in (
            b"400 NNTP server unavailable\r\n",
            b"421 Too many connections\r\n",
            b"* BYE Maximum number of connections exceeded\r\n",
            b"-ERR Temporary failure\r\n",
            b"\x17\0\0\0\xff\x10\x04Too many connections",
            b"E\0\0\0\x30SFATAL\0C53300\0Msorry, too many clients already\0\0",
            b"<?xml version='1.0'?><stream:stream><stream:error><policy-violation/></stream:error>",
        )
    ],
    notapplicable=[
        _GOOD,
        {**_before_tls(b"N"), "target": {"services": [{"port": 5432, "starttls": "postgresql"}]}},
    ],
)
examples(
    unknown_name,
    passes=_walk(unknown_name_refused=True),
    fails=_GOOD,
    notapplicable={**_GOOD, "target": {"services": [{"port": 443, "tls": True}]}},
    unknown=[_walk(chain=()), _walk(chain=(), unknown_name_refused=True)],
    error=_cut(_GOOD, "chain for an unknown name"),
)
_TWIN: Final = {"cluster": "web", "services": [{"port": 443, "tls": True, "server_name": "www.example.nl"}]}
examples(
    twins_alike,
    passes={"@web1": {**_GOOD, "target": _TWIN}, "@web2": {**_GOOD, "target": _TWIN}},
    fails={"@web1": {**_GOOD, "target": _TWIN}, "@web2": {**_walk((*_GOOD_OLD, _CBC)), "target": _TWIN}},
    notapplicable={"@web1": {**_GOOD, "target": _TWIN}},
    error={"@web1": {**_GOOD, "target": _TWIN}, "@web2": {**_cut(_GOOD, "suites TLSv1.2"), "target": _TWIN}},
)
