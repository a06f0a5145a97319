"""Masked data for researchers: pseudonyms, shifted dates, numbers without words; of the patients assigned to them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.access.masking import masked_body, pseudonym, shift_us
from islet.errors import BadInput, NotFound
from islet.model.time import HOUR_US
from islet.model.topics import Topic
from islet.patterns.summaries import Summaries, Summary
from islet.web.answers import api, json_response, page, render
from islet.web.context import WebContext
from islet.web.nights import found, shown
from islet.web.sessions import Viewer

MASKING_KEY: Final = "masking/key"
"""Among the registry's secrets; made when it is first needed."""
_LONGEST_H: Final = 31 * 24


class MaskedEvent(Struct, frozen=True, kw_only=True):
    """An event that is not a reading; `numbers` are amounts and words of fixed lists."""

    time_us: int
    type: str
    numbers: dict[str, float | str]


class MaskedSeries(Struct, frozen=True, kw_only=True):
    """Readings in columns and events, ascending in time; all times are the person's shifted ones."""

    pseudonym: str
    time_us: Sequence[int]
    glucose_tenths: Sequence[int]
    range: Sequence[int]
    events: Sequence[MaskedEvent]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One person of the list, as the page shows them."""

    pseudonym: str
    mean: str
    in_range: str
    below: str


def routes(context: WebContext) -> list[BaseRoute]:
    return [
        page(context, "/research", show),
        api(context, "/api/research/patients", patients),
        api(context, "/api/research/patients/{pseudonym}/series", series),
    ]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The pseudonyms, with the last two weeks of each."""
    summaries = found(context.registry, "summaries", Summaries)[0].people
    names = _names(context, viewer)
    rows = [_row(name, summaries.get(patient), viewer.user.unit) for name, patient in sorted(names.items())]
    return render(context, request, viewer, "research.html", {"rows": rows}, data={})


def patients(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The pseudonyms of those whom the viewer may see, in no order that says anything."""
    return json_response({"patients": sorted(_names(context, viewer))})


def series(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Readings and events of `hours` (24 by default) before `before_us` (a shifted instant; by default the present)."""
    name = request.path_params["pseudonym"]
    patient = _names(context, viewer).get(name)
    if patient is None:
        raise NotFound("there is nobody of that pseudonym among those you may see")
    key = _key(context)
    shift = shift_us(key, patient)
    end_us = _whole(request, "before_us", context.now() - shift + 1) + shift
    start_us = end_us - _whole(request, "hours", 24, _LONGEST_H) * HOUR_US
    readings = context.store.series(patient, start_us, end_us)
    documents = context.store.documents(Topic.CARE_EVENTS, patient, start_us, end_us)
    events = [
        MaskedEvent(time_us=one.time_us - shift, type=one.type, numbers=numbers)
        for one in reversed(documents)
        if (numbers := masked_body(one.type, one.body)) is not None
    ]
    return json_response(
        MaskedSeries(
            pseudonym=name,
            time_us=(readings.time_us - shift).tolist(),
            glucose_tenths=readings.glucose_tenths.tolist(),
            range=readings.range.tolist(),
            events=events,
        )
    )


def _names(context: WebContext, viewer: Viewer) -> dict[str, str]:
    """Patients by pseudonym, after the decision. Raises AccessDenied."""
    viewer.require(Action.VIEW_MASKED)
    audience = viewer.audience_for(Action.VIEW_MASKED)
    there = (patient.id for patient in context.registry.patients())
    key = _key(context)
    return {pseudonym(key, id): id for id in there if audience is None or id in audience}


def _key(context: WebContext) -> bytes:
    known = context.registry.secret(MASKING_KEY)
    if not known:
        known = secrets.token_hex(32)
        context.registry.put_secret(MASKING_KEY, known)
    return bytes.fromhex(known)


def _whole(request: Request, name: str, default: int, most: int = 1 << 62) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19 and 0 < int(text) <= most):
        raise BadInput(f"{name}: expected a whole number above 0 and at most {most}", reason="query")
    return int(text)


def _row(name: str, summary: Summary | None, unit: str) -> Row:
    if summary is None:
        return Row(pseudonym=name, mean="–", in_range="–", below="–")
    return Row(
        pseudonym=name,
        mean=f"{shown(unit, summary.mean_mg_dl)} {unit}",
        in_range=f"{summary.tir_percent:.0f} %",
        below=f"{summary.tbr_percent:.0f} %",
    )
