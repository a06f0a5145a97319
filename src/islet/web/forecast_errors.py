"""How far the forecasts miss of late, as operators see it."""

from datetime import UTC
from typing import Final

from msgspec import Struct

from islet.engine.in_force import forecasting
from islet.forecast.drift import STATE, errors_in
from islet.model.time import from_us
from islet.model.translated import mark as _
from islet.model.units import MG_DL_PER_MMOL_L
from islet.web.context import WebContext

MODELS: Final = {
    "pooled": _("Pooled network"),
    "damped_slope": _("Damped slope"),
    "ar2": _("Autoregression (AR2)"),
    "ridge": _("Line through the last hours (ridge)"),
    "persistence": _("No change"),
}


class ErrorRow(Struct, frozen=True, kw_only=True):
    """`error`: mean absolute error half an hour ahead, in the viewer's unit. `sensor`: its type, else how often it reads."""

    model: str
    sensor: str
    error: str
    count: int


class ShownErrors(Struct, frozen=True, kw_only=True):
    """Which model forecasts, since when (UTC; empty: from the beginning) and why, and how far each has missed."""

    model: str
    why: str
    since: str
    by_hand: bool
    rows: tuple[ErrorRow, ...]


def errors_shown(context: WebContext, unit: str) -> ShownErrors:
    """As the watch left it, in whichever process it runs."""
    now, errors = forecasting(context.registry), errors_in(context.log.state(STATE))
    per, decimals = (1.0, 1) if unit == "mg/dL" else (MG_DL_PER_MMOL_L, 2)
    return ShownErrors(
        model=now.model,
        why=now.why,
        since=from_us(now.since_us).astimezone(UTC).strftime("%Y-%m-%d %H:%M") if now.since_us else "",
        by_hand=now.by_hand,
        rows=tuple(
            ErrorRow(
                model=one.model,
                sensor=str(one.sensor),
                error=f"{one.mean_mg_dl / per:.{decimals}f}",
                count=round(one.weight),
            )
            for one in errors.errors
        ),
    )
