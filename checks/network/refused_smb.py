"""What a file server (SMB) refuses a stranger: the first version of the protocol, a session without name, one as guest.

Nothing is listed and no file is opened; asked is at most the door behind which the list of shares is (the pipe srvsvc),
which is opened and left. [MS-SMB2], [MS-NLMP], [MS-CIFS].
"""

from __future__ import annotations

import struct
from typing import Final

from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    SECURE_DESIGN,
    Dialogue,
    Each,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Turn,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_SERVICE: Final = "smb"
_NEGOTIATE, _SESSION, _TREE, _CREATE = 0, 1, 3, 5
#: Status codes, [MS-ERREF] section 2.3.
_OK: Final = 0
_GO_ON: Final = 0xC0000016
_DENIED: Final = {
    0xC0000022: "ACCESS_DENIED",
    0xC0000064: "NO_SUCH_USER",
    0xC000006D: "LOGON_FAILURE",
    0xC000006E: "ACCOUNT_RESTRICTION",
    0xC0000072: "ACCOUNT_DISABLED",
    0xC00000CA: "NETWORK_ACCESS_DENIED",
    0xC0000418: "NTLM_BLOCKED",
}
_SIGNING_REQUIRED: Final = 2
_IS_GUEST: Final = 1
#: Where in a message, behind the four bytes of its length, tree and session are named.
_TREE_AT, _SESSION_AT = 4 + 36, 4 + 40
#: Where the token of a login begins in our message.
_TOKEN_AT: Final = 4 + 88
_NTLM_HEADER: Final = 64
_NTLM_FLAGS: Final = 0x20088205
_OFFER: Final = b"NTLMSSP\0" + struct.pack("<II16x", 1, _NTLM_FLAGS)


@fact
class SmbServer(OnTcp):
    """What a file server agrees to: the dialect of SMB 2 or 3, and whether every message must be signed."""

    port: int
    dialect: int
    signing_required: bool


@fact
class OldSmb(OnTcp):
    """Whether a file server agrees to SMB 1."""

    port: int
    agrees: bool
    answer: str


@fact
class NullSession(OnTcp):
    """How far somebody without a name gets: the step that is refused and why, or nothing when the last one is not."""

    port: int
    refused_at: str
    status: str


@fact
class SmbChallenge(OnTcp):
    """Where in its challenge a file server names itself and the time, and in how many bytes: an answer repeats them."""

    port: int
    at: int
    length: int


@fact
class StrangersSession(OnTcp):
    """What a name that nobody has gets: a session (as guest), or a refusal."""

    port: int
    accepted: bool
    status: str


# --- what is asked --------------------------------------------------------------------------------------------


def _framed(message: bytes) -> str:
    return (len(message).to_bytes(4, "big") + message).decode("latin-1")


def _smb2(command: int, id_: int, body: bytes, *copy: tuple[int, int, int, int]) -> Say:
    """A message with its header, [MS-SMB2] section 2.2.1.2; the answer's length comes first, as in ours."""
    header = struct.pack("<4sHHIHHIIQIIQ16x", b"\xfeSMB", 64, 1, 0, command, 31, 0, 0, id_, 0, 0, 0)
    return Say(_framed(header + body), frame=(1, 3, 4), copy=copy)


def _modern() -> Say:
    """All dialects from 2.0.2 to 3.1.1, the last with the one context it cannot do without (section 2.2.3)."""
    dialects = (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
    fixed = struct.pack("<HHHHI16sIHH", 36, len(dialects), 1, 0, 0, b"keurmeester-test", 112, 1, 0)
    context = struct.pack("<HHIHHH32s", 1, 38, 0, 1, 32, 1, b"keurmeester")
    return _smb2(_NEGOTIATE, 0, fixed + struct.pack("<5H2x", *dialects) + context)


def _old() -> Say:
    """NT LM 0.12 alone, [MS-CIFS] section 2.2.4.52.1."""
    header = struct.pack("<4sBIBHH8sHHHHH", b"\xffSMB", 0x72, 0, 0x18, 0xC853, 0, b"", 0, 0xFFFF, 1, 0, 0)
    dialect = b"\x02NT LM 0.12\0"
    return Say(_framed(header + struct.pack("<BH", 0, len(dialect)) + dialect), frame=(1, 3, 4))


def _session(id_: int, token: bytes, *copy: tuple[int, int, int, int]) -> Say:
    body = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0)
    return _smb2(_SESSION, id_, body + token, *copy)


