"""How the SSH server protects a connection: its algorithms and keys.

Judged is the list sshd will offer (`sshd -T`); the order is free. What counts as weak is data with its sources, in
ssh_algorithms.csv beside this file.
"""

from __future__ import annotations

import base64
import csv
import struct
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Annotated, Final

from pydantic import BeforeValidator

from checks.linux._answers import named
from checks.linux.files import SSH_HOST_KEYS, Paths, seen
from checks.linux.ssh import DUMP, drop_in, settings
from scanner import (
    SECURE_DESIGN,
    Absent,
    Command,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    Tree,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
    read,
    tree_files,
)


def _weak_patterns() -> dict[str, list[tuple[str, str]]]:
    table: dict[str, list[tuple[str, str]]] = {}
    for row in csv.DictReader(files("checks.linux").joinpath("ssh_algorithms.csv").read_text().splitlines()):
        table.setdefault(row["part"], []).append((row["pattern"], row["weakness"]))
    return table


#: Part of the protocol -> (pattern of names, what is weak about them).
WEAK: Final = _weak_patterns()


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(value.split(","))
    if not all(names) or names[0][0] in "+-^":
        raise ValueError("not a list of algorithms")
    return names


Algorithms = Annotated[tuple[str, ...], BeforeValidator(_names)]


@fact
class SshAlgorithms:
    """What sshd offers and accepts; the names are those of sshd_config(5)."""

    kexalgorithms: Algorithms
    ciphers: Algorithms
    macs: Algorithms
    hostkeyalgorithms: Algorithms
    pubkeyacceptedalgorithms: Algorithms
    gssapikexalgorithms: Algorithms = ()
    modulifile: str = "/etc/ssh/moduli"


@fact
class HostKey:
    """A key by which the server proves who it is; ``bits`` is the length of its modulus or curve."""

    path: str
    kind: str
    bits: int

    def __str__(self) -> str:
        return self.path


@fact
class Moduli:
    """Size in bits of the prime -> how many of that size sshd may pick for a group exchange."""

    sizes: dict[int, int]


@probe("linux", dump=DUMP)
def algorithms(dump: Raw) -> SshAlgorithms:
    """The dump; older servers call PubkeyAcceptedAlgorithms otherwise, and GSSAPI's list counts only when it is on."""
    said = settings(dump)
    if "pubkeyacceptedkeytypes" in said:
        said.setdefault("pubkeyacceptedalgorithms", said["pubkeyacceptedkeytypes"])
    if said.get("gssapikeyexchange") != "yes":
        said.pop("gssapikexalgorithms", None)
    return read(SshAlgorithms, said)


@probe("linux", dump=DUMP, public=Tree(path="/etc/ssh", include="ssh_host_*_key.pub", root=True))
def host_keys(dump: Raw, public: Raw, paths: Paths) -> list[HostKey]:
    """The public half of every host key that sshd loads: those it names and that are there."""
    there = {path.path for path in paths.found}
    halves = tree_files(public)
    keys = []
    for path in settings(dump).get("hostkey", "").split():
        if path not in SSH_HOST_KEYS:
            raise NotUnderstood(f"HostKey {path} was not looked at")
        if path not in there:
            continue
        if f"{path}.pub" not in halves:
            raise NotUnderstood(f"{path} has no public half beside it")
        keys.append(_host_key(path, halves[f"{path}.pub"][0]))
    if not keys:
        raise NotUnderstood("sshd names no host key that is there")
    return keys


def _host_key(path: str, line: str) -> HostKey:
    kind, blob = line.split()[:2]
    parts = list(_strings(base64.b64decode(blob, validate=True)))
    if parts[0].decode() != kind:
        raise NotUnderstood(f"{path}.pub says {kind} but holds another key")
    if kind in {"ssh-rsa", "ssh-dss"}:
        modulus = parts[2] if kind == "ssh-rsa" else parts[1]
        return HostKey(path=path, kind=kind, bits=int.from_bytes(modulus, "big").bit_length())
    sizes = {"ssh-ed25519": 256, **{f"ecdsa-sha2-nistp{size}": size for size in (256, 384, 521)}}
    if kind not in sizes:
        raise NotUnderstood(f"{path}.pub holds a {kind} key")
    return HostKey(path=path, kind=kind, bits=sizes[kind])


def _strings(blob: bytes) -> Iterator[bytes]:
    """The strings in a key blob, RFC 4251 section 5."""
    while blob:
        (length,) = struct.unpack_from(">I", blob)
        if length > len(blob) - 4:
            raise NotUnderstood("a key that is cut short")
        yield blob[4 : 4 + length]
        blob = blob[4 + length :]


