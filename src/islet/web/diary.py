"""A patient's diary: what people and their apps said they ate, took and did; entered, corrected and withdrawn by hand."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from hashlib import blake2b
from secrets import token_hex
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import quote, urlencode

from babel.dates import format_datetime
from babel.numbers import format_decimal
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.entered import KINDS, appended, entry, instead, local
from islet.errors import BadInput, NotFound
from islet.log.base import Append
from islet.model.care_events import care_event_id, holding
from islet.model.codec import encode_event, events_in
from islet.model.events import AnyCareEvent, CareEvent, Exercise, Hba1c, Insulin, Meal, Medication
from islet.model.people import Patient
from islet.model.time import from_us, to_us
from islet.model.time_zones import zone_or_utc
from islet.model.topics import Topic
from islet.model.translated import mark as _
from islet.store.base import Store
from islet.web.answers import page, render
from islet.web.context import WebContext, committed
from islet.web.forms import fields_of, posted
from islet.web.languages import Words, language_of, words
from islet.web.pages import visible_patient
from islet.web.queries import day_of
from islet.web.sessions import Viewer

_DAYS: Final = 14
_MOST: Final = 1_000
_LONGEST_FIELD: Final = 2_000
_SHOWN_WITHIN_S: Final = 2.0
_NAMES: Final = {
    "meal": _("Meal"),
    "insulin": _("Insulin"),
    "exercise": _("Exercise"),
    "medication": _("Medication"),
    "note": _("Note"),
    "hba1c": _("HbA1c"),
}
INSULIN_KINDS: Final = {
    "bolus": _("Mealtime dose"),
    "correction": _("Correction dose"),
    "basal": _("Long-acting dose"),
    "premix": _("Premixed"),
    "unknown": _("Not known"),
}
INTENSITIES: Final = {
    "light": _("Light"),
    "moderate": _("Moderate"),
    "vigorous": _("Vigorous"),
    "unknown": _("Not known"),
}
_SAID: Final = {
    "entered": _("The entry is saved."),
    "corrected": _("The entry is corrected."),
    "withdrawn": _("The entry is withdrawn: it counts for nothing any more."),
    "gone": _("This was not changed: the entry is not there any more, or is another one now."),
}
_NOT_SAVED: Final = {
    "future": _("This was not saved: the time is still to come."),
    "past": _("This was not saved: the time is before 1990."),
    "when": _("This was not saved: the time is missing, or there is no such time."),
    "carbs_g": _("This was not saved: a meal needs carbs, as a number of at least 0, or what it was."),
    "dose_u": _("This was not saved: the dose has to be a number from 0 to 500."),
    "duration_min": _("This was not saved: the minutes have to be a number above 0, of a day at most."),
    "dose": _("This was not saved: the dose has to be a number of at least 0."),
}
"""By the reasons that are a field, or wrong with the time."""
_AT_TIME: Final = ("future", "past")
_NOTHING_TYPED: Final = {"act": "", "type": "", "mark": "", "when": ""}


def routes(context: WebContext) -> list[Route]:
    path = "/patients/{id}/diary"
    return [page(context, path, show), posted(context, path, _changed, shown_at=path)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The entries of the two weeks that end with `to` (today), the newest first; of very many those of fewer days."""
    return _shown(context, request, viewer, {}, "")


