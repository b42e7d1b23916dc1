"""Secrets, by reference, resolved where they are used.

An inventory holds references only: ``env:NAME`` or ``file:/path``. A `Vault` turns a reference into the
secret at the moment of use and forgets it again; what is costly to make from it (a private key object) is made
once per run and kept. A secret is wrapped, so that no log line, traceback or repr shows it, and no exception
raised here says more than the reference.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from pydantic import SecretBytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

#: Larger than any key or password; a longer file is the wrong file.
LONGEST: Final = 65536

T = TypeVar("T")


class VaultError(Exception):
    """A secret could not be had: one sentence for a person, without the secret."""


class SecretSource(Protocol):
    """Where references of one scheme lead: the door for other vaults."""

    def __call__(self, name: str) -> bytes:
        """The secret behind what follows the colon of a reference. Raises VaultError."""


def from_environment(name: str) -> bytes:
    """The value of an environment variable."""
    value = os.environb.get(name.encode())
    if value is None:
        raise VaultError(f"env:{name}: this environment variable is not set")
    return value


def from_file(name: str) -> bytes:
    """The content of a file that its owner alone may read, without one newline at the end."""
    try:
        path = Path(name).expanduser()
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise VaultError(f"file:{name}: not a regular file")
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise VaultError(
                    f"file:{name}: others than its owner may use it (mode {mode:04o}); run chmod 600 on it"
                )
            value = file.read(LONGEST + 1)
    except OSError as error:
        raise VaultError(f"file:{name}: {error.strerror}") from None
    except (ValueError, RuntimeError) as error:
        raise VaultError(f"file:{name}: {error}") from None
    if len(value) > LONGEST:
        raise VaultError(f"file:{name}: more than {LONGEST} bytes, so not a secret")
    return value.removesuffix(b"\n")


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe does not make us wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


class Vault:
    """Resolves references, and keeps what was made from them for the length of a run. Safe in threads.

    ``sources`` adds schemes to ``env`` and ``file``, or replaces them.
    """

    def __init__(self, sources: Mapping[str, SecretSource] | None = None) -> None:
        self._sources: dict[str, SecretSource] = {"env": from_environment, "file": from_file}
        self._sources.update(sources or {})
        self._made: dict[Hashable, object] = {}
        self._lock = Lock()

    def secret(self, reference: str) -> SecretBytes:
        """The secret behind a reference, read anew each time. Raises VaultError."""
        scheme, colon, name = reference.partition(":")
        source = self._sources.get(scheme)
        if not colon or source is None:
            # Not repeated: someone may have written the secret itself.
            raise VaultError(f"a secret reference begins with one of: {', '.join(self._sources)} and a colon")
        value = source(name)
        if not value:
            raise VaultError(f"{reference}: this secret is empty")
        return SecretBytes(value)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, made at the first call with this key and shared by all later ones.

        A VaultError is kept and raised again too: a key that does not load is not tried for every host.
        """
        with self._lock:
            if key not in self._made:
                try:
                    self._made[key] = make()
                except VaultError as error:
                    self._made[key] = VaultError(str(error))
            made = self._made[key]
        if isinstance(made, VaultError):
            raise VaultError(str(made))
        return made  # type: ignore[return-value]
