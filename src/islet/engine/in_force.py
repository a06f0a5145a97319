"""The rules that are in force, as the registry says them: made anew when something changes, by any process, and the same
object until then. Where patients have changed, only what is known of these.

A rule of the installation's own that cannot be planned is left out, says why, and stops none of the others.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from islet.engine.parameters import NO_LAYERS, Layer, Layers, Override
from islet.engine.reference import PatientReference, Reference
from islet.engine.references import NO_LINES, References
from islet.engine.rules import Plan, Rule, check_rule, plan, read_rule
from islet.engine.tables import FORECASTS
from islet.engine.titles import titles_in
from islet.errors import NotFound, RuleRefused
from islet.forecast.personal import JOB, decode_fitted, in_force
from islet.forecast.serving import SHIPPED, Choice, served
from islet.model.ahead import Foreteller
from islet.model.job_runs import decode_kept
from islet.model.people import Patient
from islet.store.base import EntryKind, Registry

_log = structlog.get_logger("islet.engine")

SERVED: Final = "served"
"""The id of the EntryKind.FORECAST that says which model forecasts."""
_KINDS: Final = (
    "patient",
    EntryKind.RULE,
    EntryKind.RULE_SETTING,
    EntryKind.FORECAST,
    EntryKind.JOB,
    EntryKind.ERASED,
)
"""What rules are made of."""
_NOBODY: Final = Reference(otherwise=PatientReference(mask=0))


class OwnRule(Struct, frozen=True, kw_only=True):
    """The body of an EntryKind.RULE; its id is the rule's name."""

    sql: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A rule of the installation's own that is left out, and why; the reason names the line."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """All that is in force at one time. `own`: the installation's own rules (name to text), also those left out. `lines`:
    by patient, what their forecasts are corrected by (`islet.forecast.personal`)."""

    plan: Plan
    references: Mapping[str, Reference]
    own: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    overrides: tuple[Override, ...] = ()
    layers: Layers = NO_LAYERS
    lines: Mapping[str, bytes] = field(default_factory=lambda: NO_LINES)

    def rule(self, name: str) -> Rule:
        """Raises NotFound."""
        for rule in self.plan.rules:
            if rule.name == name:
                return rule
        raise NotFound(f"there is no rule {name!r}; `islet rules list` shows all")

    def reference(self, quantity: str) -> Reference:
        """Of one stream. Nobody is looked at where no rule asks for the stream."""
        return self.references.get(quantity, _NOBODY)

    @property
    def foretelling(self) -> frozenset[str]:
        """The rules that look at what is foretold."""
        ahead = self.plan.streams.get(FORECASTS)
        return frozenset[str]() if ahead is None else frozenset(rule.name for rule in ahead.rules)

    def override(self, rule: str, layer: Layer, of: str = "") -> Override | None:
        """What is set for a rule at one place."""
        found = (one for one in self.overrides if (one.rule, one.layer, one.of) == (rule, layer, of))
        return next(found, None)

    def titles(self, language: str = "en") -> dict[str, str]:
        """The title of all that can raise an alert, by its name, in a language, or in English where there is no other."""
        ruled = {rule.name: rule.titles.get(language, rule.title) for rule in self.plan.rules}
        return titles_in(language) | ruled

    def title(self, name: str, language: str = "en") -> str:
        """Of one; a rule that is no more has no other title than its name."""
        return self.titles(language).get(name) or name.replace("_", " ").capitalize()


class FixedRules:
    """A book in which nothing changes: for a trial, a measurement, a test."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def current(self) -> Rules:
        return self._rules

    def is_current(self, rules: object) -> bool:
        return rules is self._rules


