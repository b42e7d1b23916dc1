"""The faults are what they say, seen by a plain client: what the scanner makes of them is tested elsewhere."""

from __future__ import annotations

import socket
import time

import pytest

from tests.lab import faults
from tests.lab.host import Host
from tests.lab.lab import Lab


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.host("h-plain")


def read_all(connection: socket.socket) -> bytes:
    said = b""
    while data := connection.recv(65536):
        said += data
    return said


def test_pass_lets_everything_through(host: Host) -> None:
    with (
        faults.port(faults.PASS, to=host) as port,
        socket.create_connection((port.address, port.port), timeout=5) as connection,
    ):
        assert connection.recv(8) == b"SSH-2.0-"
        connection.sendall(b"SSH-2.0-test\r\n")
        said = b""
        while b"curve25519" not in said:
            said += connection.recv(4096)
    assert port.connections == 1


def test_stall_says_so_many_bytes_and_then_nothing(host: Host) -> None:
    with (
        faults.port(faults.stall(after=5), to=host) as port,
        socket.create_connection((port.address, port.port), timeout=0.3) as connection,
    ):
        assert connection.recv(100) == b"SSH-2"
        with pytest.raises(TimeoutError):
            connection.recv(100)


def test_reset_cuts_with_a_reset_and_cut_with_an_end(host: Host) -> None:
    with (
        faults.port(faults.reset(after=5), to=host) as port,
        socket.create_connection((port.address, port.port), timeout=5) as connection,
        pytest.raises(ConnectionResetError),
    ):
        read_all(connection)
    with (
        faults.port(faults.cut(after=5), to=host) as port,
        socket.create_connection((port.address, port.port), timeout=5) as connection,
    ):
        assert read_all(connection) == b"SSH-2"


def test_drip_and_delay_take_their_time(host: Host) -> None:
    for fault in (faults.drip(rate=100), faults.delay(0.4)):
        with (
            faults.port(fault, to=host) as port,
            socket.create_connection((port.address, port.port), timeout=5) as connection,
        ):
            started = time.monotonic()
            while b"\n" not in connection.recv(100):
                pass
            assert time.monotonic() - started > 0.2


def test_ports_without_a_server_behind_them() -> None:
    with (
        faults.port(faults.GARBAGE) as port,
        socket.create_connection((port.address, port.port), timeout=5) as connection,
    ):
        assert len(read_all(connection)) == 512
    with (
        faults.port(faults.CLOSED) as port,
        socket.create_connection((port.address, port.port), timeout=5) as connection,
    ):
        assert read_all(connection) == b""
    with (
        faults.port(faults.HALF_OPEN) as port,
        socket.create_connection((port.address, port.port), timeout=0.3) as connection,
        pytest.raises(TimeoutError),
    ):
        connection.recv(1)


def test_refused_silent_and_without_a_route(host: Host) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("10.77.0.1", faults.refused()), timeout=5)
    with faults.silent(host), pytest.raises(TimeoutError):
        socket.create_connection((host.address, host.port), timeout=0.3)
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection((faults.NO_ROUTE, 22), timeout=5)


def test_a_full_disk_takes_not_a_byte_more(host: Host) -> None:
    with faults.disk_full(host):
        assert "No space left" in host.sh("cp /bin/true /var/tmp/new").stderr
    host.must("rm /var/tmp/new; cp /bin/true /var/tmp/new; rm /var/tmp/new")


def test_a_login_shell_can_flood(host: Host) -> None:
    with faults.login_shell(host, "scan", faults.FLOOD):
        flood = host.must("su - scan -c true | head -c 1000000 | wc -c")
    assert flood == "1000000\n"
    assert host.must("su - scan -c 'echo back'") == "back\n"


@pytest.mark.parametrize(("name", "kind"), [("h-plain", "plain"), ("h-systemd", "systemd")])
def test_sshd_shows_a_new_host_key_after_a_reload(lab: Lab, name: str, kind: str) -> None:
    host = lab.host(name, kind=kind)  # type: ignore[arg-type]
    host.must("rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ed25519 -N '' -f /tmp/k")

    def shown() -> str:
        return host.must(f"ssh-keyscan -t ed25519 {host.address} 2>/dev/null").partition(" ")[2].strip()

    assert shown() == host.host_key
    key = "/etc/ssh/ssh_host_ed25519_key"
    with (
        host.changed(key, host.must("cat /tmp/k")),
        host.changed(f"{key}.pub", host.must("cat /tmp/k.pub"), reload=host.reload_sshd),
    ):
        assert host.must("cat /tmp/k.pub").startswith(shown())
    host.reload_sshd()
    assert shown() == host.host_key