def _log_in(token: bytes, *copy: tuple[int, int, int, int]) -> tuple[Say, ...]:
    """Dialect, the offer of NTLM, and the login; the session's number comes from the server."""
    return _modern(), _session(1, _OFFER), _session(2, token, (1, _SESSION_AT, 8, _SESSION_AT), *copy)


def _ntlm_login(user: str, lm: bytes, nt: bytes, flags: int) -> bytes:
    """The third message of NTLM, [MS-NLMP] section 2.2.1.3."""
    name = user.encode("utf-16-le")
    fields, at, payload = b"", _NTLM_HEADER, b""
    for part in (lm, nt, b"", name, b"", b""):
        fields += struct.pack("<HHI", len(part), len(part), at + len(payload))
        payload += part
    return b"NTLMSSP\0" + struct.pack("<I", 3) + fields + struct.pack("<I", flags) + payload


def _as_stranger(challenge: SmbChallenge) -> Dialogue:
    """An answer to the challenge that has the form of one ([MS-NLMP] section 2.2.2.7), and is that of no password."""
    lm, proof = bytes(24), b"\x4b" * 16 + struct.pack("<BB26x", 1, 1)
    login = _ntlm_login("keurmeester-test", lm, proof + bytes(challenge.length + 4), _NTLM_FLAGS)
    repeated = (1, challenge.at, challenge.length, _TOKEN_AT + _NTLM_HEADER + len(lm) + len(proof))
    return Dialogue(
        purpose="SMB under a name that nobody has",
        port=challenge.port,
        impact=Impact.TRY,
        turns=_log_in(login, repeated),
    )


_NOBODY: Final = _ntlm_login("", b"\0", b"", _NTLM_FLAGS | 0x800)


def _tree() -> Say:
    path = "\\\\*SMBSERVER\\IPC$".encode("utf-16-le")
    body = struct.pack("<HHHH", 9, 0, 72, len(path)) + path
    return _smb2(_TREE, 3, body, (1, _SESSION_AT, 8, _SESSION_AT))


def _pipe() -> Say:
    name = "srvsvc".encode("utf-16-le")
    body = (
        struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x100003, 0x80, 7, 1, 0x40, 120, len(name), 0, 0)
        + name
    )
    return _smb2(_CREATE, 4, body, (1, _SESSION_AT, 8, _SESSION_AT), (3, _TREE_AT, 4, _TREE_AT))


def _ask(purpose: str, impact: Impact, *turns: Say) -> Each:
    return Each(
        OpenPort,
        lambda port: Dialogue(purpose=purpose, port=port.number, impact=impact, turns=turns),
        when=lambda port: port.service == _SERVICE,
    )


# --- what is answered -----------------------------------------------------------------------------------------


def _turns(raw: Raw) -> tuple[tuple[Turn, ...], str]:
    exchange = heard(raw)
    return exchange.turns, exchange.end


def _answer(turns: tuple[Turn, ...], at: int, command: int) -> tuple[int, bytes]:
    """Status and body of the answer to the message of this number."""
    message = turns[at].received[4:] if at < len(turns) else b""
    if len(message) < 64 or message[:4] != b"\xfeSMB":
        raise NotUnderstood(f"no answer of SMB 2 to message {at}")
    status, said = struct.unpack_from("<IH", message, 8)
    if said != command:
        raise NotUnderstood(f"an answer to another message than {at}")
    return status, message[64:]


def _hello(turns: tuple[Turn, ...]) -> tuple[int, int]:
    """The mode of security and the dialect, [MS-SMB2] section 2.2.4."""
    status, body = _answer(turns, 0, _NEGOTIATE)
    if status != _OK or len(body) < 6:
        raise NotUnderstood(f"the server agrees to no dialect ({status:#x})")
    mode, dialect = struct.unpack_from("<HH", body, 2)
    return mode, dialect


