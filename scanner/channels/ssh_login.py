"""The SSH request to come in by no means at all, put once; the refusal names the ways in that are left."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer

from scanner.channels import ChannelError
from scanner.channels.ssh import HostTransport
from scanner.channels.wire import Wire, dial
from scanner.model import Cause, Timed

if TYPE_CHECKING:
    from scanner.sources import SshLogin


def knock(source: SshLogin, address: str) -> Timed:
    """Ask to come in by no means at all, once, and write down the answer. Raises ChannelError."""
    began = time.monotonic()
    wire = Wire(dial(source.address or address, source.port, source.timeout), allowed=source.limit)
    ssh = HostTransport(wire)
    try:
        seen = _ask(ssh, source, began + source.timeout)
    except (paramiko.SSHException, EOFError, OSError) as error:
        ours = Cause.POLICY if isinstance(error, IncompatiblePeer) else Cause.PARSE
        cause, detail = wire.fault or (ours, wire.stranger or str(error))
        raise ChannelError(cause, f"{source.describe()}: {detail}") from None
    finally:
        wire.close()
        with suppress(Exception):
            ssh.close()
            ssh.join(2)
    out = json.dumps(seen, separators=(",", ":")).encode()
    return Timed(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def _ask(ssh: HostTransport, source: SshLogin, deadline: float) -> dict[str, object]:
    done = threading.Event()
    ssh.banner_timeout = source.timeout + 1  # paramiko's own must not end first
    ssh.start_client(event=done)
    _wait(ssh, done, source, deadline)
    key = ssh.get_remote_server_key()
    done = threading.Event()
    ssh.auth_handler = AuthHandler(ssh)
    ssh.auth_handler.auth_none(source.user, done)
    _wait(ssh, done, source, deadline)
    refusal = None if ssh.is_authenticated() else ssh.get_exception()
    if refusal is not None and not isinstance(refusal, BadAuthenticationType):
        raise refusal
    return {
        "banner": ssh.remote_version,
        "host_key": {"type": key.get_name(), "blob": base64.b64encode(key.asbytes()).decode()},
        "accepted": refusal is None,
        "methods": [] if refusal is None else list(refusal.allowed_types),
    }


def _wait(ssh: HostTransport, done: threading.Event, source: SshLogin, deadline: float) -> None:
    if not done.wait(max(0.0, deadline - time.monotonic())):
        raise ChannelError(Cause.TIMEOUT, f"{source.describe()}: no answer in {source.timeout} seconds")
    if not ssh.is_active():
        raise ssh.get_exception() or EOFError("the server ended the connection")
