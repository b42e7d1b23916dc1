"""YAML files written by people, read so that every mistake has a file, a line and a remedy.

Only the plain part of YAML is accepted: one document of mappings, lists and scalars, without anchors, aliases,
tags or duplicate keys. Scalars mean what they mean to an editor (YAML 1.2): ``no`` and ``0644`` are text. Keys
are always text.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from scanner.model import InputError

T = TypeVar("T")
Place: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the top of a file to a value: ``("targets", "web1", "services", 0)``."""

MAX_BYTES: Final = 8 << 20
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 500_000


class _Mark(NamedTuple):
    """The line on which a value begins (or its key stands), and the marks of what is inside it."""

    line: int
    inside: dict[str | int, _Mark]


@dataclass(frozen=True, slots=True)
class Located:
    """The plain data of one file, with the line of each value. ``digest`` is the SHA-256 of the file."""

    file: str
    data: Any
    digest: str
    _mark: _Mark = field(repr=False)

    def line(self, place: Place = ()) -> int:
        """The line of what stands at ``place``; parts that are not there are passed over."""
        mark = self._mark
        for part in place:
            mark = mark.inside.get(part, mark)
        return mark.line

    def error(self, place: Place, message: str, remedy: str) -> InputError:
        """The error to raise about what stands at ``place``."""
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in place)
        prefix = f"{where.removeprefix('.')}: " if where else ""
        return InputError(
            _safe(prefix + message), file=self.file, line=self.line(place), remedy=_safe(remedy)
        )

    def unknown(self, place: Place, what: str, word: str, known: Iterable[str]) -> InputError:
        """The error to raise about a ``word`` at ``place`` that is not among the ``known``."""
        return self.error(place, f"unknown {what} {_short(word)!r}", suggest(word, known))

    def validate(self, kind: type[T] | TypeAdapter[T], at: Place = (), data: object = ...) -> T:
        """What stands ``at`` a place (or other ``data`` to be blamed on it) as a ``kind`` that pydantic knows.

        Raises InputError for the mistake that comes first in the file. It repeats the value, except where a
        name on the way to it suggests a secret. A validator's ValueError may hold two lines: what is wrong,
        and the remedy.
        """
        adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
        if data is ...:
            data = self.data
            for part in at:
                data = data[part]  # type: ignore[index]
        try:
            return adapter.validate_python(data)
        except ValidationError as error:
            mistakes = error.errors(include_url=False)
        # On one line an unknown field comes before a missing one: it explains it.
        mistake = min(mistakes, key=lambda item: (self.line((*at, *item["loc"])), item["type"] == "missing"))
        place = tuple(part for part in (*at, *mistake["loc"]) if part != "[key]")
        match mistake["type"]:
            case "missing":
                message, remedy = "is missing", f"write '{place[-1]}: ...' here"
            case "extra_forbidden":
                known = _fields(adapter.json_schema(), mistake["loc"][:-1])
                message, remedy = "unknown field", suggest(str(place[-1]), known)
            case "value_error":
                message, _, remedy = str(mistake["ctx"]["error"]).partition("\n")
            case other:
                message = f"{_shown(mistake['input'], place)} is not accepted"
                remedy = _HINTS.get(other) or mistake["msg"].replace("Input should", "it should")
        raise self.error(place, message, remedy)


#: Words that are listed when none is near.
_SUGGESTED: Final = 30


def suggest(word: str, known: Iterable[str]) -> str:
    """What to write instead of ``word``: the nearest of the ``known`` words, or the first so many of them."""
    words = sorted(known)
    if near := difflib.get_close_matches(word, words, n=1):
        return f"did you mean {near[0]!r}?"
    more = f" and {len(words) - _SUGGESTED} more" if len(words) > _SUGGESTED else ""
    return f"known here: {', '.join(words[:_SUGGESTED])}{more}" if words else "none is known here"


def load_yaml(path: Path) -> Located:
    """Read one YAML file. Raises InputError for whatever is wrong with it."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot be read: {reason}", file=str(path), remedy="check its path and rights"
        ) from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES >> 20} MiB", file=str(path), remedy="split the file")
    data, mark = _Reader(str(path)).read(raw)
    return Located(str(path), data, hashlib.sha256(raw).hexdigest(), mark)


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; ``key`` is that of the value to come."""

    data: Any
    mark: _Mark
    key: str | None = None

    def put(self, value: object, line: int) -> _Mark:
        """Add a value; returns its mark."""
        if isinstance(self.data, list):
            mark = self.mark.inside[len(self.data)] = _Mark(line, {})
            self.data.append(value)
        else:
            assert self.key is not None
            self.data[self.key], mark = value, self.mark.inside[self.key]
            self.key = None
        return mark


