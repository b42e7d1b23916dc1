"""The command line: thin. Words in, one of the pipeline's functions called, words out."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from scanner import plugins
from scanner import scope as scopes
from scanner._version import __version__
from scanner.model import InputError, Target

if TYPE_CHECKING:
    from scanner.engine import Progress
    from scanner.scope import Scope
    from scanner.sources import Source

#: Exit codes: 0 all conform, 1 findings, 2 something could not be established, 3 wrong input, 4 our own fault.
WRONG_INPUT: Final = 3
INTERNAL: Final = 4
STOPPED: Final = 130
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

app = typer.Typer(
    name="keurmeester",
    help="Look at hosts, judge them on security principles, and report with evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
checks_app = typer.Typer(help="The checks there are.", no_args_is_help=True)
inventory_app = typer.Typer(help="Where targets come from.", no_args_is_help=True)
app.add_typer(checks_app, name="checks")
app.add_typer(inventory_app, name="inventory")


class Language(StrEnum):
    """Languages of the summary."""

    NL = "nl"
    EN = "en"


class Format(StrEnum):
    """Reports that can be made of a run."""

    HTML = "html"
    TERMINAL = "terminal"


Inventories = Annotated[
    list[Path] | None, typer.Argument(metavar="[INVENTORY]...", help="Inventory files; none: this machine.")
]
Profile = Annotated[str, typer.Option("--profile", "-p", help="Profile by name, or a profile file.")]
Targets = Annotated[
    str, typer.Option("--targets", help='Only these, such as: role == "web" and zone in ("dmz",)')
]
Only = Annotated[str, typer.Option("--only", help='Only these checks, such as: topic == "ssh"')]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration; default keurmeester.yaml here.")
]
Lang = Annotated[Language, typer.Option("--lang", help="Language of the summary.")]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/20261123T…")]
CheckId = Annotated[str, typer.Argument(metavar="CHECK", help="A check's id, such as ssh.root-login.")]


def run() -> int:
    """Run the command line and turn what goes wrong into one clear message; the exit code."""
    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except InputError as error:
        _say(f"keurmeester: {error}")
        return WRONG_INPUT
    except typer.Exit as leave:
        return leave.exit_code
    except KeyboardInterrupt:
        _say("keurmeester: stopped")
        return STOPPED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            _say(
                f"keurmeester: {error.strerror}\n  Make room and scan again; a run that was not judged says so."
            )
            return INTERNAL
        if hasattr(error, "format_message"):  # click's usage errors
            _say(f"keurmeester: {error.format_message()}\n  `keurmeester --help` tells what can be asked.")
            return WRONG_INPUT
        _say(f"keurmeester: a fault of the scanner itself: {type(error).__name__}: {error}")
        _say("  Run `keurmeester doctor`; when that finds nothing, please report this.")
        return INTERNAL
    finally:
        gc.freeze()  # all goes now; nobody needs to look through it for garbage first


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _show(data: Any) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"keurmeester {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Look at hosts, judge them on security principles, and report with evidence."""


def _load(config: Path | None) -> scopes.Loaded:
    """All checks and norms. They stay until the end: looking among them for garbage would cost a tenth of the start,
    and again and again after it.
    """
    gc.disable()
    try:
        return scopes.load(scopes.read_config(config))
    finally:
        gc.freeze()
        gc.enable()


def _scope(
    inventories: list[Path] | None, profile: str, targets: str, only: str, config: Path | None
) -> Scope:
    loaded = _load(config)
    for name in loaded.refused:
        _say(
            f"keurmeester: {name} brings checks but is not on the list 'plugins:' in keurmeester.yaml; not loaded"
        )
    return scopes.build(loaded, inventories or (), profile=profile, targets=targets, only=only)


