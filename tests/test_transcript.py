"""The evidence of what went over a socket: written and read back the same, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.model import Raw
from scanner.transcript import ENDS, Exchange, Turn, exchanges, write

turn = st.builds(Turn, st.binary(max_size=40), st.binary(max_size=40))
exchange = st.builds(
    Exchange,
    st.text(max_size=20),
    st.lists(turn, max_size=3).map(tuple),
    st.sampled_from(sorted(ENDS)),
    st.text(max_size=10),
)


@given(st.lists(exchange, max_size=4))
def test_what_is_written_is_read_back(seen: list[Exchange]) -> None:
    assert exchanges(Raw(out=write(seen))) == seen


@given(st.binary(max_size=100))
def test_other_bytes_are_a_value_error_or_nothing_at_all(garbage: bytes) -> None:
    try:
        assert exchanges(Raw(out=garbage)) == []
    except ValueError:
        return
    assert garbage == b""


GOOD = '{"ask":"hello","end":"done","turns":[["aGk=",""]]}\n'


def test_the_format_stays_as_it_is() -> None:
    assert exchanges(Raw(out=GOOD.encode())) == [Exchange("hello", (Turn(b"hi", b""),), "done")]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("}\n", "}"),
        ('"done"', '"finished"'),
        ('"done"', '["done"]'),
        ("aGk=", "a!k="),
        ("aGk=", "aGk"),
        ('["aGk=",""]', '["aGk="]'),
        ('["aGk=",""]', '["aGk=",1]'),
        ('["aGk=",""]', '"aGk="'),
        ('[["aGk=",""]]', "7"),
        ('"hello"', "null"),
        ('"ask"', '"question"'),
        ('"end"', '"more":1,"end"'),
        ("\n", ',"to":1}\n'),
        ('{"ask"', '{{"ask"'),
    ],
)
def test_what_is_not_quite_it_is_refused(good: str, bad: str) -> None:
    assert good in GOOD
    with pytest.raises(ValueError):
        exchanges(Raw(out=GOOD.replace(good, bad, 1).encode()))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ValueError):
        exchanges(Raw(out=b"[" * 100_000 + b"\n"))


def test_all_that_went_one_way_in_one_piece() -> None:
    one = Exchange("", (Turn(b"a", b"b"), Turn(b"c", b"d")), "closed")
    assert (one.sent, one.received) == (b"ac", b"bd")
