"""A change of somebody's days becomes one alert, and ends with it."""

import msgspec
import numpy as np
import pytest

from islet.engine.rulebook import RuleBook
from islet.jobs.changes import ChangesJob
from islet.jobs.shipped import shipped
from islet.model.alerts import PATTERN_CHANGE, Severity, alert_id
from islet.model.job_runs import decode_kept
from islet.model.time import DAY_US, HOUR_US
from islet.patterns.watch import PatternChange, PatternChanges
from islet.store.base import EntryKind
from tests.jobs.clinic import LAST_DAY, NIGHT_US, Clinic


def course(days: int, step_at: int, step: float = 70.0, end: int = 10_000) -> list[float]:
    """Means of so many days about 140 mg/dL, higher by `step` from day `step_at` (from 0) to `end`."""
    noise = np.random.default_rng(5).normal(0, 7, days)
    return [float(140 + noise[i] + (step if step_at <= i < end else 0)) for i in range(days)]


def kept(clinic: Clinic) -> dict[str, PatternChange]:
    body = clinic.registry.entry(EntryKind.JOB, "changes")
    assert body is not None
    return msgspec.json.decode(decode_kept(body).result, type=PatternChanges).changes


def night(clinic: Clinic) -> None:
    """Run the job for the present night."""
    rules = RuleBook(clinic.registry).current
    assert shipped(clinic.store, clinic.registry, rules, clinic.commit, clinic.now).run("changes").outcome == "done"


def test_a_change_is_an_alert_dated_by_the_midnight_of_its_onset(clinic: Clinic) -> None:
    for patient in ("anna", "berta"):
        clinic.add(patient)
    clinic.days("anna", course(50, 43))
    clinic.days("berta", course(50, 10_000))
    night(clinic)
    (alert,) = clinic.alerts()
    onset = LAST_DAY - 6
    assert alert.id == alert_id(PATTERN_CHANGE, "anna", onset * DAY_US)
    assert (alert.severity, alert.active, alert.retrospective) == (Severity.NOTICE, True, True)
    change = kept(clinic)["anna"]
    assert kept(clinic).keys() == {"anna"}
    assert change.evidence[0].metric == "mean_mg_dl"
    assert change.evidence[0].after - change.evidence[0].before == pytest.approx(70, abs=10)


def test_the_onset_is_midnight_where_the_patient_lives(clinic: Clinic) -> None:
    clinic.add("anna", time_zone="Asia/Shanghai")
    clinic.days("anna", course(50, 43))
    night(clinic)
    (alert,) = clinic.alerts()
    assert alert.onset_us % DAY_US == 16 * HOUR_US


def test_night_after_night_it_is_said_once_and_cleared_once(clinic: Clinic) -> None:
    clinic.add("anna")
    means = course(80, 43, end=56)
    clinic.days("anna", means[:50])
    night(clinic)
    night(clinic)
    for day in range(50, 80):
        clinic.now_us += DAY_US
        clinic.days("anna", means[day : day + 1], last=clinic.now_us // DAY_US - 1)
        night(clinic)
    assert [change.change for change in clinic.said()] == ["opened", "cleared"]
    assert clinic.said()[0].id == clinic.said()[1].id
    assert clinic.alerts() == []
    assert kept(clinic) == {}


def test_a_result_that_was_lost_is_found_again_as_the_same_alert(clinic: Clinic) -> None:
    clinic.add("anna")
    means = course(50, 40)
    clinic.days("anna", means[:40], last=LAST_DAY - 10)
    clinic.days("anna", means[43:])
    night(clinic)
    (alert,) = clinic.alerts()
    clinic.registry.put_entry(EntryKind.JOB, "changes", None, by="test", at_us=NIGHT_US)
    clinic.days("anna", means[40:43], last=LAST_DAY - 7)  # they come late, and would move the onset
    night(clinic)
    assert clinic.alerts() == [alert]
    assert kept(clinic)["anna"].onset_day < alert.onset_us // DAY_US
    assert kept(clinic)["anna"].onset_us == alert.onset_us


def test_somebody_who_is_no_longer_looked_at_has_their_alert_cleared(clinic: Clinic) -> None:
    clinic.add("anna")
    clinic.days("anna", course(50, 43))
    job = ChangesJob(clinic.store, clinic.registry)
    gone = PatternChanges(changes={"gone": PatternChange(onset_day=9, found_day=10, evidence=(), onset_us=9 * DAY_US)})
    finding = job.run(clinic.now_us, msgspec.json.encode(gone), lambda done, of: None)
    assert [(one.patient, one.change, one.onset_us) for one in finding.changes] == [
        ("anna", "opened", (LAST_DAY - 6) * DAY_US),
        ("gone", "cleared", 9 * DAY_US),
    ]


def test_the_same_night_twice_gives_the_same_bytes(clinic: Clinic) -> None:
    clinic.add("anna")
    clinic.days("anna", course(50, 43))
    job = ChangesJob(clinic.store, clinic.registry)
    one, two = (job.run(clinic.now_us, None, lambda done, of: None) for _ in range(2))
    assert (one.result, one.changes) == (two.result, two.changes)
    again = job.run(clinic.now_us, one.result, lambda done, of: None)
    assert (again.result, again.changes) == (one.result, [])


def test_an_empty_clinic_has_no_changes(clinic: Clinic) -> None:
    clinic.add("anna")
    night(clinic)
    assert kept(clinic) == {}
