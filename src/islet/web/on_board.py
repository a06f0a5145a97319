"""What of a patient's insulin and carbs is still to come, as an estimate of models, from the care events in the store."""

from typing import Final

import numpy as np
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.model.codec import events_in
from islet.model.events import Insulin, Meal
from islet.model.time import HOUR_US, MINUTE_US, to_us
from islet.model.topics import Topic
from islet.patterns.diet.carbs_on_board import ABSORPTION_MIN, DELAY_MIN
from islet.patterns.insulin.curves import CURVES
from islet.patterns.on_board import LOOKS_BACK_US, on_board
from islet.store.base import Store
from islet.web.answers import api, json_response
from islet.web.context import WebContext
from islet.web.pages import visible_patient
from islet.web.queries import number_of
from islet.web.sessions import Viewer

NOT_A_DOSE: Final = "An estimate of models, never a dose: no dosing decision is to be made from it."
STEP_MIN: Final = 5
_LONGEST_H: Final = 14 * 24
_MOST_EVENTS: Final = 10_000


class InsulinModel(Struct, frozen=True, kw_only=True):
    """Of a rapid analogue; each other class has its own duration and peak (or a plateau)."""

    name: str = "exponential"
    rapid_duration_min: float = CURVES["rapid"].duration_min
    rapid_peak_min: float | None = CURVES["rapid"].peak_min


class CarbsModel(Struct, frozen=True, kw_only=True):
    """`duration_min` of absorption, after a delay."""

    name: str = "parabolic"
    duration_min: float = ABSORPTION_MIN
    delay_min: float = DELAY_MIN


class OnBoardSnapshot(Struct, frozen=True, kw_only=True):
    """Columns by instant, oldest first, the present last. `time_us`: of the newest event that counts, None where none
    does. The rest: `islet.patterns.on_board.OnBoard`."""

    now_us: int
    time_us: int | None
    at_us: list[int]
    mealtime_u: list[float]
    longer_u: list[float]
    activity_u_per_h: list[float]
    carbs_g: list[float]
    doses: int
    meals: int
    unknown: int
    insulin_model: InsulinModel = InsulinModel()
    carbs_model: CarbsModel = CarbsModel()
    note: str = NOT_A_DOSE


def routes(context: WebContext) -> list[Route]:
    return [api(context, "/api/patients/{id}/on-board", show)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """One patient's insulin and carbs on board over the last `hours` (24 by default), up to the present."""
    patient = visible_patient(context, viewer, request.path_params["id"])
    hours = number_of(request.query_params.get("hours", "24"), least=1, most=_LONGEST_H)
    return json_response(on_board_snapshot(context.store, patient.id, hours, context.now()))


def on_board_snapshot(store: Store, patient: str, hours: int, now_us: int) -> OnBoardSnapshot:
    """Every STEP_MIN of the last `hours`, the last one now."""
    back_us = np.arange(hours * HOUR_US // (STEP_MIN * MINUTE_US), -1, -1, dtype=np.int64) * STEP_MIN * MINUTE_US
    at_us = now_us - back_us
    since_us = int(at_us[0]) - LOOKS_BACK_US
    documents = store.documents(Topic.CARE_EVENTS, patient, since_us, now_us + 1, limit=_MOST_EVENTS)
    events = list(events_in(one.body for one in documents))
    found = on_board(at_us, events)
    newest_us = max((to_us(one.time) for one in events if isinstance(one, Insulin | Meal)), default=None)
    return OnBoardSnapshot(
        now_us=now_us,
        time_us=newest_us,
        at_us=at_us.tolist(),
        mealtime_u=found.mealtime_u.round(2).tolist(),
        longer_u=found.longer_u.round(2).tolist(),
        activity_u_per_h=found.activity_u_per_h.round(2).tolist(),
        carbs_g=found.carbs_g.round(1).tolist(),
        doses=found.doses,
        meals=found.meals,
        unknown=found.unknown,
    )
