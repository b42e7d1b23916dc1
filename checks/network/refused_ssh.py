"""What an SSH server refuses a stranger: to come in without proof, or with a password alone.

Asked is one login by no means at all under a name that is nobody's; the refusal names the ways in that are left (RFC
4252 section 5.2). No password is ever offered.
"""

from __future__ import annotations

import json
from typing import Final

from checks.network._port import OnTcp
from checks.network.example_talks import open_port
from checks.network.ports import OpenPort
from checks.network.ssh_seen import SSH_SERVICES
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    Each,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Severity,
    SshLogin,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_BY_ALONE: Final = frozenset({"publickey", "gssapi-with-mic", "gssapi-keyex", "hostbased"})
_FIX: Final = (
    "printf 'PermitEmptyPasswords no\\nPasswordAuthentication no\\nKbdInteractiveAuthentication no\\n'"
    " > /etc/ssh/sshd_config.d/00-passwords.conf\nsystemctl reload ssh"
)


@fact
class SshDoor(OnTcp):
    """How an SSH server answers a login by no means at all: lets it in, or names the ways that are left."""

    port: int
    accepted: bool
    methods: tuple[str, ...]


@probe(
    "outside",
    login=Each(
        OpenPort,
        lambda port: SshLogin(port=port.number, impact=Impact.TRY),
        when=lambda port: port.service in SSH_SERVICES,
    ),
)
def ssh_door(login: Raw, port: OpenPort) -> SshDoor:
    """The answer as `SshLogin` documents it."""
    seen = json.loads(login.text)
    door = SshDoor(port=port.number, accepted=seen["accepted"], methods=tuple(seen["methods"]))
    if not door.accepted and not door.methods:
        raise NotUnderstood("the refusal names no way in at all")
    return door


@check(
    "ssh.none-refused",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.IDENTITY,
    platform="ssh",
    title_nl="De SSH-server laat een vreemde niet binnen zonder bewijs",
    why_nl="Wie zonder wachtwoord of sleutel binnenkomt, hoeft niets te kraken.",
    fix=_FIX,
    verify="ssh -o PreferredAuthentications=none keurmeester-test@HOST",
    references=("RFC 4252 section 5.2", "sshd_config(5) PermitEmptyPasswords"),
    advice="On a device: set a login for remote administration (line vty, AAA).",
    advice_nl="Op een apparaat: stel een aanmelding in voor beheer op afstand (line vty, AAA).",
)
def none_refused(door: SshDoor) -> Verdict:
    """The SSH server does not let a stranger in without proof.

    Whoever comes in without a password or key need not break anything.
    """
    observed = "let in by no means at all" if door.accepted else f"asks for {', '.join(door.methods)}"
    return holds(not door.accepted, observed, "a refusal")


@check(
    "ssh.password-not-offered",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    platform="ssh",
    title_nl="De SSH-server biedt een vreemde geen aanmelding met alleen een wachtwoord aan",
    why_nl="Een wachtwoord is op afstand te raden; een sleutel niet.",
    fix=_FIX,
    verify="ssh -v -o PreferredAuthentications=none keurmeester-test@HOST 2>&1 | grep 'can continue'",
    references=("BIO2 1.3 maatregel 5.17.01", "sshd_config(5) PasswordAuthentication, AuthenticationMethods"),
    advice="Give administrators keys first. A second factor: AuthenticationMethods publickey,keyboard-interactive.",
    advice_nl=(
        "Geef beheerders eerst sleutels. Een tweede factor: AuthenticationMethods publickey,keyboard-interactive."
    ),
)
def password_not_offered(door: SshDoor) -> Verdict:
    """The SSH server offers a stranger no login with a password alone.

    A password can be guessed from afar; a key cannot.
    """
    observed = "let in by no means at all" if door.accepted else f"asks for {', '.join(door.methods)}"
    strange = set(door.methods) - _BY_ALONE - {"password"}
    if strange and not door.accepted and "password" not in door.methods:
        raise NotUnderstood(
            f"whether {' and '.join(sorted(strange))} asks for more than a password is not said"
        )
    return holds(not door.accepted and "password" not in door.methods, observed, "publickey")


def _door(*methods: str, accepted: bool = False) -> dict[str, object]:
    answer = {
        "banner": "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "host_key": {"type": "ssh-ed25519", "blob": "AAAA"},
        "accepted": accepted,
        "methods": list(methods),
    }
    return open_port(22, login=json.dumps(answer))


examples(
    none_refused,
    passes=[_door("publickey"), _door("publickey", "password")],
    fails=_door(accepted=True),
    unknown=_door(),
    notapplicable=open_port(80),
)
examples(
    password_not_offered,
    passes=_door("publickey"),
    fails=[_door("publickey", "password"), _door(accepted=True)],
    unknown=[_door("publickey", "keyboard-interactive"), _door()],
    notapplicable=open_port(80),
)
