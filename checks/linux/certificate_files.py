"""Certificates in files: what services on the host have been given, whether or not it is shown anywhere yet.

Looked for in the usual folders below /etc. Certificates are read, private keys are not: of those only the permissions.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from typing import Annotated, Final

from cryptography import x509

from checks.linux._answers import named, only_missing
from checks.network import example_served as more
from checks.network.served import certificate, chain_text, in_time, renewal, valid, value
from scanner import (
    DATA_FIRST,
    DEFAULT_DENY,
    SECURE_DEPLOYMENT,
    Absent,
    Cause,
    Command,
    Each,
    Gap,
    Layer,
    NotUnderstood,
    Raw,
    Renewal,
    ScanTime,
    Severity,
    State,
    Unseen,
    Verdict,
    check,
    dated,
    examples,
    fact,
    holds,
    probe,
)

FOLDERS: Final = (
    "/etc/ssl", "/etc/pki/tls", "/etc/nginx", "/etc/apache2", "/etc/httpd", "/etc/haproxy", "/etc/letsencrypt/live",
    "/etc/postfix", "/etc/dovecot", "/etc/exim4", "/etc/ldap", "/etc/openldap", "/etc/postgresql", "/etc/mysql",
    "/etc/stunnel", "/etc/tomcat", "/etc/tomcat9", "/etc/tomcat10", "/etc/rabbitmq", "/etc/mosquitto",
    "/etc/freeradius",
)  # fmt: skip
#: What the system trusts, which is not what its services show: links in /etc/ssl/certs, and bundles. A plain file there
#: was put by someone who has a service.
_STORES: Final = (
    "'(' -path '/etc/ssl/certs*' -xtype l -o -name ca-certificates.crt -o -path /etc/pki/tls/cert.pem"
    " -o -name 'ca-bundle*' ')' -prune"
)
_FIND: Final = f"find -L {' '.join(FOLDERS)} {_STORES} -o -type f"
_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


@fact
class CertificateFile:
    """A file with a certificate of a service: the first in it, with what stands behind it, DER."""

    path: str
    chain: tuple[bytes, ...]

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"CertificateFile({self}: {chain_text(self.chain[:1])})"

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate in it."""
        return certificate(self.chain[0])


@fact
class KeyFile:
    """A file with a private key in it, and who may read it. ``mode`` is octal, ``owner`` and ``group`` are names."""

    path: str
    mode: str
    owner: str
    group: str

    def __str__(self) -> str:
        return self.path


@fact
class KeystorePath:
    """A Java keystore."""

    path: str

    def __str__(self) -> str:
        return self.path


@fact
class Keystore:
    """The private keys in a Java keystore: by alias the first certificate of each, DER, and those not to be read."""

    path: str
    certificates: dict[str, bytes]
    unread: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        listed = ", ".join(f"{alias}: {chain_text([der])}" for alias, der in self.certificates.items())
        return f"Keystore({self}: {listed})"


@probe(
    "linux",
    # Certificates alone are printed, each behind the name of its file; a key in the same file is not, not even when
    # the certificate before it does not end.
    found=Command(
        f"{_FIND} -size -512k '(' -name '*.pem' -o -name '*.crt' -o -name '*.cer' -o -name '*.cert' ')'"
        f" -exec sed -s -n -E -e '/{_CERTIFICATE}/F'"
        f" -e '/{_CERTIFICATE}/,/-----END CERTIFICATE-----|PRIVATE KEY/p' '{{}}' +",
        root=True,
        exits=(0, 1),
        timeout=30,
        limit=8 << 20,
    ),
)
def certificate_files(found: Raw) -> list[CertificateFile | Unseen]:
    """Lines of find(1) and sed(1): a path, then PEM. Files that begin with a CA are of no service of this host."""
    only_missing(found)
    chains: dict[str, list[bytes]] = {}
    for path, der in _pem(found):
        chains.setdefault(path, []).append(der)
    files: list[CertificateFile | Unseen] = []
    for path, chain in sorted(chains.items()):
        try:
            if not _is_ca(certificate(chain[0])):
                files.append(CertificateFile(path, tuple(chain)))
        except ValueError as error:
            files.append(Unseen(path, Gap(State.UNKNOWN, Cause.PARSE, f"no certificate: {str(error)[:120]}")))
    return files


