"""What answers from outside, on real machines in a network of the test's own: each verdict moves with the firewall, the
server or the agreement, and moves back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from checks.network import zones
from scanner import cli
from scanner.model import Finding, State, Target
from tests.machine import Machine, machines
from tests.outside import look, server_at, state, told
from tests.sshd import by_key, keygen, public

pytestmark = pytest.mark.lab

WEB: Final = {"port": 8080, "name": "http", "purpose": "website", "from": ["any"]}
SSH: Final = {"port": 22, "name": "ssh", "purpose": "administration", "from": ["beheer"]}
#: TCP ports that are enough for what a test is about; all the usual ones where it is about those.
FEW: Final = (22, 23, 8080, 5432, 6379)


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Machine]]:
    with machines("one", "two") as (_, made):
        yield made


@pytest.fixture
def machine(pair: list[Machine]) -> Iterator[Machine]:
    for one in pair:
        one.filter()
    return pair[0]


def target(machine: Machine, *services: Mapping[str, object], **fields: Any) -> Target:
    described = {"addresses": (machine.address6,), "ports": FEW, "name": machine.name, **fields}
    return server_at(machine.address, *services, **described)


def looked(check: str, *targets: Target, vantage: str = "kantoor", **more: Any) -> list[Finding]:
    return look(*targets, only=[check], vantage=vantage, **more)[check]


def flips(seen: Callable[[], list[Finding]], good: Callable[[], None], bad: Callable[[], None]) -> str:
    """Good passes, bad fails, and good passes again; what was observed when bad."""
    wrong = ""
    for setting, expected in ((good, State.PASS), (bad, State.FAIL), (good, State.PASS)):
        setting()
        found = seen()
        assert state(found) is expected, told(found)
        wrong = told(found) if expected is State.FAIL else wrong
    return wrong


# --- agreed, and not ------------------------------------------------------------------------------------------


def test_an_undeclared_port_answers_until_the_firewall_drops_it(machine: Machine) -> None:
    host = target(machine, WEB)
    with machine.all_listening(8080, 23):
        said = flips(
            lambda: looked("exposure.only-declared", host),
            good=lambda: machine.filter("tcp dport 23 drop"),
            bad=machine.filter,
        )
    assert f"{machine.address}: 23/tcp (telnet); {machine.address6}: 23/tcp (telnet)" in said
    assert state(looked("exposure.only-declared", target(machine, WEB))) is State.PASS
    undescribed = target(machine, WEB, services=None)
    assert state(looked("exposure.only-declared", undescribed)) is State.UNKNOWN


def test_a_host_that_is_not_there_is_an_error_never_a_pass(machine: Machine) -> None:
    machine.filter("tcp flags syn drop", "meta l4proto udp drop")
    ids = ["exposure.only-declared", "exposure.silent-by-default", "zones.no-readable-logins"]
    whole = target(machine, WEB, ports="usual")
    for check, findings in look(whole, only=ids, vantage="kantoor").items():
        assert state(findings) is State.ERROR, f"{check}: {told(findings)}"
    away = server_at("198.51.100.1", WEB, ports=FEW)  # no route leads there
    for findings in look(away, only=["exposure.only-declared"]).values():
        assert state(findings) is State.ERROR, told(findings)


def test_a_declared_service_that_is_down_or_walled_in(machine: Machine) -> None:
    host = target(machine, WEB, SSH)
    with machine.listening(8080):
        said = flips(
            lambda: looked("exposure.declared-answers", host),
            good=machine.filter,
            bad=lambda: machine.filter("tcp dport 8080 reject with tcp reset"),
        )
        assert "does not answer: 8080/tcp (http)" in said
        machine.filter()
        assert state(looked("exposure.declared-answers", host, vantage="beheer")) is State.FAIL, "SSH is down"
    assert state(looked("exposure.declared-answers", host)) is State.FAIL


def test_who_may_come_in_is_upheld_by_the_firewall_or_is_paper(machine: Machine) -> None:
    host = target(machine, WEB, {**SSH, "from": ["beheer", "192.0.2.0/24"]})
    with machine.all_listening(8080, 22):
        said = flips(
            lambda: looked("exposure.from-as-declared", host),
            good=lambda: machine.filter(
                "ip saddr 10.77.0.1 tcp dport 22 drop", "ip6 saddr fd77::1 tcp dport 22 drop"
            ),
            bad=machine.filter,
        )
        assert "22/tcp (ssh)" in said
        machine.filter()
        assert state(looked("exposure.from-as-declared", host, vantage="beheer")) is State.PASS
        near = target(machine, WEB, {**SSH, "from": ["10.77.0.0/24", "fd77::/64"]})
        assert state(looked("exposure.from-as-declared", near)) is State.PASS
        assert state(looked("exposure.from-as-declared", host, vantage="")) is State.UNKNOWN


@pytest.mark.parametrize(
    ("check", "family"), [("exposure.ipv6-no-more", "ipv4"), ("exposure.ipv4-no-more", "ipv6")]
)
def test_one_version_of_ip_is_closed_and_the_other_open(machine: Machine, check: str, family: str) -> None:
    host = target(machine, WEB)
    with machine.all_listening(8080, 5432):
        said = flips(
            lambda: looked(check, host),
            good=lambda: machine.filter("tcp dport 5432 drop"),
            bad=lambda: machine.filter(f"meta nfproto {family} tcp dport 5432 drop"),
        )
        assert "5432/tcp (postgresql)" in said
    alone = target(machine, WEB, addresses=())
    assert state(looked(check, alone)) is State.NOTAPPLICABLE


def test_closed_ports_are_silent_when_a_filter_stands_before_them(machine: Machine) -> None:
    host = target(machine, WEB)
    drops = ("tcp dport 8080 accept",)
    with machine.listening(8080):
        said = flips(
            lambda: looked("exposure.silent-by-default", host),
            good=lambda: machine.filter(*drops, policy="drop"),
            bad=machine.filter,
        )
        assert "1 open, 0 silent, 4 refused" in said
        machine.filter(*drops, "reject with icmpx admin-prohibited")
        assert state(found := looked("exposure.silent-by-default", host)) is State.PASS, told(found)


def test_everything_that_answers_is_described(machine: Machine) -> None:
    with machine.listening(8080):
        good = target(machine, WEB, owner="Team Web")
        assert state(found := looked("exposure.described", good)) is State.PASS, told(found)
        for less in (target(machine, WEB), target(machine, {"port": 8080}, owner="Team Web")):
            assert state(looked("exposure.described", less)) is State.FAIL
        with machine.listening(23):
            assert "23/tcp: all" in told(looked("exposure.described", good))
        assert state(looked("exposure.described", good)) is State.PASS


def test_twins_show_the_same_ports(pair: list[Machine], machine: Machine) -> None:
    both = [target(one, WEB, cluster="web") for one in pair]
    with pair[0].all_listening(8080, 6379), pair[1].all_listening(8080, 6379):
        said = flips(
            lambda: looked("exposure.twins-alike", *both),
            good=lambda: [one.filter("tcp dport 6379 drop") for one in pair] and None,
            bad=pair[1].filter,
        )
        assert "also 6379/tcp" in said
        pair[0].filter("tcp flags syn drop", "meta l4proto udp drop")
        assert state(looked("exposure.twins-alike", *both)) is State.ERROR


def test_a_scan_without_any_account_and_judged_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("i.yaml").write_text(
        f"vantage: kantoor\nzones: {{kantoor: , dmz: }}\ntargets:\n  one:\n    address: {machine.address}\n"
        f'    addresses: ["{machine.address6}"]\n    platform: other\n    zone: dmz\n    owner: Team Web\n'
        "    services: [{port: 8080, name: http, purpose: website, from: [any]}]\n"
    )
    with machine.all_listening(8080, 23):
        scan = ("scan", "i.yaml", "--quiet", "--only", 'topic in ("exposure", "zones", "banners")')
        monkeypatch.setattr(sys, "argv", ["keurmeester", *scan])
        assert cli.run() == 1
    (run,) = Path("runs").iterdir()
    findings = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    failed = {finding["check"] for finding in findings if finding["status"] == "fail"}
    assert failed == {
        "exposure.only-declared", "exposure.described", "exposure.silent-by-default", "zones.no-readable-logins",
    }  # fmt: skip
    assert not {finding["check"] for finding in findings if finding["status"] in {"error", "unknown"}}
    monkeypatch.setattr(sys, "argv", ["keurmeester", "replay", str(run)])
    capsys.readouterr()
    assert cli.run() == 0, capsys.readouterr().out


# --- every kind, by zone --------------------------------------------------------------------------------------


def test_every_kind_of_service_is_found_until_the_firewall_drops_it(machine: Machine) -> None:
    groups = [group for group in (*zones.NOBODY, *zones.SOME) if group.tcp]
    ids = [group.id for group in groups]
    ports = sorted({min(group.ports) for group in groups})
    host = target(machine, ports="usual", addresses=(), zone="server")
    close = f"tcp dport {{ {', '.join(map(str, ports))} }} drop"
    with machine.all_listening(*ports):
        for rules, expected in (((), State.FAIL), ((close,), State.PASS), ((), State.FAIL)):
            machine.filter(*rules)
            found = look(host, only=ids, vantage="kantoor")
            assert {check: state(some) for check, some in found.items()} == dict.fromkeys(ids, expected)
        seen = look(host, only=ids, vantage="beheer")
        for group in groups:
            meant = State.FAIL if group in zones.NOBODY else State.NOTAPPLICABLE
            assert state(seen[group.id]) is meant, told(seen[group.id])
        seen = look(host, only=ids, vantage="server")
        for group in groups:
            meant = State.NOTAPPLICABLE if group.neighbours else State.FAIL
            assert state(seen[group.id]) is meant, told(seen[group.id])
        seen = look(
            host, only=ids, vantage="werkplek", given={id_: {"management": ["werkplek"]} for id_ in ids[4:]}
        )
        assert state(seen["zones.management-login"]) is State.NOTAPPLICABLE


def test_an_agreement_for_this_zone_is_one_and_any_is_none(machine: Machine) -> None:
    machine.filter()
    with machine.listening(5432):
        for origin, expected in (("kantoor", State.PASS), ("10.77.0.0/16", State.PASS), ("any", State.FAIL)):
            database = {"port": 5432, "name": "postgresql", "purpose": "register", "from": [origin]}
            host = target(machine, database, ports="usual", addresses=(), zone="server")
            assert state(found := looked("zones.databases", host)) is expected, told(found)
        # On another port it is known by its name.
    with machine.listening(15432):
        host = target(machine, {**database, "port": 15432}, ports="usual", addresses=(), zone="server")
        assert state(looked("zones.databases", host)) is State.FAIL


# --- the inside, too ------------------------------------------------------------------------------------------


@contextmanager
def sshd(machine: Machine, folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """An sshd on port 22 of the machine; the fields of a target, and of the inventory, to log in as root."""
    key, host_key = keygen(folder / "key"), keygen(folder / "host")
    (folder / "authorized").write_text(public(key) + "\n")
    config = folder / "sshd_config"
    lines = (
        *options, f"HostKey {host_key}", "Port 22", f"PidFile {folder}/pid", f"AuthorizedKeysFile {folder}/authorized",
        "StrictModes no", "UsePAM no", "PermitRootLogin prohibit-password", "PasswordAuthentication no",
        "MaxStartups 200", "PrintMotd no", "SetEnv HOME=/nonexistent",
    )  # fmt: skip
    config.write_text("\n".join(lines) + "\n")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with machine.server(
        "/usr/sbin/sshd", "-D", "-e", "-f", config, log=folder / "log", ready=machine.listens(22)
    ):
        yield {
            "platform": "linux", "credential": "root", "host_keys": (public(host_key),), "addresses": (),
            "inventory": {"root": by_key(key)},
        }  # fmt: skip


def inside(
    check: str, machine: Machine, fields: dict[str, Any], *services: Mapping[str, object]
) -> list[Finding]:
    described = {**fields, "ports": FEW}
    credentials = described.pop("inventory")
    return looked(check, target(machine, *services, **described), credentials=credentials)


def test_only_a_firewall_hides_what_listens_everywhere(machine: Machine, tmp_path: Path) -> None:
    machine.filter("tcp dport { 6379, 5432 } drop")
    with sshd(machine, tmp_path) as fields, machine.listening(5432, "127.0.0.1"):

        def seen() -> list[Finding]:
            return inside("exposure.not-firewall-alone", machine, fields, SSH)

        assert state(found := seen()) is State.PASS, told(found)
        with machine.listening(6379, "0.0.0.0"):
            assert "6379/tcp" in told(found := seen())
            assert state(found) is State.FAIL
        with machine.listening(6379, "127.0.0.1"):
            assert state(found := seen()) is State.PASS, told(found)


def test_a_port_that_the_host_does_not_know_of_itself(machine: Machine, tmp_path: Path) -> None:
    chain = "type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :22;"
    redirect = f"table ip between {{ chain in {{ {chain} }}; }}"
    with sshd(machine, tmp_path) as fields:
        said = flips(
            lambda: inside("exposure.seen-inside", machine, fields, SSH),
            good=machine.filter,
            bad=lambda: machine.filter(more=redirect),
        )
        assert f"does not listen inside: {machine.address}: 8080/tcp" in said


def test_what_listens_inside_is_tried_outside_whatever_its_port(machine: Machine, tmp_path: Path) -> None:
    with sshd(machine, tmp_path) as fields, machine.listening(8765):
        said = flips(
            lambda: inside("exposure.only-declared", machine, fields, SSH),
            good=lambda: machine.filter("tcp dport 8765 drop"),
            bad=machine.filter,
        )
        assert "8765/tcp" in said
        # Without the inside it is not known which other ports there are.
        wrong = {
            **fields,
            "host_keys": (
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOJ0FvZuRkfd8xXnFym14Y1wNqradigZ72nNrXUDUCM8",
            ),
        }
        assert state(inside("exposure.only-declared", machine, wrong, SSH)) is State.ERROR


def test_a_filter_that_refuses_is_known_by_what_listens_behind_it(machine: Machine, tmp_path: Path) -> None:
    with sshd(machine, tmp_path) as fields:

        def seen() -> list[Finding]:
            return inside("exposure.silent-by-default", machine, fields, SSH)

        machine.filter("tcp dport 22 accept", "reject with tcp reset")
        assert state(seen()) is State.FAIL
        with machine.listening(6379, "0.0.0.0"):
            assert state(found := seen()) is State.PASS, told(found)
            machine.filter()
            assert state(seen()) is State.FAIL


# --- datagrams ------------------------------------------------------------------------------------------------


@contextmanager
def chronyd(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "chrony.conf").write_text(
        f"local stratum 8\nallow all\ncmdport 0\nbindcmdaddress /\npidfile {folder}/pid\ndriftfile {folder}/drift\n"
    )
    command = ("chronyd", "-d", "-x", "-u", "root", "-f", folder / "chrony.conf")
    with machine.server(*command, log=folder / "log", ready=machine.listens(123, "udp")):
        yield


@contextmanager
def snmpd(machine: Machine, folder: Path, *lines: str) -> Iterator[None]:
    config = ("agentAddress udp:161,udp6:161", "rocommunity keurmeester-lab", *lines, "")
    (folder / "snmpd.conf").write_text("\n".join(config))
    command = ("snmpd", "-f", "-Lo", "-C", "-c", folder / "snmpd.conf", "-p", folder / "pid")
    with machine.server(
        *command, log=folder / "log", ready=machine.listens(161, "udp"), SNMP_PERSISTENT_DIR=str(folder)
    ):
        yield


@contextmanager
def rpcbind(machine: Machine, folder: Path) -> Iterator[None]:
    with machine.server("rpcbind", "-f", "-d", log=folder / "log", ready=machine.listens(111, "udp")):
        yield


@contextmanager
def memcached(machine: Machine, folder: Path) -> Iterator[None]:
    command = ("memcached", "-u", "root", "-U", "11211", "-l", "0.0.0.0", "-m", "8")
    with machine.server(*command, log=folder / "log", ready=machine.listens(11211, "udp")):
        yield


@contextmanager
def charon(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "strongswan.conf").write_text(
        "charon {\n load = random nonce aes sha1 sha2 hmac kdf gmp openssl kernel-netlink socket-default\n"
        " filelog { stderr { default = 1\n } }\n}\n"
    )
    with machine.server(
        "/usr/lib/ipsec/charon", log=folder / "log", ready=machine.listens(500, "udp"),
        STRONGSWAN_CONF=str(folder / "strongswan.conf"),
    ):  # fmt: skip
        yield


@contextmanager
def avahi(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "avahi.conf").write_text(
        "[server]\nhost-name=lab\nenable-dbus=no\nallow-interfaces=eth0\n[publish]\npublish-workstation=yes\n"
    )
    command = ("avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", folder / "avahi.conf")
    with machine.server(*command, log=folder / "log", ready=machine.listens(5353, "udp")):
        yield


@contextmanager
def nmbd(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "private").mkdir()
    (folder / "smb.conf").write_text(
        f"[global]\nnetbios name = LAB\nworkgroup = LAB\n{_samba_folders(folder)}"
    )
    command = ("nmbd", "-F", "--no-process-group", "-s", folder / "smb.conf", "-l", folder)
    with machine.server(*command, log=folder / "log", ready=machine.listens(137, "udp")):
        yield


@contextmanager
def samba(machine: Machine, folder: Path) -> Iterator[None]:
    """A domain controller as far as its directory goes."""
    machine.run(
        "unshare", "--uts", "sh", "-c", 'hostname dc1; exec "$@"', "lab",
        "samba-tool", "domain", "provision", "--realm=LAB.TEST", "--domain=LAB", "--server-role=dc",
        "--dns-backend=NONE", "--adminpass=Keurmeester.1", f"--host-ip={machine.address}", "--host-name=dc1",
        f"--targetdir={folder}", "--backend-store=tdb",
    )  # fmt: skip
    own = _samba_folders(folder, "winbindd socket directory", "ntp signd socket directory")
    (folder / "smb.conf").write_text(
        "[global]\nnetbios name = DC1\nrealm = LAB.TEST\nworkgroup = LAB\ntls enabled = no\n"
        "server role = active directory domain controller\nserver services = ldap, cldap\n"
        f"dcerpc endpoint servers =\n{own}"
    )
    command = ("samba", "-s", folder / "smb.conf", "-i", "--debug-stdout", "-M", "single")
    with machine.server(*command, log=folder / "log", ready=machine.listens(389, "udp")):
        yield


def _samba_folders(folder: Path, *more: str) -> str:
    """Everything Samba keeps, in a folder of the test's own; the private one is where the domain was made."""
    lines = []
    for what in (
        "state directory",
        "lock directory",
        "cache directory",
        "pid directory",
        "ncalrpc dir",
        *more,
    ):
        own = folder / what.partition(" ")[0]
        own.mkdir(exist_ok=True)
        lines.append(f"{what} = {own}")
    return "\n".join([f"private dir = {folder}/private", *lines, ""])


