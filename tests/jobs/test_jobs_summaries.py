"""Everybody's last two weeks, by the days of their own clock."""

import msgspec

from islet.jobs.summaries import SummariesJob
from islet.patterns.summaries import Summaries
from tests.jobs.clinic import Clinic


def test_everybody_with_readings_has_a_row_up_to_their_own_last_day(clinic: Clinic) -> None:
    for patient, zone in (("anna", "UTC"), ("berta", "Asia/Shanghai"), ("newcomer", "UTC")):
        clinic.add(patient, time_zone=zone)
    for patient in ("anna", "berta"):
        clinic.days(patient, [300.0] * 6 + [120.0] * 13 + [220.0])
    finding = SummariesJob(clinic.store, clinic.registry).run(clinic.now_us, None, lambda done, of: None)
    found = msgspec.json.decode(finding.result, type=Summaries).people
    assert dict(finding.counts) == {"people": 3, "insufficient": 1}
    assert found["anna"].moving_mg_dl[-2:] == (120.0, 170.0)
    assert found["berta"].worn_percent == 100.0
    assert found["berta"].moving_mg_dl[-1] == round((32 * 120 + 16 * 220) / 48, 1)  # 220 from 8 in the morning on


def test_the_same_night_twice_gives_the_same_bytes(clinic: Clinic) -> None:
    clinic.add("anna")
    clinic.days("anna", [150.0] * 20)
    job = SummariesJob(clinic.store, clinic.registry)
    first = job.run(clinic.now_us, None, lambda done, of: None).result
    assert job.run(clinic.now_us, first, lambda done, of: None).result == first
