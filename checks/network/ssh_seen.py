"""What an SSH server offers to whoever connects: its protocol and algorithms, read before any login.

Network devices and servers we cannot log in to are judged by the same table as those we can (ssh_algorithms.csv). In a
scan that goes over SSH the answer is the beginning of that very connection.
"""

from __future__ import annotations

import re
from typing import Final

from checks.linux.ssh import drop_in
from checks.linux.ssh_crypto import without_weak
from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    SECURE_DESIGN,
    Absent,
    Each,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    SshHello,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

#: Names of services behind which an SSH server answers.
SSH_SERVICES: Final = frozenset({"ssh", "sftp"})
_BANNER: Final = re.compile(rb"(?:^|\n)SSH-([0-9.]+)-([^\r\n]*)\r?\n")
_KEXINIT: Final = 20
_LISTS: Final = 10


@fact
class SshServer(OnTcp):
    """The banner of an SSH server (RFC 4253 section 4.2): the protocol it speaks, and its program."""

    port: int
    protocol: str
    software: str


@fact
class SshOffer(OnTcp):
    """What an SSH server offers, both directions together; empty names are left out (RFC 4253 section 7.1)."""

    port: int
    kex: tuple[str, ...]
    host_keys: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]


def _is_ssh(port: OpenPort) -> bool:
    return port.service in SSH_SERVICES


def _hello(port: OpenPort) -> SshHello:
    return SshHello(port=port.number)


@probe("outside", hello=Each(OpenPort, _hello, when=_is_ssh))
def ssh_server(hello: Raw, port: OpenPort) -> SshServer:
    """The banner; lines before it are allowed, and say nothing."""
    banner = _said(hello)[0]
    return SshServer(port.number, banner[1].decode("ascii"), banner[2].decode("ascii"))


@probe("outside", hello=Each(OpenPort, _hello, when=_is_ssh))
def ssh_offer(hello: Raw, port: OpenPort) -> SshOffer:
    """The KEXINIT packet behind the banner."""
    banner, packet = _said(hello)
    if banner[1].startswith(b"1.") and banner[1] != b"1.99":
        raise Absent("a server of protocol 1 offers no algorithms")
    lists = _lists(packet)
    return SshOffer(
        port=port.number,
        kex=lists[0],
        host_keys=lists[1],
        ciphers=_both(lists[2], lists[3]),
        macs=_both(lists[4], lists[5]),
    )


def _said(hello: Raw) -> tuple[re.Match[bytes], bytes]:
    """The banner, and what came after it."""
    exchange = heard(hello)
    banner = _BANNER.search(exchange.received)
    if banner is None:
        raise NotUnderstood("no SSH banner came")
    return banner, exchange.received[banner.end() :]


def _lists(packet: bytes) -> list[tuple[str, ...]]:
    """The ten lists of names in a KEXINIT packet."""
    if len(packet) < 6 or packet[5] != _KEXINIT:
        raise NotUnderstood("the server's first packet is no KEXINIT")
    at, found = 22, []
    for _ in range(_LISTS):
        size = int.from_bytes(packet[at : at + 4], "big")
        names = packet[at + 4 : at + 4 + size]
        if len(names) != size or at + 4 > len(packet):
            raise NotUnderstood("a KEXINIT that is cut short")
        found.append(tuple(name for name in names.decode("ascii").split(",") if name))
        at += 4 + size
    if not found[0] or not found[1] or not found[2]:
        raise NotUnderstood("a KEXINIT that offers nothing")
    return found


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


_ADVICE: Final = (
    "On a server: the same lines in a file under /etc/ssh/sshd_config.d. On a device: see its manual, or put it behind"
    " a management network. Try old clients first: they may fail."
)
_ADVICE_NL: Final = (
    "Op een server: deze regels in een bestand onder /etc/ssh/sshd_config.d. Op een apparaat: zie de handleiding, of"
    " plaats het in een beheernetwerk. Probeer eerst oude clients: die kunnen mogelijk niet meer verbinden."
)
_VERIFY: Final = "ssh -vv -o PreferredAuthentications=none HOST 2>&1 | grep -A 9 'peer server KEXINIT'"
_TABLE: Final = "checks/linux/ssh_algorithms.csv"


# One line for both claims about key exchange, as in checks/linux/ssh_crypto.py.
_KEX: Final = drop_in("KexAlgorithms ^sntrup761x25519-sha512@openssh.com")


