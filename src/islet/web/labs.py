"""A patient's laboratory values beside the readings before them, for pages and programs."""

from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.gathered import gathered
from islet.model.events import Hba1c
from islet.model.time import from_us, to_us
from islet.model.time_zones import zone_or_utc
from islet.model.units import hba1c_mmol_mol
from islet.reports.document import LabGap
from islet.reports.labs import FOR_LAB_DAYS, lab_gaps, labs_of
from islet.reports.recorded import Recorded
from islet.web.answers import api, json_response
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer


class LabShown(Struct, frozen=True, kw_only=True):
    """HbA1c in both units, drawn on a day of the patient's clock. The rest as in `islet.reports.document.LabGap`; `days` is
    0 where no readings were looked at: without any, or more than 90 days ago."""

    day: date
    percent: float
    mmol_mol: int
    days: int = 0
    active_percent: float = 0.0
    gmi_percent: float | None = None
    gap: float | None = None


class Labs(Struct, frozen=True, kw_only=True):
    """Of somewhat over a year, the newest first. `time_us`: of the newest, None without any."""

    now_us: int
    time_us: int | None
    labs: list[LabShown]


def routes(context: WebContext) -> list[Route]:
    return [api(context, "/api/patients/{id}/hba1c", show)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One patient's HbA1c as laboratories said it, with the GMI of the same days and the gap between the two."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    now_us = context.now()
    today = from_us(now_us).astimezone(zone_or_utc(patient.time_zone)).date()
    recorded = gathered(context.store, patient, "programme", 0, today, named=False)
    times = [to_us(one.time) for one in recorded.events if isinstance(one, Hba1c)]
    shown = sorted(_shown(recorded, today), key=lambda one: one.day, reverse=True)
    return json_response(Labs(now_us=now_us, time_us=max(times, default=None), labs=shown))


def _shown(recorded: Recorded, today: date) -> Iterator[LabShown]:
    """Readings are there for as long as the programme looks back, so only the values of its days have a GMI beside them."""
    first = today - timedelta(days=FOR_LAB_DAYS - 1)
    for lab in labs_of(recorded, first - timedelta(days=1)):
        yield LabShown(day=lab.day, percent=round(lab.percent, 1), mmol_mol=round(hba1c_mmol_mol(lab.percent)))
    for one in lab_gaps(recorded, first, today):
        yield _beside(one)


def _beside(one: LabGap) -> LabShown:
    return LabShown(
        day=one.lab.day,
        percent=round(one.lab.percent, 1),
        mmol_mol=round(hba1c_mmol_mol(one.lab.percent)),
        days=one.days,
        active_percent=round(one.active_percent, 1),
        gmi_percent=None if one.gmi_percent is None else round(one.gmi_percent, 1),
        gap=None if one.gap is None else round(one.gap, 1),
    )
