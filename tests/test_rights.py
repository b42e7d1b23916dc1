"""Which connections the scanner makes, told before it makes any: for who owns the firewalls and watches the network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from checks.network.ports import USUAL
from scanner import cli, scope
from scanner.rights import openings
from tests.outside import every_check

INVENTORY = """\
vantage: kantoor
zones: {kantoor: , dmz: , server: , default: }
credentials:
  c: {user: scan, key: "file:/nowhere"}
targets:
  web1:
    address: 192.0.2.1
    addresses: ["2001:db8::1"]
    zone: dmz
    credential: c
    services: [{port: 443, tls: true}, {port: 8765}, {port: 1123, protocol: udp, name: ntp}]
  web2: {address: 192.0.2.2, zone: dmz, platform: other, ports: all, services: []}
  db1: {address: 192.0.2.3, zone: server, platform: other, ports: [22, 23, 24, 5432]}
  me: {channel: local}
"""


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "i.yaml"
    path.write_text(INVENTORY)
    return path


def lines(inventory: Path, only: str, profile: str = "baseline") -> list[str]:
    return openings(scope.build(every_check(), [inventory], only=only, profile=profile))


def test_a_radius_server_must_be_reached_for_its_certificate(inventory: Path) -> None:
    wifi = "  wifi: {address: 192.0.2.4, services: [{port: 1812, protocol: udp, name: radius}]}\n"
    inventory.write_text(INVENTORY + wifi)
    assert "zone default: scanner -> 1812/udp (RADIUS) of 192.0.2.4" in lines(inventory, 'topic == "eap"')


def test_every_port_that_is_tried_is_told_per_zone_and_nothing_is_to_be_opened(inventory: Path) -> None:
    found = lines(inventory, 'topic in ("exposure", "zones")')
    open_nothing = "; open nothing for it, tell who watches the network"
    tried = [line.removesuffix(open_nothing) for line in found if line.endswith(open_nothing)]
    assert "zone dmz: scanner tries 1-65535/tcp (what answers) of 192.0.2.2" in tried
    assert "zone server: scanner tries 22-24,5432/tcp (what answers) of 192.0.2.3" in tried
    (usual,) = [line for line in tried if "of 192.0.2.1, 2001:db8::1" in line and "/tcp" in line]
    assert ",8765," in usual
    assert all(str(number) in usual or "-" in usual for number in USUAL)
    datagrams = [line for line in tried if "/udp (a question each)" in line]
    assert [line.split(":")[0] for line in datagrams] == ["zone dmz", "zone dmz", "zone server"]
    assert sum("53,111,123,137,161,389,500,623,1123" in line for line in datagrams) == 1
    assert [line for line in found if not line.endswith(open_nothing)] == [
        "zone dmz: scanner -> 22/tcp (SSH) of 192.0.2.1",
        "zone dmz: scanner -> 443/tcp (TLS) of 192.0.2.1",
    ]
    assert not any("me" in line.split() for line in found)


def test_without_checks_from_outside_only_the_way_in_is_needed(inventory: Path) -> None:
    assert lines(inventory, 'topic == "ssh"') == [
        "zone dmz: scanner -> 22/tcp (SSH) of 192.0.2.1",
        "zone dmz: scanner -> 443/tcp (TLS) of 192.0.2.1",
    ]


def test_a_profile_chooses_the_ports_where_the_inventory_does_not(inventory: Path, tmp_path: Path) -> None:
    profile = tmp_path / "few.yaml"
    profile.write_text("id: few\ntitle_nl: F\ntitle_en: F\nextends: baseline\nports: [22, 443]\n")
    found = lines(inventory, "id == 'exposure.only-declared'", str(profile))
    assert [line.split(" tries ")[1].split("/")[0] for line in found if " tries " in line] == [
        "1-65535", "22,443,8765", "22-24,5432",
    ]  # fmt: skip


def test_behind_a_jump_host_only_the_inventory_asks_for_ports(inventory: Path, tmp_path: Path) -> None:
    inventory.write_text(
        f"{INVENTORY}  far: {{jump: web1, zone: server, platform: other, services: [{{port: 443, tls: true}}]}}\n"
    )
    profile = tmp_path / "few.yaml"
    profile.write_text("id: few\ntitle_nl: F\ntitle_en: F\nextends: baseline\nports: [22, 443]\n")
    assert not any(" of far" in line for line in lines(inventory, "platform != 'linux'", str(profile)))
    inventory.write_text(inventory.read_text().replace("{jump: web1,", "{jump: web1, ports: usual,"))
    found = lines(inventory, "platform != 'linux'", str(profile))
    assert any("(what answers) of far" in line for line in found), found
    assert "zone server: scanner -> 443/tcp (TLS) of far" in found


def test_plan_and_rights_show_it(
    inventory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("plan connects"))
    for command in ("plan", "rights"):
        monkeypatch.setattr(sys, "argv", ["keurmeester", command, "i.yaml", "--only", 'topic == "exposure"'])
        assert cli.run() == 0
    said = capsys.readouterr().out
    assert f"connect to {len(USUAL) + 1} TCP ports of the target, 2001:db8::1 (look)" in said
    assert "connect to every TCP port of the target (look)" in said
    assert "connect to 4 TCP ports of the target (look)" in said
    assert "ntp: the time: 1123/udp of the target (look)" in said
    assert "ntp: the time: 123/udp of 2001:db8::1 (look)" in said
    assert "# zone dmz: scanner tries 1-65535/tcp (what answers) of 192.0.2.2; open nothing for it" in said
