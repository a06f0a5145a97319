"""What one patient's glucose will do in the next hour, by the model that serves, from the readings in the store."""

from typing import Final

import numpy as np
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.engine.eaten import eaten
from islet.forecast.forecaster import Forecasts, Reason
from islet.forecast.gather import histories
from islet.forecast.network import QUANTILES, RISK_STEPS, RISKS
from islet.forecast.serving import Served, shipped
from islet.model.ahead import LOOKS_BACK_US, STEP_MIN, corrections
from islet.model.series import Series
from islet.model.time import MINUTE_US, from_us
from islet.model.time_zones import zone_or_utc
from islet.store.base import Store
from islet.web.answers import api, json_response
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.sessions import Viewer

NOT_FOR_DOSING: Final = "Dosing decisions are not to be made from a forecast."
_REASONS: Final = {
    Reason.FORECAST: "",
    Reason.NO_READING: "no_reading",
    Reason.TOO_OLD: "too_old",
    Reason.TOO_LITTLE_HISTORY: "too_little_history",
    Reason.OUT_OF_RANGE: "out_of_range",
}


class Risk(Struct, frozen=True, kw_only=True):
    """How likely glucose goes `side` (below, above) a line within so many minutes."""

    side: str
    mg_dl: int
    within_min: int
    percent: float


class ForecastSnapshot(Struct, frozen=True, kw_only=True):
    """`reason`: why there is no forecast; empty where there is one. `time_us`: of the reading that it starts from.
    `glucose_tenths`: per step of `minutes`, the values of `quantiles_percent`, those of them that the model knows.
    `personal`: it was corrected by what the model missed of this person lately."""

    now_us: int
    model: str
    reason: str
    time_us: int | None = None
    minutes: list[int] = []
    quantiles_percent: list[int] = []
    glucose_tenths: list[list[int]] = []
    risks: list[Risk] = []
    personal: bool = False
    note: str = NOT_FOR_DOSING


def routes(context: WebContext) -> list[Route]:
    return [api(context, "/api/patients/{id}/forecast", forecast)]


def forecast(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One patient's forecast, or the reason why there is none."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    return json_response(forecast_snapshot(context, patient.id, patient.time_zone))


def forecast_snapshot(context: WebContext, patient: str, time_zone: str) -> ForecastSnapshot:
    """The forecast from the newest reading: the one that the engine's rules look at."""
    now_us, (model, lines) = context.now(), serving(context, patient)
    series = _last(context.store, patient, now_us)
    if not len(series):
        return ForecastSnapshot(now_us=now_us, model=model.name, reason="no_reading")
    newest_us = int(series.time_us[-1])
    history = histories(series.time_us[None], series.glucose_tenths[None], np.array([len(series)]))
    if series.range[-1]:
        history[0, -1] = np.inf * series.range[-1]  # as the engine says LOW and HIGH: nothing is foretold from them
    at = from_us(newest_us).astimezone(zone_or_utc(time_zone))
    minute = np.array([60 * at.hour + at.minute], np.float32)
    age_min = np.array([(now_us - newest_us) / MINUTE_US], np.float32)
    ate = eaten(context.store, patient, np.array([newest_us]))
    found = model.forecast(history, minute, age_min, ate, corrections([lines]))
    reason = _REASONS[Reason(int(found.reason[0]))]
    if reason:
        return ForecastSnapshot(now_us=now_us, model=model.name, reason=reason, time_us=newest_us)
    return _snapshot(found, now_us, newest_us, model.name, personal=bool(lines))


def serving(context: WebContext, patient: str) -> tuple[Served, bytes]:
    """The model that the engine uses now, and the lines by which it corrects this patient's forecasts, if any."""
    if context.rules is None:
        return shipped(), b""
    now = context.rules.current()
    used = now.plan.foreteller
    return shipped() if used is None else used, now.lines.get(patient, b"")  # type: ignore[return-value]  # the rule book knows no others


def _last(store: Store, patient: str, now_us: int) -> Series:
    """The twelve hours up to the newest reading."""
    latest = store.latest([patient])
    newest_us = latest[0].time_us if latest else now_us
    return store.series(patient, newest_us - LOOKS_BACK_US, newest_us + 1)


def _snapshot(found: Forecasts, now_us: int, newest_us: int, model: str, *, personal: bool) -> ForecastSnapshot:
    path = found.quantiles[0]
    known = [k for k in range(len(QUANTILES)) if not np.isnan(path[0, k])]
    return ForecastSnapshot(
        now_us=now_us,
        model=model,
        reason="",
        time_us=newest_us,
        minutes=[STEP_MIN * (k + 1) for k in range(len(path))],
        quantiles_percent=[round(100 * QUANTILES[k]) for k in known],
        glucose_tenths=np.rint(path[:, known] * 10).astype(int).tolist(),
        risks=[
            Risk(side=side, mg_dl=round(line), within_min=STEP_MIN * steps, percent=round(100 * float(chance), 1))
            for (side, line), chances in zip(RISKS, found.risks[0], strict=True)
            for steps, chance in zip(RISK_STEPS, chances, strict=True)
            if not np.isnan(chance)
        ],
        personal=personal,
    )