@contextmanager
def nsd(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 0.0.0.0\n pidfile: ""\n username: ""\n database: ""\n zonesdir: "{folder}"\n'
        f' xfrdfile: "{folder}/xfrd"\n zonelistfile: "{folder}/zones"\n xfrdir: "{folder}"\n'
        "remote-control:\n control-enable: no\n"
    )
    command = ("nsd", "-d", "-c", folder / "nsd.conf")
    with machine.server(*command, log=folder / "log", ready=machine.listens(53, "udp")):
        yield


@contextmanager
def ipmi(machine: Machine, folder: Path) -> Iterator[None]:
    (folder / "lan.conf").write_text(
        'name "lab"\nset_working_mc 0x20\n startlan 1\n  addr 0.0.0.0 623\n  priv_limit admin\n'
        "  allowed_auths_admin none md5\n  guid a123456789abcdefa123456789abcdef\n endlan\n"
    )
    (folder / "commands").write_text(
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n"
    )
    command = ("ipmi_sim", "-c", folder / "lan.conf", "-f", folder / "commands", "-n", "-s", folder)
    with machine.server(*command, log=folder / "log", ready=machine.listens(623, "udp")):
        yield


@contextmanager
def miniupnpd(machine: Machine, folder: Path) -> Iterator[None]:
    if "outer0" not in machine.run("ip", "-br", "link"):
        machine.run("ip", "link", "add", "outer0", "type", "veth", "peer", "name", "outer1")
        machine.run("ip", "addr", "add", "192.0.2.1/24", "dev", "outer0")
        machine.run("ip", "link", "set", "outer0", "up")
    (folder / "upnp.conf").write_text(
        "ext_ifname=outer0\nlistening_ip=eth0\nenable_upnp=yes\nenable_natpmp=no\next_perform_stun=no\n"
        f"uuid=00000000-0000-0000-0000-000000000001\nserial=1\nmodel_number=1\nlease_file={folder}/leases\n"
    )
    command = ("miniupnpd", "-d", "-f", folder / "upnp.conf", "-P", folder / "pid")
    with machine.server(*command, log=folder / "log", ready=machine.listens(1900, "udp")):
        yield


