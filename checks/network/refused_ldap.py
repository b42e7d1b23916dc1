"""What a directory refuses a stranger: to read in it, to log in without a password, to send one over an open line.

Asked are the root entry, which everybody may read; one entry of each tree without any name (no attribute is asked for);
and two logins under a name that is nobody's. Where StartTLS is offered the search and one login go over TLS, so that a
directory which only wants TLS first does not look closed. RFC 4511, RFC 4513.
"""

from __future__ import annotations

from typing import Final

from checks.network._ber import ENUMERATED, OCTETS, SEQUENCE, elements, integer, number, tlv
from checks.network._port import OnTcp
from checks.network.asking import heard
from checks.network.example_talks import open_port, talk
from checks.network.ports import OpenPort
from scanner import (
    DEFAULT_DENY,
    FAIL_SECURE,
    Dialogue,
    Each,
    Impact,
    Layer,
    NotUnderstood,
    Raw,
    Say,
    Severity,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)

_CLEAR: Final = frozenset({"ldap", "gc"})
_SECURE: Final = frozenset({"ldaps", "gcs"})
#: Protocol operations, RFC 4511 section 4.2 and on.
_BIND, _BIND_ANSWER, _SEARCH, _ENTRY, _DONE, _REFERENCE = 0x60, 0x61, 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_ANSWER = 0x77, 0x78
_STARTTLS: Final = b"1.3.6.1.4.1.1466.20037"
#: Result codes, RFC 4511 appendix A.
_NAMES: Final = {
    0: "success", 1: "operationsError", 2: "protocolError", 4: "sizeLimitExceeded", 7: "authMethodNotSupported",
    8: "strongerAuthRequired", 11: "adminLimitExceeded", 12: "unavailableCriticalExtension",
    13: "confidentialityRequired", 32: "noSuchObject", 48: "inappropriateAuthentication", 49: "invalidCredentials",
    50: "insufficientAccessRights", 52: "unavailable", 53: "unwillingToPerform",
}  # fmt: skip
#: Codes that say: not without being logged in, whatever is asked for.
_NO_STRANGER: Final = frozenset({8, 48})
#: Codes that say it of what was asked for. operationsError is how Active Directory says it.
_NOT_A_STRANGER: Final = _NO_STRANGER | {1, 32, 49, 50}
#: What OpenLDAP says with unwillingToPerform to a stranger. 389 Directory Server has that code for everybody whose line
#: is not encrypted enough (nsslapd-minssf), so the code alone says nothing.
_UNWILLING: Final = 53
_LOG_IN_FIRST: Final = b"authentication required"
#: Trees that are looked in.
_TREES: Final = 8


@fact
class DirectoryRoot(OnTcp):
    """What the root entry of a directory tells everybody: its trees, and whether StartTLS is offered on this port.

    ``code`` says how the question ended: some do not even show the root entry to a stranger; ``closed`` says that then
    he sees nothing else either.
    """

    port: int
    secure: bool
    code: int
    trees: tuple[str, ...]
    starttls: bool
    closed: bool

    @property
    def nobody(self) -> bytes:
        """A name in the first tree that is nobody's."""
        return ",".join(("cn=keurmeester-test", *self.trees[:1])).encode()


@fact
class SeenByStranger(OnTcp):
    """What somebody without a name sees of a directory: the name of an entry, or the code of the refusal."""

    port: int
    shown: str
    code: int


@fact
class EmptyPassword(OnTcp):
    """The result code of a login with a name and an empty password."""

    port: int
    code: int


@fact
class OpenLine(OnTcp):
    """The result code of a login with a password over an open line; ``placed`` when the name is in one of its trees."""

    port: int
    placed: bool
    code: int


@fact
class StartTls(OnTcp):
    """The result code of the request to go on over TLS."""

    port: int
    code: int


# --- what is asked --------------------------------------------------------------------------------------------


def _message(id_: int, operation: bytes) -> str:
    return tlv(SEQUENCE, integer(id_), operation).decode("latin-1")


def _until(id_: int, tag: int) -> str:
    """Where the answer to a message begins its result; lengths in short form or, as Windows does, in long form."""
    return rf"\x02\x01\x{id_:02x}\x{tag:02x}(?:\x84....|[^\x80-\xff])\x0a\x01."


