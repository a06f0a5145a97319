"""The rule book of an installation: the rules that are shipped, those of its own, and what people set, ready for use.

Everything is made anew when somebody changes the registry, by any process, and is the same object until then; so a
change needs no restart. A rule of the installation's own that cannot be planned is left out, says why, and stops none
of the others. Every change has its line in the audit trail.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog
from msgspec import structs

from islet.engine.history_check import check_asked
from islet.engine.in_force import SERVED, CurrentRules, OwnRule, Rules, planned_with
from islet.engine.parameters import Override, check_override
from islet.engine.rules import Rule, check_rule, load_rules, read_rule
from islet.errors import AlreadyExists, BadInput, NotFound, RuleRefused
from islet.forecast.serving import Choice
from islet.model.people import Role
from islet.store.base import EntryKind, Registry

_log = structlog.get_logger("islet.engine")


class RuleBook:
    """Reads and changes the rules of one registry. Any thread may call it."""

    def __init__(self, registry: Registry, shipped: Sequence[Rule] | None = None) -> None:
        """`shipped`: the rules that this version comes with, by default. Raises RuleRefused when one cannot be planned."""
        self._registry = registry
        self._rules_shipped = tuple(load_rules() if shipped is None else shipped)
        self.shipped: Final = frozenset(rule.name for rule in self._rules_shipped)
        self._rules = CurrentRules(registry, self._rules_shipped)

    def current(self) -> Rules:
        """What is in force now: the same object until something changes. Costs one question to the registry; where
        patients have changed, as much as they are."""
        return self._rules.current()

    def is_current(self, rules: object) -> bool:
        """Whether these are still in force, without making others."""
        return self._rules.is_current(rules)

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
        for one in planned_with(self._rules_shipped, own, rules.plan.foreteller)[1]:
            if one.name not in left_out:
                raise RuleRefused(f"then {one.name} would not work any more: {one.reason}", line=1)


def forecast_by(registry: Registry, choice: Choice, *, by: str) -> None:
    """Have another model forecast from now on."""
    body = msgspec.json.encode(choice)
    registry.put_entry(EntryKind.FORECAST, SERVED, body, by=by, at_us=choice.since_us)


def _place(override: Override) -> str:
    """Where an override is kept: one rule has one at each place."""
    return f"{override.layer}:{override.of}:{override.rule}"