SERVERS: Final = {
    "ntp": (123, chronyd), "snmp": (161, snmpd), "rpcbind": (111, rpcbind), "memcached": (11211, memcached),
    "ike": (500, charon), "mdns": (5353, avahi), "netbios": (137, nmbd), "dns": (53, nsd),
    "ipmi": (623, ipmi), "ssdp": (1900, miniupnpd), "cldap": (389, samba),
}  # fmt: skip
BY_ZONE: Final = {
    "snmp": "zones.management-login", "rpcbind": "zones.remote-calls", "memcached": "zones.queues-and-caches",
    "mdns": "zones.local-discovery", "netbios": "zones.local-discovery", "ipmi": "zones.hardware",
    "ssdp": "zones.local-discovery", "cldap": "zones.directory",
}  # fmt: skip


@pytest.mark.parametrize("service", SERVERS)
def test_a_udp_service_answers_until_the_firewall_drops_it(
    machine: Machine, tmp_path: Path, service: str
) -> None:
    number, start = SERVERS[service]
    more = 3268 if service == "cldap" else number  # a domain controller has the global catalogue besides
    host = target(machine, WEB, addresses=(), ports="usual")
    ids = ["exposure.udp-as-declared", *([BY_ZONE[service]] if service in BY_ZONE else [])]
    with start(machine, tmp_path), machine.listening(8080):
        for rules, expected in (
            ((), State.FAIL),
            ((f"meta l4proto {{ tcp, udp }} th dport {{ {number}, {more} }} drop",), State.PASS),
            ((), State.FAIL),
        ):
            machine.filter(*rules)
            for check, findings in look(host, only=ids, vantage="kantoor").items():
                quiet = expected is State.PASS and check == BY_ZONE["snmp"]
                wanted = State.ERROR if quiet else expected  # an agent of version 2c is as silent
                assert state(findings) is wanted, f"{check}: {told(findings)}"
                assert expected is State.PASS or f"{number}/udp ({service})" in told(findings)
        agreed = {"port": number, "protocol": "udp", "name": service, "from": ["any"]}
        declared = target(machine, WEB, agreed, addresses=(), ports="usual")
        assert state(found := looked("exposure.udp-as-declared", declared)) is State.PASS, told(found)
        excluded = target(machine, WEB, {**agreed, "from": ["beheer"]}, addresses=(), ports="usual")
        assert state(looked("exposure.udp-as-declared", excluded)) is State.FAIL


