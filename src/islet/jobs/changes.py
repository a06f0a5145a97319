"""The job `changes`: whose days have changed, against their own past; each change is an alert of severity notice, and
retrospective: it began days ago, and nobody is paged for it."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import structs

from islet.jobs.base import Finding, Progress
from islet.jobs.people import local_hours, looked_at, yesterday
from islet.model.alerts import PATTERN_CHANGE, AlertChange, Severity
from islet.model.people import Patient
from islet.model.time_zones import zone_or_utc
from islet.patterns.changes import LOOK_BACK_DAYS
from islet.patterns.days import daily
from islet.patterns.local_time import clock_us
from islet.patterns.watch import PatternChange, PatternChanges, watched
from islet.store.base import Registry, Store

_decoder: Final = msgspec.json.Decoder(PatternChanges)
_MOST_ALERTS: Final = 100_000


class ChangesJob:
    """Implements `islet.jobs.base.Job`. Reads eight weeks of everybody: some 6 ms a person."""

    name = "changes"
    sentence = "Finds people whose days have changed, and says so as an alert."

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    def run(self, now_us: int, before: bytes | None, progress: Progress) -> Finding:
        known = {} if before is None else _decoder.decode(before).changes
        people = looked_at(self._registry.patients())
        found = dict[str, PatternChange]()
        for done, patient in enumerate(people):
            progress(done, len(people))
            change = self._look_at(patient, known.get(patient.id), now_us)
            if change is not None:
                found[patient.id] = change
        found = self._adopted(known, found)
        return Finding(
            result=msgspec.json.encode(PatternChanges(changes=found)),
            counts={"people": len(people), "open": sum(change.open for change in found.values())},
            changes=[*said(known, found, now_us)],
        )

    def _look_at(self, patient: Patient, known: PatternChange | None, now_us: int) -> PatternChange | None:
        zone = zone_or_utc(patient.time_zone)
        last = yesterday(zone, now_us)
        days = daily(local_hours(self._store, patient.id, zone, last, LOOK_BACK_DAYS), last)
        change = watched(known, days)
        if change is None or change is known:
            return change
        if change.open:
            return structs.replace(change, onset_us=clock_us(zone, change.onset_day))
        assert change.ended_day is not None
        return structs.replace(change, ended_us=clock_us(zone, change.ended_day + 1))

    def _adopted(self, known: Mapping[str, PatternChange], found: dict[str, PatternChange]) -> dict[str, PatternChange]:
        """What is new, with the onset that was said where a run before this one said it but could not keep its result
        (and late readings came in between): one change is one alert."""
        new = [id for id, change in found.items() if change.open and not _is_open(known.get(id))]
        alerts = self._store.alerts(new, active_only=True, limit=_MOST_ALERTS) if new else []
        onsets = {alert.patient: alert.onset_us for alert in alerts if alert.rule == PATTERN_CHANGE and alert.active}
        said = {id: structs.replace(found[id], onset_us=onset_us) for id, onset_us in onsets.items()}
        return found | said


def said(known: Mapping[str, PatternChange], found: Mapping[str, PatternChange], now_us: int) -> Iterable[AlertChange]:
    """The alert changes that lead from what was known to what was found, by patient; somebody who is no longer looked at
    has their alert cleared."""
    for patient in sorted(known.keys() | found.keys()):
        old, new = known.get(patient), found.get(patient)
        if new is not None and new.open and not _is_open(old):
            yield _change("opened", patient, new.onset_us, new.onset_us)
        if old is not None and old.open and not _is_open(new):
            yield _change("cleared", patient, old.onset_us, now_us if new is None else new.ended_us)


def _is_open(change: PatternChange | None) -> bool:
    return change is not None and change.open


def _change(what: str, patient: str, onset_us: int, at_us: int) -> AlertChange:
    return AlertChange(
        change="opened" if what == "opened" else "cleared",
        rule=PATTERN_CHANGE,
        patient=patient,
        onset_us=onset_us,
        at_us=at_us,
        severity=Severity.NOTICE,
        retrospective=True,
    )
