"""Of a conversation `explain` tells who said what, never base64, and never without end."""

from __future__ import annotations

from scanner.explain import EXCERPT, WIDTH, _excerpt, _lines
from scanner.model import Raw
from scanner.transcript import Exchange, Turn, write


def told(*exchanges: Exchange) -> list[str]:
    return _lines(Raw(out=write(exchanges)))


def test_text_is_told_line_by_line_and_bytes_are_counted() -> None:
    smtp = Exchange(
        "greet", (Turn(b"", b"220 mx\r\n"), Turn(b"EHLO a\r\n", b"250-mx\r\n250 STARTTLS\r\n")), "done"
    )
    assert told(smtp) == [
        "greet: 8 bytes sent, 30 received, done",
        "< 220 mx", "> EHLO a", "< 250-mx", "< 250 STARTTLS",
    ]  # fmt: skip
    tls = Exchange(
        "suites TLSv1.3", (Turn(b"\x16\x03\x01", b"\x15\x03\xff"),), "closed", to="::1", note="alert 40"
    )
    assert told(tls) == ["suites TLSv1.3: 3 bytes sent, 3 received, closed (::1, alert 40)"]


def test_a_control_character_makes_it_no_text() -> None:
    assert told(Exchange("greet", (Turn(b"", b"220 \x1b[2J\r\n"),), "done")) == [
        "greet: 0 bytes sent, 10 received, done"
    ]


def test_what_is_no_conversation_is_shown_as_it_came() -> None:
    assert _lines(Raw(out=b"PermitRootLogin no\nUsePAM yes")) == ["PermitRootLogin no", "UsePAM yes"]
    assert _lines(Raw(out=b'{"from":""}')) == ['{"from":""}']


def test_neither_many_lines_nor_a_long_one_fill_the_screen() -> None:
    shown = _excerpt(["x" * (WIDTH + 5)] * (EXCERPT + 3)).split("\n")
    assert shown[0] == "x" * WIDTH + "… 5 characters more"
    assert shown[EXCERPT:] == ["… 3 more"]