def _shown(context: WebContext, request: Request, viewer: Viewer, typed: dict[str, str], wrong: str) -> Response:
    """The page; where a form was refused, for the reason `wrong`, with what was typed into it."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    spoken, zone = words(language_of(request, viewer.user)), zone_or_utc(patient.time_zone)
    today = from_us(context.now()).astimezone(zone).date()
    last = day_of(request.query_params.get("to", "")) or today
    begin_us, end_us = (_midnight_us(day, zone) for day in (last - timedelta(days=_DAYS - 1), last + timedelta(days=1)))
    rows = list(_entries(context.store, patient.id, begin_us, end_us))
    if len(rows) >= _MOST and (cut := rows[-1][1].time.astimezone(zone).date()) < last:
        begin_us = _midnight_us(cut + timedelta(days=1), zone)
        rows = [(device, event) for device, event in rows if to_us(event.time) >= begin_us]
    first, said = from_us(begin_us).astimezone(zone).date(), _said(request.query_params.get("said", ""), wrong)
    shown = [_row(spoken, zone, *one) for one in rows]
    values = {
        "patient": patient,
        "zone": zone.key,
        "rows": shown,
        "first": first,
        "last": last,
        "earlier": first - timedelta(days=1),
        "later": min(last + timedelta(days=_DAYS), today) if last < today else None,
        "may_enter": viewer.may(Action.ENTER_EVENTS, patient.id),
        "kinds": {kind: spoken.text(_NAMES[kind]) for kind in KINDS},
        "insulin_kinds": {kind: spoken.text(name) for kind, name in INSULIN_KINDS.items()},
        "intensities": {kind: spoken.text(name) for kind, name in INTENSITIES.items()},
        "now": local(from_us(context.now()), zone),
        "new_id": token_hex(12),
        "said": spoken.text(said),
        "failed": bool(wrong) or said == _SAID["gone"],
        "typed": _NOTHING_TYPED | typed,
        "placed": typed.get("type") in KINDS and typed.get("mark", "") in ("", *(one["mark"] for one in shown)),
        "wrong": "when" if wrong in _AT_TIME else wrong,
    }
    return render(context, request, viewer, "diary.html", values, data={}, status=400 if wrong else 200)


def _said(said: str, wrong: str) -> str:
    if wrong:
        return _NOT_SAVED.get(wrong, _("This was not saved: a field is missing or cannot be."))
    return _SAID.get(said, "")


def _entries(store: Store, patient: str, from_us: int, to_us: int) -> Iterator[tuple[str, AnyCareEvent]]:
    """Device and entry, the newest first."""
    for one in store.documents(Topic.CARE_EVENTS, patient, from_us, to_us, limit=_MOST):
        for event in events_in([one.body]):
            if isinstance(event, CareEvent) and one.type in _NAMES:
                yield one.device, event


def _row(spoken: Words, zone: tzinfo, device: str, event: AnyCareEvent) -> dict[str, Any]:
    kind, locale = str(event.__struct_config__.tag), spoken.language.replace("-", "_")
    number, said = _amount(event)
    fields = {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) not in (None, "")}
    name = INSULIN_KINDS[event.kind] if isinstance(event, Insulin) and event.kind != "unknown" else _NAMES[kind]
    return {
        "kind": kind,
        "name": spoken.text(name),
        "amount": "" if number is None else f"{format_decimal(number, locale=locale)} {said}".strip(),
        "text": next((fields[one] for one in ("text", "name", "kind") if one in fields and _is_told(event, one)), ""),
        "at": format_datetime(event.time, "medium", tzinfo=zone, locale=locale),
        "mark": _mark(event),
        "when": local(event.time, zone),
        "device": device,
        "id": care_event_id(event),
        "fields": fields,
        "correctable": kind in KINDS,
    }


def _is_told(event: AnyCareEvent, name: str) -> bool:
    """Whether the field is somebody's words: an insulin's kind is told as its name."""
    return not (isinstance(event, Insulin) and name == "kind")


def _amount(event: AnyCareEvent) -> tuple[float | None, str]:
    match event:
        case Meal():
            return event.carbs_g, "g"
        case Insulin():
            return event.dose_u, "U"
        case Exercise():
            return event.duration_min, "min"
        case Medication():
            return event.dose, event.dose_unit
        case Hba1c():
            return event.value, event.unit
    return None, ""


async def _changed(context: WebContext, request: Request, viewer: Viewer) -> Response:
    id = request.path_params["id"]
    viewer.require(Action.ENTER_EVENTS, id)
    patient = await run_in_threadpool(visible_patient, context, viewer, id)
    fields = dict(await fields_of(request, longest=_LONGEST_FIELD))
    try:
        said, appends = await run_in_threadpool(_appends, context, patient, fields)
    except NotFound:
        return _back(request, "gone")
    except BadInput as error:
        return await run_in_threadpool(_shown, context, request, viewer, fields, error.reason)
    await committed(context.commit, appends=appends)
    note = context.registry.note
    await run_in_threadpool(lambda: note(f"{said} diary", "patient", id, by=viewer.name, at_us=context.now()))
    await run_in_threadpool(_wait_until_shown, context)
    return _back(request, said)


def _appends(context: WebContext, patient: Patient, fields: Mapping[str, str]) -> tuple[str, Sequence[Append]]:
    """What was done, as a key of _SAID, and the rows for it. Raises BadInput, and NotFound where the entry is not as the
    page showed it."""
    now_us, act, kind = context.now(), fields.get("act", ""), fields.get("type", "")
    if act == "enter":
        return "entered", appended(patient, "", [entry(patient, kind, fields, now_us, id=_id_of(fields))], now_us)
    device, id = fields.get("device", ""), fields.get("id", "")
    documents = context.store.versions(patient.id, [(device, id)])
    there = [(one.device, event) for one in documents for event in events_in([one.body])]
    mine = [one for one in holding(there) if isinstance(one, CareEvent)]
    was = next((one for one in mine if _mark(one) == fields.get("mark")), None)
    if was is None:
        raise NotFound("there is no such entry")
    others = [one for one in mine if one is not was]  # what an app told of one meal: its carbs, its dose
    if act == "withdraw":
        return "withdrawn", appended(patient, device, instead(mine, others, now_us), now_us)
    now = entry(patient, kind, fields, now_us, id=id, was=was)
    return "corrected", appended(patient, device, instead(mine, [*others, now], now_us), now_us)


def _id_of(fields: Mapping[str, str]) -> str:
    """The same for a form that is sent twice, another for one that was filled in anew."""
    return blake2b(repr(sorted(fields.items())).encode(), digest_size=12).hexdigest()


def _mark(event: AnyCareEvent) -> str:
    """What the page showed: of what has since become another it is another."""
    return blake2b(encode_event(event), digest_size=12).hexdigest()


def _wait_until_shown(context: WebContext) -> None:
    """Until the store has what the log has, so that the page shows what was done; not for long."""
    ends, until = context.log.end(Topic.CARE_EVENTS), monotonic() + _SHOWN_WITHIN_S
    while monotonic() < until:
        applied = context.store.applied(Topic.CARE_EVENTS, context.log.partitions)
        if all(there >= end for there, end in zip(applied, ends, strict=True)):
            return
        sleep(0.02)


def _back(request: Request, said: str) -> Response:
    """To the days that were shown."""
    to = request.query_params.get("to", "")
    query = ({"to": to} if day_of(to) else {}) | {"said": said}
    return RedirectResponse(f"{quote(request.url.path)}?{urlencode(query)}", 303)


def _midnight_us(day: date, zone: tzinfo) -> int:
    return to_us(datetime.combine(day, time(), zone).astimezone(UTC))
