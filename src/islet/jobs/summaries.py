"""The job `summaries`: everybody's last two weeks, side by side."""

import msgspec

from islet.jobs.base import Finding, Progress
from islet.jobs.people import local_hours, looked_at, yesterday
from islet.model.time_zones import zone_or_utc
from islet.patterns.summaries import SUMMARY_DAYS, Summaries, summary
from islet.store.base import Registry, Store


class SummariesJob:
    """Implements `islet.jobs.base.Job`. Reads a fortnight of everybody, and needs nothing of the night before."""

    name = "summaries"
    sentence = "Sums up everybody's last two weeks, for comparison."

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        people = looked_at(self._registry.patients())
        found = {}
        for done, patient in enumerate(people):
            progress(done, len(people))
            zone = zone_or_utc(patient.time_zone)
            last = yesterday(zone, now_us)
            one = summary(local_hours(self._store, patient.id, zone, last, SUMMARY_DAYS), last)
            if one is not None:
                found[patient.id] = one
        return Finding(
            result=msgspec.json.encode(Summaries(people=found)),
            counts={"people": len(people), "insufficient": len(people) - len(found)},
        )
