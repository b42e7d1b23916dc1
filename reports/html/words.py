"""Dutch and English side by side: every text is a pair of spans, and the style sheet shows one of the two."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from reports.escape import code, lines
from reports.runfolder import LANGUAGES
from scanner import visible

Pair = dict[str, str]
Value = str | int | Mapping[str, str]

_MONTHS: Final = {
    "nl": ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober",
           "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
}  # fmt: skip


@cache
def labels() -> dict[str, dict[str, Markup]]:
    """Every word of the report that is not in the run itself, as HTML."""
    with Path(__file__).with_name("labels.toml").open("rb") as file:
        return {
            key: {lang: code(text) for lang, text in pair.items()} for key, pair in tomllib.load(file).items()
        }


class Count(str):
    """A number as the language writes it; ``{n:system|systems}`` puts the right word after it."""

    value: int

    def __new__(cls, value: int, language: str) -> Count:
        """The whole number, written the way of the language."""
        made = super().__new__(cls, number(value, language))
        made.value = value
        return made

    def __format__(self, words: str) -> str:
        one, _, many = words.partition("|")
        return f"{self!s} {one if self.value == 1 else many}" if words else str(self)


def number(value: int, language: str) -> str:
    """A whole number the way the language writes it."""
    return f"{value:,}".replace(",", ".") if language == "nl" else f"{value:,}"


def percent(part: int, whole: int) -> str:
    """How much of the whole, rounded down, so that only all of it is 100%."""
    if not whole:
        return "–"
    share = part * 100 // whole
    return "<1%" if part and not share else f"{share}%"


def moment(text: str | None) -> Pair:
    """A UTC time of a run file in words; as it stands when it is not a time."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return dict.fromkeys(LANGUAGES, visible(text or "–"))
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return {
        language: f"{at.day} {months[at.month - 1]} {at.year}, {at:%H:%M} UTC"
        for language, months in _MONTHS.items()
    }


def period(start: str, end: str) -> Pair:
    """From when to when, with the date once where it is the same."""
    first, last, same = moment(start), moment(end), day(start) == day(end)
    to = {"nl": "tot", "en": "to"}
    return {
        language: f"{first[language].removesuffix(' UTC')} {to[language]} "
        + (last[language].rpartition(", ")[2] if same else last[language])
        for language in LANGUAGES
    }


def day(text: str) -> Pair:
    """A date of a run file in words; as it stands when it is not a date."""
    return {language: words.partition(",")[0] for language, words in moment(text).items()}


def pair(texts: Mapping[str, object]) -> Markup:
    """Two texts as HTML, of which the reader sees one; escaped unless they are Markup."""
    nl, en = escape(texts["nl"]), escape(texts["en"])
    return nl if nl == en else Markup('<span lang="nl">{}</span><span lang="en">{}</span>').format(nl, en)


def t(key: str, **values: Value) -> Markup:
    """The label of that name, filled in."""
    if not values:
        return _label(key)
    label = labels()[key]
    return pair({language: label[language].format(**_said(values, language)) for language in LANGUAGES})


@cache
def _label(key: str) -> Markup:
    return pair(labels()[key])


def n(value: int) -> Markup:
    """A whole number in both languages."""
    return (
        escape(value) if value < 1000 else pair({language: number(value, language) for language in LANGUAGES})
    )


def told(record: Mapping[str, object], name: str) -> Markup:
    """The ``name_nl`` and ``name_en`` of a record of a run file, with code between backquotes."""
    return pair(
        {language: code(visible(str(record.get(f"{name}_{language}", "")))) for language in LANGUAGES}
    )


def _said(values: Mapping[str, Value], language: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, int):
            said[name] = Count(value, language)
        elif isinstance(value, Markup):
            said[name] = value
        else:
            said[name] = visible(value if isinstance(value, str) else value[language])
    return said


def confidence(word: str) -> Mapping[str, str]:
    """How sure a source is, in words."""
    known = labels().get(f"confidence_{word}")
    return known if known is not None else dict.fromkeys(LANGUAGES, word)


def slot(name: str) -> Markup:
    """A place in a label that the script of the page fills."""
    return Markup('<b data-slot="{}"></b>').format(name)


def path(text: str) -> Markup:
    """A path as code."""
    return Markup("<code>{}</code>").format(visible(text))


def svg_text(texts: Markup) -> Markup:
    """A pair as it stands within SVG."""
    return Markup(str(texts).replace("<span", "<tspan").replace("</span", "</tspan"))  # noqa: S704 -- all else in it is escaped


def finished(value: object) -> object:
    """What a template expression becomes: of plain text every character visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


#: What the template may call.
FUNCTIONS: Final = {
    "t": t, "n": n, "told": told, "pair": pair, "percent": percent, "moment": moment, "period": period, "day": day,
    "lines": lines, "confidence": confidence, "slot": slot, "path": path,
}  # fmt: skip
