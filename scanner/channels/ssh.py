"""SSH: one connection per target, its host key checked before anything is said, batches run over it.

paramiko does the protocol; what it leaves open is closed here. The socket is a `Wire` (no Nagle stalls, bounded,
remembers how it ended); every wait has an end; every failure has a cause. There is no way to accept a host key
that is not known, nothing is forwarded, and neither ssh_config nor the environment is read (but for SSH_AUTH_SOCK,
when a credential asks for the agent).
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.agent import AgentSSH, get_agent_connection
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.packet import Packetizer
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer, PartialAuthentication

from scanner.channels import ChannelError
from scanner.channels.known_hosts import HostKey, Known, KnownHosts, Trust, pinned
from scanner.channels.shell import HOST_LIMIT, Batch
from scanner.channels.wire import Wire, dial, excerpt
from scanner.model import Cause
from scanner.sources import KILL_AFTER, MEBIBYTE
from scanner.vault import VaultError

if TYPE_CHECKING:
    from scanner.model import Credential, Target
    from scanner.vault import Vault

# In order of preference. The key exchange is what a connection costs us: curve25519 takes 5 ms of processor time,
# group14 25, group16 81. AES-GCM saves 18 % over AES-CTR and a MAC of its own. CBC, 3DES and MD5 are not offered.
_KEX: Final = (
    "curve25519-sha256@libssh.org",
    "mlkem768x25519-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
)
_CIPHERS: Final = (
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
_MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)
_HOST_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
#: What one packet may hold, as in OpenSSH; paramiko itself would take four gigabytes.
_LARGEST_PACKET: Final = MEBIBYTE // 4
#: What may come before a batch asks for more, and what SSH itself may need on top of a batch's bytes.
_OVERHEAD: Final = 4 * MEBIBYTE
_PROHIBITED: Final = 1
_NOT_FOUND: Final = (126, 127)

# paramiko tells its story to the log, and warnings that nobody handles would go to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait at each step; ``silence`` comes on top of the time limit of a batch's slowest source."""

    connect: float = 10
    handshake: float = 20
    login: float = 30
    channel: float = 20
    silence: float = 15


def connect(
    target: Target,
    credential: Credential,
    *,
    vault: Vault,
    known_hosts: KnownHosts,
    jump: SshTransport | None = None,
    timeouts: Timeouts = Timeouts(),
) -> SshTransport:
    """A connection to ``target``: its host key checked, logged in.

    Host keys that the inventory gives for the target decide alone; without them ``known_hosts`` does. ``jump`` is
    an open connection to go through; it stays the caller's. Raises ChannelError.
    """
    known = _known(target, known_hosts)
    with _logins(credential, vault, timeouts.login) as logins:
        stream = jump.tunnel(target) if jump else dial(target.address, target.port, timeouts.connect)
        transport = SshTransport(Wire(stream, allowed=_OVERHEAD), target.name, timeouts)
        try:
            transport.shake_hands(known)
            transport.check_host_key(known, known_hosts.unread)
            transport.log_in(credential.user, logins)
        except BaseException:
            transport.close()
            raise
    return transport


def _known(target: Target, known_hosts: KnownHosts) -> Known:
    if not target.host_keys:
        return known_hosts.lookup(target.address, target.port)
    try:
        return pinned(target.host_keys)
    except ValueError as error:
        raise ChannelError(Cause.HOSTKEY, f"host_keys of {target.name} in the inventory: {error}") from None


