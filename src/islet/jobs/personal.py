"""The job `personal`: by which lines the forecasts of a person are corrected until the next night."""

from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from islet.engine.eaten import eaten
from islet.engine.in_force import forecasting
from islet.forecast.network import MEDIAN, Array
from islet.forecast.personal import DAYS, JOB, LEAST_SEEN, Fitted, Learnt, as_bytes, decode_fitted, fitted, given
from islet.forecast.replay import Replay, replayed
from islet.forecast.serving import Served, served
from islet.jobs.base import Finding, Progress
from islet.jobs.people import looked_at
from islet.model.ahead import LOOKS_BACK_US
from islet.model.people import Patient
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.model.time_zones import zone_or_utc
from islet.patterns.local_time import stretches
from islet.store.base import Registry, Store

MOST_A_NIGHT: Final = 10_000
"""People whose lines are learnt in one night, those first who have waited longest: ten minutes of a core."""
KEPT_US: Final = 8 * DAY_US
"""Lines that were not learnt anew for so long are dropped: people and sensors change."""


class PersonalJob:
    """Implements `islet.jobs.base.Job`. Reads a fortnight of each person, and forecasts it again as the model that serves
    would have; of the night before it needs the lines of those whose turn it is not."""

    name = JOB
    sentence = "Learns from people's last two weeks how to correct their forecasts."

    def __init__(self, store: Store, registry: Registry, most: int = MOST_A_NIGHT) -> None:
        """`most`: people of one night."""
        self._store, self._registry, self._most = store, registry, most

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        """The result is a `Fitted`. Where a simple calculation forecasts instead of a network, nothing is learnt."""
        model = served(forecasting(self._registry).model)
        known = decode_fitted(before)
        people = looked_at(self._registry.patients()) if model.fingerprint else []
        kept = {one.id: known.people[one.id] for one in people if one.id in known.people}
        if known.model != model.fingerprint:
            kept = {}
        turn = _by_turn(people, kept)[: self._most]
        for done, patient in enumerate(turn):
            progress(done, len(turn))
            kept[patient.id] = Learnt(learnt_us=now_us, lines=as_bytes(self._learn(model, patient, now_us)))
        kept = {id: one for id, one in kept.items() if now_us - one.learnt_us < KEPT_US}
        corrected = sum(bool(one.lines) for one in kept.values())
        return Finding(
            result=msgspec.json.encode(Fitted(model=model.fingerprint, people=kept)),
            counts={"people": len(people), "learnt": len(turn), "corrected": corrected},
        )

    def _learn(self, model: Served, patient: Patient, now_us: int) -> Array | None:
        """The lines that help one person; None where none do, or where there is too little to tell."""
        begin_us = now_us - DAYS * DAY_US
        series = self._store.series(patient.id, begin_us - LOOKS_BACK_US, now_us)
        if len(series) < LEAST_SEEN:
            return None
        past = replayed(series, begin_us, now_us - HOUR_US)
        if len(past) < LEAST_SEEN:
            return None
        minute = _minutes(patient, past)
        said = model.forecast(past.history, minute, None, eaten(self._store, patient.id, past.time_us))
        known = given(past.history, minute, said.quantiles)
        return fitted(known, past.came - said.quantiles[:, :, MEDIAN], now_us - past.time_us)


def _by_turn(people: Sequence[Patient], kept: Mapping[str, Learnt]) -> list[Patient]:
    """Those of whom nothing was learnt first, then who has waited longest; of equals, by a hash."""

    def turn(patient: Patient) -> tuple[int, int, str]:
        last = kept.get(patient.id)
        return 0 if last is None else last.learnt_us, crc32(patient.id.encode()), patient.id

    return sorted(people, key=turn)


def _minutes(patient: Patient, past: Replay) -> NDArray[np.float32]:
    """Of the person's own day (n,), at each instant."""
    spans = stretches(zone_or_utc(patient.time_zone), int(past.time_us[0]), int(past.time_us[-1]) + 1)
    starts = np.array([one.from_us for one in spans])
    offsets = np.array([one.offset_us for one in spans])
    local_us: NDArray[np.int64] = past.time_us + offsets[np.searchsorted(starts, past.time_us, side="right") - 1]
    minutes: NDArray[np.float32] = (local_us % DAY_US // MINUTE_US).astype(np.float32)
    return minutes
