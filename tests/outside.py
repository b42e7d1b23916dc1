"""A look from outside at a real server, for tests: the real plan, worker, engine and judging, without a report.

`look` gives the findings of the checks asked for; the server is what the test has started, and the target is what it
declares of it: `server_at` makes the usual one, an address on loopback without an account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from scanner.channels.known_hosts import KnownHosts
from scanner.engine import LocalEngine
from scanner.evidence import Store
from scanner.model import Finding, Impact, Inventory, State, Target, worst
from scanner.plan import Plan
from scanner.profiles import Selected, settings
from scanner.run import Judgement
from scanner.scope import Config, Loaded, load
from scanner.vault import Vault
from scanner.worker import Worker

#: As far as the questions of a test go, unless it says less.
CONSENT: Final = Impact.TRY


@cache
def every_check() -> Loaded:
    """All checks and norms, loaded once for all tests."""
    return load(Config())


def server_at(address: str = "127.0.0.1", *services: Mapping[str, object], **fields: Any) -> Target:
    """A target without an account: only what answers from outside can be seen of it.

    ``services`` are as in the inventory: ``{"port": 6379, "name": "redis"}``. It is no Linux to the scanner, so that no
    login is tried; pass ``platform="linux"`` and a ``credential`` where the test has them.
    """
    described = {"name": "server", "address": address, "platform": "other", "consent": CONSENT, **fields}
    return Target.model_validate({"services": list(services), **described})


def look(
    *targets: Target,
    only: Iterable[str],
    given: Mapping[str, Mapping[str, Any]] | None = None,
    **inventory: Any,
) -> dict[str, list[Finding]]:
    """Check id -> its findings, in the order in which they were made; those over the fleet included.

    ``given`` are settings: check id -> name -> value, as in a profile. ``inventory`` are further fields of the
    inventory: ``vantage``, ``resolvers``, ``trust_anchors``, ``credentials``.
    """
    registry = every_check().registry
    checks = [registry.checks[id_] for id_ in only]
    described = Inventory(sources=("test",), digest="", targets=targets, **inventory)
    found: dict[str, list[Finding]] = {check.id: [] for check in checks}
    with TemporaryDirectory() as folder:
        for part in ("evidence", "manifests"):
            Path(folder, part).mkdir()
        store = Store(Path(folder))
        worker = Worker(described, Vault(), KnownHosts)
        for _ in LocalEngine(Plan(checks, registry), worker, store).run(targets):
            pass
        chosen = [Selected(check, settings(check, (given or {}).get(check.id, {}))) for check in checks]
        judgement = Judgement(chosen, registry)
        for target in targets:
            for _, finding in judgement.target(target, store.manifest(target.name)):
                found[finding.check].append(finding)
        for _, finding in judgement.fleet():
            found[finding.check].append(finding)
    return found


def state(findings: Iterable[Finding], subject: str = "") -> State:
    """The worst state among these findings, of one subject when it is named. Raises LookupError when there is none."""
    states = [one.status for one in findings if subject in ("", one.subject)]
    if not states:
        raise LookupError(f"no finding about {subject or 'anything'}")
    return worst(states)


def told(findings: Iterable[Finding]) -> str:
    """What the findings say, for the message of a test that fails."""
    return "\n".join(
        f"{one.check} {one.subject}: {one.status} {one.cause or ''} {one.observed}" for one in findings
    )
