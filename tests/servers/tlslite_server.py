"""A TLS server on tlslite-ng, for what C libraries no longer speak: weak groups, odd versions, compression off.

python tlslite_server.py PORT CHAIN KEY SETTINGS       SETTINGS: JSON of HandshakeSettings' attributes
"""

import json
import socket
import sys
import threading
from pathlib import Path

from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey


def main() -> None:
    port, chain_file, key_file, given = int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    chain = X509CertChain()
    chain.parsePemList(Path(chain_file).read_text())
    key = parsePEMKey(Path(key_file).read_text(), private=True)
    settings = HandshakeSettings()
    for name, value in given.items():
        if name in ("minVersion", "maxVersion"):
            value = tuple(value)
        if name == "dhParams":
            value = (value[0], int(value[1], 16))
        setattr(settings, name, value)

    def answer(connection: socket.socket) -> None:
        try:
            secure = TLSConnection(connection)
            secure.handshakeServer(certChain=chain, privateKey=key, settings=settings)
            secure.recv(1)
            secure.close()
        except Exception as error:
            print(type(error).__name__, error, flush=True)
        finally:
            connection.close()

    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


main()