class SshTransport:
    """One SSH connection; see `ShellTransport`. Made by `connect`, which takes the first three steps."""

    def __init__(self, wire: Wire, name: str, timeouts: Timeouts) -> None:
        self._wire, self._name, self._timeouts = wire, name, timeouts
        self._ssh = HostTransport(wire)
        self._turn = threading.Condition()
        self._sessions = 0

    def shake_hands(self, known: Known) -> None:
        """Banner and key exchange. Host key types that are known go first, so that what is shown can be checked."""
        options = self._ssh.get_security_options()
        types = tuple(key.type.replace("ssh-rsa", "rsa-sha2") for key in known.keys)
        options.kex = [name for name in _KEX if name in options.kex]
        options.ciphers, options.digests = _CIPHERS, _MACS
        options.key_types = sorted(_HOST_KEYS, key=lambda name: not name.startswith(types))
        done = threading.Event()
        self._ssh.banner_timeout = self._timeouts.handshake + 1  # paramiko's own must not end first
        self._ssh.start_client(event=done)
        if not done.wait(self._timeouts.handshake):
            missing = "end to the key exchange" if self._wire.greeted else "SSH banner"
            raise ChannelError(Cause.TIMEOUT, f"no {missing} within {self._timeouts.handshake:g} s")
        if not self._ssh.is_active():
            raise self._broken("during the key exchange")

    def check_host_key(self, known: Known, unread: Sequence[str]) -> None:
        """Only a known key will do; the refusal says what to do about any other."""
        try:
            key = self._ssh.get_remote_server_key()
        except paramiko.SSHException as error:
            raise self._broken("during the key exchange", error) from None
        shown = HostKey(key.get_name(), key.asbytes())
        what = f"{shown.type} {shown.fingerprint}"
        match known.judge(shown.blob):
            case Trust.KNOWN:
                return
            case Trust.REVOKED:
                detail = (
                    f"the host shows a revoked key, {what}: give it new host keys before it is used again"
                )
            case Trust.CHANGED:
                expected = ", ".join(f"{key.type} {key.fingerprint}" for key in known.keys)
                detail = (
                    f"the host key has changed: shown is {what}, known is {expected}. Someone may be in between, or"
                    " the host was installed anew: ask who manages it, and only then replace the known key"
                )
            case Trust.UNKNOWN:
                detail = (
                    f"unknown host key {what}: compare it with ssh-keygen -l -f /etc/ssh/ssh_host_*_key.pub on the"
                    " host itself, and put it under host_keys in the inventory or in known_hosts"
                )
                if known.authority:
                    detail += (
                        "; a @cert-authority vouches for this host, but host certificates are not used here"
                    )
                if unread:
                    detail += f"; not read: {', '.join(unread)}"
        raise ChannelError(Cause.HOSTKEY, detail)

    def log_in(self, user: str, logins: Sequence[_Login]) -> None:
        """Try these ways in, in this order, until the host is content."""
        end = time.monotonic() + self._timeouts.login
        doing = f"while logging in as {user}"
        remark = ""
        for login in logins:
            done = threading.Event()
            try:
                login.start(self._ssh, user, done)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise self._broken(doing, error) from None
            if not done.wait(max(0.0, end - time.monotonic())):
                raise ChannelError(Cause.TIMEOUT, f"{doing}: no answer within {self._timeouts.login:g} s")
            if self._ssh.is_authenticated():
                assert self._ssh.auth_handler
                self._ssh.auth_handler.password = None  # no longer needed
                return
            answer = self._ssh.get_exception()
            if not self._ssh.is_active():
                if b"authentication failures" in self._ssh.farewell:
                    break
                if "for signing" in str(
                    answer
                ):  # the agent's owner said no, or the host knows no such signature
                    remark = f"; {answer}"
                    break
                raise self._broken(doing, answer)
            if isinstance(answer, PartialAuthentication | BadAuthenticationType):
                remark = f"; the host asks for {' or '.join(answer.allowed_types)}"
        tried = ", ".join(login.name for login in logins)
        raise ChannelError(Cause.AUTH, f"the host does not let {user} in with {tried}{remark}")

    def tunnel(self, target: Target) -> paramiko.Channel:
        """A stream through this host to another. Raises ChannelError with the cause this host gives."""
        try:
            channel = self._open("direct-tcpip", (target.address, target.port))
        except _Refusal as refusal:
            detail = f"{target.address} port {target.port}: {refusal.reason}"
            raise ChannelError(refusal.cause, f"through {self._name}: {detail}") from None
        self._allow(2 * HOST_LIMIT)
        return channel

    def run(self, batch: Batch) -> None:
        """See `ShellTransport.run`. What is still running on the target at the deadline ends by its own limit."""
        channel = self._session()
        self._allow(HOST_LIMIT)
        try:
            self._ssh.request_exec(channel, "sh -s")
            self._converse(channel, batch, self._begin(channel, batch.script))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._broken("in mid-script", error) from None
        finally:
            with suppress(paramiko.SSHException, EOFError, OSError):
                channel.close()
            with self._turn:
                self._sessions -= 1
                self._turn.notify_all()

    @property
    def opening(self) -> bytes:
        """The first bytes that the host said, before anything was encrypted and somewhat beyond."""
        return self._wire.opening

    def close(self) -> None:
        """See `ShellTransport.close`."""
        self._wire.close()
        with suppress(Exception):
            self._ssh.close()
            self._ssh.join(2)

    def _session(self) -> paramiko.Channel:
        """A session channel. A host that allows one at a time (MaxSessions) gets the batches one after the other."""
        tries = 5  # a session that has only just ended may still count
        while True:
            try:
                channel = self._open("session")
            except _Refusal as refusal:
                with self._turn:
                    if not self._sessions:
                        tries -= 1
                    if not tries:
                        raise ChannelError(
                            refusal.cause, f"the host opens no session: {refusal.reason}"
                        ) from None
                    self._turn.wait(0.2)
            else:
                with self._turn:
                    self._sessions += 1
                return channel

    def _open(self, kind: str, destination: tuple[str, int] | None = None) -> paramiko.Channel:
        try:
            return self._ssh.open_channel(kind, destination, ("127.0.0.1", 0), timeout=self._timeouts.channel)
        except (paramiko.SSHException, EOFError, OSError) as error:
            refusal = self._ssh.refusal()
            if refusal is not None:
                raise refusal from None
            if self._down:
                raise self._broken(f"while opening a {kind} channel", error) from None
            where = f"through {self._name}: {destination[0]} port {destination[1]}: " if destination else ""
            raise ChannelError(
                Cause.TIMEOUT, f"{where}no answer within {self._timeouts.channel:g} s"
            ) from None

    def _begin(self, channel: paramiko.Channel, script: bytes) -> bytes:
        """Send as much of the script as the host takes at once, which is when it has a shell; the rest."""
        channel.settimeout(self._timeouts.channel)
        try:
            return self._send(channel, script[channel.send(script) :])
        except TimeoutError:
            raise ChannelError(Cause.TIMEOUT, f"no shell within {self._timeouts.channel:g} s") from None
        except OSError:  # closed: what the host said before that is still to be heard
            return b""

    def _send(self, channel: paramiko.Channel, script: bytes) -> bytes:
        """Send what the host takes without waiting, and the end after the last of it; the rest."""
        while script and channel.send_ready():
            script = script[channel.send(script) :]
        if not script:
            channel.shutdown_write()
        return script

    def _converse(self, channel: paramiko.Channel, batch: Batch, script: bytes) -> None:
        """Feed the batch until it has all. One event wakes us for both of its streams, so that neither blocks."""
        ready = threading.Event()
        channel.in_buffer.set_event(ready)
        channel.in_stderr_buffer.set_event(ready)
        slowest = max((source.timeout for source in batch.sources), default=0) + KILL_AFTER
        patience = slowest + self._timeouts.silence
        heard = time.monotonic()
        end = heard + batch.deadline
        first = b""
        while not batch.done:
            now = time.monotonic()
            if now >= end:
                raise ChannelError(Cause.TIMEOUT, f"in mid-script: no end within {batch.deadline} s")
            # Asked before the buffers are: nothing comes after it.
            ended = channel.eof_received or channel.closed
            if channel.recv_ready():
                data, feed = channel.recv(MEBIBYTE), batch.feed_out
            elif channel.recv_stderr_ready():
                data, feed = channel.recv_stderr(MEBIBYTE), batch.feed_err
            elif ended:
                raise self._ended(channel, batch, first)
            elif now >= heard + patience:
                raise ChannelError(Cause.TIMEOUT, f"in mid-script: not a word for {patience:g} s")
            else:
                # Nothing wakes us when there is room for more of the script, so then we look often.
                ready.wait(0.02 if script else min(end, heard + patience) - now)
                if script:
                    with suppress(OSError):
                        script = self._send(channel, script)
                continue
            feed(data)
            heard = now
            if batch.user is None:
                first = (first + data)[:100]

    def _ended(self, channel: paramiko.Channel, batch: Batch, first: bytes) -> ChannelError:
        """Why the shell ended before the script did."""
        channel.status_event.wait(1)
        if self._down:
            return self._broken("in mid-script")
        if not channel.event_ready:
            return ChannelError(Cause.POLICY, "the host runs no command for this account")
        how = f"exit status {channel.exit_status}" if channel.exit_status >= 0 else "by a signal"
        if batch.user is not None:
            return ChannelError(Cause.RESET, f"the shell ended in mid-script ({how})")
        cause = Cause.TOOL_MISSING if channel.exit_status in _NOT_FOUND else Cause.POLICY
        return ChannelError(cause, f"this account gets no POSIX shell ({how}): {excerpt(first)}")

    def _allow(self, count: int) -> None:
        with self._turn:
            self._wire.allowed += count + _OVERHEAD

    @property
    def _down(self) -> bool:
        ssh = self._ssh
        return bool(self._wire.fault or ssh.farewell or ssh.saved_exception or not ssh.is_active())

    def _broken(self, doing: str, error: Exception | None = None) -> ChannelError:
        """Why the connection ended: what the host said of it, what the wire saw, or what paramiko made of it."""
        if self._ssh.farewell:
            return ChannelError(Cause.RESET, f"{doing}: the host hung up: {excerpt(self._ssh.farewell)}")
        if self._wire.fault:
            cause, detail = self._wire.fault
            return ChannelError(cause, f"{doing}: {detail}" if self._wire.greeted else detail)
        if self._wire.stranger:
            return ChannelError(Cause.PARSE, self._wire.stranger)
        error = self._ssh.get_exception() or error
        if isinstance(error, IncompatiblePeer):
            return ChannelError(Cause.POLICY, f"no algorithm in common with the host: {error}")
        if error is None or isinstance(error, EOFError):
            return ChannelError(Cause.RESET, f"{doing}: the connection ended")
        cause = Cause.HOSTKEY if "Signature verification" in str(error) else Cause.PARSE
        return ChannelError(cause, f"{doing}: not proper SSH: {excerpt(str(error).encode())}")


