"""What other programs see of TLS endpoints: sslyze, nmap, openssl; each run as a program, its output read."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from xml.etree import ElementTree

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
    "X25519", "X448", "P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1",
    "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192",
)  # fmt: skip
REGISTERED: Final = {
    "X25519": "x25519", "X448": "x448", "P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1",
}  # fmt: skip
_NEW: Final = ":".join(
    f"TLS_{name}_SHA{bits}"
    for name, bits in {
        "AES_128_GCM": 256, "AES_256_GCM": 384, "CHACHA20_POLY1305": 256, "AES_128_CCM": 256, "AES_128_CCM_8": 256,
    }.items()
)  # fmt: skip
_OLD: Final = ("-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
_ELLIPTIC: Final = re.compile(rb"Server Temp Key: (?!DH,)")
#: Version -> switches that leave nothing out, and what tells that a group was used; newest first.
_OPENSSL: Final = {
    "TLSv1.3": (("-tls1_3", "-ciphersuites", _NEW), re.compile(rb"Server Temp Key: ")),
    "TLSv1.2": (("-tls1_2", *_OLD), _ELLIPTIC),
    "TLSv1.1": (("-tls1_1", *_OLD), _ELLIPTIC),
    "TLSv1": (("-tls1", *_OLD), _ELLIPTIC),
}


def openssl(spoken: Mapping[int, set[str]]) -> dict[int, set[Seen]]:
    """Port -> the groups of TLS 1.3 and of the newest older version that `openssl s_client` can use, one at a time.

    ``spoken``: port -> the versions that others have seen there.
    """
    found: dict[int, set[Seen]] = {port: set() for port in spoken}

    def ask(port: int) -> None:
        versions = [version for version in _OPENSSL if version in spoken[port]]
        for version in versions[: 2 if "TLSv1.3" in versions else 1]:
            switches, used = _OPENSSL[version]
            label = version if version == "TLSv1.3" else "older"
            for group in OPENSSL_GROUPS:
                command = [
                    program("openssl"),
                    "s_client",
                    "-connect",
                    f"127.0.0.1:{port}",
                    *switches,
                    "-groups",
                    group,
                ]
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60
                )
                if used.search(done.stdout):
                    found[port].add(Seen(label, "group", REGISTERED.get(group, group)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, found))
    return found
