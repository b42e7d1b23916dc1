"""A certificate authority for the lab, and the certificates it should and should not give out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


#: digital_signature, content_commitment, key_encipherment, data_encipherment, key_agreement, key_cert_sign,
#: crl_sign, encipher_only, decipher_only
_CA_USAGE = (False, False, False, False, False, True, True, False, False)


#: Where a CRL would be; nobody asks there unless the inventory allows it.
_CRL = x509.DistributionPoint(
    [x509.UniformResourceIdentifier("http://crl.lab.test/issuing.crl")], None, None, None
)


class Pair(NamedTuple):
    """A certificate chain and its private key, both PEM."""

    chain: bytes
    key: bytes


class Authority:
    """A root, and an issuing authority below it: what servers show is leaf and issuing certificate."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name = _name("Lab Root")
        self._root = self._authority(root_name, root_name, root_key, root_key)
        self._issuing = self._authority(_name("Lab Issuing"), root_name, self._key, root_key)

    @property
    def anchor(self) -> bytes:
        """The root certificate (PEM): what a scanner that trusts this authority is given."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *names: str,
        starts: int = -1,
        ends: int = 90,
        rsa_bits: int = 0,
        complete: bool = True,
        self_signed: bool = False,
        for_servers: bool = True,
    ) -> Pair:
        """A server certificate for these names, valid from and until so many days from now.

        ``rsa_bits`` makes an RSA key of that size; without ``complete`` the issuing certificate is left out;
        without ``for_servers`` it says that it is for clients.
        """
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if for_servers else ExtendedKeyUsageOID.CLIENT_AUTH
        key: CertificateIssuerPrivateKeyTypes = (
            rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        )
        subject = _name(names[0])
        builder = (
            self._builder(subject, subject if self_signed else self._issuing.subject, key, starts, ends)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.CRLDistributionPoints([_CRL]), critical=False)
        )
        certificate = builder.sign(key if self_signed else self._key, hashes.SHA256())
        shown = [certificate, self._issuing] if complete and not self_signed else [certificate]
        return Pair(
            b"".join(one.public_bytes(serialization.Encoding.PEM) for one in shown),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _authority(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        return (
            self._builder(subject, issuer, key, -400, 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(*_CA_USAGE), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: CertificateIssuerPrivateKeyTypes,
        starts: int,
        ends: int,
    ) -> x509.CertificateBuilder:
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now + timedelta(days=starts))
            .not_valid_after(self._now + timedelta(days=ends))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