def _name(status: int) -> str:
    return _DENIED.get(status, f"{status:#010x}")


@probe("outside", hello=_ask("SMB dialect", Impact.LOOK, _modern()))
def smb_server(hello: Raw, port: OpenPort) -> SmbServer:
    """The answer to the offer of all dialects."""
    mode, dialect = _hello(_turns(hello)[0])
    return SmbServer(port.number, dialect, bool(mode & _SIGNING_REQUIRED))


@probe(
    "outside",
    hello=_ask("SMB dialect", Impact.LOOK, _modern()),
    old=_ask("SMB 1", Impact.KNOCK, _old()),
)
def old_smb(hello: Raw, old: Raw, port: OpenPort) -> OldSmb:
    """An end without a word is a refusal only by a server that does speak SMB 2.

    Which dialect was chosen stands first in the words of an answer without error, [MS-CIFS] section 2.2.4.52.2.
    """
    turns, end = _turns(old)
    said = turns[0].received[4:] if turns else b""
    if said[:5] == b"\xffSMB\x72" and len(said) >= 35 and said[32] and said[5:9] == bytes(4):
        chosen = int.from_bytes(said[33:35], "little")
        return OldSmb(port.number, chosen != 0xFFFF, "agreed" if chosen != 0xFFFF else "no dialect in common")
    if said or end not in {"closed", "reset"}:
        raise NotUnderstood("neither agreed to nor refused")
    _hello(_turns(hello)[0])
    return OldSmb(port.number, False, "hung up")


@probe("outside", talk=_ask("SMB without a name", Impact.KNOCK, *_log_in(_NOBODY), _tree(), _pipe()))
def null_session(talk: Raw, port: OpenPort) -> NullSession:
    """The first step that is refused: NTLM, the session, the tree of pipes, or the pipe itself."""
    turns, _ = _turns(talk)
    _hello(turns)
    steps = (("NTLM", _SESSION), ("session", _SESSION), ("IPC$", _TREE), ("srvsvc", _CREATE))
    for at, (step, command) in enumerate(steps, 1):
        status, _ = _answer(turns, at, command)
        if status in _DENIED:
            return NullSession(port.number, step, _name(status))
        if status != (_GO_ON if at == 1 else _OK):
            raise NotUnderstood(f"{step} ended as {status:#010x}")
    return NullSession(port.number, "", "")


@probe("outside", offer=_ask("SMB names", Impact.LOOK, _modern(), _session(1, _OFFER)))
def smb_challenge(offer: Raw, port: OpenPort) -> SmbChallenge:
    """The list of names in the second message of NTLM, [MS-NLMP] section 2.2.1.2."""
    turns, _ = _turns(offer)
    _hello(turns)
    status, body = _answer(turns, 1, _SESSION)
    at = body.find(b"NTLMSSP\0\x02")
    if status != _GO_ON or at < 0 or len(body) < at + 48:
        raise NotUnderstood(f"no challenge of NTLM ({_name(status)})")
    length, _, offset = struct.unpack_from("<HHI", body, at + 40)
    if not 4 <= length <= 2048 or len(body) < at + offset + length:
        raise NotUnderstood("a challenge that is cut short")
    return SmbChallenge(port.number, 4 + 64 + at + offset, length)


@probe("outside", talk=Each(SmbChallenge, _as_stranger))
def strangers_session(talk: Raw, challenge: SmbChallenge) -> StrangersSession:
    """A session is there when the login succeeds; its flags say whether as guest ([MS-SMB2] section 2.2.6)."""
    turns, _ = _turns(talk)
    _hello(turns)
    for at in (1, 2):
        status, body = _answer(turns, at, _SESSION)
        if status in _DENIED:
            return StrangersSession(challenge.port, False, _name(status))
        if status != (_GO_ON if at == 1 else _OK):
            raise NotUnderstood(f"the login ended as {status:#010x}")
    guest = len(body) >= 4 and struct.unpack_from("<H", body, 2)[0] & _IS_GUEST
    return StrangersSession(challenge.port, True, "as guest" if guest else "as a user")


