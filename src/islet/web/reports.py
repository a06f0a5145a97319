"""Reports of a patient: choose one, open or download it, as JSON for programs; and entering a laboratory's HbA1c."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.entered import hba1c
from islet.errors import BadInput, SettingError
from islet.gathered import gathered, last_day
from islet.model.people import Patient
from islet.model.translated import mark as _
from islet.model.units import GLUCOSE_UNITS
from islet.reports.forms import FORMS, KINDS, MEDIA_TYPES, Form, Wish, file_name, written
from islet.reports.html import CONTENT_SECURITY_POLICY
from islet.reports.seven_day import DAYS, TARGETS
from islet.reports.texts import TARGETS as TARGET_NAMES
from islet.reports.voice import Voice
from islet.searched import search
from islet.store.person_days import wishes_of
from islet.web.answers import page, render, slow_api, slow_page
from islet.web.context import WebContext, committed
from islet.web.forms import fields_of, posted
from islet.web.languages import LANGUAGES, language_of, words
from islet.web.pages import visible_patient
from islet.web.queries import day_of, one_of
from islet.web.sessions import Viewer
from islet.web.turns import Turns

_LONGEST_FIELD: Final = 40


_SAID: Final = {
    "kept": _("The value is saved."),
    "value": _(
        "This was not saved: expected a value from 3 to 20 % (or the same in mmol/mol), drawn today or earlier."
    ),
    "pdf": _("A PDF cannot be made here: WeasyPrint is not installed. Open the page and print it instead."),
}
KIND_NAMES: Final = {"seven-day": _("Seven-day report"), "programme": _("Three-month programme")}


def routes(context: WebContext, turns: Turns) -> list[BaseRoute]:
    return [
        page(context, "/patients/{id}/reports", choose),
        slow_page(context, "/patients/{id}/reports/{kind}.{form}", show, turns),
        slow_api(context, "/api/patients/{id}/reports/{kind}", numbers, turns),
        posted(context, "/patients/{id}/hba1c", _entered, shown_at="/patients/{id}/reports"),
    ]


def choose(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Which report, of which days, how; the answer to a choice is the report."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    asked = request.query_params
    if "kind" in asked:
        kind, form = one_of(KINDS, asked.get("kind", "")), one_of(FORMS, asked.get("form", "html"))
        rest = {name: asked[name] for name in ("to", "days", "target", "unit", "language") if asked.get(name)}
        return RedirectResponse(f"/patients/{quote(patient.id)}/reports/{kind}.{form}?{urlencode(rest)}", 303)
    language = language_of(request, viewer.user)
    text = words(language).text
    said = asked.get("said", "")
    values = {
        "patient": patient,
        "last": last_day(context.store, patient, context.now()).isoformat(),
        "kinds": {kind: text(name) for kind, name in KIND_NAMES.items()},
        "targets": {name: text(title) for name, title in TARGET_NAMES.items()},
        "target": "pregnancy" if "pregnant" in patient.tags else "standard",
        "spans": DAYS,
        "units": GLUCOSE_UNITS,
        "said": text(_SAID.get(said, "")),
        "failed": said in ("value", "pdf"),
        "may_enter": viewer.may(Action.ENTER_EVENTS, patient.id),
    }
    return render(context, request, viewer, "reports.html", values, data={})


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """A report as a page, or as a file to keep. Who has read it is in the audit trail."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    form: Form = one_of(FORMS, request.path_params["form"])
    try:
        return _report(context, request, viewer, patient, form)
    except SettingError:
        return RedirectResponse(f"/patients/{quote(patient.id)}/reports?said=pdf", 303)


def numbers(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """A report as JSON. An application gets no label: that never leaves the portal."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    return _report(context, request, viewer, patient, "json")


def _report(context: WebContext, request: Request, viewer: Viewer, patient: Patient, form: Form) -> Response:
    asked = request.query_params
    kind = one_of(KINDS, request.path_params["kind"])
    wish = Wish(
        kind=kind,
        last=day_of(asked.get("to", "")) or last_day(context.store, patient, context.now()),
        days=int(one_of(tuple(str(days) for days in DAYS), asked.get("days", "7"))),
        target=one_of(tuple(TARGETS), asked.get("target", "standard")),
    )
    language = asked.get("language") or language_of(request, viewer.user)
    unit = one_of(GLUCOSE_UNITS, asked.get("unit") or viewer.user.unit)
    voice = Voice(language=language, translations=words(one_of(tuple(LANGUAGES), language)).translations, unit=unit)
    recorded = gathered(context.store, patient, kind, wish.days, wish.last, named=viewer.sees_labels)
    found = search(wishes_of(context.registry, patient.id))
    content = written(recorded, wish, form, voice, found=found)
    context.registry.note(f"read report {kind}", "patient", patient.id, by=viewer.name, at_us=context.now())
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
    if form in ("pdf", "csv"):
        headers["content-disposition"] = f'attachment; filename="{file_name(recorded, wish, form)}"'
    return Response(content, 200, headers, MEDIA_TYPES[form])


async def _entered(context: WebContext, request: Request, viewer: Viewer) -> Response:
    id = request.path_params["id"]
    viewer.require(Action.ENTER_EVENTS, id)
    said = await _enter(context, viewer, id, dict(await fields_of(request, longest=_LONGEST_FIELD)))
    return RedirectResponse(f"/patients/{quote(id)}/reports?said={said}", 303)


async def _enter(context: WebContext, viewer: Viewer, id: str, fields: Mapping[str, str]) -> str:
    """Commit the value to the log, with a line in the audit trail; what was done, as a key of _SAID."""
    patient = await run_in_threadpool(visible_patient, context, viewer, id)
    try:
        drawn = day_of(fields.get("drawn", ""))
        if drawn is None:
            return "value"
        value = float(fields.get("value", "").replace(",", "."))
        appends = hba1c(patient, value, fields.get("unit", ""), drawn, context.now())
    except (ValueError, BadInput):
        return "value"
    await committed(context.commit, appends=appends)
    note = context.registry.note
    await run_in_threadpool(lambda: note("entered HbA1c", "patient", patient.id, by=viewer.name, at_us=context.now()))
    return "kept"
