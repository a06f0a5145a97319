"""Which rules look at whom, with which limits: the rule as shipped, then deployment, group and patient.

Each layer may switch a rule on or off and set its parameters within their range. The patient's setting wins over the
group's, the group's over the deployment's. Of several groups one that is on wins over one that is off, and the last
value set counts. A rule that nobody may switch off stays on for all whom it looks at as shipped, whatever is stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import Struct, structs

from islet.engine.frontmatter import Parameter
from islet.engine.rules import Plan
from islet.errors import BadInput
from islet.model.people import Patient, Role

Layer = Literal["deployment", "group", "patient"]
Origin = Literal["rule", "deployment", "group", "patient"]

LONGEST_NAME: Final = 64
"""Of a group's tag or a patient's id."""

_MAY_SWITCH_OFF: Final[Mapping[str, tuple[Role, ...]]] = {
    "nobody": (),
    "administrator": (Role.ADMINISTRATOR,),
    "clinician": (Role.ADMINISTRATOR, Role.CLINICIAN),
    "patient": (Role.ADMINISTRATOR, Role.CLINICIAN, Role.PATIENT),
}


class Override(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person set for one rule at one layer; a later one for the same rule and layer replaces it.

    `of`: the tag of the group or the id of the patient; empty for the deployment. `enabled` None and a parameter that
    is not named leave it to the layer above. `author` and `set_us`: who, and when (µs since 1970).
    """

    rule: str
    layer: Layer
    of: str = ""
    enabled: bool | None = None
    parameters: dict[str, float] = {}
    author: str
    set_us: int


def check_override(override: Override, plan: Plan, role: Role) -> None:
    """Raises BadInput, with a reason that can be shown, unless someone of this role may set this."""
    rule = next((rule for rule in plan.rules if rule.name == override.rule), None)
    if rule is None:
        raise BadInput(f"there is no rule {override.rule!r}", reason="rule")
    if (override.layer == "deployment") != (override.of == ""):
        raise BadInput("expected the tag of a group or the id of a patient, and none for the deployment", reason="of")
    if len(override.of) > LONGEST_NAME or not override.of.isprintable():
        raise BadInput(f"expected a group's tag of at most {LONGEST_NAME} printable characters", reason="of")
    if override.enabled is False and role not in _MAY_SWITCH_OFF[rule.switch_off]:
        who = (
            "nobody can switch it off" if rule.switch_off == "nobody" else f"only a {rule.switch_off} can switch it off"
        )
        raise BadInput(f"{rule.title}: {who}", reason="switch_off")
    for name, value in override.parameters.items():
        if name not in rule.parameters:
            known = ", ".join(rule.parameters) or "none"
            raise BadInput(f"{rule.title}: unknown parameter {name!r}; there are {known}", reason="parameter")
        try:
            rule.parameters[name].integer(value)
        except ValueError as error:
            raise BadInput(f"{rule.title}, {name}: {error}", reason="parameter_range") from None


@dataclass(frozen=True)
class Layers:
    """The overrides in force, by whom they are for: "" is the deployment, "#tag" a group, others are patients."""

    by_whom: Mapping[str, tuple[Override, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, overrides: Iterable[Override]) -> "Layers":
        """The last of each rule and layer, from any number of overrides in any order."""
        last: dict[tuple[str, str], Override] = {}
        for one in sorted(overrides, key=lambda one: (one.set_us, one.author)):
            last[_whom(one), one.rule] = one
        by_whom: dict[str, list[Override]] = {}
        for (whom, _), one in sorted(last.items()):
            by_whom.setdefault(whom, []).append(one)
        return cls({whom: tuple(found) for whom, found in by_whom.items()})


NO_LAYERS: Final = Layers()


def _whom(override: Override) -> str:
    return f"#{override.of}" if override.layer == "group" else override.of


@dataclass(frozen=True, slots=True)
class Resolved:
    """What holds for one patient: rules (name: on or off) and parameters (name: value), and the layer that each comes
    from; "rule" is the rule as shipped."""

    enabled: dict[str, bool]
    enabled_by: dict[str, Origin]
    values: dict[str, float]
    set_by: dict[str, Origin]


def resolved(plan: Plan, layers: Layers, patient: Patient) -> Resolved:
    """The rules that look at a patient, and all parameters."""
    rules = {rule.name: rule for rule in plan.rules}
    enabled = {name: rule.applies_to(patient.tags) for name, rule in rules.items()}
    values = {name: parameter.default for name, parameter in plan.parameters.items()}
    enabled_by: dict[str, Origin] = dict.fromkeys(enabled, "rule")
    set_by: dict[str, Origin] = dict.fromkeys(values, "rule")
    groups = [one for tag in set(patient.tags) for one in layers.by_whom.get(f"#{tag}", ())]
    for found in (layers.by_whom.get("", ()), _merged(groups), layers.by_whom.get(patient.id, ())):
        for one in found:
            if one.rule not in rules:
                continue  # a rule that is no longer there
            stays = rules[one.rule].switch_off == "nobody" and rules[one.rule].applies_to(patient.tags)
            if one.enabled is not None and not stays:
                enabled[one.rule], enabled_by[one.rule] = one.enabled, one.layer
            for name, value in one.parameters.items():
                if name in rules[one.rule].parameters:
                    values[name], set_by[name] = _within(plan.parameters[name], value), one.layer
    return Resolved(enabled, enabled_by, values, set_by)


def _merged(groups: Sequence[Override]) -> list[Override]:
    """The overrides of several groups in the order in which they apply: as they were set, then again those that are on."""
    in_order = sorted(groups, key=lambda one: (one.set_us, one.author, one.of))
    return [*in_order, *(structs.replace(one, parameters={}) for one in in_order if one.enabled)]


def _within(parameter: Parameter, value: float) -> float:
    """The value; the nearest that is allowed where a new version of the rule no longer allows it."""
    return round(min(max(value, parameter.min), parameter.max), parameter.decimals)
