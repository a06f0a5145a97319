"""Masked data: whose it is, and when it was, cannot be read from it; what a metric needs can."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.access.masking import MOST_WEEKS, masked_body, pseudonym, shift_us
from islet.model.people import Role
from islet.model.time import DAY_US, MINUTE_US
from islet.model.topics import Topic
from tests.web.portal import Site

keys = st.binary(min_size=32, max_size=32)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=64)


@given(keys, ids, ids)
def test_pseudonyms_are_of_one_form_and_differ_as_the_ids_do(key: bytes, one: str, other: str) -> None:
    assert re.fullmatch(r"r-[a-z2-7]{16}", pseudonym(key, one))
    assert (pseudonym(key, one) == pseudonym(key, other)) is (one == other)
    assert pseudonym(bytes(32), one) != pseudonym(bytes([1] * 32), one)


@given(keys, ids)
def test_dates_are_moved_by_whole_weeks_into_the_past(key: bytes, patient: str) -> None:
    assert shift_us(key, patient) in {weeks * 7 * DAY_US for weeks in range(1, MOST_WEEKS + 1)}


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("meal", '{"carbs_g": 40, "text": "at Aunt May\'s"}', {"carbs_g": 40}),
        ("insulin", '{"dose_u": 4, "kind": "bolus", "name": "Trial drug 7"}', {"dose_u": 4, "kind": "bolus"}),
        ("exercise", '{"duration_min": 30, "kind": "chess boxing"}', {"duration_min": 30}),
        ("note", '{"text": "I am Ada"}', None),
        ("medication", '{"name": "rare"}', None),
    ],
)
def test_of_an_event_amounts_are_shown_and_no_free_words(
    kind: str, body: str, shown: dict[str, float | str] | None
) -> None:
    assert masked_body(kind, body) == shown


async def test_a_researcher_sees_their_patients_masked_and_nothing_else(site: Site) -> None:
    site.add_user("rosa", Role.RESEARCHER, "p-1")
    site.add_readings("p-1", [100, 110, 120])
    site.add_readings("p-2", [200])
    body = '{"type": "meal", "carbs_g": 40, "text": "with Ben Example"}'
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", body, minutes=3)
    rosa = site.client("rosa")
    (name,) = (await rosa.get("/api/research/patients")).json()["patients"]
    answer = await rosa.get(f"/api/research/patients/{name}/series")
    found = answer.json()
    assert found["glucose_tenths"] == [1000, 1100, 1200]
    assert [one["numbers"] for one in found["events"]] == [{"carbs_g": 40}]
    moved = site.now_us - found["time_us"][-1]
    assert moved > 0
    assert moved % (7 * DAY_US) == 0
    assert [b - a for a, b in zip(found["time_us"], found["time_us"][1:], strict=False)] == [5 * MINUTE_US] * 2
    assert found["time_us"][-1] - found["events"][0]["time_us"] == 3 * MINUTE_US
    for text in (answer.text, (await rosa.get("/research")).text, (await rosa.get("/")).text):
        assert not [word for word in ("p-1", "p-2", "Ada", "Ben", "cgm-", "device-1") if word in text]
    for path in ("/patients/p-1", "/api/patients/p-1/series", "/api/log/glucose_readings", "/cohorts", "/rules"):
        assert (await rosa.get(path)).status_code == 403


async def test_the_pseudonym_of_another_researchers_patient_leads_nowhere(site: Site) -> None:
    site.add_user("rosa", Role.RESEARCHER, "p-1")
    site.add_user("omar", Role.RESEARCHER, "p-2")
    (name,) = (await site.client("omar").get("/api/research/patients")).json()["patients"]
    assert (await site.client("rosa").get(f"/api/research/patients/{name}/series")).status_code == 404
    assert (await site.client("rosa").get("/api/research/patients/p-1/series")).status_code == 404


@pytest.mark.parametrize("query", ["hours=0", "hours=745", "hours=x", "before_us=-1", "before_us=99999999999999999999"])
async def test_a_query_that_cannot_be_is_refused(site: Site, query: str) -> None:
    site.add_user("rosa", Role.RESEARCHER, "p-1")
    rosa = site.client("rosa")
    (name,) = (await rosa.get("/api/research/patients")).json()["patients"]
    assert (await rosa.get(f"/api/research/patients/{name}/series?{query}")).status_code == 400
