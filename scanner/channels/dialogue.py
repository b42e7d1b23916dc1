"""A short conversation with one port, as `Dialogue` declares it: what was said and heard, byte for byte."""

from __future__ import annotations

import errno
import re
import socket
import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from scanner.channels import ChannelError
from scanner.channels.wire import cause_of, datagrams, dial
from scanner.model import Cause, Timed
from scanner.transcript import Exchange, Turn, write

if TYPE_CHECKING:
    from scanner.sources import Dialogue, Say
    from scanner.transcript import End

_GONE: Final = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN)
#: What a datagram brings back when the network says that it does not get there.
_TURNED_AWAY: Final = (errno.EHOSTUNREACH, errno.EACCES)
_DATAGRAM: Final = 65535


def converse(source: Dialogue, address: str) -> Timed:
    """Hold the conversation; the transcript of its one connection. Raises ChannelError when it cannot be held."""
    began = time.monotonic()
    talk = _Talk(source, address, began + source.timeout)
    exchange = talk.hold()
    return Timed(out=write([exchange]), took=round(time.monotonic() - began, 4), at=round(time.time(), 3))


class _Ended(Exception):  # noqa: N818 -- an outcome
    """The connection is over: how, and what TLS said of it."""

    def __init__(self, end: End, note: str = "") -> None:
        self.end, self.note = end, note
        super().__init__(end)


