"""The page of cohorts: whose it is, what it says, and in which unit and language."""

import re

import pytest

from islet.model.job_runs import Kept, Run, encode_kept
from islet.model.people import Patient, Role
from islet.patterns.cohort_names import NAMES
from islet.patterns.cohorts import Cohorts, Member
from islet.patterns.summaries import Summaries
from islet.store.base import EntryKind
from islet.web import cohorts, comparison
from islet.web.languages import words
from tests.web.night import cohort, keep, last_night, summary
from tests.web.portal import Site


async def text(site: Site, user: str) -> str:
    """The page's words, without its tags and scripts."""
    answer = await site.client(user).get("/cohorts")
    assert answer.status_code == 200
    body = re.sub(r"<script.*?</script>", "", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.ADMINISTRATOR, 200), (Role.CLINICIAN, 200), (Role.CARE_PARTNER, 403), (Role.PATIENT, 403)],
)
async def test_cohorts_are_for_clinicians_and_administrators(site: Site, role: Role, status: int) -> None:
    site.add_user("someone", role, "p-1")
    assert (await site.client("someone").get("/cohorts")).status_code == status
    assert ('href="/cohorts"' in (await site.client("someone").get("/")).text) == (status == 200)


async def test_a_clinician_sees_and_counts_only_their_own_patients(site: Site) -> None:
    last_night(site, ["p-1", "p-2"], changed=["p-1", "p-2"])
    nurse, admin = await text(site, "nurse"), await text(site, "admin")
    assert "Ada Example" in nurse
    assert "Ben Example" not in nurse
    assert "1 of 1 patients" in nurse
    assert re.search(r"Steady Patients: 1 .* High all day Patients: 0", nurse)
    assert "2 of 2 patients" in admin
    assert "Ben Example" in admin


async def test_the_middle_of_a_few_is_only_for_who_may_see_all_of_them(site: Site) -> None:
    few = (cohort(1, "steady", 120.0, size=1), cohort(2, "high_all_day", 222.0, size=2))
    members = {"p-1": Member(1, 2.0), "p-2": Member(2, 2.0), "p-3": Member(2, 3.0)}
    keep(site, "cohorts", Cohorts(cohorts=few, members=members))
    nurse, admin = await text(site, "nurse"), await text(site, "admin")
    assert ("Steady" in nurse, "High all day" in nurse, "Cohorts of fewer than 5 people" in nurse) == (
        True,
        False,
        True,
    )
    assert ("High all day" in admin, "Cohorts of fewer" in admin) == (True, False)


async def test_odd_days_and_changes_are_those_of_ones_own_patients(site: Site) -> None:
    last_night(site, ["p-1", "p-2"], odd=["p-2"], changed=["p-2"])
    nurse, admin = await text(site, "nurse"), await text(site, "admin")
    assert re.search(r"Days that fit no cohort None\. .* None\.", nurse)
    assert re.search(r"Ben Example Steady 63 .* Ben Example Mean glucose 141 → 183 mg/dL Feb 16", admin)


async def test_values_are_in_the_readers_unit_and_words_in_their_language(site: Site) -> None:
    site.add_user("yisheng", Role.CLINICIAN, "p-1", language="zh-CN", unit="mmol/L")
    last_night(site, ["p-1"], changed=["p-1"])
    page = await text(site, "yisheng")
    assert "平稳" in page
    assert "平均 6.7 mmol/L" in page
    assert "7.8 → 10.2 mmol/L" in page
    assert "2月16日" in page


async def test_before_the_first_night_and_after_one_that_failed_there_is_an_empty_page(site: Site) -> None:
    assert "No cohorts yet" in await text(site, "admin")
    run = Run(due_us=1, began_us=1, ended_us=1, outcome="failed", error="OSError")
    for job in ("cohorts", "changes"):
        site.registry.put_entry(EntryKind.JOB, job, encode_kept(Kept(run=run)), by="islet", at_us=1)
    assert "No cohorts yet" in await text(site, "admin")


async def test_somebody_who_was_removed_since_is_not_shown(site: Site) -> None:
    last_night(site, ["p-1", "gone"], odd=["gone"], changed=["gone"])
    page = await text(site, "admin")
    assert "gone" not in page
    assert "1 of 2 patients" in page


async def test_two_cohorts_of_one_name_are_told_apart(site: Site) -> None:
    same = (cohort(1, "steady", 110.0), cohort(4, "steady", 140.0))
    keep(site, "cohorts", Cohorts(cohorts=same, members={"p-1": Member(4, 2.0)}))
    assert re.search(r"Steady Patients: 0 .* Steady 2 Patients: 1", await text(site, "admin"))


async def test_long_lists_say_how_many_more_there_are(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "SHOWN_PEOPLE", 1)
    keep(
        site,
        "cohorts",
        Cohorts(cohorts=(cohort(1, "steady", 110.0),), members={"p-1": Member(1, 2.0), "p-2": Member(1, 3.0)}),
    )
    page = await text(site, "admin")
    assert "Ada Example" in page
    assert "Ben Example" not in page
    assert "and 1 more" in page


async def test_people_are_side_by_side_in_the_order_that_is_asked_for(site: Site) -> None:
    last_night(site, ["p-1", "p-2", "gone"])
    admin = site.client("admin")
    worst_first = side_by_side((await admin.get("/cohorts?by=mean")).text)
    assert (
        "Middle of all 77 % 2 % 135 mg/dL 33 % 78 % Ben Example 67 % 2 % 150 mg/dL 33 % 78 % 162 mg/dL" in worst_first
    )
    assert re.search("Ben Example .* Ada Example 87 % ", worst_first)
    assert re.search("Ada .* Ben", side_by_side((await admin.get("/cohorts?by=worn")).text))
    nonsense = await admin.get("/cohorts?by=__class__")
    assert re.search('aria-sort="ascending"><a href="/cohorts[?]by=tir', nonsense.text)
    assert re.search("Ben .* Ada", side_by_side(nonsense.text))


async def test_side_by_side_are_ones_own_patients_and_their_own_middle(site: Site) -> None:
    last_night(site, ["p-1", "p-2"])
    nurse = side_by_side((await site.client("nurse").get("/cohorts")).text)
    assert "Middle of all 87 % 2 % 120 mg/dL" in nurse
    assert "Ben" not in nurse
    stranger = site.client("stranger")
    site.add_user("stranger", Role.CLINICIAN)
    assert "Side by side" not in (await stranger.get("/cohorts")).text


def side_by_side(page: str) -> str:
    """The words of the comparison."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index('id="side-by-side"') :]))


def test_a_moving_average_has_gaps_where_it_is_not_known(site: Site) -> None:
    people = {"p-1": Patient(id="p-1")}
    keep(site, "summaries", Summaries(people={"p-1": summary(120.0)}))
    (row,) = comparison.comparison(site.registry, people, words("en"), "mmol/L", "").rows
    assert row.latest == "7.3 mmol/L"
    assert [command[0] for command in row.line.split() if command[0].isalpha()] == ["M", *"LLLLL", "M", *"LLL"]


def test_every_name_and_metric_has_its_words() -> None:
    from islet.patterns.changes import METRICS

    assert set(cohorts.NAMES) == set(NAMES)
    assert set(cohorts.METRICS) == {metric.name for metric in METRICS}
