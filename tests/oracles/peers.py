"""What other programs see of TLS endpoints: sslyze, nmap, openssl, gnutls-cli and testssl.sh, each run as a program."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

from scanner.tlsnames import SUITES
from tests.oracles import program as oracle
from tests.servers import program

VERSIONS: Final = {
    "ssl_2_0": "SSLv2", "ssl_3_0": "SSLv3", "tls_1_0": "TLSv1", "tls_1_1": "TLSv1.1", "tls_1_2": "TLSv1.2",
    "tls_1_3": "TLSv1.3",
}  # fmt: skip
NMAP: Final = {
    "SSLv3": "SSLv3",
    "TLSv1.0": "TLSv1",
    "TLSv1.1": "TLSv1.1",
    "TLSv1.2": "TLSv1.2",
    "TLSv1.3": "TLSv1.3",
}


class Seen(NamedTuple):
    """One claim of an oracle: in which version, "suite" or "group", and which."""

    version: str
    kind: str
    name: str


#: The pre-shared key of an endpoint that has one; GnuTLS takes none that is shorter.
SECRET: Final = "00112233445566778899aabbccddeeff"
#: What each of sslyze's switches asks: versions and their suites, then groups.
SWITCHES: Final = (
    "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves",
)  # fmt: skip
CURVES: Final = {"prime256v1": "secp256r1", "prime192v1": "secp192r1", "X25519": "x25519", "X448": "x448"}


def sslyze(ports: Iterable[int], *switches: str, host: str = "127.0.0.1") -> dict[int, set[Seen]]:
    """Port -> what sslyze sees. Raises CalledProcessError when it cannot be run."""
    targets = [f"{host}:{port}" for port in ports]
    command = [
        oracle("sslyze"),
        *(switches or SWITCHES),
        "--json_out=-",
        "--mozilla_config=disable",
        *targets,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    found: dict[int, set[Seen]] = {}
    for one in json.loads(done.stdout)["server_scan_results"]:
        seen = found.setdefault(one["server_location"]["port"], set())
        for key, part in (one["scan_result"] or {}).items():
            result = part.get("result")
            version = VERSIONS.get(key.removesuffix("_cipher_suites"))
            if version and result:
                names = (suite["cipher_suite"]["name"] for suite in result["accepted_cipher_suites"])
                seen |= {Seen(version, "suite", name) for name in names}
            elif key == "elliptic_curves" and result and result["supported_curves"]:
                names = (curve["name"] for curve in result["supported_curves"])
                seen |= {Seen("any", "group", CURVES.get(name, name)) for name in names}
    return found


def nmap(ports: Iterable[int], host: str = "127.0.0.1") -> dict[int, set[Seen]]:
    """Port -> what nmap's ssl-enum-ciphers sees."""
    listed = ",".join(map(str, ports))
    command = [program("nmap"), "-n", "-Pn", "-p", listed, "--script", "+ssl-enum-ciphers", "-oX", "-", host]
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    found: dict[int, set[Seen]] = {}
    for port in ElementTree.fromstring(done.stdout).iter("port"):
        seen = found.setdefault(int(port.attrib["portid"]), set())
        for version in port.iterfind("script/table"):
            name = NMAP.get(version.attrib.get("key", ""))
            if name:
                suites = version.iterfind("table[@key='ciphers']/table/elem[@key='name']")
                # nmap has names of its own for the suites of TLS 1.3
                names = ((suite.text or "").replace("TLS_AKE_WITH_", "TLS_") for suite in suites)
                seen |= {Seen(name, "suite", one) for one in names}
    return found


