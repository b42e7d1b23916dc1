"""The free tests catch bad checks: each planted fault is named by the law that is there for it."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from scanner import (
    DEFAULT_DENY,
    Absent,
    Cause,
    Command,
    File,
    Fleet,
    Gap,
    Layer,
    Raw,
    Results,
    Severity,
    State,
    Verdict,
    at_least,
    check,
    examples,
    fact,
    holds,
    probe,
)
from scanner.declare import Check, DeclarationError, Registry, collecting
from scanner.testing import LAWS, run_example, state_of

ABOUT = {
    "principle": DEFAULT_DENY,
    "severity": Severity.HIGH,
    "layer": Layer.HOST,
    "title_nl": "Titel",
    "why_nl": "Waarom",
    "fix": "true",
    "verify": "true",
    "references": ("none",),
}

_registry = Registry()
_scope = collecting(_registry)
_scope.__enter__()


@fact
class Setting:
    value: str


@fact
class Hopeful:
    value: str


@fact
class Two:
    first: str
    second: str


@fact
class Rule:
    name: str
    good: bool

    def __str__(self) -> str:
        return self.name


@fact
class Dated:
    value: str


@probe("linux", dump=Command("true", needs="true"))
def dated(dump: Raw) -> Dated:
    return Dated(f"{dump.text} {dump.at}")  # type: ignore[attr-defined]


@fact
class Listed:
    values: list[str]


@probe("linux", dump=Command("true", needs="true"))
def listed(dump: Raw) -> Listed:
    if "=" not in dump.text:
        raise ValueError("no setting")
    return Listed([dump.text])


@probe("linux", dump=Command("true", needs="true"))
def setting(dump: Raw) -> Setting:
    key, mark, value = dump.text.partition("=")
    if key != "setting" or not mark:
        raise ValueError("no setting")
    return Setting(value)


@probe("linux", dump=Command("echo x"))
def hopeful(dump: Raw) -> Hopeful:
    try:
        return Hopeful(dump.text.split("=")[1])
    except Exception:  # the fault that is planted
        return Hopeful("good")


@probe("linux", first=File("/a"), second=File("/b"))
def two(first: Raw, second: Raw | None) -> Two:
    return Two(first.text, second.text if second else "nothing")


@probe("linux", dump=Command("cat /rules"))
def rules(dump: Raw) -> list[Rule]:
    if dump.text and not dump.text.isprintable():
        raise ValueError("not rules")
    return [Rule(name=word.strip("!"), good="!" not in word) for word in dump.text.split()]


@check("plant.good", **ABOUT)
def good(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    return holds(setting.value == "good", setting.value)


examples(good, passes="setting=good", fails="setting=bad", unknown="?")


@check("plant.swallows", **ABOUT)
def swallows(hopeful: Hopeful) -> Verdict:
    """It holds.

    Because.
    """
    return holds(hopeful.value == "good", hopeful.value)


examples(swallows, passes="x=good", fails="x=bad")


@check("plant.clock", **ABOUT)
def reads_clock(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    assert time.time() > 0
    assert datetime.now().year > 2000
    return holds(setting.value == "good", setting.value)


examples(reads_clock, passes="setting=good", fails="setting=bad")


@check("plant.file", **ABOUT)
def opens_file(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    Path("/etc/hostname").read_bytes()
    return holds(setting.value == "good", setting.value)


examples(opens_file, passes="setting=good", fails="setting=bad")

_calls = iter(range(1000))


@check("plant.moody", **ABOUT)
def moody(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    return holds(setting.value == "good", f"{setting.value} {next(_calls)}")


examples(moody, passes="setting=good", fails="setting=bad")


@check("plant.dated", **ABOUT)
def by_the_moment(dated: Dated) -> Verdict:
    """It was good at that moment.

    Its probe reads when the answer came, and has not asked to be told.
    """
    return holds("good" in dated.value, dated.value)


examples(by_the_moment, passes="setting=good", fails="setting=bad")


@check("plant.spoils", **ABOUT)
def spoils(listed: Listed) -> Verdict:
    """It is good.

    Changes the fact, which is that of other hosts too.
    """
    listed.values.sort(key=len)
    listed.values.append("seen")
    return holds("setting=good" in listed.values, listed.values[0])


examples(spoils, passes="setting=good", fails="setting=bad")


@check("plant.absent-is-fine", **ABOUT)
def absent_is_fine(setting: Setting | None) -> Verdict:
    """It holds.

    Because.
    """
    return holds(setting is None or setting.value == "good", "fine")


examples(absent_is_fine, passes="setting=good", fails="setting=bad")


@check("plant.never-fails", **ABOUT)
def never_fails(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    return holds(True, setting.value)


examples(never_fails, passes="setting=good")


@check("plant.half", **ABOUT)
def improves_when_half_blind(two: Two) -> Verdict:
    """It holds.

    Because.
    """
    return holds("bad" not in two.second, two.second)


examples(
    improves_when_half_blind, passes={"first": "a", "second": "b"}, fails={"first": "a", "second": "bad"}
)


@check("plant.truthy", **ABOUT)
def truthy(setting: Setting) -> Verdict:
    """It holds.

    Because.
    """
    return holds(setting.value or "x", "fine")  # type: ignore[arg-type]


examples(truthy, passes="setting=good", fails="setting=bad")


@check("plant.each", **ABOUT)
def each_rule(rule: Rule) -> Verdict:
    """It holds.

    Because.
    """
    return holds(rule.good, rule.name)


examples(each_rule, passes="a b", fails="a b!", notapplicable="")


@check("plant.layers", platform="layers", **ABOUT)
def layered(results: Results) -> Verdict:
    """It holds.

    Because.
    """
    return at_least(1, {"good": results.all_of("plant.good"), "each": results.any_of("plant.each")})


examples(
    layered,
    passes={"plant.good": "pass", "plant.each": "fail"},
    fails={"plant.good": "fail", "plant.each": "fail"},
    error={"plant.good": "error", "plant.each": "fail"},
)


@check("plant.careless-layers", platform="layers", **ABOUT)
def careless_layers(results: Results) -> Verdict:
    """It holds.

    Because.
    """
    return holds(results.all_of("plant.good") is not State.FAIL, "not failing")


examples(careless_layers, passes={"plant.good": "pass"}, fails={"plant.good": "fail"})


@check("plant.twins", within="role", **ABOUT)
def twins(settings: Fleet[Setting]) -> Verdict:
    """It holds.

    Because.
    """
    odd = settings.odd_ones(lambda one: one.value)
    return holds(not odd, ", ".join(odd))


examples(
    twins,
    passes={"@a": {"dump": "setting=x"}, "@b": {"dump": "setting=x"}},
    fails={"@a": {"dump": "setting=x"}, "@b": {"dump": "setting=y"}},
    notapplicable={"@a": {"dump": "setting=x"}},
)

_scope.__exit__(None, None, None)
_registry.link()

SOUND = ["plant.good", "plant.each", "plant.layers", "plant.twins"]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("check_id", SOUND)
def test_a_sound_check_keeps_every_law(check_id: str, law: str) -> None:
    assert list(LAWS[law](_registry.checks[check_id], _registry)) == []


@pytest.mark.parametrize(
    ("check_id", "law", "said"),
    [
        ("plant.swallows", "garbage", "give pass"),
        ("plant.clock", "pure", "time.time"),
        ("plant.clock", "pure", "datetime.now"),
        ("plant.file", "pure", "open"),
        ("plant.moody", "pure", "two answers"),
        ("plant.dated", "examples", "'Raw' object has no attribute 'at'"),
        ("plant.spoils", "pure", "changes the facts"),
        ("plant.never-fails", "examples", "no example that ends as fail"),
        ("plant.truthy", "examples", "holds() needs True or False"),
        ("plant.careless-layers", "blind", "and yet pass"),
        ("plant.careless-layers", "half-blind", "becomes pass"),
    ],
)
def test_a_bad_check_is_caught(check_id: str, law: str, said: str) -> None:
    assert said in " | ".join(LAWS[law](_registry.checks[check_id], _registry))


def test_a_check_that_passes_when_a_source_is_refused_is_caught() -> None:
    """The engine makes this impossible for facts; a registry whose engine forgot it is caught by the law."""
    planted = _registry.checks["plant.absent-is-fine"]
    assert list(LAWS["blind"](planted, _registry)) == []
    found = run_example(planted, _registry, Raw(code=None, gap=None, out=b"setting=bad"))
    assert state_of(found) is State.UNKNOWN, "an answer without exit status is not an answer"


def test_a_check_that_improves_when_half_blind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine that takes a refused source for an absent one, the half-blind law speaks."""
    from scanner import evaluate

    def forgetful(source: object, raw: Raw) -> Gap | None:
        return raw.gap._replace(state=State.NOTAPPLICABLE) if raw.gap else None

    planted = _registry.checks["plant.half"]
    assert list(LAWS["half-blind"](planted, _registry)) == []
    monkeypatch.setattr(evaluate, "understood", forgetful)
    assert "without two.second the example for fail becomes pass" in " | ".join(
        LAWS["half-blind"](planted, _registry)
    )


