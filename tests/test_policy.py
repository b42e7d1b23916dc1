"""Principles, norms, mappings and profiles: what loads, what is refused, and what is selected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest

import checks
from scanner import plugins
from scanner.declare import Check, Registry, check, collecting, fact, probe
from scanner.model import DEFAULT_DENY, IN_DEPTH, InputError, Layer, Raw, Severity, Target, Verdict
from scanner.policy import Catalogue, Link, load_catalogue
from scanner.profiles import load_profile, select, settings
from scanner.sources import Command

OURS = Path(checks.__file__).parent


@dataclass
class Shop:
    """A small world: a folder of norms, one of profiles, and three checks."""

    folder: Path
    checks: tuple[Check, ...]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def catalogue(self, *others: Path) -> Catalogue:
        return load_catalogue([self.folder / "norms", *others], self.checks)

    def chosen(self, name: str) -> dict[str, dict[str, object]]:
        profile = load_profile(name, [self.folder / "profiles"])
        return {one.check.id: dict(one.settings) for one in select(profile, self.checks)}


PRINCIPLES = """\
id: test
title_nl: Proef
title_en: Trial
source: this test
principles:
  - {id: DSM-IBP-3, title_nl: a, title_en: a, statement_nl: a, statement_en: a, confidence: high}
  - {id: DSM-IBP-5, title_nl: b, title_en: b, statement_nl: b, statement_en: b, confidence: high,
     controls: {new: ["1.01.01"]}}
"""
NORM = """\
id: {id}
title_nl: Norm {id}
title_en: Norm {id}
version: "1"
date: "{date}"
status_nl: geldend
status_en: in force
source: this test
licence: none
confidence: high
accepts_risk: false
"""
NEW = """\
id,kind,part_of,testable,status,confidence,title_nl,title_en,note
1.1,control,,yes,geldend,high,Een,One,
1.01.01,measure,1.1,yes,geldend,high,Maatregel een,Measure one,
1.01.02,measure,1.1,no,geldend,high,Maatregel twee,Measure two,
1.01.03,measure,1.1,no,vervallen,high,(vervallen),(lapsed),covered by 1.01.01
2.1,control,,yes,geldend,high,Twee,Two,
"""
OLD = """\
id,kind,part_of,bbn,testable,confidence,title_nl
9.1,control,,1,yes,high,Oud een
9.1.1,measure,9.1,2,yes,high,Oude maatregel een
9.1.2,measure,9.1,2,yes,high,Oude maatregel twee
9.2,control,,1,yes,high,Oud twee
"""
CROSSWALK = """\
old,new,level,confidence,note
9.1.1,1.01.01,measure,high,
9.2,2.1,control,medium,
,1.01.02,measure,high,new
"""
MAPPING = """\
norm: new
controls:
  "1.01.01":
    proves: [ssh.root-login]
    indicates: [firewall.policy]
  "2.1":
    proves: [accounts.password-age]
    gap_nl: de rest
    gap_en: the rest
