"""The three decorators that carry the product: `@fact`, `@probe` and `@check`.

A check asks for facts the way a pytest test asks for fixtures: by its parameters. What a parameter's annotation
means is read here, once, at load; design and examples: docs/writing-a-check.md. Importing a check module
registers what it declares; it opens nothing and reads nothing.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache, partial
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as validated

from scanner.model import Cause, Finding, Gap, Layer, Raw, Renewal, Severity, State, Target, Timed, Verdict
from scanner.sources import Source

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class DeclarationError(Exception):
    """A fact, probe or check is declared wrongly; the message says which one and what to write."""


# --- what probes and checks may say ---------------------------------------------------------------------------


class Absent(Exception):  # noqa: N818 -- an answer, not an error
    """Raised by a probe or check: looked, and the thing is really not there. Ends as *notapplicable*."""


class NotUnderstood(Exception):  # noqa: N818 -- an answer, not an error
    """Raised by a probe or check: looked, but cannot make sense of it. Ends as *unknown*."""


class Blind(Exception):  # noqa: N818 -- an answer, not an error
    """Raised by a probe or check: what was asked could not all be seen. Ends as *error* with the cause."""

    def __init__(self, detail: str, cause: Cause | None = None) -> None:
        self.detail, self.cause = detail, cause
        super().__init__(detail)


_new: Final = tuple.__new__  # half the time of Verdict(...), a hundred thousand times a run


def holds(condition: bool, observed: str, expected: str = "") -> Verdict:
    """The verdict of a check: does the claim in its title hold, and what was seen.

    ``observed`` is technical and untranslated ("PermitRootLogin yes"). Raises TypeError when ``condition`` is
    not a bool: a truthy leftover must not become a pass.
    """
    if condition is not True and condition is not False:
        raise TypeError(f"holds() needs True or False, not {type(condition).__name__}")
    return _new(Verdict, (condition, observed, expected))


class ScanTime(datetime):
    """When the evidence was taken (UTC): the only clock a check may know, so that replay agrees."""


_adapters: dict[Any, TypeAdapter[Any]] = {}


def read(kind: type[T], values: Mapping[str, object]) -> T:
    """A fact from text values, validated and converted. Raises NotUnderstood naming the fields at fault."""
    from pydantic import ValidationError

    try:
        adapter = _adapters.get(kind) or _adapters.setdefault(kind, TypeAdapter(kind))
        found: T = adapter.validate_python(dict(values))
        return found
    except ValidationError as error:
        # Field names only: the input may hold what must not be repeated.
        fields = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors())
        raise NotUnderstood(f"{kind.__name__}: cannot read {fields}") from None


class Unseen(NamedTuple):
    """In the list a probe returns, what could not be looked at: it becomes a finding of its own, never a pass.

    ``subject`` says what is missing ("other ports"); ``gap`` why. ``further_address`` is as in `Each`.
    """

    subject: str
    gap: Gap
    further_address: str = ""


# --- what a check may ask for ---------------------------------------------------------------------------------


class Fleet(Generic[T]):
    """One fact of every target in a group: what a check across hosts judges (principle 8).

    Holds only the targets where the fact was really seen; the engine turns a pass into an error when a member
    could not be looked at, so a check's *fail* must be one that more hosts could not undo.
    """

    def __init__(self, members: Mapping[str, T], targets: Mapping[str, Target], now: ScanTime) -> None:
        self.members, self.targets, self.now = members, targets, now

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter(self.members.items())

    def groups(self, key: Callable[[T], Any]) -> dict[Any, list[str]]:
        """Value -> the names of the targets that have it, largest group first."""
        found: dict[Any, list[str]] = {}
        for name, value in self.members.items():
            found.setdefault(key(value), []).append(name)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[1])))

    def odd_ones(self, key: Callable[[T], Any]) -> list[str]:
        """The targets whose value is not that of the largest group, by name."""
        groups = list(self.groups(key).values())
        return sorted(name for group in groups[1:] for name in group)


class Results:
    """The findings already made on this target: what an aggregate check (principle 3) judges.

    Three-valued: a group of findings holds when at least one passes and none fails or is blind; it is broken
    when any fails; it is blind when something in it could not be established.
    """

    def __init__(self, findings: Iterable[tuple[Check, Finding]]) -> None:
        self.findings = tuple(findings)
        self._states: dict[Check, set[State]] = {}
        for check, finding in self.findings:
            self._states.setdefault(check, set()).add(finding.status)
        self._by_id = {check.id: states for check, states in self._states.items()}

    def state(self, belongs: Callable[[Check], bool]) -> State:
        """The state of a group: pass, fail, error (blind) or notapplicable (nothing there)."""
        return self._state(states for check, states in self._states.items() if belongs(check))

    def _state(self, groups: Iterable[set[State]]) -> State:
        states = set[State]().union(*groups)
        if State.FAIL in states:
            return State.FAIL
        if states & {State.ERROR, State.UNKNOWN, State.NOTCHECKED}:
            return State.ERROR
        return State.PASS if State.PASS in states else State.NOTAPPLICABLE

    def layers(self) -> dict[Layer, State]:
        """Every layer that has findings here -> its state."""
        groups: dict[Layer, list[set[State]]] = {}
        for check, states in self._states.items():
            groups.setdefault(check.layer, []).append(states)
        return {layer: self._state(groups[layer]) for layer in Layer if layer in groups}

    def any_of(self, *ids: str) -> State:
        """Whether at least one of these checks passes: pass, fail, error or notapplicable.

        One pass is enough whatever else could not be seen; a failing check beside it does not undo it.
        """
        states = set[State]().union(*self._of(ids))
        if State.PASS in states:
            return State.PASS
        if states & {State.ERROR, State.UNKNOWN, State.NOTCHECKED}:
            return State.ERROR
        return State.FAIL if State.FAIL in states else State.NOTAPPLICABLE

    def all_of(self, *ids: str) -> State:
        """Whether all of these checks that apply here pass: pass, fail, error or notapplicable."""
        return self._state(self._of(ids))

    def _of(self, ids: Iterable[str]) -> list[set[State]]:
        return [self._by_id[id_] for id_ in ids if id_ in self._by_id]


def at_least(count: int, parts: Mapping[str, State]) -> Verdict:
    """Whether at least ``count`` of the named parts hold.

    Enough for sure is a pass; enough only if the blind ones hold is an error (raises Blind); else a fail.
    Raises Absent when no part applies.
    """
    applies = {name: state for name, state in parts.items() if state is not State.NOTAPPLICABLE}
    if not applies:
        raise Absent(f"none of {', '.join(parts)} applies here")
    sure = [name for name, state in applies.items() if state is State.PASS]
    blind = [name for name, state in applies.items() if state is State.ERROR]
    missing = [name for name in applies if name not in sure and name not in blind]
    observed = f"holds: {', '.join(sure) or 'none'}"
    if missing:
        observed += f"; does not hold: {', '.join(missing)}"
    if blind:
        observed += f"; not established: {', '.join(blind)}"
    if len(sure) < count <= len(sure) + len(blind):
        raise Blind(observed)
    return holds(len(sure) >= count, observed, f"at least {count} of {', '.join(applies)}")


# --- declarations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Each:
    """A source for each item of a fact: `Each(TlsPort, lambda port: TlsWalk(port.number))`.

    The probe is called once per item with the answer, and may take the item itself as a parameter; the items
    it gives fan out to one finding each. An item that could not be asked is a gap of its own. ``when`` leaves out
    the items that are not its business.

    An item with a ``further_address`` (one of the target's addresses, not its own) is asked there; so is whatever is
    made of the answer, and its findings name the address.
    """

    fact: type[Any]
    source: Callable[[Any], Source]
    when: Callable[[Any], bool] = lambda item: True


class Kind(Enum):
    """How a parameter is filled."""

    RAW = auto()
    FACT = auto()
    ALL = auto()
    FLEET = auto()
    RESULTS = auto()
    TARGET = auto()
    NOW = auto()


@dataclass(frozen=True, slots=True)
class Ask:
    """One parameter of a probe or check, read from its annotation."""

    name: str
    kind: Kind
    fact: type[Any] | None = None
    argument: object = None
    optional: bool = False
    gap: bool = False
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Tunable:
    """A keyword-only parameter with a default: what a profile may set."""

    name: str
    annotation: Any
    default: Any
    description: str


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """How a fact is had: what to collect and the pure function that reads it."""

    function: Callable[..., Any]
    platform: str
    gives: type[Any]
    many: bool
    sources: Mapping[str, Any]
    asks: tuple[Ask, ...]
    each: Ask | None

    @property
    def name(self) -> str:
        """``checks.linux.ssh.sshd``."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


@dataclass(frozen=True, slots=True, eq=False)
class Dated:
    """A pure function that says of a fact what ends some day: lines of the calendar."""

    function: Callable[..., list[Renewal]]
    fact: type[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One claim about a target, a fleet or the findings themselves (an XCCDF Rule)."""

    id: str
    function: Callable[..., Any]
    title: str
    why: str
    title_nl: str
    why_nl: str
    principles: tuple[str, ...]
    severity: Severity
    layer: Layer
    fix: str
    verify: str
    advice: str
    advice_nl: str
    references: tuple[str, ...]
    topic: str
    platform: str
    version: int
    within: str
    asks: tuple[Ask, ...]
    tunables: tuple[Tunable, ...]
    module: str

    @property
    def is_fleet(self) -> bool:
        """Whether it judges one fact over many targets."""
        return any(ask.kind is Kind.FLEET for ask in self.asks)

    @property
    def is_aggregate(self) -> bool:
        """Whether it judges the findings of a target."""
        return any(ask.kind is Kind.RESULTS for ask in self.asks)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One of many alike checks: what `@check` takes, as a line of a table for `@table`."""

    id: str
    principle: str | tuple[str, ...]
    severity: Severity
    layer: Layer
    title: str
    why: str
    title_nl: str
    why_nl: str
    fix: str
    verify: str
    references: tuple[str, ...]
    advice: str = ""
    advice_nl: str = ""
    version: int = 1


@dataclass(slots=True)
class Registry:
    """All that is declared. One default; tests use their own through `registry.collecting`."""

    facts: set[type[Any]] = field(default_factory=set)
    probes: dict[type[Any], dict[str, Probe]] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    examples: dict[str, list[tuple[State, Any]]] = field(default_factory=dict)
    calendar: list[Dated] = field(default_factory=list)

    def probe_for(self, kind: type[Any], platform: str) -> Probe | None:
        """The probe that gives this fact on a target of this platform, or None."""
        probes = self.probes.get(kind)
        if not probes:
            return None
        return probes.get(platform) or next(
            (probe for tag, probe in probes.items() if tag not in TARGET_PLATFORMS), None
        )

    def applies(self, check: Check, target: Target) -> bool:
        """Whether every fact the check asks for can be had on a target of this platform."""
        return all(self._reachable(ask.fact, target.platform) for ask in check.asks if ask.fact is not None)

    def _reachable(self, kind: type[Any], platform: str) -> bool:
        probe = self.probe_for(kind, platform)
        if probe is None:
            return False
        asks = [ask for ask in probe.asks if not ask.gap] + ([probe.each] if probe.each else [])
        return all(self._reachable(ask.fact, platform) for ask in asks if ask.fact)

    def take(self, other: Registry, package: str) -> None:
        """Add what the modules of one package declared. Raises DeclarationError when an id or fact is taken."""
        inside = (package, f"{package}.")

        def ours(module: str) -> bool:
            return module == inside[0] or module.startswith(inside[1])

        self.facts |= {kind for kind in other.facts if ours(kind.__module__)}
        for kind, probes in other.probes.items():
            for platform, given in probes.items():
                if ours(given.function.__module__):
                    if platform in self.probes.get(kind, {}):
                        raise DeclarationError(
                            f"{given.name}: {kind.__name__} is given already on {platform}"
                        )
                    self.probes.setdefault(kind, {})[platform] = given
        self.calendar += [one for one in other.calendar if ours(one.function.__module__)]
        for id_, one in other.checks.items():
            if ours(one.module):
                if id_ in self.checks:
                    raise DeclarationError(f"check {id_}: {self.checks[id_].module} already has that id")
                self.checks[id_] = one
                self.examples[id_] = other.examples.get(id_, [])

    def link(self) -> None:
        """Check that everything asked for can be given. Raises DeclarationError with a sentence each."""
        for probes in self.probes.values():
            for probe in probes.values():
                self._must_exist(probe.name, probe.asks)
        for check_id, check in list(self.checks.items()):
            self._must_exist(f"check {check_id}", check.asks)
            fans = [ask.name for ask in check.asks if self.fans_out(ask)]
            if len(fans) > 1:
                raise DeclarationError(
                    f"check {check_id}: {' and '.join(fans)} both give one finding per item;"
                    " ask for one of them as list[...]"
                )
            if not check.platform:
                self.checks[check_id] = replace(check, platform=self._platform(check))

    def fans_out(self, ask: Ask) -> bool:
        """Whether this parameter makes one finding per item."""
        return (
            ask.kind is Kind.FACT
            and ask.fact is not None
            and any(probe.many for probe in self.probes.get(ask.fact, {}).values())
        )

    def _must_exist(self, who: str, asks: Iterable[Ask]) -> None:
        for ask in asks:
            if ask.fact is not None and ask.fact not in self.probes:
                raise DeclarationError(
                    f"{who}: no probe gives {ask.fact.__name__};"
                    " write one with @probe, or ask for another fact"
                )

    def _platform(self, check: Check) -> str:
        if check.is_fleet:
            return "fleet"
        if check.is_aggregate:
            return "layers"
        for ask in check.asks:
            if ask.fact is not None:
                tag = next(iter(self.probes[ask.fact]))
                return "network" if tag == "outside" else tag
        raise DeclarationError(f"check {check.id}: it asks for no fact; say platform=... in @check")


#: Platforms a target can be; a probe of any other platform (tls, dns, outside ...) serves every target.
TARGET_PLATFORMS: Final = frozenset({"linux", "windows", "network", "other"})
PLATFORMS: Final = frozenset(
    [
        "linux",
        "ssh",
        "database",
        "network",
        "tls",
        "dns",
        "mail",
        "web",
        "directory",
        "windows",
        "fleet",
        "layers",
    ]
)

_default = Registry()
_current = _default


def default_registry() -> Registry:
    """The registry that decorators write to."""
    return _current


@contextmanager
def collecting(registry: Registry) -> Iterator[Registry]:
    """Let decorators write to ``registry`` within the block: for tests and for trying a plugin."""
    global _current
    before, _current = _current, registry
    try:
        yield registry
    finally:
        _current = before


#: A fact's validator is made when one is first read: most facts of a scan never are.
_FIRST_USE: Final = ConfigDict(defer_build=True)


@dataclass_transform(frozen_default=True)
def fact(cls: type[T]) -> type[T]:
    """Make a class a fact: a frozen, validated dataclass. It must live at module level."""
    kind = validated(cls, frozen=True, config=_FIRST_USE)
    _current.facts.add(kind)
    return kind  # type: ignore[return-value]


def probe(platform: str, **sources: Any) -> Callable[[F], F]:
    """Declare how a fact is had: ``@probe("linux", dump=Command("sshd -T", root=True, needs="sshd"))``.

    Each source is a `Source`, a function of the fact's argument that gives one (for `Annotated[Fact, argument]`), or
    `Each`. The function takes a `Raw` per source (``Raw | None``: None when absent; `Timed` when it needs to know when
    the answer came) and any facts, and returns the fact or a list of them. It is pure; what it raises means *unknown*,
    except `Absent` and `Blind`. With ``| Gap`` it gets the reason where something could not be had, and must say what
    is then missing: an `Unseen` in its list.
    """

    def declare(function: F) -> F:
        where = f"probe {function.__module__}.{function.__qualname__}"
        hints = _hints(function, where)
        gives, many = _returned(hints.pop("return", None), where)
        each = next((value for value in sources.values() if isinstance(value, Each)), None)
        asks = tuple(_ask(name, hints[name], where) for name in _parameters(function))
        for ask in asks:
            if (ask.kind is Kind.RAW) != (ask.name in sources):
                raise DeclarationError(
                    f"{where}: parameter {ask.name} and source {ask.name} must both exist,"
                    " the parameter annotated Raw, Timed or Raw | None"
                )
            if ask.kind in {Kind.FLEET, Kind.RESULTS}:
                raise DeclarationError(f"{where}: a probe sees one target; {ask.name} is for checks")
        if unused := sources.keys() - {ask.name for ask in asks}:
            raise DeclarationError(f"{where}: no parameter takes source {', '.join(sorted(unused))}")
        declared = Probe(
            function=function,
            platform=platform,
            gives=gives,
            many=many or each is not None,
            sources=types.MappingProxyType(dict(sources)),
            asks=tuple(ask for ask in asks if not (each and ask.fact is each.fact)),
            each=Ask(next((ask.name for ask in asks if ask.fact is each.fact), ""), Kind.FACT, each.fact)
            if each
            else None,
        )
        others = _current.probes.setdefault(gives, {})
        if platform in others:
            raise DeclarationError(
                f"{where}: {others[platform].name} already gives {gives.__name__} on {platform}"
            )
        others[platform] = declared
        return function

    return declare


def check(
    id: str,  # noqa: A002 -- the field's word
    *,
    principle: str | tuple[str, ...],
    severity: Severity,
    layer: Layer,
    title_nl: str,
    why_nl: str,
    fix: str,
    verify: str,
    references: tuple[str, ...],
    advice: str = "",
    advice_nl: str = "",
    platform: str = "",
    version: int = 1,
    within: str = "",
) -> Callable[[F], F]:
    """Declare a check. The docstring is its English documentation: title line, blank line, why it matters.

    ``fix`` and ``verify`` are exact commands; ``advice`` is a sentence beside them where commands do not say it all.
    ``references`` name where the expectation comes from. ``within`` (fleet checks) names the Target field that
    groups hosts: the check is called once per group. Raises DeclarationError.
    """

    def declare(function: F) -> F:
        title, _, why = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        _register(
            function,
            Row(
                id=id, principle=principle, severity=severity, layer=layer,
                title=" ".join(title.split()), why=" ".join(why.split()), title_nl=title_nl, why_nl=why_nl,
                fix=fix, verify=verify, references=references, advice=advice, advice_nl=advice_nl,
                version=version,
            ),
            function, platform, within,
        )  # fmt: skip
        return function

    return declare


def dated(function: F) -> F:
    """Declare what of a fact ends some day: ``@dated`` on a function of one fact that returns a list of `Renewal`.

    It is put in the calendar of a run when the fact was seen; nothing is asked for its sake.
    """
    where = f"calendar {function.__module__}.{function.__qualname__}"
    hints = _hints(function, where)
    asks = [_ask(name, hints[name], where) for name in _parameters(function)]
    if len(asks) != 1 or asks[0].kind is not Kind.FACT or asks[0].fact is None:
        raise DeclarationError(f"{where}: it takes one fact")
    _current.calendar.append(Dated(function, asks[0].fact))
    return function


def table(*rows: Row, platform: str = "") -> Callable[[F], F]:
    """Declare one check per row, all judged by one function that takes the row as keyword-only ``row``."""

    def declare(function: F) -> F:
        for row in rows:
            _register(function, row, partial(function, row=row), platform, "")
        return function

    return declare


def examples(
    checked: Callable[..., Any] | str,
    *,
    passes: Any = None,
    fails: Any = None,
    unknown: Any = None,
    notapplicable: Any = None,
    error: Any = None,
) -> None:
    """Raw evidence beside a check and the state it must give: its unit tests, documentation and demo at once.

    Each is one example or a list of them. An example is text (the output of the check's only source), a `Raw`, or
    a mapping: source parameter name (or ``probe.source`` when two probes share a name) -> text, bytes, Raw, `Gap`, or
    a function that makes one of these when the example is run;
    ``"target"`` -> Target fields; ``"now"`` -> datetime. A fleet check maps ``"@host"`` -> such a mapping; an
    aggregate check maps check id -> state.
    """
    id_ = checked if isinstance(checked, str) else _id_of(checked)
    if id_ not in _current.checks:
        raise DeclarationError(f"examples for {id_!r}: there is no such check (yet)")
    given = {
        State.PASS: passes,
        State.FAIL: fails,
        State.UNKNOWN: unknown,
        State.NOTAPPLICABLE: notapplicable,
        State.ERROR: error,
    }
    listed = _current.examples.setdefault(id_, [])
    for state, value in given.items():
        if value is not None:
            listed.extend((state, one) for one in (value if isinstance(value, list) else [value]))


def _id_of(function: Callable[..., Any]) -> str:
    for id_, declared in _current.checks.items():
        if declared.function is function:
            return id_
    raise DeclarationError(f"examples: {function!r} is not a check; decorate it with @check first")


_ID: Final = r"[a-z0-9]+(?:[.-][a-z0-9]+)+"


def _register(
    function: Callable[..., Any], row: Row, called: Callable[..., Any], platform: str, within: str
) -> None:
    import re

    where = f"check {row.id}"
    if not re.fullmatch(_ID, row.id):
        raise DeclarationError(f"{where}: an id is 'topic.what-holds', in lower case")
    if row.id in _current.checks:
        raise DeclarationError(
            f"{where}: {_current.checks[row.id].module} already has that id; ids are for ever, take another"
        )
    for name in ("title", "why", "title_nl", "why_nl", "fix", "verify", "references"):
        if not getattr(row, name):
            raise DeclarationError(f"{where}: {name} is empty; a check explains itself")
    if platform and platform not in PLATFORMS:
        raise DeclarationError(f"{where}: platform is one of {', '.join(sorted(PLATFORMS))}")
    hints = _hints(function, where)
    tunables = tuple(
        _tunable(name, hints[name], default, where)
        for name, default in _keyword_only(function).items()
        if name != "row"
    )
    asks = tuple(_ask(name, hints[name], where) for name in _parameters(function))
    kinds = [ask.kind for ask in asks]
    if Kind.RAW in kinds:
        raise DeclarationError(f"{where}: a check judges facts, not Raw; write a @probe")
    if any(ask.gap for ask in asks):
        raise DeclarationError(f"{where}: '| Gap' is for probes; what is not seen is not judged")
    if kinds.count(Kind.FLEET) > 1 or (Kind.FLEET in kinds and Kind.FACT in kinds):
        raise DeclarationError(f"{where}: a fleet check asks for one Fleet[...] and no single fact")
    principle = (row.principle,) if isinstance(row.principle, str) else row.principle
    _current.checks[row.id] = Check(
        id=row.id, function=called, title=row.title, why=row.why, title_nl=row.title_nl, why_nl=row.why_nl,
        principles=principle, severity=row.severity, layer=row.layer, fix=row.fix, verify=row.verify,
        advice=row.advice, advice_nl=row.advice_nl, references=row.references,
        topic=function.__module__.rpartition(".")[2], platform=platform, version=row.version, within=within,
        asks=asks, tunables=tunables, module=function.__module__,
    )  # fmt: skip


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{where}: {error}; import annotations at run time, not under TYPE_CHECKING"
        ) from None
    missing = [name for name in _signature(function) if name not in hints]
    if missing:
        raise DeclarationError(f"{where}: annotate {', '.join(missing)}")
    return hints


@lru_cache(maxsize=1)  # asked three times in a row, of each of a thousand functions
def _signature(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _parameters(function: Callable[..., Any]) -> list[str]:
    return [
        name
        for name, parameter in _signature(function).items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]


def _keyword_only(function: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: parameter.default
        for name, parameter in _signature(function).items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _tunable(name: str, hint: Any, default: Any, where: str) -> Tunable:
    if default is inspect.Parameter.empty:
        raise DeclarationError(f"{where}: tunable {name} needs a default")
    description = ""
    if get_origin(hint) is Annotated:
        hint, description = get_args(hint)[:2]
    if not description:
        raise DeclarationError(f"{where}: document {name}: Annotated[<type>, '<what it sets>']")
    return Tunable(name, hint, default, description)


def _returned(hint: Any, where: str) -> tuple[type[Any], bool]:
    many = get_origin(hint) is list
    gives = get_args(hint)[0] if many else hint
    if many and get_origin(gives) in (Union, types.UnionType):
        gives = next((one for one in get_args(gives) if one is not Unseen), gives)
    if not isinstance(gives, type) or gives not in _current.facts:
        raise DeclarationError(f"{where}: say which fact it returns: '-> Fact' or '-> list[Fact]'")
    return gives, many


def _ask(name: str, hint: Any, where: str) -> Ask:
    argument: object = None
    optional = gap = False
    if get_origin(hint) in (Union, types.UnionType):
        given = get_args(hint)
        members = [member for member in given if member not in (type(None), Gap)]
        if len(members) != 1 or len(members) == len(given):
            raise DeclarationError(f"{where}: {name}: the only unions are '<Fact> | None' and '<Fact> | Gap'")
        hint, optional, gap = members[0], type(None) in given, Gap in given
    if get_origin(hint) is Annotated:
        hint, argument = get_args(hint)[:2]
    origin = get_origin(hint)
    if hint is Raw or hint is Timed:
        return Ask(name, Kind.RAW, optional=optional, gap=gap, timed=hint is Timed)
    if hint is Results:
        return Ask(name, Kind.RESULTS)
    if hint is Target:
        return Ask(name, Kind.TARGET)
    if hint is ScanTime:
        return Ask(name, Kind.NOW)
    kind = Kind.FLEET if origin is Fleet else Kind.ALL if origin is list else Kind.FACT
    wanted = get_args(hint)[0] if origin in (Fleet, list) else hint
    if not isinstance(wanted, type):
        raise DeclarationError(f"{where}: {name}: {hint} is not something a parameter can ask for")
    return Ask(name, kind, wanted, argument, optional, gap)


__all__ = [
    "Absent", "Ask", "Blind", "Check", "DeclarationError", "Each", "Fleet", "Gap", "Kind", "NotUnderstood", "Probe",
    "Registry", "Results", "Row", "ScanTime", "Tunable", "Unseen", "at_least", "check", "collecting",
    "dated", "default_registry", "examples", "fact", "holds", "probe", "read", "table",
]  # fmt: skip