def test_an_agent_of_version_2c_alone_is_not_taken_for_none(machine: Machine, tmp_path: Path) -> None:
    check, host = BY_ZONE["snmp"], target(machine, WEB, addresses=(), ports="usual")
    with machine.listening(8080):
        assert state(found := looked(check, host)) is State.PASS, told(found)
        with snmpd(machine, tmp_path, "[snmp] disableSNMPv3 yes"):
            assert state(found := looked(check, host)) is State.ERROR, told(found)
            assert "161/udp is silent" in told(found)
        assert state(found := looked(check, host)) is State.PASS, told(found)


def test_datagrams_are_asked_of_every_address(machine: Machine, tmp_path: Path) -> None:
    host = target(machine, WEB)
    with snmpd(machine, tmp_path), machine.listening(8080):
        said = told(looked("exposure.udp-as-declared", host))
        assert f"161/udp (snmp), 161/udp (snmp) of {machine.address6}" in said
        machine.filter("meta nfproto ipv4 udp dport 161 drop")
        said = told(looked("exposure.udp-as-declared", host))
        assert f"not agreed: 161/udp (snmp) of {machine.address6}" in said
        machine.filter("udp dport 161 drop")
        assert state(looked("exposure.udp-as-declared", host)) is State.PASS


def test_a_service_that_answers_with_much_more_than_was_asked(machine: Machine, tmp_path: Path) -> None:
    host = target(machine, WEB, addresses=())
    with rpcbind(machine, tmp_path), machine.listening(8080):
        found = looked("exposure.no-amplification", host)
        assert state(found) is State.FAIL, told(found)
        assert "111/udp (rpcbind)" in told(found)
        generous = {"exposure.no-amplification": {"factor": 100}}
        assert state(looked("exposure.no-amplification", host, given=generous)) is State.PASS
        machine.filter("udp dport 111 drop")
        assert state(looked("exposure.no-amplification", host)) is State.NOTAPPLICABLE
        machine.filter()
        assert state(looked("exposure.no-amplification", host)) is State.FAIL


