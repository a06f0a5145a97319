"""The nightly grouping reads the store, and keeps what it finds."""

import msgspec
import numpy as np
import pytest

from islet.jobs import people
from islet.jobs.cohorts import CohortsJob
from islet.jobs.people import looked_at
from islet.model.people import Patient
from islet.patterns.cohorts import Cohorts
from tests.jobs.clinic import Clinic

CLOCK = np.arange(24)
MORNING = 130 + 90 * np.exp(-((CLOCK - 8) ** 2) / 8)


def nothing(done: int, of: int) -> None:
    """No progress is shown."""


def found(clinic: Clinic, before: bytes | None = None) -> tuple[Cohorts, dict[str, int]]:
    finding = CohortsJob(clinic.store, clinic.registry).run(clinic.now_us, before, nothing)
    return msgspec.json.decode(finding.result, type=Cohorts), dict(finding.counts)


def test_people_are_grouped_by_the_hours_of_their_own_clock(clinic: Clinic) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        shape = (MORNING, np.roll(MORNING, -8), np.full(24, 120.0))[i % 3]  # as it is in UTC
        zone = "Asia/Shanghai" if i % 3 == 1 else "UTC"
        clinic.add(f"p-{i:02d}", time_zone=zone)
        clinic.days(f"p-{i:02d}", shape + rng.normal(0, 5, (15, 24)))
    clinic.add("newcomer")
    clinic.days("newcomer", np.full(2, 120.0))
    cohorts, counts = found(clinic)
    assert counts == {"people": 25, "insufficient": 1, "cohorts": 2, "outliers": 0}
    assert {one.name: one.size for one in cohorts.cohorts} == {"steady": 8, "high_morning": 16}
    assert "newcomer" not in cohorts.members
    assert found(clinic, msgspec.json.encode(cohorts))[0] == cohorts


def test_a_clinic_without_people_has_no_cohorts(clinic: Clinic) -> None:
    cohorts, counts = found(clinic)
    assert cohorts == Cohorts()
    assert counts["people"] == 0


def test_of_too_many_people_always_the_same_ones_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_PEOPLE", 10)
    patients = [Patient(id=f"p-{i}") for i in range(50)]
    chosen = looked_at(patients)
    assert len(chosen) == 10
    assert looked_at(patients[::-1]) == chosen
    assert {one.id for one in looked_at([*patients, Patient(id="new")])} - {one.id for one in chosen} <= {"new"}