def _search(id_: int, base: bytes, *attributes: bytes, deep: bool = False) -> Say:
    wanted = tlv(SEQUENCE, *(tlv(OCTETS, one) for one in attributes))
    scope = integer(2 if deep else 0, ENUMERATED)
    present = tlv(0x87, b"objectClass")
    limits = integer(0, ENUMERATED) + integer(1 if deep else 0) + integer(5) + tlv(0x01, b"\0")
    operation = tlv(_SEARCH, tlv(OCTETS, base), scope, limits, present, wanted)
    return Say(_message(id_, operation), until=_until(id_, _DONE))


def _bind(id_: int, name: bytes, password: bytes) -> Say:
    operation = tlv(_BIND, integer(3), tlv(OCTETS, name), tlv(0x80, password))
    return Say(_message(id_, operation), until=_until(id_, _BIND_ANSWER))


def _starttls(*, go_on: bool) -> Say:
    return Say(
        _message(1, tlv(_EXTENDED, tlv(0x80, _STARTTLS))), until=_until(1, _EXTENDED_ANSWER), secure=go_on
    )


def _is_secure(port: OpenPort) -> bool:
    return port.service in _SECURE or port.tls


def _root(port: OpenPort) -> Dialogue:
    return Dialogue(
        purpose="LDAP root entry",
        port=port.number,
        secure=_is_secure(port),
        server_name=port.server_name,
        turns=(_search(1, b"", b"namingContexts", b"supportedExtension"),),
    )


def _protected(root: DirectoryRoot, purpose: str, impact: Impact, *turns: Say) -> Dialogue:
    """These questions, over TLS where it can be had."""
    before = (_starttls(go_on=True),) if root.starttls else ()
    return Dialogue(
        purpose=purpose, port=root.port, secure=root.secure, impact=impact, turns=(*before, *turns)
    )


def _strangers_look(root: DirectoryRoot) -> Dialogue:
    trees = [_search(3 + at, tree.encode(), b"1.1", deep=True) for at, tree in enumerate(root.trees[:_TREES])]
    return _protected(root, "LDAP without a name", Impact.KNOCK, _bind(2, b"", b""), *trees)


def _in_the_clear(port: OpenPort) -> bool:
    return port.service in _CLEAR and not port.tls


# --- what is answered -----------------------------------------------------------------------------------------


def _answers(raw: Raw) -> list[tuple[int, int, bytes]]:
    """Number, operation and content of each message that came back."""
    exchange = heard(raw)
    found = []
    for tag, value in elements(exchange.received):
        parts = list(elements(value))
        if tag != SEQUENCE or len(parts) < 2 or parts[0][0] != 0x02:
            raise NotUnderstood("no LDAP message")
        found.append((number(parts[0][1]), *parts[1]))
    return found


def _code(answers: list[tuple[int, int, bytes]], id_: int, operation: int) -> int:
    """The result code of the answer to a message."""
    for one, tag, value in answers:
        if (one, tag) == (id_, operation):
            kind, code = next(elements(value))
            if kind == ENUMERATED:
                return number(code)
    raise NotUnderstood(f"no answer to message {id_}")


def _turned_away(answers: list[tuple[int, int, bytes]], id_: int, codes: frozenset[int]) -> bool:
    """Whether a search ended with one of these codes, or as OpenLDAP says the same."""
    code = _code(answers, id_, _DONE)
    if code != _UNWILLING:
        return code in codes
    (done,) = (value for one, tag, value in answers if (one, tag) == (id_, _DONE))
    return [value for _, value in elements(done)][2:3] == [_LOG_IN_FIRST]


def _attributes(answers: list[tuple[int, int, bytes]]) -> dict[str, list[bytes]]:
    """The attributes of the one entry that came back, by name in lower case."""
    found: dict[str, list[bytes]] = {}
    for _, tag, value in answers:
        if tag == _ENTRY:
            _, (_, listed) = elements(value)
            for _, attribute in elements(listed):
                (_, name), (_, values) = elements(attribute)
                found[name.decode("ascii").lower()] = [one for _, one in elements(values)]
    return found


@probe("outside", root=Each(OpenPort, _root, when=lambda port: port.service in _CLEAR | _SECURE))
def directory_root(root: Raw, port: OpenPort) -> DirectoryRoot:
    """The root entry, RFC 4512 section 5.1. A directory that hides its trees cannot be asked further."""
    answers = _answers(root)
    code = _code(answers, 1, _DONE)
    said = _attributes(answers)
    trees = tuple(one.decode() for one in said.get("namingcontexts", []) if one)
    secure = _is_secure(port)
    starttls = not secure and _STARTTLS in said.get("supportedextension", [])
    closed = _turned_away(answers, 1, _NO_STRANGER)
    return DirectoryRoot(port.number, secure, code, trees, starttls, closed)


