"""The SSH channel against real servers on loopback: what works, and the right cause for everything that does not."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from scanner.channels import ChannelError, ssh
from scanner.channels.known_hosts import KnownHosts
from scanner.channels.shell import Batch
from scanner.channels.ssh import SshTransport, Timeouts
from scanner.model import Cause, Credential, Gap, Raw, State, Target
from scanner.sources import MEBIBYTE, Command
from scanner.vault import Vault
from tests.sshd import Sshd, by_key, keygen, public

pytestmark = pytest.mark.server

HERE = Path(__file__).resolve().parent.parent
GAP = Gap(State.ERROR, Cause.RESET, "no end")
SOON = Timeouts(connect=1, handshake=1, login=2, channel=2, silence=1)


@pytest.fixture(autouse=True)
def _nothing_left_behind(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for _ in range(100):
        left = set(threading.enumerate()) - before
        if not left:
            break
        time.sleep(0.02)
    assert not left
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def key(folder: Path) -> Path:
    return keygen(folder / "key")


@pytest.fixture(scope="module")
def server(folder: Path, key: Path) -> Iterator[Sshd]:
    running = Sshd(folder / "server", authorized=public(key), host_keys=("ed25519", "ecdsa", "rsa"))
    yield running
    running.close()


@pytest.fixture
def start(tmp_path: Path, key: Path) -> Iterator[Callable[..., Sshd]]:
    """Start a server of one's own."""
    running: list[Sshd] = []

    def starter(*options: str, authorized: str = "", **more: Any) -> Sshd:
        folder = tmp_path / f"sshd{len(running)}"
        running.append(Sshd(folder, *options, authorized=authorized or public(key), **more))
        return running[-1]

    yield starter
    for one in running:
        one.close()


@contextmanager
def connected(target: Target, credential: Credential, **more: Any) -> Iterator[SshTransport]:
    settings = {"vault": Vault(), "known_hosts": KnownHosts(), "timeouts": SOON} | more
    transport = ssh.connect(target, credential, **settings)
    try:
        yield transport
    finally:
        transport.close()


def refusal(target: Target, credential: Credential, *, within: float = 5, **more: Any) -> ChannelError:
    """The error with which connecting ends, soon enough."""
    began = time.monotonic()
    with pytest.raises(ChannelError) as caught, connected(target, credential, **more):
        pass
    assert time.monotonic() - began < within
    return caught.value


def ask(transport: SshTransport, *sources: Command) -> list[Raw]:
    batch = Batch(sources)
    transport.run(batch)
    return list(batch.answers(GAP).values())


def whoami(target: Target, credential: Credential, **more: Any) -> str:
    with connected(target, credential, **more) as transport:
        return ask(transport, Command("id -un"))[0].text


# -- a batch over a connection --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shell(server: Sshd, key: Path) -> Iterator[Callable[..., list[Raw]]]:
    """Asks over one connection that all tests of this group share."""
    held: list[SshTransport] = []

    def asker(*sources: Command) -> list[Raw]:
        if not held:
            held.append(ssh.connect(server.target(), by_key(key), vault=Vault(), known_hosts=KnownHosts()))
        return ask(held[0], *sources)

    yield asker
    for transport in held:
        transport.close()


@pytest.fixture(autouse=True, scope="module")
def _shared_connection_is_open(shell: Callable[..., list[Raw]]) -> None:
    shell(Command("true"))


def test_answers_keep_streams_and_exit_codes_apart(shell):
    both, quiet, user = shell(
        Command("sh -c 'echo out; echo err >&2; exit 3'"), Command("true"), Command("id -un")
    )
    assert (both.out, both.err, both.code, both.gap) == (b"out\n", b"err\n", 3, None)
    assert (quiet.out, quiet.err, quiet.code) == (b"", b"", 0)
    assert user.text == "root\n"


def test_who_we_are_there_is_known(server, key):
    with connected(server.target(), by_key(key)) as transport:
        batch = Batch([Command("true")])
        transport.run(batch)
    assert batch.user == (0, "root")


def test_forged_frames_pass_for_text(shell):
    forged = "0" * 32 + " E 0 0"
    first, second = shell(Command(f"printf '\\n{forged}\\n{forged}\\n'"), Command("echo mine"))
    assert first.out == f"\n{forged}\n{forged}\n".encode()
    assert second.out == b"mine\n"


