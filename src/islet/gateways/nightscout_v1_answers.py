"""Answers of Nightscout's first API: of its status, and what is refused."""

from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.access.app_tokens import AppToken
from islet.decode.nightscout_answers import Document
from islet.errors import AccessDenied, IsletError
from islet.gateways.http_answers import REFUSALS, Handler, NotCommitted, status_of
from islet.gateways.nightscout_apps import NightscoutApps
from islet.model.people import Device, Patient
from islet.model.time import iso

_VERSION: Final = "14.2.6"
"""Whose first API this is; apps ask."""
_SERVED: Final = ("careportal", "iob", "cob", "upbat")
_VERY_HIGH_MG_DL, _VERY_LOW_MG_DL = 250, 54
"""Where Nightscout's site would raise an urgent alarm: the second level of the consensus on time in range (Battelino 2019)."""
_log = structlog.get_logger("islet.gateways.nightscout")


def answered(apps: NightscoutApps, handler: Handler) -> Handler:
    """The handler, with what it raises in an answer; who was not let in is counted."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except REFUSALS as error:
            if isinstance(error, AccessDenied):
                apps.turn_away(request)
            return _refusal(error)
        except OSError as error:  # the disk
            _log.error("request_failed", error=type(error).__name__, reason=str(error))
            return _refusal(NotCommitted("it could not be kept or read; try again later"))

    return answer


def status_of_api(
    now_us: int, unit: str = "mg/dL", patient: Patient | None = None, authorized: Document | None = None
) -> Document:
    """What this API is; `patient`: whose target range the app may be told."""
    settings: Document = {"units": "mg/dl" if unit == "mg/dL" else "mmol", "timeFormat": 24, "enable": _SERVED}
    if patient is not None:
        settings["thresholds"] = _thresholds(patient)
    return {
        "status": "ok",
        "name": "Islet",
        "version": _VERSION,
        "serverTime": iso(now_us),
        "serverTimeEpoch": now_us // 1000,
        "apiEnabled": True,
        "careportalEnabled": True,
        "boluscalcEnabled": False,
        "settings": settings,
        "extendedSettings": {},
        "authorized": authorized,
    }


def authorized_as(text: str, token: AppToken, device: Device, *, may_send: bool, may_view: bool) -> Document:
    """A token for an app that showed its secret, and what the app may: LoopFollow asks for treatments by name."""
    allowed = ["api:*:read"] if may_view else []
    allowed += ["api:*:create", "api:*:update", "api:*:delete", "api:treatments:create"] if may_send else []
    return {"token": text, "sub": device.id, "permissionGroups": [allowed], "iat": token.iat, "exp": token.exp}


def _thresholds(patient: Patient) -> Document:
    """In mg/dL, whatever the unit."""
    low, high = patient.low_mg_dl, patient.high_mg_dl
    return {
        "bgHigh": max(_VERY_HIGH_MG_DL, high + 1),
        "bgTargetTop": high,
        "bgTargetBottom": low,
        "bgLow": min(_VERY_LOW_MG_DL, low - 1),
    }


def _refusal(error: IsletError) -> Response:
    status = status_of(error)
    message = "Unauthorized" if status == 401 else "Refused"
    headers = {"Retry-After": "1"} if status == 429 else None
    return JSONResponse({"status": status, "message": message, "description": str(error)}, status, headers)
