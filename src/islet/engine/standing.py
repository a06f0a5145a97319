"""How a rule stands at one place: on or off, with which parameters, and who decided that. For lists and pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from islet.engine.frontmatter import Parameter, Rule
from islet.engine.in_force import Rules
from islet.engine.parameters import Layer, Layers, Origin, Override, check_override, resolved
from islet.errors import BadInput
from islet.model.alerts import Severity
from islet.model.people import Patient, Role

_ANYBODY: Final = " "  # is no patient's id
_URGENCY: Final = tuple(Severity)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where something is set: for everybody, for a group, or for one patient."""

    layer: Layer
    of: str = ""
    patient: Patient

    @classmethod
    def everybody(cls) -> "Place":
        return cls(layer="deployment", patient=Patient(id=_ANYBODY))

    @classmethod
    def group(cls, tag: str) -> "Place":
        return cls(layer="group", of=tag, patient=Patient(id=_ANYBODY, tags=(tag,)))

    @classmethod
    def one(cls, patient: Patient) -> "Place":
        return cls(layer="patient", of=patient.id, patient=patient)

    @property
    def whom(self) -> str:
        """The key of its overrides in `Layers.by_whom`."""
        return f"#{self.of}" if self.layer == "group" else self.of


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """A parameter: its value at the place, which layer set it, what is set right here (None: nothing), and what would
    hold without that."""

    name: str
    parameter: Parameter
    value: float
    set_by: Origin
    here: float | None
    without: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A rule at a place. `here`: on or off as set right there (None: not set); `without`: what would hold without."""

    rule: Rule
    own: bool
    on: bool
    set_by: Origin
    here: bool | None
    without: bool
    levels: tuple[Level, ...]


def standings(rules: Rules, place: Place) -> list[Standing]:
    """All rules at a place, the urgent ones first, then by title."""
    found = list(_standings(rules, place))
    return sorted(found, key=lambda one: (_URGENCY.index(one.rule.severity), one.rule.title, one.rule.name))


def may_switch_off(rules: Rules, rule: Rule, role: Role) -> bool:
    """Whether someone of this role, who may change things at a place, may switch the rule off there."""
    try:
        check_override(
            Override(rule=rule.name, layer="deployment", enabled=False, author="", set_us=0), rules.plan, role
        )
    except BadInput:
        return False
    return True


def _standings(rules: Rules, place: Place) -> Iterator[Standing]:
    others = {whom: found for whom, found in rules.layers.by_whom.items() if whom != place.whom}
    now = resolved(rules.plan, rules.layers, place.patient)
    without = resolved(rules.plan, Layers(others), place.patient)
    for rule in rules.plan.rules:
        here = rules.override(rule.name, place.layer, place.of)
        levels = (
            Level(
                name=name,
                parameter=parameter,
                value=now.values[name],
                set_by=now.set_by[name],
                here=None if here is None else here.parameters.get(name),
                without=without.values[name],
            )
            for name, parameter in rule.parameters.items()
        )
        yield Standing(
            rule=rule,
            own=rule.name in rules.own,
            on=now.enabled[rule.name],
            set_by=now.enabled_by[rule.name],
            here=None if here is None else here.enabled,
            without=without.enabled[rule.name],
            levels=tuple(levels),
        )