@check(
    "ssh.seen-protocol",
    principle=SECURE_DESIGN,
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server spreekt van buiten gezien alleen protocol 2",
    why_nl="Protocol 1 is gebroken: een ander op het netwerk kan meelezen en commando's invoegen.",
    fix="apt-get install --only-upgrade openssh-server\nsystemctl restart ssh",
    verify="ssh-keyscan -v HOST 2>&1 | grep 'remote protocol'",
    references=("RFC 4253 section 5.1", "OpenSSH 7.4 release notes (2016-12)"),
    advice=(
        "Only old servers and devices speak protocol 1: on a device, choose version 2 (ip ssh version 2) or replace it."
    ),
    advice_nl=(
        "Alleen oude servers en apparaten spreken protocol 1: kies op een apparaat versie 2 (ip ssh version 2), of"
        " vervang het."
    ),
)
def only_protocol_two(server: SshServer) -> Verdict:
    """The SSH server, seen from outside, speaks protocol 2 alone.

    Protocol 1 is broken: another on the network can read along and slip in commands.
    """
    return holds(server.protocol == "2.0", f"SSH-{server.protocol}-{server.software}", "SSH-2.0")


@check(
    "ssh.seen-key-exchange",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server biedt alleen veilige sleutelafspraken aan",
    why_nl="Met SHA-1 of een kleine groep kan een meelezer de sessiesleutel ooit terugrekenen of namaken.",
    fix=_KEX,
    verify=_VERIFY,
    references=("RFC 9142 (2022-01)", _TABLE),
    advice=f"OpenSSH older than 8.5: KexAlgorithms -*sha1*. {_ADVICE}",
    advice_nl=f"OpenSSH ouder dan 8.5: KexAlgorithms -*sha1*. {_ADVICE_NL}",
)
def key_exchange_seen(offer: SshOffer) -> Verdict:
    """The SSH server offers strong key agreements only.

    With SHA-1 or a small group an eavesdropper may one day compute the session key or forge the agreement.
    """
    return without_weak("kex", offer.kex)