def test_three_megabytes_of_nul_on_both_streams(shell):
    size = 3 * MEBIBYTE
    loud, after = shell(
        Command(f"sh -c 'head -c {size} /dev/zero & head -c {size} /dev/zero >&2; wait'", limit=4 * MEBIBYTE),
        Command("echo after"),
    )
    assert loud.out == bytes(size)
    assert loud.gap is None
    assert after.out == b"after\n"


def test_program_that_reads_stdin_gets_nothing_of_the_script(shell):
    assert [raw.out for raw in shell(Command("cat"), Command("echo still here"))] == [b"", b"still here\n"]


def test_output_without_a_last_newline_stays_as_it_is(shell):
    assert [raw.out for raw in shell(Command("printf abc"), Command("printf ''"))] == [b"abc", b""]


def test_program_that_kills_itself_is_an_exit_code(shell):
    killed, after = shell(Command("sh -c 'kill -9 $$'"), Command("echo after"))
    assert killed.code == 137
    assert after.out == b"after\n"


def test_missing_program(shell):
    absent, missing = shell(Command("no-such-program -x", needs="no-such-program"), Command("nor-this"))
    assert (absent.gap.state, absent.gap.cause) == (State.NOTAPPLICABLE, None)
    assert (missing.gap.state, missing.gap.cause) == (State.ERROR, Cause.TOOL_MISSING)


def test_slow_source_ends_at_its_own_limit(shell):
    slow, after = shell(Command("sleep 30", timeout=1), Command("echo after"))
    assert slow.code == 124
    assert 0.9 < slow.took < 3
    assert after.out == b"after\n"


def test_source_that_says_too_much_is_cut(shell):
    much, after = shell(Command("head -c 100000 /dev/zero", limit=1000), Command("echo after"))
    assert much.gap.cause is Cause.TRUNCATED
    assert after.out == b"after\n"


def test_two_batches_at_once_over_one_connection(server, key):
    with connected(server.target(), by_key(key)) as transport:
        slow, fast = Batch([Command("sh -c 'sleep 0.7; echo slow'")]), Batch([Command("echo fast")])
        beside = threading.Thread(target=transport.run, args=(slow,))
        began = time.monotonic()
        beside.start()
        transport.run(fast)
        assert time.monotonic() - began < 0.6
        beside.join()
        assert time.monotonic() - began < 1.5
        assert len(server.sessions) > 0
    assert [batch.answers(GAP).popitem()[1].out for batch in (slow, fast)] == [b"slow\n", b"fast\n"]


