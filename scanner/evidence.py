"""Raw evidence: content-addressed blobs, a manifest per target, one digest over the whole run.

A blob is named by the SHA-256 of its raw bytes and stored once, as zstd. A manifest says which source gave which
blobs, when, how and through which account. `Store.verify` finds every changed, missing and added byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, Final

import zstandard
from pydantic_core import from_json

from scanner.evaluate import Collected
from scanner.model import Cause, Gap, Raw, State, Timed
from scanner.sources import MEBIBYTE, Source, from_data, to_data

#: No blob is larger than this when unpacked: a bomb in a copied run folder is refused.
BLOB_LIMIT: Final = 64 * MEBIBYTE
#: Of zstd: half as many bytes again are saved by the levels above it together, at ten times the time.
LEVEL: Final = 6
#: Bytes of blobs that are kept once read and found right: much is the same on every host.
READ_LIMIT: Final = MEBIBYTE // 2


class EvidenceError(Exception):
    """The evidence is not what the manifests say; the message names the file."""


@dataclass(slots=True)
class Manifest:
    """What was collected from one target, and how. Times are seconds since the epoch, UTC."""

    target: str
    started: float = 0.0
    ended: float = 0.0
    channel: str = ""
    by: str = ""
    account: tuple[int, str] | None = None
    gap: Gap | None = None
    answers: dict[Source, Collected] = field(default_factory=dict)


class Store:
    """The evidence part of a run folder. Writing is safe from many threads."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._known: set[str] = set()
        self._made: set[str] = set()
        self._compressor, self._turn = zstandard.ZstdCompressor(level=LEVEL), Lock()
        self._decompressor = zstandard.ZstdDecompressor()
        self._read: dict[str, bytes] = {}
        self._kept = 0

    def add(self, raw: Raw) -> tuple[str, ...]:
        """Keep the bytes of an answer; the digests that name them (standard output first)."""
        out = self._put(raw.out)
        return (out, self._put(raw.err)) if raw.err else (out,)

    def _put(self, data: bytes) -> str:
        name = sha256(data).hexdigest()
        if name in self._known:
            return name
        with self._turn:  # one compressor: each takes a megabyte, and is busy for a millisecond per target
            if name not in self._known:
                self._write(name, data)
                self._known.add(name)  # only now: on a full disk no manifest may name what was not written
        return name

    def _write(self, name: str, data: bytes) -> None:
        folder = f"{self.run}/evidence/{name[:2]}"
        if name[:2] not in self._made:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(name[:2])
        write_private(f"{folder}/{name}.zst", self._compressor.compress(data))

    def read(self, name: str) -> bytes:
        """The raw bytes under this name. Raises EvidenceError when missing, damaged or not what the name says."""
        data = self._read.get(name)
        if data is None:
            data = self._load(name)
            self._kept += len(data)
            if self._kept > READ_LIMIT:
                self._read.clear()
                self._kept = len(data)
            self._read[name] = data
        return data

    def _load(self, name: str) -> bytes:
        path = self.run / "evidence" / name[:2] / f"{name}.zst"
        try:
            packed = path.read_bytes()
            if not 0 <= zstandard.frame_content_size(packed) <= BLOB_LIMIT:
                raise EvidenceError(f"{self._short(path)}: changed: not a blob of at most {BLOB_LIMIT} bytes")
            data = self._decompressor.decompress(packed, allow_extra_data=False)
        except FileNotFoundError:
            raise EvidenceError(f"{self._short(path)}: missing") from None
        except (OSError, zstandard.ZstdError) as error:
            raise EvidenceError(f"{self._short(path)}: changed: {error}") from None
        if sha256(data).hexdigest() != name:
            raise EvidenceError(f"{self._short(path)}: changed: its bytes are not what its name says")
        return data

    def seal(self, manifest: Manifest) -> str:
        """Write a target's manifest; its SHA-256."""
        data = _manifest_text(manifest).encode()
        folder = self.run / "manifests"
        folder.mkdir(mode=0o700, exist_ok=True)
        write_private(folder / f"{manifest.target}.json", data)
        return sha256(data).hexdigest()

    def manifest(self, target: str) -> Manifest:
        """A target's manifest with its answers loaded. Raises EvidenceError."""
        path = self.run / "manifests" / f"{target}.json"
        try:
            return _manifest(from_json(path.read_bytes()), self)
        except FileNotFoundError:
            raise EvidenceError(f"{self._short(path)}: missing") from None
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"{self._short(path)}: not a manifest: {error}") from None

    def targets(self) -> list[str]:
        """The targets that have a manifest, sorted."""
        return sorted(path.name.removesuffix(".json") for path in (self.run / "manifests").glob("*.json"))

    def digest(self) -> str:
        """The run digest: SHA-256 over the lines ``<manifest sha256>  <target>``, sorted by target."""
        total = sha256()
        for target in self.targets():
            data = (self.run / "manifests" / f"{target}.json").read_bytes()
            total.update(f"{sha256(data).hexdigest()}  {target}\n".encode())
        return total.hexdigest()

    def verify(self, digest: str) -> Iterator[str]:
        """A sentence for every changed, missing or added piece of evidence; none when all is as it was sealed."""
        named: set[str] = set()
        for target in self.targets():
            try:
                data = json.loads((self.run / "manifests" / f"{target}.json").read_bytes())
                for answer in data["answers"]:
                    named.update((answer["out"], answer["err"]) if answer["err"] else (answer["out"],))
            except (ValueError, KeyError, TypeError):
                yield f"manifests/{target}.json: changed: not a manifest"
        if self.digest() != digest:
            yield "manifests: changed, missing or added: together they do not give the run digest in run.json"
        for name in sorted(named):
            try:
                self.read(name)
            except EvidenceError as error:
                yield str(error)
        for path in sorted((self.run / "evidence").rglob("*")):
            if path.is_file() and path.name.removesuffix(".zst") not in named:
                yield f"{self._short(path)}: added: no manifest names it"
        for path in sorted((self.run / "manifests").iterdir()):
            if path.suffix != ".json":
                yield f"{self._short(path)}: added: not a manifest"

    def _short(self, path: Path) -> str:
        return str(path.relative_to(self.run))


