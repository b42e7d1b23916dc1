"""Filters such as ``role == "web" and zone in ("dmz",)``: parsed by an allow-list, never evaluated as code."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from typing import Final, TypeAlias

from scanner.model import InputError, Target
from scanner.yamlfile import suggest

Filter: TypeAlias = Callable[[object], bool]

#: What a filter may ask of a target.
TARGET_FIELDS: Final = frozenset(Target.model_fields) - {"description", "host_keys", "services"}

MAX_LENGTH: Final = 1000
MAX_DEPTH: Final = 32
_USE: Final = 'write field == "text" or field in ("one", "other"), joined by and, or, not'


def compile_filter(text: str, fields: frozenset[str], what: str) -> Filter:
    """The filter that ``text`` describes: an object in, whether it is selected out.

    ``fields`` are the attributes of the object that may be named; an attribute that is None counts as "". One
    that holds several values (tags) is asked with ``"x" in tags``. ``what`` says in messages where the text
    stands (``--targets``). Raises InputError, as does the filter itself when a field is of another kind than
    what it is compared with.
    """
    return _Compiler(text, fields, what).compile()


class _Compiler:
    """Turns one text into a filter, by way of its syntax tree."""

    def __init__(self, text: str, fields: frozenset[str], what: str) -> None:
        self.text, self.fields, self.what = text.strip(" "), fields, what

    def compile(self) -> Filter:
        if len(self.text) > MAX_LENGTH:
            raise self.wrong(f"longer than {MAX_LENGTH} characters", "make the filter shorter")
        if not self.text:
            raise self.wrong("the filter is empty", _USE)
        if not self.text.isprintable():
            raise self.wrong("not one line of plain text", "leave out line ends, tabs and control characters")
        tree = self.parse()
        if "#" in self.text[self.column(tree.end_col_offset) :]:
            raise self.wrong("a filter has no comments", "leave out the # and what follows", tree)
        return self.condition(tree)

    def parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            # SyntaxError counts characters from 1, a syntax tree counts bytes from 0.
            raise self.wrong(error.msg, _USE, max((error.offset or 1) - 1, 0)) from None
        except (ValueError, RecursionError, MemoryError, Warning):
            raise self.wrong("this is not a filter", _USE) from None

    def wrong(self, message: str, remedy: str, at: ast.expr | int | None = None) -> InputError:
        if isinstance(at, ast.expr):
            begin, end = self.column(at.col_offset), self.column(at.end_col_offset)
            message += f"\n  {self.text}\n  {' ' * begin}{'^' * (end - begin)}"
        elif at is not None:
            message += f"\n  {self.text}\n  {' ' * at}^"
        return InputError(f"{self.what}: {message}", remedy=remedy)

    def column(self, offset: int | None) -> int:
        return len(self.text.encode()[:offset].decode())

    def condition(self, node: ast.expr, depth: int = 0) -> Filter:
        """A filter of a node that is true or false."""
        if depth > MAX_DEPTH:
            raise self.wrong(f"nested deeper than {MAX_DEPTH} levels", "make the filter simpler", node)
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.condition(value, depth + 1) for value in values]
                return _every(parts) if isinstance(op, ast.And) else _some(parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.condition(operand, depth + 1)
                return lambda thing: not inner(thing)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self.comparison(node, left, op, right)
            case ast.Compare():
                raise self.wrong("compare two things at a time", "join comparisons with 'and'", node)
            case ast.Name():
                raise self.wrong(
                    "this is neither true nor false", f"compare it: {self.field(node)} == ...", node
                )
        raise self.wrong("this cannot stand in a filter", _USE, node)

    def comparison(self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Filter:
        match op, left, right:
            case ast.Eq() | ast.NotEq(), ast.Name(), (ast.Tuple() | ast.List()):
                raise self.wrong("one value cannot equal a list", "use 'in' or 'not in'", node)
            case ast.Eq() | ast.NotEq(), ast.Constant(), ast.Name():
                found = self.equals(self.field(right), self.constant(left), node)
            case ast.Eq() | ast.NotEq(), ast.Name(), _:
                found = self.equals(self.field(left), self.constant(right), node)
            case ast.In() | ast.NotIn(), ast.Name(), (ast.Tuple() | ast.List()):
                words = [self.constant(item) for item in right.elts]
                found = _some([self.equals(self.field(left), word, node) for word in words])
            case ast.In() | ast.NotIn(), ast.Name(), ast.Constant():
                word = _quoted(right.value)
                raise self.wrong("'in' needs a list", f"write ({word},) with the comma, or use ==", right)
            case ast.In() | ast.NotIn(), _, ast.Name():
                found = self.holds(self.field(right), self.constant(left), node)
            case ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn(), _, _:
                raise self.wrong("this compares no field with a value", _USE, node)
            case _:
                raise self.wrong("this comparison cannot be made", "use ==, !=, in or not in", node)
        negative = isinstance(op, ast.NotEq | ast.NotIn)
        return (lambda thing: not found(thing)) if negative else found

    def field(self, node: ast.Name) -> str:
        if node.id not in self.fields:
            remedy = f"{suggest(node.id, self.fields)} (a text goes between quotes)"
            raise self.wrong(f"unknown field {node.id!r}", remedy, node)
        return node.id

    def constant(self, node: ast.expr) -> str | int:
        match node:
            case ast.Constant(value=str() | int() as value) if not isinstance(value, bool):
                return value
            case ast.Name(id=name):
                raise self.wrong(
                    f"{name!r} is no value", f"a text goes between quotes: {_quoted(name)}", node
                )
        raise self.wrong(
            "this is no value", 'write a text between quotes ("web") or a whole number (22)', node
        )

    def equals(self, field: str, word: str | int, node: ast.expr) -> Filter:
        quoted = _quoted(word)

        def test(thing: object) -> bool:
            value = getattr(thing, field)
            value = "" if value is None else value
            if isinstance(value, tuple | list | set | frozenset):
                raise self.wrong(f"{field!r} holds several values", f"write {quoted} in {field}", node)
            if isinstance(value, str) is not isinstance(word, str):
                kind = "a text: write it between quotes" if isinstance(value, str) else "a number: no quotes"
                raise self.wrong(
                    f"{quoted} is not the kind of value in {field!r}", f"{field!r} holds {kind}", node
                )
            return bool(value == word)

        return test

    def holds(self, field: str, word: str | int, node: ast.expr) -> Filter:
        def test(thing: object) -> bool:
            values = getattr(thing, field)
            if not isinstance(values, tuple | list | set | frozenset):
                quoted = _quoted(word)
                raise self.wrong(f"{field!r} holds one value", f"write {field} == {quoted}", node)
            return word in values

        return test


def _quoted(word: object) -> str:
    return f'"{word}"' if isinstance(word, str) else repr(word)


def _every(parts: list[Filter]) -> Filter:
    return lambda thing: all(part(thing) for part in parts)


def _some(parts: list[Filter]) -> Filter:
    return lambda thing: any(part(thing) for part in parts)