def test_host_that_allows_one_session_gets_the_batches_in_turn(start, key):
    with connected(start("MaxSessions 1").target(), by_key(key)) as transport:
        batches = [Batch([Command("sh -c 'sleep 0.3; echo one'")]) for _ in range(3)]
        threads = [threading.Thread(target=transport.run, args=(batch,)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [batch.answers(GAP).popitem()[1].out for batch in batches] == [b"one\n"] * 3


def test_host_that_allows_no_session_at_all(start, key):
    with connected(start("MaxSessions 0").target(), by_key(key)) as transport:
        with pytest.raises(ChannelError, match="opens no session") as caught:
            transport.run(Batch([Command("true")]))
        assert caught.value.cause is Cause.POLICY


# -- a batch that goes wrong ----------------------------------------------------------------------------------


def run_and(transport: SshTransport, batch: Batch, meanwhile: Callable[[], None]) -> ChannelError:
    """The error of a batch during which something happens, half a second after its start."""
    timer = threading.Timer(0.5, meanwhile)
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(ChannelError) as caught:
            transport.run(batch)
        assert time.monotonic() - began < 5
    finally:
        timer.join()
    return caught.value


def test_connection_cut_in_mid_script(start, key):
    server = start()
    with connected(server.target(), by_key(key)) as transport:
        batch = Batch([Command("echo first"), Command("sleep 30", timeout=60), Command("echo last")])
        error = run_and(transport, batch, lambda: os.kill(server.sessions[0], signal.SIGKILL))
        assert error.cause is Cause.RESET
        assert error.detail.startswith("in mid-script: ")
        first, second, third = batch.answers(GAP).values()
        assert (first.out, first.gap) == (b"first\n", None)
        assert (second.gap, third.gap) == (GAP, GAP)
        with pytest.raises(ChannelError):
            transport.run(Batch([Command("true")]))


def test_shell_killed_in_mid_script(start, key):
    server = start()
    with connected(server.target(), by_key(key)) as transport:

        def kill_the_shell() -> None:
            shells = [p for p in server.sessions if Path(f"/proc/{p}/cmdline").read_bytes() == b"sh\0-s\0"]
            os.kill(shells[0], signal.SIGKILL)

        error = run_and(transport, Batch([Command("sleep 1", timeout=60)]), kill_the_shell)
        assert error.cause is Cause.RESET
        assert "the shell ended in mid-script" in error.detail
        assert ask(transport, Command("echo fine"))[0].out == b"fine\n"


def test_host_that_falls_silent_in_mid_script(start, key):
    server = start()
    stopped: list[int] = []

    def stop() -> None:
        stopped.append(server.sessions[0])
        os.kill(stopped[0], signal.SIGSTOP)

    with connected(server.target(), by_key(key)) as transport:
        error = run_and(transport, Batch([Command("sleep 30", timeout=1)]), stop)
    assert (error.cause, error.detail) == (Cause.TIMEOUT, "in mid-script: not a word for 4 s")


def test_deadline_of_a_batch_leaves_the_connection_of_use(server, key):
    with connected(server.target(), by_key(key)) as transport:
        batch = Batch([Command("sh -c 'echo begun; sleep 3'")])
        batch.deadline = 1
        with pytest.raises(ChannelError, match="no end within 1 s") as caught:
            transport.run(batch)
        assert caught.value.cause is Cause.TIMEOUT
        answer = batch.answers(GAP).popitem()[1]
        assert (answer.out, answer.gap) == (b"begun\n", GAP)
        assert ask(transport, Command("echo fine"))[0].out == b"fine\n"


def test_host_that_keeps_talking_does_not_pass_the_deadline(server, key):
    with connected(server.target(), by_key(key)) as transport:
        batch = Batch([Command("sh -c 'while :; do echo; sleep 0.01; done'")])
        batch.deadline = 1
        began = time.monotonic()
        with pytest.raises(ChannelError, match="no end within 1 s"):
            transport.run(batch)
        assert time.monotonic() - began < 2


def test_script_larger_than_the_window(start, key):
    # 3 MB of script, while sshd takes 2 MB before the shell has read any: sent as it is read.
    sources = [Command(f"test -n {'x' * 30_000}", timeout=1 + n) for n in range(100)]
    with connected(start().target(), by_key(key)) as transport:
        assert {raw.code for raw in ask(transport, *sources)} == {0}


def test_host_that_floods_is_given_up(server, key):
    with connected(server.target(), by_key(key)) as transport:
        batch = Batch([Command("yes", limit=1000), Command("echo after")], limit=2 * MEBIBYTE)
        began = time.monotonic()
        with pytest.raises(ChannelError, match="more than 2 MiB") as caught:
            transport.run(batch)
        assert caught.value.cause is Cause.TRUNCATED
        assert time.monotonic() - began < 5


def test_flood_does_not_harm_the_batch_beside_it(server, key):
    with connected(server.target(), by_key(key)) as transport:
        calm = Batch([Command("sh -c 'sleep 0.5; echo calm'")])
        beside = threading.Thread(target=transport.run, args=(calm,))
        beside.start()
        with pytest.raises(ChannelError):
            transport.run(Batch([Command("yes")], limit=MEBIBYTE))
        beside.join()
    assert calm.answers(GAP).popitem()[1].out == b"calm\n"


def test_closing_ends_a_batch_in_another_thread(server, key):
    with connected(server.target(), by_key(key)) as transport:
        error = run_and(transport, Batch([Command("sleep 30", timeout=60)]), transport.close)
        assert error.cause is Cause.RESET
        transport.close()


@pytest.mark.parametrize(
    ("forced", "cause", "words"),
    [
        ("/usr/sbin/nologin", Cause.POLICY, "This account is currently not available"),
        ("/no/such/program", Cause.TOOL_MISSING, "exit status 127"),
        ("exit 0", Cause.POLICY, "exit status 0"),
    ],
)
def test_account_without_a_shell(start, key, forced, cause, words):
    with connected(start(f"ForceCommand {forced}").target(), by_key(key)) as transport:
        with pytest.raises(ChannelError, match="no POSIX shell") as caught:
            transport.run(Batch([Command("true")]))
        assert caught.value.cause is cause
        assert words in caught.value.detail


# -- host keys ------------------------------------------------------------------------------------------------


def known(*lines: str) -> KnownHosts:
    reader = KnownHosts()
    for line in lines:
        reader.add(line)
    return reader


def test_unknown_host_key_is_refused_before_any_login(start, key):
    server = start()
    error = refusal(server.target(host_keys=()), by_key(key))
    assert error.cause is Cause.HOSTKEY
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", server.host_keys["ed25519"]], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    assert f"unknown host key ssh-ed25519 {fingerprint}" in error.detail
    assert "known_hosts" in error.detail
    time.sleep(0.1)
    assert "for root" not in server.log.read_text()


def test_changed_and_revoked_host_key(server, key, folder):
    other = public(keygen(folder / "other_host_key"))
    name = f"[{server.address}]:{server.port}"
    mine = public(server.host_keys["ed25519"])
    plain = server.target(host_keys=())
    changed = refusal(plain, by_key(key), known_hosts=known(f"{name} {other}"))
    revoked = refusal(plain, by_key(key), known_hosts=known(f"{name} {mine}", f"@revoked * {mine}"))
    assert {changed.cause, revoked.cause} == {Cause.HOSTKEY}
    assert "the host key has changed" in changed.detail
    assert "revoked" in revoked.detail


def test_known_hosts_lets_in_also_when_hashed(server, key, tmp_path):
    path = tmp_path / "known_hosts"
    path.write_text(f"[{server.address}]:{server.port} {public(server.host_keys['ed25519'])}\n")
    plain = server.target(host_keys=())
    assert whoami(plain, by_key(key), known_hosts=KnownHosts.load([path])) == "root\n"
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert server.address not in path.read_text()
    assert whoami(plain, by_key(key), known_hosts=KnownHosts.load([path])) == "root\n"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_host_shows_the_key_that_is_known(server, key, kind):
    assert whoami(server.target(host_keys=(public(server.host_keys[kind]),)), by_key(key)) == "root\n"


def test_inventory_wins_from_known_hosts(server, key, folder):
    other = public(keygen(folder / "pinned_instead"))
    name = f"[{server.address}]:{server.port}"
    right = known(f"{name} {public(server.host_keys['ed25519'])}")
    wrong = known(f"{name} {other}")
    assert refusal(server.target(host_keys=(other,)), by_key(key), known_hosts=right).cause is Cause.HOSTKEY
    assert whoami(server.target(), by_key(key), known_hosts=wrong) == "root\n"


def test_broken_key_in_the_inventory_is_named(server, key):
    error = refusal(server.target(host_keys=("ssh-ed25519 AAAA",)), by_key(key))
    assert (error.cause, "host_keys of server in the inventory" in error.detail) == (Cause.HOSTKEY, True)


def test_certificate_authority_and_unread_files_are_told(server, key, folder):
    reader = known(f"@cert-authority * {public(keygen(folder / 'authority'))}")
    reader.unread.append("/etc/ssh/ssh_known_hosts: Permission denied")
    error = refusal(server.target(host_keys=()), by_key(key), known_hosts=reader)
    assert error.cause is Cause.HOSTKEY
    assert "host certificates are not used here" in error.detail
    assert "not read: /etc/ssh/ssh_known_hosts" in error.detail


# -- logging in -----------------------------------------------------------------------------------------------


def test_wrong_key_is_refused(server, folder):
    error = refusal(server.target(), by_key(keygen(folder / "stranger")))
    assert error.cause is Cause.AUTH
    assert error.detail.startswith("the host does not let root in with the key file:")
    assert error.detail.endswith("stranger")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ed25519", ()), ("ecdsa", ()), ("rsa", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PKCS8"))],
)
@pytest.mark.parametrize("passphrase", ["", "very secret words"])
def test_keys_of_every_kind_and_format(start, tmp_path, monkeypatch, kind, options, passphrase):
    mine = keygen(tmp_path / "mine", *options, kind=kind, passphrase=passphrase)
    monkeypatch.setenv("KM_PASSPHRASE", passphrase)
    reference = {"passphrase": "env:KM_PASSPHRASE"} if passphrase else {}
    target = start(authorized=public(mine)).target()
    assert whoami(target, by_key(mine, **reference)) == "root\n"


