"""A security officer alone: everything about TLS is established without any account, key or right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from scanner import cli
from tests.lab.certificates import Authority
from tests.servers.tls import NAME, keys, nginx

pytestmark = pytest.mark.server


def keurmeester(*words: str | Path) -> int:
    before, sys.argv = sys.argv, ["keurmeester", *map(str, words)]
    try:
        return cli.run()
    finally:
        sys.argv = before


def test_tls_is_scanned_and_judged_again_without_any_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.anchor)
    pair = keys(tmp_path / "served", authority.issue(NAME))
    with nginx(tmp_path, [pair], "ssl_protocols TLSv1.2;", "ssl_ciphers ECDHE+AESGCM;") as port:
        service = {"port": port, "name": "https", "tls": True, "server_name": NAME}
        inventory = {
            "targets": {"web": {"address": "127.0.0.1", "services": [service]}},
            "trust_anchors": ["ca.pem"],
        }
        (tmp_path / "i.yaml").write_text(yaml.safe_dump(inventory))
        only = ("--only", "topic in ('tls', 'certificate_chains')")
        assert keurmeester("plan", "i.yaml", *only) == 0
        planned = capsys.readouterr().out
        assert "TLS hellos" in planned
        assert "  ----  ss -Hltnup\n" in planned
        assert keurmeester("scan", "i.yaml", *only, "--quiet") == 1
    (run,) = (tmp_path / "runs").iterdir()
    found = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    states = {row["check"]: row["status"] for row in found if row["subject"] == f"{port}/tcp"}
    assert states["tls.protocol"] == states["tls.suites-sufficient"] == states["tls.chain-trusted"] == "pass"
    assert states["tls.newest-protocol"] == "fail"
    assert json.loads((run / "run.json").read_text())["targets"] == {"planned": 1, "reached": 1}
    assert keurmeester("replay", run) == 0
    capsys.readouterr()
    assert keurmeester("explain", "tls.protocol", "--target", "web") == 0
    told = capsys.readouterr().out
    assert "suites TLSv1.2: " in told
    assert " bytes sent, " in told
    assert max(map(len, told.splitlines())) < 1_000