"""


@fact
class Dump:
    """Lines of text."""

    text: str


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    registry = Registry()
    common: Any = {
        "title_nl": "t", "why_nl": "w", "fix": "f", "verify": "v", "references": ("r",),
    }  # fmt: skip
    with collecting(registry):
        registry.facts.add(Dump)

        @probe("linux", raw=Command("true"))
        def dump(raw: Raw) -> Dump:
            return Dump(raw.text)

        @check("ssh.root-login", principle=DEFAULT_DENY, severity=Severity.HIGH, layer=Layer.HOST, **common)
        def one(dump: Dump) -> Verdict:
            """Title.

            Why."""
            return Verdict(True, dump.text)

        @check("firewall.policy", principle=IN_DEPTH, severity=Severity.LOW, layer=Layer.NETWORK, **common)
        def two(dump: Dump) -> Verdict:
            """Title.

            Why."""
            return Verdict(True, dump.text)

        @check("accounts.password-age", principle=IN_DEPTH, severity=Severity.LOW, layer=Layer.HOST, **common)
        def three(
            dump: Dump,
            *,
            days: Annotated[int, "days at most"] = 365,
            names: Annotated[frozenset[str], "accounts that are left out"] = frozenset(),
        ) -> Verdict:
            """Title.

            Why."""
            return Verdict(True, dump.text)

    registry.link()
    shop = Shop(tmp_path, tuple(registry.checks.values()))
    shop.write("norms/principles.yaml", PRINCIPLES)
    shop.write("norms/new.yaml", NORM.format(id="new", date="2026"))
    shop.write("norms/new.csv", NEW)
    shop.write("norms/old.yaml", NORM.format(id="old", date="2020"))
    shop.write("norms/old.csv", OLD)
    shop.write("norms/crosswalk.csv", CROSSWALK)
    shop.write("norms/mapping/new.yaml", MAPPING)
    shop.write("profiles/base.yaml", "id: base\ntitle_nl: Basis\ntitle_en: Base\ninclude: [all]\n")
    return shop


# --- norms ----------------------------------------------------------------------------------------------------


def test_the_newest_norm_comes_first_and_lapsed_rows_do_not_count(shop: Shop) -> None:
    catalogue = shop.catalogue()
    assert [norm.id for norm in catalogue.norms] == ["new", "old"]
    new, old = catalogue.norms
    assert [control.id for control in new.controls if control not in new.live_controls] == ["1.01.03"]
    assert [control.bbn for control in old.controls] == [1, 2, 2, 1]
    assert [principle.id for principle in catalogue.principles] == [IN_DEPTH, DEFAULT_DENY]


def test_a_control_has_the_checks_of_its_measures_but_is_not_proved_by_them(shop: Shop) -> None:
    covers = shop.catalogue().covers["new"]
    assert covers["1.01.01"].links == (Link("ssh.root-login", "proves"), Link("firewall.policy", "indicates"))
    assert covers["1.1"].links == (
        Link("ssh.root-login", "supports", "1.01.01"),
        Link("firewall.policy", "indicates", "1.01.01"),
    )


def test_another_norm_follows_through_the_crosswalk(shop: Shop) -> None:
    covers = shop.catalogue().covers["old"]
    assert covers["9.1.1"].links[0] == Link("ssh.root-login", "proves", "new 1.01.01")
    assert covers["9.1"].links[0] == Link("ssh.root-login", "supports", "9.1.1")


def test_an_unsure_crosswalk_row_weakens_the_relation_and_the_gap_comes_along(shop: Shop) -> None:
    cover = shop.catalogue().covers["old"]["9.2"]
    assert cover.links == (Link("accounts.password-age", "supports", "new 2.1"),)
    assert (cover.gap_nl, cover.gap_en) == ("de rest", "the rest")


@pytest.mark.parametrize(
    "rows",
    [
        "9.1.1,1.01.01,measure,high,\n9.1.1,1.01.02,measure,high,\n",  # two new measures were one
        "9.1,1.01.01,measure,high,\n",  # a control is more than a measure
    ],
)
def test_a_crosswalk_to_something_wider_weakens_the_relation(shop: Shop, rows: str) -> None:
    shop.write("norms/crosswalk.csv", "old,new,level,confidence,note\n" + rows)
    links = [link for cover in shop.catalogue().covers["old"].values() for link in cover.links]
    assert {link.relation for link in links if link.check == "ssh.root-login"} == {"supports"}


@pytest.mark.parametrize(
    "rows",
    [
        "9.1.1,1.01.01,measure,high,\n9.1.2,1.01.01,measure,high,\n",  # one new measure was two
        "9.1.1,1.01.01,measure,low,\n",
    ],
)
def test_nothing_follows_from_a_guess(shop: Shop, rows: str) -> None:
    shop.write("norms/crosswalk.csv", "old,new,level,confidence,note\n" + rows)
    assert shop.catalogue().covers["old"] == {}


def test_a_sure_counterpart_goes_before_others(shop: Shop) -> None:
    rows = "9.1.1,1.01.01,measure,high,\n9.1.2,1.01.01,measure,medium,\n"
    shop.write("norms/crosswalk.csv", "old,new,level,confidence,note\n" + rows)
    assert set(shop.catalogue().covers["old"]) == {"9.1.1", "9.1"}


def test_the_oldest_norm_follows_from_the_one_before_it(shop: Shop) -> None:
    shop.write("norms/oldest.yaml", NORM.format(id="oldest", date="2010"))
    shop.write("norms/oldest.csv", "id,kind,testable,confidence,title_nl\n7,control,yes,high,Zeven\n")
    rows = "7,9.1.1,1.01.01,measure,high,\n"
    shop.write("norms/crosswalk.csv", "oldest,old,new,level,confidence,note\n" + rows)
    assert shop.catalogue().covers["oldest"]["7"].links == (
        Link("ssh.root-login", "supports", "old 9.1.1"),  # a control is more than a measure
        Link("firewall.policy", "indicates", "old 9.1.1"),
    )


def test_a_direct_mapping_adds_to_the_crosswalk(shop: Shop) -> None:
    shop.write(
        "norms/mapping/old.yaml",
        'norm: old\ncontrols: {"9.1.1": {supports: [ssh.root-login]}, "9.2": {supports: [ssh.root-login]}}\n',
    )
    covers = shop.catalogue().covers["old"]
    assert covers["9.1.1"].links[0] == Link("ssh.root-login", "proves", "new 1.01.01")
    assert [link.check for link in covers["9.2"].links] == ["ssh.root-login", "accounts.password-age"]


def test_controls_of_a_check_leaves_out_what_only_contains_them(shop: Shop) -> None:
    assert shop.catalogue().controls_of("ssh.root-login") == {
        "new": [{"control": "1.01.01", "relation": "proves"}],
        "old": [{"control": "9.1.1", "relation": "proves", "via": "new 1.01.01"}],
    }
    assert shop.catalogue().controls_of("no.such") == {}


def test_a_plugin_adds_to_a_mapping_and_may_name_checks_that_are_not_here(shop: Shop) -> None:
    shop.write("plugin/mapping/new.yaml", 'norm: new\ncontrols: {"1.01.01": {supports: [other.check]}}\n')
    links = shop.catalogue(shop.folder / "plugin").covers["new"]["1.01.01"].links
    assert [link.check for link in links] == ["ssh.root-login", "firewall.policy", "other.check"]


def test_a_norm_may_come_without_a_mapping(shop: Shop) -> None:
    shop.write("plugin/third.yaml", NORM.format(id="third", date="2030"))
    shop.write("plugin/third.csv", OLD)
    catalogue = shop.catalogue(shop.folder / "plugin")
    assert catalogue.norms[0].id == "third"
    assert catalogue.covers["third"] == {}


Change = Callable[[str], str]

BROKEN: list[tuple[str, str, Change, str, int, str]] = [
    ("a control twice", "norms/new.csv", lambda text: text + "1.1,control,,yes,geldend,high,a,a,\n",
     "'1.1' stands here twice", 7, "keep one"),
    ("a measure of nothing", "norms/new.csv", lambda text: text.replace("1.01.01,measure,1.1", "1.01.01,measure,7.7"),
     "unknown control '7.7'", 3, "write a control above its measures"),
    ("a wrong word in a row", "norms/new.csv", lambda text: text.replace("2.1,control,,yes", "2.1,control,,maybe"),
     "testable", 6, ""),
    ("an unknown column", "norms/old.csv", lambda text: text.replace("bbn", "bnn"), "bnn", 2, ""),
    ("a row too long", "norms/old.csv", lambda text: text.replace("Oud twee", "Oud, twee"),
     "this row has not 7 cells", 5, "double quotes"),
    ("an unknown field", "norms/new.yaml", lambda text: text + "license: none\n",
     "license: unknown field", 12, "did you mean 'licence'"),
    ("rows in the header", "norms/new.yaml", lambda text: text + "controls: []\n",
     "rows do not stand here", 12, "new.csv"),
    ("a norm twice", "norms/old.yaml", lambda text: text.replace("id: old", "id: new"),
     "there is a norm 'new' already", 1, "another id"),
    ("a principle twice", "norms/principles.yaml", lambda text: text.replace("DSM-IBP-3", "DSM-IBP-5"),
     "there is a principle 'DSM-IBP-5' already", 7, ""),
    ("a principle near no control", "norms/principles.yaml", lambda text: text.replace("1.01.01", "1.01.1"),
     "unknown control '1.01.1'", 8, "did you mean '1.01.01'"),
    ("a principle near no norm", "norms/principles.yaml", lambda text: text.replace("new:", "knew:"),
     "unknown norm 'knew'", 8, "did you mean 'new'"),
    ("a crosswalk to nowhere", "norms/crosswalk.csv", lambda text: text.replace("9.1.1", "9.1.9"),
     "unknown control '9.1.9'", 2, "did you mean"),
    ("a mapping of no norm", "norms/mapping/new.yaml", lambda text: text.replace("norm: new", "norm: now"),
     "unknown norm 'now'", 1, "did you mean 'new'"),
    ("a mapping of no control", "norms/mapping/new.yaml", lambda text: text.replace("1.01.01", "1.01.11"),
     "unknown control '1.01.11'", 3, "did you mean '1.01.01'"),
    ("a mapping of a lapsed row", "norms/mapping/new.yaml", lambda text: text.replace("1.01.01", "1.01.03"),
     "this control is vervallen", 3, "covered by 1.01.01"),
    ("proof of what cannot be measured", "norms/mapping/new.yaml", lambda text: text.replace("1.01.01", "1.01.02"),
     "cannot be proved", 4, "supports or indicates"),
    ("a mapping of no check", "norms/mapping/new.yaml", lambda text: text.replace("ssh.root-login", "ssh.root-logon"),
     "unknown check 'ssh.root-logon'", 4, "did you mean 'ssh.root-login'"),
    ("a check twice", "norms/mapping/new.yaml", lambda text: text.replace("firewall.policy", "ssh.root-login"),
     "'ssh.root-login' is named twice", 3, "strongest"),
    ("no check", "norms/mapping/new.yaml", lambda text: text.replace("proves: [accounts.password-age]", "proves: []"),
     "no check is named here", 6, "proves, supports or indicates"),
    ("a gap in one language", "norms/mapping/new.yaml", lambda text: text.replace("    gap_nl: de rest\n", ""),
     "come together", 6, "both languages"),
    ("unmapped and mapped", "norms/mapping/new.yaml", lambda text: text + "unmapped: {firewall.policy: because}\n",
     "this check is mapped", 10, "take it away"),
    ("unmapped and not there", "norms/mapping/new.yaml", lambda text: text + "unmapped: {firewall.polis: because}\n",
     "unknown check 'firewall.polis'", 10, "did you mean 'firewall.policy'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "change", "message", "line", "remedy"),
    [case[1:] for case in BROKEN],
    ids=[case[0] for case in BROKEN],
)
def test_a_mistake_has_a_file_a_line_and_a_remedy(
    shop: Shop, file: str, change: Change, message: str, line: int, remedy: str
) -> None:
    path = shop.folder / file
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    with pytest.raises(InputError) as caught:
        shop.catalogue()
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert remedy in caught.value.remedy


def test_a_norm_without_rows_is_refused(shop: Shop) -> None:
    (shop.folder / "norms/old.csv").unlink()
    with pytest.raises(InputError, match=r"old\.csv: cannot be read"):
        shop.catalogue()


def test_a_check_of_an_unknown_principle_is_refused(shop: Shop) -> None:
    stray = replace(shop.checks[0], principles=("DSM-IBP-55",))
    with pytest.raises(InputError, match=r"unknown principle 'DSM-IBP-55'\n.*'DSM-IBP-5'"):
        load_catalogue([shop.folder / "norms"], [stray])


# --- profiles -------------------------------------------------------------------------------------------------


def test_a_profile_adds_to_and_takes_from_what_it_extends(shop: Shop) -> None:
    shop.write(
        "profiles/strict.yaml",
        "id: strict\ntitle_nl: a\ntitle_en: a\nextends: base\n"
        'exclude: [\'topic == "test_policy" and severity == "low"\']\n'
        "include: [accounts.password-age]\n",
    )
    assert set(shop.chosen("base")) == {one.id for one in shop.checks}
    assert set(shop.chosen("strict")) == {"ssh.root-login"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("firewall.policy", {"firewall.policy"}),
        ('layer == "network"', {"firewall.policy"}),
        ('"DSM-IBP-5" in principles', {"ssh.root-login"}),
        ('platform == "linux" and not severity == "low"', {"ssh.root-login"}),
        ('id in ("firewall.policy", "ssh.root-login")', {"firewall.policy", "ssh.root-login"}),
    ],
)
def test_include_names_checks_or_describes_them(shop: Shop, text: str, expected: set[str]) -> None:
    shop.write("profiles/some.yaml", f"id: some\ntitle_nl: a\ntitle_en: a\ninclude:\n  - '{text}'\n")
    assert set(shop.chosen("some")) == expected


def test_settings_are_validated_and_the_nearest_file_wins(shop: Shop) -> None:
    shop.write(
        "profiles/loose.yaml",
        "id: loose\ntitle_nl: a\ntitle_en: a\nextends: base\n"
        "settings: {accounts.password-age: {days: 400, names: [backup]}}\n",
    )
    shop.write(
        "profiles/tight.yaml",
        "id: tight\ntitle_nl: a\ntitle_en: a\nextends: loose\nsettings: {accounts.password-age: {days: 90}}\n",
    )
    assert shop.chosen("tight") == {
        "ssh.root-login": {},
        "firewall.policy": {},
        "accounts.password-age": {"days": 90, "names": frozenset({"backup"})},
    }


def test_a_profile_may_be_a_path_and_extend_its_neighbour(shop: Shop) -> None:
    shop.write("own/near.yaml", "id: near\ntitle_nl: a\ntitle_en: a\ninclude: [ssh.root-login]\n")
    path = shop.write("own/mine.yaml", "id: mine\ntitle_nl: a\ntitle_en: a\nextends: near\n")
    assert set(shop.chosen(str(path))) == {"ssh.root-login"}


def test_a_profile_says_which_targets_it_is_for(shop: Shop) -> None:
    shop.write(
        "profiles/web.yaml",
        'id: web\ntitle_nl: a\ntitle_en: a\nextends: base\ntargets: role == "web"\n',
    )
    web, mail = Target(name="a", address="a", role="web"), Target(name="b", address="b", role="mail")
    profile = load_profile("web", [shop.folder / "profiles"])
    assert (profile.covers(web), profile.covers(mail)) == (True, False)
    assert load_profile("base", [shop.folder / "profiles"]).covers(mail)


def test_the_digest_of_a_profile_covers_what_it_extends(shop: Shop) -> None:
    shop.write("profiles/more.yaml", "id: more\ntitle_nl: a\ntitle_en: a\nextends: base\n")
    before = load_profile("more", [shop.folder / "profiles"]).sha256
    shop.write("profiles/base.yaml", "id: base\ntitle_nl: Basis\ntitle_en: Base\ninclude: []\n")
    assert load_profile("more", [shop.folder / "profiles"]).sha256 != before


@pytest.mark.parametrize(
    ("text", "message", "line", "remedy"),
    [
        ("extends: bass", "unknown profile 'bass'", 4, "did you mean 'base'"),
        ("extends: wrong", "extends itself", 4, "extends"),
        ("include: [ssh.root-logon]", "unknown check 'ssh.root-logon'", 4, "did you mean 'ssh.root-login'"),
        ("exclude:\n  - all\n  - layers == 'host'", "unknown field 'layers'", 6, "did you mean 'layer'"),
        ("exclude: ['severity == 3']", "not the kind of value", 4, "between quotes"),
        ("includes: [all]", "unknown field", 4, "did you mean 'include'"),
        ("settings: {ssh.root: {}}", "unknown check 'ssh.root'", 4, "did you mean 'ssh.root-login'"),
        (
            "settings:\n  accounts.password-age:\n    day: 3",
            "unknown setting 'day'",
            6,
            "did you mean 'days'",
        ),
        ("settings:\n  accounts.password-age:\n    days: long", "'long' is not accepted", 6, "integer"),
        ("targets: rol == 'web'", "unknown field 'rol'", 4, "did you mean 'role'"),
    ],
)
def test_a_mistake_in_a_profile_has_a_line_and_a_remedy(
    shop: Shop, text: str, message: str, line: int, remedy: str
) -> None:
    path = shop.write("profiles/wrong.yaml", f"id: wrong\ntitle_nl: a\ntitle_en: a\n{text}\n")
    with pytest.raises(InputError) as caught:
        shop.chosen("wrong")
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert remedy in caught.value.remedy


def test_an_unknown_profile_names_the_ones_there_are(shop: Shop) -> None:
    with pytest.raises(InputError, match=r"unknown profile 'basis'\n.*did you mean 'base'"):
        shop.chosen("basis")


def test_settings_come_back_from_plain_values(shop: Shop) -> None:
    age = shop.checks[2]
    assert settings(age, {"days": 30, "names": ["a", "b"]}) == {"days": 30, "names": frozenset({"a", "b"})}
    with pytest.raises(InputError, match="unknown setting 'weeks'"):
        settings(age, {"weeks": 4})


# --- our own data ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything() -> Registry:
    registry = Registry()
    plugins.load_checks(registry)
    return registry


def test_our_norms_have_the_rows_they_should(everything: Registry) -> None:
    catalogue = load_catalogue([OURS / "norms"], everything.checks.values())
    rows = {
        norm.id: [
            sum(control.kind == kind for control in norm.live_controls) for kind in ("control", "measure")
        ]
        for norm in catalogue.norms
    }
    assert rows == {"bio2-1.3": [93, 118], "bio-1.04": [114, 137], "big": [133, 0]}
    assert [principle.id for principle in catalogue.principles] == [f"DSM-IBP-{n}" for n in range(1, 9)]
    assert not next(norm for norm in catalogue.norms if norm.id == "bio2-1.3").accepts_risk
    texts = [vars(principle) for principle in catalogue.principles] + [vars(norm) for norm in catalogue.norms]
    assert all(value for fields in texts for value in fields.values() if isinstance(value, str))


def test_every_check_is_mapped_to_the_bio2_or_says_why_not(everything: Registry) -> None:
    assert everything.checks
    catalogue = load_catalogue([OURS / "norms"], everything.checks.values())
    mapped = {id_ for id_ in everything.checks if "bio2-1.3" in catalogue.controls_of(id_)}
    assert everything.checks.keys() - mapped - catalogue.unmapped.keys() == set()


@pytest.mark.parametrize("path", sorted((OURS / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_our_profiles_select_something(everything: Registry, path: Path) -> None:
    profile = load_profile(path.stem, [OURS / "profiles"])
    assert profile.id == path.stem
    assert select(profile, everything.checks.values())


def test_the_norms_load_fast(everything: Registry) -> None:
    took = []
    for _ in range(3):
        begin = time.process_time()
        load_catalogue([OURS / "norms"], everything.checks.values())
        took.append(time.process_time() - begin)
    assert min(took) < 0.15
