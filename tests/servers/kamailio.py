"""A real Kamailio on loopback, over TCP and UDP, or over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanner.model import Target
from tests.outside import server_at
from tests.servers.ports import address, free_port, running
from tests.servers.programs import certificate


@contextmanager
def kamailio(
    folder: Path, *settings: str, authenticated: bool = True, tls: tuple[str, ...] = (), at: str = ""
) -> Iterator[Target]:
    """An exchange that keeps registrations in memory, with or without asking for a password.

    ``tls`` are settings of its tls module ("tls_method=TLSv1.2+"): with any, its TCP port speaks TLS.
    """
    folder.mkdir(exist_ok=True)
    where = at or address()
    port = free_port(where)
    challenge = (
        'if (!pv_www_authenticate("$td", "only-for-this-test", "0")) { www_challenge("$td", "0"); exit; }'
    )
    transport, secure = "tcp", ""
    if tls:
        chain, key, _ = certificate(folder)
        transport, given = "tls", (f"certificate={chain}", f"private_key={key}", *tls)
        pairs = (one.split("=", 1) for one in given)
        secure = "\n".join(
            ['loadmodule "tls.so"', *(f'modparam("tls", "{name}", "{value}")' for name, value in pairs)]
        )
    config = folder / "kamailio.cfg"
    config.write_text(
        f"""#!KAMAILIO
children=1
tcp_children=1
log_stderror=yes
{"enable_tls=yes" if tls else ""}
listen=udp:{where}:{port}
listen={transport}:{where}:{port}
{chr(10).join(settings)}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
{secure}
request_route {{
  if (method == "REGISTER") {{
    {challenge if authenticated else ""}
    save("location");
    exit;
  }}
  sl_send_reply("200", "OK");
}}
"""
    )
    command = ("kamailio", "-f", config, "-DD", "-E", "-m", "32", "-M", "4", "-Y", folder)
    with running(*command, log=folder / "log", at=(where, port)):
        udp = {"port": port, "protocol": "udp", "name": "sip"}
        yield server_at(where, {"port": port, "name": "sip"}, udp)