@probe("outside", look=Each(DirectoryRoot, _strangers_look))
def seen_by_stranger(look: Raw, root: DirectoryRoot) -> SeenByStranger:
    """A search that gives an entry shows it; one that gives none, from a tree that is there, is a refusal."""
    answers = _answers(look)
    _code(answers, 2, _BIND_ANSWER)
    if not root.trees:
        if root.closed:
            return SeenByStranger(root.port, "", root.code)
        raise NotUnderstood(f"the root entry names no tree to look in ({_name(root.code)})")
    ends = {id_: _code(answers, id_, _DONE) for id_ in range(3, 3 + len(root.trees[:_TREES]))}
    for _, tag, value in answers:
        if tag == _ENTRY:
            return SeenByStranger(root.port, next(elements(value))[1].decode(errors="replace"), 0)
    if len(root.trees) > _TREES:
        raise NotUnderstood(f"nothing is shown of the first {_TREES} of {len(root.trees)} trees")
    for id_, code in ends.items():
        if code and not _turned_away(answers, id_, _NOT_A_STRANGER):
            raise NotUnderstood(f"the search ended as {_name(code)}")
    return SeenByStranger(root.port, "", max(ends.values()))


@probe(
    "outside",
    login=Each(
        DirectoryRoot,
        lambda root: _protected(root, "LDAP login, empty password", Impact.TRY, _bind(2, root.nobody, b"")),
    ),
)
def empty_password(login: Raw, root: DirectoryRoot) -> EmptyPassword:
    """RFC 4513 section 5.1.2: what such a login should get is unwillingToPerform."""
    return EmptyPassword(root.port, _code(_answers(login), 2, _BIND_ANSWER))


@probe(
    "outside",
    login=Each(
        DirectoryRoot,
        lambda root: Dialogue(
            purpose="LDAP login over an open line",
            port=root.port,
            impact=Impact.TRY,
            turns=(_bind(1, root.nobody, b"keurmeester-test"),),
        ),
        when=lambda root: not root.secure,
    ),
)
def open_line(login: Raw, root: DirectoryRoot) -> OpenLine:
    """RFC 4513 section 6.3.1 has confidentialityRequired for it; Windows answers strongerAuthRequired."""
    return OpenLine(root.port, bool(root.trees), _code(_answers(login), 1, _BIND_ANSWER))


@probe(
    "outside",
    request=Each(
        OpenPort,
        lambda port: Dialogue(purpose="LDAP StartTLS", port=port.number, turns=(_starttls(go_on=False),)),
        when=_in_the_clear,
    ),
)
def starttls(request: Raw, port: OpenPort) -> StartTls:
    """RFC 4511 section 4.14; nothing more is said, and TLS is not begun."""
    return StartTls(port.number, _code(_answers(request), 1, _EXTENDED_ANSWER))


def _name(code: int) -> str:
    return _NAMES.get(code, f"result code {code}")


def _ldap(setting: str) -> str:
    return (
        f"ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'END'\ndn: cn=config\nchangetype: modify\n{setting}\nEND"
    )


@check(
    "ldap.anonymous-refused",
    principle=DEFAULT_DENY,
    severity=Severity.HIGH,
    layer=Layer.DATA,
    platform="directory",
    title_nl="De directory laat een vreemde niets lezen",
    why_nl="Namen, functies en groepen van alle medewerkers zijn het begin van een gerichte aanval.",
    fix=_ldap("replace: olcRequires\nolcRequires: authc"),
    verify="ldapsearch -x -H ldap://HOST -b 'BASE' -s base 1.1",
    references=("RFC 4513 section 6.2", "slapd-config(5) olcRequires", "Microsoft Learn: dsHeuristics"),
    advice="On Active Directory: the seventh character of dsHeuristics must not be 2.",
    advice_nl="Bij Active Directory: het zevende teken van dsHeuristics mag geen 2 zijn.",
)
def anonymous_refused(seen: SeenByStranger) -> Verdict:
    """The directory lets a stranger read nothing.

    Names, functions and groups of all staff are where an aimed attack begins.
    """
    observed = f"shows {seen.shown}" if seen.shown else f"shows nothing ({_name(seen.code)})"
    return holds(not seen.shown, observed, "nothing is shown")