def _pem(found: Raw) -> Iterator[tuple[str, bytes]]:
    """Path and DER of each; what is no base64, or does not end, is no certificate either, and empty.

    A path stands before each line with a beginning in it, and nothing else does: what is wrong with a file ends there.
    """
    lines = [line.strip() for line in found.lines]
    starts = [at for at, line in enumerate(lines) if _CERTIFICATE in line]
    if lines and starts[:1] != [1]:
        raise NotUnderstood(f"no certificate after {lines[0][:80]!r}")
    ends = [at - 1 for at in starts[1:]] + [len(lines)]
    for start, end in zip(starts, ends, strict=False):
        path, begin, body = lines[start - 1], lines[start], lines[start + 1 : end]
        if not path.startswith("/"):
            raise NotUnderstood(f"a certificate of no file, after {path[:80]!r}")
        whole = begin == _CERTIFICATE and body[-1:] == ["-----END CERTIFICATE-----"]
        try:
            yield path, base64.b64decode("".join(body[:-1]), validate=True) if whole else b""
        except ValueError:
            yield path, b""


def _is_ca(one: x509.Certificate) -> bool:
    basic = value(one, x509.BasicConstraints)
    return basic is not None and bool(basic.ca)


@probe(
    "linux",
    found=Command(
        f"{_FIND} '(' -name '*.p12' -o -name '*.pfx' -o -name '*.jks' -o -name '*.keystore' -o"
        " '(' -size -512k -exec grep -q -a -e 'PRIVATE KEY-----' '{}' ';' ')' ')' -printf '%m %u %g %p\\n'",
        root=True,
        exits=(0, 1),
        timeout=60,
    ),
)
def key_files(found: Raw) -> list[KeyFile]:
    """A line per file: its mode, owner, group and path."""
    only_missing(found)
    files = []
    for line in found.lines:
        matched = re.fullmatch(r"([0-7]{1,4}) (\S+) (\S+) (/.*)", line)
        if not matched:
            raise NotUnderstood(f"find says {line[:80]!r}")
        files.append(KeyFile(matched[4], matched[1], matched[2], matched[3]))
    return files


@probe(
    "linux",
    found=Command(
        f"find -L {' '.join(FOLDERS)} /opt /srv /usr/share/tomcat /var/lib/tomcat9 /var/lib/tomcat10 -xdev -type f"
        " '(' -name '*.jks' -o -name '*.keystore' ')' -not -path '*/cacerts*'",
        root=True,
        exits=(0, 1),
        timeout=60,
        slow=True,
    ),
)
def keystores(found: Raw) -> list[KeystorePath]:
    """A path per line. Stores of CAs that Java trusts (cacerts) are left out."""
    only_missing(found)
    if any(not line.startswith("/") for line in found.lines):
        raise NotUnderstood("find lists something that is no path")
    return [KeystorePath(line) for line in found.lines]


@probe(
    "linux",
    listing=Each(
        KeystorePath,
        lambda store: Command(
            f"keytool -list -rfc -keystore {shlex.quote(store.path)}", root=True, timeout=30, slow=True
        ),
    ),
)
def keystore(listing: Raw, store: KeystorePath) -> Keystore:
    """What keytool(1) lists without the password: of JKS all certificates, of PKCS #12 none, or not even its keys."""
    if not re.search(r"^Your keystore contains \d+ entr", listing.text, flags=re.MULTILINE):
        raise NotUnderstood(f"{store.path}: keytool lists nothing")
    found: dict[str, bytes] = {}
    unread: list[str] = []
    for part in re.split(r"^Alias name: ", listing.text, flags=re.MULTILINE)[1:]:
        if "Entry type: PrivateKeyEntry" not in part:
            continue
        alias = part.split("\n", 1)[0].strip()
        body = re.search(rf"{_CERTIFICATE}\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", part)
        try:
            der = base64.b64decode("".join(body[1].split()) if body else "", validate=True)
            certificate(der)
        except ValueError:
            unread.append(alias)
        else:
            found[alias] = der
    if not found and not unread:
        # Java 8 calls every store a JKS: only one that lists something else is known to hold no key.
        if "Entry type: " not in listing.text or "Keystore type: PKCS12" in listing.text:
            raise NotUnderstood(f"{store.path}: no private key is shown without its password")
        raise Absent(f"{store.path} holds no private key")
    return Keystore(store.path, found, tuple(unread))


