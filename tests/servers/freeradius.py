"""FreeRADIUS on loopback: the server of a wifi network, with a configuration and certificates of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.authority import Issued
from tests.servers.ports import address, await_words, free_port, running

SECRET: Final = "only-for-this-test"
NAME: Final = "radius.lab.test"

_RADIUSD: Final = """
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
db_dir = {folder}
pidfile = {folder}/radiusd.pid
max_request_time = 30
cleanup_delay = 5
hostname_lookups = no
log {{
  destination = stdout
}}
security {{
  reject_delay = 0
}}
client scanner {{
  ipaddr = 127.0.0.0/8
  secret = "{secret}"
}}
modules {{
  always reject {{
    rcode = reject
  }}
  eap {{
    default_eap_type = {first}
    timer_expire = 60
    ignore_unknown_eap_types = no
    max_sessions = 100
    md5 {{
    }}
    tls-config common {{
      private_key_file = {folder}/key.pem
      certificate_file = {folder}/chain.pem
      ca_file = {folder}/chain.pem
      fragment_size = {fragment}
      tls_min_version = "{oldest}"
      tls_max_version = "{newest}"
      cipher_list = "DEFAULT@SECLEVEL=0"
    }}
    {methods}
  }}
}}
server wifi {{
  listen {{
    type = auth
    ipaddr = {where}
    port = {port}
  }}
  authorize {{
    {authorize}
  }}
  authenticate {{
    eap
  }}
}}
"""
#: The methods with TLS in them.
METHODS: Final = (
    "tls {\n tls = common\n}",
    "ttls {\n tls = common\n virtual_server = wifi\n}",
    "peap {\n tls = common\n virtual_server = wifi\n}",
)


@contextmanager
def freeradius(
    folder: Path,
    shown: Issued,
    *,
    secret: str = SECRET,
    name: str = NAME,
    first: str = "md5",
    methods: tuple[str, ...] = METHODS,
    authorize: str = "eap",
    fragment: int = 1024,
    oldest: str = "1.2",
    newest: str = "1.2",
) -> Iterator[Target]:
    """The server, and the target as the inventory describes it; its secret is in a file that is the owner's alone.

    ``secret`` is what the server knows; the inventory's is always the same.
    """
    folder.mkdir(exist_ok=True)
    where = address()
    port = free_port(where, socket.SOCK_DGRAM)
    (folder / "key.pem").write_bytes(shown.key_pem)
    (folder / "chain.pem").write_bytes(shown.pem)
    (folder / "radiusd.conf").write_text(
        _RADIUSD.format(
            folder=folder, secret=secret, where=where, port=port, first=first, fragment=fragment,
            oldest=oldest, newest=newest, authorize=authorize, methods="\n    ".join(methods),
        )
    )  # fmt: skip
    ours = folder / "secret"
    ours.write_text(f"{SECRET}\n")
    ours.chmod(0o600)
    log = folder / "log"
    with running("freeradius", "-X", "-d", folder, log=log, env={**os.environ, "OPENSSL_CONF": "/dev/null"}):
        await_words(log, "Ready to process requests")
        service = {
            "port": port, "protocol": "udp", "name": "radius", "server_name": name, "secret": f"file:{ours}",
            "realm": "lab.test",
        }  # fmt: skip
        yield server_at(where, service)
