"""Is this installation fit to scan: what is here, what is missing, what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from scanner import plugins, scope
from scanner._version import __version__
from scanner.model import InputError

PYTHON: Final = (3, 11)


def examine(config: Path | None = None) -> list[tuple[bool, str]]:
    """(good, sentence) for each thing examined; a sentence about what is wrong says what to do."""
    results = [
        (
            sys.version_info >= PYTHON,
            f"Python {sys.version.split()[0]}; {PYTHON[0]}.{PYTHON[1]} or newer is needed",
        )
    ]
    results += [
        _try("the packages beside the scanner are its own", plugins.name_guard),
        *(_package(line) for line in requires("keurmeester") or ()),
        _checks(config),
        _try("trust anchors of the system", _anchors),
        _known_hosts(),
        _private(Path("runs")),
    ]
    return results


def _try(what: str, examined: Callable[[], object]) -> tuple[bool, str]:
    try:
        examined()
    except (InputError, OSError) as error:
        return False, f"{what}: {error}"
    return True, what


def _package(requirement: str) -> tuple[bool, str]:
    name = requirement.split(";")[0]
    for mark in "<>=!~[ ":
        name = name.split(mark)[0]
    try:
        return True, f"{name} {version(name)}"
    except PackageNotFoundError:
        return (
            False,
            f"{name} is missing: install with `pip install --require-hashes -r requirements/run.lock`",
        )


def _checks(config: Path | None) -> tuple[bool, str]:
    try:
        loaded = scope.load(scope.read_config(config))
    except InputError as error:
        return False, str(error)
    refused = f"; not on the allow-list: {', '.join(loaded.refused)}" if loaded.refused else ""
    names = ", ".join(f"{plugin.name} {plugin.version}" for plugin in loaded.plugins)
    return True, f"keurmeester {__version__}: {len(loaded.registry.checks)} checks from {names}{refused}"


def _anchors() -> None:
    import ssl

    paths = ssl.get_default_verify_paths()
    if not paths.cafile:
        raise OSError(
            "no CA bundle; install ca-certificates, or name your own in the inventory (trust_anchors)"
        )


def _known_hosts() -> tuple[bool, str]:
    path = Path("~/.ssh/known_hosts").expanduser()
    if not path.exists():
        return True, f"{path}: not there; hosts need host_keys in the inventory"
    if not os.access(path, os.R_OK):
        return False, f"{path}: cannot be read; mend its owner or mode"
    return True, f"{path}: {sum(1 for _ in path.open('rb'))} lines"


def _private(folder: Path) -> tuple[bool, str]:
    if not folder.exists():
        return True, f"{folder}/: will be made, readable by its owner only"
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        return False, f"{folder}/ has mode {mode:o}: evidence is private; run `chmod 700 {folder}`"
    return True, f"{folder}/: readable by its owner only"