# As root: on SUSE nobody else may read the file.
@probe(
    "linux",
    counted=Command(
        "awk '!/^#/ {n[$5]++} END {for (size in n) print size, n[size]}' /etc/ssh/moduli",
        root=True,
        needs="sshd",
    ),
)
def moduli(counted: Raw) -> Moduli:
    """A line per size; the fifth column of moduli(5) is the size less one."""
    sizes = {int(size) + 1: int(count) for size, count in (line.split() for line in counted.lines)}
    if not sizes:
        raise NotUnderstood("/etc/ssh/moduli names no prime")
    return Moduli(sizes=sizes)


def without_weak(part: str, offered: Iterable[str]) -> Verdict:
    """Whether none of these names is weak by the table, for this part of the protocol."""
    weak = [
        f"{name} ({weakness})"
        for name in offered
        for weakness in [next((weak for pattern, weak in WEAK[part] if fnmatchcase(name, pattern)), "")]
        if weakness
    ]
    return holds(not weak, ", ".join(weak) or named(list(offered)), "none of the weak ones")


# One line for both claims about key exchange: the first KexAlgorithms is the only one sshd takes. OpenSSH's own list,
# which it adds to, has had no SHA-1 since 8.2.
_KEX: Final = drop_in("KexAlgorithms ^sntrup761x25519-sha512@openssh.com")
_ADVICE: Final = (
    "Try old clients and appliances first: they may fail. On RHEL use update-crypto-policies instead."
)
_ADVICE_NL: Final = (
    "Oude clients en apparaten kunnen mogelijk niet meer verbinden: probeer die eerst. Gebruik bij RHEL"
    " update-crypto-policies."
)


@check(
    "ssh.key-exchange",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="SSH spreekt sleutels alleen op een veilige manier af",
    why_nl="Met SHA-1 of een kleine groep kan een meelezer de sessiesleutel ooit terugrekenen of namaken.",
    fix=_KEX,
    verify="sshd -T | grep kexalgorithms",
    references=("RFC 9142 (2022-01)", "checks/linux/ssh_algorithms.csv"),
    advice=(
        "OpenSSH older than 8.5: KexAlgorithms -*sha1*. With GSSAPIKeyExchange yes, name those without sha1 in"
        f" GSSAPIKexAlgorithms as well. {_ADVICE}"
    ),
    advice_nl=(
        "OpenSSH ouder dan 8.5: KexAlgorithms -*sha1*. Noem bij GSSAPIKeyExchange yes ook in GSSAPIKexAlgorithms"
        f" alleen die zonder sha1. {_ADVICE_NL}"
    ),
)
def key_exchange_is_strong(algorithms: SshAlgorithms) -> Verdict:
    """SSH agrees on keys in strong ways only.

    With SHA-1 or a small group an eavesdropper may one day compute the session key or forge the agreement.
    """
    return without_weak("kex", (*algorithms.kexalgorithms, *algorithms.gssapikexalgorithms))


