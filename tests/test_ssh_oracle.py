"""What we read of an SSH server is what ssh-audit reads, on servers of every kind; it runs as a program of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from checks.network.ports import OpenPort
from checks.network.ssh_seen import SshOffer, ssh_offer
from scanner.channels.ssh_hello import hello
from scanner.sources import SshHello
from tests.oracles import program
from tests.sshd import Sshd

pytestmark = pytest.mark.server

CONFIGURATIONS = {
    "as it comes": ((), ("ed25519", "rsa", "ecdsa")),
    "one of each": (
        (
            "KexAlgorithms curve25519-sha256",
            "Ciphers aes256-gcm@openssh.com",
            "MACs hmac-sha2-512-etm@openssh.com",
        ),
        ("ed25519",),
    ),
    "old key exchanges": (
        (
            "KexAlgorithms diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group-exchange-sha1",
        ),
        ("rsa",),
    ),
    "old ciphers and MACs": (
        ("Ciphers 3des-cbc,aes128-cbc,aes256-cbc", "MACs hmac-md5,hmac-sha1-96,umac-64@openssh.com"),
        ("ecdsa",),
    ),
    "SHA-1 for host keys": (("HostKeyAlgorithms +ssh-rsa",), ("rsa", "ed25519")),
    "everything it has": (
        (
            "KexAlgorithms +diffie-hellman-group1-sha1",
            "Ciphers +3des-cbc",
            "MACs +hmac-md5-96-etm@openssh.com",
        ),
        ("rsa", "ecdsa", "ed25519"),
    ),
    "no sntrup": (("KexAlgorithms -sntrup*",), ("ed25519",)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_lists_are_those_of_ssh_audit(name: str, tmp_path: Path) -> None:
    options, host_keys = CONFIGURATIONS[name]
    sshd = Sshd(tmp_path, *options, authorized="", host_keys=host_keys)
    try:
        theirs = _ssh_audit(sshd)
        raw = hello(SshHello(port=sshd.port), sshd.address)
    finally:
        sshd.close()
    ours: SshOffer = ssh_offer(raw, OpenPort(sshd.port, "ssh", True, False, ""))
    seen = {"kex": ours.kex, "key": ours.host_keys, "enc": ours.ciphers, "mac": ours.macs}
    assert {part: list(names) for part, names in seen.items()} == theirs


def _ssh_audit(sshd: Sshd) -> dict[str, list[str]]:
    command = [program("ssh-audit"), "--skip-rate-test", "-j", "-p", str(sshd.port), sshd.address]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # it ends with a judgement of its own
    said = json.loads(done.stdout)
    parts = {part: [one["algorithm"] for one in said[part]] for part in ("kex", "key", "enc", "mac")}
    return {part: list(dict.fromkeys(names)) for part, names in parts.items()}
