"""What goes together with a patient's glucose, and advice, with the evidence; and what they said of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.errors import BadInput
from islet.metrics.ranges import PRESETS, Goals
from islet.model.people import Patient
from islet.model.time import DAY_US, from_us
from islet.model.translated import mark as _
from islet.patterns.advise import advise
from islet.patterns.find import find
from islet.patterns.findings import Advice, Advised, Diabetes, Evidence, Finding, PersonDays, Preferences, Wishes
from islet.patterns.label_texts import CUISINE_NAMES, DIABETES_NAMES, SEVERITY, WHEELS
from islet.patterns.pattern_texts import NOTHING
from islet.patterns.told import Told, Translate, advice_told, amount, told
from islet.store.person_days import keep_wishes, stored_days, wishes_of
from islet.web.answers import api, json_response, page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer

DAYS: Final = (7, 14, 28, 90)
_SHOWN: Final = 30
_LONGEST_FIELD: Final = 500
_MOST_FOODS: Final = 50


GOALS: Final = {
    "standard": _("Standard goals"),
    "older": _("Older or at high risk"),
    "pregnancy": _("Pregnancy"),
    "tight": _("Tight range"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A finding or an advice in the reader's words. `when`: the newest occasions; `more`: how many there are beside."""

    name: str
    told: Told
    severity: str
    when: Sequence[str]
    more: int


def routes(context: WebContext) -> list[BaseRoute]:
    return [
        page(context, "/patients/{id}/patterns", show),
        api(context, "/api/patients/{id}/patterns", numbers),
        form(context, "/patients/{id}/patterns", _keep, longest=_LONGEST_FIELD),
    ]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Advice first, then findings by wheel, then what the patient said of themselves."""
    patient, person, goals, days = _asked(context, request, viewer)
    findings = find(person, goals)
    text, unit = words(language_of(request, viewer.user)).text, viewer.user.unit
    wheels = [
        (text(title), [_finding(one, person, text, unit) for one in findings if one.wheel is wheel])
        for wheel, title in WHEELS.items()
    ]
    wishes = wishes_of(context.registry, patient.id)
    values = {
        "patient": patient,
        "advice": [_advice(one, person, text, unit) for one in advise(findings, person, goals)],
        "wheels": [(title, rows) for title, rows in wheels if rows],
        "nothing": text(NOTHING),
        "days": days,
        "day_choices": DAYS,
        "goals": goals.name,
        "goal_names": {name: text(title) for name, title in GOALS.items()},
        "wishes": wishes,
        "diabetes_names": {name: text(title) for name, title in DIABETES_NAMES.items()},
        "cuisine_names": {name: text(title) for name, title in CUISINE_NAMES.items()},
        "taken_up": {one.rule for one in wishes.advised},
        "may": viewer.may(Action.SET_PATIENT_RULES, patient.id),
        "saved": "saved" in request.query_params,
    }
    return render(context, request, viewer, "patterns.html", values, data={})


def numbers(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Findings and advice with all evidence, for programs."""
    _patient, person, goals, days = _asked(context, request, viewer)
    findings = find(person, goals)
    return json_response(
        {"days": days, "goals": goals.name, "findings": findings, "advice": advise(findings, person, goals)}
    )


def _asked(context: WebContext, request: Request, viewer: Viewer) -> tuple[Patient, PersonDays, Goals, int]:
    """Whose days, up to their newest reading, and by which goals."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    asked = request.query_params
    days, goals = asked.get("days", "14"), asked.get("goals", "standard")
    if days not in {str(one) for one in DAYS} or goals not in PRESETS:
        raise BadInput(f"expected days of {DAYS} and goals of {', '.join(PRESETS)}", reason="query")
    end_us = next((one.time_us for one in context.store.latest([patient.id])), context.now()) + 1
    wishes = wishes_of(context.registry, patient.id)
    person = stored_days(context.store, patient, end_us - int(days) * DAY_US, end_us, wishes=wishes)
    return patient, person, PRESETS[goals], int(days)


def _finding(one: Finding, person: PersonDays, text: Translate, unit: str) -> Shown:
    return _shown(one.pattern, told(one, text, unit), text(SEVERITY[one.severity]), one, person, text, unit)


def _advice(one: Advice, person: PersonDays, text: Translate, unit: str) -> Shown:
    return _shown(one.rule, advice_told(one, text, unit), "", one, person, text, unit)


def _shown(
    name: str, said: Told, severity: str, of: Finding | Advice, person: PersonDays, text: Translate, unit: str
) -> Shown:
    newest = of.evidence[-_SHOWN:]
    return Shown(
        name=name,
        told=said,
        severity=severity,
        when=[_occasion(one, person, text, unit) for one in reversed(newest)],
        more=len(of.evidence) - len(newest),
    )


def _occasion(evidence: Evidence, person: PersonDays, text: Translate, unit: str) -> str:
    """The local time of an occasion, its number, and what was written down."""
    begin, end = (from_us(at).astimezone(person.zone) for at in (evidence.from_us, evidence.to_us))
    when = f"{begin:%Y-%m-%d %H:%M}" + (f"–{end:%H:%M}" if end != begin else "")
    value = "" if evidence.value is None else amount(evidence.value, evidence.unit, unit, text)
    return " · ".join(part for part in (when, value, evidence.text.replace("\n", ", ")) if part)


def _keep(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    """Keep what was said, or that an advice was taken up."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    viewer.require(Action.SET_PATIENT_RULES, patient.id)
    before = wishes_of(context.registry, patient.id)
    now_us = context.now()
    wishes = _taken_up(before, fields["taken_up"], now_us) if "taken_up" in fields else _said(before, fields)
    keep_wishes(context.registry, patient.id, wishes, by=viewer.name, at_us=now_us)
    return RedirectResponse(f"/patients/{quote(patient.id)}/patterns?saved=1", 303)


def _taken_up(before: Wishes, rule: str, now_us: int) -> Wishes:
    """Once more taken up, an advice counts from now."""
    others = [one for one in before.advised if one.rule != rule]
    return msgspec.structs.replace(before, advised=(*others, Advised(rule=rule[:80], at_us=now_us))[-20:])


def _said(before: Wishes, fields: Mapping[str, str]) -> Wishes:
    """Raises BadInput for a kind or a cuisine that is not known."""
    said: dict[str, Any] = {name: _foods(fields.get(name, "")) for name in ("likes", "dislikes", "allergies")}
    diabetes, cuisine = fields.get("diabetes", "unknown"), fields.get("cuisine", "")
    if diabetes not in get_args(Diabetes) or cuisine not in CUISINE_NAMES:
        raise BadInput("expected one of the choices of the form", reason="form")
    preferences = Preferences(**said, cuisine=cuisine)  # type: ignore[arg-type]  # checked above
    return msgspec.structs.replace(before, diabetes=diabetes, preferences=preferences)


def _foods(text: str) -> tuple[str, ...]:
    """Foods that are separated by commas, in Latin or Chinese."""
    parts = (part.strip() for part in text.replace("，", ",").replace("、", ",").split(","))
    return tuple(part for part in parts if part)[:_MOST_FOODS]
