"""Filters: what they select, what they refuse, and that nothing in them is ever run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.expression import TARGET_FIELDS, compile_filter
from scanner.model import InputError, Severity, Target

WEB = Target(name="web1", address="192.0.2.1", role="web", zone="dmz", tags=("internet",), port=2222)
DB = Target(name="db1", address="192.0.2.2", role="db", zone="server", jump="web1")


def selected(text: str) -> list[str]:
    chosen = compile_filter(text, TARGET_FIELDS, "--targets")
    return [target.name for target in (WEB, DB) if chosen(target)]


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        selected(text)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('role == "web"', ["web1"]),
        ("role == 'web'", ["web1"]),
        ('"web" == role', ["web1"]),
        ('role != "web"', ["db1"]),
        ('role == "web" and zone in ("dmz",)', ["web1"]),
        ('role == "web" and zone == "server"', []),
        ('role == "web" or zone == "server"', ["web1", "db1"]),
        ('not (role == "web" or zone == "server")', []),
        ('not role == "web"', ["db1"]),
        ('zone in ["dmz", "server"]', ["web1", "db1"]),
        ('zone not in ("dmz", "beheer")', ["db1"]),
        ("zone in ()", []),
        ('"internet" in tags', ["web1"]),
        ('"internet" not in tags', ["db1"]),
        ("port == 2222", ["web1"]),
        ("port in (22, 2222)", ["web1", "db1"]),
        ('jump == ""', ["web1"]),
        ('jump == "web1"', ["db1"]),
        ('  name == "web1"  ', ["web1"]),
        ('role == "a#b" or role == "db"', ["db1"]),
    ],
)
def test_a_filter_selects(text: str, names: list[str]) -> None:
    assert selected(text) == names


def test_a_filter_of_checks() -> None:
    @dataclass
    class Check:
        severity: Severity
        principles: tuple[str, ...]

    chosen = compile_filter(
        '"DSM-IBP-5" in principles and severity in ("high", "critical")',
        frozenset({"severity", "principles"}),
        "--only",
    )
    assert chosen(Check(Severity.HIGH, ("DSM-IBP-1", "DSM-IBP-5")))
    assert not chosen(Check(Severity.LOW, ("DSM-IBP-5",)))
    assert not chosen(Check(Severity.HIGH, ("DSM-IBP-1",)))


@pytest.mark.parametrize(
    ("text", "message", "caret", "remedy"),
    [
        ('rol == "web"', "unknown field 'rol'", "^^^", "did you mean 'role'?"),
        ('zzz == "web"', "unknown field 'zzz'", "^^^", "known here: address, "),
        ("role == web", "'web' is no value", "        ^^^", 'between quotes: "web"'),
        ("zone in (dmz)", "unknown field 'dmz'", "         ^^^", "a text goes between quotes"),
        ('zone in ("dmz")', "'in' needs a list", "         ^^^^^", 'write ("dmz",) with the comma'),
        ('"é" in tagz', "unknown field 'tagz'", "       ^^^^", "did you mean 'tags'?"),
        ('role = "web"', "invalid syntax", "     ^", "field == "),
        ('role == "web" && zone == "dmz"', "invalid syntax", "               ^", "joined by and, or, not"),
        ('role == "web', "unterminated string literal", "        ^", "field == "),
        ("", "the filter is empty", None, "field == "),
        ("role", "neither true nor false", "^^^^", "compare it: role == ..."),
        ("not role", "neither true nor false", "    ^^^^", "compare it: role == ..."),
        ('"web"', "cannot stand in a filter", "^^^^^", "field == "),
        ("True", "cannot stand in a filter", "^^^^", "field == "),
        ("role == True", "this is no value", "        ^^^^", "between quotes"),
        ("role == None", "this is no value", "        ^^^^", "between quotes"),
        ("port == -1", "this is no value", "        ^^", "whole number"),
        ('role == f"{port}"', "this is no value", "        ^^^^^^^^^", "between quotes"),
        ('role == b"web"', "this is no value", "        ^^^^^^", "between quotes"),
        ('role == ("web",)', "one value cannot equal a list", "^^^^^^^^^^^^^^^^", "use 'in'"),
        ('"a" == "b"', "compares no field with a value", "^^^^^^^^^^", "field == "),
        ('role == "a" == "b"', "compare two things at a time", "^" * 18, "'and'"),
        ("port < 1024", "this comparison cannot be made", "^^^^^^^^^^^", "use ==, !=, in or not in"),
        ('role is "web"', "this comparison cannot be made", "^^^^^^^^^^^^^", "use ==, !=, in or not in"),
        ('__import__("os").system("id")', "cannot stand in a filter", "^", "field == "),
        ('role.__class__ == "x"', "compares no field with a value", "^", "field == "),
        ('[r for r in role] == "x"', "compares no field with a value", "^", "field == "),
        ('(role := "x") == "x"', "compares no field with a value", "^", "field == "),
        ('role == "web" if port else "x"', "cannot stand in a filter", "^", "field == "),
        ('lambda: role == "web"', "cannot stand in a filter", "^", "field == "),
        ('role == "web" # and zone == "dmz"', "a filter has no comments", "^", "leave out the #"),
        ('role == "web" and\nzone == "dmz"', "not one line of plain text", None, "line ends"),
        ('role == "\x1b[31m"', "not one line of plain text", None, "control characters"),
        (r'role == "\d"', "invalid escape sequence", "        ^", "field == "),
        ('"internet" == tags', "'tags' holds several values", "^", 'write "internet" in tags'),
        ('tags == "internet"', "'tags' holds several values", "^", 'write "internet" in tags'),
        ('tags in ("internet",)', "'tags' holds several values", "^", 'write "internet" in tags'),
        ('"we" in role', "'role' holds one value", "^", 'write role == "we"'),
        ('port == "22"', "not the kind of value in 'port'", "^", "a number: no quotes"),
        ("role == 22", "not the kind of value in 'role'", "^", "a text: write it between quotes"),
        ("(" * 400, "too many nested parentheses", " " * 199, "field == "),
        ("not " * 33 + 'role == "x"', "nested deeper than 32 levels", " " * 132 + "^", "simpler"),
        ('role == "' + "x" * 1000 + '"', "longer than 1000 characters", None, "shorter"),
    ],
)
def test_a_filter_is_refused(text: str, message: str, caret: str | None, remedy: str) -> None:
    error = refused(text)
    head, *shown = error.message.split("\n")
    assert head.startswith("--targets: ")
    assert message in head
    assert remedy in error.remedy
    if caret is None:
        assert not shown
    else:
        assert shown[0] == f"  {text}"
        assert shown[1].startswith(f"  {caret}")
        assert set(shown[1]) <= {" ", "^"}


_WORDS = [
    "role",
    "zone",
    "tags",
    "port",
    "and",
    "or",
    "not",
    "in",
    "==",
    "!=",
    "(",
    ")",
    "[",
    ",",
    '"a"',
    "'",
    "1",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(_WORDS)).map(" ".join)))
def test_any_text_gives_a_filter_or_an_input_error(text: str) -> None:
    error = None
    try:
        assert compile_filter(text, TARGET_FIELDS, "--targets")(WEB) in (True, False)
    except InputError as raised:
        error = raised
    if error is not None:
        assert error.remedy
        assert str(error).replace("\n", "").isprintable()
