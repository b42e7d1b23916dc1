"""What can be collected: every kind of question that may ever be put to a target.

A source is declared data: hashable, printable before anything runs (`keurmeester plan`), and the only thing a
worker ever sends. Quoting is right by construction: a check author writes words, never shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from scanner.model import Impact, Raw
from scanner.names import name_digest

if TYPE_CHECKING:
    from cryptography import x509

MEBIBYTE: Final = 1 << 20
#: Seconds between asking a command to stop and killing it.
KILL_AFTER: Final = 2
_OPERATORS: Final = re.compile(r"[|&;<>()]+")
_EXPANSIONS: Final = re.compile(r"[$`]")

Redaction: TypeAlias = tuple[str, str]
"""A regular expression (over bytes, multiline) and its replacement, applied by the worker before hashing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """Base of what is asked of a POSIX host in the one batch; see `Command`, `File` and `Tree`."""

    channel: ClassVar[str] = "shell"
    root: bool = False
    needs: str = ""
    timeout: int = 10
    limit: int = MEBIBYTE
    redact: tuple[Redaction, ...] = ()
    slow: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of the one simple command this source runs."""
        raise NotImplementedError

    @property
    def ok(self) -> tuple[int, ...]:
        """Exit codes that mean: this is a complete answer."""
        return (0,)

    @property
    def absent(self) -> str:
        """What standard error ends with when the thing asked for is not there; empty when nothing says so."""
        return ""

    def describe(self) -> str:
        """The command as a person would type it."""
        return shlex.join(self.argv)


@lru_cache(maxsize=4096)
def _words(line: str) -> tuple[str, ...]:
    # The same hundred lines for every host, and shlex reads them letter by letter.
    return tuple(shlex.split(line))


@dataclass(frozen=True, slots=True)
class Command(Shell):
    """One simple command: no pipe, no redirection, no expansion; stdin is /dev/null, the locale is C.

    ``root``: run as root (`sudo -n` unless already root). ``needs``: the program whose absence proves that the
    subject is not on the host (then the fact is *notapplicable*); without it a missing program is an error,
    tool-missing. ``timeout`` is seconds, ``limit`` is bytes of standard output. ``slow`` moves the source to a
    second shell that runs beside the first.
    """

    line: str = ""
    exits: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        lexer = shlex.shlex(self.line, posix=False, punctuation_chars=True)
        lexer.whitespace_split = True
        for token in lexer:
            if token[0] in "'\"":
                continue
            if _OPERATORS.fullmatch(token) or _EXPANSIONS.search(token):
                raise ValueError(
                    f"Command({self.line!r}): a source is one simple command; quote {token!r} or drop it"
                )
        if not self.argv:
            raise ValueError("Command(''): a source needs a command")
        for pattern, _ in self.redact:
            re.compile(pattern.encode())

    @property
    def argv(self) -> tuple[str, ...]:
        """The words, split as a POSIX shell would."""
        return _words(self.line)

    @property
    def ok(self) -> tuple[int, ...]:
        """Exit codes that mean: this is a complete answer."""
        return self.exits


@dataclass(frozen=True, slots=True)
class File(Shell):
    """The bytes of one file. A file that does not exist makes the fact *notapplicable* (or None)."""

    path: str = ""

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"File({self.path!r}): write an absolute path")

    @property
    def argv(self) -> tuple[str, ...]:
        """``cat -- PATH``."""
        return ("cat", "--", self.path)

    @property
    def absent(self) -> str:
        """How cat(1) ends when the file is not there (strerror(ENOENT) in the C locale)."""
        return f"{self.path}: No such file or directory"


@dataclass(frozen=True, slots=True)
class Tree(Shell):
    """All lines of all files below a folder whose name matches ``include``; parse with `tree_files`.

    An empty folder is an empty answer; a missing folder makes the fact *notapplicable* (or None).
    """

    path: str = ""
    include: str = "*"

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"Tree({self.path!r}): write an absolute path")

    @property
    def argv(self) -> tuple[str, ...]:
        """``grep`` prints each line behind its file name and a NUL."""
        return ("grep", "-RaHZ", f"--include={self.include}", "-e", "^", "--", self.path)

    @property
    def ok(self) -> tuple[int, ...]:
        """grep(1): 1 means no line was selected."""
        return (0, 1)

    @property
    def absent(self) -> str:
        """How grep(1) ends when the folder itself is not there."""
        return f"grep: {self.path}: No such file or directory"


@dataclass(frozen=True, slots=True)
class TlsWalk:
    """What a TLS server answers to one hello after another. Parse with `transcript.exchanges` and `tlsanswer.read`.

    ``parts``: "chain" asks for the certificates alone, in one connection; "offer" for versions, suites, their order
    and groups; "all" for those and everything else. ``starttls`` names the protocol that is spoken before TLS
    (channels/starttls.py), or is empty. ``timeout`` is for all connections together. Only "all" finishes a handshake,
    twice: to ask for renegotiation, and for the tickets of TLS 1.3.
    """

    channel: ClassVar[str] = "tls"
    impact: ClassVar[Impact] = Impact.LOOK
    port: int
    server_name: str = ""
    address: str = ""
    starttls: str = ""
    parts: Literal["chain", "offer", "all"] = "all"
    timeout: int = 60
    limit: int = 4 * MEBIBYTE

    def describe(self) -> str:
        """What goes over the wire."""
        what = {
            "chain": "one TLS hello",
            "offer": "TLS hellos (some 25 to 80)",
            "all": "TLS hellos (some 40 to 120)",
        }
        name = f" for {self.server_name}" if self.server_name else ""
        after = f", after {self.starttls} STARTTLS" if self.starttls else ""
        return f"{what[self.parts]}{name} to {self.address or 'the target'} port {self.port}{after}"


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Of the CA certificates the scanner trusts those that can end a chain: ask with `Each` over what was shown.

    Trusted are its system's store and the inventory's `trust_anchors`. ``names`` are the digests of the
    subjects wanted: see `names_of`. The answer is one line,
    ``<count> of <all> trust anchors, sha256 of all <digest>``, and then so many certificates in PEM, those of the
    inventory behind the line ``# of the inventory``; the digest is that of all the files, one after the other.
    """

    channel: ClassVar[str] = "tls"
    names: tuple[str, ...]
    timeout: int = 5
    limit: int = MEBIBYTE

    @classmethod
    def names_of(cls, subjects: Iterable[x509.Name]) -> tuple[str, ...]:
        """The digests of these subjects, in an order of their own."""
        return tuple(sorted(set(map(name_digest, subjects))))

    def describe(self) -> str:
        """Nothing goes over the wire."""
        return "the scanner's own trust anchors for what was shown"


