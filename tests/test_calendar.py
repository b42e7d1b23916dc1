"""The calendar of a run: what ends, where it was seen, whose it is; made from evidence, so a replay makes it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from scanner import Gap, Renewal, Target, fact
from scanner import run as runs
from scanner.calendar import Calendar
from scanner.channels.known_hosts import KnownHosts
from scanner.declare import Registry, collecting, dated, probe
from scanner.engine import LocalEngine
from scanner.evaluate import NOT_COLLECTED, Facts, scan_time
from scanner.evidence import Store
from scanner.scope import Config, build, load
from scanner.vault import Vault
from scanner.worker import Worker
from tests.servers.authority import NAME, Authority
from tests.test_certificates_live import serving

INVENTORY = """
defaults: {{platform: other, owner: Team Web}}
trust_anchors: [root.pem]
targets:
  web1:
    address: 127.0.0.1
    services: [{{port: {port}, name: https, tls: true, server_name: {name}}}]
  web2:
    address: 127.0.0.2
    owner: Team Zaken
    services: [{{port: {port}, name: https, tls: true, server_name: {name}}}]
  gone:
    address: 127.0.0.3
    services: [{{port: {port}, name: https, tls: true, server_name: {name}}}]
"""


@pytest.mark.server
def test_a_certificate_of_two_hosts_is_one_line_and_replay_makes_it_again(tmp_path: Path) -> None:
    lab = Authority()
    issued = lab.issue(ends=20)
    (tmp_path / "root.pem").write_bytes(lab.root.certificate.public_bytes(Encoding.PEM))
    loaded = load(Config())
    with (
        serving(issued, tmp_path / "a", "127.0.0.1") as port,
        serving(issued, tmp_path / "b", "127.0.0.2", port),
    ):
        (tmp_path / "hosts.yaml").write_text(INVENTORY.format(port=port, name=NAME))
        scope = build(loaded, [tmp_path / "hosts.yaml"], only='id == "tls.certificate-valid"')
        run = runs.new_run(tmp_path / "runs", scope)
        worker = Worker(scope.inventory, Vault(), KnownHosts)
        for _ in LocalEngine(scope.plan, worker, Store(run)).run(scope.targets):
            pass
    runs.finish(run, scope)
    calendar = json.loads((run / "assessment.json").read_text())["calendar"]
    assert calendar["entries"] == [
        {
            "sha256": issued.certificate.fingerprint(hashes.SHA256()).hex(),
            "names": [NAME],
            "issuer": "CN=Lab Issuing,O=Lab",
            "ends": f"{issued.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            "how": "own-ca",
            "owners": ["Team Web", "Team Zaken"],
            "seen": [{"target": "web1", "place": f"{port}/tcp"}, {"target": "web2", "place": f"{port}/tcp"}],
        }
    ]
    assert runs.replay(run, loaded).differences == ()
    assessment = json.loads((run / "assessment.json").read_text())
    assessment["calendar"]["entries"][0]["ends"] = "2099-01-01T00:00:00Z"
    (run / "assessment.json").write_text(json.dumps(assessment))
    assert "calendar is not what the findings give" in runs.replay(run, loaded).differences[0]


# --- what cannot be seen --------------------------------------------------------------------------------------


@fact
class Thing:
    name: str


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    with collecting(made):
        made.facts.add(Thing)

        @probe("linux")
        def things(target: Target) -> list[Thing]:
            if target.name == "broken":
                raise ValueError("not understood")
            return [Thing(target.name)]

        @dated
        def thing_until(thing: Thing) -> Iterator[Renewal]:
            if thing.name != "odd":
                yield Renewal(thing.name, (thing.name,), "CN=CA", 1_800_000_000.0, "own-ca", "a file")
            if thing.name in {"odd", "half"}:
                raise ValueError("no date in it")

        yield made


def facts(registry: Registry, name: str, missing: Gap = NOT_COLLECTED) -> tuple[Target, Facts]:
    target = Target(name=name, address="127.0.0.1")
    return target, Facts(target, {}, registry, scan_time(datetime.now(UTC).timestamp()), missing)


def calendar_of(registry: Registry, *names: str) -> dict[str, Any]:
    calendar = Calendar(registry)
    for name in names:
        calendar.add(*facts(registry, name))
    return dict(calendar.data())


def test_what_was_not_understood_is_named(registry: Registry) -> None:
    found = calendar_of(registry, "a", "broken", "odd", "half")
    assert [entry["sha256"] for entry in found["entries"]] == ["a", "half"]
    assert found["unseen"] == ["broken", "odd", "half"]


def test_the_soonest_comes_first(registry: Registry) -> None:
    assert [entry["sha256"] for entry in calendar_of(registry, "b", "a")["entries"]] == ["a", "b"]