def _samba(setting: str) -> str:
    return f"sed -i '/^\\[global\\]/a {setting}' /etc/samba/smb.conf\nsmbcontrol all reload-config"


@check(
    "smb.version1-refused",
    principle=SECURE_DESIGN,
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    title_nl="De bestandsserver weigert SMB 1",
    why_nl="SMB 1 is de weg waarlangs WannaCry en NotPetya zich verspreidden, en is niet te beschermen.",
    fix=_samba("server min protocol = SMB2_10"),
    verify="smbclient -L HOST -N -m NT1",
    references=("Microsoft: Stop using SMB1", "CVE-2017-0144", "smb.conf(5) server min protocol"),
    advice="On Windows: Disable-WindowsOptionalFeature -Online -FeatureName SMB1Protocol.",
    advice_nl="Op Windows: Disable-WindowsOptionalFeature -Online -FeatureName SMB1Protocol.",
)
def version_one_refused(old: OldSmb) -> Verdict:
    """The file server refuses SMB 1.

    SMB 1 is the way by which WannaCry and NotPetya spread, and cannot be protected.
    """
    return holds(not old.agrees, f"SMB 1: {old.answer}", "refused")


@check(
    "smb.signing-required",
    principle=SECURE_DESIGN,
    severity=Severity.HIGH,
    layer=Layer.NETWORK,
    title_nl="De bestandsserver eist dat elk bericht ondertekend is",
    why_nl="Zonder ondertekening geeft een ander op het netwerk een aanmelding door en werkt hij onder die naam.",
    fix=_samba("server signing = mandatory"),
    verify="testparm -s --parameter-name='server signing'",
    references=("[MS-SMB2] section 2.2.4", "CVE-2016-2114", "smb.conf(5) server signing"),
    advice="On Windows: Set-SmbServerConfiguration -RequireSecuritySignature $true.",
    advice_nl="Op Windows: Set-SmbServerConfiguration -RequireSecuritySignature $true.",
)
def signing_required(server: SmbServer) -> Verdict:
    """The file server demands that every message is signed.

    Without signatures another on the network passes a login on and works under that name.
    """
    observed = f"SMB {server.dialect >> 8}.{server.dialect >> 4 & 15}.{server.dialect & 15}"
    wanted = "required" if server.signing_required else "not required"
    return holds(server.signing_required, f"{observed}, signing {wanted}", "signing required")


@check(
    "smb.null-session-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.APPLICATION,
    title_nl="De bestandsserver toont wie geen naam noemt de lijst van shares niet",
    why_nl="Een sessie zonder naam geeft de lijst van shares en vaak ook die van gebruikers.",
    fix=_samba("restrict anonymous = 2"),
    verify="smbclient -L HOST -N",
    references=("CVE-1999-0519", "[MS-SMB2] section 3.3.5.5", "smb.conf(5) restrict anonymous"),
    advice="On Windows: RestrictNullSessAccess=1, and nothing in NullSessionPipes.",
    advice_nl="Op Windows: RestrictNullSessAccess=1, en niets in NullSessionPipes.",
)
def null_session_refused(session: NullSession) -> Verdict:
    """The file server does not show the list of shares to who gives no name.

    A session without a name gives the list of shares, and often that of users.
    """
    observed = f"{session.refused_at}: {session.status}" if session.refused_at else "srvsvc opened"
    return holds(bool(session.refused_at), observed, "ACCESS_DENIED")


@check(
    "smb.guest-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    title_nl="De bestandsserver laat een onbekende naam niet binnen als gast",
    why_nl="Wie bij elke naam en elk wachtwoord binnenlaat, controleert niets.",
    fix=_samba("map to guest = never"),
    verify="smbclient -L HOST -U keurmeester-test%keurmeester-test",
    references=("CVE-1999-0519", "[MS-SMB2] section 2.2.6", "smb.conf(5) map to guest"),
    advice="On Windows: disable the account Guest.",
    advice_nl="Op Windows: zet het account Gast uit.",
)
def guest_refused(session: StrangersSession) -> Verdict:
    """The file server does not let an unknown name in as a guest.

    Whoever lets in every name with every password checks nothing.
    """
    return holds(not session.accepted, session.status, "LOGON_FAILURE")