@app.command()
def scan(
    inventories: Inventories = None,
    profile: Profile = "baseline",
    targets: Targets = "",
    only: Only = "",
    out: Annotated[Path, typer.Option("--out", help="Where run folders go.")] = Path("runs"),
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Hosts at the same time.")] = 16,
    config: ConfigFile = None,
    lang: Lang = Language.EN,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")] = False,
) -> int:
    """Scan targets, judge and report. Exit code 0 conform, 1 findings, 2 incomplete."""
    from scanner import run as runs
    from scanner.engine import LocalEngine
    from scanner.evidence import Store
    from scanner.vault import Vault
    from scanner.worker import Worker

    scope = _scope(inventories, profile, targets, only, config)
    folder = runs.new_run(out, scope)
    worker = Worker(scope.inventory, Vault())
    interrupted = False
    few = len(scope.targets) < workers
    with _progress(len(scope.targets), quiet) as progress, _preloading() if few else nullcontext() as asked:

        def tell(event: str, target: Target) -> None:
            if event == "open" and asked is not None:
                asked.set()
            progress(event, target)

        def stopping() -> None:
            _say("keurmeester: stopping; waiting for the targets that are being asked (once more: at once)")

        engine = LocalEngine(
            scope.plan, worker, Store(folder), workers=workers, progress=tell, stopping=stopping
        )
        try:
            for _ in engine.run(scope.targets):
                pass
        except KeyboardInterrupt as stop:
            if isinstance(stop.__context__, KeyboardInterrupt):
                # What is still being asked would be written into evidence that is being judged.
                _say(f"keurmeester: stopped at once; nothing of {folder} was judged")
                os._exit(STOPPED)
            interrupted = True
            _say("keurmeester: stopped early; judging what was collected")
    code = runs.finish(folder, scope, interrupted=interrupted)
    plugins.entry_point("reports", "html")(folder)
    plugins.entry_point("reports", "terminal")(folder, lang=str(lang))
    return code


@contextmanager
def _preloading() -> Iterator[Event]:
    """Load what reporting needs as soon as the first target has been asked: while it answers, that costs no time.

    With many targets there is always one to attend to; then nothing is gained, and memory is needed for them.
    """
    asked = Event()

    def load() -> None:
        asked.wait()
        # What goes wrong here goes wrong again, and is told, where the report is made.
        with suppress(Exception):
            plugins.entry_point("reports", "html")
            plugins.entry_point("reports", "terminal")

    thread = Thread(target=load, name="preload")
    thread.start()
    try:
        yield asked
    finally:
        asked.set()
        thread.join()


