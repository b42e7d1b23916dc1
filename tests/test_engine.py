"""Many targets at once: bounded in all and per zone, and never stopped by one of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from scanner import Command, Layer, Raw, Severity, Timed, Verdict, check, fact, holds, probe
from scanner.declare import Registry, collecting
from scanner.engine import LocalEngine
from scanner.evidence import Store
from scanner.model import Cause, Gap, Inventory, State, Target
from scanner.plan import Plan
from scanner.sources import Source
from scanner.vault import Vault
from scanner.worker import Session, Unreachable, Worker

registry = Registry()
with collecting(registry):

    @fact
    class Answer:
        text: str

    @probe("linux", said=Command("echo x"))
    def answer(said: Raw) -> Answer:
        return Answer(said.text)

    @check(
        "engine.answers", principle="DSM-IBP-5", severity=Severity.LOW, layer=Layer.HOST, title_nl="T", why_nl="W",
        fix="f", verify="v", references=("r",),
    )  # fmt: skip
    def answers(answer: Answer) -> Verdict:
        """It answers.

        Because.
        """
        return holds(bool(answer.text), answer.text)


registry.link()


class Slow(Worker):
    """A worker whose targets take a moment, and that counts who is busy."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__(inventory, Vault())
        self.lock = threading.Lock()
        self.busy: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def session(self, target: Target, first: Sequence[Source]) -> Session:
        return _Session(self, target)


class _Session(Session):
    def __init__(self, worker: Slow, target: Target) -> None:
        super().__init__(worker, target)
        self.slow, self.target = worker, target

    def __enter__(self) -> _Session:
        if "gone" in self.target.tags:
            raise Unreachable(Gap(State.ERROR, Cause.REFUSED, "nobody there"))
        with self.slow.lock:
            for key in (self.target.zone, "all"):
                self.slow.busy[key] += 1
                self.slow.most[key] = max(self.slow.most[key], self.slow.busy[key])
        return self

    def __exit__(self, *_: object) -> None:
        with self.slow.lock:
            self.slow.busy[self.target.zone] -= 1
            self.slow.busy["all"] -= 1

    def ask(self, sources: Sequence[Source]) -> dict[Source, Timed]:
        time.sleep(0.02)
        return {source: Timed(b"x\n") for source in sources}


def population(count: int, **zones: int) -> Inventory:
    names = [*zones, "free"]
    targets = [
        Target(name=f"h{number}", address="127.0.0.1", zone=names[number % len(names)])
        for number in range(count)
    ]
    return Inventory(sources=(), digest="", targets=tuple(targets), zones=zones)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for part in ("evidence", "manifests"):
        (tmp_path / part).mkdir()
    return Store(tmp_path)


def test_never_more_at_once_than_allowed(store: Store) -> None:
    inventory = population(40, tight=2)
    worker = Slow(inventory)
    engine = LocalEngine(Plan(registry.checks.values(), registry), worker, store, workers=8)
    done = [manifest.target for manifest in engine.run(inventory.targets)]
    assert sorted(done) == sorted(target.name for target in inventory.targets)
    assert worker.most["tight"] == 2
    assert 2 < worker.most["all"] <= 8
    assert +worker.busy == Counter()


def test_one_that_is_gone_does_not_hold_up_the_rest(store: Store) -> None:
    inventory = population(10)
    gone = inventory.targets[3].model_copy(update={"tags": ("gone",)})
    targets = (*inventory.targets[:3], gone, *inventory.targets[4:])
    engine = LocalEngine(Plan(registry.checks.values(), registry), Slow(inventory), store)
    gaps = {manifest.target: manifest.gap for manifest in engine.run(targets)}
    assert gaps.pop("h3") == Gap(State.ERROR, Cause.REFUSED, "nobody there")
    assert set(gaps.values()) == {None}


def test_stopping_early_starts_no_other_and_leaves_no_thread(store: Store) -> None:
    inventory = population(50)
    before = threading.active_count()
    engine = LocalEngine(Plan(registry.checks.values(), registry), Slow(inventory), store, workers=2)
    running = engine.run(inventory.targets)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(store.targets()) < 50


def test_progress_tells_of_every_target(store: Store) -> None:
    inventory = population(6)
    told: list[tuple[str, str]] = []
    engine = LocalEngine(
        Plan(registry.checks.values(), registry), Slow(inventory), store,
        progress=lambda event, target: told.append((event, target.name)),
    )  # fmt: skip
    for _ in engine.run(inventory.targets):
        pass
    assert Counter(told) == Counter((event, f"h{n}") for event in ("start", "open", "end") for n in range(6))


def test_equal_evidence_is_stored_once(store: Store) -> None:
    inventory = population(20)
    for _ in LocalEngine(Plan(registry.checks.values(), registry), Slow(inventory), store).run(
        inventory.targets
    ):
        pass
    assert len(list((store.run / "evidence").rglob("*.zst"))) == 1
    assert list(store.verify(store.digest())) == []