def test_passphrase_that_is_wrong_or_missing(server, tmp_path, monkeypatch):
    mine = keygen(tmp_path / "mine", passphrase="very secret words")
    monkeypatch.setenv("KM_PASSPHRASE", "other words")
    wrong = refusal(server.target(), by_key(mine, passphrase="env:KM_PASSPHRASE"))
    missing = refusal(server.target(), by_key(mine))
    assert {wrong.cause, missing.cause} == {Cause.AUTH}
    assert "or the passphrase is wrong" in wrong.detail
    assert "or it needs a passphrase" in missing.detail
    assert "words" not in wrong.detail


@pytest.mark.parametrize("content", ["", "not a key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_key_that_is_no_key(server, monkeypatch, content):
    monkeypatch.setenv("KM_KEY", content)
    error = refusal(server.target(), Credential(user="root", key="env:KM_KEY"))
    assert error.cause is Cause.AUTH
    assert "env:KM_KEY" in error.detail


def test_key_file_that_others_may_read_is_not_used(server, tmp_path):
    mine = keygen(tmp_path / "mine")
    mine.chmod(0o644)
    error = refusal(server.target(), by_key(mine))
    assert (error.cause, "chmod 600" in error.detail) == (Cause.AUTH, True)


def test_key_is_loaded_once_for_all_hosts(server, key, monkeypatch):
    loads: list[object] = []
    load = ssh._key
    monkeypatch.setattr(ssh, "_key", lambda *args: loads.append(1) or load(*args))
    vault = Vault()
    for _ in range(3):
        assert whoami(server.target(), by_key(key), vault=vault) == "root\n"
    assert len(loads) == 1


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_user_certificate(start, tmp_path, folder, kind):
    authority = keygen(tmp_path / "ca")
    mine = keygen(tmp_path / "mine", kind=kind)
    for principal, name in (("root", "mine.pub"), ("nobody", "other.pub")):
        (tmp_path / name).write_text(public(mine))
        subprocess.run(
            ["ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", principal, tmp_path / name],
            check=True,
            capture_output=True,
        )
    (tmp_path / "ca_keys").write_text(public(authority))
    server = start(f"TrustedUserCAKeys {tmp_path}/ca_keys", authorized="# none")
    good = by_key(mine, certificate=str(tmp_path / "mine-cert.pub"))
    assert whoami(server.target(), good) == "root\n"
    assert refusal(server.target(), by_key(mine)).cause is Cause.AUTH
    bad = by_key(mine, certificate=str(tmp_path / "other-cert.pub"))
    assert refusal(server.target(), bad).cause is Cause.AUTH
    none = refusal(server.target(), by_key(mine, certificate=str(tmp_path / "none")))
    assert (none.cause, "No such file" in none.detail) == (Cause.AUTH, True)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ssh-agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.kill()
    process.wait()


def add_to_agent(path: Path) -> None:
    subprocess.run(["ssh-add", "-q", path], check=True)


def test_agent_logs_in_and_is_not_forwarded(server, key, agent, tmp_path):
    mine = Credential(user="root", agent=True)
    assert "no keys" in refusal(server.target(), mine).detail
    add_to_agent(keygen(tmp_path / "first"))
    wrong = refusal(server.target(), mine)
    assert (wrong.cause, "the agent's key SHA256:" in wrong.detail) == (Cause.AUTH, True)
    add_to_agent(key)
    with connected(server.target(), mine) as transport:
        assert ask(transport, Command("printenv SSH_AUTH_SOCK"))[0].out == b""


def test_agent_that_may_not_sign(server, key, agent, monkeypatch):
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    subprocess.run(["ssh-add", "-q", "-c", key], check=True)
    error = refusal(server.target(), Credential(user="root", agent=True))
    assert (error.cause, "cannot be used for signing" in error.detail) == (Cause.AUTH, True)


def test_password_is_not_kept(monkeypatch):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    login = Credential(user="scan", password="env:KM_PASSWORD")
    with at_the_door(Doorman()) as target, connected(target, login) as transport:
        kept = transport._ssh.auth_handler
        assert "geheim" not in repr(vars(kept))


def test_no_agent(server, monkeypatch, tmp_path):
    mine = Credential(user="root", agent=True)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert "SSH_AUTH_SOCK" in refusal(server.target(), mine).detail
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "deaf"))
        assert "does not answer" in refusal(server.target(), mine).detail


