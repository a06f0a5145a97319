"""The job `cohorts`: people in groups by the shape of their day."""

from typing import Final

import msgspec

from islet.jobs.base import Finding, Progress
from islet.jobs.people import local_hours, looked_at, yesterday
from islet.model.time_zones import zone_or_utc
from islet.patterns.cohorts import Cohorts, find_cohorts
from islet.patterns.day_shapes import SHAPE_DAYS, day_shape
from islet.store.base import Registry, Store

_decoder: Final = msgspec.json.Decoder(Cohorts)


class CohortsJob:
    """Implements `islet.jobs.base.Job`. Reads a fortnight of everybody: some 1.5 ms a person."""

    name = "cohorts"
    sentence = "Groups people by the shape of their usual day."

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        people = looked_at(self._registry.patients())
        shapes = {}
        for done, patient in enumerate(people):
            progress(done, len(people))
            zone = zone_or_utc(patient.time_zone)
            last = yesterday(zone, now_us)
            shape = day_shape(local_hours(self._store, patient.id, zone, last, SHAPE_DAYS), last)
            if shape is not None:
                shapes[patient.id] = shape
        found = find_cohorts(shapes, Cohorts() if before is None else _decoder.decode(before))
        return Finding(
            result=msgspec.json.encode(found),
            counts={
                "people": len(people),
                "insufficient": len(people) - len(shapes),
                "cohorts": len(found.cohorts),
                "outliers": sum(member.outlier for member in found.members.values()),
            },
        )
