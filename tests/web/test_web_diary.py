"""The diary: entries by hand, corrected and withdrawn, and who may."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import pytest
from msgspec import structs

from islet.entered import entry, local
from islet.model.care_events import care_event_id
from islet.model.codec import decode_event, encode_event
from islet.model.events import AnyCareEvent, Insulin, Meal
from islet.model.people import Patient, Role
from islet.model.time import to_us
from islet.model.topics import Topic
from islet.web import diary
from tests.web.portal import NOW_US, Site
from tests.web.test_web_on_board import ago

PATH = "/patients/p-1/diary"
OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def follows(site: Site) -> Iterator[None]:
    """The store follows the log in a thread of its own, a little behind, as it does behind a platform."""
    over = Event()

    def follow() -> None:
        while not over.wait(0.02):
            site.follow()

    thread = Thread(target=follow)
    thread.start()
    yield
    over.set()
    thread.join()


async def post(site: Site, user: str = "nurse", path: str = PATH, **fields: Any) -> str:
    answer = await site.client(user).post(path, data={name: str(one) for name, one in fields.items()}, headers=OURS)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("said=")[2]


def there(site: Site) -> list[tuple[str, AnyCareEvent]]:
    found = site.store.documents(Topic.CARE_EVENTS, "p-1", 0, NOW_US + 1)
    return [(one.device, decode_event(one.body.encode())) for one in found]  # type: ignore[misc]


def add(site: Site, event: AnyCareEvent, minutes: int) -> None:
    site.add_document(
        Topic.CARE_EVENTS, "p-1", str(event.__struct_config__.tag), encode_event(event).decode(), minutes=minutes
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "meal", "carbs_g": "40,5", "text": "rice"}, "40.5 g"),
        ({"type": "meal", "carbs_g": "", "text": "tea"}, "tea"),
        ({"type": "insulin", "dose_u": "6", "kind": "correction", "name": "NovoRapid"}, "Correction dose"),
        ({"type": "exercise", "duration_min": "30", "intensity": "light", "kind": "walk"}, "walk"),
        ({"type": "medication", "name": "metformin", "dose": "500", "dose_unit": "mg"}, "500 mg"),
        ({"type": "note", "text": "<b>ill</b>"}, "&lt;b&gt;ill&lt;/b&gt;"),
    ],
)
async def test_what_is_entered_stands_in_the_diary(site: Site, fields: dict[str, str], expected: str) -> None:
    for _ in range(2):  # a form that is sent twice is one entry
        assert await post(site, act="enter", id="of-the-form", when="2026-03-02T07:15", **fields) == "entered"
    [(device, event)] = there(site)
    assert (device, event.time.isoformat()) == ("", "2026-03-02T07:15:00+00:00")
    assert expected in (await site.client("nurse").get(PATH)).text
    acts = [(line.by, line.action, line.id) for line in site.registry.audit()]
    assert ("nurse", "entered diary", "p-1") in acts


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "meal", "when": "2026-03-02T07:15"},
        {"type": "insulin", "dose_u": "-1", "when": "2026-03-02T07:15"},
        {"type": "insulin", "dose_u": "many", "when": "2026-03-02T07:15"},
        {"type": "insulin", "dose_u": "nan", "when": "2026-03-02T07:15"},
        {"type": "insulin", "dose_u": "6", "when": ""},
        {"type": "insulin", "dose_u": "6", "when": "2026-03-03T07:15"},
        {"type": "note", "text": "", "when": "2026-03-02T07:15"},
        {"type": "reading", "value": "100", "unit": "mg/dL", "when": "2026-03-02T07:15"},
        {"type": "withdrawal", "when": "2026-03-02T07:15"},
        {"type": "meal", "carbs_g": "40", "patient": "p-2", "when": "2026-03-02T07:15"},
    ],
)
async def test_what_cannot_be_is_not_saved(site: Site, fields: dict[str, str]) -> None:
    answer = await site.client("nurse").post(PATH, data={"act": "enter", **fields}, headers=OURS)
    assert answer.status_code == 400 and "This was not saved" in answer.text
    site.follow()
    assert there(site) == []


@pytest.mark.parametrize(
    ("fields", "said", "field"),
    [
        ({"type": "insulin", "dose_u": "4.5.6", "when": "2026-03-02T07:15"}, "the dose has to be", "dose_u"),
        ({"type": "insulin", "dose_u": "600", "when": "2026-03-02T07:15"}, "the dose has to be", "dose_u"),
        ({"type": "insulin", "dose_u": "6", "when": "2026-03-03T07:15"}, "the time is still to come", "when"),
        ({"type": "insulin", "dose_u": "6", "when": "1985-03-03T07:15"}, "the time is before 1990", "when"),
        ({"type": "insulin", "dose_u": "6", "when": "later"}, "no such time", "when"),
        ({"type": "meal", "carbs_g": "", "when": "2026-03-02T07:15"}, "a meal needs carbs", "carbs_g"),
        (
            {"type": "exercise", "duration_min": "0", "when": "2026-03-02T07:15"},
            "the minutes have to be",
            "duration_min",
        ),
    ],
)
async def test_who_errs_reads_why_and_has_what_they_typed(
    site: Site, fields: dict[str, str], said: str, field: str
) -> None:
    answer = await site.client("nurse").post(PATH, data={"act": "enter", **fields}, headers=OURS)
    [form] = re.findall(r"<details[^>]* open>.*?</details>", answer.text, re.DOTALL)
    [marked] = re.findall(r"<input[^>]*aria-invalid[^>]*>", form)
    assert said in form and f'name="{field}"' in marked and "autofocus" in marked
    assert all(f'value="{typed}"' in form for typed in fields.values() if typed)


async def test_a_correction_that_is_refused_stays_open_and_one_that_is_made_stays_at_its_days(site: Site) -> None:
    for days in (0, 40):
        add(site, Insulin(time=ago(days * 1440 + 60), dose_u=40 + days, kind="bolus"), days * 1440 + 60)
    [(_, old)] = [one for one in there(site) if one[1].dose_u == 80]  # type: ignore[union-attr]
    sent = {"act": "correct", **_which(site, old), "type": "insulin", "when": local(old.time, UTC)}
    client, path = site.client("nurse"), PATH + "?to=2026-01-25&said=entered"
    answer = await client.post(path, data={**sent, "dose_u": "8o"}, headers=OURS)
    [form] = re.findall(r"<details[^>]* open>.*?</details>", answer.text, re.DOTALL)
    assert answer.status_code == 400 and 'value="8o"' in form and "Save the correction" in form
    assert answer.text.count("This was not saved") == form.count("This was not saved") == 1
    answer = await client.post(path, data={**sent, "dose_u": "8"}, headers=OURS)
    assert answer.headers["location"] == PATH + "?to=2026-01-25&said=corrected"


async def test_an_entry_is_corrected_and_withdrawn_whoever_told_it(site: Site) -> None:
    dose = Insulin(time=ago(60), dose_u=60.0, kind="bolus")
    add(site, dose, 60)
    [(device, _)] = there(site)
    page = (await site.client("nurse").get(PATH)).text
    which: dict[str, Any] = {"device": device, "id": _hidden(page, "id"), "mark": _hidden(page, "mark")}
    fields = {"type": "insulin", "dose_u": "6", "kind": "bolus", "when": "2026-03-02T07:00"}
    assert await post(site, act="correct", **which, **fields) == "corrected"
    [(of, corrected)] = there(site)
    assert (of, corrected.dose_u, corrected.id) == (device, 6, which["id"])  # type: ignore[union-attr]
    assert await post(site, act="correct", **which, **{**fields, "dose_u": "7"}) == "gone"  # it is another now
    which["mark"] = _hidden((await site.client("nurse").get(PATH)).text, "mark")
    assert await post(site, act="withdraw", type="insulin", **{**which, "device": "another"}) == "gone"
    assert await post(site, act="withdraw", type="insulin", **which) == "withdrawn"
    assert there(site) == []
    assert await post(site, act="withdraw", type="insulin", **which) == "gone"


def _hidden(page: str, name: str) -> str:
    """What the form of the first entry in the list says of it."""
    return page.partition('<ul class="files">')[2].partition(f'name="{name}" value="')[2].partition('"')[0]


def _which(site: Site, event: AnyCareEvent) -> dict[str, str]:
    [(device, there_is)] = [one for one in there(site) if one[1] == event]
    return {"device": device, "id": care_event_id(there_is), "mark": diary._mark(there_is)}


async def test_what_was_told_as_one_stays_when_one_of_it_is_corrected_or_withdrawn(site: Site) -> None:
    meal = Meal(time=ago(60), id="a", carbs_g=40.0)
    dose = Insulin(time=ago(60), id="a", dose_u=4.0, kind="bolus")
    add(site, meal, 60)
    add(site, dose, 60)
    fields = {"type": "meal", "carbs_g": "30", "when": "2026-03-02T06:30"}
    assert await post(site, act="correct", **_which(site, meal), **fields) == "corrected"
    corrected, kept = sorted((one for _, one in there(site)), key=lambda one: one.time)
    assert isinstance(corrected, Meal) and (corrected.carbs_g, corrected.time) == (30, ago(90))
    assert kept == structs.replace(dose, revision=corrected.revision)
    assert await post(site, act="withdraw", **_which(site, kept)) == "withdrawn"
    assert [one for _, one in there(site)] == [structs.replace(corrected, revision=corrected.revision + 1)]
    assert await post(site, act="withdraw", **_which(site, there(site)[0][1])) == "withdrawn"
    assert there(site) == []


async def test_a_correction_changes_only_what_the_form_asks_for(site: Site) -> None:
    meal = Meal(time=ago(60.5), carbs_g=33.3333333, energy_kcal=300.0, text="rice")
    add(site, meal, 60)
    assert (
        'name="carbs_g" inputmode="decimal" autocomplete="off" maxlength="8" value="33.3333333"'
        in (await site.client("nurse").get(PATH)).text
    )
    fields = {"type": "meal", "carbs_g": "30", "text": "", "when": "2026-03-02T06:59"}
    assert await post(site, act="correct", **_which(site, meal), **fields) == "corrected"
    [(_, found)] = there(site)
    assert isinstance(found, Meal)
    assert (found.time, found.carbs_g, found.energy_kcal, found.text) == (meal.time, 30, 300, "")


async def test_the_second_of_two_equal_hours_stays_the_second(site: Site) -> None:
    site.registry.put_patient(Patient(id="p-1", time_zone="Europe/Berlin"))
    dose = Insulin(time=datetime(2025, 10, 26, 1, 30, tzinfo=UTC), dose_u=4.0, kind="bolus")
    add(site, dose, (NOW_US - to_us(dose.time)) // 60_000_000)
    fields = {"type": "insulin", "dose_u": "5", "kind": "bolus", "when": "2025-10-26T02:30"}
    assert await post(site, act="correct", **_which(site, dose), **fields) == "corrected"
    [(_, found)] = there(site)
    assert isinstance(found, Insulin) and (found.time, found.dose_u) == (dose.time, 5)


@pytest.mark.parametrize(
    ("when", "instant"),
    [
        ("2025-10-26T02:30", datetime(2025, 10, 26, 1, 30, tzinfo=UTC)),  # the second, as soon as it has come
        ("2025-10-26T02:50", datetime(2025, 10, 26, 0, 50, tzinfo=UTC)),
        ("2025-03-30T02:30", datetime(2025, 3, 30, 1, 30, tzinfo=UTC)),  # left out by spring
        ("2025-10-26T03:30+03:00", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
    ],
)
def test_what_is_entered_in_the_second_of_two_equal_hours_is_of_then(when: str, instant: datetime) -> None:
    now_us = to_us(datetime(2025, 10, 26, 1, 40, tzinfo=UTC))
    patient = Patient(id="p-1", time_zone="Europe/Berlin")
    made = entry(patient, "insulin", {"dose_u": "5，5", "when": when}, now_us, id="a")
    assert isinstance(made, Insulin) and (made.time, made.dose_u) == (instant, 5.5)


async def test_of_very_many_entries_the_pages_leave_none_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.web.diary._MOST", 5)
    for hours in range(0, 24 * 4, 12):
        add(site, Meal(time=ago(hours * 60 + 1), text=f"meal of {hours} h"), hours * 60 + 1)
    seen, path = list[str](), ""
    for _ in range(6):
        page = (await site.client("nurse").get(PATH + path)).text
        seen += re.findall(r"meal of \d+ h", re.sub(r'value="[^"]*"', "", page))
        [path] = re.findall(r'href="(\?to=[0-9-]+)" rel="next"', page)
    assert seen == [f"meal of {hours} h" for hours in range(0, 24 * 4, 12)]


async def test_only_who_cares_for_a_patient_changes_the_diary_and_only_from_our_own_page(site: Site) -> None:
    meal = {"act": "enter", "type": "meal", "carbs_g": "40", "when": "2026-03-02T07:15"}
    site.add_user("mirror", Role.APPLICATION, "p-1")
    for user, path, headers in (
        ("mirror", PATH, OURS),
        ("nurse", "/patients/p-2/diary", OURS),
        ("nurse", PATH, {"sec-fetch-site": "cross-site"}),
    ):
        assert (await site.client(user).post(path, data=meal, headers=headers)).status_code == 403
    assert (await site.client("nurse").get("/patients/p-2/diary")).status_code == 403
    site.follow()
    assert there(site) == []


async def test_two_weeks_stand_on_a_page(site: Site) -> None:
    for days in (0, 13, 14, 40):
        add(site, Meal(time=ago(days * 1440 + 1), text=f"meal of {days}"), days * 1440 + 1)
    page = (await site.client("nurse").get(PATH)).text
    assert [f"meal of {days}" in page for days in (0, 13, 14, 40)] == [True, True, False, False]
    earlier = (await site.client("nurse").get(PATH, params={"to": "2026-02-16"})).text
    assert [f"meal of {days}" in earlier for days in (0, 13, 14, 40)] == [False, False, True, False]
    assert (await site.client("nurse").get(PATH, params={"to": "x"})).status_code == 400
    assert "Nothing was entered" in (await site.client("nurse").get(PATH, params={"to": "2020-01-01"})).text
