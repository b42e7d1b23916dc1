"""A certificate authority that gives out what it should, and everything it should not.

What the library refuses to make (SHA-1 and MD5 signatures, version 1, negative serial numbers) is made by taking a
certificate apart and signing it again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

NAME: Final = "www.lab.test"
#: CA/Browser Forum: organisation validated, domain validated.
OV, DV = "2.23.140.1.2.2", "2.23.140.1.2.1"
_USAGES: Final = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def usage(*named: str) -> x509.KeyUsage:
    """A key usage that names just these."""
    return x509.KeyUsage(**{one: one in named for one in _USAGES})


def subject(common: str, organisation: str = "Lab") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


@cache
def key(kind: str = "ec", number: int = 0) -> Any:
    """A private key: ``ec``, ``ed``, a curve of the library, or ``rsa`` and its bits and perhaps ``e3``.

    Keys take time to make, so the same kind and number is the same key.
    """
    if kind == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        bits, _, three = kind.removeprefix("rsa").partition("e")
        return rsa.generate_private_key(3 if three else 65537, int(bits))
    curves: dict[str, ec.EllipticCurve] = {
        "ec": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp224r1": ec.SECP224R1(), "secp192r1": ec.SECP192R1(),
    }  # fmt: skip
    return ec.generate_private_key(curves[kind])


@dataclass(frozen=True)
class Issued:
    """A certificate, its private key, and what a server shows behind it."""

    certificate: x509.Certificate
    key: Any
    behind: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.behind)

    @property
    def pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)

    @property
    def key_pem(self) -> bytes:
        pem: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem

    def showing(self, *behind: Issued) -> Issued:
        """The same, with other certificates behind it."""
        return Issued(self.certificate, self.key, tuple(one.certificate for one in behind))


@dataclass
class Authority:
    """A root, an issuing authority below it, and what they give out; ``issue`` takes every deviation by name.

    Two authorities with the same ``keys`` have the same keys.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    name: str = "Lab"
    keys: int = 0
    root: Issued = field(init=False)
    issuing: Issued = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.authority(f"{self.name} Root", number=self.keys + 1)
        self.issuing = self.authority(f"{self.name} Issuing", self.root, number=self.keys + 2)

    def authority(
        self,
        common: str,
        issuer: Issued | None = None,
        *,
        number: int = 0,
        length: int | None = None,
        **more: Any,
    ) -> Issued:
        """A CA of that name: signed by the issuer, or by itself."""
        more.setdefault("starts", -400)
        more.setdefault("ends", 3650)
        return self.issue(
            common, issuer=issuer or "self", number=number, ca=True, length=length, san=None, eku=None,
            ku=usage("key_cert_sign", "crl_sign"), **more,
        )  # fmt: skip

    def issue(
        self,
        *names: str,
        issuer: Issued | str | None = None,
        kind: str = "ec",
        number: int = 9,
        starts: float = -1,
        ends: float = 90,
        common: str | None = None,
        organisation: str = "Lab",
        san: Sequence[x509.GeneralName] | str | None = "names",
        ca: bool | None = False,
        length: int | None = None,
        ku: x509.KeyUsage | None = usage("digital_signature"),  # noqa: B008 -- a constant
        eku: Sequence[ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
        policies: Sequence[str] = (),
        serial: int | None = None,
        digest: str = "sha256",
        pss: bool = False,
        version: int = 3,
        ocsp: str = "",
        crl: str = "",
        must_staple: bool = False,
        constraints: x509.NameConstraints | None = None,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
        identifiers: bool = True,
        show: Sequence[Issued] | None = None,
        private: Any = None,
    ) -> Issued:
        """A certificate for these names from the issuing authority, sound unless told otherwise."""
        signer = self.issuing if issuer is None else issuer
        private = private or key(kind, number)
        called = subject((common if common is not None else (names or (NAME,))[0]), organisation)
        by_name = called if isinstance(signer, str) else signer.certificate.subject
        by_key = private if isinstance(signer, str) else signer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(called)
            .issuer_name(by_name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number() if serial is None or serial <= 0 else serial)
            .not_valid_before(self.now + timedelta(days=starts))
            .not_valid_after(self.now + timedelta(days=ends))
        )
        listed = [_general(one) for one in names or (NAME,)] if san == "names" else san
        extensions: list[tuple[x509.ExtensionType | None, bool]] = [
            (x509.SubjectAlternativeName(listed) if listed else None, False),  # type: ignore[arg-type]
            (x509.BasicConstraints(ca, length) if ca is not None else None, True),
            (ku, True),
            (x509.ExtendedKeyUsage(eku) if eku else None, False),
            (_policies(policies), False),
            (constraints, True),
            (x509.TLSFeature([x509.TLSFeatureType.status_request]) if must_staple else None, False),
            (_access(ocsp), False),
            (_distribution(crl), False),
            *extra,
        ]
        if identifiers:
            extensions += [
                (x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False),
                (x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), False),
            ]
        for extension, critical in extensions:
            if extension is not None:
                builder = builder.add_extension(extension, critical)
        plain = isinstance(by_key, ed25519.Ed25519PrivateKey)
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
        made = builder.sign(by_key, None if plain else hashes.SHA256(), rsa_padding=scheme)
        if digest != "sha256" or version == 1 or (serial is not None and serial <= 0):
            made = remade(made, by_key, digest, version, serial)
        if show is None:
            show = () if isinstance(signer, str) or signer is self.root else (signer,)
        return Issued(made, private, tuple(one.certificate for one in show))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _policies(oids: Sequence[str]) -> x509.CertificatePolicies | None:
    if not oids:
        return None
    return x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier(one), None) for one in oids])