class CurrentRules:
    """The rules of one registry, which follow it. Any thread may ask."""

    def __init__(self, registry: Registry, shipped: Sequence[Rule]) -> None:
        self._registry, self._rules_shipped = registry, shipped
        self._making = threading.Lock()
        self._made: tuple[int, Mapping[str, int], Rules] | None = None  # the registry's versions, and what they gave
        self._parts: dict[str, tuple[int, Any]] = {}
        self._basis: _Basis | None = None
        self._references: References | None = None
        self._seen = -1  # the registry's version up to which patients were taken

    def current(self) -> Rules:
        """What is in force now: the same object until something changes. Costs one question to the registry; where
        patients have changed, as much as they are."""
        made, version = self._made, self._registry.version
        if made is not None and made[0] == version:
            return made[2]
        with self._making:
            made, version = self._made, self._registry.version  # first: what changes while we read makes it another
            if made is None or made[0] != version:
                kinds = self._kinds()
                rules = made[2] if made is not None and made[1] == kinds else self._make(kinds)
                made = self._made = (version, kinds, rules)
            return made[2]

    def is_current(self, rules: object) -> bool:
        """Whether these are still in force, without making others."""
        made = self._made
        if made is None or made[2] is not rules:
            return False
        return made[0] == self._registry.version or made[1] == self._kinds()

    def _kinds(self) -> Mapping[str, int]:
        """The versions of all that is made of."""
        versions = self._registry.versions()
        return {kind: versions.get(kind, 0) for kind in _KINDS}

    def _make(self, kinds: Mapping[str, int]) -> Rules:
        registry, before = self._registry, None if self._made is None else self._made[2]
        basis = _Basis(
            own=self._read(kinds, EntryKind.RULE, lambda: _own(registry.entries(EntryKind.RULE))),
            model=self._read(kinds, EntryKind.FORECAST, lambda: served(forecasting(registry).model)).name,
            fitted=self._read(kinds, EntryKind.JOB, lambda: registry.entry(EntryKind.JOB, JOB)),
            erased=self._read(kinds, EntryKind.ERASED, lambda: frozenset(registry.entries(EntryKind.ERASED))),
        )
        overrides = self._read(
            kinds, EntryKind.RULE_SETTING, lambda: _overrides(registry.entries(EntryKind.RULE_SETTING))
        )
        if before is not None and self._basis == basis and _of_many(overrides) == _of_many(before.overrides):
            return self._follow(before, overrides)
        return self._anew(basis, overrides, before)

    def _read(self, kinds: Mapping[str, int], kind: EntryKind, read: Callable[[], Any]) -> Any:
        """A part of the registry, read again when something of its kind has changed."""
        known = self._parts.get(kind)
        if known is None or known[0] != kinds[kind]:
            known = self._parts[kind] = (kinds[kind], read())
        return known[1]

    def _follow(self, before: Rules, overrides: tuple[Override, ...]) -> Rules:
        """Rules that differ in what they know of some patients."""
        assert self._references is not None
        seen, patients = self._registry.patients_since(self._seen)
        layers = before.layers
        if overrides is not before.overrides:
            layers = Layers.of(overrides)
            ids = _differ(before.layers, layers) - {patient.id for patient in patients}
            patients += [patient for id in sorted(ids) if (patient := self._registry.patient(id)) is not None]
        self._references.layers = layers
        references = self._references.taken(patients)
        self._seen = seen
        if layers is before.layers and all(one is before.references[name] for name, one in references.items()):
            return before  # something that no rule looks at
        return replace(before, references=references, overrides=overrides, layers=layers)

    def _anew(self, basis: "_Basis", overrides: tuple[Override, ...], before: Rules | None) -> Rules:
        known, foreteller = self._basis, self._parts[EntryKind.FORECAST][1]
        if before is not None and known is not None and basis[:2] == known[:2]:
            planned, broken = before.plan, before.broken
        else:
            planned, broken = planned_with(self._rules_shipped, basis.own, foreteller)
            for one in broken:
                _log.error("rule_left_out", rule=one.name)  # the reason, which the list shows, may quote the rule
        seen, patients = self._registry.patients_since(-1)
        lines = _lines(basis.fitted, foreteller.fingerprint, patients)
        layers = Layers.of(overrides)
        book = References(planned, layers, lines=lines, erased=basis.erased)
        references = book.taken(patients)
        self._basis, self._references, self._seen = basis, book, seen
        return Rules(
            plan=planned,
            references=references,
            own=basis.own,
            broken=broken,
            overrides=overrides,
            layers=layers,
            lines=lines,
        )


