"""Which checks a run makes, and how strict they are: profiles, as data.

A profile is a YAML file (checks/profiles, the same folder of a plugin, or one of your own): docs/norms.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from scanner.declare import Check
from scanner.expression import TARGET_FIELDS, Filter, compile_filter
from scanner.model import InputError, Model, PortChoice
from scanner.yamlfile import Located, Place, load_yaml, suggest

#: What a filter may ask of a check.
CHECK_FIELDS: Final = frozenset({"id", "topic", "platform", "principles", "severity", "layer"})
#: In ``include``: every check there is.
ALL: Final = "all"


class _Written(Model):
    """A profile as its file has it."""

    id: str
    title_nl: str
    title_en: str
    extends: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    targets: str = ""
    ports: PortChoice | None = None


class _Layer(NamedTuple):
    """One file of a profile: what it says and where."""

    written: _Written
    file: Located


@dataclass(frozen=True, slots=True)
class Profile:
    """Which checks a run makes, and how strict they are: a file and those it extends, the base first.

    ``covers`` says whether a target belongs to it; ``ports`` which TCP ports are tried from outside where the inventory
    does not say. ``sha256`` is over the digests of the files.
    """

    id: str
    title_nl: str
    title_en: str
    sha256: str
    covers: Filter
    layers: tuple[_Layer, ...]
    ports: PortChoice | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """A check and the settings it is judged with; what is not set keeps its default."""

    check: Check
    settings: Mapping[str, Any]


def load_profile(name: str, folders: Sequence[Path]) -> Profile:
    """The profile of that name in one of ``folders``, or in the file of that path. Raises InputError."""
    layers: list[_Layer] = []
    path = _find(name, folders)
    while True:
        file = load_yaml(path)
        written = file.validate(_Written)
        if any(layer.file.file == file.file for layer in layers):
            raise file.error(
                ("extends",), "this profile extends itself", "take 'extends' away in one of the files"
            )
        layers.insert(0, _Layer(written, file))
        if written.extends is None:
            break
        with _placed(file, ("extends",)):
            path = _find(written.extends, [path.parent, *folders])
    top = layers[-1].written
    return Profile(
        id=top.id,
        title_nl=top.title_nl,
        title_en=top.title_en,
        sha256=sha256("".join(layer.file.digest for layer in layers).encode()).hexdigest(),
        covers=_target_filter(layers),
        layers=tuple(layers),
        ports=next((one.written.ports for one in reversed(layers) if one.written.ports is not None), None),
    )


def _find(name: str, folders: Sequence[Path]) -> Path:
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    known = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.yaml")}
    if name not in known:
        raise InputError(
            f"unknown profile {name!r}", remedy=f"{suggest(name, known)} A path to a file will do too."
        )
    return known[name]


def _target_filter(layers: Iterable[_Layer]) -> Filter:
    """The nearest filter over targets, or one that lets all through."""
    found: Filter = _every_target
    for written, file in layers:
        if written.targets:
            with _placed(file, ("targets",)):
                found = compile_filter(written.targets, TARGET_FIELDS, "filter")
    return found


def _every_target(_: object) -> bool:
    return True


def select(profile: Profile, checks: Iterable[Check]) -> list[Selected]:
    """The checks of a profile with their settings, in the order of ``checks``. Raises InputError.

    Each file starts from what the one it extends selects, adds ``include`` and then takes ``exclude`` away.
    """
    known = {check.id: check for check in checks}
    chosen: set[str] = set()
    values: dict[str, dict[str, Any]] = {}
    for written, file in profile.layers:
        for index, text in enumerate(written.include):
            chosen |= _ids(text, known, file, ("include", index))
        for index, text in enumerate(written.exclude):
            chosen -= _ids(text, known, file, ("exclude", index))
        for id_, given in written.settings.items():
            at: Place = ("settings", id_)
            if id_ not in known:
                raise file.unknown(at, "check", id_, known)
            for name, value in given.items():
                with _placed(file, (*at, name)):
                    values.setdefault(id_, {}).update(settings(known[id_], {name: value}))
    return [Selected(check, values.get(id_, {})) for id_, check in known.items() if id_ in chosen]


def settings(check: Check, values: Mapping[str, Any]) -> dict[str, Any]:
    """The tunables of a check from plain values, as a profile or run folder has them. Raises InputError."""
    tunables = {tunable.name: tunable for tunable in check.tunables}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in tunables:
            raise InputError(f"unknown setting {name!r} of {check.id}", remedy=suggest(name, tunables))
        try:
            found[name] = TypeAdapter(tunables[name].annotation).validate_python(value)
        except ValidationError as error:
            wish = error.errors(include_url=False)[0]["msg"].replace("Input should", "it should")
            raise InputError(f"{value!r} is not accepted for {name!r} of {check.id}", remedy=wish) from None
    return found


_CHECK_ID: Final = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)+")


def _ids(text: str, known: Mapping[str, Check], file: Located, at: Place) -> set[str]:
    """The ids that one item of include or exclude names: an id, a filter, or all."""
    if text == ALL:
        return set(known)
    if _CHECK_ID.fullmatch(text):
        if text not in known:
            raise file.unknown(at, "check", text, known)
        return {text}
    with _placed(file, at):
        belongs = compile_filter(text, CHECK_FIELDS, "filter")
        return {id_ for id_, check in known.items() if belongs(check)}


@contextmanager
def _placed(file: Located, at: Place) -> Iterator[None]:
    """Give a complaint about one value the file and line of that value."""
    try:
        yield
    except InputError as error:
        raise file.error(at, error.message, error.remedy) from None
