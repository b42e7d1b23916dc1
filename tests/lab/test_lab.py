"""The lab is what it says: real hosts, each its own, and nothing of it leaves the box."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.lab.lab import HOSTS
from tests.lab.network import BRIDGE

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab


def ssh(lab: Lab, host: Host, account: str, command: str) -> subprocess.CompletedProcess[str]:
    known = lab.folder / f"known-{host.name}"
    known.write_text(f"{host.address} {host.host_key}\n")
    options = f"-F none -o BatchMode=yes -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes".split()
    return subprocess.run(
        ["ssh", *options, "-i", str(lab.key(account)), f"{account}@{host.address}", command],
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.fixture(params=["h-systemd", "h-plain"])
def host(lab: Lab, request: pytest.FixtureRequest) -> Host:
    return lab.host(request.param, kind="systemd" if request.param == "h-systemd" else "plain")


def test_a_host_is_its_own_machine(lab: Lab, host: Host) -> None:
    said = ssh(
        lab, host, "scan", "hostname; sudo -n id -u; cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l"
    ).stdout
    name, uid, first, processes = said.split()
    assert (name, uid) == (host.name, "0")
    assert first == {"systemd": "systemd", "plain": "sshd"}[host.kind]
    assert int(processes) < 60


def test_accounts_differ_in_what_sudo_gives_them(lab: Lab, host: Host) -> None:
    assert ssh(lab, host, "root", "id -u").stdout == "0\n"
    assert ssh(lab, host, "scan", "sudo -n id -u").stdout == "0\n"
    assert "password is required" in ssh(lab, host, "plain", "sudo -n id -u").stderr
    assert "password is required" in ssh(lab, host, "asks", "sudo -n id -u").stderr
    password = lab.passwords["asks"]
    assert ssh(lab, host, "asks", f"echo '{password}' | sudo -S -p '' id -u").stdout == "0\n"


def test_a_changed_file_comes_back_as_it_was(host: Host) -> None:
    before = host.must("stat -c '%a %U %Y %s' /etc/ssh/sshd_config; sha256sum /etc/ssh/sshd_config")
    with host.changed("/etc/ssh/sshd_config", "PermitRootLogin no\n", mode=0o666, owner=(1, 1)):
        assert host.must("stat -c '%a %u:%g' /etc/ssh/sshd_config") == "666 1:1\n"
        assert "permitrootlogin no" in host.must("sshd -T")
    assert host.must("stat -c '%a %U %Y %s' /etc/ssh/sshd_config; sha256sum /etc/ssh/sshd_config") == before
    with host.changed("/etc/new/folder/file", "x"):
        assert host.must("cat /etc/new/folder/file") == "x"
    assert host.sh("ls /etc/new").returncode


def test_a_sysctl_changes_on_the_host_alone(lab: Lab, host: Host) -> None:
    other = lab.host("h-other")
    machine = host.must("sysctl -n kernel.kptr_restrict")
    for key, value in (("net.ipv4.conf.all.log_martians", "1"), ("kernel.kptr_restrict", "2")):
        before = other.must(f"sysctl -n {key}")
        with host.sysctl(key, value):
            assert host.must(f"sysctl -n {key}") == f"{value}\n"
            assert other.must(f"sysctl -n {key}") == before
        assert host.must(f"sysctl -n {key}") == before
    assert host.must("sysctl -n kernel.kptr_restrict") == machine


def test_firewall_rules_are_the_hosts_own(lab: Lab, host: Host) -> None:
    drop = (
        "nft add table inet t; nft add chain inet t c '{ type filter hook input priority 0; policy drop; }'"
    )
    with host.flipped(do=drop, undo="nft delete table inet t"):
        assert "policy drop" in host.must("nft list ruleset")
        assert not lab.host("h-other").must("nft list ruleset")
    assert ssh(lab, host, "root", "id -u").stdout == "0\n"


def test_nothing_of_the_lab_leaves_the_box(lab: Lab, host: Host) -> None:
    def routes(*where: str) -> list[str]:
        found = []
        for family in ("-4", "-6"):
            said = lab.box.sh('exec "$@"', "ip", family, *where, "-j", "route")
            found += [route["dst"] for route in json.loads(said)]
        return [route for route in found if not route.startswith("fe80:")]

    assert routes() == ["10.77.0.0/16", "fd77::/64"]
    assert routes("-n", host.netns) == ["10.77.0.0/16"]
    assert lab.box.sh("cat /proc/sys/net/ipv4/ip_forward") == "0\n"


def test_the_machine_sees_no_interface_of_the_lab(lab: Lab, host: Host) -> None:
    with lab.box.left():
        said = subprocess.run(["ip", "-j", "address"], capture_output=True, text=True, check=True).stdout
    links = json.loads(said)
    addresses = [address["local"] for link in links for address in link.get("addr_info", [])]
    assert "127.0.0.1" in addresses
    assert not [address for address in addresses if address.startswith(("10.77.", "fd77:"))]
    assert not {BRIDGE, f"v-{host.name}"} & {link["ifname"] for link in links}


def test_the_test_itself_is_inside(host: Host) -> None:
    said = subprocess.run(["ip", "-j", "route"], capture_output=True, text=True, check=True).stdout
    assert [route["dst"] for route in json.loads(said)] == ["10.77.0.0/16"]


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_comes_up_as_meant(lab: Lab, name: str) -> None:
    host = lab.host(name)
    account = "audit" if "good" in HOSTS[name].trees else "root"
    assert ssh(lab, host, account, "hostname").stdout == f"{name}\n"
    assert host.start_time < 20
    if host.kind == "systemd":
        assert host.must("systemctl list-units --failed --no-legend") == ""


def test_each_firewall_is_the_real_one(lab: Lab) -> None:
    assert "policy drop" in lab.host("h-good").must("nft list chain inet filter input")
    assert lab.host("h-bad").must("nft list ruleset") == ""
    assert "-P INPUT DROP" in lab.host("h-iptables").must("iptables -S")
    assert "Status: active" in lab.host("h-ufw").must("ufw status")
    assert lab.host("h-firewalld").must("firewall-cmd --state") == "running\n"


def test_the_good_host_keeps_time_from_another(lab: Lab) -> None:
    fields = lab.host("h-good").must("chronyc -c tracking").split(",")
    assert fields[1] == lab.host("h-time").address
    assert fields[-1] == "Normal\n"


def test_trixie_is_debian_13(lab: Lab) -> None:
    assert 'VERSION_ID="13"' in lab.host("h-trixie").must("cat /etc/os-release")


def test_the_command_line_scans_hosts_as_different_accounts(lab: Lab) -> None:
    """The whole product once: inventory file in, run folder out, from within the lab's network."""
    good, plain, other = lab.host("h-good"), lab.host("h-plain"), lab.host("h-other")
    targets = [
        lab.target(good, "plain", name="h-good-unprivileged", services=[{"port": 443, "tls": True}]),
        lab.target(plain, "root"),
        lab.target(other, "asks", role="test", tags=("lab",)),
    ]
    done = lab.run(["scan", lab.inventory(targets), "--only", "topic == 'ssh'", "--quiet"])
    assert done.returncode == 2, done.stderr
    (run,) = (lab.folder / "runs").iterdir()
    findings = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    of = {(one["target"], one["check"]): (one["status"], one["cause"]) for one in findings}
    assert of["h-plain", "ssh.root-login"] == ("fail", None)
    assert of["h-other", "ssh.root-login"] == ("error", "privilege")
    assert of["h-good-unprivileged", "ssh.root-login"] == ("error", "privilege")
    assert lab.run(["replay", run]).returncode == 0
