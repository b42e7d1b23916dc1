"""A RabbitMQ broker on loopback, with its management; it runs as the user ``rabbitmq``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scanner.model import Target
from tests.outside import server_at
from tests.servers.programs import answers, certificate, free_port, fresh_address, running

_USER: Final = "rabbitmq"
_SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@contextmanager
def rabbitmq(*options: str, tls: bool = False, address: str = "") -> Iterator[Target]:
    """A broker with these lines of rabbitmq.conf, over TLS alone or in the clear alone."""
    address = address or fresh_address()
    port, management, distribution, mapper = (free_port(address) for _ in range(4))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        listener = [f"listeners.tcp.default = {address}:{port}"]
        if tls:
            chain, key, _ = certificate(folder / "tls")
            listener = ["listeners.tcp = none", f"listeners.ssl.default = {address}:{port}",
                        f"ssl_options.certfile = {chain}", f"ssl_options.keyfile = {key}"]  # fmt: skip
        lines = [*listener, f"management.tcp.ip = {address}", f"management.tcp.port = {management}", *options]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        (folder / "env.conf").touch()
        folder.chmod(0o755)
        shutil.chown(folder, _USER)
        environment = {
            "HOME": made, "RABBITMQ_NODENAME": f"test{port}@localhost", "RABBITMQ_CONF_ENV_FILE": f"{made}/env.conf",
            "RABBITMQ_CONFIG_FILE": f"{made}/rabbitmq.conf", "RABBITMQ_MNESIA_BASE": f"{made}/mnesia",
            "RABBITMQ_LOG_BASE": f"{made}/logs", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{made}/plugins",
            "RABBITMQ_DIST_PORT": str(distribution), "ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }  # fmt: skip
        epmd = ["epmd", "-port", str(mapper), "-address", "127.0.0.1"]
        with (
            running(epmd, "127.0.0.1", mapper, log=folder / "epmd.log", user=_USER),
            running(
                [_SERVER], address, port, management, log=folder / "log", user=_USER, environment=environment,
                seconds=90,
            ) as process,
        ):  # fmt: skip
            answers(address, management, process=process)
            yield server_at(
                address, {"port": port, "name": "amqp"}, {"port": management, "name": "rabbitmq-management"}
            )
