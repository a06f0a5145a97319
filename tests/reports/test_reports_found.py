"""Patterns and advice in reports: looked for in the days of the report, said in its language, gone with their evidence."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from islet.model.events import Meal
from islet.model.time import from_us
from islet.patterns.find import find
from islet.patterns.findings import PersonDays
from islet.reports.document import SevenDay
from islet.reports.forms import Wish, document, written
from islet.reports.recorded import Recorded
from islet.reports.voice import Voice
from islet.searched import search
from islet.web.languages import words
from tests.patterns.person_days import at, bump, flat, person
from tests.reports.people import SUNDAY, simulated


def recorded(*low_days: int) -> Recorded:
    """A fortnight at 110 mg/dL with an hour at 55 from two o'clock on some days."""
    glucose = flat(14)
    for day in low_days:
        bump(glucose, day, 2.0, 60, 55.0)
    one = person(glucose)
    return Recorded(id="p", series=one.series, zone=ZoneInfo("UTC"))


def voice(language: str = "en") -> Voice:
    return Voice(language=language, translations=words(language).translations, unit="mg/dL")


def wish(one: Recorded) -> Wish:
    return Wish(kind="seven-day", last=from_us(int(one.series.time_us[-1])).date())


@pytest.mark.parametrize(("language", "said"), [("en", "Lows at night"), ("zh-CN", "夜间低血糖")])
def test_a_report_names_risks_and_advice_in_its_language(language: str, said: str) -> None:
    one = recorded(8, 10, 12)
    html = written(one, wish(one), "html", voice(language), found=search()).decode()
    assert said in html


def test_what_lies_before_the_report_is_not_in_it() -> None:
    one = recorded(1, 3, 5)
    found = search()(one, wish(one), voice())
    assert not [item for item in found if item.name == "night_lows"]


def test_every_item_rests_on_days_of_the_report() -> None:
    one = recorded(8, 10, 12)
    asked = wish(one)
    report = document(one, asked, found=search()(one, asked, voice()))
    assert isinstance(report, SevenDay)
    kinds = {item.kind for item in report.found}
    assert {"risk", "advice"} <= kinds
    first = asked.last - timedelta(days=6)
    assert all(first <= at.date() <= asked.last for item in report.found for at in item.evidence)
    assert search()(replace(one, events=()), asked, voice()) == list(report.found)


@pytest.mark.parametrize("seed", [3, 7, 12])
def test_patterns_tell_the_same_shares_as_the_reports_own_tables(seed: int) -> None:
    one = simulated(7, seed=seed)
    asked = Wish(kind="seven-day", last=SUNDAY)
    report = document(one, asked)
    assert isinstance(report, SevenDay)
    findings = {
        finding.pattern: finding.figures[0].value
        for finding in find(PersonDays(id="p", series=one.series, zone=ZoneInfo("UTC")))
        if finding.figures
    }
    goals = {goal.name: goal.percent for goal in report.goals}
    assert findings["time_below"] == pytest.approx(goals["below_low"], abs=0.005)
    assert findings["time_above"] == pytest.approx(goals["above_high"], abs=0.005)
    assert findings["variability"] == pytest.approx(report.glucose.cv_percent, abs=0.005)


def test_a_report_says_what_else_may_be_behind_what_it_found() -> None:
    glucose = flat(14)
    for day in range(7, 14):
        bump(glucose, day, 12.0, 120, 250.0)
    meals = tuple(Meal(time=at(day, hour)) for day in range(14) for hour in (7.0, 18.0))
    one = Recorded(id="p", series=person(glucose).series, events=meals, zone=ZoneInfo("UTC"))
    html = written(one, wish(one), "html", voice(), found=search()).decode()
    assert "A meal may have been eaten and not written down." in html
    chinese = written(one, wish(one), "html", voice("zh-CN"), found=search()).decode()
    assert words("zh-CN").text("A meal may have been eaten and not written down.") in chinese