class _Refusal(Exception):  # noqa: N818 -- an answer
    """The host does not open a channel: its reason, fit to print."""

    def __init__(self, code: int, reason: bytes) -> None:
        self.reason = excerpt(reason)
        said = reason.lower()
        self.cause = Cause.ROUTE
        if code == _PROHIBITED or b"open failed" in said:
            self.cause = Cause.POLICY
        for words, cause in _REASONS.items():
            if words in said:
                self.cause = cause
        super().__init__(self.reason)


_REASONS: Final = {
    b"refused": Cause.REFUSED,
    b"timed out": Cause.TIMEOUT,
    b"name or service": Cause.DNS,
    b"name resolution": Cause.DNS,
    b"no address": Cause.DNS,
}


class _Packetizer(Packetizer):
    """paramiko's, with a limit to packets and without its timer thread per handshake."""

    def start_handshake(self, timeout: float) -> None:
        """`SshTransport.shake_hands` waits, and ends it."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _LARGEST_PACKET:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        return super().read_all(n, check_rekey)


class HostTransport(paramiko.Transport):
    """paramiko's, that remembers what the host says when it refuses or hangs up."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire, packetizer_class=_Packetizer)  # type: ignore[arg-type]
        self.farewell = b""
        self._refusals: dict[int, _Refusal] = {}
        self._opening = threading.local()

    def refusal(self) -> _Refusal | None:
        """Why the last channel that this thread asked for was not opened, if the host said so."""
        return self._refusals.pop(getattr(self._opening, "number", -1), None)

    def request_exec(self, channel: paramiko.Channel, command: str) -> None:
        """As `Channel.exec_command`, without waiting for the answer: one round trip less, and no wait without end.

        ``channel.event_ready`` tells when the host has agreed; when it refuses, the channel closes.
        """
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(True)
        message.add_string(command)
        self._send_user_message(message)  # type: ignore[attr-defined]

    # Not in the stubs, and the only place where the host's own words pass by.

    def _next_channel(self) -> int:
        number: int = super()._next_channel()  # type: ignore[misc]
        self._opening.number = number
        return number

    def _parse_channel_open_failure(self, m: paramiko.Message) -> None:
        copy = paramiko.Message(m.asbytes())
        number, code, reason = copy.get_int(), copy.get_int(), copy.get_string()
        self._refusals[number] = _Refusal(code, reason)
        super()._parse_channel_open_failure(m)  # type: ignore[misc]
        self.saved_exception = None  # of that channel only, and kept here

    def _parse_disconnect(self, m: paramiko.Message) -> None:
        copy = paramiko.Message(m.asbytes())
        code, text = copy.get_int(), copy.get_string()
        self.farewell = text or b"reason %d" % code
        super()._parse_disconnect(m)  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class _Login:
    """One way to log in; ``start`` asks, and sets the event when the answer has come."""

    name: str
    start: Callable[[paramiko.Transport, str, threading.Event], object]


