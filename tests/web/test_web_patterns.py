"""The page of patterns and advice: who sees it, what it says in which language and unit, and what is kept of a person."""

import json

import pytest

from islet.model.people import Role
from islet.model.time import HOUR_US, MINUTE_US
from islet.model.topics import Topic
from islet.store.base import EntryKind
from islet.store.person_days import wishes_of
from tests.web.portal import Site

PAGE = "/patients/p-1/patterns"
STEPS_A_DAY = 288


def week(site: Site) -> None:
    """Seven days, each with an hour at 55 mg/dL from two o'clock, and lunch at noon."""
    end_us = site.now_us - site.now_us % (24 * HOUR_US)
    values = [110.0] * (7 * STEPS_A_DAY)
    for day in range(7):
        for step in range(24, 36):
            values[day * STEPS_A_DAY + step] = 55.0
    site.add_readings("p-1", values, end_us=end_us)
    for day in range(7):
        minutes = (site.now_us - end_us) // MINUTE_US + 60 * (12 + 24 * day)
        body = json.dumps({"type": "meal", "time": "2026-01-01T00:00:00Z", "text": "rice"})
        site.add_document(Topic.CARE_EVENTS, "p-1", "meal", body, minutes=minutes)


@pytest.mark.parametrize(("role", "mine", "status"), [(Role.CLINICIAN, "p-1", 200), (Role.CARE_PARTNER, "p-1", 200), (Role.CLINICIAN, "p-2", 403)])  # fmt: skip
async def test_the_page_is_for_those_who_may_see_the_patient(site: Site, role: Role, mine: str, status: int) -> None:
    site.add_user("someone", role, mine)
    for path in (PAGE, f"/api{PAGE}"):
        assert (await site.client("someone").get(path)).status_code == status


async def test_lows_at_night_come_with_advice_and_their_nights(site: Site) -> None:
    week(site)
    page = (await site.client("nurse").get(PAGE)).text
    assert "Lows at night" in page
    assert "Look at your glucose before you go to bed" in page
    assert page.count("55 mg/dL") >= 7
    numbers = (await site.client("nurse").get(f"/api{PAGE}?days=7")).json()
    low = next(one for one in numbers["findings"] if one["pattern"] == "night_lows")
    assert len(low["evidence"]) == low["n"] == 7


async def test_it_speaks_the_readers_language_and_unit(site: Site) -> None:
    week(site)
    site.add_user("yisheng", Role.CLINICIAN, "p-1", language="zh-CN", unit="mmol/L")
    page = (await site.client("yisheng").get(PAGE)).text
    assert "夜间低血糖" in page and "3.1 mmol/L" in page and "55 mg/dL" not in page


async def test_somebody_without_readings_is_told_so(site: Site) -> None:
    page = (await site.client("nurse").get(PAGE)).text
    assert "There are no readings to look at, or they are too far apart." in page
    assert "Nothing in these days calls for advice." in page


async def test_what_a_person_said_is_kept_and_the_audit_trail_does_not_repeat_it(site: Site) -> None:
    form = {
        "diabetes": "type_1",
        "likes": "tofu、 rice",
        "dislikes": "",
        "allergies": "nuts, milk",
        "cuisine": "chinese",
    }
    headers = {"origin": "http://islet.test"}
    assert (await site.client("nurse").post(PAGE, data=form, headers=headers)).status_code == 303
    kept = wishes_of(site.registry, "p-1")
    assert (kept.diabetes, kept.preferences.likes) == ("type_1", ("tofu", "rice"))
    assert kept.preferences.allergies == ("nuts", "milk")
    assert (
        await site.client("nurse").post(PAGE, data={"taken_up": "walk_after_meals"}, headers=headers)
    ).status_code == 303
    kept = wishes_of(site.registry, "p-1")
    assert [(one.rule, one.at_us) for one in kept.advised] == [("walk_after_meals", site.now_us)]
    assert kept.diabetes == "type_1"
    lines = [line for line in site.registry.audit() if line.kind == EntryKind.WISHES]
    assert len(lines) == 2
    assert "nuts" not in repr(lines)
    page = (await site.client("nurse").get(PAGE)).text
    assert 'value="nuts, milk"' in page


async def test_those_who_may_not_set_a_patients_rules_cannot_change_what_is_kept(site: Site) -> None:
    site.add_user("aunt", Role.CARE_PARTNER, "p-1")
    answer = await site.client("aunt").post(PAGE, data={"likes": "x"}, headers={"origin": "http://islet.test"})
    assert answer.status_code == 403
    assert wishes_of(site.registry, "p-1").preferences.likes == ()


@pytest.mark.parametrize("query", ["days=5", "days=x", "goals=mine"])
async def test_what_cannot_be_asked_is_refused(site: Site, query: str) -> None:
    assert (await site.client("nurse").get(f"/api{PAGE}?{query}")).status_code == 400