# --- greetings ------------------------------------------------------------------------------------------------


def test_sshd_tells_its_distribution_until_it_is_told_not_to(machine: Machine, tmp_path: Path) -> None:
    host = target(machine, SSH, addresses=())
    for number, (option, expected) in enumerate(
        (("DebianBanner no", State.PASS), ("DebianBanner yes", State.FAIL), ("DebianBanner no", State.PASS))
    ):
        (tmp_path / str(number)).mkdir()
        with sshd(machine, tmp_path / str(number), option):
            found = looked("banners.ssh-tells-no-distribution", host)
            assert state(found, "22/tcp") is expected, told(found)
    assert state(looked("banners.ssh-tells-no-distribution", host)) is State.NOTAPPLICABLE


def test_vsftpd_tells_its_version_and_offers_tls_as_it_is_set(machine: Machine, tmp_path: Path) -> None:
    from tests.lab.certificates import Authority

    made = Authority().issue("ftp.test")
    (tmp_path / "both").write_bytes(made.key + made.chain)
    (tmp_path / "empty").mkdir()
    host = target(machine, {"port": 2121, "name": "ftp"}, addresses=())
    tls = f"ssl_enable=YES\nrsa_cert_file={tmp_path}/both\nrsa_private_key_file={tmp_path}/both\n"
    for banner, extra, tells, offers in (
        ("ftpd_banner=Welcome\n", tls, State.PASS, State.PASS),
        ("", "", State.FAIL, State.FAIL),
        ("ftpd_banner=Welcome\n", tls, State.PASS, State.PASS),
    ):
        config = tmp_path / "vsftpd.conf"
        config.write_text(
            f"listen=YES\nlisten_port=2121\nbackground=NO\nsecure_chroot_dir={tmp_path}/empty\n{banner}{extra}"
        )
        with machine.server("vsftpd", config, log=tmp_path / "log", ready=machine.listens(2121)):
            found = look(host, only=["banners.ftp-tells-no-version", "banners.ftp-offers-tls"])
        assert state(some := found["banners.ftp-tells-no-version"], "2121/tcp") is tells, told(some)
        assert state(some := found["banners.ftp-offers-tls"], "2121/tcp") is offers, told(some)


