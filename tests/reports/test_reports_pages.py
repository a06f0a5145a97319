"""The pages: self-contained, whole without scripts, the same pictures for every reader, safe with what people write."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from islet.errors import SettingError
from islet.metrics.ranges import PREGNANCY, STANDARD
from islet.model.events import Hba1c, Meal, Medication
from islet.reports import pdf
from islet.reports.charts.marks import COLOURS
from islet.reports.document import Found
from islet.reports.forms import FORMS, KINDS, Wish, file_name, written
from islet.reports.html import CONTENT_SECURITY_POLICY, programme_html, seven_day_html
from islet.reports.programme import programme
from islet.reports.seven_day import seven_day
from islet.reports.tables import as_csv, as_json
from islet.reports.voice import Voice
from islet.web.languages import words
from tests.conftest import Missing
from tests.reports.people import ENGLISH, MONDAY, SUNDAY, made, simulated

NASTY = "<script>alert('1')</script> & \"rice\""
CHINESE = Voice(language="zh-CN", translations=words("zh-CN").translations, unit="mmol/L")


def pages() -> list[str]:
    """Reports of a full, a sparse and an empty person."""
    people = (simulated(14), made([120.0, 55.0, float("nan"), 300.0]), made([]))
    return [
        written(person, Wish(kind=kind, last=SUNDAY), "html", voice).decode()
        for person in people
        for kind in KINDS
        for voice in (ENGLISH, CHINESE)
    ]


def test_a_page_needs_nothing_from_elsewhere_and_no_script() -> None:
    for html in pages():
        assert not re.search(r"<script|<img|<link|<iframe|\bon\w+=|src=|@import|url\((?!#)", html)
        assert not re.search(r'\bstyle="', html)  # which the content policy of the portal would drop
        assert set(re.findall(r"https?://[^\"'<> )]*", html)) == {"http://www.w3.org/2000/svg"}


def test_every_page_says_that_it_is_no_medical_device_and_none_says_agp_of_itself() -> None:
    for html in pages():
        sheets = html.split('<article class="sheet"')[1:]
        assert all("Not a medical device" in one or "不是医疗器械" in one for one in sheets)
        assert not re.search(r"\bAGP\b", html.replace("not an AGP", "").replace("并非动态葡萄糖图谱（AGP）", ""))


def test_pictures_are_whole_and_told_in_words() -> None:
    for html in pages():
        pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
        assert pictures
        for one in pictures:
            root = ElementTree.fromstring(one)
            assert root.get("role") == "img"
            assert root.get("aria-label")
        ids = re.findall(r'id="([^"]+)"', html)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_all_five_bands_have_their_colour_their_name_and_their_share() -> None:
    person = made([50.0] * 20 + [60.0] * 30 + [120.0] * 100 + [200.0] * 30 + [300.0] * 20)
    html = seven_day_html(seven_day(person, STANDARD, last=SUNDAY), ENGLISH)
    for name, colour in COLOURS.items():
        assert f'fill="{colour}"' in html, name
    for words_shown in ("Very low", "Low", "In range", "High", "Very high", "below 54 mg/dL", "181–250 mg/dL"):
        assert words_shown in html


@pytest.mark.parametrize(
    ("unit", "shown"), [("mg/dL", ("63–140 mg/dL", "54–62 mg/dL")), ("mmol/L", ("3.5–7.8 mmol/L", "3.0–3.4 mmol/L"))]
)
def test_ranges_are_written_in_the_readers_unit(unit: str, shown: tuple[str, ...]) -> None:
    voice = replace(ENGLISH, unit=unit)
    html = seven_day_html(seven_day(made([100.0] * 50), PREGNANCY, last=SUNDAY), voice)
    assert all(one in html for one in shown)


def test_what_people_write_stays_text() -> None:
    dose = Medication(time=MONDAY, name=NASTY, dose=1, dose_unit="<b>")
    person = replace(made([100.0] * 50, events=[Meal(time=MONDAY, text=NASTY), dose]), label=NASTY, id="=HYPERLINK(1)")
    found = Found(
        kind="advice",
        name="x",
        severity="mild",
        title=NASTY,
        text=NASTY,
        evidence=(),
        confidence="",
        source=NASTY,
    )
    report = seven_day(person, STANDARD, last=SUNDAY, found=[found])
    html = seven_day_html(report, ENGLISH)
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html
    rows = list(csv.reader(io.StringIO(as_csv(report))))
    assert all(len(row) == 5 and not row[3].startswith("=") for row in rows)
    assert json.loads(as_json(report))["label"] == NASTY
    assert file_name(person, Wish(kind="programme", last=SUNDAY), "csv") == "-HYPERLINK-1-_programme_2026-03-08.csv"


def test_findings_stand_in_their_sections_with_their_evidence() -> None:
    risk = Found(
        kind="risk",
        name="night_low",
        severity="serious",
        title="Lows at night",
        text="Three nights of seven.",
        evidence=(MONDAY, MONDAY),
        confidence="sure",
        source="doi:10.1/x",
    )
    advice = Found(
        kind="advice",
        name="talk",
        severity="mild",
        title="Talk about it",
        text="Bring this page.",
        evidence=(),
        confidence="",
        source="",
        clinician=True,
    )
    html = seven_day_html(seven_day(made([100.0]), STANDARD, last=SUNDAY, found=[risk, advice]), ENGLISH)
    patient, _, evidence = html.split('<article class="sheet"')[1:]
    assert "Talk about it" in patient and "Lows at night" not in patient
    assert "Hidden risks" in evidence and "Mon, Mar 2 00:00" in evidence and "doi:10.1/x" in evidence
    assert "Discuss this with your clinician" in evidence
    bare = seven_day_html(seven_day(made([100.0]), STANDARD, last=SUNDAY), ENGLISH)
    assert "Hidden risks" not in bare and "What you can do" not in bare


class _Headings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))


def test_headings_come_in_order() -> None:
    for html in pages():
        parser = _Headings()
        parser.feed(html)
        assert parser.levels[0] == 1
        assert all(after - before <= 1 for before, after in zip(parser.levels, parser.levels[1:], strict=False))


def test_the_content_policy_is_that_of_the_page_s_own_style() -> None:
    from base64 import b64encode
    from hashlib import sha256

    html = written(made([100.0]), Wish(kind="seven-day", last=SUNDAY), "html", ENGLISH).decode()
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert b64encode(sha256(style.encode()).digest()).decode() in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_empty_person_is_a_file(form: str, missing: Missing) -> None:
    try:
        content = written(made([]), Wish(kind="seven-day", last=SUNDAY), form, ENGLISH)  # type: ignore[arg-type]
    except SettingError:
        missing("WeasyPrint")
    assert content.startswith({"html": b"<!doctype", "pdf": b"%PDF", "csv": b"\xef\xbb\xbf", "json": b"{"}[form])


def test_too_many_lows_are_said_before_praise_ends() -> None:
    """In range above its goal, and lows above theirs."""
    html = seven_day_html(seven_day(made(([100.0] * 20 + [60.0] * 6) * 77), STANDARD, last=SUNDAY), ENGLISH)
    assert "You have reached the goal of over 70\N{NO-BREAK SPACE}%." in html
    assert "of the time was below 70\xa0mg/dL; the goal is under 4\N{NO-BREAK SPACE}%. Lows come first." in html


LOWS = [100.0] * 20 + [60.0] * 6
"""Seven lows a day: more than the patient's page lists."""
HOLED = [120.0] * 100 + [float("nan")] * 50 + [150.0] * 90
"""A day with a hole in it, and nothing else in the week."""