def test_host_that_has_seen_enough_keys(server, agent, tmp_path):
    for number in range(8):
        add_to_agent(keygen(tmp_path / f"key{number}"))
    assert refusal(server.target(), Credential(user="root", agent=True)).cause is Cause.AUTH


def test_secret_that_is_not_there(server):
    error = refusal(server.target(), Credential(user="root", password="env:KM_NOT_SET"))
    assert (error.cause, "KM_NOT_SET" in error.detail) == (Cause.AUTH, True)
    error = refusal(server.target(), Credential(user="root", key="file:/no/such/key"))
    assert (error.cause, "No such file" in error.detail) == (Cause.AUTH, True)


class Doorman(paramiko.ServerInterface):
    """A server in this process, for what sshd does not do without real accounts."""

    def __init__(self, methods: str = "password", answers: bool = True) -> None:
        self.methods, self.answers = methods, answers
        self.over = threading.Event()
        self.asked: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.asked.append("publickey")
        if self.methods == "publickey,password":
            self.methods = "password"
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.asked.append("password")
        right = password == "geheim" and "password" in self.methods
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int:
        self.asked.append("keyboard-interactive")
        return paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if not self.answers:
            self.over.wait(10)
        return False


@contextmanager
def at_the_door(doorman: Doorman, host_key: paramiko.ECDSAKey | None = None) -> Iterator[Target]:
    host_key = host_key or paramiko.ECDSAKey.generate()
    held: list[paramiko.Transport] = []

    def serve(client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(host_key)
        held.append(transport)
        transport.start_server(event=threading.Event(), server=doorman)

    with listening(serve) as target:
        yield target.model_copy(update={"host_keys": (f"{host_key.get_name()} {host_key.get_base64()}",)})
    doorman.over.set()
    for transport in held:
        transport.close()
        transport.packetizer.complete_handshake()
        transport.join(2)


@pytest.mark.parametrize(("password", "welcome"), [("geheim", True), ("geheim ", False)])
def test_password(monkeypatch, password, welcome):
    monkeypatch.setenv("KM_PASSWORD", password)
    login = Credential(user="scan", password="env:KM_PASSWORD")
    with at_the_door(Doorman()) as target:
        if welcome:
            with connected(target, login):
                pass
        else:
            error = refusal(target, login)
            assert error.cause is Cause.AUTH
            assert "the password env:KM_PASSWORD" in error.detail
            assert "geheim" not in error.detail


def test_password_is_never_given_to_an_interactive_question(monkeypatch):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    doorman = Doorman("keyboard-interactive")
    with at_the_door(doorman) as target:
        error = refusal(target, Credential(user="scan", password="env:KM_PASSWORD"))
    assert error.cause is Cause.AUTH
    assert "keyboard-interactive" in error.detail
    assert "keyboard-interactive" not in doorman.asked


def test_key_and_then_password(monkeypatch, key):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    both = Credential(user="scan", key=f"file:{key}", password="env:KM_PASSWORD")
    doorman = Doorman("publickey,password")
    with at_the_door(doorman) as target, connected(target, both):
        assert doorman.asked == ["publickey", "password"]
    with at_the_door(Doorman("publickey,password")) as target:
        error = refusal(target, Credential(user="scan", key=f"file:{key}"))
        assert (error.cause, "the host asks for password" in error.detail) == (Cause.AUTH, True)


def test_host_that_runs_no_command(monkeypatch):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    login = Credential(user="scan", password="env:KM_PASSWORD")
    with at_the_door(Doorman()) as target, connected(target, login) as transport:
        with pytest.raises(ChannelError, match="runs no command") as caught:
            transport.run(Batch([Command("true")]))
        assert caught.value.cause is Cause.POLICY


def test_host_that_never_answers_the_request_for_a_shell(monkeypatch):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    login = Credential(user="scan", password="env:KM_PASSWORD")
    short = Timeouts(silence=-1)
    with (
        at_the_door(Doorman(answers=False)) as target,
        connected(target, login, timeouts=short) as transport,
    ):
        with pytest.raises(ChannelError, match="not a word for 1 s") as caught:
            transport.run(Batch([]))
        assert caught.value.cause is Cause.TIMEOUT


# -- hosts that cannot be talked to -----------------------------------------------------------------------------


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[Target]:
    """A port on loopback that serves each connection so; the connection closes with the block."""
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.89.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                clients.append(client)
                try:
                    serve(client)
                except OSError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        address, port = listener.getsockname()
        try:
            yield Target(name="fake", address=address, port=port)
        finally:
            for sock in (*clients, listener):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            thread.join()
            for client in clients:
                client.close()


def say(text: bytes, then: Callable[[socket.socket], None] = lambda client: None) -> Callable[..., None]:
    def serve(client: socket.socket) -> None:
        client.sendall(text)
        then(client)

    return serve


def wait(client: socket.socket) -> None:
    while client.recv(65536):
        pass


def cut(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_RDWR)


def reset(client: socket.socket) -> None:
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def flood(client: socket.socket) -> None:
    while True:
        client.sendall(b"x" * 65536)


BANNER = b"SSH-2.0-test\r\n"


@pytest.mark.parametrize(
    ("serve", "cause", "words"),
    [
        (say(b"", wait), Cause.TIMEOUT, "no SSH banner within 1 s"),
        (say(BANNER, wait), Cause.TIMEOUT, "no end to the key exchange within 1 s"),
        (say(b"", cut), Cause.RESET, "before it said a word"),
        (say(b"", reset), Cause.RESET, "reset by peer"),
        (say(BANNER, cut), Cause.RESET, "during the key exchange"),
        (say(BANNER, reset), Cause.RESET, "reset by peer"),
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n", cut), Cause.PARSE, "'HTTP/1.1 400 Bad Request'"),
        (say(b"\x1b[31m\x00\xff\xfe", cut), Cause.PARSE, r"'\x1b[31m\x00"),
        (say(b"\xff\xc6\n" * 9, wait), Cause.PARSE, "something else than SSH"),
        (say(b"SSH-1.5-old\r\n", wait), Cause.POLICY, "no algorithm in common"),
        (say(b"SSH-nonsense\r\n", wait), Cause.PARSE, "not proper SSH"),
        (say(b"", flood), Cause.PARSE, "something else than SSH answers: 'xxx"),
        (say(BANNER, flood), Cause.PARSE, "not proper SSH"),
        (say(b"line\n" * 200, wait), Cause.PARSE, "something else than SSH"),
        (say(b"Exceeded MaxStartups\r\n", cut), Cause.REFUSED, "Exceeded MaxStartups"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_server_that_misbehaves_before_login(key, serve, cause, words):
    with listening(serve) as target:
        error = refusal(target, by_key(key), within=2.5)
    assert (error.cause, error.detail) == (cause, error.detail)
    assert words in error.detail


def test_greeting_lines_before_the_banner_are_allowed(server, key):
    def serve(client: socket.socket) -> None:
        client.sendall(b"Welcome\r\nto this host\r\n")
        with socket.create_connection((server.address, server.port)) as behind:
            pump = threading.Thread(target=copy, args=(client, behind))
            pump.start()
            copy(behind, client)
            pump.join()

    with listening(serve) as target:
        pinned = target.model_copy(update={"host_keys": server.target().host_keys})
        assert whoami(pinned, by_key(key)) == "root\n"


def copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def test_packet_of_four_gigabytes_is_not_waited_for(key):
    with listening(say(BANNER + b"\xff\xff\xff\xf0" + b"\0" * 64, wait)) as target:
        assert refusal(target, by_key(key), within=0.9).cause is Cause.PARSE


def test_refused(server, key):
    with socket.create_server((server.address, 0)) as free:
        port = free.getsockname()[1]
    error = refusal(server.target(port=port), by_key(key), within=1)
    assert (error.cause, error.detail) == (
        Cause.REFUSED,
        f"{server.address} port {port}: Connection refused",
    )


def test_no_route(key):
    error = refusal(Target(name="t", address="255.255.255.255"), by_key(key), within=1)
    assert error.cause is Cause.ROUTE


def test_no_answer_to_a_connection(key):
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.89.2", 0))
        full.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        target = Target(name="t", address="127.0.89.2", port=full.getsockname()[1])
        error = refusal(target, by_key(key), within=2)
    assert (error.cause, "no answer" in error.detail) == (Cause.TIMEOUT, True)


def test_no_such_name(key, monkeypatch):
    assert refusal(Target(name="t", address="a..b"), by_key(key)).cause is Cause.DNS

    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    error = refusal(Target(name="t", address="web1.example.nl"), by_key(key))
    assert (error.cause, error.detail) == (Cause.DNS, "web1.example.nl: Name or service not known")


def test_every_address_of_a_name_is_tried(server, key, monkeypatch):
    def both(host: str, port: int, **_: object) -> list[Any]:
        tcp = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *tcp, ("::1", port, 0, 0)),
            (socket.AF_INET, *tcp, (server.address, port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert whoami(server.target(address="two.example.nl"), by_key(key)) == "root\n"
    with socket.create_server((server.address, 0)) as free:
        port = free.getsockname()[1]
    error = refusal(server.target(address="two.example.nl", port=port), by_key(key))
    assert error.cause is Cause.REFUSED
    assert "::1" in error.detail
    assert server.address in error.detail


def test_no_algorithm_in_common(start, key):
    server = start("KexAlgorithms sntrup761x25519-sha512@openssh.com")
    error = refusal(server.target(), by_key(key))
    assert error.cause is Cause.POLICY
    assert "no algorithm in common" in error.detail


def test_host_that_has_the_public_half_of_the_key_only(monkeypatch):
    monkeypatch.setenv("KM_PASSWORD", "geheim")
    host_key = paramiko.ECDSAKey.generate()
    sign = host_key.sign_ssh_data
    monkeypatch.setattr(host_key, "sign_ssh_data", lambda data, algorithm: sign(b"else", algorithm))
    doorman = Doorman()
    with at_the_door(doorman, host_key) as target:
        error = refusal(target, Credential(user="scan", password="env:KM_PASSWORD"))
    assert (error.cause, doorman.asked) == (Cause.HOSTKEY, [])


# -- through another host -----------------------------------------------------------------------------------------


def test_through_a_jump_host(server, start, key):
    behind = start()
    with connected(server.target(name="jump"), by_key(key)) as jump:
        with connected(behind.target(), by_key(key), jump=jump) as transport:
            batches = [Batch([Command("printenv SSH_CONNECTION")]) for _ in range(2)]
            for batch in batches:
                transport.run(batch)
        assert batches[0].answers(GAP).popitem()[1].text.split()[2] == behind.address
        assert whoami(behind.target(), by_key(key), jump=jump) == "root\n"
        assert ask(jump, Command("echo jump"))[0].out == b"jump\n"


def test_host_key_and_login_behind_a_jump_host_count_as_ever(server, start, key, tmp_path):
    behind = start()
    with connected(server.target(name="jump"), by_key(key)) as jump:
        assert refusal(behind.target(host_keys=()), by_key(key), jump=jump).cause is Cause.HOSTKEY
        stranger = keygen(tmp_path / "stranger")
        assert refusal(behind.target(), by_key(stranger), jump=jump).cause is Cause.AUTH


def test_nothing_behind_the_jump_host(server, key):
    with connected(server.target(name="jump"), by_key(key)) as jump:
        with socket.create_server((server.address, 0)) as free:
            port = free.getsockname()[1]
        error = refusal(server.target(port=port), by_key(key), jump=jump)
        assert error.cause is Cause.REFUSED
        assert error.detail.startswith(f"through jump: {server.address} port {port}")
        with listening(say(b"HTTP/1.1 400\r\n", cut)) as target:
            assert refusal(target, by_key(key), jump=jump).cause is Cause.PARSE
        with listening(say(b"", wait)) as target:
            assert refusal(target, by_key(key), jump=jump).cause is Cause.TIMEOUT


def test_many_targets_behind_one_jump_host_each_get_their_own_cause(server, start, key):
    behind = start()
    with socket.create_server((server.address, 0)) as free:
        port = free.getsockname()[1]
    targets = [behind.target(), server.target(port=port)] * 4
    outcomes: list[object] = [None] * len(targets)

    def visit(number: int, jump: SshTransport) -> None:
        try:
            outcomes[number] = whoami(targets[number], by_key(key), jump=jump, timeouts=Timeouts())
        except ChannelError as error:
            outcomes[number] = error.cause

    with connected(server.target(name="jump"), by_key(key)) as jump:
        threads = [threading.Thread(target=visit, args=(n, jump)) for n in range(len(targets))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == ["root\n", Cause.REFUSED] * 4


def test_jump_host_that_forwards_nothing(start, key):
    jumper, behind = start("AllowTcpForwarding no"), start()
    with connected(jumper.target(name="jump"), by_key(key)) as jump:
        error = refusal(behind.target(), by_key(key), jump=jump)
        assert (error.cause, error.detail.startswith("through jump: ")) == (Cause.POLICY, True)


def test_jump_host_that_goes_down_takes_the_targets_with_it(start, key):
    jumper, behind = start(), start()
    with connected(jumper.target(name="jump"), by_key(key)) as jump:
        with connected(behind.target(), by_key(key), jump=jump) as transport:
            batch = Batch([Command("sleep 30", timeout=60)])
            error = run_and(transport, batch, lambda: os.kill(jumper.sessions[0], signal.SIGKILL))
            assert error.cause is Cause.RESET
        assert refusal(behind.target(), by_key(key), jump=jump).cause is Cause.RESET


def test_a_scan_does_without_what_paramiko_wants_for_ssh_config() -> None:
    script = (
        "import sys; from scanner.model import Inventory, Target; from scanner.sources import Command\n"
        "from scanner.vault import Vault; from scanner.worker import Unreachable, Worker\n"
        "worker = Worker(Inventory(sources=(), digest='', targets=()), Vault())\n"
        "try: worker.session(Target(name='x', address='127.0.0.1'), [Command('true')]).__enter__()\n"
        "except Unreachable: print('paramiko' in sys.modules, 'invoke' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
