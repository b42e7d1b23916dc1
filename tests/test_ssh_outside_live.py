"""SSH as a stranger sees it, on real SSH servers: what they offer, what they refuse, and one connection for all."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
import pytest

from scanner.channels import ChannelError
from scanner.channels.ssh_hello import hello
from scanner.channels.ssh_login import knock
from scanner.model import Cause, Impact, State, Target
from scanner.sources import SshHello, SshLogin
from tests.outside import every_check, look, server_at, state, told
from tests.sshd import Sshd, by_key, keygen, public

pytestmark = pytest.mark.server
Start = Callable[..., Sshd]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("key") / "key")


@pytest.fixture
def start(tmp_path: Path, key: Path) -> Iterator[Start]:
    running: list[Sshd] = []

    def begin(*options: str, **more: Any) -> Sshd:
        running.append(Sshd(tmp_path / str(len(running)), *options, authorized=public(key), **more))
        return running[-1]

    yield begin
    for sshd in running:
        sshd.close()


def seen(sshd: Sshd, check: str, **fields: Any) -> State:
    found = look(at(sshd, **fields), only=[check])[check]
    print(told(found))
    return state(found, f"{sshd.port}/tcp")


def at(sshd: Sshd, **fields: Any) -> Target:
    return server_at(sshd.address, {"port": sshd.port, "name": "ssh"}, **fields)


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        ("ssh.seen-key-exchange", "KexAlgorithms +diffie-hellman-group1-sha1"),
        ("ssh.seen-ciphers", "Ciphers +aes128-cbc"),
        ("ssh.seen-post-quantum", "KexAlgorithms curve25519-sha256"),
        ("ssh.seen-signatures", "HostKeyAlgorithms +ssh-rsa"),
    ],
)
def test_one_setting_flips_what_is_seen(check: str, bad: str, start: Start) -> None:
    keys = ("rsa", "ed25519")
    assert seen(start(host_keys=keys), check) is State.PASS
    assert seen(start(bad, host_keys=keys), check) is State.FAIL


def test_macs_flip_what_is_seen(start: Start) -> None:
    assert seen(start("MACs -*sha1*,umac-64*"), "ssh.seen-macs") is State.PASS
    assert seen(start("MACs +hmac-md5"), "ssh.seen-macs") is State.FAIL


def test_no_login_by_nothing_and_none_by_password(start: Start) -> None:
    sshd = start()
    assert seen(sshd, "ssh.none-refused") is State.PASS
    assert seen(sshd, "ssh.password-not-offered") is State.PASS
    assert seen(start("PasswordAuthentication yes"), "ssh.password-not-offered") is State.FAIL
    assert seen(start("KbdInteractiveAuthentication yes"), "ssh.password-not-offered") is State.UNKNOWN
    chain = start("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    assert seen(chain, "ssh.password-not-offered") is State.PASS


@contextmanager
def without_a_password(folder: Path, setting: str) -> Iterator[Target]:
    """An sshd that knows the made-up account, whose password is empty: in a mount namespace of its own."""
    (folder / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
        "keurmeester-test:x:65000:65534::/nonexistent:/bin/false\n"
    )
    (folder / "shadow").write_text("root:*:19000::::::\nsshd:*:19000::::::\nkeurmeester-test::19000::::::\n")
    with socket.create_server(("127.0.89.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"{setting}\nPasswordAuthentication yes\nUsePAM no\nListenAddress 127.0.89.1\nPort {port}\nPidFile none\n"
        f"HostKey {folder}/host\nStrictModes no\n"
    )
    script = (
        'mount --bind "$0/passwd" /etc/passwd\nmount --bind "$0/shadow" /etc/shadow\n'
        'exec /usr/sbin/sshd -D -f "$0/config"'
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    process = subprocess.Popen(["unshare", "--mount", "sh", "-ec", script, folder], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.89.1", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield server_at("127.0.89.1", {"port": port, "name": "ssh"})
    finally:
        process.kill()
        process.wait()


def test_an_account_without_password_gets_in_only_where_that_is_allowed(tmp_path: Path) -> None:
    keygen(tmp_path / "host")
    for setting, expected in (
        ("PermitEmptyPasswords no", State.PASS),
        ("PermitEmptyPasswords yes", State.FAIL),
    ):
        with without_a_password(tmp_path, setting) as target:
            found = look(target, only=["ssh.none-refused"])["ssh.none-refused"]
        assert state(found) is expected, told(found)


class _Nobody(paramiko.ServerInterface):
    """Lets nobody in."""


@contextmanager
def paramiko_server(address: str, version: str = "", **options: Any) -> Iterator[Target]:
    """paramiko as a server, for what OpenSSH no longer does."""
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server((address, 0))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection, **options)
            transports.append(transport)
            if version:
                transport.local_version = version
            transport.get_security_options().ciphers = ("aes256-ctr", "aes128-cbc")
            transport.get_security_options().digests = ("hmac-sha2-256-etm@openssh.com",)
            transport.add_server_key(key)
            transport.start_server(event=threading.Event(), server=_Nobody())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server_at(address, {"port": listener.getsockname()[1], "name": "ssh"})
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()


def test_strict_exchange_and_protocol_flip_on_a_server_that_can_do_without() -> None:
    checks = ["ssh.seen-strict-exchange", "ssh.seen-protocol"]
    with paramiko_server("127.0.89.2", strict_kex=True) as target:
        found = look(target, only=checks)
    assert [state(found[check]) for check in checks] == [State.PASS, State.PASS]
    with paramiko_server("127.0.89.2", version="SSH-1.99-old", strict_kex=False) as target:
        found = look(target, only=checks)
    assert [state(found[check]) for check in checks] == [State.FAIL, State.FAIL]


def logged(sshd: Sshd, what: str) -> int:
    """How often the server has said this by now, given a moment to say it."""
    for _ in range(50):
        if what in sshd.log.read_text():
            break
        time.sleep(0.02)
    return sshd.log.read_text().count(what)


def test_a_scan_over_ssh_makes_no_connection_for_the_algorithms(start: Start, key: Path) -> None:
    sshd = start("LogLevel VERBOSE")
    account = {
        "platform": "linux",
        "port": sshd.port,
        "credential": "root",
        "host_keys": sshd.target().host_keys,
    }
    checks = ["ssh.seen-ciphers", "ssh.root-login"]
    over_ssh = look(at(sshd, **account), only=checks, credentials={"root": by_key(key)})
    assert state(over_ssh["ssh.root-login"]) in {State.PASS, State.FAIL}, told(over_ssh["ssh.root-login"])
    assert (logged(sshd, "Accepted publickey"), sshd.log.read_text().count("[preauth]")) == (1, 0)
    by_itself = look(at(sshd), only=checks[:1])
    assert logged(sshd, "[preauth]") == 1
    subject = f"{sshd.port}/tcp"
    (own,) = (one for one in over_ssh["ssh.seen-ciphers"] if one.subject == subject)
    (other,) = (one for one in by_itself["ssh.seen-ciphers"] if one.subject == subject)
    assert (own.status, own.observed) == (other.status, other.observed)


def test_a_stranger_is_not_played_without_consent(start: Start) -> None:
    sshd = start()
    found = look(at(sshd, consent=Impact.KNOCK), only=["ssh.none-refused"])["ssh.none-refused"]
    assert {one.cause for one in found} == {Cause.POLICY}


def test_a_server_too_old_for_us_is_seen_but_not_logged_in_to(start: Start) -> None:
    sshd = start("KexAlgorithms diffie-hellman-group1-sha1", host_keys=("rsa",))
    assert seen(sshd, "ssh.seen-key-exchange") is State.FAIL
    found = look(at(sshd), only=["ssh.none-refused"])["ssh.none-refused"]
    assert [one.cause for one in found if one.subject == f"{sshd.port}/tcp"] == [Cause.POLICY], told(found)


@pytest.mark.parametrize(
    "drip", [b"", b"hello\r\n", b"x"], ids=["silent", "lines without end", "a letter at a time"]
)
def test_a_tarpit_ends_within_its_time(drip: bytes) -> None:
    listener = socket.create_server(("127.0.89.4", 0))
    stop = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            while not stop.wait(0.05):
                connection.sendall(drip)

    port = listener.getsockname()[1]
    asked: list[tuple[Callable[[Any, str], object], Any]] = [
        (hello, SshHello(port=port, timeout=2)),
        (knock, SshLogin(port=port, timeout=2)),
    ]
    for ask, source in asked:
        thread = threading.Thread(target=serve)
        thread.start()
        began = time.monotonic()
        with pytest.raises(ChannelError) as caught:
            ask(source, "127.0.89.4")
        assert caught.value.cause is Cause.TIMEOUT
        assert time.monotonic() - began < 4
        stop.set()
        thread.join()
        stop.clear()
    listener.close()


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (b"", {Cause.RESET, Cause.PARSE, Cause.TIMEOUT}),
        (b"220 ftp ready\r\n", {Cause.PARSE, Cause.TIMEOUT}),
        (b"SSH-2.0-x\r\n" + bytes(2000), {Cause.PARSE, Cause.TIMEOUT, Cause.RESET}),
        (b"SSH-2.0-x\r\n\x00\x00\x01", {Cause.PARSE, Cause.TIMEOUT, Cause.RESET}),
    ],
    ids=["nothing", "another protocol", "zeros", "half a packet"],
)
def test_what_is_no_ssh_is_never_judged(said: bytes, ends: set[Cause]) -> None:
    listener = socket.create_server(("127.0.89.3", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.sendall(said)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        target = server_at("127.0.89.3", {"port": listener.getsockname()[1], "name": "ssh"})
        checks = ["ssh.none-refused", "ssh.password-not-offered", "ssh.seen-ciphers", "ssh.seen-key-exchange"]
        found = look(target, only=checks)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    for check in checks:
        assert state(found[check]) in {State.ERROR, State.UNKNOWN}, told(found[check])
        assert {one.cause for one in found[check]} <= ends, told(found[check])


def test_the_remedies_hold_together(start: Start) -> None:
    """Carried out one after the other none undoes another: each file is written with the same lines every time."""
    checks = every_check().registry.checks
    seen_from_outside = [id_ for id_ in checks if id_.startswith("ssh.seen-")]
    files: dict[str, str] = {}
    for id_ in seen_from_outside:
        for lines, path in re.findall(r"printf '(.*)\\n' > (\S+)", checks[id_].fix):
            assert files.setdefault(path, lines) == lines, path
    assert len(files) == 4
    sshd = start(*"\n".join(files.values()).split("\\n"), host_keys=("rsa", "ed25519"))
    assert {id_: seen(sshd, id_) for id_ in seen_from_outside} == dict.fromkeys(seen_from_outside, State.PASS)
