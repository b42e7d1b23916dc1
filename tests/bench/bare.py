"""The least a Python program needs to run `true` on hosts over SSH: paramiko, tuned as a careful caller would.

    python -m tests.bench.bare KEY PORT THREADS HOST...

No host key is checked, nothing is read or kept: what a scan costs is measured against this.
"""

from __future__ import annotations

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import paramiko


class Quick:
    """The smallest wrapper that removes paramiko's stalls."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, size: int) -> bytes:
        data = self._sock.recv(size)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


def visit(host: str, port: int, key: paramiko.PKey, command: str = "true", script: bytes = b"") -> None:
    """Log in as root, run one command, leave."""
    transport = paramiko.Transport(Quick(socket.create_connection((host, port), 60)))  # type: ignore[arg-type]
    options = transport.get_security_options()
    options.kex, options.ciphers = ["curve25519-sha256@libssh.org"], ["aes256-gcm@openssh.com"]
    options.key_types = ["ssh-ed25519"]
    transport.start_client(timeout=60)
    transport.auth_publickey("root", key)
    channel = transport.open_session(timeout=60)
    channel.exec_command(command)
    if script:
        channel.sendall(script)
        channel.shutdown_write()
    while channel.recv(65536):
        pass
    assert channel.recv_exit_status() == 0
    transport.close()


def main() -> None:
    """Visit all hosts."""
    key_file, port, threads, *hosts = sys.argv[1:]
    key = paramiko.Ed25519Key.from_private_key_file(key_file)
    with ThreadPoolExecutor(int(threads)) as pool:
        for _ in pool.map(lambda host: visit(host, int(port), key), hosts):
            pass


if __name__ == "__main__":
    main()
