"""What a page starts from: the state of the store, and the log positions from which the live stream goes on."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from islet.log.base import Log
from islet.model.alerts import Alert, Severity
from islet.model.people import Patient
from islet.model.series import Series
from islet.model.time import DAY_US, HOUR_US
from islet.model.topics import Topic
from islet.store.base import Document, Latest, Registry, Store
from islet.web.updates import TOPICS, Audience, positions_text

LIST_LIMIT: Final = 500
"""Patients on one list, the most urgent first. A browser shows more than that, but nobody reads it."""
OPEN_ALERTS: Final = 2_000
"""Alerts that await somebody, on the page of alerts and beside a list: as many on both, so that both count the same. 300
patients at whom nobody looks for a day have some 1,300."""
RECENT_ALERTS: Final = 100
_RANKED_ALERTS: Final = 10_000
"""Alerts that decide who is on the list: with more people than that in an urgent or warning state, LIST_LIMIT of them
are found all the same, as the store gives the most urgent first."""
_SPARK_US: Final = 3 * HOUR_US
_AHEAD_US: Final = DAY_US  # a device's clock may be ahead of ours
_URGENCY: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Points(Struct, frozen=True, kw_only=True):
    """Readings in columns, ascending in time; `range` is -1 for LOW, 1 for HIGH."""

    time_us: list[int]
    glucose_tenths: list[int]
    range: list[int]


class PatientRow(Struct, frozen=True, kw_only=True):
    """One patient of the list: the readings of the last three hours, and the newest one however old."""

    id: str
    label: str
    low_mg_dl: int
    high_mg_dl: int
    points: Points


class Sought(Struct, frozen=True, kw_only=True):
    """Whom a list is to show: a text that the label or the id has in it, in whatever case, and the tag of a group; ""
    leaves nobody out."""

    text: str = ""
    group: str = ""

    def finds(self, patient: Patient) -> bool:
        has_text = self.text.casefold() in f"{patient.label}\n{patient.id}".casefold()
        return has_text and (not self.group or self.group in patient.tags)


EVERYBODY: Final = Sought()


class ListSnapshot(Struct, frozen=True, kw_only=True):
    """`total`: how many were found, of whom the most urgent are in `patients`; `everybody` and `groups`: how many one may
    see at all, and the tags that they have. `alerts` are those of everybody."""

    now_us: int
    positions: str
    everybody: int
    groups: list[str]
    total: int
    patients: list[PatientRow]
    alerts: list[Alert]


class CareMark(Struct, frozen=True, kw_only=True):
    """A meal, a dose, a bout of exercise …; `body` is the event as it was sent."""

    time_us: int
    type: str
    body: msgspec.Raw


class PatientSnapshot(Struct, frozen=True, kw_only=True):
    now_us: int
    positions: str
    patient: str
    hours: float
    points: Points
    alerts: list[Alert]
    care: list[CareMark]


class AlertsSnapshot(Struct, frozen=True, kw_only=True):
    """`active` also holds those that ended but that nobody has seen; `labels` names their patients."""

    now_us: int
    positions: str
    active: list[Alert]
    recent: list[Alert]
    labels: dict[str, str]


class PastAlerts(Struct, frozen=True, kw_only=True):
    """`more`: there are earlier ones. `labels` names their patients."""

    now_us: int
    alerts: list[Alert]
    more: bool
    labels: dict[str, str]


def list_snapshot(
    store: Store, registry: Registry, log: Log, audience: Audience, now_us: int, sought: Sought = EVERYBODY
) -> ListSnapshot:
    """Of the patients an audience sees those who are sought, most urgent first, at most LIST_LIMIT of them."""
    positions = stored_positions(store, log)  # before the rest is read: what comes twice does no harm
    everybody = {patient.id: patient for patient in _patients(registry, audience)}
    people = {id: patient for id, patient in everybody.items() if sought.finds(patient)}
    whole_store = audience is None and len(people) == len(everybody)
    latest = {one.patient: one for one in store.latest(None if whole_store else sorted(people))}
    alerts = store.alerts(None if audience is None else sorted(everybody), active_only=True, limit=_RANKED_ALERTS)
    chosen = _most_urgent(people, latest, alerts)[:LIST_LIMIT]
    on_list = frozenset(chosen)
    return ListSnapshot(
        now_us=now_us,
        positions=positions,
        everybody=len(everybody),
        groups=sorted({tag for patient in everybody.values() for tag in patient.tags}),
        total=len(people),
        patients=[_row(store, people[one], latest.get(one), now_us) for one in chosen],
        alerts=[alert for rank, alert in enumerate(alerts) if rank < OPEN_ALERTS or alert.patient in on_list],
    )


def patient_snapshot(store: Store, log: Log, patient: str, hours: float, now_us: int) -> PatientSnapshot:
    """One patient's readings, alerts and care events of the last `hours`."""
    positions = stored_positions(store, log)
    start, end = now_us - round(hours * HOUR_US), now_us + _AHEAD_US
    newest = store.latest([patient])
    return PatientSnapshot(
        now_us=now_us,
        positions=positions,
        patient=patient,
        hours=hours,
        points=_points(store.series(patient, start, end), newest[0] if newest else None),
        alerts=_alerts_since(store, patient, start),
        care=[_care_mark(one) for one in store.documents(Topic.CARE_EVENTS, patient, start, end)],
    )