class _Talk:
    """One conversation while it lasts."""

    def __init__(self, source: Dialogue, address: str, deadline: float) -> None:
        self._source, self._address, self._deadline = source, source.address or address, deadline
        self._turns: list[Turn] = []
        self._sent, self._heard, self._total = b"", b"", 0
        self._note = ""
        self._socket: socket.socket

    def hold(self) -> Exchange:
        """From connecting to the end."""
        end: End = "done"
        try:
            self._socket = self._connect()
        except _Ended as ended:
            return Exchange(self._source.purpose, (), ended.end)
        try:
            if self._source.secure:
                self._secure()
            for say in self._source.turns:
                self._turn(say)
        except _Ended as ended:
            end, self._note = ended.end, ended.note or self._note
            if self._sent or self._heard:
                self._turns.append(Turn(self._sent, self._heard))
        finally:
            self._socket.close()
        self._complain(end)
        return Exchange(self._source.purpose, tuple(self._turns), end, note=self._note)

    def _complain(self, end: End) -> None:
        """An answer that did not come, or came without end, is no answer. Raises ChannelError."""
        what = self._source.describe()
        if end == "limit":
            raise ChannelError(Cause.TRUNCATED, f"{what}: more than {self._source.limit} bytes came")
        if end == "timeout" and not self._source.silence:
            raise ChannelError(Cause.TIMEOUT, f"{what}: no complete answer in {self._source.timeout} seconds")

    def _connect(self) -> socket.socket:
        if self._source.protocol == "udp":
            return datagrams(self._address, self._source.port)
        try:
            return dial(self._address, self._source.port, self._left())
        except ChannelError as error:
            if error.cause is Cause.REFUSED:
                raise _Ended("refused") from None
            raise

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Ended("timeout")
        return left

    def _turn(self, say: Say) -> None:
        self._sent = self._composed(say)
        self._heard = b""
        if self._sent:
            self._send(self._sent)
        self._hear(say)
        self._turns.append(Turn(self._sent, self._heard))
        self._sent = self._heard = b""
        if say.secure:
            self._secure()

    def _composed(self, say: Say) -> bytes:
        data = bytearray(say.data.encode("latin-1"))
        for turn, offset, length, to in say.copy:
            part = self._turns[turn].received[offset : offset + length]
            if len(part) != length:
                raise _Ended("done", "an earlier answer is too short to go on from")
            data[to : to + length] = part
        return bytes(data)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except OSError as error:
            raise self._last_words(self._ended(error)) from None

    def _last_words(self, ended: _Ended) -> _Ended:
        """What the other side had said before it ended the connection, such as why; it is still there to be read."""
        try:
            self._socket.settimeout(min(1, self._left()))
            words = self._socket.recv(self._source.limit - self._total)
        except OSError as error:
            return self._ended(error) if isinstance(error, ssl.SSLError) else ended
        self._heard += words
        self._total += len(words)
        return ended

    def _hear(self, say: Say) -> None:
        done = re.compile(say.until.encode("latin-1"), re.DOTALL) if say.until else None
        once_more = self._source.protocol == "udp" and len(self._source.turns) == 1
        while not self._complete(say, done):
            wait = self._left()
            may_be_all = say.quiet > 0 and (not say.http or _is_message(self._sent, self._heard))
            if may_be_all:
                wait = min(wait, say.quiet)
            self._socket.settimeout(wait / 2 if once_more else wait)
            try:
                data = self._socket.recv(_DATAGRAM if self._source.protocol == "udp" else 16384)
            except TimeoutError:
                if once_more:
                    once_more = False
                    self._send(self._sent)
                    continue
                if may_be_all and self._deadline > time.monotonic():
                    return
                raise _Ended("timeout") from None
            except OSError as error:
                raise self._ended(error) from None
            if not data and self._source.protocol == "tcp":
                raise _Ended("closed")
            self._heard += data
            self._total += len(data)
            if self._total > self._source.limit:
                raise _Ended("limit")
            if self._source.protocol == "udp":
                return

    def _complete(self, say: Say, done: re.Pattern[bytes] | None) -> bool:
        if done is not None:
            return done.search(self._heard) is not None
        if say.frame is None:
            return False
        offset, width, extra = say.frame
        field = self._heard[offset : offset + abs(width)]
        if len(field) < abs(width):
            return False
        size = int.from_bytes(field, "big" if width > 0 else "little") + extra
        return len(self._heard) >= size

    def _secure(self) -> None:
        """Go on over TLS. No certificate is verified here: judging is for the checks, and nothing secret is said."""
        try:
            self._socket.settimeout(self._left())
            secured = _context(self._source.stranger).wrap_socket(
                self._socket, server_hostname=self._source.server_name or None, suppress_ragged_eofs=False
            )
        except OSError as error:
            raise self._ended(error) from None
        except (TypeError, ValueError) as error:  # a name that TLS cannot carry
            raise ChannelError(Cause.PARSE, f"{self._source.describe()}: {error}") from None
        self._socket, self._note = secured, secured.version() or ""

    def _ended(self, error: OSError) -> _Ended:
        if isinstance(error, TimeoutError):
            return _Ended("timeout")
        if isinstance(error, ssl.SSLEOFError):
            return _Ended("closed", self._note)
        if isinstance(error, ssl.SSLError):
            return _Ended("reset", f"TLS: {error.reason or error}")
        if error.errno == errno.ECONNREFUSED:
            return _Ended("refused")
        if error.errno in _GONE:
            return _Ended("reset", self._note)
        if self._source.silence and self._source.protocol == "udp" and error.errno in _TURNED_AWAY:
            return _Ended("timeout", errno.errorcode[error.errno])
        raise ChannelError(cause_of(error), f"{self._source.describe()}: {error.strerror or error}")


#: Interim answers (100 Continue) that may come before the one that counts.
_INTERIM: Final = 8
_LENGTH: Final = re.compile(rb"\r\nContent-Length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\nTransfer-Encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)


def _is_message(asked: bytes, heard: bytes) -> bool:
    """Whether a whole HTTP answer is there (RFC 9112 section 6.3). It tells when to stop, and not what was said."""
    head, end, body = heard.partition(b"\r\n\r\n")
    for _ in range(_INTERIM):
        if head[9:10] == b"1":
            head, end, body = body.partition(b"\r\n\r\n")
    if not end or head[9:10] == b"1":
        return False
    if asked.startswith(b"HEAD ") or head[9:12] in {b"204", b"304"}:
        return True
    if _CHUNKED.search(head + b"\r\n"):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return length is not None and len(body) >= int(length[1])


@lru_cache(maxsize=2)
def _context(stranger: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    if stranger:
        with tempfile.NamedTemporaryFile() as file:
            file.write(_nobodys_certificate())
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _nobodys_certificate() -> bytes:
    """A key and a certificate that nobody has issued (PEM), made anew for every process."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keurmeester, issued by nobody")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(pem)
