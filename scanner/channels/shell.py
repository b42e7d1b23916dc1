"""One batch for a POSIX shell: the script for `sh -s`, and the reader of its framed answers.

Every source is framed on standard output and standard error by a line that holds a fresh 128-bit nonce, so that
nothing a file or program prints can pass for a frame:

    <nonce> B <index>           begins
    <nonce> E <index> <code>    ended with this exit status
    <nonce> A <index>           the program is not on the host
    <nonce> P <index>           root was needed and could not be had
    <nonce> U <uid> <user>      who we are there

The script runs each source as one simple command with stdin from /dev/null, in the C locale, under `timeout -k`; it
writes no file and needs no other tool than timeout(1), id(1) and, for root, sudo(8).
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from scanner.channels import ChannelError
from scanner.model import Cause, Gap, State, Timed
from scanner.sources import KILL_AFTER, MEBIBYTE, Shell, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bytes one target may send in one batch, over all sources, before the connection is given up.
HOST_LIMIT: Final = 64 * MEBIBYTE
#: Seconds one batch may take in all, however patient its sources are together.
HOST_SECONDS: Final = 300

_PRELUDE: Final = r"""LC_ALL=C; LANG=C; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export LC_ALL LANG PATH
N={nonce}
m() {{ printf '\n%s %s\n' "$N" "$1"; printf '\n%s %s\n' "$N" "$1" >&2; }}
W=$(id); W=${{W#uid=}}; I=${{W%%[!0-9]*}}; W=${{W#"$I"}}
case $W in "("*) W=${{W#?}}; W=${{W%%)*}};; *) W=;; esac
m "U $I $W"
R=
if [ "$I" != 0 ]; then
 R=none
 if command -v sudo >/dev/null 2>&1; then sudo -n -l >/dev/null 2>&1 </dev/null && R=sudo; fi
fi
u() {{ i=$1; t=$2; n=$3; shift 3
 command -v "$n" >/dev/null 2>&1 || {{ m "A $i"; return; }}
 m "B $i"; timeout -k {kill} "$t" "$@" </dev/null; m "E $i $?"; }}
r() {{ i=$1; t=$2; n=$3; shift 3
 [ "$R" = none ] && {{ m "P $i"; return; }}
 command -v "$n" >/dev/null 2>&1 || {{ m "A $i"; return; }}
 m "B $i"
 if [ -z "$R" ]; then timeout -k {kill} "$t" "$@" </dev/null
 else sudo -n -- timeout -k {kill} "$t" "$@" </dev/null; fi
 m "E $i $?"; }}
"""


@lru_cache(maxsize=4096)
def _words(source: Shell) -> str:
    """The program to look for and the words to run, quoted: the same for every host."""
    return shlex.join((source.needs or source.argv[0], *source.argv))


class Batch:
    """One script and its answers. Feed it what comes back; ask it for `answers` when all is said."""

    def __init__(self, sources: Sequence[Shell], *, limit: int = HOST_LIMIT) -> None:
        self.sources = tuple(sources)
        self.nonce = secrets.token_hex(16)
        self.deadline = min(sum(source.timeout + KILL_AFTER for source in sources) + 10, HOST_SECONDS)
        self.user: tuple[int, str] | None = None
        self._limit, self._received = limit, 0
        self._raw: dict[int, Timed] = {}
        self._started = time.monotonic()
        self._began: dict[int, float] = {}
        self._out = _Stream(self.nonce, [source.limit for source in self.sources])
        self._err = _Stream(self.nonce, [65536] * len(self.sources))
        self._ended: dict[int, tuple[str, int | None, float, float]] = {}

    @property
    def script(self) -> bytes:
        """What `sh -s` reads."""
        lines = [_PRELUDE.format(nonce=self.nonce, kill=KILL_AFTER)]
        for index, source in enumerate(self.sources):
            how = "r" if source.root else "u"
            lines.append(f"{how} {index} {source.timeout} {_words(source)}\n")
        lines.append("m Q\n")
        return "".join(lines).encode()

    @property
    def done(self) -> bool:
        """Whether the last frame has come, on both streams."""
        return self._out.finished and self._err.finished

    def feed_out(self, data: bytes) -> None:
        """Bytes from standard output. Raises ChannelError when the target has said more than it may."""
        self._count(data)
        for index, kind, code in self._out.feed(data):
            if index < 0:
                uid, _, user = (code or "").partition(" ")
                if uid.isdigit():
                    self.user = (int(uid), user)
            elif 0 <= index < len(self.sources):
                now = time.monotonic()
                if kind == "B":
                    self._began[index] = now
                else:
                    status = int(code) if code and code.isdigit() else None
                    took = now - self._began.get(index, now)
                    self._ended[index] = (kind, status, took, time.time())

    def feed_err(self, data: bytes) -> None:
        """Bytes from standard error. Raises ChannelError when the target has said more than it may."""
        self._count(data)
        self._err.feed(data)

    def _count(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self._limit:
            raise ChannelError(
                Cause.TRUNCATED, f"the target sent more than {self._limit // MEBIBYTE} MiB; gave up"
            )

    def answers(self, gap: Gap) -> dict[Source, Timed]:
        """Source -> what came back. A source without an end frame gets ``gap``: nobody may judge half an answer."""
        self._out.end()
        self._err.end()
        return {source: self._answer(index, source, gap) for index, source in enumerate(self.sources)}

    def _answer(self, index: int, source: Shell, gap: Gap) -> Timed:
        out, cut = self._out.body(index)
        err, _ = self._err.body(index)
        for pattern, replacement in source.redact:
            out = re.sub(pattern.encode(), replacement.encode(), out, flags=re.MULTILINE)
        if index not in self._ended:
            return Timed(out, err, None, gap, at=time.time())
        kind, code, took, at = self._ended[index]
        why: Gap | None = None
        if kind == "A" and source.needs:
            why = Gap(State.NOTAPPLICABLE, None, f"{source.needs} is not on the host")
        elif kind == "A":
            why = Gap(State.ERROR, Cause.TOOL_MISSING, f"{source.argv[0]} is not on the host")
        elif kind == "P":
            why = Gap(
                State.ERROR, Cause.PRIVILEGE, f"{source.describe()}: needs root, and sudo -n does not give it"
            )
        elif index not in self._err.ended:
            why = gap
        elif cut:
            why = Gap(State.ERROR, Cause.TRUNCATED, f"{source.describe()}: more than {source.limit} bytes")
        return Timed(out, err, code, why, round(took, 4), round(at, 3))


class _Stream:
    """Splits one stream into frames; keeps at most the limit of each body and drops the rest."""

    def __init__(self, nonce: str, limits: Sequence[int]) -> None:
        # The newline before the mark is the frame's own, so that a body keeps its last byte whatever it is.
        self._mark = b"\n" + nonce.encode() + b" "
        self._left = list(limits)
        self._buffer = b""
        self._open = -1
        self._bodies: dict[int, list[bytes]] = {}
        self._cut: set[int] = set()
        self.ended: set[int] = set()
        self.finished = False

    def feed(self, data: bytes) -> list[tuple[int, str, str | None]]:
        """The frames completed by these bytes: (index, kind, rest); index -1 says who we are."""
        frames: list[tuple[int, str, str | None]] = []
        *pieces, last = (self._buffer + data).split(self._mark)
        for number, piece in enumerate(pieces):
            self._take(self._frame(piece, frames) if number else piece)
        if pieces and b"\n" not in last:
            if len(last) > 1024:
                raise ChannelError(Cause.PARSE, "a frame without end")
            self._buffer = self._mark + last
            return frames
        body = self._frame(last, frames) if pieces else last
        keep = len(self._mark) - 1  # it may end in the beginning of a mark
        self._take(body[:-keep])
        self._buffer = body[-keep:]
        return frames

    def _frame(self, piece: bytes, frames: list[tuple[int, str, str | None]]) -> bytes:
        """Read the line that a mark begins; what follows it."""
        line, _, body = piece.partition(b"\n")
        words = line.decode(errors="replace").split(" ", 2)
        kind = words[0]
        if kind == "Q":
            self.finished, self._open = True, -1
        elif kind == "U":
            frames.append((-1, kind, " ".join(words[1:])))
        elif len(words) > 1 and words[1].isdigit():
            index = int(words[1])
            self._open = index if kind == "B" else -1
            if kind == "B":
                self._bodies.setdefault(index, [])
            else:
                self.ended.add(index)
            frames.append((index, kind, words[2] if len(words) > 2 else None))
        return body

    def _take(self, data: bytes) -> None:
        index = self._open
        if not data or not 0 <= index < len(self._left):
            return
        if len(data) > self._left[index]:
            self._cut.add(index)
            data = data[: self._left[index]]
        self._left[index] -= len(data)
        self._bodies[index].append(data)

    def end(self) -> None:
        """No more will come: what is left belongs to the open frame."""
        self._take(self._buffer)
        self._buffer = b""

    def body(self, index: int) -> tuple[bytes, bool]:
        """What came inside this frame, and whether it was cut at the limit."""
        return b"".join(self._bodies.get(index, ())), index in self._cut
