"""Names in certificates: how they are shown, and which a CA may give out (RFC 5280 section 4.2.1.10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from scanner.names import name_key


def shown(name: x509.Name) -> str:
    """The name for people, not too long."""
    return name.rfc4514_string()[:120] or "(no subject)"


# --- name constraints -----------------------------------------------------------------------------------------

#: Names times constraints that are compared (OpenSSL has a limit too): more is meant to keep us busy.
COMPARISONS: Final = 1 << 15
#: Kinds of name that constraints are understood of; RFC 5280 demands that others be refused.
_KINDS: Final = (
    x509.DNSName,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
    x509.DirectoryName,
    x509.IPAddress,
)


def refusal(constraints: x509.NameConstraints, certificate: x509.Certificate) -> str:
    """Why these constraints forbid this certificate its names, or nothing when they allow all of them."""
    permitted, excluded = constraints.permitted_subtrees or [], constraints.excluded_subtrees or []
    constrained = {type(base) for base in (*permitted, *excluded)}
    names = list(_names(certificate))
    if len(names) * (len(permitted) + len(excluded)) > COMPARISONS:
        return f"{len(names)} names are too many to compare with so many constraints, and none is permitted"
    for name in names:
        if type(name) not in constrained:
            continue
        if not isinstance(name, _KINDS):
            return f"a name of kind {type(name).__name__}, which constraints are not understood of"
        if any(_within(name, base) or _may_be(name, base) for base in excluded if type(base) is type(name)):
            return f"{_text(name)} is excluded"
        allowed = [base for base in permitted if type(base) is type(name)]
        if allowed and not any(_within(name, base) for base in allowed):
            return f"{_text(name)} is not among those permitted"
    return ""


def _names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    """All names a certificate gives its subject. An e-mail address in the subject counts when none is beside it."""
    if certificate.subject.rdns:
        yield x509.DirectoryName(certificate.subject)
    try:
        others: Iterable[x509.GeneralName] = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        others = ()
    others = list(others)
    yield from others
    if not any(isinstance(one, x509.RFC822Name) for one in others):
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            yield x509.RFC822Name._init_without_validation(str(attribute.value))


def _text(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


def _within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    """Whether a name lies in the subtree of a base of the same kind."""
    value: Any = name.value
    limit: Any = base.value
    match name:
        case x509.DNSName():
            return _below(value, limit, strict=limit.startswith("."))
        case x509.RFC822Name():
            return _mailbox_within(value, limit)
        case x509.UniformResourceIdentifier():
            return _uri_within(value, limit)
        case x509.DirectoryName():
            return name_key(value)[: len(limit.rdns)] == name_key(limit)
        case x509.IPAddress():
            same = isinstance(limit, IPv4Network | IPv6Network) and value.version == limit.version
            return same and value in limit
    raise AssertionError(name)


def _may_be(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    """Whether a wildcard can stand for the host that is excluded, as OpenSSL overlooks and Go did (CVE-2025-61727)."""
    if not isinstance(name, x509.DNSName) or not name.value.startswith("*."):
        return False
    return str(base.value).partition(".")[2].lower().rstrip(".") == name.value[2:].lower().rstrip(".")


def _below(host: str, limit: str, *, strict: bool = False) -> bool:
    """Whether a host is in a domain: the domain itself too, unless strict. An empty domain holds all."""
    host, limit = host.lower().rstrip("."), limit.lower().strip(".")
    return not limit or host.endswith(f".{limit}") or (host == limit and not strict)


def _mailbox_within(value: str, limit: str) -> bool:
    """A mailbox, a host, or with a leading dot the hosts below a domain; the local part is case-sensitive."""
    local, _, host = value.rpartition("@")
    if "@" in limit:
        limit_local, _, limit_host = limit.rpartition("@")
        return local == limit_local and host.lower() == limit_host.lower()
    if limit.startswith("."):
        return _below(host, limit, strict=True)
    return not limit or host.lower() == limit.lower()


def _uri_within(value: str, limit: str) -> bool:
    """A host, or with a leading dot the hosts below a domain. A URI without a host is in no subtree."""
    try:
        host = urlsplit(value).hostname or ""
    except ValueError:
        return False
    if not host:
        return False
    if limit.startswith("."):
        return _below(host, limit, strict=True)
    return not limit or host.lower() == limit.lower()
