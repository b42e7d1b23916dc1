"""What can be collected: every kind of question that may ever be put to a target.

A source is declared data: hashable, printable before anything runs (`keurmeester plan`), and the only thing a
worker ever sends. Quoting is right by construction: a check author writes words, never shell.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from scanner.model import Raw

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
        return tuple(shlex.split(self.line))

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
    """The CA certificates (PEM) the scanner trusts: its system's store and the inventory's `trust_anchors`."""

    channel: ClassVar[str] = "tls"
    timeout: int = 5
    limit: int = 8 * MEBIBYTE

    def describe(self) -> str:
        """Nothing goes over the wire."""
        return "the scanner's own trust anchors"


Source: TypeAlias = Shell | TlsWalk | TrustAnchors

_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind for kind in (Command, File, Tree, TlsWalk, TrustAnchors)
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
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = tuple(tuple(item) if isinstance(item, list) else item for item in value)
    source: Source = kind(**fields)
    return source


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
