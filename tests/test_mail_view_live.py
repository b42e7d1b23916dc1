"""Mail is judged by what a stranger sees of it: what a real resolver says from inside is not that."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model import State
from tests.outside import look, server_at, told
from tests.servers.mail_host import MAIL_HOST
from tests.servers.names import RESOLVER, Names, Zone

pytestmark = pytest.mark.server


def test_what_the_outside_does_not_see_is_not_judged(tmp_path: Path) -> None:
    """A name the resolver does not know, an Active Directory, and a mail server that only those within can reach."""
    checks = (
        "spf.present",
        "dmarc.present",
        "mta-sts.record",
        "mx.none-closed",
        "dkim.present",
        "mx.resolves",
    )
    records = f"@ MX 10 mail\nmail A {MAIL_HOST}\n"
    zones = (
        Zone("ad.test", f"{records}_ldap._tcp.dc._msdcs SRV 0 100 389 dc1\ndc1 A 192.0.2.4"),
        Zone("within.test", records.replace(MAIL_HOST, "192.168.1.25")),
    )
    target = server_at(MAIL_HOST, domains=("ad.test", "within.test", "gone.test"))
    with Names(tmp_path, zones) as names:
        found = look(target, only=checks, resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))
    for check in checks:
        unseen = [one for one in found[check] if "within.test" not in one.subject]
        assert {one.status for one in unseen} == {State.UNKNOWN}, told(unseen)
    assert {one.status for one in found["mx.resolves"]} == {State.UNKNOWN}, told(found["mx.resolves"])
    words = told(found["spf.present"] + found["mx.resolves"])
    assert "does not exist" in words
    assert "Active Directory" in words
