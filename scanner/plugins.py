"""Loading checks, inventories and reports: by entry point, by allow-list, and only what is really ours.

Our own checks come in by the same door as everyone's. A plugin runs with the scanner's rights, so loading is default
deny: only distributions on the allow-list (`plugins:` in keurmeester.yaml) are imported; others are named and refused.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Final

from scanner.declare import DeclarationError, Registry, default_registry
from scanner.model import InputError

OURS: Final = "keurmeester"
PACKAGES: Final = ("checks", "inventories", "reports")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A distribution that brings checks: its name, version and the SHA-256 over its Python and data files."""

    name: str
    version: str
    package: str
    sha256: str
    root: Path


def import_tree(package: str) -> Path:
    """Import a package and every module below it, in order of name; the folder it lies in."""
    module = importlib.import_module(package)
    for info in sorted(
        pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}."), key=lambda info: info.name
    ):
        importlib.import_module(info.name)
    return Path(module.__file__ or ".").parent


def name_guard() -> None:
    """Fail when `checks`, `inventories` or `reports` are not our own: their names are general, and Python takes
    whichever comes first. Raises InputError with one sentence.
    """
    home = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        found = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
        if found != home:
            raise InputError(
                f"the package {package!r} is found in {found}, not beside the scanner in {home}",
                remedy="Install keurmeester in an environment of its own (uv tool, pipx or a venv).",
            )
    for distribution in distributions():
        tops = (distribution.read_text("top_level.txt") or "").split()
        clash = sorted(set(tops) & {*PACKAGES, "scanner"})
        if clash and (name := _name(distribution)) != OURS:
            raise InputError(
                f"the distribution {name} also brings a package named {clash[0]!r}",
                remedy="Install keurmeester in an environment of its own (uv tool, pipx or a venv).",
            )


def entry_points(group: str) -> list[tuple[str, str, EntryPoint]]:
    """(distribution name, version, entry point) of every entry point in ``scanner.<group>``, sorted."""
    found: dict[tuple[str, str], tuple[str, str, EntryPoint]] = {}
    for distribution in distributions():
        for point in distribution.entry_points:
            if point.group == f"scanner.{group}":
                name = _name(distribution)
                found.setdefault((name, point.name), (name, distribution.version, point))
    return [found[key] for key in sorted(found)]


def _name(distribution: Distribution) -> str:
    # Reads all of the metadata as if it were mail: slow, so ask only of those that matter.
    return (distribution.metadata["Name"] or "").lower()


@lru_cache
def entry_point(group: str, name: str) -> Any:
    """The object of one of our own entry points. Raises KeyError."""
    for distribution, _, point in entry_points(group):
        if distribution == OURS and point.name == name:
            return point.load()
    raise KeyError(name)


def load_checks(registry: Registry, allowed: Iterable[str] = ()) -> tuple[list[Plugin], list[str]]:
    """Load our checks and those of allowed plugins into ``registry`` and link it.

    Returns the plugins loaded (ours first) and the names of distributions that offered checks but are not on the
    allow-list. Raises InputError when a plugin is allowed but not installed or cannot be loaded.
    """
    wanted = {name.lower() for name in allowed}
    loaded: list[Plugin] = []
    refused: list[str] = []
    points = sorted(entry_points("checks"), key=lambda item: item[0] != OURS)
    for name, version, point in points:
        if name != OURS and name not in wanted:
            refused.append(name)
            continue
        try:
            root = import_tree(point.value)
            registry.take(default_registry(), point.value)
        except (ImportError, DeclarationError) as error:
            raise InputError(
                f"the plugin {name} {version} cannot be loaded: {error}",
                remedy="Mend or uninstall it, or take it off the list 'plugins:' in keurmeester.yaml.",
            ) from error
        loaded.append(Plugin(name, version, point.value, _digest(root), root))
    if missing := sorted(wanted - {plugin.name for plugin in loaded}):
        raise InputError(
            f"the plugin {missing[0]} is on the allow-list but not installed",
            remedy=f"Install it into {sys.prefix}, or take it off the list 'plugins:' in keurmeester.yaml.",
        )
    registry.link()
    return loaded, refused


def _digest(root: Path) -> str:
    total = sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".yaml", ".csv"} and path.is_file():
            total.update(f"{path.relative_to(root)}\0".encode())
            total.update(path.read_bytes())
    return total.hexdigest()