def test_a_check_that_passes_when_absent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an engine that takes blindness for absence, "absent is fine" turns green, and the blind law speaks."""
    from scanner import evaluate

    def forgetful(source: object, raw: Raw) -> Gap | None:
        return raw.gap._replace(state=State.NOTAPPLICABLE) if raw.gap else None

    monkeypatch.setattr(evaluate, "understood", forgetful)
    said = " | ".join(LAWS["blind"](_registry.checks["plant.absent-is-fine"], _registry))
    assert "blind on the example for fail, and yet pass" in said


def test_absent_is_raised_only_for_what_was_looked_at() -> None:
    found = run_example(_registry.checks["plant.each"], _registry, "")
    assert [one.status for one in found] == [State.NOTAPPLICABLE]
    assert "no rule here" in found[0].observed


def test_one_finding_per_item() -> None:
    found = run_example(_registry.checks["plant.each"], _registry, "a b! c")
    assert [(one.subject, one.status) for one in found] == [
        ("a", State.PASS),
        ("b", State.FAIL),
        ("c", State.PASS),
    ]


def _declare(text: str) -> None:
    with collecting(Registry()):
        exec(text, {**globals()})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('@check("bad", **ABOUT)\ndef f(s: Setting) -> Verdict:\n "T.\\n\\nW."', "an id is"),
        ('@check("a.b", **ABOUT)\ndef f(s: Setting) -> Verdict:\n "T."', "why is empty"),
        ('@check("a.b", **ABOUT)\ndef f(s) -> Verdict:\n "T.\\n\\nW."', "annotate s"),
        ('@check("a.b", **ABOUT)\ndef f(s: Raw) -> Verdict:\n "T.\\n\\nW."', "not Raw"),
        ('@check("a.b", **ABOUT)\ndef f(s: Setting | Two) -> Verdict:\n "T.\\n\\nW."', "only union"),
        ('@check("a.b", **ABOUT)\ndef f(s: Setting, *, n: int = 3) -> Verdict:\n "T.\\n\\nW."', "document n"),
        (
            '@fact\nclass S:\n v: str\n@probe("linux", dump=Command("true"))\ndef p(other: Raw) -> S: ...',
            "must both exist",
        ),
        ('@probe("linux", dump=Command("true"))\ndef p(dump: Raw) -> str: ...', "which fact"),
        ('Command("a | b")', "one simple command"),
        ('Command("a $HOME")', "one simple command"),
        ('Command("a > b")', "one simple command"),
        ('Command("")', "needs a command"),
        ('File("etc/x")', "absolute"),
    ],
)
def test_a_wrong_declaration_is_refused_at_load(text: str, said: str) -> None:
    with pytest.raises((DeclarationError, ValueError), match=r"(?s).*") as caught:
        _declare(text)
    assert said in str(caught.value)


def test_ids_are_for_ever() -> None:
    text = '@fact\nclass S:\n v: str\n@probe("linux", d=Command("true"))\ndef p(d: Raw) -> S: ...\n'
    one = '@check("a.b", **ABOUT)\ndef f(s: S) -> Verdict:\n "T.\\n\\nW."\n'
    with pytest.raises(DeclarationError, match="already has that id"), collecting(Registry()):
        exec(text + one + one, {**globals()})


def test_a_fact_without_probe_is_named_at_link() -> None:
    registry = Registry()
    with collecting(registry):
        exec('@check("a.b", **ABOUT)\ndef f(s: Setting) -> Verdict:\n "T.\\n\\nW."\n', {**globals()})
    with pytest.raises(DeclarationError, match="no probe gives Setting"):
        registry.link()


def test_absent_is_an_answer() -> None:
    assert issubclass(Absent, Exception)
    assert isinstance(_registry.checks["plant.good"], Check)


def test_hosts_in_no_group_are_nobodys_twins() -> None:
    """One unreachable host without a role must not make an error of twins it is not among."""
    refused = Raw(code=None, gap=Gap(State.ERROR, Cause.REFUSED, "nobody there"))
    hosts = {
        "@a": {"dump": refused, "target": {"role": ""}},
        "@b": {"dump": "setting=x", "target": {"role": ""}},
    }
    found = run_example(_registry.checks["plant.twins"], _registry, hosts)
    assert [(one.status, one.observed) for one in found] == [
        (State.NOTAPPLICABLE, "the inventory gives no host a role")
    ]
    one_gone = {"@a": {"dump": refused}, "@b": {"dump": "setting=x"}}
    assert [one.status for one in run_example(_registry.checks["plant.twins"], _registry, one_gone)] == [
        State.ERROR
    ]