@check(
    "ldap.empty-password-refused",
    principle=FAIL_SECURE,
    severity=Severity.HIGH,
    layer=Layer.IDENTITY,
    platform="directory",
    title_nl="De directory weigert een aanmelding met een naam en een leeg wachtwoord",
    why_nl="Toepassingen die alleen naar 'gelukt' kijken, laten dan iedereen binnen die het wachtwoord leeg laat.",
    fix=_ldap("delete: olcAllows"),
    verify="ldapwhoami -x -H ldap://HOST -D cn=keurmeester-test -w ''",
    references=("RFC 4513 section 5.1.2", "slapd-config(5) olcAllows"),
    advice="On Active Directory: set DenyUnauthenticatedBind=1 in msDS-Other-Settings (Windows Server 2019 and later).",
    advice_nl=(
        "Bij Active Directory: zet DenyUnauthenticatedBind=1 in msDS-Other-Settings (Windows Server 2019 en later)."
    ),
)
def empty_password_refused(login: EmptyPassword) -> Verdict:
    """The directory refuses a login with a name and an empty password.

    Applications that look for "success" alone then let in everybody who leaves the password empty.
    """
    if login.code not in {0, 48, 49, 53}:
        raise NotUnderstood(f"the login ended as {_name(login.code)}")
    return holds(login.code != 0, _name(login.code), "unwillingToPerform or invalidCredentials")


@check(
    "ldap.clear-login-refused",
    principle=FAIL_SECURE,
    severity=Severity.CRITICAL,
    layer=Layer.NETWORK,
    platform="directory",
    title_nl="De directory weigert een wachtwoord over een open verbinding",
    why_nl="Wie op het netwerk meeleest, heeft anders het wachtwoord van wie zich aanmeldt.",
    fix=_ldap("replace: olcSecurity\nolcSecurity: simple_bind=128"),
    verify="ldapwhoami -x -H ldap://HOST -D cn=keurmeester-test -w keurmeester-test",
    references=("RFC 4513 section 6.3.1", "slapd-config(5) olcSecurity", "Microsoft ADV190023"),
    advice="On Active Directory: domain controller LDAP server signing requirements: require signing.",
    advice_nl="Bij Active Directory: 'LDAP-handtekeningvereisten voor domeincontroller' op 'Vereist ondertekening'.",
)
def clear_login_refused(login: OpenLine) -> Verdict:
    """The directory refuses a password over an open line.

    Whoever reads along on the network otherwise has the password of who logs in.
    """
    if login.code == 49 and not login.placed:
        raise NotUnderstood("the directory names no tree, so that it need not have weighed the password")
    if login.code not in {0, 7, 8, 13, 48, 49}:
        raise NotUnderstood(f"the login ended as {_name(login.code)}")
    observed = "the password was weighed" if login.code in {0, 49} else "refused unseen"
    return holds(login.code not in {0, 49}, f"{observed} ({_name(login.code)})", "confidentialityRequired")


@check(
    "ldap.starttls-offered",
    principle=FAIL_SECURE,
    severity=Severity.MEDIUM,
    layer=Layer.NETWORK,
    platform="directory",
    title_nl="De directory biedt op de open poort StartTLS aan",
    why_nl="Zonder StartTLS gaat alles op deze poort leesbaar over het netwerk.",
    fix=_ldap(
        "replace: olcTLSCertificateFile\nolcTLSCertificateFile: /etc/ldap/server.pem\n-\n"
        "replace: olcTLSCertificateKeyFile\nolcTLSCertificateKeyFile: /etc/ldap/server.key"
    ),
    verify="openssl s_client -connect HOST:389 -starttls ldap -brief </dev/null",
    references=("RFC 4511 section 4.14", "RFC 4513 section 3"),
    advice="Or close this port, and let all use LDAPS (636).",
    advice_nl="Of sluit deze poort, en laat iedereen LDAPS (636) gebruiken.",
)
def starttls_offered(answer: StartTls) -> Verdict:
    """The directory offers StartTLS on the open port.

    Without StartTLS all on this port crosses the network in readable form.
    """
    if answer.code not in {0, 1, 2, 12, 52, 53}:
        raise NotUnderstood(f"StartTLS ended as {_name(answer.code)}")
    return holds(answer.code == 0, _name(answer.code), "success")


# --- examples: OpenLDAP 2.5 -----------------------------------------------------------------------------------


def _result(id_: int, operation: int, code: int, words: bytes = b"text") -> bytes:
    return tlv(
        SEQUENCE, integer(id_), tlv(operation, integer(code, ENUMERATED), tlv(OCTETS), tlv(OCTETS, words))
    )


