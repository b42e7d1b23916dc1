"""What the key of a certificate is made of, what signed it, and what it may be used for: by what a TLS port shows."""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from checks.network import example_certificates as made
from checks.network import example_served as more
from checks.network.example_shown import given, seen
from checks.network.served import (
    ServedCertificate,
    purposes,
    signed_with,
    strength,
    value,
)
from checks.network.x509.names import shown
from scanner import (
    DEFAULT_DENY,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Layer,
    NotUnderstood,
    Severity,
    Verdict,
    check,
    examples,
    holds,
)

_NCSC: Final = "NCSC-NL, ICT-beveiligingsrichtlijnen voor TLS, version 2025-05"
_CABF: Final = "CA/Browser Forum Baseline Requirements 2.2.6"
_CURVES: Final = frozenset(
    {"secp256r1", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"}
)
#: SHA-1 and MD5 are broken for signatures; SHA-224 is on its way out.
_WEAK_HASHES: Final = frozenset({"md5", "sha1"})
_SHOW: Final = "openssl s_client -connect HOST:PORT -servername NAME </dev/null | openssl x509 -noout -text"
_REQUEST: Final = "openssl req -new -key server.key -subj / -addext 'subjectAltName=DNS:NAME' -out server.csr"


def _weak(one: x509.Certificate) -> bool:
    kind, bits = strength(one)
    if kind == "RSA":
        return bits < 2048
    return kind == "DSA" or kind not in _CURVES | {"Ed25519", "Ed448", "secp224r1"}


def _key(one: x509.Certificate) -> str:
    kind, bits = strength(one)
    return f"{kind} {bits}"


@check(
    "tls.key-strength",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="De sleutel van het certificaat is sterk genoeg",
    why_nl=(
        "Een te korte sleutel is te breken: dan is al het verkeer te lezen en doet een ander zich voor"
        " als deze server."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # then request a certificate for it",
    verify=_SHOW,
    references=(f"{_NCSC}, section 3.3.2.1", "NIST SP 800-57 Part 1 Rev. 5, table 2"),
)
def key_strength(served: ServedCertificate) -> Verdict:
    """The key of the certificate is strong enough.

    A key that is too short can be broken: then all traffic can be read, and another can pose as this server. Judged
    are the certificate and the intermediates shown: RSA of 2048 bits or an elliptic curve of 256 at least.
    """
    weak = [f"{shown(one.subject)}: {_key(one)}" for one in served.below_root if _weak(one)]
    observed = "; ".join(weak) or "; ".join(map(_key, served.below_root))
    return holds(not weak, observed, "RSA 2048, P-256 or more")


@check(
    "tls.key-not-phased-out",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="De sleutel en handtekening van het certificaat worden niet uitgefaseerd",
    why_nl=(
        "RSA met minder dan 3072 bits is volgens het NCSC 'uit te faseren': kies bij de volgende"
        " vernieuwing beter."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # then request a certificate for it",
    verify=_SHOW,
    references=(f"{_NCSC}, sections 3.3.2.1 and 3.3.5",),
)
def key_not_phased_out(served: ServedCertificate) -> Verdict:
    """The key and signature of the certificate are not being phased out.

    RSA of less than 3072 bits is "to be phased out" according to the NCSC: choose better at the next renewal.
    """
    old = [
        f"{shown(one.subject)}: {_key(one)} {signed_with(one)}"
        for one in served.below_root
        if (strength(one)[0] == "RSA" and strength(one)[1] < 3072)
        or strength(one)[0] == "secp224r1"
        or signed_with(one) == "sha224"
        or _weak(one)
    ]
    observed = "; ".join(old) or "; ".join(map(_key, served.below_root))
    return holds(not old, observed, "RSA 3072, P-256 or more, SHA-256 or more")


@check(
    "tls.signature-hash",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat is niet ondertekend met SHA-1 of MD5",
    why_nl=(
        "Van deze hashfuncties zijn botsingen gemaakt: een vals certificaat met dezelfde handtekening is"
        " dan mogelijk."
    ),
    fix="openssl req -new -sha256 -key server.key -out server.csr    # have it signed with SHA-256",
    verify=_SHOW,
    references=(f"{_NCSC}, section 3.3.5", "RFC 9155"),
)
def signature_hash(served: ServedCertificate) -> Verdict:
    """The certificate is not signed with SHA-1 or MD5.

    Collisions of these hash functions have been made: a false certificate with the same signature is then possible.
    """
    found = [(shown(one.subject), signed_with(one) or strength(one)[0]) for one in served.below_root]
    weak = [f"{who}: {digest}" for who, digest in found if digest in _WEAK_HASHES]
    observed = "; ".join(weak) or ", ".join(dict.fromkeys(digest for _, digest in found))
    return holds(not weak, observed, "SHA-256 or more")


#: Primes by which keys of the flawed library of CVE-2017-15361 are known: modulo each, the modulus is a power of 65537.
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


@cache
def _powers(prime: int) -> frozenset[int]:
    found, power = set(), 1
    while power not in found:
        found.add(power)
        power = power * 65537 % prime
    return frozenset(found)


def _flaw(modulus: int) -> str:
    """How a modulus was made wrongly, as far as it shows; nothing when it does not."""
    if all(modulus % prime in _powers(prime) for prime in _ROCA_PRIMES):
        return "made by a flawed library (ROCA, CVE-2017-15361)"
    if modulus.bit_length() > 16384:
        raise NotUnderstood("an RSA key of more than 16384 bits")
    middle = isqrt(modulus)
    for step in range(1, 101):
        difference = (middle + step) ** 2 - modulus
        if difference >= 0 and isqrt(difference) ** 2 == difference:
            return "its primes lie side by side (CVE-2022-26320)"
    return ""


@check(
    "certificates.key-generator-sound",
    principle=SECURE_DESIGN,
    severity=Severity.CRITICAL,
    layer=Layer.DATA,
    title_nl="De sleutel komt niet uit een programma waarvan de sleutels te kraken zijn",
    why_nl=(
        "Sommige kaarten, printers en programma's maakten sleutels die uit het certificaat zelf te"
        " berekenen zijn. Dan is de lengte van geen belang."
    ),
    fix="openssl ecparam -name prime256v1 -genkey -noout -out server.key    # then request a certificate for it",
    verify=_SHOW,
    references=(
        "CVE-2017-15361 (ROCA)",
        "CVE-2022-26320 (Fermat)",
    ),
)
def key_generator_sound(served: ServedCertificate) -> Verdict:
    """The key is not from a generator whose keys can be broken.

    Some cards, printers and programs made keys that can be computed from the certificate itself. Then length
    does not matter. Known here: ROCA, and primes that lie side by side.
    """
    keys = [(one, one.public_key()) for one in served.below_root]
    moduli = [
        (one, public.public_numbers().n) for one, public in keys if isinstance(public, rsa.RSAPublicKey)
    ]
    if not moduli:
        raise Absent("no RSA key is shown")
    found = [f"{shown(one.subject)}: {flaw}" for one, number in moduli if (flaw := _flaw(number))]
    return holds(
        not found, "; ".join(found) or f"{len(moduli)} RSA keys without a known flaw", "no known flaw"
    )


@check(
    "certificates.exponent-sound",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De publieke exponent van de RSA-sleutel is groot genoeg",
    why_nl=(
        "Met een kleine exponent (3) zijn berichten en handtekeningen na een foutje in de software te"
        " kraken of te vervalsen."
    ),
    fix="openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out server.key    # its exponent is 65537",
    verify=_SHOW,
    references=(
        f"{_CABF}, section 6.1.6",
        "NIST SP 800-56B Rev. 2, section 6.2",
    ),
)
def exponent_sound(served: ServedCertificate) -> Verdict:
    """The public exponent of the RSA key is large enough.

    With a small exponent (3) messages can be read and signatures forged after one slip in software. Usual is
    65537.
    """
    keys = [(one, one.public_key()) for one in served.below_root]
    numbers = [
        (one, public.public_numbers().e) for one, public in keys if isinstance(public, rsa.RSAPublicKey)
    ]
    if not numbers:
        raise Absent("no RSA key is shown")
    small = [
        f"{shown(one.subject)}: {number}" for one, number in numbers if number < 65537 or number % 2 == 0
    ]
    observed = "; ".join(small) or ", ".join(str(number)[:40] for _, number in numbers)
    return holds(not small, observed, "65537 or more, and odd")


@check(
    "certificates.key-usage",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het gebruik van de sleutel past bij een server",
    why_nl=(
        "Met de sleutel van een server wordt getekend bij het begin van elke verbinding. Staat dat niet"
        " in het certificaat, dan breken moderne programma's af."
    ),
    fix=_REQUEST.replace("-out", "-addext keyUsage=critical,digitalSignature -out"),
    verify=_SHOW,
    references=(
        "RFC 8446 section 4.4.2.2",
        "RFC 5280 section 4.2.1.3",
    ),
)
def key_usage(served: ServedCertificate) -> Verdict:
    """The usage of the key fits a server.

    With the key of a server every connection is signed. When the certificate does not allow that, modern
    programs break off. Nor should it sign certificates. A certificate that states no usage allows all.
    """
    stated = value(served.leaf, x509.KeyUsage)
    if stated is None:
        return holds(True, "no keyUsage: every usage is allowed", "digitalSignature, not keyCertSign")
    good = stated.digital_signature and not stated.key_cert_sign
    observed = f"digitalSignature {'allowed' if stated.digital_signature else 'not allowed'}"
    observed += ", keyCertSign allowed" if stated.key_cert_sign else ""
    return holds(good, observed, "digitalSignature, not keyCertSign")


@check(
    "tls.purpose",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het certificaat is bedoeld voor een server",
    why_nl="Een certificaat van een persoon of voor iets anders hoort niet op een server: dan is er een verwisseld.",
    fix="openssl req -new -key server.key -subj / -addext extendedKeyUsage=serverAuth -out server.csr",
    verify=_SHOW,
    references=("RFC 5280 section 4.2.1.12",),
)
def purpose(served: ServedCertificate) -> Verdict:
    """The certificate is meant for a server.

    A certificate of a person or for something else does not belong on a server: then one was swapped.
    """
    stated = purposes(served.leaf)
    good = (
        stated is None
        or ExtendedKeyUsageOID.SERVER_AUTH in stated
        or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in stated
    )
    return holds(good, f"serverAuth {'allowed' if good else 'not allowed'}", "allowed")


@check(
    "certificates.purpose-servers-only",
    principle=DEFAULT_DENY,
    severity=Severity.LOW,
    layer=Layer.DATA,
    title_nl="Het certificaat is alleen bedoeld voor TLS",
    why_nl=(
        "Wat ook voor software, e-mail of alles mag dienen, is na diefstal van de sleutel voor dat alles"
        " te misbruiken."
    ),
    fix=_REQUEST.replace("-out", "-addext extendedKeyUsage=serverAuth -out"),
    verify=_SHOW,
    references=(
        f"{_CABF}, section 7.1.2.7.10",
        "RFC 5280 section 4.2.1.12",
    ),
)
def purpose_servers_only(served: ServedCertificate) -> Verdict:
    """The certificate is meant for TLS only.

    What may also serve for software, mail or everything can be abused for all that once the key is stolen.
    serverAuth and clientAuth are TLS; public certificates lose clientAuth in 2026.
    """
    stated = purposes(served.leaf)
    if stated is None:
        return holds(False, "no extendedKeyUsage: every purpose is allowed", "serverAuth, clientAuth at most")
    tls = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    wide = [one.dotted_string for one in stated if one not in tls]
    return holds(
        not wide, f"beside TLS: {', '.join(wide[:8]) or 'nothing'}", "serverAuth, clientAuth at most"
    )


@check(
    "certificates.not-a-ca",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Het certificaat van de server is geen CA",
    why_nl="Met de sleutel van een CA maakt wie op de server inbreekt certificaten voor elke naam.",
    fix=_REQUEST,
    verify=_SHOW,
    references=(
        "RFC 5280 section 4.2.1.9",
        f"{_CABF}, section 7.1.2.7",
    ),
)
def not_a_ca(served: ServedCertificate) -> Verdict:
    """The certificate of the server is no CA.

    With the key of a CA whoever breaks into the server makes certificates for every name.
    """
    basic = value(served.leaf, x509.BasicConstraints)
    is_ca = basic is not None and basic.ca
    return holds(not is_ca, f"{served.shown}: CA {'true' if is_ca else 'false'}", "CA false")


# --- examples -------------------------------------------------------------------------------------------------

examples(
    key_strength,
    passes=[seen(made.GOOD), seen(made.RSA_2048)],
    fails=seen(made.RSA_1024),
    unknown=seen(more.ODD_CURVE),
)
examples(key_not_phased_out, passes=seen(made.GOOD), fails=seen(made.RSA_2048))
examples(
    signature_hash,
    passes=[seen(made.GOOD), seen(more.PSS, more.RSA_ISSUING)],
    fails=[seen(made.SHA1), given(more.SHA1)],
)
examples(
    key_generator_sound,
    passes=given(more.RSA_3072),
    fails=[given(more.ROCA), given(more.CLOSE_PRIMES)],
    notapplicable=given(more.PLAIN),
)
examples(
    exponent_sound, passes=given(more.RSA_3072), fails=given(more.EXPONENT_3), notapplicable=given(more.PLAIN)
)
examples(
    key_usage,
    passes=[given(more.PLAIN), seen(made.GOOD)],
    fails=[given(more.USAGE_WRONG), given(more.CA_AS_SERVER)],
)
examples(purpose, passes=seen(made.GOOD), fails=seen(made.FOR_CLIENTS))
examples(
    purpose_servers_only,
    passes=given(more.PLAIN),
    fails=[given(more.ANY_PURPOSE), given(more.VERSION_1)],
)
examples(not_a_ca, passes=given(more.PLAIN), fails=given(more.CA_AS_SERVER))