@dataclass(frozen=True, slots=True)
class _Reader:
    """Makes data of the parser's events: without recursion, and of nothing but plain values."""

    file: str

    def read(self, raw: bytes) -> tuple[Any, _Mark]:
        """The one document in ``raw``, and its mark."""
        documents = _Open([], _Mark(1, {}))
        text = self._decode(raw)
        try:
            self._build(yaml.parse(text, Loader=_LOADER), documents)
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error, text) from None
        except yaml.YAMLError as error:
            raise self._wrong(1, f"is not YAML: {error}", "look at it in an editor") from None
        if not documents.data:
            raise self._wrong(1, "the file is empty", "write something in it, or leave it out")
        return documents.data[0], documents.mark.inside[0]

    def _wrong(self, line: int, message: str, remedy: str) -> InputError:
        return InputError(message, file=self.file, line=line, remedy=remedy)

    def _decode(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise self._wrong(line, "is not UTF-8", "save the file as UTF-8") from None
        if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
            line = text.count("\n", 0, bad.start()) + 1
            raise self._wrong(line, f"holds the control character U+{ord(bad[0]):04X}", "remove it")
        return text

    def _build(self, events: Iterator[Any], documents: _Open) -> None:
        stack, values = [documents], 0
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
            elif isinstance(event, yaml.DocumentStartEvent) and documents.data:
                raise self._wrong(line, "a second document begins here", "give it a file of its own")
            elif isinstance(event, yaml.NodeEvent):
                values += 1
                self._bounded(event, line, values, len(stack))
                top = stack[-1]
                if isinstance(top.data, dict) and top.key is None:
                    self._key(top, event, line)
                elif isinstance(event, yaml.ScalarEvent):
                    top.put(_scalar(event.value) if event.implicit[0] else event.value, line)
                else:
                    data: object = {} if isinstance(event, yaml.MappingStartEvent) else []
                    stack.append(_Open(data, top.put(data, line)))

    def _bounded(self, event: Any, line: int, values: int, depth: int) -> None:
        if event.anchor is not None or getattr(event, "tag", None) is not None:
            # It is not repeated: it may be a secret that lacks its quotes.
            message = "anchors (&), aliases (*) and tags (!) are not accepted"
            raise self._wrong(line, message, "write the value out; quote a text that begins with & * or !")
        if values > MAX_VALUES:
            raise self._wrong(line, f"holds more than {MAX_VALUES} values", "split the file")
        if depth > MAX_DEPTH:
            raise self._wrong(line, f"goes deeper than {MAX_DEPTH} levels", "nest less deeply")

    def _key(self, top: _Open, event: Any, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._wrong(line, "a key is one text, not a list or mapping", "write 'name: value'")
        key: str = event.value
        if earlier := top.mark.inside.get(key):
            message = f"{_short(key)!r} stands here twice, first on line {earlier.line}"
            raise self._wrong(line, message, "keep one of the two")
        top.key, top.mark.inside[key] = key, _Mark(line, {})

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> InputError:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        message = f"is not YAML: {error.problem}"
        if error.context and error.context_mark and error.context_mark.line + 1 != line:
            message += f" ({error.context} that begins on line {error.context_mark.line + 1})"
        if re.match(r" *\t", (text.split("\n")[line - 1 :] or [""])[0]):
            return self._wrong(line, message, "indent with spaces, not with tabs")
        remedy = "check the indentation here and above, and quote a text that holds ': ', ' #' or quotes"
        return self._wrong(line, message, remedy)


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")


def _scalar(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


_SECRET: Final = re.compile(r"pass|key|secret|credential|token", re.IGNORECASE)
_MAPPING: Final = "write 'name: value' lines, indented below it"
_LIST: Final = "write a list: [one, two]"
_HINTS: Final = {
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type", "dataclass_type"), _MAPPING),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    "string_type": "write a text; one that looks like a number, true, false or null goes between quotes",
}


def _safe(text: str) -> str:
    """Text for a person, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _short(part: object) -> str:
    text = str(part)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shown(value: object, place: Place) -> str:
    if any(_SECRET.search(str(part)) for part in place):
        return "the value"
    if value is None:
        return "an empty value"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(_short(value)) if isinstance(value, str) else repr(value)


def _fields(schema: dict[str, Any], place: Place) -> list[str]:
    """The names of the fields that a JSON Schema accepts at ``place``."""

    def spread(node: object) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            yield node
            yield from spread(schema.get("$defs", {}).get(node.get("$ref", "").rpartition("/")[2]))
            for branch in (*node.get("anyOf", ()), *node.get("oneOf", ()), *node.get("allOf", ())):
                yield from spread(branch)

    nodes = list(spread(schema))
    for part in place:
        keyword = "items" if isinstance(part, int) else "additionalProperties"
        inside = [node.get("properties", {}).get(part, node.get(keyword)) for node in nodes]
        nodes = [child for node in inside for child in spread(node)] or nodes
    return [name for node in nodes for name in node.get("properties", ())]