# --- examples: Samba 4.17 -------------------------------------------------------------------------------------


def _said(command: int, status: int = _OK, body: bytes = b"") -> bytes:
    message = struct.pack("<4sHHIHHIIQIIQ16x", b"\xfeSMB", 64, 1, status, command, 1, 1, 0, 0, 0, 5, 7) + body
    return len(message).to_bytes(4, "big") + message


def _agreed(mode: int = 3) -> bytes:
    return _said(_NEGOTIATE, body=struct.pack("<HHH58x", 65, mode, 0x0311))


def _old_answer(chosen: int) -> bytes:
    message = struct.pack("<4sBIBHH8sHHHHH", b"\xffSMB", 0x72, 0, 0x98, 0xC853, 0, b"", 0, 0xFFFF, 1, 0, 0)
    message += struct.pack("<BHH", 17, chosen, 0)
    return len(message).to_bytes(4, "big") + message


#: NT LM 0.12 answered with STATUS_NOT_SUPPORTED and no words at all.
_ERROR: Final = b"\xffSMB\x72" + struct.pack("<I", 0xC00000BB) + bytes(26)


def _offered(old: str, hello: bytes = _agreed()) -> dict[str, object]:
    return open_port(445, hello=talk(hello), old=old)


def _talk(*said: bytes) -> dict[str, object]:
    return open_port(445, talk=talk(_agreed(), *said))


_CONTINUES: Final = _said(_SESSION, _GO_ON, bytes(9))
_IN: Final = _said(_SESSION, body=struct.pack("<HHHH", 9, _IS_GUEST, 72, 0))
_FAILED: Final = _said(_SESSION, 0xC000006D)

examples(
    version_one_refused,
    passes=[_offered(talk(end="closed")), _offered(talk(_old_answer(0xFFFF)))],
    fails=_offered(talk(_old_answer(0))),
    unknown=[
        _offered(talk(end="closed"), b""),
        _offered(talk(_agreed())),
        _offered(talk(_framed(_ERROR).encode("latin-1"))),
    ],
    notapplicable=[open_port(80), _offered(talk(end="refused"))],
)
examples(
    signing_required,
    passes=open_port(445, hello=talk(_agreed(3))),
    fails=open_port(445, hello=talk(_agreed(1))),
    unknown=[
        open_port(445, hello=talk(_said(_NEGOTIATE, 0xC00000BB))),
        open_port(445, hello=talk(end="closed")),
    ],
    notapplicable=open_port(80),
)
examples(
    null_session_refused,
    passes=[
        _talk(_CONTINUES, _said(_SESSION, 0xC0000022)),
        _talk(_CONTINUES, _IN, _said(_TREE, 0xC0000022)),
        _talk(_CONTINUES, _IN, _said(_TREE), _said(_CREATE, 0xC0000022)),
    ],
    fails=_talk(_CONTINUES, _IN, _said(_TREE), _said(_CREATE)),
    unknown=[_talk(_CONTINUES, _IN), _talk(_CONTINUES, _IN, _said(_TREE), _said(_CREATE, 0xC0000034))],
    notapplicable=open_port(80),
)
_NAMED: Final = _said(
    _SESSION, _GO_ON, bytes(8) + b"NTLMSSP\0" + struct.pack("<I28xHHI", 2, 4, 4, 48) + bytes(4)
)


def _stranger(*said: bytes) -> dict[str, object]:
    return {**_talk(*said), "offer": talk(_agreed(), _NAMED)}


examples(
    guest_refused,
    passes=[_stranger(_CONTINUES, _FAILED), _stranger(_said(_SESSION, 0xC0000418))],
    fails=_stranger(_CONTINUES, _IN),
    unknown=[
        _stranger(_CONTINUES, _said(_SESSION, 0xC000000D)),
        _stranger(_CONTINUES, _said(_SESSION, 0xC000005E)),
        _stranger(_IN),
        open_port(445, offer=talk(_agreed(), _FAILED), talk=""),
    ],
    notapplicable=open_port(80, offer="", talk=""),
)
