"""The CA certificates the scanner trusts: read once per run, asked by the names that a chain needs.

The whole store is a quarter of a megabyte that no host has anything to do with. So evidence are only the anchors that
can end a path from what a port showed, and the digest of the store they were taken from.
"""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from scanner.channels import ChannelError
from scanner.model import Cause, Timed
from scanner.names import name_digest
from scanner.sources import TrustAnchors


class Anchors:
    """The system's store with files of our own beside it. Raises ChannelError when a file cannot be read."""

    def __init__(self, extra: Iterable[str]) -> None:
        system = ssl.get_default_verify_paths().cafile
        files = [_read(path) for path in ([system] if system else []) + list(extra)]
        self.digest = sha256(b"".join(files)).hexdigest()
        self.count = 0
        self._by_name: dict[str, list[bytes]] = {}
        for anchor in _certificates(files):
            self.count += 1
            with suppress(ValueError):  # nobody can ask for a name that cannot be read
                name = name_digest(anchor.subject)
                self._by_name.setdefault(name, []).append(anchor.public_bytes(Encoding.PEM))

    def answer(self, source: TrustAnchors) -> Timed:
        """The anchors of these names, as `TrustAnchors` documents. Raises ChannelError when they are too many."""
        found = [pem for name in source.names for pem in self._by_name.get(name, ())]
        head = f"{len(found)} of {self.count} trust anchors, sha256 of all {self.digest}\n"
        out = head.encode() + b"".join(found)
        if len(out) > source.limit:
            raise ChannelError(Cause.TRUNCATED, f"trust anchors: more than {source.limit} bytes")
        return Timed(out=out, at=round(time.time(), 3))


def _certificates(files: Iterable[bytes]) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        # Some roots that systems trust are older than the rules, such as one with serial number 0.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            return [one for file in files for one in x509.load_pem_x509_certificates(file)]
        except ValueError as error:
            raise ChannelError(Cause.POLICY, f"trust anchors: {error}") from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ChannelError(Cause.POLICY, f"trust anchors {path}: {error.strerror}") from None
