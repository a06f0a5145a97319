"""A rule as the page shows it, in the reader's language and unit; and what was entered, back into what is stored."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from starlette.requests import Request

from islet.access.decide import Action
from islet.engine.frontmatter import Parameter, Rule
from islet.engine.in_force import Rules
from islet.engine.parameters import Origin
from islet.engine.standing import Level, Place, Standing, may_switch_off, standings
from islet.errors import BadInput
from islet.model.people import Role
from islet.model.translated import mark as _
from islet.model.units import MG_DL_PER_MMOL_L
from islet.web.context import WebContext
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer
from islet.web.texts import SEVERITIES

_MG_DL: Final = re.compile(r"(\d+(?:\.\d+)?) mg/dL(?: ?[(（][\d.]+ mmol/L[)）])?")
_IN_MMOL_L: Final = {"mg/dL": ("mmol/L", 1), "mg/dL/min": ("mmol/L/min", 2)}
_WITHOUT: Final = {
    "deployment": (_("As the rule is written: on"), _("As the rule is written: off")),
    "group": (_("Not set here: on"), _("Not set here: off")),
    "patient": (_("Not set here: on"), _("Not set here: off")),
}
_SET_BY: Final[dict[Origin, str]] = {
    "rule": "",
    "deployment": _("set for everybody"),
    "group": _("set for a group"),
    "patient": _("set for this patient"),
}
_SWITCH_OFF: Final = {
    "nobody": _("Nobody can switch it off."),
    "administrator": _("Administrators may switch it off."),
    "clinician": _("Clinicians may switch it off."),
    "patient": _("Patients may switch it off themselves."),
}
_AUDIENCE: Final = {
    "patient": _("patient"),
    "followers": _("followers"),
    "clinician": _("clinicians"),
    "operator": _("operators"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """What came with a form: `enabled` "on", "off" or "" (as it would be without); a level's text may be empty, too.
    `back`: take all of it back."""

    rule: str
    enabled: str
    levels: Mapping[str, str]
    back: bool = False


class Refused(BadInput):
    """What was entered cannot be kept: what is wrong, by field ("enabled", "level.name")."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("the form holds what cannot be kept", reason="form")
        self.errors = errors


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A parameter: as it is shown, and its input."""

    name: str
    label: str
    value: str
    unit: str
    set_by: str
    default: str
    low: str
    high: str
    entered: str
    without: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One rule. `choices`: value, text and whether it is chosen; none where it cannot be switched."""

    name: str
    title: str
    sentence: str
    on: bool
    always: bool
    tags: str
    set_by: str
    own: bool
    fields: tuple[Field, ...]
    choices: tuple[tuple[str, str, bool], ...]
    choice_error: str
    switch_off: str
    audience: str
    sources: tuple[str, ...]
    editable: bool
    changed: bool
    open: bool
    error: str