def _entry(id_: int, name: bytes, **attributes: list[bytes]) -> bytes:
    listed = [
        tlv(SEQUENCE, tlv(OCTETS, key.encode()), tlv(0x31, *(tlv(OCTETS, one) for one in values)))
        for key, values in attributes.items()
    ]
    return tlv(SEQUENCE, integer(id_), tlv(_ENTRY, tlv(OCTETS, name), tlv(SEQUENCE, *listed)))


_ROOT: Final = talk(
    _entry(1, b"", namingContexts=[b"dc=lab,dc=test"], supportedExtension=[_STARTTLS]) + _result(1, _DONE, 0)
)
_HIDDEN: Final = talk(_entry(1, b"", supportedExtension=[_STARTTLS]) + _result(1, _DONE, 0))
_TLS_AGREED: Final = _result(1, _EXTENDED_ANSWER, 0)


_MANY: Final = talk(
    _entry(1, b"", namingContexts=[b"dc=lab%d" % at for at in range(_TREES + 1)]) + _result(1, _DONE, 0)
)
_NONE_SHOWN: Final = talk(
    _result(2, _BIND_ANSWER, 0) + b"".join(_result(3 + at, _DONE, 32) for at in range(_TREES))
)


def _looked(*found: bytes, bind: int = 0) -> dict[str, object]:
    look = talk(_TLS_AGREED, _result(2, _BIND_ANSWER, bind), b"".join(found))
    return open_port(389, root=_ROOT, look=look)


def _emptily(code: int) -> dict[str, object]:
    return open_port(389, root=_ROOT, login=talk(_TLS_AGREED, _result(2, _BIND_ANSWER, code)))


examples(
    anonymous_refused,
    passes=[
        _looked(_result(3, _DONE, 50)),
        _looked(_result(3, _DONE, 0)),
        _looked(_result(3, _DONE, 32), bind=48),
        _looked(_result(3, _DONE, 53, _LOG_IN_FIRST)),
        *(
            open_port(389, root=talk(said), look=talk(_result(2, _BIND_ANSWER, 48)))
            for said in (_result(1, _DONE, 48), _result(1, _DONE, 53, _LOG_IN_FIRST))
        ),
    ],
    fails=_looked(_entry(3, b"dc=lab,dc=test"), _result(3, _DONE, 4)),
    unknown=[
        _looked(_result(3, _DONE, 51)),
        _looked(_result(3, _DONE, 53, b"Minimum SSF not met.")),
        *(
            open_port(389, root=talk(_result(1, _DONE, code)), look=talk(_result(2, _BIND_ANSWER, 0)))
            for code in (32, 50, 53)
        ),
        open_port(389, root=_MANY, look=_NONE_SHOWN),
        _looked(),
        open_port(389, root=_HIDDEN, look=talk(_TLS_AGREED, _result(2, _BIND_ANSWER, 0))),
        open_port(389, root=talk(_result(1, _DONE, 13)), look=talk(_result(2, _BIND_ANSWER, 13))),
        open_port(389, root=talk(b"220 ftp.example ready\r\n"), look=""),
    ],
    notapplicable=open_port(80, root="", look=""),
)
examples(
    empty_password_refused,
    passes=[_emptily(53), _emptily(49)],
    fails=_emptily(0),
    unknown=_emptily(51),
    notapplicable=open_port(80, root="", login=""),
)
examples(
    clear_login_refused,
    passes=[open_port(389, root=_ROOT, login=talk(_result(1, _BIND_ANSWER, code))) for code in (13, 8)],
    fails=[open_port(389, root=_ROOT, login=talk(_result(1, _BIND_ANSWER, code))) for code in (49, 0)],
    unknown=[
        open_port(389, root=_ROOT, login=talk(_result(1, _BIND_ANSWER, 53))),
        open_port(389, root=_HIDDEN, login=talk(_result(1, _BIND_ANSWER, 49))),
        open_port(389, root=_ROOT, login=talk(end="closed")),
    ],
    notapplicable=[open_port(636, root=_ROOT), open_port(389, root=_ROOT, login=talk(end="refused"))],
)
examples(
    starttls_offered,
    passes=open_port(389, request=talk(_result(1, _EXTENDED_ANSWER, 0))),
    fails=open_port(389, request=talk(_result(1, _EXTENDED_ANSWER, 2))),
    unknown=open_port(389, request=talk(_result(1, _EXTENDED_ANSWER, 51))),
    notapplicable=open_port(636),
)
