"""Watches how far the forecasts miss, and has another model serve where the one that does is worse than no forecast.

Every few minutes it looks at some of those who had a reading lately: what would each model have said half an hour
before, as it is served, with what was eaten and with the person's own correction? Models that do not serve are watched
alike, so that one that has recovered is seen. What it knows lies in the log's states; who serves, in the registry, from
where the rule book gives it to the engine.

The type of a sensor is the tag `sensorType` of its device's twin, which services write and devices cannot.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from islet.engine.eaten import eaten
from islet.engine.in_force import Rules, forecasting
from islet.engine.rulebook import forecast_by
from islet.engine.saving import Commits
from islet.errors import OffsetExpired
from islet.forecast.drift import (
    AHEAD_MIN,
    MOST_TYPES,
    STATE,
    Sensor,
    errors_in,
    interval_of,
    missed,
    rolled,
    verdict,
)
from islet.forecast.gather import histories
from islet.log.base import Log
from islet.model.ahead import LOOKS_BACK_US, corrections
from islet.model.time import MINUTE_US, Now, from_us
from islet.model.time_zones import zone_or_utc
from islet.model.topics import Topic
from islet.store.base import Registry, Store
from islet.store.devices_base import Address, Twins

_log = structlog.get_logger("islet.engine")

_LOOK_EVERY_US: Final = 5 * MINUTE_US
_PEOPLE: Final = 200
_ENTRIES: Final = 2_000
"""The newest of each partition, in which people are looked for."""
_APART_US: Final = 2 * MINUTE_US
"""A reading this near to half an hour before is one that was half an hour before."""
_BY: Final = "drift watch"
_TYPE_TAG: Final = "sensorType"
_LONGEST_TYPE: Final = 40


class _Case(NamedTuple):
    """What was known half an hour before, and what came."""

    history: NDArray[np.float32]
    minute: float
    came_mg_dl: float
    sensor: Sensor
    eaten: NDArray[np.float32]
    lines: bytes


class DriftWatch:
    """Belongs to one thread; `errors` may be read from others."""

    def __init__(
        self,
        log: Log,
        store: Store,
        registry: Registry,
        twins: Twins,
        commit: Commits,
        now: Now,
        rules: Callable[[], Rules],
    ) -> None:
        """`rules`: those in force when asked, with the lines that correct people's forecasts."""
        self._log, self._store, self._registry, self._commit, self._now = log, store, registry, commit, now
        self._twins, self._rules = twins, rules
        self.errors = errors_in(log.state(STATE))
        self._looked_us = now() - _LOOK_EVERY_US
        self._scored: dict[str, int] = {}  # newest reading that was looked at

    def is_due(self) -> bool:
        return self._now() - self._looked_us >= _LOOK_EVERY_US

    def run_once(self) -> int:
        """Look now; how many forecasts came due."""
        self._looked_us = now_us = self._now()
        people = self._lately()
        lines = self._rules().lines
        cases = [case for patient in people if (case := self._case(patient, lines.get(patient, b""))) is not None]
        self._scored = {patient: self._scored[patient] for patient in people if patient in self._scored}
        if cases:
            found = missed(
                np.stack([case.history for case in cases]),
                np.array([case.minute for case in cases], np.float32),
                np.array([case.came_mg_dl for case in cases], np.float32),
                np.concatenate([case.eaten for case in cases]),
                corrections([case.lines for case in cases]),
            )
            self.errors = rolled(self.errors, found, [case.sensor for case in cases], now_us)
            self._commit.commit(states={STATE: msgspec.json.encode(self.errors)})
            self._decide()
        return len(cases)

    def _decide(self) -> None:
        now = forecasting(self._registry)
        instead = verdict(now, self.errors)
        if instead is not None:
            forecast_by(self._registry, instead, by=_BY)
            _log.warning("forecast_model_changed", before=now.model, now=instead.model, why=instead.why)

    def _lately(self) -> list[str]:
        """Some of those who have newest readings."""
        people: dict[str, None] = {}
        for partition, end in enumerate(self._log.end(Topic.GLUCOSE_READINGS)):
            offset = max(end - _ENTRIES, self._log.begin(Topic.GLUCOSE_READINGS)[partition])
            try:
                piece = self._log.read(Topic.GLUCOSE_READINGS, partition, offset)
            except OffsetExpired:
                continue
            if piece is not None:
                people |= dict.fromkeys(str(patient) for patient in piece.batch.column("patient").to_pylist())
        every = -(-len(people) // _PEOPLE) or 1
        return sorted(people)[::every]

    def _case(self, patient: str, lines: bytes) -> _Case | None:
        latest = self._store.latest([patient])
        if not latest or latest[0].range or self._scored.get(patient) == latest[0].time_us:
            return None
        newest_us = latest[0].time_us
        self._scored[patient] = newest_us
        base_us = newest_us - AHEAD_MIN * MINUTE_US
        series = self._store.series(patient, base_us - LOOKS_BACK_US, base_us + _APART_US)
        if not len(series) or abs(int(series.time_us[-1]) - base_us) > _APART_US or series.range[-1]:
            return None
        history = histories(series.time_us[None], series.glucose_tenths[None], np.array([len(series)]))[0]
        minute = self._minute(patient, int(series.time_us[-1]))
        ate = eaten(self._store, patient, series.time_us[-1:])
        type = self._type(latest[0].device)
        sensor = Sensor(type, 0 if type else interval_of(series.time_us))
        return _Case(history, minute, latest[0].glucose_tenths / 10, sensor, ate, lines)

    def _type(self, id: str) -> str:
        """Of the device; "" where nobody has said it, or where there are too many to tell them all apart."""
        device = self._registry.device(id)
        if device is None:
            return ""
        tag = self._twins.twin(Address(device.id, device.generation_id)).tags.get(_TYPE_TAG)
        type = tag.strip()[:_LONGEST_TYPE] if isinstance(tag, str) else ""
        known = {one.type for one in self.errors.errors if one.type}
        return type if type in known or len(known) < MOST_TYPES else ""

    def _minute(self, patient: str, at_us: int) -> float:
        """Of the patient's day."""
        found = self._registry.patient(patient)
        local = from_us(at_us).astimezone(zone_or_utc("UTC" if found is None else found.time_zone))
        return 60 * local.hour + local.minute
