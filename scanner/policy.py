"""How findings count: principles, norms and mappings. Load and validate.

All of it is data (checks/norms, and the same folder of plugins). A check names principles only;
which control it says something of stands in norms/mapping/*.yaml. What the files hold: docs/norms.md.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from scanner.declare import Check
from scanner.model import InputError, Model
from scanner.yamlfile import Located, Place, load_yaml, suggest

Confidence = Literal["high", "medium", "low"]
Relation = Literal["proves", "supports", "indicates"]

#: Strongest first. `proves`: the check establishes the technical part; `supports`: it establishes a piece of it;
#: `indicates`: it is a sign.
RELATIONS: Final[tuple[Relation, ...]] = ("proves", "supports", "indicates")


class Principle(Model):
    """One security principle; ``controls`` are the nearest controls per norm, a judgement."""

    id: str
    title_nl: str
    title_en: str
    statement_nl: str
    statement_en: str
    controls: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    confidence: Confidence


class _Principles(Model):
    """A file of principles."""

    id: str
    title_nl: str
    title_en: str
    source: str
    principles: tuple[Principle, ...]


class Control(Model):
    """A control of a norm, or a measure under one (``part_of``).

    ``testable`` says that at least a part can be measured from outside, never that the whole is. Only rows with
    ``status`` geldend count.
    """

    id: str
    kind: Literal["control", "measure"]
    part_of: str | None = None
    bbn: int | None = None
    testable: bool
    status: Literal["geldend", "verplaatst", "vervallen"] = "geldend"
    confidence: Confidence
    title_nl: str
    title_en: str = ""
    note: str = ""


class Norm(Model):
    """One version of a norm. ``accepts_risk`` is false where a measure cannot be accepted away."""

    id: str
    title_nl: str
    title_en: str
    version: str
    date: str
    status_nl: str
    status_en: str
    source: str
    licence: str
    confidence: Confidence
    accepts_risk: bool
    controls: tuple[Control, ...] = ()

    @property
    def live_controls(self) -> tuple[Control, ...]:
        """The controls and measures that count."""
        return tuple(control for control in self.controls if control.status == "geldend")


class Claim(Model):
    """What checks say of one control, and (``gap_*``) the part of it that no check sees."""

    proves: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    indicates: tuple[str, ...] = ()
    gap_nl: str = ""
    gap_en: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Claim:
        ids = [*self.proves, *self.supports, *self.indicates]
        if not ids:
            raise ValueError("no check is named here\nname one under proves, supports or indicates")
        if twice := [id_ for id_, number in Counter(ids).items() if number > 1]:
            raise ValueError(f"{twice[0]!r} is named twice\nkeep its strongest relation")
        if bool(self.gap_nl) != bool(self.gap_en):
            raise ValueError("gap_nl and gap_en come together\nwrite the gap in both languages")
        return self


class NormMapping(Model):
    """Which checks say something of which controls of one norm; ``unmapped`` gives the reason per check."""

    norm: str
    controls: dict[str, Claim]
    unmapped: dict[str, str] = Field(default_factory=dict)


class Link(NamedTuple):
    """A check that says something of a control; ``via`` is the measure it came through, or norm and row."""

    check: str
    relation: Relation
    via: str = ""


class Cover(NamedTuple):
    """All that checks say of one control, and the part of it that no check sees."""

    links: tuple[Link, ...]
    gap_nl: str = ""
    gap_en: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The principles; the norms, newest first; and per norm and control what covers it."""

    principles: tuple[Principle, ...]
    norms: tuple[Norm, ...]
    covers: Mapping[str, Mapping[str, Cover]]
    unmapped: Mapping[str, str]
    _controls: Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]

    def controls_of(self, check: str) -> dict[str, list[dict[str, str]]]:
        """Norm -> the controls and measures a check says something of, without those that only contain them."""
        return {norm: [dict(row) for row in rows] for norm, rows in self._controls.get(check, {}).items()}


# --- loading the catalogue ------------------------------------------------------------------------------------