@dataclass(frozen=True, kw_only=True)
class Cards:
    """How one viewer sees the rules of one place; `may`: change them."""

    text: Callable[[str], str]
    language: str
    unit: str
    rules: Rules
    place: Place
    role: Role
    may: bool

    def card(self, one: Standing, entered: Entered | None, errors: Mapping[str, str]) -> Card:
        """`entered` and `errors` where this rule's form was refused."""
        rule = one.rule
        tags = rule.enabled.removeprefix("tags:") if rule.enabled.startswith("tags:") else ""
        return Card(
            name=rule.name,
            title=rule.titles.get(self.language, rule.title),
            sentence=in_unit(rule.descriptions.get(self.language, rule.description), self.unit),
            on=one.on,
            always=one.on and rule.switch_off == "nobody",
            tags=tags.replace(",", self.text(_(", ")))
            if one.set_by == "rule" and self.place.layer == "deployment"
            else "",
            set_by=self.text(_SET_BY[one.set_by]),
            own=one.own,
            fields=tuple(self._field(level, entered, errors) for level in one.levels),
            choices=self._choices(one, entered),
            choice_error=errors.get("enabled", ""),
            switch_off=self.text(_SWITCH_OFF[rule.switch_off]),
            audience=self.text(_(", ")).join(self.text(_AUDIENCE[who]) for who in rule.audience),
            sources=rule.sources,
            editable=self._editable(rule) and bool(one.levels or self._choices(one, entered)),
            changed=one.here is not None or any(level.here is not None for level in one.levels),
            open=entered is not None,
            error=errors.get("", ""),
        )

    def read(self, one: Standing, entered: Entered) -> tuple[bool | None, dict[str, float]]:
        """On or off, and the parameters, as entered. Raises Refused."""
        if entered.back:
            return None, {}
        errors: dict[str, str] = {}
        parameters: dict[str, float] = {}
        for level in one.levels:
            text = entered.levels.get(level.name, "")
            value = self._number(level, text) if text else None
            if value is not None and self._allowed(level.parameter, value):
                parameters[level.name] = value
            elif text:
                errors[f"level.{level.name}"] = self._range(level.parameter)
        enabled = {"on": True, "off": False}.get(entered.enabled)
        if enabled is False and not may_switch_off(self.rules, one.rule, self.role):
            errors["enabled"] = self.text(_SWITCH_OFF[one.rule.switch_off])
        if errors:
            raise Refused(errors)
        return enabled, parameters

    def sections(
        self, found: Sequence[Standing], entered: Entered | None, errors: Mapping[str, str]
    ) -> list[tuple[str, str, list[Card]]]:
        """The cards by severity: its name, its title, the cards; what is empty is left out. `entered` and `errors`
        are about the one rule whose form was refused."""
        sections = []
        for severity, title in SEVERITIES.items():
            some = [one for one in found if one.rule.severity == severity]
            refused = {one.rule.name: entered is not None and entered.rule == one.rule.name for one in some}
            shown = [
                self.card(one, entered, errors) if refused[one.rule.name] else self.card(one, None, {}) for one in some
            ]
            if shown:
                sections.append((severity, self.text(title), shown))
        return sections

    def _editable(self, rule: Rule) -> bool:
        return self.may and (self.role is not Role.PATIENT or rule.switch_off == "patient")

    def _choices(self, one: Standing, entered: Entered | None) -> tuple[tuple[str, str, bool], ...]:
        chosen = {True: "on", False: "off", None: ""}[one.here] if entered is None else entered.enabled
        without = self.text(_WITHOUT[self.place.layer][0 if one.without else 1])
        found = [("", without), ("on", self.text(_("On")))]
        if may_switch_off(self.rules, one.rule, self.role):
            found.append(("off", self.text(_("Off"))))
        elif one.without:
            return ()
        return tuple((value, text, value == chosen) for value, text in found)

    def _field(self, level: Level, entered: Entered | None, errors: Mapping[str, str]) -> Field:
        parameter = level.parameter
        here = "" if level.here is None else self._shown(parameter, level.here)
        return Field(
            name=level.name,
            label=parameter.labels.get(self.language, parameter.label) or level.name.replace("_", " "),
            value=self._shown(parameter, level.value),
            unit=self._unit(parameter),
            set_by=self.text(_SET_BY[level.set_by]),
            default=self._shown(parameter, parameter.default),
            low=self._shown(parameter, parameter.min),
            high=self._shown(parameter, parameter.max),
            entered=here if entered is None else entered.levels.get(level.name, ""),
            without=self._shown(parameter, level.without),
            error=errors.get(f"level.{level.name}", ""),
        )

    def _unit(self, parameter: Parameter) -> str:
        return _IN_MMOL_L[parameter.unit][0] if self._converts(parameter) else parameter.unit

    def _converts(self, parameter: Parameter) -> bool:
        return self.unit == "mmol/L" and parameter.unit in _IN_MMOL_L

    def _shown(self, parameter: Parameter, value: float) -> str:
        if not self._converts(parameter):
            return f"{value:g}"
        decimals = _IN_MMOL_L[parameter.unit][1]
        return f"{value / MG_DL_PER_MMOL_L:.{decimals}f}"

    def _number(self, level: Level, text: str) -> float | None:
        """What was meant: a number that is shown just so stays what it is, whatever the unit; None for no number."""
        parameter = level.parameter
        kept = (level.here, level.value, level.without, parameter.default, parameter.min, parameter.max)
        for value in kept:
            if value is not None and text == self._shown(parameter, value):
                return value
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            return None
        if not isfinite(number):
            return None
        return round(number * MG_DL_PER_MMOL_L, parameter.decimals) if self._converts(parameter) else number

    def _allowed(self, parameter: Parameter, value: float) -> bool:
        try:
            parameter.integer(value)
        except ValueError:
            return False
        return True

    def _range(self, parameter: Parameter) -> str:
        decimals = _IN_MMOL_L[parameter.unit][1] if self._converts(parameter) else parameter.decimals
        message = self.text(_("Enter a number from {low} to {high} {unit} with at most {decimals} decimals."))
        low, high = self._shown(parameter, parameter.min), self._shown(parameter, parameter.max)
        return message.format(low=low, high=high, unit=self._unit(parameter), decimals=decimals).replace("  ", " ")


def in_unit(sentence: str, unit: str) -> str:
    """A rule's sentence with its glucose in the reader's unit: two decimals below 1 mmol/L, else one.

    >>> in_unit("at or below 55 mg/dL (3.1 mmol/L); ends 5 mg/dL above it", "mmol/L")
    'at or below 3.1 mmol/L; ends 0.28 mmol/L above it'
    """
    if unit != "mmol/L":
        return sentence

    def said(found: re.Match[str]) -> str:
        value = float(found[1]) / MG_DL_PER_MMOL_L
        return f"{value:.{1 if value >= 1 else 2}f} mmol/L"

    return _MG_DL.sub(said, sentence)


def needed(place: Place) -> tuple[Action, str | None]:
    """What one has to be allowed in order to change something at a place."""
    return (Action.SET_PATIENT_RULES, place.of) if place.layer == "patient" else (Action.ADMINISTER, None)


def cards_for(context: WebContext, request: Request, viewer: Viewer, place: Place) -> Cards:
    """How the viewer sees the rules of a place. There has to be a rule book."""
    assert context.rules is not None, "pages about rules are made only where there is a rule book"
    language = language_of(request, viewer.user)
    return Cards(
        text=words(language).text,
        language=language,
        unit=viewer.user.unit,
        rules=context.rules.current(),
        place=place,
        role=viewer.user.role,
        may=viewer.may(*needed(place)),
    )


def own_cards(context: WebContext, request: Request, viewer: Viewer, place: Place) -> list[Card]:
    """The rules for which something is set at this very place."""
    view = cards_for(context, request, viewer, place)
    found = (view.card(one, None, {}) for one in standings(view.rules, place))
    return [card for card in found if card.changed]
