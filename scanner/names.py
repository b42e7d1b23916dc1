"""When two names in certificates are the same (RFC 5280 section 7.1). Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cryptography import x509

Key: TypeAlias = tuple[frozenset[tuple[str, str | bytes]], ...]


@lru_cache(maxsize=4096)
def name_key(name: x509.Name) -> Key:
    """The name in a form in which equal names are equal: without regard to capitals and repeated spaces."""
    return tuple(
        frozenset((attribute.oid.dotted_string, _folded(attribute.value)) for attribute in rdn)
        for rdn in name.rdns
    )


def _folded(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def name_digest(name: x509.Name) -> str:
    """The SHA-256 (hexadecimal) that all names have that are the same as this one."""
    parts = [sorted((oid, repr(value)) for oid, value in rdn) for rdn in name_key(name)]
    return sha256(repr(parts).encode()).hexdigest()