def _access(url: str) -> x509.AuthorityInformationAccess | None:
    if not url:
        return None
    place = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]
    )


def _distribution(url: str) -> x509.CRLDistributionPoints | None:
    if not url:
        return None
    place = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])


def timestamps(*logs: int) -> tuple[x509.ExtensionType, bool]:
    """Signed certificate timestamps of made-up logs, for ``extra``; nobody has signed them (RFC 6962 section 3.3)."""
    each = [
        b"\0" + bytes([log]) * 32 + (1_790_000_000_000).to_bytes(8) + b"\0\0\4\3" + (70).to_bytes(2)
        + b"\x30\x44\2\x20" + bytes([log]) * 32 + b"\2\x20" + bytes([log]) * 32
        for log in logs
    ]  # fmt: skip
    listed = b"".join(len(one).to_bytes(2) + one for one in each)
    oid = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
    return x509.UnrecognizedExtension(oid, _der(0x04, len(listed).to_bytes(2) + listed)), False


# --- what the library refuses to make -------------------------------------------------------------------------

#: Hash -> the object identifiers of its signature with RSA and with ECDSA.
_ALGORITHMS: Final = {
    "md5": ("2a864886f70d010104", ""),
    "sha1": ("2a864886f70d010105", "2a8648ce3d0401"),
    "sha224": ("2a864886f70d01010e", "2a8648ce3d040301"),
    "sha256": ("2a864886f70d01010b", "2a8648ce3d040302"),
}
_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "md5": hashes.MD5, "sha1": hashes.SHA1, "sha224": hashes.SHA224, "sha256": hashes.SHA256,
}  # fmt: skip


