"""What a mail domain needs beside name servers: a real Postfix that says who it is, and a host for MTA-STS policies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.servers.authority import Issued
from tests.servers.names import program

MAIL_HOST, POLICY_HOST = "127.0.0.1", "127.0.83.80"  # Postfix knows no other address of loopback
_SERVICES: Final = """
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n -     - trivial-rewrite
anvil     unix  - - n -     1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(name: str, port: int = 0, shows: Issued | None = None) -> Iterator[int]:
    """A Postfix that calls itself by this name and delivers nothing; its port. With a certificate it speaks TLS."""
    with TemporaryDirectory() as folder:  # not pytest's, which only root can enter: its programs give up root
        yield from _postfix(Path(folder), name, port, shows)


def _postfix(folder: Path, name: str, port: int, shows: Issued | None) -> Iterator[int]:
    folder.chmod(0o755)
    for part in ("etc", "queue", "data"):
        (folder / part).mkdir()
    shutil.chown(folder / "data", "postfix")
    with socket.create_server((MAIL_HOST, port)) as free:
        port = free.getsockname()[1]
    secure = ""
    if shows is not None:
        (folder / "pair").write_bytes(shows.key_pem + shows.pem)
        secure = f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {folder}/pair\n"
    (folder / "etc" / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n"
        f"inet_interfaces = {MAIL_HOST}\ninet_protocols = ipv4\nmyhostname = {name}\nmydestination =\n"
        "mynetworks = 192.0.2.0/24\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n"
        "maillog_file = /dev/stdout\nsmtpd_peername_lookup = no\ndefault_transport = discard\n"
        f"{secure}"
    )
    (folder / "etc" / "master.cf").write_text(f"{_SERVICES}{MAIL_HOST}:{port} inet n - n - - smtpd\n")
    for part in ("dynamicmaps.cf", "postfix-files"):
        shutil.copy(Path("/etc/postfix") / part, folder / "etc")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program("postfix"), "-c", str(folder / "etc"), "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await(port, process, folder / "log")
        yield port
    finally:
        _end(process, folder / "queue" / "pid" / "master.pid")


def _end(process: subprocess.Popen[bytes], pid_file: Path) -> None:
    """End Postfix; its master leads a session of its own, so it is named by its own file."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(500):
        try:
            socket.create_connection((MAIL_HOST, port), 1).close()
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"Postfix does not listen at port {port}:\n{log.read_text()[-2000:]}")


@contextmanager
def policies(folder: Path, texts: Mapping[str, str], issued: Issued) -> Iterator[None]:
    """A web server that gives each host name in ``texts`` its MTA-STS policy, read anew each time."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            text = texts.get(self.headers["Host"], "")
            found = text and self.path == "/.well-known/mta-sts.txt"
            body = text.encode() if found else b"no"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    (folder / "pair").write_bytes(issued.key_pem + issued.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair")
    with ThreadingHTTPServer((POLICY_HOST, 443), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