#: Groups that OpenSSL's client can offer, as it calls them; the names are the registry's but for these.
OPENSSL_GROUPS: Final = (
    "X25519", "X448", "P-256", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1",
    "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192",
)  # fmt: skip
#: What is left of RFC 4492: few servers take any of these, so all are offered at once before each alone.
_WEAK_GROUPS: Final = (
    "sect163k1", "sect163r1", "sect163r2", "sect193r1", "sect193r2", "sect233k1", "sect233r1", "sect239k1", "sect283k1",
    "sect283r1", "sect409k1", "sect409r1", "sect571k1", "sect571r1", "secp160k1", "secp160r1", "secp160r2", "secp192k1",
    "secp224k1", "secp256k1", "prime192v1", "secp224r1",
)  # fmt: skip
REGISTERED: Final = {
    "prime192v1": "secp192r1", "X25519": "x25519", "X448": "x448", "P-256": "secp256r1",
    "P-521": "secp521r1",
}  # fmt: skip
_NEW: Final = ":".join(
    f"TLS_{name}_SHA{bits}"
    for name, bits in {
        "AES_128_GCM": 256, "AES_256_GCM": 384, "CHACHA20_POLY1305": 256, "AES_128_CCM": 256, "AES_128_CCM_8": 256,
    }.items()
)  # fmt: skip
_OLD: Final = ("-psk", SECRET, "-cipher", "kECDHE:kECDHEPSK:@SECLEVEL=0")
#: Version -> switches that leave nothing out with which a group is used; newest first.
_OPENSSL: Final = {
    "TLSv1.3": ("-tls1_3", "-ciphersuites", _NEW),
    "TLSv1.2": ("-tls1_2", *_OLD),
    "TLSv1.1": ("-tls1_1", *_OLD),
    "TLSv1": ("-tls1", *_OLD),
}
#: The curve of every ECDSA key here: who does not offer that one beside another is refused (RFC 8422 section 5.1).
_OF_THE_KEY: Final = "P-256"


def openssl(spoken: Mapping[int, set[str]]) -> dict[int, set[Seen]]:
    """Port -> the groups of TLS 1.3 and of the newest older version that `openssl s_client` can use, one at a time.

    ``spoken``: port -> the versions that others have seen there.
    """
    found: dict[int, set[Seen]] = {port: set() for port in spoken}

    def ask(port: int) -> None:
        versions = [version for version in _OPENSSL if version in spoken[port]]
        for version in versions[: 2 if "TLSv1.3" in versions else 1]:
            older = version != "TLSv1.3"
            groups = OPENSSL_GROUPS
            if older and _temporary_key(port, version, ":".join(_WEAK_GROUPS)):
                groups += _WEAK_GROUPS
            found[port] |= {
                Seen("older" if older else version, "group", REGISTERED.get(group, group))
                for group in groups
                if _uses(port, version, group)
            }

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, found))
    return found


def _uses(port: int, version: str, group: str) -> bool:
    """Whether a group is used when it is all that is offered, or in older versions before that of the key."""
    if _temporary_key(port, version, group):
        return True
    both = version != "TLSv1.3" and _temporary_key(port, version, f"{group}:{_OF_THE_KEY}")
    return bool(both) and group in both


def _temporary_key(port: int, version: str, groups: str) -> str:
    command = [
        program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *_OPENSSL[version], "-groups", groups,
    ]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    found = re.search("^Server Temp Key: (.*)$", done.stdout, re.MULTILINE)
    return found[1] if found else ""


#: Version -> as GnuTLS calls it, newest first.
_GNUTLS: Final = {"TLSv1.3": "TLS1.3", "TLSv1.2": "TLS1.2", "TLSv1.1": "TLS1.1", "TLSv1": "TLS1.0"}
#: Ciphers, key exchanges and hashes: a suite of GnuTLS is one of each. gnutls-cli 3.7 crashes on ECDHE-PSK and DHE-PSK.
_AXES: Final = (
    (
        "AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305", "AES-128-CCM", "AES-256-CCM", "AES-128-CCM-8",
        "AES-256-CCM-8", "CAMELLIA-128-GCM", "CAMELLIA-256-GCM", "AES-128-CBC", "AES-256-CBC", "CAMELLIA-128-CBC",
        "CAMELLIA-256-CBC", "3DES-CBC", "ARCFOUR-128", "NULL",
    ),
    (
        "ECDHE-RSA", "ECDHE-ECDSA", "ANON-ECDH", "RSA", "DHE-RSA", "ANON-DH", "PSK", "RSA-PSK",
    ),
    ("AEAD", "SHA1", "SHA256", "SHA384", "MD5"),
)  # fmt: skip
_GNUTLS_GROUPS: Final = (
    "X25519", "X448", "SECP192R1", "SECP224R1", "SECP256R1", "SECP384R1", "SECP521R1",
    "FFDHE2048", "FFDHE3072", "FFDHE4096", "FFDHE6144", "FFDHE8192",
)  # fmt: skip