@pytest.mark.parametrize("voice", [ENGLISH, CHINESE], ids=["en", "zh-CN"])
@pytest.mark.parametrize("whose", ["simulated", "lows", "one day"])
def test_the_patient_and_the_care_team_have_one_sheet_of_paper_each(whose: str, voice: Voice, missing: Missing) -> None:
    """Also with advice, the longest that there are (about 250 letters, 90 in Chinese)."""
    try:
        from weasyprint import HTML
    except (ImportError, OSError):
        missing("WeasyPrint")
    meal = Meal(time=MONDAY + timedelta(hours=8), carbs_g=45)
    people = {"simulated": simulated(14), "lows": made(LOWS * 150), "one day": made(HOLED, events=[meal])}
    long = "请在就寝前查看血糖。" * 9 if voice is CHINESE else "Look at your glucose before you go to bed. " * 6
    found = [
        Found(
            kind="advice",
            name=str(number),
            severity="serious",
            title="Lows at night",
            text=long,
            evidence=(MONDAY,),
            confidence="sure",
            source="doi:10.1/x",
            clinician=True,
        )
        for number in range(5)
    ]
    report = seven_day(people[whose], STANDARD, last=SUNDAY, found=found)
    document = HTML(string=seven_day_html(report, voice)).render()
    begins = dict[str, int]()
    for number, page in enumerate(document.pages):
        for name in page.anchors:
            begins.setdefault(name, number)
    assert (begins["patient"], begins["doctor"], begins["evidence"]) == (0, 1, 2)
    assert len(document.pages) <= 5


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "file:///etc/hostname", "data:image/png;base64,AA=="])
def test_a_page_that_asks_for_something_is_not_printed(address: str, missing: Missing) -> None:
    try:
        with pytest.raises(ValueError, match="asks for nothing"):
            pdf.pdf_of(f'<p>x</p><img src="{address}">')
    except SettingError:
        missing("WeasyPrint")


