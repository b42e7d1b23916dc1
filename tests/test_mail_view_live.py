"""Mail is judged by what a stranger sees of it: not the DNS from inside, nor a policy host that no sender believes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from scanner.model import State
from tests.outside import look, server_at, told
from tests.servers.authority import DV, Authority
from tests.servers.mail_host import MAIL_HOST, POLICY_HOST, policies
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
        Zone("seen.test", records),
    )
    target = server_at(MAIL_HOST, domains=("ad.test", "within.test", "gone.test", "seen.test"))
    with Names(tmp_path, zones) as names:
        found = look(target, only=checks, resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))
    for check in checks:
        unseen = [one for one in found[check] if not one.subject.endswith(("within.test", "seen.test"))]
        assert {one.status for one in unseen} == {State.UNKNOWN}, told(unseen)
    servers = {one.subject: one.status for one in found["mx.resolves"]}
    assert servers["mail.within.test"] is State.UNKNOWN, told(found["mx.resolves"])
    assert servers["mail.seen.test"] is State.PASS, "what is unseen hides what is seen"
    words = told(found["spf.present"] + found["mx.resolves"])
    assert "does not exist" in words
    assert "Active Directory" in words


def test_a_domain_that_is_not_seen_hides_no_other_mail_server(tmp_path: Path) -> None:
    records = f"@ MX 10 mail\nmail A {MAIL_HOST}\n_25._tcp.mail TLSA 3 1 1 {'ab' * 32}\n"
    target = server_at(MAIL_HOST, domains=("gone.test", "seen.test"))
    with Names(tmp_path, [Zone("seen.test", records)]) as names:
        found = look(target, only=["dane.present"], resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),))[
            "dane.present"
        ]
    servers = {one.subject: one.status for one in found}
    assert servers == {"mail.seen.test": State.PASS, "mail servers of gone.test": State.UNKNOWN}, told(found)


def test_a_policy_counts_only_with_a_certificate_that_senders_believe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy stays as it is; the certificate of its host is good, and then wrong in each way."""
    host, public, unknown = "mta-sts.sts.test", Authority(), Authority(name="Other", keys=4)
    for name, authority in (("public", public), ("own", unknown)):
        (tmp_path / name).write_bytes(authority.root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "public"))  # all that the system trusts
    certificates = {
        "good": public.issue(host, policies=(DV,)),
        "expired": public.issue(host, policies=(DV,), starts=-91, ends=-1),
        "for sts.test": public.issue("sts.test", policies=(DV,)),
        "not for servers": public.issue(host, policies=(DV,), eku=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "incomplete": public.issue(host, policies=(DV,), show=()),
        "unknown": Authority(name="Nobody", keys=7).issue(host, policies=(DV,)),
        "no public CA": unknown.issue(host, policies=(DV,)),
        "good again": public.issue("*.sts.test", policies=(DV,)),
    }
    texts = {host: "version: STSv1\nmode: enforce\nmx: mail.sts.test\nmax_age: 2592000\n"}
    zone = Zone(
        "sts.test", f'@ MX 10 mail\nmail A {MAIL_HOST}\n_mta-sts TXT "v=STSv1; id=1"\nmta-sts A {POLICY_HOST}'
    )
    targets = (server_at(MAIL_HOST, domains=("sts.test",)), server_at(POLICY_HOST, name="policies"))
    seen = {}
    with Names(tmp_path, [zone]) as names:
        for name, issued in certificates.items():
            with policies(tmp_path, texts, issued):
                found = look(
                    *targets, only=["mta-sts.policy"], resolvers=(RESOLVER,), dns_anchors=(str(names.anchor),),
                    trust_anchors=(str(tmp_path / "own"),),
                )["mta-sts.policy"]  # fmt: skip
            (seen[name],) = (one for one in found if one.target == "server")
    good = {name for name, one in seen.items() if one.status is State.PASS}
    assert good == {"good", "good again"}, told(seen.values())
    assert {one.status for name, one in seen.items() if name not in good} == {State.FAIL}, told(seen.values())
    for name in ("expired", "for sts.test", "not for servers", "no public CA"):
        assert name in seen[name].observed