@contextmanager
def _progress(total: int, quiet: bool) -> Iterator[Progress]:
    """A progress bar on a terminal, else a line now and then; on standard error."""
    if quiet:
        yield lambda _event, _target: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress as Bar

        with Bar(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("scan", total=total)

            def show(event: str, target: Target) -> None:
                bar.update(task, advance=event == "end", description=target.name)

            yield show
    else:
        from itertools import count
        from time import monotonic

        done, last = count(1), [monotonic()]

        def tell(event: str, _target: Target) -> None:
            if event == "end":
                number = next(done)
                if monotonic() - last[0] > 2:
                    last[0] = monotonic()
                    _say(f"keurmeester: {number} of {total} targets")

        yield tell


@app.command()
def plan(
    inventories: Inventories = None,
    profile: Profile = "baseline",
    targets: Targets = "",
    only: Only = "",
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show every question that would be put to every target, before anything runs."""
    from scanner.evaluate import Facts, scan_time
    from scanner.sources import to_data

    scope = _scope(inventories, profile, targets, only, config)
    rows = []
    for target in scope.targets:
        facts = Facts(target, {}, scope.loaded.registry, scan_time(0))
        rows.append((target, scope.plan.first(target, facts), scope.plan.later(target)))
    if as_json:
        _show(
            [
                {
                    "target": target.name,
                    "sources": [to_data(source) for source in sources],
                    "later": list(later),
                }
                for target, sources, later in rows
            ]
        )
        return
    for target, sources, later in rows:
        print(f"{target.name} ({target.channel}, {target.address})")
        for source in sources:
            print(f"  {_asked_as(target, source)}  {source.describe()}")
        for text in later:
            print(f"  then  {text}")


def _asked_as(target: Target, source: Source) -> str:
    """``root``, nothing, or ``----`` when it cannot be asked at all: there is no account to log in with."""
    from scanner.sources import Shell

    if not isinstance(source, Shell):
        return "    "
    if target.channel == "ssh" and target.credential is None:
        return "----"
    return "root" if source.root else "    "


@app.command()
def rights(
    inventories: Inventories = None,
    profile: Profile = "baseline",
    targets: Targets = "",
    only: Only = "",
    config: ConfigFile = None,
    user: Annotated[
        str, typer.Option("--user", help="Account, where the inventory names none.")
    ] = "keurmeester",
) -> None:
    """Derive the exact sudoers lines and firewall openings the selected checks need."""
    from scanner.evaluate import Facts, scan_time
    from scanner.rights import openings, sudoers

    scope = _scope(inventories, profile, targets, only, config)
    files: dict[str, list[str]] = {}
    for target in scope.targets:
        facts = Facts(target, {}, scope.loaded.registry, scan_time(0))
        credential = scope.inventory.credentials.get(target.credential or "")
        account = credential.user if credential else user
        if account != "root":
            text = sudoers(account, scope.plan.first(target, facts))
            files.setdefault(text, []).append(target.name)
    for text, names in files.items():
        print(f"# For: {', '.join(names)}\n{text}")
    for line in openings(scope):
        print(f"# {line}")


@app.command()
def explain(
    check: CheckId,
    target: Annotated[str, typer.Option("--target", "-t", help="A target of the run.")] = "",
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="A run folder; default the newest in runs/.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Tell what a check is, what it asks for, and why its verdict on a target is what it is."""
    from scanner import explain as explained

    loaded = _load(config)
    found = _check(loaded, check)
    controls = loaded.catalogue.controls_of(found.id)
    paragraphs = list(explained.check_paragraphs(found, loaded.registry, controls))
    local = scopes.this_machine().targets[0]
    if loaded.registry.applies(found, local):
        paragraphs += [("asks", line) for line in explained.sources_of(found, loaded.registry, local)]
    if target:
        folder = run_folder or _newest_run()
        paragraphs.append(("run", str(folder)))
        paragraphs += explained.evidence_paragraphs(found, loaded.registry, folder, target)
    from scanner.plain import plain

    print(found.id)
    for heading, text in paragraphs:
        lines = plain(text).split("\n")
        print(f"  {heading + ':' if heading else '':<12}{lines[0]}")
        for line in lines[1:]:
            print(f"  {'':<12}{line}")


def _newest_run() -> Path:
    found = sorted(Path("runs").glob("*/run.json"))
    if not found:
        raise InputError(
            "there is no run in runs/ yet", remedy="Run `keurmeester scan` first, or give --run FOLDER."
        )
    return found[-1].parent


def _check(loaded: scopes.Loaded, check_id: str) -> Any:
    from scanner.yamlfile import suggest

    found = loaded.registry.checks.get(check_id)
    if found is None:
        raise InputError(f"there is no check {check_id!r}", remedy=suggest(check_id, loaded.registry.checks))
    return found


@app.command()
def replay(run_folder: RunFolder, config: ConfigFile = None, as_json: Json = False) -> int:
    """Verify every digest of a run, judge its evidence again, and compare. Exit code 1 on any difference."""
    from scanner import run as runs

    loaded = _load(config)
    result = runs.replay(run_folder, loaded)
    same = not result.faults and not result.differences
    if as_json:
        _show(
            {
                "faults": result.faults,
                "differences": result.differences,
                "findings": result.findings,
                "same": same,
            }
        )
        return 0 if same else 1
    for fault in result.faults:
        print(f"evidence: {fault}")
    for difference in result.differences:
        print(f"finding: {difference}")
    if same:
        print(
            f"{result.findings} findings judged again from the evidence: all identical; every digest is right."
        )
    return 0 if same else 1


@app.command()
def report(
    run_folder: RunFolder,
    formats: Annotated[str, typer.Option("--format", help="html, terminal; several with commas.")] = "html",
    lang: Lang = Language.EN,
) -> None:
    """Make reports of a finished run."""
    from scanner import run as runs

    runs.read_run(run_folder)
    for name in formats.split(","):
        if name not in set(Format):
            raise InputError(
                f"there is no report format {name!r}", remedy=f"Write one of {', '.join(Format)}."
            )
    for name in formats.split(","):
        write = plugins.entry_point("reports", name)
        if name == Format.TERMINAL:
            write(run_folder, lang=str(lang))
        else:
            print(write(run_folder))


@checks_app.command("list")
def checks_list(only: Only = "", config: ConfigFile = None, as_json: Json = False) -> None:
    """List the checks."""
    from scanner.expression import compile_filter
    from scanner.profiles import CHECK_FIELDS, Selected
    from scanner.run import check_data

    loaded = _load(config)
    keep = compile_filter(only, CHECK_FIELDS, "--only") if only else lambda _check: True
    found = [check for _, check in sorted(loaded.registry.checks.items()) if keep(check)]
    if as_json:
        _show([check_data(Selected(check, {}), loaded.catalogue) for check in found])
        return
    for check in found:
        print(f"{check.id:<42} {check.severity:<8} {','.join(check.principles):<12} {check.title}")
    print(f"{len(found)} checks, {len({check.topic for check in found})} topics")


@checks_app.command("show")
def checks_show(check: CheckId, config: ConfigFile = None, as_json: Json = False) -> None:
    """Show one check, as its documentation page."""
    from scanner.docs import page
    from scanner.profiles import Selected
    from scanner.run import check_data

    loaded = _load(config)
    found = _check(loaded, check)
    if as_json:
        _show(check_data(Selected(found, {}), loaded.catalogue))
    else:
        print(page(found, loaded.registry, loaded.catalogue))


@checks_app.command("docs")
def checks_docs(
    folder: Annotated[Path, typer.Argument(help="Where the pages go.")] = Path("docs/checks"),
    config: ConfigFile = None,
) -> None:
    """Write a page per topic with all its checks, and an index."""
    from scanner.docs import write_pages

    loaded = _load(config)
    print(f"{write_pages(folder, loaded)} pages in {folder}")


@inventory_app.command("check")
def inventory_check(
    inventories: Annotated[list[Path], typer.Argument(metavar="INVENTORY...")], as_json: Json = False
) -> None:
    """Read inventories and show every target with its fields; wrong input is named with file and line."""
    inventory = scopes.read_inventories(inventories)
    if as_json:
        _show(inventory.model_dump(mode="json", by_alias=True))
        return
    for target in inventory.targets:
        fields = target.model_dump(
            by_alias=True, exclude_defaults=True, exclude={"name", "services", "host_keys"}
        )
        print(f"{target.name}: " + ", ".join(f"{key} {value}" for key, value in fields.items() if value))
        for service in target.services or ():
            origin = ", ".join(service.from_) or "nowhere"
            print(f"  offers {service.key} {service.name} to {origin}: {service.purpose}".rstrip(": "))
    print(f"{len(inventory.targets)} targets")


@inventory_app.command("schema")
def inventory_schema() -> None:
    """Print the JSON Schema of inventory files, for editors."""
    _show(plugins.entry_point("inventories", "schema")())


@app.command()
def doctor(config: ConfigFile = None) -> int:
    """Examine this installation: what is here, what is missing, and what to do about it."""
    from scanner.doctor import examine

    results = examine(config)
    for good, what in results:
        print(f"{'ok   ' if good else 'WRONG'}  {what}")
    return 0 if all(good for good, _ in results) else WRONG_INPUT
