"""Which host keys are known: known_hosts files (sshd(8), SSH_KNOWN_HOSTS) or keys pinned in the inventory.

Read once per run, in time linear in the number of lines: plain names go into a dictionary; hashed names can be
found only by hashing the name asked for with each line's own salt, so that costs 2 us per hashed line per lookup.
Names with wildcards or negation are compared one by one.

``@revoked`` is honoured. ``@cert-authority`` is not: host certificates are not verified here, so a host that is
known through an authority only counts as unknown, and the refusal says so.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_PORT: Final = 22
_MARKERS: Final = ("@revoked", "@cert-authority")
_SPECIAL: Final = re.compile(r"[*?!]")


class Trust(Enum):
    """What is known of the key a host shows."""

    KNOWN = auto()
    UNKNOWN = auto()
    CHANGED = auto()
    REVOKED = auto()


class HostKey(NamedTuple):
    """A public host key as it stands in a file and on the wire."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it: ``SHA256:…``."""
        return "SHA256:" + b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one host: its keys, keys it may never show, and whether an authority is named for it."""

    keys: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()
    authority: bool = False

    def judge(self, shown: bytes) -> Trust:
        """What to think of the key (in wire format) that the host shows."""
        if any(key.blob == shown for key in self.revoked):
            return Trust.REVOKED
        if any(key.blob == shown for key in self.keys):
            return Trust.KNOWN
        return Trust.CHANGED if self.keys else Trust.UNKNOWN


def pinned(lines: Sequence[str]) -> Known:
    """The keys an inventory gives for one host, each as ``type base64 [comment]``. Raises ValueError."""
    return Known(keys=tuple(_parse_key(line.split()) for line in lines))


@dataclass(slots=True)
class KnownHosts:
    """What known_hosts files say.

    ``broken`` counts the lines that, like ssh, we skip because they make no sense; ``unread`` names the files
    that are there and could not be read.
    """

    lines: int = 0
    broken: int = 0
    unread: list[str] = field(default_factory=list)
    _plain: dict[str, list[_Entry]] = field(default_factory=dict)
    _hashed: list[tuple[bytes, bytes, _Entry]] = field(default_factory=list)
    _patterns: list[tuple[list[re.Pattern[str]], list[re.Pattern[str]], _Entry]] = field(default_factory=list)

    @classmethod
    def load(cls, paths: Iterable[Path] | None = None) -> KnownHosts:
        """Read these files; by default those of the user and of the system. One that is not there says nothing."""
        if paths is None:
            paths = (Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts"))
        known = cls()
        for path in paths:
            try:
                text = path.read_bytes().decode(errors="surrogateescape")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                known.unread.append(f"{path}: {error.strerror}")
                continue
            for line in text.split("\n"):
                known.add(line)
        return known

    def add(self, line: str) -> None:
        """Take in one line of a known_hosts file; a broken one is counted."""
        words = line.split()
        if not words or words[0].startswith("#"):
            return
        self.lines += 1
        try:
            marker = words.pop(0) if words[0].startswith("@") else ""
            if marker and marker not in _MARKERS:
                raise ValueError(f"{marker} is no marker")
            names = words[0].lower() if not words[0].startswith("|") else words[0]
            self._file(names, _Entry(marker, _parse_key(words[1:])))
        except (ValueError, IndexError):
            self.broken += 1

    def _file(self, names: str, entry: _Entry) -> None:
        if names.startswith("|"):
            _, version, salt, digest = names.split("|")
            if version != "1":
                raise ValueError("only |1| (HMAC-SHA1) is in use")
            self._hashed.append((_base64(salt), _base64(digest), entry))
        elif _SPECIAL.search(names):
            wanted = [_pattern(name) for name in names.split(",") if not name.startswith("!")]
            barred = [_pattern(name[1:]) for name in names.split(",") if name.startswith("!")]
            self._patterns.append((wanted, barred, entry))
        else:
            for name in names.split(","):
                self._plain.setdefault(name, []).append(entry)

    def lookup(self, host: str, port: int = DEFAULT_PORT) -> Known:
        """What is known of the SSH server at this name or address and port.

        Like ssh, a server on another port than 22 may also be known by its bare name.
        """
        host = host.lower()
        if port != DEFAULT_PORT:
            known = self._lookup(f"[{host}]:{port}")
            if known != Known():
                return known
        return self._lookup(host)

    def _lookup(self, name: str) -> Known:
        entries = list(self._plain.get(name, ()))
        entries += [
            entry
            for wanted, barred, entry in self._patterns
            if any(pattern.fullmatch(name) for pattern in wanted)
            and not any(pattern.fullmatch(name) for pattern in barred)
        ]
        plain = name.encode(errors="surrogateescape")
        entries += [
            entry for salt, digest, entry in self._hashed if hmac.digest(salt, plain, "sha1") == digest
        ]
        return Known(
            keys=tuple(key for marker, key in entries if not marker),
            revoked=tuple(key for marker, key in entries if marker == "@revoked"),
            authority=any(marker == "@cert-authority" for marker, _ in entries),
        )


class _Entry(NamedTuple):
    marker: str
    key: HostKey


def _parse_key(words: Sequence[str]) -> HostKey:
    """``type base64 [comment]``; the type must be the one inside the key."""
    if len(words) < 2:
        raise ValueError("a host key is written as its type and the key in base64")
    blob = _base64(words[1])
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != words[0].encode(errors="surrogateescape") or len(blob) <= 4 + length:
        raise ValueError(f"this is not a key of type {words[0]}")
    return HostKey(words[0], blob)


def _base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None


def _pattern(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` are wildcards; brackets are themselves, they stand around a name with a port."""
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
