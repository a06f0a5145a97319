"""The present in one answer, for watch faces and widgets that read Nightscout: /pebble and /api/v2/properties.

Who asks, and whether it may read, is as at the first API (`islet.gateways.http_nightscout`). What is on board is the estimate
that the portal shows (`islet.patterns.on_board`): of the insulin that acts at meals, and only where doses were told at all.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from islet.decode.nightscout_answers import entries_of
from islet.decode.nightscout_present import BACK_MS, NAMES, Document, Present, pebble_of, properties_of
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.nightscout_apps import NightscoutApps
from islet.gateways.nightscout_v1_answers import answered
from islet.model.codec import events_in
from islet.model.events import DeviceStatus
from islet.model.time import DAY_US, Now
from islet.model.topics import Topic
from islet.patterns.on_board import LOOKS_BACK_US, on_board
from islet.store.app_secrets import App
from islet.store.base import Store

_MS_US: Final = 1_000
_MOST_READINGS: Final = 2_880
"""Two days of one a minute."""
_BUCKETS_HOLD: Final = 100
_MOST_EVENTS: Final = 10_000
_MOST_STATUSES: Final = 200
_ON_BOARD: Final = frozenset({"iob", "cob"})
_BATTERY: Final = "upbat"


class NightscoutPresent:
    """`now` is the platform's clock."""

    def __init__(self, authenticator: Authenticator, apps: NightscoutApps, store: Store, now: Now) -> None:
        self._authenticator, self._apps, self._store, self._now = authenticator, apps, store, now

    def routes(self) -> list[Route]:
        """Of the properties all, or those that the address names: a face of M5Stack asks for iob,cob,delta,basal."""
        paths = (
            ("/pebble", self._pebble),
            ("/api/v2/properties", self._properties),
            ("/api/v2/properties/{names:path}", self._properties),
        )
        return [Route(path, answered(self._apps, handler), methods=["GET"]) for path, handler in paths]

    async def _pebble(self, request: Request) -> Response:
        text = request.query_params.get("count", "")
        count = min(int(text) or 1, _MOST_READINGS) if text.isascii() and text.isdigit() and len(text) < 9 else 1
        return await self._answer(request, NAMES, max(count, _BUCKETS_HOLD), lambda found: pebble_of(found, count))

    async def _properties(self, request: Request) -> Response:
        first = str(request.path_params.get("names", "")).partition("/")[0].removesuffix(".json")
        names = [one for one in first.split(",") if one] or NAMES

        def chosen(present: Present) -> Document:
            return {name: value for name, value in properties_of(present).items() if name in names}

        return await self._answer(request, names, _BUCKETS_HOLD, chosen)

    async def _answer(
        self, request: Request, names: Collection[str], most: int, told: Callable[[Present], Document]
    ) -> Response:
        app = await self._apps.app(request)
        if not self._authenticator.may_view(app.device):
            raise AccessDenied("the app may not read what is kept of this patient; an administrator grants it")
        said = request.query_params.get("units", "")
        unit = app.unit if not said else "mmol/L" if said.lower().startswith("mmol") else "mg/dL"
        return await asyncio.to_thread(lambda: JSONResponse(told(self._present(app, unit, names, most))))

    def _present(self, app: App, unit: str, names: Collection[str], most: int) -> Present:
        now_us, patient = self._now(), app.device.patient
        series = self._store.series(patient, now_us - BACK_MS * _MS_US, now_us + DAY_US, method="cgm")
        iob_u, cob_g = self._on_board(patient, now_us) if _ON_BOARD & set(names) else (None, None)
        return Present(
            entries=entries_of(series, app.device.id, "sgv", most),
            now_ms=now_us // _MS_US,
            unit=unit,
            iob_u=iob_u,
            cob_g=cob_g,
            battery_percent=self._battery_percent(patient, now_us) if _BATTERY in names else None,
        )

    def _on_board(self, patient: str, now_us: int) -> tuple[float | None, float | None]:
        since_us = now_us - LOOKS_BACK_US
        stored = self._store.documents(Topic.CARE_EVENTS, patient, since_us, now_us + 1, limit=_MOST_EVENTS)
        found = on_board(np.array([now_us]), events_in(one.body for one in stored))
        iob_u = float(found.mealtime_u[0]) if found.doses else None
        return iob_u, float(found.carbs_g[0]) if found.meals else None

    def _battery_percent(self, patient: str, now_us: int) -> float | None:
        """Of the device that told the newest reading: others have batteries of their own."""
        uploader = next((one.device for one in self._store.latest([patient])), "")
        since_us = now_us - BACK_MS * _MS_US
        stored = self._store.documents(Topic.DEVICE_READINGS, patient, since_us, now_us + DAY_US, limit=_MOST_STATUSES)
        told = events_in(one.body for one in stored if one.device == uploader and one.type == "device_status")
        percents = (one.battery_percent for one in told if isinstance(one, DeviceStatus))
        return next((one for one in percents if one is not None), None)
