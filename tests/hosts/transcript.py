r"""Answers of commands as text a person can read and review.

    ===== cat -- /etc/crypttab
    ----- stderr
    cat: /etc/crypttab: No such file or directory
    ----- exit 1

A line of output stands as it is; a backslash, a control character, a byte that is no UTF-8 and the first character of a
line that looks like a mark are written as escapes. ``----- no newline`` says that the output ends without one,
``----- absent`` that the program is not on the host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMAND: Final = "===== "
_MARK: Final = "----- "
_NEWLINE: Final = "no newline"
_ESCAPE: Final = re.compile(r"\\(\\|0|x[0-9a-f]{2})")


class Answer(NamedTuple):
    """What a command gave. ``absent``: there is no such program, and nothing ran."""

    out: bytes = b""
    err: bytes = b""
    code: int = 0
    absent: bool = False


def parse(text: str) -> dict[str, Answer]:
    """Command -> its answer. Raises ValueError on anything that `dump` would not write."""
    found: dict[str, Answer] = {}
    for block in re.split(rf"(?m)^{_COMMAND}", text)[1:]:
        command, _, body = block.partition("\n")
        if command in found:
            raise ValueError(f"{command!r} is answered twice")
        found[command] = _answer(command, body)
    if not found:
        raise ValueError("no command begins here")
    return found


def _answer(command: str, body: str) -> Answer:
    parts = re.split(rf"(?m)^{_MARK}(.*)\n", body)
    streams, code, absent, current = {"stdout": parts[0], "stderr": ""}, 0, False, "stdout"
    for mark, lines in zip(parts[1::2], parts[2::2], strict=True):
        if mark == _NEWLINE:
            streams[current] = streams[current].removesuffix("\n")
        elif mark == "absent":
            absent = True
        elif mark == "stderr":
            current = mark
        elif number := re.fullmatch(r"exit (\d+)", mark):
            code = int(number[1])
        else:
            raise ValueError(f"{command!r}: what is {mark!r}?")
        streams[current] += lines
    return Answer(_bytes(streams["stdout"]), _bytes(streams["stderr"]), code, absent)


def dump(answers: Mapping[str, Answer]) -> str:
    """The answers as text, in their order."""
    return "".join(_block(command, answer) for command, answer in answers.items())


def _block(command: str, answer: Answer) -> str:
    text = f"{_COMMAND}{command}\n{_lines(answer.out)}"
    if answer.err:
        text += f"{_MARK}stderr\n{_lines(answer.err)}"
    if answer.code:
        text += f"{_MARK}exit {answer.code}\n"
    return text + (f"{_MARK}absent\n" if answer.absent else "")


def _lines(data: bytes) -> str:
    if not data:
        return ""
    text = "".join(_escaped(char) for char in data.decode(errors="surrogateescape"))
    text = re.sub(rf"(?m)^({_MARK[0]}|{_COMMAND[0]})(?={_MARK[1:]}|{_COMMAND[1:]})", _first, text)
    return text if text.endswith("\n") else f"{text}\n{_MARK}{_NEWLINE}\n"


def _escaped(char: str) -> str:
    if char in "\n\t" or (char.isprintable() and char != "\\"):
        return char
    if char in "\\\0":
        return {"\\": "\\\\", "\0": "\\0"}[char]
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape"))


def _first(found: re.Match[str]) -> str:
    return f"\\x{ord(found[1]):02x}"


def _bytes(text: str) -> bytes:
    return b"".join(
        {"\\": b"\\", "0": b"\0"}.get(part) or bytes.fromhex(part[1:]) if at % 2 else part.encode()
        for at, part in enumerate(_ESCAPE.split(text))
    )
