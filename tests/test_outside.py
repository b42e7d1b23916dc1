"""Looks from outside beside the shell: what one view misses is told, and never becomes a pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.network.ports import TLS_PORTS, TlsPort
from scanner import (
    Command,
    Gap,
    Layer,
    Ports,
    Raw,
    Severity,
    Target,
    Unseen,
    Verdict,
    check,
    examples,
    fact,
    holds,
    probe,
)
from scanner.declare import DeclarationError, Each, Registry, collecting
from scanner.engine import LocalEngine, _nothing_seen
from scanner.evaluate import Collected, Facts, judge, scan_time
from scanner.evidence import Manifest, Store
from scanner.model import Cause, Inventory, State, Timed
from scanner.plan import Plan
from scanner.sources import Dialogue, Say, Source
from scanner.testing import LAWS, load_package
from scanner.transcript import End, Exchange, Turn, write
from scanner.vault import Vault
from scanner.worker import Worker

registry = Registry()
with collecting(registry):

    @fact
    class Inside:
        """What a shell sees."""

        number: int

    @fact
    class Door:
        """A port, seen from either side."""

        number: int

        def __str__(self) -> str:
            return f"{self.number}/tcp"

    @fact
    class Knocked:
        """A door that was tried."""

        number: int

        def __str__(self) -> str:
            return f"{self.number}/tcp"

    @probe("linux", said=Command("doors", root=True))
    def inside(said: Raw) -> list[Inside]:
        return [Inside(int(line)) for line in said.lines]

    @probe("outside")
    def doors(seen: list[Inside] | Gap, target: Target) -> list[Door | Unseen]:
        declared: list[Door | Unseen] = [Door(one.port) for one in target.services or ()]
        if isinstance(seen, Gap):
            return [*declared, Unseen("other doors", seen)]
        return [*declared, *(Door(one.number) for one in seen)]

    @probe(
        "outside",
        answer=Each(Door, lambda door: Ports(numbers=(door.number,)), when=lambda door: door.number > 1000),
    )
    def knocked(answer: Raw, door: Door) -> Knocked:
        json.loads(answer.text)
        return Knocked(door.number)

    @check(
        "doors.even", principle="DSM-IBP-5", severity=Severity.LOW, layer=Layer.NETWORK, title_nl="T", why_nl="W",
        fix="f", verify="v", references=("r",),
    )  # fmt: skip
    def even(door: Knocked) -> Verdict:
        """Doors have even numbers.

        Because.
        """
        return holds(door.number % 2 == 0, str(door.number))

    examples(
        even,
        passes={"said": "2000\n7", "answer": "{}"},
        fails={"said": "2001", "answer": "{}"},
        error={"said": Gap(State.ERROR, Cause.AUTH, "no"), "answer": "{}", "target": {"services": [{"port": 2000}]}},
    )  # fmt: skip

registry.link()


@pytest.mark.parametrize("law", LAWS)
def test_the_laws_hold_for_a_probe_that_can_do_without(law: str) -> None:
    assert list(LAWS[law](registry.checks["doors.even"], registry)) == []


def test_what_was_not_seen_is_a_finding_of_its_own_beside_what_was() -> None:
    target = Target.model_validate({"name": "a", "address": "127.0.0.1", "services": [{"port": 2000}]})
    refused = Raw(code=None, gap=Gap(State.ERROR, Cause.AUTH, "no way in"))
    answers: dict[Source, Collected] = {
        Command("doors", root=True): Collected(refused, ("a",)),
        Ports(numbers=(2000,)): Collected(Raw(b"{}"), ("b",)),
    }
    facts = Facts(target, answers, registry, scan_time(0))
    found = {one.subject: one for one in judge(registry.checks["doors.even"], registry)(facts)}
    assert found["2000/tcp"].status is State.PASS
    assert (found["other doors"].status, found["other doors"].cause) == (State.ERROR, Cause.AUTH)


def test_an_item_that_no_question_can_be_made_of_costs_only_itself() -> None:
    mine = Registry()
    with collecting(mine):

        @fact
        class Named:
            """What a target calls something."""

            name: str

            def __str__(self) -> str:
                return self.name

        @fact
        class Heard:
            """What was heard of it."""

            name: str

            def __str__(self) -> str:
                return self.name

        globals()["Named"], globals()["Heard"] = Named, Heard

        @probe("linux", said=Command("names"))
        def named(said: Raw) -> list[Named]:
            return [Named(line) for line in said.lines]

        @probe("outside", answer=Each(Named, lambda one: Ports(numbers=(int(one.name),))))
        def heard(answer: Raw, one: Named) -> Heard:
            return Heard(one.name)

        @check(
            "names.heard", principle="DSM-IBP-5", severity=Severity.LOW, layer=Layer.NETWORK, title_nl="T",
            why_nl="W", fix="f", verify="v", references=("r",),
        )  # fmt: skip
        def was_heard(one: Heard) -> Verdict:
            """T.

            W.
            """
            return holds(True, one.name)

    mine.link()
    target = Target(name="a", address="127.0.0.1")
    answers: dict[Source, Collected] = {
        Command("names"): Collected(Timed(b"80\n\x1b]0;no number"), ()),
        Ports(numbers=(80,)): Collected(Timed(b"{}"), ()),
    }
    facts = Facts(target, answers, mine, scan_time(0))
    plan = Plan(mine.checks.values(), mine)
    plan.first(target, facts)
    assert plan.next(target, facts) == ()
    found = {one.subject: one.status for one in judge(mine.checks["names.heard"], mine)(facts)}
    assert found == {"80": State.PASS, "\x1b]0;no number": State.UNKNOWN}


def test_a_check_may_not_ask_for_what_it_may_not_have_seen() -> None:
    with collecting(Registry()), pytest.raises(DeclarationError, match="is for probes"):

        @check(
            "doors.blind", principle="DSM-IBP-5", severity=Severity.LOW, layer=Layer.NETWORK, title_nl="T",
            why_nl="W", fix="f", verify="v", references=("r",),
        )  # fmt: skip
        def blind(door: Inside | Gap) -> Verdict:
            """T.

            W.
            """
            return holds(True, "")


def _ports(sockets: str | Gap, swept: dict[str, list[int]] | Gap, **fields: object) -> list[object]:
    """The TLS ports of a target, of which a shell and a sweep from outside say this."""
    checks = load_package("checks")
    target = Target.model_validate({"name": "host", "address": "192.0.2.1", **fields})
    answers: dict[Source, Collected] = {}
    for _ in range(3):
        facts = Facts(target, answers, checks, scan_time(0))
        known = facts.fact(TlsPort)
        for source in Plan([checks.checks["tls.protocol"]], checks).first(target, facts):
            if isinstance(source, Ports):
                seen = {
                    "refused": [],
                    "silent": [],
                    "failed": {},
                    **(swept if isinstance(swept, dict) else {}),
                }
                out = json.dumps({"from": "lan", "addresses": {"192.0.2.1": seen}}).encode()
                raw = Raw(code=None, gap=swept) if isinstance(swept, Gap) else Raw(out)
            elif "ss" in source.describe():
                raw = Raw(code=None, gap=sockets) if isinstance(sockets, Gap) else Raw(sockets.encode())
            else:
                continue
            answers[source] = Collected(raw, ())
        facts = Facts(target, answers, checks, scan_time(0))
        known = facts.fact(TlsPort)
    assert known.gap is None
    return [item.value.number if item.gap is None else (item.subject, item.gap.cause) for item in known.value]


_LISTENS = "tcp LISTEN 0 5 0.0.0.0:8443 0.0.0.0:*\n"
_NO_LOGIN = Gap(State.ERROR, Cause.AUTH, "no credential")
_NO_ROUTE = Gap(State.ERROR, Cause.ROUTE, "no route")


def test_tls_ports_are_those_seen_from_either_side() -> None:
    assert 8443 in TLS_PORTS
    assert _ports(_LISTENS, {"open": [443, 22]}, credential="scan") == [443, 8443]


def test_without_any_account_the_view_from_outside_is_the_whole_view() -> None:
    assert _ports(_NO_LOGIN, {"open": [443, 22]}) == [443]


def test_an_account_that_does_not_get_in_leaves_something_unseen() -> None:
    assert _ports(_NO_LOGIN, {"open": [443]}, credential="scan") == [443, ("other ports", Cause.AUTH)]
    assert _ports(_NO_LOGIN, _NO_ROUTE) == [("other ports", Cause.AUTH)]


def test_a_port_the_inventory_promises_tls_on_is_asked_unless_nothing_listens() -> None:
    services = [{"port": 4242, "tls": True}]
    assert _ports(_NO_LOGIN, {"open": [443]}, services=services) == [443, 4242]
    assert _ports(_LISTENS, {"open": [443]}, services=services) == [443, 8443]


@pytest.fixture
def listener() -> Iterator[int]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_host_we_cannot_log_in_to_is_still_looked_at_from_outside(listener: int, tmp_path: Path) -> None:
    target = Target.model_validate(
        {"name": "a", "address": "127.0.0.1", "port": 1, "services": [{"port": listener}]}
    )
    inventory = Inventory(sources=(), digest="", targets=(target,))
    store = Store(tmp_path)
    engine = LocalEngine(Plan(registry.checks.values(), registry), Worker(inventory, Vault()), store)
    (manifest,) = engine.run([target])
    assert manifest.gap is None
    answers = store.manifest("a").answers
    assert {type(source).__name__: raw.gap and raw.gap.cause for source, (raw, _) in answers.items()} == {
        "Command": Cause.AUTH,
        "Ports": None,
    }


@pytest.mark.parametrize(
    ("ports", "reached"),
    [({"open": [22]}, True), ({"refused": [22]}, True), ({"silent": [22]}, False)],
)
def test_a_host_of_which_no_port_says_anything_is_not_reached(
    ports: dict[str, list[int]], reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = json.dumps(
        {"addresses": {"192.0.2.1": {"open": [], "refused": [], "silent": [], **ports}}}
    ).encode()
    monkeypatch.setattr("scanner.worker.Session._look", lambda self, source: Timed(out))
    target = Target.model_validate({"name": "a", "address": "192.0.2.1", "services": [{"port": 2222}]})
    inventory = Inventory(sources=(), digest="", targets=(target,))
    plan = Plan(registry.checks.values(), registry)
    (manifest,) = LocalEngine(plan, Worker(inventory, Vault()), Store(tmp_path)).run([target])
    assert (manifest.gap is None) is reached


def test_datagrams_that_nobody_answers_are_no_sign_of_a_host() -> None:
    def sealed(end: End, said: bytes) -> Manifest:
        ports = {"open": [], "refused": [], "silent": [22], "failed": {}}
        swept = json.dumps({"from": "", "addresses": {"192.0.2.1": ports}}).encode()
        heard = write([Exchange("snmp", (Turn(b"?", said),), end)])
        asked = Dialogue(purpose="snmp", port=161, turns=(Say("?"),), protocol="udp", silence=True)
        return Manifest(
            "a",
            answers={Ports(numbers=(22,)): Collected(Timed(swept), ()), asked: Collected(Timed(heard), ())},
        )

    assert _nothing_seen(sealed("timeout", b"")) is not None
    assert _nothing_seen(sealed("done", b"!")) is None
    assert _nothing_seen(sealed("refused", b"")) is None
