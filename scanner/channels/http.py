"""What CAs publish, fetched over HTTP: only from hosts that the inventory allows, because a target chose the URL.

No redirect is followed, no proxy of the environment used, nothing kept between requests but what came back.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from scanner.channels import ChannelError
from scanner.channels.wire import dial
from scanner.model import Cause, Timed

if TYPE_CHECKING:
    from scanner.sources import Fetch

_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = {"Accept": "*/*", "Connection": "close", "User-Agent": "keurmeester"}


class Fetcher:
    """Fetches for one run; what was asked once, with whatever came of it, is not asked again."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)
        self._known: dict[tuple[str, str], Future[bytes]] = {}
        self._lock = threading.Lock()

    def fetch(self, source: Fetch) -> Timed:
        """All that is wanted, as `Fetch` documents. Raises ChannelError when none of it could be had."""
        began = time.monotonic()
        found: list[dict[str, str]] = []
        errors: list[ChannelError] = []
        for url, post in source.wanted:
            try:
                body = self._once(url, post, source)
            except ChannelError as error:
                errors.append(error)
                found.append({"url": url, "cause": str(error.cause), "detail": error.detail})
            else:
                found.append({"url": url, "body": base64.b64encode(body).decode()})
        if errors and len(errors) == len(found):
            detail = "; ".join(dict.fromkeys(error.detail for error in errors))
            raise ChannelError(errors[0].cause, detail)
        out = json.dumps(found).encode()
        return Timed(out=out, took=round(time.monotonic() - began, 4), at=round(time.time(), 3))

    def _once(self, url: str, post: str, source: Fetch) -> bytes:
        with self._lock:
            known = self._known.get((url, post))
            ours = known is None
            if known is None:
                known = self._known[url, post] = Future()
        if ours:
            try:
                known.set_result(self._get(url, post, source.timeout, source.limit))
            except BaseException as error:
                known.set_exception(error)
        return known.result()

    def _get(self, url: str, post: str, seconds: int, limit: int) -> bytes:
        place = self._permitted(url)
        host, port = place.hostname or "", place.port or _PORTS[place.scheme]
        deadline = time.monotonic() + seconds
        connection = _connected(host, port, seconds, secure=place.scheme == "https")
        late = threading.Event()

        def end() -> None:
            late.set()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(deadline - time.monotonic(), 0.05), end)
        timer.daemon = True
        timer.start()
        try:
            asking = http.client.HTTPConnection(host, port)
            asking.sock = connection
            path = (place.path or "/") + (f"?{place.query}" if place.query else "")
            body = base64.b64decode(post) if post else None
            headers = dict(_HEADERS) | ({"Content-Type": "application/ocsp-request"} if body else {})
            asking.request("POST" if body else "GET", path, body=body, headers=headers)
            answer = asking.getresponse()
            if answer.status != 200:
                raise ChannelError(Cause.REFUSED, f"{url}: answers with HTTP status {answer.status}")
            found = answer.read(limit + 1)
            if answer.length and len(found) <= limit:  # less came than was promised
                raise ChannelError(Cause.TIMEOUT if late.is_set() else Cause.RESET, f"{url}: cut short")
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = (
                Cause.TIMEOUT if late.is_set() or isinstance(error, TimeoutError)
                else Cause.RESET if isinstance(error, OSError) else Cause.PARSE
            )  # fmt: skip
            raise ChannelError(cause, f"{url}: {str(error)[:120] or type(error).__name__}") from None
        finally:
            timer.cancel()
            connection.close()
        if late.is_set():
            raise ChannelError(Cause.TIMEOUT, f"{url}: not all of it within {seconds} seconds")
        if len(found) > limit:
            raise ChannelError(Cause.TRUNCATED, f"{url}: more than {limit} bytes")
        return found

    def _permitted(self, url: str) -> SplitResult:
        """The parts of a URL that may be asked. Raises ChannelError."""
        try:
            place = urlsplit(url)
            port = place.port
        except ValueError:
            raise ChannelError(Cause.PARSE, f"{url[:200]!r} is not a URL") from None
        host = (place.hostname or "").rstrip(".")
        if place.scheme not in _PORTS or not host or place.username is not None or not url.isascii():
            raise ChannelError(Cause.POLICY, f"{url[:200]}: only plain http and https URLs are fetched")
        above = host.split(".", 1)[1] if "." in host else ""
        names = {host, f"*.{above}"}
        usual = port is None or port in _PORTS.values()
        if not (usual and names & self._allowed) and not {f"{name}:{port}" for name in names} & self._allowed:
            missing = host if usual else f"{host}:{port}"
            raise ChannelError(
                Cause.POLICY,
                f"{url[:200]}: the inventory does not allow this host; write 'revocation_hosts: [{missing}]'",
            )
        return place


def _connected(host: str, port: int, seconds: int, *, secure: bool) -> socket.socket:
    """A connection; with TLS no certificate is judged there, because what is fetched is signed. Raises ChannelError."""
    plain = dial(host, port, seconds)
    plain.settimeout(seconds)
    if not secure:
        return plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        plain.close()
        raise ChannelError(Cause.TLS, f"{host} port {port}: {error.strerror or error}") from None
