"""Where software comes from, and whether it must prove that it does.

Read are the sources of apt, in both their forms, and those of dnf, with the settings that weaken them all. A password
in an address is taken out before anything leaves the host's answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from checks.linux._answers import named, only_missing
from scanner import (
    DEFAULT_DENY,
    SECURE_DEPLOYMENT,
    SECURE_DESIGN,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    tree_files,
)

_NO_PASSWORDS: Final = ((r"://[^/@\s]*@", "://"),)
_APT: Final = Command(
    "grep -raHZvE '^[[:space:]]*#' /etc/apt/sources.list /etc/apt/sources.list.d",
    root=True,
    needs="apt-get",
    exits=(0, 1, 2),
    redact=_NO_PASSWORDS,
)
_WEAK_SETTINGS: Final = (
    "APT::Get::AllowUnauthenticated", "Acquire::AllowInsecureRepositories", "Acquire::AllowWeakRepositories",
    "Acquire::AllowDowngradeToInsecureRepositories", "Acquire::https::Verify-Peer", "Acquire::https::Verify-Host",
)  # fmt: skip
_APT_SETTINGS: Final = Command(f"apt-config dump {' '.join(_WEAK_SETTINGS)}", needs="apt-config")
_DNF: Final = Command(
    "grep -raHZE"
    " '^[[:space:]]*(\\[|(name|enabled|gpgcheck|pkg_gpgcheck|baseurl|mirrorlist|metalink|sslverify)[[:space:]]*=)'"
    " /etc/dnf/dnf.conf /etc/yum.conf /etc/yum.repos.d",
    root=True,
    needs="dnf",
    exits=(0, 1, 2),
    redact=_NO_PASSWORDS,
)
_YES: Final = frozenset({"yes", "true", "1", "on", "with", "enable"})
_LAX: Final = ("trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure")


@fact
class PackageSource:
    """One source of software that is switched on.

    ``lax`` are the settings by which it need not be signed, ``key`` is the key it is bound to, or empty when any key
    that the system knows will do. ``unverified`` says that its certificate is not looked at.
    """

    kind: str
    where: str
    addresses: tuple[str, ...]
    suites: tuple[str, ...]
    lax: tuple[str, ...]
    key: str
    unverified: bool

    def __str__(self) -> str:
        return " ".join((*self.addresses[:1], *self.suites[:1])) or self.where


@fact
class SourceSettings:
    """Settings of apt for all sources at once that are not as they should be."""

    weak: tuple[str, ...]


@probe("linux", apt=_APT, dnf=_DNF)
def package_sources(apt: Raw | None, dnf: Raw | None) -> list[PackageSource]:
    """sources.list(5) in both forms; dnf.conf(5)."""
    if apt is None and dnf is None:
        raise NotUnderstood("no package manager that is known here (apt, dnf)")
    found = [*(_apt(apt) if apt else ()), *(_dnf(dnf) if dnf else ())]
    if not found:
        raise NotUnderstood("no source of software is set up at all")
    return found


@probe("linux", settings=_APT_SETTINGS)
def source_settings(settings: Raw | None) -> SourceSettings:
    """``Name "value";``, apt-config(8). Without apt there is nothing to weaken."""
    weak = []
    for line in settings.lines if settings else ():
        matched = re.fullmatch(r'([\w:-]+) "([^"]*)";', line)
        if not matched:
            raise NotUnderstood("not an answer of apt-config")
        name, value = matched.groups()
        on = value.lower() in _YES
        if value and on != ("Verify" in name):
            weak.append(f"{name} {value}")
    return SourceSettings(tuple(weak))


def _apt(raw: Raw) -> Iterator[PackageSource]:
    only_missing(raw)
    for path, lines in tree_files(raw).items():
        if path.endswith(".list"):
            for line in lines:
                if line.strip():
                    yield from _one_line(path, line.partition("#")[0].strip())
        elif path.endswith(".sources"):
            for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
                if stanza.strip():
                    yield from _stanza(path, stanza)


def _one_line(path: str, line: str) -> Iterator[PackageSource]:
    matched = re.fullmatch(r"(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)(.*)", line)
    if not matched:
        raise NotUnderstood(f"{path}: not a line of sources.list")
    kind, options, address, suite, _ = matched.groups()
    if kind == "deb":
        values = dict(re.findall(r"([\w-]+)\+?=(\S+)", (options or "").lower()))
        yield _made(path, values, (address,), (suite,))


def _stanza(path: str, stanza: str) -> Iterator[PackageSource]:
    values: dict[str, str] = {}
    key = ""
    for line in stanza.split("\n"):
        if line[:1] in " \t" and key:
            values[key] += "\n" + line.strip()
            continue
        key, colon, value = line.partition(":")
        key = key.strip().lower()
        if not colon:
            raise NotUnderstood(f"{path}: not a field of a source")
        values[key] = value.strip()
    if "types" not in values or "uris" not in values or "suites" not in values:
        raise NotUnderstood(f"{path}: a source without Types, URIs or Suites")
    if "deb" in values["types"].split() and values.get("enabled", "yes").lower() in _YES:
        yield _made(path, values, tuple(values["uris"].split()), tuple(values["suites"].split()))


def _made(
    path: str, values: dict[str, str], addresses: tuple[str, ...], suites: tuple[str, ...]
) -> PackageSource:
    lax = tuple(f"{name}=yes" for name in _LAX if values.get(name, "no").lower() in _YES)
    return PackageSource("apt", path, addresses, suites, lax, values.get("signed-by", "")[:60], False)


def _dnf(raw: Raw) -> Iterator[PackageSource]:
    only_missing(raw)
    sections: dict[tuple[str, str], dict[str, str]] = {}
    section: tuple[str, str] | None = None
    for path, lines in tree_files(raw).items():
        section = None
        for line in lines:
            text = line.strip()
            if text.startswith("["):
                section = (path, text.strip("[]"))
                sections[section] = {}
            elif section is None:
                raise NotUnderstood(f"{path}: a setting outside any section")
            else:
                key, _, value = text.partition("=")
                sections[section][key.strip()] = value.strip()
    main: dict[str, str] = {}
    for (_, name), values in sections.items():
        if name == "main":
            main |= values
    for (path, name), values in sections.items():
        if name == "main" or values.get("enabled", "1").lower() not in _YES or not path.endswith(".repo"):
            continue
        # Not set anywhere: the default is False, dnf.conf(5) of dnf 4.
        signed = values.get("gpgcheck", main.get("gpgcheck", main.get("pkg_gpgcheck", "0"))).lower() in _YES
        verified = values.get("sslverify", main.get("sslverify", "1")).lower() in _YES
        where = tuple(values[key] for key in ("baseurl", "metalink", "mirrorlist") if values.get(key))
        yield PackageSource(
            "dnf", f"{path} [{name}]", where, (), () if signed else ("gpgcheck=0",), "repo", not verified
        )


# --- checks ---------------------------------------------------------------------------------------------------


@check(
    "package-sources.signed",
    principle=(SECURE_DEPLOYMENT, DEFAULT_DENY),
    severity=Severity.CRITICAL,
    layer=Layer.HOST,
    title_nl="Software wordt alleen geïnstalleerd als zij ondertekend is",
    why_nl="Zonder handtekening installeert de host als root wat iemand onderweg of op de spiegel heeft neergelegd.",
    fix="# take trusted=yes and allow-*=yes out of /etc/apt/sources.list and sources.list.d; dnf: gpgcheck=1\n"
    "apt-get update",
    verify="grep -rE 'trusted|allow-|Trusted|Allow-' /etc/apt/sources.list /etc/apt/sources.list.d",
    references=("sources.list(5)", "apt-secure(8)", "dnf.conf(5) gpgcheck"),
)
def signed(sources: list[PackageSource], settings: SourceSettings) -> Verdict:
    """Software is installed only when it is signed.

    Without a signature the host installs, as root, what someone has put in on the way or on the mirror.
    """
    lax = [f"{source}: {', '.join(source.lax)}" for source in sources if source.lax]
    lax += [setting for setting in settings.weak if "Verify" not in setting]
    return holds(not lax, named(lax, 5) or f"{len(sources)} sources, all must be signed", "signed")


@check(
    "package-sources.bound-to-key",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.LOW,
    layer=Layer.HOST,
    title_nl="Bij elke bron van software staat welke sleutel haar ondertekent",
    why_nl="Anders mag elke sleutel die het systeem kent voor elke bron tekenen, ook die van een kleine leverancier.",
    fix="# deb [signed-by=/usr/share/keyrings/NAME.gpg] ...    or in a .sources file: Signed-By: ...\napt-get update",
    verify="grep -riE 'signed-by' /etc/apt/sources.list /etc/apt/sources.list.d",
    references=("sources.list(5) signed-by", "https://wiki.debian.org/DebianRepository/UseThirdParty"),
)
def bound_to_key(sources: list[PackageSource]) -> Verdict:
    """Each source of software says which key signs it.

    Otherwise any key that the system knows may sign for any source, also that of a small supplier.
    """
    apt = [source for source in sources if source.kind == "apt"]
    if not apt:
        raise Absent("dnf binds keys to sources by itself")
    loose = [str(source) for source in apt if not source.key]
    return holds(not loose, f"no Signed-By: {named(loose, 5) or 'none'}", "Signed-By at every source")


@check(
    "package-sources.encrypted",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="Software komt over een versleutelde verbinding",
    why_nl="De handtekening bewaakt de inhoud; zonder versleuteling ziet een meelezer wel precies wat er ontbreekt.",
    fix="sed -i 's,http://,https://,' /etc/apt/sources.list /etc/apt/sources.list.d/*\napt-get update",
    verify="grep -rE '^[^#].*http:' /etc/apt/sources.list /etc/apt/sources.list.d",
    references=("apt-transport-https(1)", "CVE-2019-3462 (a redirect over plain HTTP)"),
)
def encrypted(
    sources: list[PackageSource],
    *,
    mirrors: Annotated[tuple[str, ...], "hosts of your own that may be reached without encryption"] = (),
) -> Verdict:
    """Software comes over an encrypted connection.

    The signature guards the contents; without encryption an eavesdropper still sees exactly what is missing.
    """
    plain = []
    for source in sources:
        for address in source.addresses:
            parts = urlsplit(address)
            scheme = parts.scheme.rpartition("+")[2]
            if scheme in {"http", "ftp"} and parts.hostname not in {
                "localhost",
                "127.0.0.1",
                "::1",
                *mirrors,
            }:
                plain.append(address)
    return holds(not plain, f"unencrypted: {named(list(dict.fromkeys(plain)), 5) or 'none'}", "https")


@check(
    "package-sources.certificates-checked",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="Het certificaat van een bron wordt gecontroleerd",
    why_nl=(
        "Versleutelen zonder controle beschermt niet: wie zich ertussen zet, laat gewoon zijn eigen"
        " certificaat zien."
    ),
    fix="# take Acquire::https::Verify-Peer and Verify-Host out of /etc/apt/apt.conf.d; dnf: sslverify=1",
    verify="apt-config dump Acquire::https",
    references=("apt-transport-https(1)", "dnf.conf(5) sslverify"),
)
def certificates_checked(sources: list[PackageSource], settings: SourceSettings) -> Verdict:
    """The certificate of a source is checked.

    Encrypting without checking does not protect: who steps in between simply shows a certificate of his own.
    """
    off = [f"{source.where}: sslverify=0" for source in sources if source.unverified]
    off += [setting for setting in settings.weak if "Verify" in setting]
    return holds(not off, named(off, 5) or "checked everywhere", "checked")


@check(
    "package-sources.security-suite",
    principle=SECURE_DEPLOYMENT,
    severity=Severity.HIGH,
    layer=Layer.HOST,
    title_nl="De bron van beveiligingsupdates is ingesteld",
    why_nl="Debian en Ubuntu geven beveiligingsupdates uit een eigen bron. Ontbreekt die, dan komt er nooit een.",
    fix="echo 'deb https://deb.debian.org/debian-security bookworm-security main'"
    " > /etc/apt/sources.list.d/security.list\napt-get update",
    verify="grep -r security /etc/apt/sources.list /etc/apt/sources.list.d",
    references=("https://www.debian.org/security/", "https://wiki.ubuntu.com/SecurityTeam/FAQ"),
)
def security_suite(sources: list[PackageSource]) -> Verdict:
    """The source of security updates is set up.

    Debian and Ubuntu give security updates from a source of their own. Without it none ever comes.
    """
    apt = [source for source in sources if source.kind == "apt"]
    if not apt:
        raise Absent("dnf gets security updates from the same sources as all others")
    suites = [suite for source in apt for suite in source.suites]
    found = [suite for suite in suites if re.search(r"-security(/|$)|/updates$", suite)]
    return holds(
        bool(found),
        f"suites: {', '.join(dict.fromkeys(found or suites))[:200]}",
        "a suite that ends in -security",
    )


# --- examples -------------------------------------------------------------------------------------------------


def _files(**files: str) -> str:
    """What grep says of files; ``__`` in a name stands for a dot."""
    return "".join(
        f"/etc/apt/{name.replace('___', '/').replace('__', '.')}\0{line}\n"
        for name, text in files.items()
        for line in text.split("\n")
    )


_DEB822: Final = """Types: deb
URIs: https://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: https://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGPL0BUBEADm
"""
_GOOD: Final = {"apt": _files(sources__list__d___debian__sources=_DEB822), "settings": ""}
_LINES: Final = """deb http://deb.debian.org/debian bookworm main contrib
deb-src http://deb.debian.org/debian bookworm main
deb [arch=amd64 trusted=yes] http://mirror.example.nl/tools ./ # ours"""
_BAD: Final = {
    "apt": _files(sources__list=_LINES),
    "settings": 'APT::Get::AllowUnauthenticated "true";\nAcquire::https::Verify-Peer "false";\n',
}
_LAX_STANZA: Final = {
    "apt": _files(sources__list__d___x__sources=f"{_DEB822.strip()}\nTrusted: yes"),
    "settings": "",
}


