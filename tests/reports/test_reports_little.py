"""Little data: what is said of it, and what is not."""

from islet.metrics.ranges import PREGNANCY, STANDARD
from islet.patterns.told import amount
from islet.reports.forms import Wish, written
from islet.reports.html import seven_day_html
from islet.reports.seven_day import seven_day
from islet.searched import search
from tests.reports.people import ENGLISH, SUNDAY, made


def page(values: list[float]) -> str:
    return seven_day_html(seven_day(made(values), STANDARD, last=SUNDAY), ENGLISH)


def test_less_than_a_day_of_readings_tells_no_hours_of_a_day_and_no_usual_day() -> None:
    html = page([120.0] * 287)
    assert "make less than a day" in html
    assert "Of 287 of them" in html
    assert "of a day." not in html.split("</p>")[2]
    assert "Your usual day" not in html and "Percentile profile of the day<" not in html


def test_a_day_of_readings_is_enough_to_tell_them() -> None:
    html = page([120.0] * 288)
    assert "make less than a day" not in html
    assert "Your usual day" in html


def test_what_was_seen_once_is_not_said_to_be_seen_times() -> None:
    values = [110.0] * 288 * 7
    values[1200:1206] = [50.0] * 6
    html = written(made(values), Wish(kind="seven-day", last=SUNDAY), "html", ENGLISH, found=search()).decode()
    assert "Glucose was very low once." in html
    assert "(3.0 mmol/L) once for at least 15 minutes" in html
    assert " 1 times" not in html
    assert amount(1.0, "days", "mg/dL", str) == "1 day"


def test_one_good_day_is_no_row_of_days() -> None:
    values = [300.0] * 288 * 6 + [110.0] * 288
    html = written(made(values), Wish(kind="seven-day", last=SUNDAY), "html", ENGLISH, found=search()).decode()
    assert "in a row on goal" not in html


def test_lows_in_pregnancy_are_those_below_its_own_range() -> None:
    values = [100.0] * 288 * 7
    values[600:620] = [66.0] * 20  # a low for others
    values[900:920] = [60.0] * 20
    values[1200:1230] = [150.0] * 30  # a high only in pregnancy
    pregnant = seven_day(made(values), PREGNANCY, last=SUNDAY)
    assert [(one.kind, one.extreme_mg_dl) for one in pregnant.episodes] == [("low", 60.0), ("high", 150.0)]
    others = seven_day(made(values), STANDARD, last=SUNDAY)
    assert [(one.kind, one.extreme_mg_dl) for one in others.episodes] == [("low", 66.0), ("low", 60.0)]


def test_a_low_that_goes_on_past_midnight_is_one_of_the_night() -> None:
    values = [100.0] * 288 * 7
    values[281:287] = [60.0] * 6  # to 23:55
    values[574:582] = [60.0] * 8  # from 23:50 of the next day
    report = seven_day(made(values), STANDARD, last=SUNDAY)
    assert [one.night for one in report.episodes] == [False, True]
    high = seven_day(made([100.0] * 200 + [260.0] * 200 + [100.0] * 1000), STANDARD, last=SUNDAY)
    assert [one.night for one in high.episodes] == [False]


def test_readings_hours_apart_tell_no_episodes_and_do_not_say_that_there_were_none() -> None:
    apart = made([120.0, 50.0, 120.0, 130.0] * 40, every_min=60.0)
    told = seven_day(apart, STANDARD, last=SUNDAY)
    html = seven_day_html(told, ENGLISH)
    assert told.episodes == () and {day.low_episodes for day in told.days} == {None}
    assert html.count("The readings are too far apart to tell this.") == 2
    assert "Never for 15 minutes" not in html and "at night: 0" not in html and "None." not in html


def test_a_day_without_readings_has_no_number_of_lows_and_one_without_lows_has_none() -> None:
    days = seven_day(made([120.0] * 288), STANDARD, last=SUNDAY).days
    assert [day.low_episodes for day in days] == [0, *[None] * 6]


def test_less_than_a_day_of_readings_tells_no_minutes_of_a_day_in_the_picture() -> None:
    picture = page([120.0] * 10).split("Time in ranges</h2>")[1].split("</figure>")[0]
    assert "100\xa0%" in picture and "24 h" not in picture
    assert "24 h" in page([120.0] * 288).split("Time in ranges</h2>")[1].split("</figure>")[0]


def test_a_day_is_the_best_only_among_others_and_only_where_it_was_in_range() -> None:
    assert "Too few days have enough readings to compare them." in page([120.0] * 288)
    assert "Your best day was" not in page([120.0] * 288)
    high = page([300.0] * 288 * 7)
    assert "No day stands out." in high and "Your best day was" not in high
    assert "Your best day was" in page([300.0] * 288 * 6 + [120.0] * 288)


def test_no_line_is_drawn_between_fingersticks() -> None:
    report = seven_day(made([120.0, 180.0] * 7, every_min=240.0), STANDARD, last=SUNDAY)
    assert [len(run) for run in report.days[0].runs] == [1] * 6
    close = seven_day(made([120.0, 180.0] * 7, every_min=15.0), STANDARD, last=SUNDAY)
    assert [len(run) for run in close.days[0].runs] == [14]