@pytest.mark.parametrize(
    ("in_range", "shown", "verdict"),
    [
        (698, "69.8\xa0%", "not yet"),
        (7003, "70.03\xa0%", "yes"),
        (706, "71\xa0%", "yes"),
        (700, "70\xa0%", "not yet"),
    ],
)
def test_a_share_beside_its_goal_tells_on_which_side_it_is(in_range: int, shown: str, verdict: str) -> None:
    of = 10_000 if in_range > 1000 else 1000
    values = [120.0] * in_range + [200.0] * (of - in_range)
    html = seven_day_html(seven_day(made(values, every_min=7 * 1440 / of), STANDARD, last=SUNDAY), ENGLISH)
    row = html.split('id="doctor"')[1].split('<th scope="row">70–180 mg/dL</th>')[1].split("</tr>")[0]
    assert (f"<strong>{shown}</strong>" in row, verdict in row) == (True, True)
    assert f"<strong>{shown}</strong> of the time" in html


def test_a_very_low_reading_is_not_told_as_none() -> None:
    html = seven_day_html(seven_day(made([120.0] * 2015 + [50.0]), STANDARD, last=SUNDAY), ENGLISH)
    assert html.count("&lt;0.1\xa0%") >= 3


@pytest.mark.parametrize(("value", "top"), [(290.0, "300"), (340.0, "350"), (390.0, "400")])
def test_what_is_usual_is_drawn_where_it_is_not_at_the_edge(value: float, top: str) -> None:
    html = seven_day_html(seven_day(made([value] * 2016), STANDARD, last=SUNDAY), ENGLISH)
    profile = html.split("Percentile profile of the day <")[1].split("</svg>")[0]
    assert f">{top}<" in profile


def test_a_long_name_stays_on_the_paper(missing: Missing) -> None:
    """And beside the heading: nothing of it lies left of its half."""
    try:
        from weasyprint import HTML
    except (ImportError, OSError):
        missing("WeasyPrint")
    for name in ("欧阳上官司马诸葛东方皇甫尉迟公孙" * 6, "Hohenlohe-Schillingsfürst " * 6, "x" * 120):
        recorded = replace(made([120.0] * 2016), label=name)
        document = HTML(string=seven_day_html(seven_day(recorded, STANDARD, last=SUNDAY), ENGLISH)).render()
        page = document.pages[0]._page_box  # where each line of text lies
        drawn = [
            box for box in page.descendants() if getattr(box, "text", "") and name.startswith(box.text.strip()[:4])
        ]
        assert drawn and min(box.position_x for box in drawn) > page.width * 0.4


def test_hba1c_stands_in_both_of_the_laboratories_units() -> None:
    person = made([120.0] * 2016, events=[Hba1c(time=MONDAY + timedelta(days=3), value=54, unit="mmol/mol")])
    for kind in KINDS:
        html = written(person, Wish(kind=kind, last=SUNDAY), "html", ENGLISH).decode()
        assert "7.1\xa0%" in html and "54\xa0mmol/mol" in html, kind


def test_no_page_has_its_last_line_alone(missing: Missing) -> None:
    try:
        from weasyprint import HTML
    except (ImportError, OSError):
        missing("WeasyPrint")
    one = Found(
        kind="risk",
        name="n",
        severity="mild",
        title="T",
        text="w " * 10,
        evidence=(MONDAY,),
        confidence="sure",
        source="s",
        clinician=False,
    )
    for count in (9, 10, 11):
        report = programme(made([120.0] * 2016), STANDARD, last=SUNDAY, found=[one] * count)
        last = HTML(string=programme_html(report, ENGLISH)).render().pages[-1]._page_box
        said = [box.text for box in last.descendants() if getattr(box, "text", "").strip()]
        assert any(text.startswith("Rests on") for text in said), count