@check(
    "ssh.ciphers",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="SSH versleutelt alleen met sterke algoritmen",
    why_nl="CBC, RC4 en 3DES geven een meelezer delen van de sessie prijs.",
    fix=drop_in("Ciphers -*-cbc*,arcfour*"),
    verify="sshd -T | grep ciphers",
    references=("RFC 8758 (2020-04)", "CVE-2008-5161", "checks/linux/ssh_algorithms.csv"),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def ciphers_are_strong(algorithms: SshAlgorithms) -> Verdict:
    """SSH encrypts with strong algorithms only.

    CBC, RC4 and 3DES give parts of a session away to an eavesdropper.
    """
    return without_weak("ciphers", algorithms.ciphers)


@check(
    "ssh.macs",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    title_nl="SSH bewaakt de echtheid van het verkeer met sterke algoritmen",
    why_nl="Een zwakke of korte controlecode maakt het doenlijk om verkeer onderweg ongemerkt te wijzigen.",
    fix=drop_in("MACs -*sha1*,*md5*,*-96*,umac-64*"),
    verify="sshd -T | grep macs",
    references=("BSI TR-02102-4 (2025-01)", "sshd_config(5) MACs", "checks/linux/ssh_algorithms.csv"),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def macs_are_strong(algorithms: SshAlgorithms) -> Verdict:
    """SSH guards traffic against change with strong algorithms only.

    A weak or short check code makes it feasible to change traffic on its way unnoticed.
    """
    return without_weak("macs", algorithms.macs)


@check(
    "ssh.signatures",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="SSH bewijst en controleert identiteit zonder SHA-1 en DSA",
    why_nl="Wie een handtekening met SHA-1 of DSA kan namaken, doet zich voor als de server of als een beheerder.",
    fix=drop_in("HostKeyAlgorithms -ssh-rsa*,ssh-dss*")
    + "\n"
    + drop_in("PubkeyAcceptedAlgorithms -ssh-rsa*,ssh-dss*"),
    verify="sshd -T | grep -E 'hostkeyalgorithms|pubkeyacceptedalgorithms'",
    references=("OpenSSH 8.8 release notes (2021-09)", "RFC 8332", "checks/linux/ssh_algorithms.csv"),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def signatures_are_strong(algorithms: SshAlgorithms) -> Verdict:
    """SSH proves and checks identity without SHA-1 and DSA.

    Whoever can forge a signature made with SHA-1 or DSA passes for the server or for an administrator.
    """
    offered = (*algorithms.hostkeyalgorithms, *algorithms.pubkeyacceptedalgorithms)
    return without_weak("signatures", tuple(dict.fromkeys(offered)))


@check(
    "ssh.post-quantum",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="SSH biedt een sleutelafspraak aan die een quantumcomputer weerstaat",
    why_nl="Verkeer dat nu wordt bewaard, is anders later met een quantumcomputer alsnog te lezen.",
    fix=_KEX,
    verify="sshd -T | grep -oE 'mlkem768x25519|sntrup761x25519'",
    references=("OpenSSH 9.0 (2022-04) and 9.9 (2024-09) release notes", "BIO2 1.3 maatregel 8.24.04"),
    advice="OpenSSH older than 8.5 cannot do this: then upgrade the system.",
    advice_nl="OpenSSH ouder dan 8.5 kan dit niet: werk dan het systeem bij.",
)
def quantum_safe_offered(algorithms: SshAlgorithms) -> Verdict:
    """SSH offers a key agreement that withstands a quantum computer.

    Traffic that is recorded now can otherwise be read later with a quantum computer.
    """
    hybrid = [
        name for name in algorithms.kexalgorithms if name.startswith(("mlkem768", "mlkem1024", "sntrup761"))
    ]
    return holds(bool(hybrid), ", ".join(hybrid) or "none offered", "mlkem768x25519 or sntrup761x25519")


@check(
    "ssh.host-key-size",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.IDENTITY,
    title_nl="De eigen SSH-sleutels van de server zijn lang genoeg",
    why_nl="Met een te korte sleutel kan iemand zich ooit voordoen als deze server.",
    fix=(
        "rm /etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_rsa_key.pub\n"
        "ssh-keygen -q -t rsa -b 3072 -N '' -f /etc/ssh/ssh_host_rsa_key\nsystemctl reload ssh"
    ),
    verify="ssh-keygen -l -f /etc/ssh/ssh_host_rsa_key.pub",
    references=("BSI TR-02102-4 (2025-01)", "NIST SP 800-57 part 1 rev. 5 table 2"),
    advice="Clients will see a changed key: publish the new fingerprint first, and tell the scanner's inventory.",
    advice_nl=(
        "Clients zien een gewijzigde sleutel: maak eerst de nieuwe vingerafdruk bekend, ook in de inventaris van de"
        " scanner."
    ),
)
def host_key_is_long(
    key: HostKey, *, bits: Annotated[int, "the shortest RSA key that will do, in bits"] = 3072
) -> Verdict:
    """The server's own SSH keys are long enough.

    With too short a key someone can one day pass for this server.
    """
    needed = {"ssh-rsa": bits}.get(key.kind, 256)
    strong = key.kind != "ssh-dss" and key.bits >= needed
    return holds(strong, f"{key.kind} of {key.bits} bits", f"RSA of {bits} bits, ECDSA or Ed25519")


@check(
    "ssh.group-exchange",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    title_nl="SSH gebruikt geen korte priemgetallen bij de groepsuitwisseling",
    why_nl="Velen delen een priemgetal: wie een kort breekt, leest het verkeer van alle gebruikers ervan.",
    fix=(
        "awk '/^#/ || $5 >= 3071' /etc/ssh/moduli > /etc/ssh/moduli.new\n"
        "test -s /etc/ssh/moduli.new && mv /etc/ssh/moduli.new /etc/ssh/moduli"
    ),
    verify="awk '!/^#/ && $5 < 3071' /etc/ssh/moduli | wc -l",
    references=("moduli(5)", "RFC 8270", "BSI TR-02102-4 (2025-01)"),
    advice="A package update may bring the file back.",
    advice_nl="Een pakketupdate kan het bestand terugzetten.",
)
def primes_are_long(
    algorithms: SshAlgorithms, moduli: Moduli, *, bits: Annotated[int, "the shortest prime, in bits"] = 3072
) -> Verdict:
    """SSH uses no short primes in group exchange.

    Many share one prime: whoever breaks a short one reads the traffic of all who use it.
    """
    if not any(name.startswith("diffie-hellman-group-exchange-") for name in algorithms.kexalgorithms):
        raise Absent("group exchange is not offered")
    if algorithms.modulifile != "/etc/ssh/moduli":
        raise NotUnderstood(f"ModuliFile {algorithms.modulifile} was not looked at")
    short = {size: count for size, count in sorted(moduli.sizes.items()) if size < bits}
    observed = ", ".join(f"{count} of {size} bits" for size, count in short.items())
    return holds(not short, observed or f"shortest is {min(moduli.sizes)} bits", f"{bits} bits or more")


# --- examples: Debian 12, OpenSSH 9.2 -----------------------------------------------------------------------------

_DEBIAN: Final = {
    "permitrootlogin": "no",
    "gssapikeyexchange": "no",
    "gssapikexalgorithms": "gss-group14-sha256-,gss-group16-sha512-,gss-curve25519-sha256-,gss-group14-sha1-",
    "modulifile": "/etc/ssh/moduli",
    "ciphers": "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com",
    "macs": "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256",
    "kexalgorithms": "sntrup761x25519-sha512@openssh.com,curve25519-sha256,ecdh-sha2-nistp256,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha256",
    "hostkeyalgorithms": "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256",
    "pubkeyacceptedalgorithms": "ssh-ed25519,sk-ssh-ed25519@openssh.com,rsa-sha2-512,rsa-sha2-256",
    "hostkey": "/etc/ssh/ssh_host_rsa_key\nhostkey /etc/ssh/ssh_host_ed25519_key",
}
_KEYS: Final = SSH_HOST_KEYS[0], SSH_HOST_KEYS[2]


def _dump(**changed: str) -> str:
    return "".join(f"{keyword} {value}\n" for keyword, value in {**_DEBIAN, **changed}.items())


def _public(kind: str, *numbers: int) -> str:
    parts = [kind.encode(), *(number.to_bytes(number.bit_length() // 8 + 1, "big") for number in numbers)]
    blob = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return f"{kind} {base64.b64encode(blob).decode()} root@web01\n"


def _keys(rsa: str, **changed: str) -> dict[str, object]:
    public = f"{_KEYS[0]}.pub\0{rsa}{_KEYS[1]}.pub\0{_public('ssh-ed25519', 1 << 254)}"
    return {
        "dump": _dump(**changed),
        "public": public,
        **seen(f"-rw------- 1 root root 2590 1770000000 {_KEYS[0]}"),
    }


_LONG: Final = _public("ssh-rsa", 65537, (1 << 3071) + 1)
_SHORT: Final = _public("ssh-rsa", 65537, (1 << 2047) + 1)

examples(
    key_exchange_is_strong,
    passes=_dump(),
    fails=[
        _dump(kexalgorithms="curve25519-sha256,diffie-hellman-group14-sha1"),
        _dump(gssapikeyexchange="yes"),
    ],
    unknown=[_dump(kexalgorithms=""), "permitrootlogin no\n"],
)
examples(ciphers_are_strong, passes=_dump(), fails=_dump(ciphers="aes256-ctr,3des-cbc"))
examples(macs_are_strong, passes=_dump(), fails=_dump(macs="umac-64-etm@openssh.com,hmac-sha2-256,hmac-sha1"))
examples(
    signatures_are_strong,
    passes=_dump(),
    fails=[
        _dump(hostkeyalgorithms="ssh-ed25519,ssh-rsa"),
        _dump(pubkeyacceptedalgorithms="ssh-rsa-cert-v01@openssh.com"),
    ],
)
examples(quantum_safe_offered, passes=_dump(), fails=_dump(kexalgorithms="curve25519-sha256"))
examples(
    host_key_is_long,
    passes=_keys(_LONG),
    fails=_keys(_SHORT),
    unknown=[
        _keys(_LONG, hostkey="/srv/keys/host_key"),
        _keys("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB root@web01\n"),
        {**_keys(_LONG), "public": f"{_KEYS[1]}.pub\0{_public('ssh-ed25519', 1 << 254)}"},
    ],
)
examples(
    primes_are_long,
    passes={"dump": _dump(), "counted": "3071 77\n4095 80\n"},
    fails={"dump": _dump(), "counted": "2047 71\n3071 77\n"},
    notapplicable={"dump": _dump(kexalgorithms="curve25519-sha256"), "counted": "2047 71\n"},
    unknown={"dump": _dump(), "counted": ""},
)
