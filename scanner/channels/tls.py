"""What a TLS server shows: one handshake, one connection, the certificates as they came."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scanner.channels import ChannelError
from scanner.model import Cause, Gap, Raw, State

if TYPE_CHECKING:
    from scanner.sources import Handshake

_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


def _context() -> ssl.SSLContext:
    # The server is being looked at, not trusted: what it shows is judged later, from the evidence. Nothing is sent
    # to it but the handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def handshake(source: Handshake, address: str) -> Raw:
    """Shake hands with ``address`` and write down what was shown, as `Handshake` documents.

    A port that answers in something other than TLS is *notapplicable*. Raises ChannelError when it cannot be reached.
    """
    began = time.monotonic()
    try:
        with (
            socket.create_connection((source.address or address, source.port), source.timeout) as plain,
            _context().wrap_socket(plain, server_hostname=source.server_name or None) as secure,
        ):
            seen = {
                "version": secure.version(),
                "cipher": (secure.cipher() or ("",))[0],
                "chain": [base64.b64encode(one).decode() for one in _chain(secure)],
            }
    except TimeoutError:
        raise ChannelError(Cause.TIMEOUT, f"{source.describe()}: no answer in {source.timeout} s") from None
    except ssl.SSLError as error:
        reason = error.reason or str(error)
        if any(word in reason for word in _NO_TLS):
            return Raw(
                code=None,
                at=time.time(),
                gap=Gap(State.NOTAPPLICABLE, None, f"port {source.port} does not speak TLS ({reason})"),
            )
        raise ChannelError(Cause.TLS, f"{source.describe()}: {reason}") from None
    except OSError as error:
        raise ChannelError(cause_of(error), f"{source.describe()}: {error.strerror or error}") from None
    out = json.dumps(seen).encode()
    return Raw(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


def _chain(secure: ssl.SSLSocket) -> list[bytes]:
    # Public only from Python 3.13; before that the same method sits on the inner object.
    found: Any = getattr(secure, "get_unverified_chain", None)
    if found is not None:
        return list(found())
    inner: Any = secure._sslobj  # type: ignore[attr-defined]
    return [one.public_bytes(2) for one in inner.get_unverified_chain() or ()]


def cause_of(error: OSError) -> Cause:
    """The cause word for what went wrong with a connection."""
    if isinstance(error, socket.gaierror):
        return Cause.DNS
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Cause.RESET
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    return Cause.ROUTE


def trust_anchors(extra: tuple[str, ...], limit: int) -> Raw:
    """The PEM of all CA certificates the scanner trusts. Raises ChannelError when a named file cannot be read."""
    store = ssl.get_default_verify_paths().cafile
    out = b""
    for path in ([store] if store else []) + list(extra):
        try:
            out += Path(path).read_bytes() + b"\n"
        except OSError as error:
            raise ChannelError(Cause.POLICY, f"trust anchors {path}: {error.strerror}") from None
    if len(out) > limit:
        raise ChannelError(Cause.TRUNCATED, f"trust anchors: more than {limit} bytes")
    return Raw(out=out, at=round(time.time(), 3))