def load_catalogue(folders: Sequence[Path], checks: Iterable[Check]) -> Catalogue:
    """The principles, norms and mappings of all ``folders`` (each a ``norms`` folder; the first is our own).

    Raises InputError for the first mistake. A check that does not exist is one in our own mapping only: that of a
    plugin may name checks of another version.
    """
    known = {check.id: check for check in checks}
    norms: dict[str, Norm] = {}
    catalogues: list[tuple[Located, _Principles]] = []
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            file = load_yaml(path)
            if isinstance(file.data, dict) and "principles" in file.data:
                catalogues.append((file, file.validate(_Principles)))
            else:
                norm = _norm(file, path.with_suffix(".csv"))
                if norm.id in norms:
                    raise file.error(("id",), f"there is a norm {norm.id!r} already", "take another id")
                norms[norm.id] = norm
    principles = _principles(catalogues, norms)
    _must_know_principles(known.values(), principles)
    direct, unmapped = _mappings(folders, norms, known)
    crosswalk = [row for folder in folders for row in _crosswalk(folder / "crosswalk.csv", norms)]
    newest_first = sorted(norms.values(), key=lambda norm: norm.date, reverse=True)
    covers: _Covers = {}
    for index, norm in enumerate(newest_first):
        covers[norm.id] = _derived(norm, direct[norm.id], newest_first[:index], covers, crosswalk)
    by_check: dict[str, dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for norm_id, of_norm in covers.items():
        for control, cover in of_norm.items():
            for link in cover.links:
                row = {"control": control, "relation": link.relation}
                by_check[link.check][norm_id].append(row | ({"via": link.via} if link.via else {}))
    return Catalogue(
        principles=tuple(principles.values()),
        norms=tuple(newest_first),
        covers={norm.id: _rolled_up(norm, covers[norm.id]) for norm in newest_first},
        unmapped=unmapped,
        _controls=by_check,
    )


_CONTROL: Final = TypeAdapter(Control)


def _norm(file: Located, rows: Path) -> Norm:
    controls: dict[str, Control] = {}
    for line, row in _csv(rows):
        try:
            control = _CONTROL.validate_python({name: value for name, value in row.items() if value})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{name}: {first['msg']}", file=str(rows), line=line) from None
        if control.id in controls:
            raise InputError(
                f"the control {control.id!r} stands here twice", file=str(rows), line=line, remedy="keep one"
            )
        if control.part_of is not None and control.part_of not in controls:
            raise InputError(
                f"part_of: unknown control {control.part_of!r}",
                file=str(rows),
                line=line,
                remedy="write a control above its measures",
            )
        controls[control.id] = control
    if isinstance(file.data, dict) and "controls" in file.data:
        raise file.error(("controls",), "a norm's rows do not stand here", f"write them in {rows.name}")
    return file.validate(Norm).model_copy(update={"controls": tuple(controls.values())})


def _csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"this row has not {len(reader.fieldnames or ())} cells like the first",
                        file=str(path),
                        line=reader.line_num,
                        remedy="put a cell that holds a comma between double quotes",
                    )
                yield reader.line_num, row
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is not CSV in UTF-8: {error}", file=str(path)) from None


def _principles(
    catalogues: Iterable[tuple[Located, _Principles]], norms: Mapping[str, Norm]
) -> dict[str, Principle]:
    numbers = {id_: {control.id for control in norm.controls} for id_, norm in norms.items()}
    found: dict[str, Principle] = {}
    for file, catalogue in catalogues:
        for index, principle in enumerate(catalogue.principles):
            at: Place = ("principles", index)
            if principle.id in found:
                raise file.error(
                    (*at, "id"), f"there is a principle {principle.id!r} already", "take another"
                )
            for norm_id, ids in principle.controls.items():
                place = (*at, "controls", norm_id)
                if norm_id not in norms:
                    raise file.unknown(place, "norm", norm_id, norms)
                for number, id_ in enumerate(ids):
                    if id_ not in numbers[norm_id]:
                        raise file.unknown((*place, number), "control", id_, numbers[norm_id])
            found[principle.id] = principle
    return found


def _must_know_principles(checks: Iterable[Check], principles: Mapping[str, Principle]) -> None:
    for check in checks:
        for principle in check.principles:
            if principle not in principles:
                raise InputError(
                    f"check {check.id}: unknown principle {principle!r}",
                    remedy=suggest(principle, principles),
                )


_Covers = dict[str, dict[str, Cover]]


def _mappings(
    folders: Sequence[Path], norms: Mapping[str, Norm], checks: Mapping[str, Check]
) -> tuple[_Covers, dict[str, str]]:
    """Norm -> control -> what the mapping files say of it, and the checks they leave unmapped."""
    direct: _Covers = {id_: {} for id_ in norms}
    unmapped: dict[str, str] = {}
    for folder in folders:
        ours = folder == folders[0]
        for path in sorted((folder / "mapping").glob("*.yaml")):
            file = load_yaml(path)
            mapping = file.validate(NormMapping)
            if mapping.norm not in norms:
                raise file.unknown(("norm",), "norm", mapping.norm, norms)
            controls = {control.id: control for control in norms[mapping.norm].controls}
            for id_, claim in mapping.controls.items():
                _must_be_sound(file, id_, claim, controls)
                links = tuple(
                    Link(check, relation) for relation in RELATIONS for check in getattr(claim, relation)
                )
                if ours:
                    _must_exist(file, id_, claim, checks)
                cover = Cover(links, claim.gap_nl, claim.gap_en)
                direct[mapping.norm][id_] = _together(direct[mapping.norm].get(id_), cover)
            mapped = {link.check for cover in direct[mapping.norm].values() for link in cover.links}
            for check in mapping.unmapped:
                if check in mapped:
                    raise file.error(("unmapped", check), "this check is mapped", "take it away here")
                if ours and check not in checks:
                    raise file.unknown(("unmapped", check), "check", check, checks)
            unmapped |= mapping.unmapped
    return direct, unmapped


