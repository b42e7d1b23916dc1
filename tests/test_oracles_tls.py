"""We see of TLS endpoints what other programs see together; each difference is explained in a file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

from checks.network.ports import TlsPort
from checks.network.tls_endpoint import TlsOffer, tls_offer
from scanner.channels import tls
from scanner.sources import TlsWalk
from tests.oracles import endpoints, peers
from tests.oracles.peers import Seen
from tests.servers.tls import NAME

pytestmark = pytest.mark.server


class Explained(NamedTuple):
    """A difference that is known: patterns for the endpoint, the version, kind and name, who sees it, and why."""

    endpoint: str
    version: str
    kind: str
    name: str
    seen_by: str
    why: str

    def covers(self, endpoint: str, seen: Seen, by: str) -> bool:
        pairs = zip((endpoint, *seen, by), self[:5], strict=True)
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


def explained() -> list[Explained]:
    lines = (Path(__file__).parent / "oracles/differences.csv").read_text().splitlines()
    return [Explained(*row) for row in csv.reader(line for line in lines if not line.startswith("#"))][1:]


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with endpoints.running(tmp_path_factory.mktemp("endpoints")) as found:
        yield found


def ours(port: int) -> TlsOffer:
    return tls_offer(tls.look(TlsWalk(port, NAME, parts="offer"), "127.0.0.1"), TlsPort(port, NAME))


def claims(offer: TlsOffer) -> set[Seen]:
    suites = {
        Seen(version, "suite", one.name) for version, part in offer.suites.items() for one in part.whole
    }
    return suites | {Seen(key, "group", one.name) for key, part in offer.groups.items() for one in part.whole}


def test_we_see_what_the_oracles_see_together(ports: dict[str, int]) -> None:
    assert len(ports) >= 30
    seen = {name: claims(ours(port)) for name, port in ports.items()}
    theirs = [peers.sslyze(ports.values()), peers.nmap(ports.values())]
    spoken = {port: {one.version for oracle in theirs for one in oracle[port]} for port in ports.values()}
    theirs += [peers.openssl(spoken), peers.gnutls(spoken)]
    theirs.append(peers.testssl(ports[name] for name in endpoints.SLOW))
    known, used, unexplained = explained(), set[Explained](), []
    for name, port in ports.items():
        union = {one for oracle in theirs for one in oracle.get(port, ())}
        named = {one.name for one in union if one.kind == "group"}
        # sslyze names a group without the version: it is no claim of its own when we have it in either.
        groups = {one.name for one in seen[name] if one.kind == "group"}
        union = {one for one in union if not (one.version == "any" and one.name in groups)}
        differences = [
            ("us", one) for one in seen[name] - union if not (one.kind == "group" and one.name in named)
        ]
        differences += [("them", one) for one in union - seen[name]]
        for by, one in differences:
            rows = [row for row in known if row.covers(name, one, by)]
            used |= set(rows)
            if not rows:
                unexplained.append(f"{name}: {one.version} {one.kind} {one.name} is seen by {by} only")
    assert not unexplained, "\n".join(unexplained)
    assert set(known) == used, "explained, but no longer so"
