"""What a run is about: from words on a command line to checks, targets and norms, all validated."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from scanner import plugins, policy, profiles
from scanner.declare import Registry
from scanner.expression import TARGET_FIELDS, compile_filter
from scanner.model import InputError, Inventory, Model, Target
from scanner.plan import Plan
from scanner.yamlfile import load_yaml

CONFIG: Final = "keurmeester.yaml"


class Config(Model):
    """keurmeester.yaml: what the organisation decided about its scanner.

    ``plugins`` is the allow-list of distributions whose checks are loaded.
    """

    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """Every check there is, and the norms they are mapped to."""

    registry: Registry
    catalogue: policy.Catalogue
    plugins: tuple[plugins.Plugin, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about: which checks, which targets, under which norms."""

    loaded: Loaded
    profile: profiles.Profile
    selected: tuple[profiles.Selected, ...]
    inventory: Inventory
    targets: tuple[Target, ...]
    filter: str = ""
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        checks = (one.check for one in self.selected)
        object.__setattr__(self, "plan", Plan(checks, self.loaded.registry))


def read_config(path: Path | None = None) -> Config:
    """The configuration: this file, else keurmeester.yaml in the working folder, else the defaults.

    Raises InputError.
    """
    chosen = path or Path(CONFIG)
    if path is None and not chosen.exists():
        return Config()
    return load_yaml(chosen).validate(Config)


def load(config: Config) -> Loaded:
    """All checks of ours and of allowed plugins, with norms and mappings. Raises InputError."""
    plugins.name_guard()
    registry = Registry()
    loaded, refused = plugins.load_checks(registry, config.plugins)
    folders = [plugin.root / "norms" for plugin in loaded]
    catalogue = policy.load_catalogue(folders, registry.checks.values())
    return Loaded(registry, catalogue, tuple(loaded), tuple(refused))


def build(
    loaded: Loaded,
    inventories: Sequence[Path] = (),
    *,
    profile: str = "baseline",
    targets: str = "",
    only: str = "",
) -> Scope:
    """The scope of a run. No inventory: this machine. Raises InputError when nothing is selected, or on wrong input."""
    inventory = read_inventories(inventories) if inventories else this_machine()
    chosen = profiles.load_profile(profile, [plugin.root / "profiles" for plugin in loaded.plugins])
    selected = profiles.select(chosen, loaded.registry.checks.values())
    if only:
        keep = compile_filter(only, profiles.CHECK_FIELDS, "--only")
        selected = [one for one in selected if keep(one.check)]
        if not selected:
            raise InputError(
                f"--only {only!r} selects none of the checks of profile {chosen.id}",
                remedy="`keurmeester checks list` shows every check with the fields a filter may name.",
            )
    population = [target for target in inventory.targets if chosen.covers(target)]
    if targets:
        wanted = compile_filter(targets, TARGET_FIELDS, "--targets")
        population = [target for target in population if wanted(target)]
    if not population:
        raise InputError(
            f"no target is selected out of {len(inventory.targets)}"
            + (f" by --targets {targets!r}" if targets else f" by profile {chosen.id}"),
            remedy="`keurmeester inventory check FILE` shows every target with its fields.",
        )
    if chosen.ports is not None:
        population = [
            target.model_copy(update={"ports": chosen.ports})
            if target.ports is None and not target.jump
            else target
            for target in population
        ]
    return Scope(loaded, chosen, tuple(selected), inventory, tuple(population), targets)


def read_inventories(paths: Iterable[Path]) -> Inventory:
    """The inventories of these files, merged. Raises InputError."""
    read = plugins.entry_point("inventories", "yaml")
    found: list[Inventory] = [read(path) for path in paths]
    return found[0] if len(found) == 1 else Inventory.merged(found)


def this_machine() -> Inventory:
    """An inventory of one: the machine the scanner runs on."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "localhost"
    target = Target(name=name, address="127.0.0.1", channel="local", zone="local")
    return Inventory(sources=(), digest=sha256(name.encode()).hexdigest(), targets=(target,))