def _alerts_since(store: Store, patient: str, start_us: int) -> list[Alert]:
    """Newest first: what began since then, and what awaits somebody however long ago it began."""
    active = store.alerts([patient], active_only=True)
    recent = [alert for alert in store.alerts([patient]) if alert.onset_us >= start_us]
    found = {alert.id: alert for alert in (*active, *recent)}
    return sorted(found.values(), key=lambda alert: (-alert.onset_us, _URGENCY[alert.severity], alert.id))


def alerts_snapshot(store: Store, registry: Registry, log: Log, audience: Audience, now_us: int) -> AlertsSnapshot:
    """The alerts an audience sees: what awaits somebody, and the latest RECENT_ALERTS of all."""
    positions = stored_positions(store, log)
    ids = None if audience is None else sorted(audience)
    active = store.alerts(ids, active_only=True, limit=OPEN_ALERTS)
    recent = store.alerts(ids, limit=RECENT_ALERTS)
    labels = _labels(registry, (*active, *recent))
    return AlertsSnapshot(now_us=now_us, positions=positions, active=active, recent=recent, labels=labels)


def past_alerts(
    store: Store, registry: Registry, audience: Audience, now_us: int, until_us: int, patient: str | None = None
) -> PastAlerts:
    """The latest RECENT_ALERTS that began at an instant or before, of one patient or of all that the audience sees."""
    ids = [patient] if patient is not None else None if audience is None else sorted(audience)
    found = store.alerts(ids, until_us=until_us, limit=RECENT_ALERTS + 1)
    shown = found[:RECENT_ALERTS]
    return PastAlerts(now_us=now_us, alerts=shown, more=len(found) > len(shown), labels=_labels(registry, shown))


def _labels(registry: Registry, alerts: Iterable[Alert]) -> dict[str, str]:
    named = (registry.patient(one) for one in {alert.patient for alert in alerts})
    return {patient.id: patient.label for patient in named if patient is not None}


def stored_positions(store: Store, log: Log) -> str:
    """The log positions up to which the store has taken in."""
    return positions_text(tuple(store.applied(topic, log.partitions) for topic in TOPICS))


def _patients(registry: Registry, audience: Audience) -> Iterable[Patient]:
    if audience is None:
        return registry.patients()
    return [patient for one in sorted(audience) if (patient := registry.patient(one)) is not None]


def _most_urgent(people: dict[str, Patient], latest: dict[str, Latest], alerts: Sequence[Alert]) -> list[str]:
    """Patient ids: what is going on, unseen first; what ended unseen; then by distance from the target; then those
    without a reading. `urgency` in alert_book.js says the same."""
    ranks: dict[str, tuple[bool, bool, int]] = {}
    for alert in alerts:
        rank = (not alert.active, alert.acknowledged_us is not None, _URGENCY[alert.severity])
        ranks[alert.patient] = min(rank, ranks.get(alert.patient, rank))

    def key(id: str) -> tuple[bool, bool, int, bool, float, str]:
        ended, seen, severity = ranks.get(id, (True, True, len(_URGENCY)))
        one = latest.get(id)
        return ended, seen, severity, one is None, -_outside_mg_dl(people[id], one), id

    return sorted(people, key=key)


def _outside_mg_dl(patient: Patient, latest: Latest | None) -> float:
    if latest is None:
        return 0.0
    glucose = latest.glucose_tenths / 10
    return max(0.0, patient.low_mg_dl - glucose, glucose - patient.high_mg_dl)


def _row(store: Store, patient: Patient, latest: Latest | None, now_us: int) -> PatientRow:
    series = store.series(patient.id, now_us - _SPARK_US, now_us + _AHEAD_US)
    return PatientRow(
        id=patient.id,
        label=patient.label,
        low_mg_dl=patient.low_mg_dl,
        high_mg_dl=patient.high_mg_dl,
        points=_points(series, latest),
    )


def _points(series: Series, latest: Latest | None) -> Points:
    """The series in columns; when it is empty, the newest reading alone."""
    if not len(series) and latest is not None:
        return Points(time_us=[latest.time_us], glucose_tenths=[latest.glucose_tenths], range=[latest.range])
    return Points(
        time_us=series.time_us.tolist(),
        glucose_tenths=series.glucose_tenths.tolist(),
        range=series.range.tolist(),
    )


def _care_mark(document: Document) -> CareMark:
    return CareMark(time_us=document.time_us, type=document.type, body=msgspec.Raw(document.body.encode()))