def test_a_mail_server_tells_its_version_when_it_is_told_to(machine: Machine, tmp_path: Path) -> None:
    host = target(machine, {"port": 1143, "name": "imap"}, addresses=())
    for number, (greeting, expected) in enumerate(
        (("ready", State.PASS), ("Dovecot 2.3.19.1 ready", State.FAIL), ("ready", State.PASS))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "dovecot.conf").write_text(
            f"base_dir = {folder}/run\nlog_path = /dev/stderr\nprotocols = imap\nssl = no\nlisten = 0.0.0.0\n"
            f"login_greeting = {greeting}\nservice imap-login {{\n inet_listener imap {{\n  port = 1143\n }}\n"
            " inet_listener imaps {\n  port = 0\n }\n}\npassdb {\n driver = static\n args = nopassword=y\n}\n"
        )
        command = ("dovecot", "-F", "-c", folder / "dovecot.conf")
        with machine.server(*command, log=folder / "log", ready=machine.listens(1143)):
            found = looked("banners.mail-tells-no-version", host)
        assert state(found, "1143/tcp") is expected, told(found)


def test_mariadb_tells_its_version_unless_it_is_told_otherwise(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "data"
    common = ("--no-defaults", f"--datadir={data}", "--user=root")
    subprocess.run(
        ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "let-in").write_text("CREATE USER IF NOT EXISTS 'lab'@'%' IDENTIFIED BY 'keurmeester-lab';\n")
    host = target(machine, {"port": 3306, "name": "mysql"}, addresses=())
    let_in = f"--init-file={tmp_path}/let-in"
    for option, expected in (
        ((), State.PASS),  # no account may come from here, so that the server turns us away
        ((let_in,), State.FAIL),
        ((let_in, "--version=10-db"), State.PASS),
        ((let_in,), State.FAIL),
    ):
        command = (
            "mariadbd", *common, *option, f"--socket={tmp_path}/socket", f"--pid-file={tmp_path}/pid",
            "--bind-address=0.0.0.0", "--port=3306", "--innodb-buffer-pool-size=8M", "--innodb-fast-shutdown=2",
        )  # fmt: skip
        with machine.server(*command, log=tmp_path / "log", ready=machine.listens(3306)):
            found = looked("banners.database-tells-no-version", host)
        assert state(found, "3306/tcp") is expected, told(found)


@pytest.fixture(autouse=True, scope="module")
def _programs() -> None:
    """A missing server must fail the tests, with its name."""
    needed = (
        "avahi-daemon chronyd dovecot ipmi_sim mariadb-install-db mariadbd memcached miniupnpd nft nmbd nsd rpcbind"
        " samba samba-tool snmpd ss sshd vsftpd"
    )
    missing = [
        program
        for program in needed.split()
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    ]
    assert not missing, f"install {', '.join(missing)}"
