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

#: Before the anchors that the inventory names.
OWN = b"# of the inventory\n"


class Anchors:
    """The system's store with files of our own beside it.

    Raises ChannelError when a file cannot be read, or when the system has none, also beside some of our own: without
    the public CAs nobody can tell that a certificate is of none of them.
    """

    def __init__(self, extra: Iterable[str]) -> None:
        system = ssl.get_default_verify_paths().cafile
        public, own = [_read(system)] if system else [], [_read(path) for path in extra]
        self.digest = sha256(b"".join(public + own)).hexdigest()
        kept, added = _certificates(public), _certificates(own)
        self.count = len(kept) + len(added)
        if not kept:
            raise ChannelError(
                Cause.POLICY,
                "trust anchors: the scanner's own system has none; install ca-certificates there",
            )
        self._public, self._own = _by_name(kept), _by_name(added)

    def answer(self, source: TrustAnchors) -> Timed:
        """The anchors of these names, as `TrustAnchors` documents. Raises ChannelError when they are too many."""
        public, own = (
            [pem for name in source.names for pem in kept.get(name, ())] for kept in (self._public, self._own)
        )
        head = f"{len(public) + len(own)} of {self.count} trust anchors, sha256 of all {self.digest}\n"
        out = head.encode() + b"".join(public) + (OWN + b"".join(own) if own else b"")
        if len(out) > source.limit:
            raise ChannelError(Cause.TRUNCATED, f"trust anchors: more than {source.limit} bytes")
        return Timed(out=out, at=round(time.time(), 3))


def _by_name(anchors: Iterable[x509.Certificate]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for anchor in anchors:
        with suppress(ValueError):  # nobody can ask for a name that cannot be read
            found.setdefault(name_digest(anchor.subject), []).append(anchor.public_bytes(Encoding.PEM))
    return found


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
