"""The names behind TLS's numbers: suites, groups, signature schemes, shared primes, alerts; tables with a source."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

#: Oldest first: what the facts call a version -> its number on the wire.
VERSIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SSLv2": 0x0002,
        "SSLv3": 0x0300,
        "TLSv1": 0x0301,
        "TLSv1.1": 0x0302,
        "TLSv1.2": 0x0303,
        "TLSv1.3": 0x0304,
    }
)
SSL2, SSL3, TLS10, TLS11, TLS12, TLS13 = VERSIONS.values()
VERSION_NAMES: Final[Mapping[int, str]] = MappingProxyType({code: name for name, code in VERSIONS.items()})


class Suite(NamedTuple):
    """A cipher suite. ``exchange`` and ``authentication`` are "any" in TLS 1.3, where a suite leaves them open.

    ``authentication`` "none" is anonymous. ``bits`` are those of the key, as named: 168 for triple DES. ``first`` and
    ``last`` are the versions it is defined for. The number of an SSL 2 suite has three bytes.
    """

    code: int
    name: str
    exchange: str
    authentication: str
    cipher: str
    bits: int
    hash: str
    export: bool
    first: int
    last: int

    @property
    def forward_secret(self) -> bool:
        """Whether the keys of a connection are lost with it (TLS 1.3 without a certificate's key exchange too)."""
        return self.exchange in {"DHE", "ECDHE", "ECCPWD", "any"}

    @property
    def keyed(self) -> bool:
        """Whether the server sends a ServerKeyExchange for certain (RFC 5246 section 7.4.3)."""
        return self.exchange in {"DHE", "ECDHE", "SRP"}


class Group(NamedTuple):
    """A group for key exchange: "elliptic curve", "finite field", "lattice" or "hybrid"."""

    code: int
    name: str
    kind: str
    bits: int
    first: int
    last: int


class Scheme(NamedTuple):
    """A way to sign: the algorithm and its hash."""

    code: int
    name: str
    algorithm: str
    hash: str
    first: int
    last: int


Row = TypeVar("Row")


def _table(name: str, row: Callable[..., Row]) -> list[Row]:
    """The rows of a table behind its remarks and its header line."""
    lines = Path(__file__).with_name(f"{name}.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    next(rows)
    return [row(*one) for one in rows]


def _suite(
    code: str, name: str, exchange: str, authentication: str, cipher: str, bits: str, digest: str, *rest: str
) -> Suite:
    export, first, last, _source = rest
    return Suite(
        int(code, 16), name, exchange, authentication, cipher, int(bits), digest, export == "yes", VERSIONS[first],
        VERSIONS[last],
    )  # fmt: skip


def _group(code: str, name: str, kind: str, bits: str, first: str, last: str, _source: str) -> Group:
    return Group(int(code, 16), name, kind, int(bits), VERSIONS[first], VERSIONS[last])


def _scheme(code: str, name: str, algorithm: str, digest: str, first: str, last: str, _source: str) -> Scheme:
    return Scheme(int(code, 16), name, algorithm, digest, VERSIONS[first], VERSIONS[last])


def _prime(name: str, _bits: str, digest: str, _source: str) -> tuple[str, str]:
    return digest, name


_ALL: Final = _table("tls_suites", _suite)
SUITES: Final[Mapping[int, Suite]] = MappingProxyType({one.code: one for one in _ALL if one.first != SSL2})
SSL2_SUITES: Final[Mapping[int, Suite]] = MappingProxyType(
    {one.code: one for one in _ALL if one.first == SSL2}
)
GROUPS: Final[Mapping[int, Group]] = MappingProxyType({one.code: one for one in _table("tls_groups", _group)})
SCHEMES: Final[Mapping[int, Scheme]] = MappingProxyType(
    {one.code: one for one in _table("tls_schemes", _scheme)}
)
_PRIMES: Final = dict(_table("tls_primes", _prime))

#: RFC 8446 section 6, RFC 5246 section 7.2, and the extensions that add one.
ALERTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
        22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
        42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
        46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
        50: "decode_error", 51: "decrypt_error", 60: "export_restriction", 70: "protocol_version",
        71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
        100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension",
        111: "certificate_unobtainable", 112: "unrecognized_name", 113: "bad_certificate_status_response",
        114: "bad_certificate_hash_value", 115: "unknown_psk_identity", 116: "certificate_required",
        120: "no_application_protocol", 121: "ech_required",
    }
)  # fmt: skip


def suite_name(code: int) -> str:
    """The name of a suite, or its number when it has none."""
    known = SUITES.get(code) or SSL2_SUITES.get(code)
    return known.name if known else f"0x{code:04X}"


def group_name(code: int) -> str:
    """The name of a group, or its number."""
    return GROUPS[code].name if code in GROUPS else f"0x{code:04X}"


def scheme_name(code: int) -> str:
    """The name of a signature scheme, or its number."""
    return SCHEMES[code].name if code in SCHEMES else f"0x{code:04X}"


def prime_name(prime: bytes) -> str:
    """Whose prime of Diffie-Hellman this is, when many share it; else nothing."""
    return _PRIMES.get(sha256(prime.lstrip(b"\0")).hexdigest(), "")