def _must_be_sound(file: Located, id_: str, claim: Claim, controls: Mapping[str, Control]) -> None:
    at: Place = ("controls", id_)
    if id_ not in controls:
        raise file.unknown(at, "control", id_, controls)
    control = controls[id_]
    if control.status != "geldend":
        raise file.error(at, f"this control is {control.status}", control.note or "map its successor")
    if claim.proves and not control.testable:
        raise file.error(
            (*at, "proves"), "this control cannot be proved by measuring", "use supports or indicates"
        )


def _must_exist(file: Located, id_: str, claim: Claim, checks: Mapping[str, Check]) -> None:
    for relation in RELATIONS:
        for index, check in enumerate(getattr(claim, relation)):
            if check not in checks:
                raise file.unknown(("controls", id_, relation, index), "check", check, checks)


class _Row(NamedTuple):
    """One line of a crosswalk: the controls of several norms that say the same, as far as is ``sure``."""

    ids: Mapping[str, str]
    sure: bool


def _crosswalk(path: Path, norms: Mapping[str, Norm]) -> list[_Row]:
    """The rows to follow; those of low confidence are for people to read only."""
    if not path.exists():
        return []
    numbers = {id_: {control.id for control in norm.controls} for id_, norm in norms.items()}
    rows = []
    for line, row in _csv(path):
        ids = {name: value for name, value in row.items() if name in norms and value}
        for norm, id_ in ids.items():
            if id_ not in numbers[norm]:
                raise InputError(
                    f"{norm}: unknown control {id_!r}",
                    file=str(path),
                    line=line,
                    remedy=suggest(id_, numbers[norm]),
                )
        if row.get("confidence") in ("high", "medium"):
            rows.append(_Row(ids, row["confidence"] == "high"))
    return rows


def _derived(
    norm: Norm, direct: Mapping[str, Cover], newer: Sequence[Norm], covers: _Covers, crosswalk: Sequence[_Row]
) -> dict[str, Cover]:
    """What covers a norm: what is mapped to it directly, and what follows from its successor.

    The successor is the nearest of the ``newer`` norms that the crosswalk knows. A relation becomes one step weaker
    when the crosswalk is not sure, when the older control has several successors, or when it is a control and its
    successor a measure.
    """
    found = dict(direct)
    for successor in reversed(newer):
        shared = [row.ids for row in crosswalk if {successor.id, norm.id} <= row.ids.keys()]
        if shared:
            break
    else:
        return found
    successors = Counter(here for _, here in {(ids[successor.id], ids[norm.id]) for ids in shared})
    kinds = {control.id: control.kind for control in norm.controls}
    for control in successor.controls:
        cover = covers[successor.id].get(control.id)
        here, sure = _counterpart(successor.id, control.id, norm.id, crosswalk) if cover else (None, False)
        if cover is None or here is None:
            continue
        exact = sure and successors[here] == 1 and control.kind == kinds[here]
        links = tuple(
            Link(
                link.check, link.relation if exact else _weaker(link.relation), f"{successor.id} {control.id}"
            )
            for link in cover.links
        )
        found[here] = _together(found.get(here), cover._replace(links=links))
    return found


def _counterpart(source: str, id_: str, norm: str, crosswalk: Iterable[_Row]) -> tuple[str | None, bool]:
    """The one row of ``norm`` that says the same, and whether that is sure.

    A sure one goes before others. Of several none is taken: which of them a check is about, a mapping must say.
    """
    found = [row for row in crosswalk if row.ids.get(source) == id_ and norm in row.ids]
    for rows, sure in (([row for row in found if row.sure], True), (found, False)):
        ids = {row.ids[norm] for row in rows}
        if ids:
            return (ids.pop() if len(ids) == 1 else None), sure
    return None, False


def _rolled_up(norm: Norm, covers: Mapping[str, Cover]) -> dict[str, Cover]:
    """The covers of a norm, where a control also has the checks of its measures, which never prove it as a whole."""
    found = dict(covers)
    for control in norm.controls:
        if control.part_of is not None and control.id in covers:
            parts = tuple(
                Link(link.check, max(link.relation, "supports", key=RELATIONS.index), control.id)
                for link in covers[control.id].links
            )
            found[control.part_of] = _together(found.get(control.part_of), Cover(parts))
    return found


def _weaker(relation: Relation) -> Relation:
    return RELATIONS[min(RELATIONS.index(relation) + 1, len(RELATIONS) - 1)]


def _strongest(links: Iterable[Link]) -> tuple[Link, ...]:
    """One link per check, the strongest; of equals the first."""
    best: dict[str, Link] = {}
    for link in links:
        if link.check not in best or RELATIONS.index(link.relation) < RELATIONS.index(
            best[link.check].relation
        ):
            best[link.check] = link
    return tuple(best.values())


def _together(one: Cover | None, other: Cover) -> Cover:
    """Two covers of the same control as one: the strongest link of each check, and both gaps."""
    if one is None:
        return other
    return Cover(
        _strongest(one.links + other.links),
        " ".join(dict.fromkeys(gap for gap in (one.gap_nl, other.gap_nl) if gap)),
        " ".join(dict.fromkeys(gap for gap in (one.gap_en, other.gap_en) if gap)),
    )