@dataclass(frozen=True, slots=True)
class NameAnchors:
    """The inventory's own trust anchors for the DNS (`dns_anchors`): DS or DNSKEY records as in a zone file."""

    channel: ClassVar[str] = "dns"
    timeout: int = 5
    limit: int = MEBIBYTE

    def describe(self) -> str:
        """Nothing goes over the wire."""
        return "the inventory's own trust anchors for the DNS"


@dataclass(frozen=True, slots=True)
class RouteOrigins:
    """What the inventory's export of validated route origins (`route_origins`) has for these addresses.

    Parse with `json.loads`: ``{"generated": seconds since the epoch, "total": count, "covering": [[address, prefix,
    maximum length, number of the autonomous system], ..]}``. Not there when the inventory names no export.
    """

    channel: ClassVar[str] = "dns"
    addresses: tuple[str, ...]
    timeout: int = 60
    limit: int = MEBIBYTE

    def describe(self) -> str:
        """Nothing goes over the wire."""
        return f"the inventory's validated route origins for {len(self.addresses)} addresses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Base of what the scanner asks over the network as any stranger could: no account, nothing logged in.

    ``address`` is empty for the target's own; another one must be an address of the inventory. ``impact`` is what
    the question can do there; the target's ``consent`` must reach as far. ``timeout`` is seconds for the whole of
    it, ``limit`` bytes that may come in.
    """

    channel: ClassVar[str] = "outside"
    address: str = ""
    impact: Impact = Impact.LOOK
    timeout: int = 10
    limit: int = 1 << 16

    def describe(self) -> str:
        """What goes over the wire, in words."""
        raise NotImplementedError

    @property
    def where(self) -> str:
        """``the target``, or the address."""
        return self.address or "the target"


class Say(NamedTuple):
    """One turn of a `Dialogue`: what we say, and when the answer to it is complete.

    ``data`` are bytes, one character each (Latin-1); empty when the other side speaks first. The answer is complete
    when ``until`` (a regular expression over all of it, dot matches newline) is found in it; or when it is as long as
    ``frame`` says: (offset, width, extra) for a length field (big-endian; little-endian when the width is negative)
    at that offset, counting all but ``extra`` bytes; or when nothing more came for ``quiet`` seconds, with ``http``
    only behind a whole HTTP message; with none of these, when the other side ends the connection. A datagram answers
    with one datagram; when it is all that is said, it is sent once more halfway, for datagrams get lost.

    ``copy`` puts parts of earlier answers into ``data``: (turn, offset, length, offset in data) each. ``secure``
    starts TLS after the answer.
    """

    data: str = ""
    until: str = ""
    frame: tuple[int, int, int] | None = None
    quiet: float = 0.0
    copy: tuple[tuple[int, int, int, int], ...] = ()
    secure: bool = False
    http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue(Outside):
    """A short conversation with one port over one connection; read it back with `scanner.exchanges`.

    It stops early when the other side ends the connection: its ``end`` is then ``closed`` or ``reset``, which may be
    the very answer. ``refused`` means that nothing listens there. An answer that is not complete in time is an
    error, unless ``silence`` says that no answer is one (its ``end`` is then ``timeout``); so is one that is too
    long. ``secure`` starts TLS before the first word; no certificate is verified, nothing secret is said. With
    ``stranger`` we show a client certificate that nobody has issued.
    """

    purpose: str
    port: int
    turns: tuple[Say, ...]
    protocol: str = "tcp"
    secure: bool = False
    server_name: str = ""
    stranger: bool = False
    silence: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", tuple(Say(*turn) for turn in self.turns))
        if self.protocol not in {"tcp", "udp"} or not self.turns:
            raise ValueError("Dialogue: protocol is tcp or udp, and something is said or heard")
        for turn in self.turns:
            turn.data.encode("latin-1")
            re.compile(turn.until.encode("latin-1"))

    def describe(self) -> str:
        """What is asked of whom; every byte of it stands in the manifest."""
        tls = " over TLS" if self.secure else ""
        return f"{self.purpose}: {self.port}/{self.protocol} of {self.where}{tls} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports(Outside):
    """Which of these ports answer from here, on every address of the target: connections that say nothing.

    ``addresses`` are further ones, which the inventory names. Parse with `json.loads`: ``{"from": zone, "addresses":
    {address: {"source": ours, "open": [..], "refused": [..], "silent": [..], "failed": {port: errno name}, "still":
    true}}}``, with ports as numbers. ``source`` is empty without a route; ``still`` says whether a port that had
    answered did so at the end. Asked politely: so many at a time and in a second, silence once more.
    """

    numbers: tuple[int, ...]
    addresses: tuple[str, ...] = ()
    timeout: int = 120

    def describe(self) -> str:
        """How many ports of whom."""
        which = f"{len(self.numbers)} TCP ports" if len(self.numbers) < 65535 else "every TCP port"
        where = ", ".join((self.where, *self.addresses))
        return f"connect to {which} of {where} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Outside):
    """Questions to the name servers that the inventory names as resolvers, else to the system's; wire answers.

    ``questions`` are (name, type) pairs; none at all is a complete answer too, and nothing is sent. With ``server``
    they go to that address of the inventory instead; ``recursive`` says whether recursion is desired. Parse with
    `scanner.exchanges`: an exchange per question, in order, with the message as it came (over TCP when the datagram was
    cut short); RFC 1035 section 4. When the first gets no answer there is none at all; a later one that
    gets none in time has ``timeout`` for its end, and no bytes.
    """

    questions: tuple[tuple[str, str], ...]
    server: str = ""
    recursive: bool = True

    def describe(self) -> str:
        """What is asked of whom."""
        asked = ", ".join(f"{name} {kind}" for name, kind in self.questions[:4])
        more = f" and {len(self.questions) - 4} more" if len(self.questions) > 4 else ""
        return f"DNS {asked}{more}, asked of {self.server or 'the resolver'} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch(Outside):
    """What is published about a certificate, over HTTP: a CRL, or the answer to an OCSP question.

    ``wanted`` are pairs of a URL and what to post there (base64; empty to get). The URLs stand in certificates, so a
    target chose them: only hosts that the inventory names in ``revocation_hosts`` are asked, without redirects, proxies
    or cookies. Parse with `json.loads`: in the order of ``wanted`` ``{"url", "body"}`` (base64), or
    ``{"url", "cause", "detail"}`` for what could not be had; when nothing could, the answer is an error. ``limit`` is
    for each body. What one run has fetched it does not fetch again.
    """

    wanted: tuple[tuple[str, str], ...]
    limit: int = 8 * MEBIBYTE

    def describe(self) -> str:
        """What is asked where."""
        verbs = (f"{'POST' if body else 'GET'} {url}" for url, body in self.wanted)
        return f"{', '.join(verbs) or 'nothing to fetch'} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshHello(Outside):
    """What an SSH server says of its own accord: its banner and what it offers (RFC 4253 sections 4.2 and 7.1).

    Read it back with `scanner.exchanges`: one exchange, in which the server's bytes end with its KEXINIT packet. When
    the scan itself goes over SSH to this port it is what that connection began with, and no other is made.
    """

    port: int

    def describe(self) -> str:
        """What is asked of whom."""
        return f"SSH banner and algorithms: {self.port}/tcp of {self.where} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLogin(Outside):
    """The SSH request to come in by no means at all (`none`, RFC 4252 section 5.2), under a name that is nobody's.

    Parse with `json.loads`: ``{"banner", "host_key": {"type", "blob"}, "accepted", "methods": [..]}``. The host key is
    written down, not trusted: nothing secret is said.
    """

    port: int
    user: str = "keurmeester-test"

    def describe(self) -> str:
        """What is asked of whom."""
        return f"SSH login as {self.user} by no means at all: {self.port}/tcp of {self.where} ({self.impact})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EapTls(Outside):
    """The certificates a RADIUS server shows to who logs in on a network (wifi): EAP-TLS, EAP-TTLS or PEAP.

    It is asked as a client of the server, with the shared secret of the inventory's service, under a made-up name in
    this ``realm``; the handshake is left after the server's first words. Read it back with `scanner.exchanges` and
    `radius.within`: one exchange, a turn for each packet and its answer, both as `radius.redacted` leaves them. Every
    answer was proved to be made with the secret. ``version`` offers that version of TLS alone ("TLSv1").
    """

    port: int
    realm: str = ""
    version: Literal["", "TLSv1", "TLSv1.1"] = ""
    impact: Impact = Impact.TRY
    timeout: int = 30

    def describe(self) -> str:
        """What is asked of whom."""
        realm = f" of {self.realm}" if self.realm else ""
        version = f" with {self.version}" if self.version else ""
        return f"EAP{version} under a made-up name{realm}: {self.port}/udp of {self.where} ({self.impact})"


Source: TypeAlias = (
    Shell
    | TlsWalk
    | TrustAnchors
    | NameAnchors
    | RouteOrigins
    | Dialogue
    | Ports
    | Lookup
    | Fetch
    | SshHello
    | SshLogin
    | EapTls
)

#: What is asked of one port, at an address.
CONVERSATIONS: Final = (TlsWalk, Dialogue, SshHello, SshLogin, EapTls)

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        Command,
        File,
        Tree,
        TlsWalk,
        TrustAnchors,
        NameAnchors,
        RouteOrigins,
        Dialogue,
        Ports,
        Lookup,
        Fetch,
        SshHello,
        SshLogin,
        EapTls,
    )
}


def root_command(source: Shell) -> tuple[str, ...]:
    """The exact words that sudo(8) is asked to run for a root source: what sudoers must allow."""
    return ("timeout", "-k", str(KILL_AFTER), str(source.timeout), *source.argv)


def to_data(source: Source) -> dict[str, Any]:
    """The source as plain JSON data; `from_data` is its inverse."""
    return {"kind": type(source).__name__, **asdict(source)}


def from_data(data: dict[str, Any]) -> Source:
    """The source that `to_data` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    fields = dict(data)
    kind = _KINDS[fields.pop("kind")]
    if "impact" in fields:
        fields["impact"] = Impact(fields["impact"])
    source: Source = kind(**{name: _hashable(value) for name, value in fields.items()})
    return source


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def tree_files(raw: Raw) -> dict[str, list[str]]:
    """What a `Tree` found: file path -> its lines. Raises ValueError when a line names no file."""
    files: dict[str, list[str]] = {}
    for line in raw.text.split("\n"):
        if not line:
            continue
        path, mark, content = line.partition("\0")
        if not mark:
            raise ValueError(f"no file name before the line {content[:40]!r}")
        files.setdefault(path, []).append(content)
    return files