def write_private(path: Path | str, data: bytes) -> None:
    """Write a file only its owner can read (0600), replacing what was there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def _manifest_text(manifest: Manifest) -> str:
    head = {
        "target": manifest.target,
        "started": manifest.started,
        "ended": manifest.ended,
        "channel": manifest.channel,
        "by": manifest.by,
        "account": manifest.account,
        "gap": manifest.gap,
    }
    rows = (
        f'{{"source":{_source_text(source)},{_answer_text(answer)}}}'
        for source, answer in manifest.answers.items()
    )
    return f'{_json(head)[:-1]},"answers":[{",".join(rows)}]}}'


def _answer_text(answer: Collected) -> str:
    raw, (out, *err) = answer
    return (
        f'"out":"{out}","err":"{err[0] if err else ""}","code":{"null" if raw.code is None else raw.code},'
        f'"took":{raw.took},"at":{raw.at},"size":{len(raw.out)},"gap":{_json(raw.gap) if raw.gap else "null"}'
    )


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=4096)
def _source_text(source: Source) -> str:
    # The same few dozen sources come back for every target.
    return _json(to_data(source))


def _manifest(data: Mapping[str, Any], store: Store) -> Manifest:
    answers = {}
    for row in data["answers"]:
        out, err = row["out"], row["err"]
        gap = _gap(row["gap"]) if row["gap"] else None
        raw = Timed(
            store.read(out), store.read(err) if err else b"", row["code"], gap, row["took"], row["at"]
        )
        answers[_source(row["source"])] = Collected(raw, (out, err) if err else (out,))
    return Manifest(
        target=data["target"],
        started=data["started"],
        ended=data["ended"],
        channel=data["channel"],
        by=data["by"],
        account=tuple(data["account"]) if data["account"] else None,
        gap=_gap(data["gap"]) if data["gap"] else None,
        answers=answers,
    )


_sources: dict[str, list[tuple[dict[str, Any], Source]]] = {}


def _source(data: dict[str, Any]) -> Source:
    alike = _sources.setdefault(data.get("line") or data.get("path") or str(data), [])
    for known, source in alike:
        if known == data:
            return source
    alike.append((data, from_data(data)))
    return alike[-1][1]


def _gap(data: list[str]) -> Gap:
    state, cause, detail = data
    return Gap(State(state), Cause(cause) if cause else None, detail)


__all__ = ["EvidenceError", "Manifest", "Store", "write_private"]
