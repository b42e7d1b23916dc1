"""The scanner as a library, for tests that look at a host often.

The same plan, worker, evidence store and judging as `keurmeester scan`, without command line and reports.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from scanner.channels.known_hosts import KnownHosts
from scanner.declare import Registry
from scanner.engine import LocalEngine
from scanner.evaluate import Facts, scan_time
from scanner.evidence import Store
from scanner.model import Inventory, State, worst
from scanner.plan import Plan
from scanner.plugins import load_checks
from scanner.profiles import Selected, settings
from scanner.rights import sudoers
from scanner.run import Judgement
from scanner.vault import Vault
from scanner.worker import Worker
from tests.lab.host import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scanner.declare import Check
    from scanner.model import Finding, Target
    from tests.lab.host import Host
    from tests.lab.lab import Lab


#: What a profile would say of the lab: which accounts are there for automatic tasks.
SETTINGS: Final[dict[str, dict[str, object]]] = {"sudo.authenticates": {"automatic": ["audit"]}}


class Findings(list["Finding"]):
    """What one look gave."""

    def of(self, check: str, target: str = "") -> list[Finding]:
        """The findings of one check, on one target when there are more."""
        return [finding for finding in self if finding.check == check and target in ("", finding.target)]

    def state(self, check: str, target: str = "") -> State:
        """The worst state of a check over its subjects. Raises KeyError when it was not judged at all."""
        found = self.of(check, target)
        if not found:
            raise KeyError(check)
        return worst(finding.status for finding in found)

    def states(self) -> dict[tuple[str, str, str], State]:
        """(target, check, subject) -> state."""
        return {(finding.target, finding.check, finding.subject): finding.status for finding in self}

    def why(self, check: str) -> str:
        """What was observed, for the message of a failing test."""
        return "; ".join(f"{f.subject} {f.status} {f.cause or ''} {f.observed}" for f in self.of(check))


class Scanner:
    """Every check with its own settings, ready to look at hosts of the lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        #: What the last flip saw, for the message when it fails.
        self.why = ""
        self._vault = Vault()
        self.registry = Registry()
        load_checks(self.registry)

    def checks(self, only: Iterable[str] = ()) -> list[Check]:
        """The checks of these ids; all when none are given. Raises KeyError."""
        return [self.registry.checks[id_] for id_ in only] or list(self.registry.checks.values())

    def look(self, host: Host, account: str = "scan", only: Iterable[str] = ()) -> Findings:
        """One host, scanned as this account."""
        return self.scan([self._lab.target(host, account)], only)

    def scan(self, targets: Sequence[Target], only: Iterable[str] = ()) -> Findings:
        """These targets, scanned and judged, fleet checks included."""
        checks = self.checks(only)
        inventory = Inventory(
            sources=("lab",),
            digest="",
            targets=tuple(targets),
            credentials={account: self._lab.credential(account) for account in ACCOUNTS},
            trust_anchors=(str(self._lab.anchor),),
        )
        with TemporaryDirectory(dir=self._lab.folder) as folder:
            for part in ("evidence", "manifests"):
                Path(folder, part).mkdir()
            store = Store(Path(folder))
            worker = Worker(inventory, self._vault, KnownHosts)
            for _ in LocalEngine(Plan(checks, self.registry), worker, store).run(targets):
                pass
            selected = [Selected(check, settings(check, SETTINGS.get(check.id, {}))) for check in checks]
            judgement = Judgement(selected, self.registry)
            found = Findings()
            for target in targets:
                found += [finding for _, finding in judgement.target(target, store.manifest(target.name))]
            found += [finding for _, finding in judgement.fleet()]
        return found

    def allow(self, host: Host, account: str = "audit") -> str:
        """Give the account the right to exactly what all checks need there, as `keurmeester rights` derives it."""
        target = self._lab.target(host, account)
        facts = Facts(target, {}, self.registry, scan_time(0))
        rules = sudoers(account, Plan(self.checks(), self.registry).first(target, facts))
        host.must(
            f"install -m 440 /dev/stdin /etc/sudoers.d/{account} && visudo -cqf /etc/sudoers.d/{account}",
            stdin=rules,
        )
        return rules