class _Basis(NamedTuple):
    """What the rules of everybody are made of."""

    own: Mapping[str, str]
    model: str
    """The name of the one that forecasts."""
    fitted: bytes | None
    """What the nightly job has left of people's own lines."""
    erased: frozenset[str]


def _of_many(overrides: Iterable[Override]) -> list[Override]:
    """Those that are not of one patient."""
    return [one for one in overrides if one.layer != "patient"]


def _differ(before: Layers, now: Layers) -> set[str]:
    """The patients for whom something else is set."""
    return {
        whom
        for whom in before.by_whom.keys() | now.by_whom.keys()
        if not whom.startswith("#") and before.by_whom.get(whom) != now.by_whom.get(whom)
    }


def forecasting(registry: Registry) -> Choice:
    """The model that forecasts now, and why; the shipped one where nobody has said another."""
    body = registry.entry(EntryKind.FORECAST, SERVED)
    return Choice(model=SHIPPED) if body is None else msgspec.json.decode(body, type=Choice)


def _lines(body: bytes | None, model: str, patients: Iterable[Patient]) -> dict[str, bytes]:
    """Those that the nightly job has left, learnt from this model's misses, of people who are still there."""
    if body is None:
        return {}
    found = in_force(decode_fitted(bytes(decode_kept(body).result)), model)
    return {patient.id: found[patient.id] for patient in patients if patient.id in found}


def planned_with(
    shipped: Sequence[Rule], own: Mapping[str, str], foreteller: Foreteller | None
) -> tuple[Plan, tuple[Broken, ...]]:
    """The plan of all rules that can be planned together, and the own ones that cannot. A rule may need one of any
    name, so those that were refused are tried again for as long as one more works."""
    taken, refused = list(shipped), dict[str, str]()
    waiting, tried = dict(own), -1
    while waiting and len(waiting) != tried:
        tried = len(waiting)
        for name, text in list(waiting.items()):
            try:
                taken.append(_checked(name, text, taken))
                del waiting[name]
            except RuleRefused as error:
                refused[name] = str(error)
    while True:
        try:
            ready = plan(taken, foreteller=foreteller)
        except RuleRefused as error:  # each can be planned, but they are too many
            if len(taken) == len(shipped):
                raise
            refused[taken.pop().name] = str(error)
        else:
            left_out = sorted(own.keys() - _names(taken[len(shipped) :]))
            return ready, tuple(Broken(name=name, reason=refused[name]) for name in left_out)


def _checked(name: str, text: str, beside: Sequence[Rule]) -> Rule:
    rule = read_rule(text)
    if rule.name in _names(beside):
        raise RuleRefused(f"there is another rule {rule.name!r} already", line=1)
    if rule.name != name:
        raise RuleRefused(f"it is kept as {name!r} but calls itself {rule.name!r}", line=1)
    check_rule(rule, beside)
    return rule


def _names(rules: Iterable[Rule]) -> set[str]:
    return {rule.name for rule in rules}


def _own(entries: Mapping[str, bytes]) -> dict[str, str]:
    return {name: msgspec.json.decode(body, type=OwnRule).sql for name, body in entries.items()}


def _overrides(entries: Mapping[str, bytes]) -> tuple[Override, ...]:
    """Those that can be read: one that cannot must not keep the rules from everybody. What it said does not hold."""
    found = []
    for body in entries.values():
        try:
            found.append(msgspec.json.decode(body, type=Override))
        except msgspec.DecodeError:
            _log.error("rule_setting_left_out")
    return tuple(found)
