"""What a TLS server shows: one handshake, one connection, the certificates as they came."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from scanner.channels import ChannelError
from scanner.channels.wire import cause_of, dial
from scanner.model import Cause, Gap, State, Timed

if TYPE_CHECKING:
    from scanner.sources import Handshake

#: What OpenSSL says when the other side answers in something other than TLS. An end without an answer is not among
#: them: a TLS server may hang up too, and that would be blindness.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


def _context() -> ssl.SSLContext:
    # The server is being looked at, not trusted: what it shows is judged later, from the evidence. Nothing is sent
    # to it but the handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def handshake(source: Handshake, address: str) -> Timed:
    """Shake hands with ``address`` and write down what was shown, as `Handshake` documents.

    A port that answers in something other than TLS is *notapplicable*. Raises ChannelError when it cannot be reached.
    """
    began = time.monotonic()
    late = threading.Event()
    try:
        with dial(source.address or address, source.port, source.timeout) as plain:
            plain.settimeout(source.timeout)
            with _ending(plain, source.timeout, late):
                seen = _shake(plain, source.server_name)
    except ChannelError:
        raise
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        if any(word in reason for word in _NO_TLS):
            gap = Gap(State.NOTAPPLICABLE, None, f"port {source.port} does not speak TLS ({reason})")
            return Timed(code=None, at=round(time.time(), 3), gap=gap)
        cause = Cause.TIMEOUT if late.is_set() or isinstance(error, TimeoutError) else Cause.TLS
        raise ChannelError(cause, f"{source.describe()}: {reason}") from None
    except OSError as error:
        cause = Cause.TIMEOUT if late.is_set() else cause_of(error)
        raise ChannelError(cause, f"{source.describe()}: {error.strerror or error}") from None
    out = json.dumps(seen).encode()
    return Timed(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


@contextmanager
def _ending(connection: socket.socket, seconds: float, late: threading.Event) -> Iterator[None]:
    """End the connection after so many seconds, however slowly the other side keeps it alive."""

    def end() -> None:
        late.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shake(connection: socket.socket, server_name: str) -> dict[str, Any]:
    with _context().wrap_socket(
        connection, server_hostname=server_name or None, suppress_ragged_eofs=False
    ) as secure:
        return {
            "version": secure.version(),
            "cipher": (secure.cipher() or ("",))[0],
            "chain": [base64.b64encode(one).decode() for one in _chain(secure)],
        }


def _chain(secure: ssl.SSLSocket) -> list[bytes]:
    # Public only from Python 3.13; before that the same method sits on the inner object.
    found: Any = getattr(secure, "get_unverified_chain", None)
    if found is not None:
        return list(found())
    inner: Any = secure._sslobj  # type: ignore[attr-defined]
    return [one.public_bytes(2) for one in inner.get_unverified_chain() or ()]
