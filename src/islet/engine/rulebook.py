"""The rule book of an installation: the rules that are shipped, those of its own, and what people set, ready for use.

Everything is made anew when somebody changes the registry, by any process, and is the same object until then; so a
change needs no restart. A rule of the installation's own that cannot be planned is left out, says why, and stops none
of the others. Every change has its line in the audit trail.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog
from msgspec import Struct, structs

from islet.engine.history_check import check_asked
from islet.engine.parameters import NO_LAYERS, NO_LINES, Layer, Layers, Override, check_override, references
from islet.engine.reference import PatientReference, Reference
from islet.engine.rules import Plan, Rule, check_rule, load_rules, plan, read_rule
from islet.engine.tables import FORECASTS
from islet.engine.titles import titles_in
from islet.errors import AlreadyExists, BadInput, NotFound, RuleRefused
from islet.forecast.personal import JOB, decode_fitted, in_force
from islet.forecast.serving import SHIPPED, Choice, served
from islet.model.ahead import Foreteller
from islet.model.job_runs import decode_kept
from islet.model.people import Patient, Role
from islet.store.base import EntryKind, Registry

_log = structlog.get_logger("islet.engine")

SERVED: Final = "served"
"""The id of the EntryKind.FORECAST that says which model forecasts."""
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


class RuleBook:
    """Reads and changes the rules of one registry. Any thread may call it."""

    def __init__(self, registry: Registry, shipped: Sequence[Rule] | None = None) -> None:
        """`shipped`: the rules that this version comes with, by default. Raises RuleRefused when one cannot be planned."""
        self._registry = registry
        self._rules_shipped = tuple(load_rules() if shipped is None else shipped)
        self.shipped: Final = frozenset(rule.name for rule in self._rules_shipped)
        self._making = threading.Lock()
        self._made: tuple[int, Rules] | None = None
        self._patients: list[Patient] = []
        self._erased = frozenset[str]()

    def current(self) -> Rules:
        """What is in force now: the same object until something changes. Costs one question to the registry."""
        made, version = self._made, self._registry.version
        if made is not None and made[0] == version:
            return made[1]
        with self._making:
            made, version = self._made, self._registry.version  # first: what changes while we read makes it another
            if made is None or made[0] != version:
                made = self._made = (version, self._make(None if made is None else made[1]))
            return made[1]

    def is_current(self, rules: object) -> bool:
        """Whether these are still in force, without making others."""
        made = self._made
        return made is not None and made[1] is rules and made[0] == self._registry.version

    def add(self, text: str, *, by: str, at_us: int) -> Rule:
        """Take a rule into the book, or another text of one of its own. Raises RuleRefused, and AlreadyExists for the
        name of a rule that is shipped."""
        rule = read_rule(text)
        if rule.name in self.shipped:
            raise AlreadyExists(f"{rule.name!r} is a rule that is shipped; choose another name")
        rules = self.current()
        check_rule(rule, rules.plan.rules)
        check_asked(rule, rules.plan.rules)
        self._check_rest(rules, {**rules.own, rule.name: text})
        self._registry.put_entry(EntryKind.RULE, rule.name, msgspec.json.encode(OwnRule(sql=text)), by=by, at_us=at_us)
        return rule

    def remove(self, name: str, *, by: str, at_us: int) -> None:
        """Take a rule of the installation's own out, with all that was set for it. Raises NotFound, and RuleRefused
        where another rule needs it."""
        rules = self.current()
        if name not in rules.own:
            why = "is shipped; switch it off instead" if name in self.shipped else "is not in the book"
            raise NotFound(f"rule {name!r} {why}")
        self._check_rest(rules, {own: text for own, text in rules.own.items() if own != name})
        for one in rules.overrides:
            if one.rule == name:
                self._registry.put_entry(EntryKind.RULE_SETTING, _place(one), None, by=by, at_us=at_us)
        self._registry.put_entry(EntryKind.RULE, name, None, by=by, at_us=at_us)

    def set(self, override: Override, role: Role) -> None:
        """Put this in the place of what is set there; an override that says nothing takes it away. By someone of this
        role, who may change things there at all (`islet.access.decide`). Raises BadInput, or NotFound for a patient."""
        rules = self.current()
        check_override(override, rules.plan, role)
        if role is Role.PATIENT and rules.rule(override.rule).switch_off != "patient":
            raise BadInput("this rule is not one that patients change", reason="switch_off")
        if override.layer == "patient" and self._registry.patient(override.of) is None:
            raise NotFound("there is no such patient")
        before = rules.override(override.rule, override.layer, override.of)
        said = (override.enabled, override.parameters)
        if said == ((None, {}) if before is None else (before.enabled, before.parameters)):
            return
        body = None if said == (None, {}) else msgspec.json.encode(override)
        place, by, at_us = _place(override), override.author, override.set_us
        self._registry.put_entry(EntryKind.RULE_SETTING, place, body, by=by, at_us=at_us)

    def copy_group(self, name: str, to: str, *, by: str, at_us: int) -> None:
        """Set for another group what is set for this one; for a group that gets another name."""
        for one in self._of_group(name):
            copied = structs.replace(one, of=to)
            body = msgspec.json.encode(copied)
            self._registry.put_entry(EntryKind.RULE_SETTING, _place(copied), body, by=by, at_us=at_us)

    def forget_group(self, name: str, *, by: str, at_us: int) -> None:
        """Take away all that is set for a group."""
        for one in self._of_group(name):
            self._registry.put_entry(EntryKind.RULE_SETTING, _place(one), None, by=by, at_us=at_us)

    def _of_group(self, name: str) -> list[Override]:
        return [one for one in self.current().overrides if (one.layer, one.of) == ("group", name)]

    def _check_rest(self, rules: Rules, own: Mapping[str, str]) -> None:
        """Raises RuleRefused when these own rules would leave one out that is not left out now."""
        left_out = {one.name for one in rules.broken}
        for one in _planned(self._rules_shipped, own, rules.plan.foreteller)[1]:
            if one.name not in left_out:
                raise RuleRefused(f"then {one.name} would not work any more: {one.reason}", line=1)

    def _make(self, before: Rules | None) -> Rules:
        own = _own(self._registry.entries(EntryKind.RULE))
        foreteller = served(forecasting(self._registry).model)
        overrides = _overrides(self._registry.entries(EntryKind.RULE_SETTING))
        patients, erased = self._registry.patients(), frozenset(self._registry.entries(EntryKind.ERASED))
        lines = _lines(self._registry, foreteller.fingerprint, patients)
        if before is not None and own == before.own and _name(before.plan.foreteller) == foreteller.name:
            known = before.overrides, self._patients, self._erased, before.lines
            if (overrides, patients, erased, lines) == known:
                return before  # something else changed
            planned, broken = before.plan, before.broken
        else:
            planned, broken = _planned(self._rules_shipped, own, foreteller)
            for one in broken:
                _log.error("rule_left_out", rule=one.name)  # the reason, which the list shows, may quote the rule
        self._patients, self._erased = patients, erased
        layers = Layers.of(overrides)
        return Rules(
            plan=planned,
            references=references(planned, layers, patients, lines=lines, erased=erased),
            own=own,
            broken=broken,
            overrides=overrides,
            layers=layers,
            lines=lines,
        )


def forecasting(registry: Registry) -> Choice:
    """The model that forecasts now, and why; the shipped one where nobody has said another."""
    body = registry.entry(EntryKind.FORECAST, SERVED)
    return Choice(model=SHIPPED) if body is None else msgspec.json.decode(body, type=Choice)


def forecast_by(registry: Registry, choice: Choice, *, by: str) -> None:
    """Have another model forecast from now on."""
    body = msgspec.json.encode(choice)
    registry.put_entry(EntryKind.FORECAST, SERVED, body, by=by, at_us=choice.since_us)


def _lines(registry: Registry, model: str, patients: Iterable[Patient]) -> dict[str, bytes]:
    """Those that the nightly job has left, learnt from this model's misses, of people who are still there."""
    body = registry.entry(EntryKind.JOB, JOB)
    if body is None:
        return {}
    found = in_force(decode_fitted(bytes(decode_kept(body).result)), model)
    return {patient.id: found[patient.id] for patient in patients if patient.id in found}


def _planned(
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


def _name(foreteller: Foreteller | None) -> str:
    return "" if foreteller is None else foreteller.name


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


def _place(override: Override) -> str:
    """Where an override is kept: one rule has one at each place."""
    return f"{override.layer}:{override.of}:{override.rule}"