def gnutls(spoken: Mapping[int, set[str]]) -> dict[int, set[Seen]]:
    """Port -> the suites and groups with which gnutls-cli gets through a whole handshake.

    ``spoken``: port -> the versions that others have seen there.
    """

    def see(port: int) -> set[Seen]:
        versions = [version for version in _GNUTLS if version in spoken[port]]
        found = {
            Seen(version, "suite", _name(code))
            for version in versions
            for code in _accepted(port, version, *_axes(version))
        }
        for version in versions[: 2 if "TLSv1.3" in versions else 1]:
            ciphers, exchanges, hashes = _axes(version)
            elliptic = [one for one in exchanges if "ECDH" in one]
            label = "older" if elliptic else version
            for group in _GNUTLS_GROUPS:
                words = _priority(version, ciphers, elliptic, hashes, group)
                if _gets_through(port, words):
                    found.add(Seen(label, "group", group.lower()))
        return found

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(spoken, pool.map(see, spoken), strict=True))


def _axes(version: str) -> tuple[tuple[str, ...], ...]:
    """Its suites' parts: in TLS 1.3 a suite says nothing of the exchange."""
    return (_AXES[0], (), _AXES[2]) if version == "TLSv1.3" else _AXES


def _accepted(port: int, version: str, *axes: tuple[str, ...]) -> set[int]:
    """The numbers of the suites among these that get through: all are tried, then each half of those that did."""
    words = _priority(version, *axes)
    offered = _offered(words)
    if not offered or not _gets_through(port, words):
        return set()
    if len(offered) == 1:
        return set(offered)
    longest = max(range(3), key=lambda at: len(axes[at]))
    middle = len(axes[longest]) // 2
    halves = (axes[longest][:middle], axes[longest][middle:])
    return {
        code
        for half in halves
        for code in _accepted(port, version, *axes[:longest], half, *axes[longest + 1 :])
    }


def _priority(
    version: str, ciphers: Iterable[str], exchanges: Iterable[str], hashes: Iterable[str], group: str = "ALL"
) -> str:
    words = [
        f"VERS-{_GNUTLS[version]}",
        *ciphers,
        *exchanges,
        *hashes,
        f"GROUP-{group}",
        "SIGN-ALL",
        "COMP-NULL",
    ]
    return ":+".join(("NONE", *words)) + ":%VERIFY_ALLOW_BROKEN"


@cache
def _offered(priority: str) -> frozenset[int]:
    """The numbers of the suites that such a hello offers, as gnutls-cli itself lists them."""
    command = [program("gnutls-cli"), "--list", "--priority", priority]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    pairs = re.findall(r"^TLS_\S+\s+0x(..), 0x(..)", done.stdout, re.MULTILINE)
    return frozenset(int(high + low, 16) for high, low in pairs)


def _gets_through(port: int, priority: str) -> bool:
    # "Client_identity" is s_server's own name for whoever has its key
    secret = ("--pskusername", "Client_identity", "--pskkey", SECRET)
    command = [
        program("gnutls-cli"),
        "--insecure",
        *secret,
        "--priority",
        priority,
        "--port",
        str(port),
        "127.0.0.1",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    if done.returncode < 0:
        raise AssertionError(f"gnutls-cli crashed on {priority}")
    return b"Handshake was completed" in done.stdout


def _name(code: int) -> str:
    return SUITES[code].name if code in SUITES else f"{code:#06x}"


_TESTSSL: Final = {
    "ssl2": "SSLv2", "ssl3": "SSLv3", "tls1": "TLSv1", "tls1_1": "TLSv1.1", "tls1_2": "TLSv1.2", "tls1_3": "TLSv1.3",
}  # fmt: skip
#: testssl.sh asks the resolver about "invalid." to learn what its openssl can do: it gets a machine without one.
_WITHOUT_RESOLVER: Final = (
    "unshare",
    "--mount",
    "sh",
    "-euc",
    'mount --bind /dev/null /etc/resolv.conf; exec "$@"',
    "sh",
)


def testssl(ports: Iterable[int]) -> dict[int, set[Seen]]:
    """Port -> the suites that testssl.sh sees, per version. About twenty seconds of processor each."""

    def see(port: int) -> set[Seen]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "found.json")
            command = [
                *_WITHOUT_RESOLVER, program("testssl"), "--cipher-per-proto", "--quiet", "--color", "0",
                "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--jsonfile", file, f"127.0.0.1:{port}",
            ]  # fmt: skip
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300)
            rows = json.loads(file.read_text())
        if not any(row["id"] == "scanTime" and row["severity"] == "INFO" for row in rows):
            raise AssertionError(f"testssl.sh did not get to its end: {rows[-1]}")
        codes = (re.fullmatch(r"cipher-(\w+)_x([0-9a-f]+)", row["id"]) for row in rows)
        return {Seen(_TESTSSL[one[1]], "suite", _name(int(one[2], 16))) for one in codes if one}

    ports = list(ports)
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(ports, pool.map(see, ports), strict=True))