def _repo(check: str, address: str = "https://dl.rockylinux.org/baseos", more: str = "") -> dict[str, object]:
    lines = (
        "/etc/dnf/dnf.conf\0[main]", f"/etc/dnf/dnf.conf\0{check}", "/etc/yum.repos.d/rocky.repo\0[baseos]",
        "/etc/yum.repos.d/rocky.repo\0name=Rocky Linux 9 - BaseOS", f"/etc/yum.repos.d/rocky.repo\0baseurl={address}",
        "/etc/yum.repos.d/rocky.repo\0enabled=1", f"/etc/yum.repos.d/rocky.repo\0{more or 'enabled=1'}",
    )  # fmt: skip
    missing = b"grep: /etc/yum.conf: No such file or directory\n"
    return {"dnf": Raw(out=("\n".join(lines) + "\n").encode(), err=missing, code=2)}


examples(
    signed,
    passes=[_GOOD, _repo("gpgcheck=1")],
    fails=[
        _BAD,
        _LAX_STANZA,
        _repo("gpgcheck=0"),
        _repo("best=True"),
        {**_GOOD, "settings": _BAD["settings"]},
    ],
    unknown=[{**_GOOD, "apt": ""}, {}, {**_GOOD, "apt": _files(sources__list="rpm http://example.nl x")}],
)
examples(bound_to_key, passes=_GOOD, fails=_BAD, notapplicable=_repo("gpgcheck=1"))
examples(
    encrypted,
    passes=[_GOOD, _repo("gpgcheck=1")],
    fails=[_BAD, _repo("gpgcheck=1", "http://mirror.example.nl/baseos")],
)
examples(
    certificates_checked,
    passes=[_GOOD, _repo("gpgcheck=1")],
    fails=[_BAD, _repo("gpgcheck=1", more="sslverify=0")],
)
examples(security_suite, passes=_GOOD, fails=_BAD, notapplicable=_repo("gpgcheck=1"))