@check(
    "ssh.seen-ciphers",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server biedt alleen sterke versleuteling aan",
    why_nl="CBC, RC4 en 3DES geven een meelezer delen van de sessie prijs.",
    fix=drop_in("Ciphers -*-cbc*,arcfour*"),
    verify=_VERIFY,
    references=("RFC 8758 (2020-04)", "CVE-2008-5161", _TABLE),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def ciphers_seen(offer: SshOffer) -> Verdict:
    """The SSH server offers strong encryption only.

    CBC, RC4 and 3DES give parts of a session away to an eavesdropper.
    """
    return without_weak("ciphers", offer.ciphers)


@check(
    "ssh.seen-macs",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server biedt alleen sterke controlecodes aan",
    why_nl="Een zwakke of korte controlecode maakt het doenlijk om verkeer onderweg ongemerkt te wijzigen.",
    fix=drop_in("MACs -*sha1*,*md5*,*-96*,umac-64*"),
    verify=_VERIFY,
    references=("BSI TR-02102-4 (2025-01)", _TABLE),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def macs_seen(offer: SshOffer) -> Verdict:
    """The SSH server offers strong check codes only.

    A weak or short check code makes it feasible to change traffic on its way unnoticed.
    """
    return without_weak("macs", offer.macs)


@check(
    "ssh.seen-signatures",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    platform="ssh",
    title_nl="De SSH-server bewijst zijn identiteit zonder SHA-1 en DSA",
    why_nl="Wie een handtekening met SHA-1 of DSA kan namaken, doet zich voor als deze server.",
    fix=drop_in("HostKeyAlgorithms -ssh-rsa*,ssh-dss*"),
    verify=_VERIFY,
    references=("OpenSSH 8.8 release notes (2021-09)", "RFC 8332", _TABLE),
    advice=_ADVICE,
    advice_nl=_ADVICE_NL,
)
def signatures_seen(offer: SshOffer) -> Verdict:
    """The SSH server proves its identity without SHA-1 and DSA.

    Whoever can forge a signature made with SHA-1 or DSA passes for this server.
    """
    return without_weak("signatures", offer.host_keys)


@check(
    "ssh.seen-strict-exchange",
    principle=SECURE_DESIGN,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server laat niet toe dat het begin van een sessie wordt ingekort",
    why_nl=(
        "Wie ertussen zit kan anders ongemerkt de eerste berichten wegnemen en zo beveiliging uitschakelen (Terrapin)."
    ),
    fix="apt-get install --only-upgrade openssh-server\nsystemctl restart ssh",
    verify=f"{_VERIFY} | grep kex-strict-s-v00@openssh.com",
    references=("CVE-2023-48795", "OpenSSH 9.6 release notes (2023-12)"),
    advice=(
        "Many older versions got this as a security update. On a device that cannot: no chacha20-poly1305, and no CBC"
        " with an -etm check code."
    ),
    advice_nl=(
        "Veel oudere versies kregen dit als beveiligingsupdate. Op een apparaat dat het niet kan: geen"
        " chacha20-poly1305, en geen CBC met een -etm-controlecode."
    ),
)
def exchange_is_strict(offer: SshOffer) -> Verdict:
    """The SSH server does not let the beginning of a session be cut short.

    Someone in between can otherwise take away the first messages unnoticed and so switch protection off (Terrapin).
    """
    strict = "kex-strict-s-v00@openssh.com" in offer.kex
    open_to_it = [name for name in offer.ciphers if name.startswith("chacha20-poly1305")]
    if any("-etm@" in name for name in offer.macs):
        open_to_it += [name for name in offer.ciphers if "-cbc" in name]
    observed = (
        "strict key exchange" if strict else f"not strict; {', '.join(open_to_it) or 'no cipher it works on'}"
    )
    return holds(strict or not open_to_it, observed, "kex-strict-s-v00@openssh.com")


@check(
    "ssh.seen-post-quantum",
    principle=SECURE_DESIGN,
    severity=Severity.LOW,
    layer=Layer.NETWORK,
    platform="ssh",
    title_nl="De SSH-server biedt een sleutelafspraak aan die een quantumcomputer weerstaat",
    why_nl="Verkeer dat nu wordt bewaard, is anders later met een quantumcomputer alsnog te lezen.",
    fix=_KEX,
    verify=f"{_VERIFY} | grep -E 'mlkem768|sntrup761'",
    references=("OpenSSH 9.0 (2022-04) and 9.9 (2024-09) release notes", "BIO2 1.3 maatregel 8.24.04"),
    advice="OpenSSH older than 8.5 cannot do this: then upgrade the system.",
    advice_nl="OpenSSH ouder dan 8.5 kan dit niet: werk dan het systeem bij.",
)
def quantum_safe_seen(offer: SshOffer) -> Verdict:
    """The SSH server offers a key agreement that withstands a quantum computer.

    Traffic that is recorded now can otherwise be read later with a quantum computer.
    """
    hybrid = [name for name in offer.kex if name.startswith(("mlkem768", "mlkem1024", "sntrup761"))]
    return holds(bool(hybrid), ", ".join(hybrid) or "none offered", "mlkem768x25519 or sntrup761x25519")


# --- examples: Debian 12, OpenSSH 9.2 -----------------------------------------------------------------------------

_DEBIAN: Final = {
    "kex": "sntrup761x25519-sha512,curve25519-sha256,ecdh-sha2-nistp256,kex-strict-s-v00@openssh.com",
    "host_keys": "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519",
    "ciphers": "chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com",
    "macs": "umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
}


def _packet(**lists: str) -> bytes:
    said = {**_DEBIAN, **lists}
    order = ("kex", "host_keys", "ciphers", "ciphers", "macs", "macs")
    names = [said[one].encode() for one in order] + [b"none", b"none", b"", b""]
    payload = b"\x14" + bytes(16) + b"".join(len(one).to_bytes(4, "big") + one for one in names) + bytes(5)
    padding = 8 - (len(payload) + 5) % 8 + 4
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def _hello_example(banner: str = "SSH-2.0-OpenSSH_9.2p1 Debian-2", **lists: str) -> dict[str, object]:
    """A host with one open port on which this is said; with ``kex`` empty the banner is all."""
    packet = _packet(**lists) if lists.get("kex", "x") else b""
    return open_port(22, hello=talk(banner.encode() + b"\r\n" + packet))


examples(
    only_protocol_two,
    passes=_hello_example(),
    fails=[_hello_example("SSH-1.99-Cisco-1.25"), _hello_example("SSH-1.5-1.2.27", kex="")],
    unknown=_hello_example("220 ftp.example ready"),
    notapplicable=open_port(80),
)
examples(
    key_exchange_seen,
    passes=_hello_example(),
    fails=_hello_example(kex="curve25519-sha256,diffie-hellman-group1-sha1"),
    unknown=[_hello_example(kex=""), _hello_example("220 ftp.example ready")],
    notapplicable=[open_port(80), _hello_example("SSH-1.5-1.2.27", kex="")],
)
examples(ciphers_seen, passes=_hello_example(), fails=_hello_example(ciphers="aes256-ctr,3des-cbc"))
examples(macs_seen, passes=_hello_example(), fails=_hello_example(macs="hmac-sha2-256,hmac-md5-96"))
examples(signatures_seen, passes=_hello_example(), fails=_hello_example(host_keys="rsa-sha2-512,ssh-rsa"))
examples(
    exchange_is_strict,
    passes=[_hello_example(), _hello_example(kex="curve25519-sha256", ciphers="aes256-ctr")],
    fails=[
        _hello_example(kex="curve25519-sha256"),
        _hello_example(kex="curve25519-sha256", ciphers="aes256-ctr,aes256-cbc"),
    ],
)
examples(quantum_safe_seen, passes=_hello_example(), fails=_hello_example(kex="curve25519-sha256"))