def remade(
    certificate: x509.Certificate, signer: Any, digest: str, version: int, serial: int | None
) -> x509.Certificate:
    """The certificate with another signature hash, version or serial number, signed again."""
    parts = _elements(_elements(certificate.tbs_certificate_bytes)[0][1])
    if serial is not None and serial <= 0:
        parts[1] = (0x02, serial.to_bytes(serial.bit_length() // 8 + 1, signed=True))
    is_rsa = isinstance(signer, rsa.RSAPrivateKey)
    oid = bytes.fromhex(_ALGORITHMS[digest][0 if is_rsa else 1])
    algorithm = (0x30, _der(0x06, oid) + (_der(0x05, b"") if is_rsa else b""))
    parts[2] = algorithm
    if version == 1:
        parts = [part for part in parts if part[0] not in {0xA0, 0xA3}]
        parts[1] = algorithm
    signed = _der(0x30, b"".join(_der(*part) for part in parts))
    hashed = _HASHES[digest]()
    signature = (
        signer.sign(signed, padding.PKCS1v15(), hashed) if is_rsa else signer.sign(signed, ec.ECDSA(hashed))
    )
    return x509.load_der_x509_certificate(
        _der(0x30, signed + _der(*algorithm) + _der(0x03, b"\0" + signature))
    )


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    found = []
    while der:
        tag, size, start = der[0], der[1], 2
        if size & 0x80:
            start = 2 + (size & 0x7F)
            size = int.from_bytes(der[2:start])
        found.append((tag, der[start : start + size]))
        der = der[start + size :]
    return found


# --- keys that are weak in other ways than size ---------------------------------------------------------------


def _is_prime(number: int) -> bool:
    if any(number % small == 0 for small in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _private(first: int, second: int) -> rsa.RSAPrivateKey:
    exponent = 65537
    secret = pow(exponent, -1, (first - 1) * (second - 1))
    return rsa.RSAPrivateNumbers(
        first, second, secret, secret % (first - 1), secret % (second - 1), pow(second, -1, first),
        rsa.RSAPublicNumbers(exponent, first * second),
    ).private_key()  # fmt: skip


@cache
def roca_key() -> rsa.RSAPrivateKey:
    """A key as the flawed library of CVE-2017-15361 made them: each prime is k * M + 65537^a mod M."""
    dice = random.Random(15361)
    primes = [number for number in range(2, 710) if all(number % below for below in range(2, number))][:126]
    product = 1
    for prime in primes:
        product *= prime

    def prime_of_that_shape() -> int:
        while True:
            candidate = dice.getrandbits(54) * product + pow(65537, dice.getrandbits(60), product)
            if candidate.bit_length() == 1024 and _is_prime(candidate):
                return candidate

    return _private(prime_of_that_shape(), prime_of_that_shape())


@cache
def close_primes_key() -> rsa.RSAPrivateKey:
    """A key whose primes are neighbours (CVE-2022-26320): Fermat's method finds them at once."""
    dice = random.Random(26320)
    first = dice.getrandbits(1024) | 3 << 1022 | 1
    while not _is_prime(first):
        first += 2
    second = first + 2
    while not _is_prime(second):
        second += 2
    return _private(first, second)


# --- all of it ------------------------------------------------------------------------------------------------


def catalogue(lab: Authority) -> dict[str, Issued]:
    """Every certificate that is right or wrong in its own way, by what is the matter with it."""
    other = Authority(lab.now, "Other", keys=1000)
    old = lab.authority("Lab Old Issuing", lab.root, number=3, ends=-1)
    old_root = lab.authority("Lab Old Root", number=4, ends=-1)
    narrow = lab.authority("Lab Narrow", lab.root, number=5, length=0)
    too_deep = lab.authority("Lab Too Deep", narrow, number=6)
    for_example = x509.NameConstraints([x509.DNSName("lab.test")], [x509.DNSName("secret.lab.test")])
    fenced = lab.authority("Lab Fenced", lab.root, number=7, constraints=for_example)
    no_signer = lab.issue("ca.lab.test", ca=True, number=8, ku=usage("digital_signature"), eku=None)
    rsa_issuing = lab.authority("Lab RSA Issuing", lab.root, kind="rsa2048")
    crossed = Issued(
        lab.authority("Lab Issuing", other.root, number=2).certificate,
        lab.issuing.key,
        (other.root.certificate,),
    )
    unknown_extension = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0")
    good = lab.issue()
    return {
        "good": good,
        "good-rsa": lab.issue(kind="rsa3072"),
        "good-ed25519": lab.issue(kind="ed"),
        "good-pss": lab.issue(issuer=rsa_issuing, pss=True),
        "good-without-identifiers": lab.issue(identifiers=False),
        "good-fenced": lab.issue(issuer=fenced),
        "good-narrow": lab.issue(issuer=narrow),
        "good-crossed": lab.issue(show=[lab.issuing, crossed]),
        "expired": lab.issue(starts=-100, ends=-1),
        "not-yet-valid": lab.issue(starts=2, ends=90),
        "wrong-name": lab.issue("other.lab.test"),
        "rsa-1024": lab.issue(kind="rsa1024"),
        "rsa-2048": lab.issue(kind="rsa2048"),
        "exponent-3": lab.issue(kind="rsa2048e3"),
        "small-curve": lab.issue(kind="secp192r1"),
        "sha1": lab.issue(digest="sha1"),
        "sha1-rsa": lab.issue(issuer=rsa_issuing, digest="sha1"),
        "md5": lab.issue(issuer=rsa_issuing, digest="md5"),
        "missing-intermediate": lab.issue(show=[]),
        "wrong-order": lab.issue(issuer=narrow, show=[lab.root, narrow]),
        "superfluous": lab.issue(show=[lab.issuing, other.issuing]),
        "root-sent": lab.issue(show=[lab.issuing, lab.root]),
        "self-signed": lab.issue(issuer="self"),
        "unknown-ca": other.issue(),
        "expired-intermediate": lab.issue(issuer=old),
        "expired-root": lab.issue(issuer=old_root),
        "issued-by-leaf": lab.issue("sub.lab.test", number=11, issuer=good, show=[good, lab.issuing]),
        "issuer-may-not-sign": lab.issue(issuer=no_signer, show=[no_signer, lab.issuing]),
        "path-too-long": lab.issue(issuer=too_deep, show=[too_deep, narrow]),
        "name-forbidden": lab.issue("www.other.test", issuer=fenced),
        "name-excluded": lab.issue("a.secret.lab.test", issuer=fenced),
        "unknown-critical": lab.issue(extra=[(unknown_extension, True)]),
        "version-1": lab.issue(version=1),
        "ca-as-server": lab.issue(ca=True, ku=usage("digital_signature", "key_cert_sign")),
        "for-clients": lab.issue(eku=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        "any-purpose": lab.issue(
            eku=[ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
        ),
        "wrong-usage": lab.issue(ku=usage("key_agreement", "key_cert_sign")),
        "common-name-only": lab.issue(san=None),
        "wildcard": lab.issue("*.lab.test"),
        "address": lab.issue(NAME, "127.0.0.1"),
        "serial-negative": lab.issue(serial=-77),
        "serial-short": lab.issue(serial=4711),
        "serial-twice": lab.issue(serial=4711, number=10),
        "too-long-valid": lab.issue(ends=1200),
        "must-staple": lab.issue(must_staple=True),
    }
