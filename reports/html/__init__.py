"""One HTML file that holds a whole run: works offline, without JavaScript too, and sends nothing anywhere."""

from __future__ import annotations

import gc
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from reports.html import columns, view, words
from reports.runfolder import RunFolder
from scanner import __version__

if TYPE_CHECKING:
    from jinja2.bccache import Bucket

HERE = Path(__file__).parent


def write(run: Path) -> Path:
    """Write ``report.html`` in a run folder and give its path. Raises InputError when the folder holds no run."""
    # A page that is half written never stands in the place of a whole one, and nobody else may read it.
    draft = run / "report.html.part"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    with _no_collector(), draft.open("w", encoding="utf-8") as page:
        page.writelines(_page(run))
    return draft.replace(run / "report.html")


def _page(run: Path) -> Iterator[str]:
    folder = RunFolder.open(run)
    table = columns.read(folder)
    style, script = _asset("report.css"), _asset("report.js")
    return template().generate(
        **view.build(folder, table),
        style=Markup(style),  # noqa: S704 -- our own file
        script=Markup(script),  # noqa: S704 -- our own file
        policy=_policy(style, script),
        data=Markup(table.packed(folder.checks)),  # noqa: S704 -- base64
        version=__version__,
    )


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without the garbage collector: no cycles are made here, it would only walk through the run again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Compiled(FileSystemBytecodeCache):
    """The compiled template beside the compiled modules, on the same terms: kept where that is allowed."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)


@cache
def template() -> Template:
    """The page, compiled."""
    environment = Environment(
        loader=PackageLoader("reports.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.finished,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled(str(HERE / "__pycache__"), f"%s.{sys.implementation.cache_tag}.jinja"),
    )
    environment.globals.update(words.FUNCTIONS)
    environment.filters["svg_pair"] = words.svg_text
    return environment.get_template("report.html.j2")


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """The page may run its own script and use its own style; it may load and send nothing at all."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