@dated
def file_until(held: CertificateFile) -> list[Renewal]:
    """A line of the calendar for what lies in a file."""
    return [renewal(held.leaf, held.path)]


@dated
def keystore_until(keystore: Keystore) -> Iterator[Renewal]:
    """A line of the calendar for each private key in a keystore; ends badly when there are more."""
    for alias, der in keystore.certificates.items():
        yield renewal(certificate(der), f"{keystore.path} {alias}")
    if keystore.unread:
        raise NotUnderstood(_unread(keystore))


def _unread(keystore: Keystore) -> str:
    return f"{keystore.path}: no certificate is shown, or none that can be read, of {named(list(keystore.unread), 5)}"


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "certificate-files.valid",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het certificaat in dit bestand is geldig",
    why_nl=(
        "Een verlopen certificaat in een map van een dienst breekt haar verbindingen, nu of bij de"
        " volgende herstart. Hoort het nergens meer bij, ruim het dan op."
    ),
    fix="certbot renew    # or remove the file when nothing uses it",
    verify="openssl x509 -in FILE -noout -subject -dates",
    references=(
        "RFC 5280 section 4.1.2.5",
        "BIO2 1.3, control 8.24",
    ),
)
def file_valid(held: CertificateFile, now: ScanTime) -> Verdict:
    """The certificate in this file is valid.

    An expired certificate in the folder of a service breaks its connections, now or after the next restart.
    When it belongs to nothing any more, clear it away.
    """
    return valid(held.leaf, now)


@check(
    "certificate-files.renewed-in-time",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="Het certificaat in dit bestand is nog lang genoeg geldig",
    why_nl=(
        "Certificaten tussen systemen ziet niemand, tot ze verlopen. Wie op tijd vernieuwt heeft tijd"
        " voor een fout."
    ),
    fix="certbot renew    # or ask your own CA for a new one",
    verify="openssl x509 -in FILE -noout -subject -dates",
    references=(
        "RFC 5280 section 4.1.2.5",
        "BIO2 1.3, control 8.24",
    ),
)
def file_renewed_in_time(
    held: CertificateFile,
    now: ScanTime,
    *,
    days: Annotated[int, "days that must be left; one third of a lifetime under three times that many"] = 30,
) -> Verdict:
    """The certificate in this file is valid for long enough.

    Certificates between systems are seen by nobody, until they expire. Who renews in time has time for a
    mistake.
    """
    return in_time(held.leaf, now, days)


def _may_hold_none(store: KeyFile) -> bool:
    """Whether it is a keystore, known by its name alone, that is named for holding only the CAs to trust."""
    name = store.path.rsplit("/", 1)[1].lower()
    return "trust" in name and name.endswith((".p12", ".pfx", ".jks", ".keystore"))


@check(
    "certificate-files.keys-closed",
    principle=(DEFAULT_DENY, DATA_FIRST),
    severity=Severity.HIGH,
    layer=Layer.DATA,
    title_nl="Alleen wie een privésleutel nodig heeft kan haar lezen",
    why_nl=(
        "Wie de sleutel kan lezen, kan zich voordoen als deze server. Elke gebruiker en elk lek"
        " programma op de host kan dat dan."
    ),
    fix="chmod 0640 FILE && chown root:ssl-cert FILE",
    verify="stat -c '%a %U %G %n' FILE",
    references=(
        "ssl-cert(8)",
        "BIO2 1.3, control 8.24",
    ),
)
def keys_closed(
    keys: list[KeyFile],
    *,
    groups: Annotated[tuple[str, ...], "groups that everybody is in: they may not read a key"] = (
        "users",
        "nogroup",
    ),
) -> Verdict:
    """Only who needs a private key can read it.

    Who can read the key can pose as this server. Every user and every leaking program on the host then can.
    """
    if not keys:
        raise Absent("no private key was found in the usual folders")
    found = [
        one for one in keys if int(one.mode, 8) & 0o027 or (int(one.mode, 8) & 0o040 and one.group in groups)
    ]
    open_ = [f"{one.path} ({one.mode} {one.owner}:{one.group})" for one in found]
    if found and all(map(_may_hold_none, found)):
        raise NotUnderstood(f"open, and whether a key is in it was not seen: {named(open_)}")
    return holds(
        not open_, f"open: {named(open_) or f'none of {len(keys)}'}", "0640 or less, and no group of all"
    )