@contextmanager
def _logins(credential: Credential, vault: Vault, timeout: float) -> Iterator[list[_Login]]:
    """The ways in that a credential gives: key, then the agent's keys, then password; the agent stays open here."""
    logins: list[_Login] = []
    agent: _Agent | None = None
    try:
        if credential.key:
            made = (credential.key, credential.passphrase, credential.certificate)
            logins.append(
                _by_key(f"the key {credential.key}", vault.once(made, lambda: _key(credential, vault)))
            )
        if credential.agent:
            agent = _Agent(timeout)
            logins += [_by_key(f"the agent's key {key.fingerprint}", key) for key in agent.get_keys()]
        if credential.password:
            logins.append(_by_password(credential.password, vault))
        yield logins
    except VaultError as error:
        raise ChannelError(Cause.AUTH, str(error)) from None
    finally:
        if agent:
            agent.close()


def _by_key(name: str, key: paramiko.PKey) -> _Login:
    return _Login(name, lambda ssh, user, done: ssh.auth_publickey(user, key, done))


def _by_password(reference: str, vault: Vault) -> _Login:
    password = vault.secret(reference)

    def start(ssh: paramiko.Transport, user: str, done: threading.Event) -> None:
        # Bytes are as good as text, the stubs only do not say so.
        ssh.auth_password(user, password.get_secret_value(), done)  # type: ignore[arg-type]

    return _Login(f"the password {reference}", start)


