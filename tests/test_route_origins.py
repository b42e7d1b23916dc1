"""Route origins out of an export of a validator: found by address, and judged with the real names of a domain."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from scanner.channels import ChannelError
from scanner.channels.route_origins import covering
from scanner.model import Cause, State
from scanner.sources import RouteOrigins, from_data, to_data
from tests.outside import look, server_at, told
from tests.servers.names import RESOLVER, SECOND, Names, Zone


def export(path: Path, *roas: tuple[str, str, int], **metadata: object) -> str:
    """A file as routinator writes it."""
    listed = [
        {"asn": asn, "prefix": prefix, "maxLength": longest, "ta": "ripe"} for asn, prefix, longest in roas
    ]
    path.write_text(json.dumps({"metadata": metadata or {"generated": int(time.time())}, "roas": listed}))
    return str(path)


ASKED = RouteOrigins(("192.0.2.80", "2001:db8::80"))


def test_every_prefix_that_an_address_is_in_is_found(tmp_path: Path) -> None:
    path = export(
        tmp_path / "vrps.json",
        ("AS64496", "192.0.2.0/24", 24),
        ("AS64497", "192.0.0.0/16", 24),
        ("AS64498", "2001:db8::/32", 48),
        ("AS64499", "198.51.100.0/24", 24),
        generated=1795435200,
    )
    assert json.loads(covering(path, ASKED).text) == {
        "generated": 1795435200.0,
        "total": 4,
        "covering": [
            ["192.0.2.80", "192.0.2.0/24", 24, 64496],
            ["192.0.2.80", "192.0.0.0/16", 24, 64497],
            ["2001:db8::80", "2001:db8::/32", 48, 64498],
        ],
    }


def test_the_form_of_rpki_client_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "json"
    roas = [{"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 1795435200}]
    path.write_text(json.dumps({"metadata": {"buildtime": "2026-11-23T12:00:00Z"}, "roas": roas}))
    said = json.loads(covering(str(path), ASKED).text)
    assert (said["generated"], len(said["covering"])) == (1795435200.0, 1)


def test_what_is_no_export_is_an_error_and_none_named_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"roas": 1}')
    for path, cause in (("other", Cause.PARSE), ("nowhere", Cause.POLICY)):
        with pytest.raises(ChannelError) as caught:
            covering(str(tmp_path / path), ASKED)
        assert caught.value.cause is cause
    gap = covering("", ASKED).gap
    assert gap is not None
    assert gap.state is State.NOTAPPLICABLE


def test_the_source_goes_to_data_and_back() -> None:
    assert from_data(to_data(ASKED)) == ASKED


@pytest.mark.server
def test_the_verdict_follows_the_export(tmp_path: Path) -> None:
    names = Names(tmp_path, [Zone("gemeente.test", "@ A 93.184.215.14\n@ AAAA 2606:2800:220:1::1\n")])
    target = server_at(SECOND, domains=("gemeente.test",))
    name_servers = [("AS64496", "2001:db8::/32", 48)]
    both = [("AS64496", "93.184.215.0/24", 24), ("AS64496", "2606:2800:220::/48", 48), *name_servers]
    with names:
        for roas, state in ((both, State.PASS), (both[1:], State.FAIL), (both, State.PASS)):
            (one,) = look(
                target,
                only=["routing.origin-authorised"],
                resolvers=(RESOLVER,),
                dns_anchors=(str(names.anchor),),
                route_origins=export(tmp_path / "vrps.json", *roas),
            )["routing.origin-authorised"]
            assert one.status is state, told([one])
        (one,) = look(target, only=["routing.origin-authorised"], resolvers=(RESOLVER,))[
            "routing.origin-authorised"
        ]
        assert one.status is State.NOTAPPLICABLE
