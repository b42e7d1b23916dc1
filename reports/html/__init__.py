"""One HTML file that holds a whole run: works offline, without JavaScript too, and sends nothing anywhere."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports.html import columns, view, words
from reports.runfolder import RunFolder
from scanner import __version__

HERE = Path(__file__).parent


def write(run: Path) -> Path:
    """Write ``report.html`` in a run folder and give its path. Raises InputError when the folder holds no run."""
    folder = RunFolder.open(run)
    table = columns.read(folder)
    style, script = _asset("report.css"), _asset("report.js")
    page = _environment().get_template("report.html.j2").stream(
        **view.build(folder, table),
        style=Markup(style),  # noqa: S704 -- our own file
        script=Markup(script),  # noqa: S704 -- our own file
        policy=_policy(style, script),
        data=Markup(table.packed(folder.checks)),  # noqa: S704 -- base64
        version=__version__,
    )  # fmt: skip
    page.enable_buffering(100)
    # A page that is half written never stands in the place of a whole one, and nobody else may read it.
    draft = run / "report.html.part"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    with draft.open("w", encoding="utf-8") as out:
        out.writelines(page)
    return draft.replace(run / "report.html")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words.FUNCTIONS)
    environment.filters["svg_pair"] = words.svg_text
    return environment


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