class _Agent(AgentSSH):
    """The user's ssh-agent (SSH_AUTH_SOCK), with an end to waiting for it."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        connection = get_agent_connection()
        if connection is None:
            raise ChannelError(Cause.AUTH, "no ssh-agent: SSH_AUTH_SOCK is not set, or leads nowhere")
        connection.settimeout(timeout)
        try:
            self._connect(connection)  # type: ignore[attr-defined]
        except (paramiko.SSHException, OSError) as error:
            connection.close()
            raise ChannelError(Cause.AUTH, f"the ssh-agent does not answer: {error}") from None
        if not self.get_keys():
            self.close()
            raise ChannelError(Cause.AUTH, "the ssh-agent has no keys; ssh-add one")

    def close(self) -> None:
        """Give the agent up."""
        self._close()  # type: ignore[attr-defined]


def _key(credential: Credential, vault: Vault) -> paramiko.PKey:
    """The private key of a credential, in any format OpenSSH or OpenSSL writes, with its certificate."""
    assert credential.key
    pem = vault.secret(credential.key).get_secret_value()
    passphrase = vault.secret(credential.passphrase).get_secret_value() if credential.passphrase else None
    load = (
        serialization.load_ssh_private_key if b"OPENSSH" in pem[:64] else serialization.load_pem_private_key
    )
    try:
        key = _paramiko_key(load(pem + b"\n", passphrase))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "or the passphrase is wrong" if passphrase else "or it needs a passphrase"
        raise VaultError(f"{credential.key}: no private key that can be used, {hint}") from None
    if credential.certificate:
        path = Path(credential.certificate).expanduser()
        try:
            key.load_certificate(path.read_text())
        except OSError as error:
            raise VaultError(f"certificate {path}: {error.strerror}") from None
        except (ValueError, paramiko.SSHException):
            raise VaultError(f"certificate {path}: not a certificate of {credential.key}") from None
    return key


def _paramiko_key(key: object) -> paramiko.PKey:
    match key:
        case rsa.RSAPrivateKey():
            return paramiko.RSAKey(key=key)
        case ec.EllipticCurvePrivateKey():
            return paramiko.ECDSAKey(vals=(key, key.public_key()))
        case ed25519.Ed25519PrivateKey():
            plain = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
            return paramiko.Ed25519Key(file_obj=io.StringIO(plain.decode()))
        case _:
            raise UnsupportedAlgorithm("not RSA, ECDSA or Ed25519")