@check(
    "certificate-files.keystore-valid",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.MEDIUM,
    layer=Layer.DATA,
    title_nl="De certificaten in deze Java-keystore zijn geldig",
    why_nl=(
        "Een keystore wordt gemaakt en vergeten. Verloopt er een certificaat in, dan stopt de toepassing"
        " op een dag dat niemand het verwacht."
    ),
    fix="keytool -importcert -keystore FILE -alias ALIAS -file server.crt",
    verify="keytool -list -v -keystore FILE -alias ALIAS",
    references=(
        "keytool(1)",
        "BIO2 1.3, control 8.24",
    ),
)
def keystore_valid(keystore: Keystore, now: ScanTime) -> Verdict:
    """The certificates in this Java keystore are valid.

    A keystore is made and forgotten. When a certificate in it expires, the application stops on a day that nobody
    expects. A PKCS #12 store shows nothing without its password: that ends as unknown.
    """
    each = {alias: valid(certificate(der), now) for alias, der in keystore.certificates.items()}
    bad = [f"{alias}: {verdict.observed}" for alias, verdict in each.items() if not verdict.passed]
    good = [f"{alias}: {verdict.observed}" for alias, verdict in each.items()]
    if keystore.unread and not bad:
        raise NotUnderstood(_unread(keystore))
    return holds(not bad, named(bad or good, 5), f"valid on {now:%Y-%m-%d}")


# --- examples -------------------------------------------------------------------------------------------------


def _lines(path: str, *ders: str) -> str:
    return "".join(f"{path}\n{_CERTIFICATE}\n{der}\n-----END CERTIFICATE-----\n" for der in ders)


_MISSING: Final = b"find: '/etc/httpd': No such file or directory\n"
_HELD: Final = Raw(
    out=_lines("/etc/nginx/server.pem", more.GOOD, more.ISSUING).encode(), err=_MISSING, code=1
)
_OLD: Final = ScanTime.fromisoformat("2027-06-02T12:00:00+00:00")
_SOON: Final = ScanTime.fromisoformat("2027-01-20T12:00:00+00:00")
_REFUSED: Final = Raw(out=_HELD.out, err=b"find: '/etc/ssl/private': Permission denied\n", code=1)


def _listing(body: str) -> str:
    return (
        "Keystore type: JKS\nKeystore provider: SUN\n\nYour keystore contains 1 entry\n\nAlias name: tomcat\n"
        f"Creation date: Nov 1, 2026\nEntry type: PrivateKeyEntry\n{body}\n"
    )


_JKS: Final = _listing(
    f"Certificate chain length: 1\nCertificate[1]:\n{_CERTIFICATE}\n{more.GOOD}\n-----END CERTIFICATE-----"
)
_STORE: Final = {"keystores.found": "/etc/tomcat9/server.jks\n"}

examples(
    file_valid,
    passes=_HELD,
    fails={"found": _HELD, "now": _OLD},
    unknown=["/etc/nginx/server.pem\n", _REFUSED, _lines("/etc/nginx/server.pem", "AAAA")],
    notapplicable=[Raw(err=_MISSING, code=1), _lines("/etc/ssl/issuing.pem", more.ISSUING)],
)
examples(file_renewed_in_time, passes=_HELD, fails={"found": _HELD, "now": _SOON})
examples(
    keys_closed,
    passes="640 root ssl-cert /etc/ssl/private/server.key\n600 root root /etc/nginx/server.pem\n",
    fails=[
        "644 root root /etc/nginx/server.key\n",
        "640 root users /etc/nginx/server.key\n",
        "644 root root /etc/tomcat9/truststore.jks\n644 root root /etc/tomcat9/server.jks\n",
    ],
    unknown=["rw-r--r-- /etc/nginx/server.key\n", "644 root root /etc/tomcat9/truststore.jks\n"],
    notapplicable=Raw(err=_MISSING, code=1),
)
examples(
    keystore_valid,
    passes={**_STORE, "listing": _JKS},
    fails={**_STORE, "listing": _JKS, "now": _OLD},
    unknown=[
        {**_STORE, "listing": _listing("Certificate chain length: 0\n")},
        {**_STORE, "listing": "Keystore type: PKCS12\n\nYour keystore contains 0 entries\n"},
    ],
    notapplicable=[
        {"keystores.found": Raw(err=_MISSING, code=1)},
        {**_STORE, "listing": _listing("").replace("PrivateKeyEntry", "trustedCertEntry")},
    ],
)
