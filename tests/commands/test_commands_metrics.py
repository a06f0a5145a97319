"""`islet metrics`: other people's files in, numbers out; what is not understood is refused with its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from islet.cli import main


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["metrics", *map(str, words)])


def people(*words: str | Path) -> list[dict[str, Any]]:
    result = run("--json", *words)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.output)["people"]
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two people: one of 15 days with a low each noon, one with two readings."""
    lines = ["id,time,gl"]
    for minute in range(0, 15 * 1440, 5):
        day, hour, rest = minute // 1440, minute % 1440 // 60, minute % 60
        low = hour == 12 and rest < 20
        lines.append(f"ann,2024-03-{day + 1:02} {hour:02}:{rest:02}:00,{50 if low else 110}")
    lines += ["bo,2024-03-01 00:00:00,50", "bo,2024-03-01 00:05:00,NA", "bo,2024-03-01 00:10:00,100"]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_everybody_in_a_csv_gets_all_measures(file: Path) -> None:
    ann, bo = people(file)
    assert (ann["id"], bo["id"]) == ("ann", "bo")
    assert ann["sufficiency"] == pytest.approx(
        {
            "readings": 4320,
            "step_min": 5,
            "days_worn": 15,
            "active_percent": 100,
            "window_active_percent": 100,
            "enough": True,
        },
        rel=1e-3,
    )
    assert ann["metrics"]["gmi_percent"] == pytest.approx(3.31 + 0.02392 * (110 - 60 * 4 / 288))
    assert ann["metrics"]["below_54_percent"] == pytest.approx(100 * 4 / 288)
    assert ann["episodes"]["very_low"]["count"] == 15
    assert ann["episodes"]["very_low"]["each"][0] == {
        "from": "2024-03-01T12:00:00",
        "minutes": 20,
        "extreme_mg_dl": 50.0,
    }
    assert ann["goals"]["below_54_percent"] == {"value": pytest.approx(100 * 4 / 288), "under": 1.0, "met": False}
    assert (bo["from"], bo["to"]) == ("2024-03-01T00:00:00", "2024-03-01T00:10:00")
    assert bo["metrics"]["mean_mg_dl"] == 75.0
    assert bo["metrics"]["modd_mg_dl"] is None


def test_gmi_is_withheld_with_its_reason_unless_all_is_asked_for(file: Path) -> None:
    bo = people(file)[1]
    assert bo["metrics"]["gmi_percent"] is None
    assert "14 days" in bo["withheld"]["gmi_percent"]
    told = people(file, "--tell-all")[1]
    assert told["metrics"]["gmi_percent"] == pytest.approx(3.31 + 0.02392 * 75.0)
    assert told["withheld"] == {}


def test_a_table_for_people_names_the_algorithm_of_mage(file: Path) -> None:
    result = run(file)
    assert result.exit_code == 0
    assert "two moving averages" in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("mean_mg_dl ")]
    assert line.split() == ["mean_mg_dl", "109.167", "75.000"]


def test_times_with_an_offset_become_the_wall_clock_of_the_zone(tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("id,time,gl\na,2024-03-04T16:30:00Z,100\na,2024-03-05T00:35:00+08:00,110\n", encoding="utf-8")
    (one,) = people(file, "--zone", "Asia/Shanghai")
    assert (one["from"], one["to"]) == ("2024-03-05T00:30:00", "2024-03-05T00:35:00")


def test_mmol_l_is_judged_by_its_own_thresholds(tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text(
        "id,time,gl\na,2024-03-04,3.9\na,2024-03-04 00:05,10.0\na,2024-03-04 00:10,10.1\n", encoding="utf-8"
    )
    (one,) = people(file, "--unit", "mmol/L")
    assert one["metrics"]["in_range_70_180_percent"] == pytest.approx(200 / 3)
    assert one["metrics"]["mean_mg_dl"] == pytest.approx(8.0 * 18.0156)


def test_the_presets_have_their_own_ranges(file: Path) -> None:
    goals = people(file, "--goals", "pregnancy")[0]["goals"]
    assert goals["name"] == "pregnancy"
    assert goals["in_range_63_140_percent"]["over"] == 70.0
    assert goals["above_250_percent"]["met"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,when,gl\na,2024-03-04,100\n", "line 1: expected the columns id, time, gl"),
        ("id,time,gl\na,2024-03-04 00:00:00,100\na,04/03/2024 00:05,100\n", "line 3, column time"),
        ("id,time,gl\na,2024-02-30 00:00:00,100\n", "line 2, column time: there is no such day"),
        ("id,time,gl\na,2024-03-04 00:00:00,high\n", "line 2, column gl"),
        ("id,time,gl\na,2024-03-04 00:00:00,0\n", "line 2, column gl"),
        ("id,time,gl\na,2024-03-04 00:00:00Z,100\na,2024-03-04 00:05:00,100\n", "line 2, column time"),
        ("id,time,gl\na,2024-03-04 00:00:00\n", "expected a CSV with the columns id, time, gl"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(text, encoding="utf-8")
    result = run(file)
    assert result.exit_code == 1
    assert f"wrong.csv: {said}" in result.output
    assert "high" not in result.output.split("expected")[0]


def test_an_unknown_zone_is_refused(file: Path) -> None:
    assert "--zone: expected a name such as Asia/Shanghai" in run(file, "--zone", "Mars/Base").output


def test_a_shanghai_workbook_gives_its_sensors_measures(shared_data: Path) -> None:
    (one,) = people(shared_data / "shanghai" / "Shanghai_T1DM" / "1001_0_20210730.xlsx")
    assert one["id"] == "1001_0_20210730"
    assert one["sufficiency"]["step_min"] == 15
    assert one["metrics"]["mean_mg_dl"] > 40.0


def test_one_person_can_be_asked_for_and_drawn(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "ann.svg"
    assert [one["id"] for one in people(file, "--person", "ann", "--picture", picture)] == ["ann"]
    assert picture.read_text(encoding="utf-8").startswith("<svg ")
    assert "say which with --person" in run(file, "--picture", picture).output
    assert "there is no person 'zoe'" in run(file, "--person", "zoe").output


NIGHTSCOUT = (
    '[{"sgv": 120, "date": 1709510700000, "device": "G6"}, {"sgv": 54, "date": 1709511000000, "device": "G6"},'
    ' {"mbg": 300, "date": 1709511060000, "device": "meter"}]'
)


def test_of_a_table_of_several_one_can_be_asked_for_as_its_message_advises(tmp_path: Path) -> None:
    table = tmp_path / "ward.csv"
    rows = [
        f"{who},2024-03-04 07:{minute:02},{value}" for minute in range(12) for who, value in (("A", 110), ("B", 90))
    ]
    table.write_text("\n".join(["patient,time,glucose (mg/dL)", *rows]), encoding="utf-8")
    assert "--person" in run(table).output
    [one] = people(table, "--person", "B")
    assert (one["id"], one["metrics"]["mean_mg_dl"]) == ("B", 90.0)
    assert "expected one person; got 2" in run(table, "--person", "C").output


def test_any_export_that_can_be_imported_is_measured_and_several_at_once(tmp_path: Path, file: Path) -> None:
    cloud, table = tmp_path / "cloud.json", tmp_path / "tabelle.csv"
    cloud.write_text(NIGHTSCOUT, encoding="utf-8")
    table.write_text("时间;血糖 (mmol/L)\n2024-03-04 07:05;3,9\n2024-03-04 07:20;10,0\n", encoding="utf-8")
    found = {one["id"]: one for one in people(file, cloud, table)}
    assert list(found) == ["ann", "bo", "cloud", "tabelle"]
    assert found["cloud"]["metrics"]["mean_mg_dl"] == 87.0
    assert (found["tabelle"]["from"], found["tabelle"]["sufficiency"]["step_min"]) == ("2024-03-04T07:05:00", 15)
    assert found["tabelle"]["metrics"]["in_range_70_180_percent"] == 100.0
    assert found["ann"]["sufficiency"]["readings"] == 4320


def test_fingersticks_are_no_sensor_readings(tmp_path: Path) -> None:
    cloud, diary = tmp_path / "cloud.json", tmp_path / "diary.csv"
    cloud.write_text(NIGHTSCOUT, encoding="utf-8")
    lines = [f"2024-03-{day:02} {hour:02}:00,120,finger" for day in range(1, 16) for hour in range(24)]
    diary.write_text("\n".join(["time,glucose mg/dL,method", *lines]), encoding="utf-8")
    worn, pricked = people(cloud, diary)
    assert (worn["sufficiency"]["readings"], worn["metrics"]["greatest_mg_dl"]) == (2, 120.0)
    assert (pricked["sufficiency"]["readings"], pricked["sufficiency"]["enough"]) == (0, False)
    assert (pricked["metrics"]["mean_mg_dl"], pricked["from"]) == (None, None)


def test_an_export_keeps_its_own_clock_until_a_zone_is_said(tmp_path: Path) -> None:
    cloud = tmp_path / "cloud.json"
    cloud.write_text(NIGHTSCOUT, encoding="utf-8")
    assert people(cloud)[0]["from"] == "2024-03-04T00:05:00"
    assert people(cloud, "--zone", "Asia/Shanghai")[0]["from"] == "2024-03-04T08:05:00"


def test_what_an_export_does_not_say_can_be_said(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("wann,wert\n03/02/2026 07:05,6.2\n", encoding="utf-8")
    said = ("--mapping", "time=wann", "--mapping", "glucose=wert", "--unit", "mmol/L")
    assert "table.csv: line 2: the date can be 3 February 2026" in run(table, *said).output
    assert people(table, *said, "--date-order", "dmy")[0]["from"] == "2026-02-03T07:05:00"


def test_the_document_says_what_each_number_is(file: Path) -> None:
    document = json.loads(run("--json", file).output)
    assert set(document["definitions"]) == set(document["people"][0]["metrics"])
    assert document["definitions"]["gmi_percent"] == {"is": "3.31 + 0.02392 mean", "source": "doi:10.2337/dc18-1581"}


def test_the_samples_of_several_platforms_are_measured_together(shared_data: Path) -> None:
    samples = shared_data / "import_samples"
    files = [samples / "iglu_python" / name for name in ("dexcom_eur_01.xlsx", "libre_amer_01.csv")]
    found = people(*files, samples / "tidepool" / "example-from-j-jellyfish.json")
    assert [one["sufficiency"]["readings"] > 700 for one in found] == [True, True, True]
    assert [one["sufficiency"]["step_min"] for one in found] == [5, 15, 15]


def test_dates_of_other_countries_are_read_or_refused_with_both_readings(tmp_path: Path) -> None:
    path = tmp_path / "us.csv"
    path.write_text("id,time,gl\na,6/6/2015 16:50,153\na,6/6/2015 17:05,137\nb,6/30/2015 4:05 PM,120\n")
    assert [one["id"] for one in people(path)] == ["a", "b"]
    path.write_text("id,time,gl\na,03/04/2015 16:50,153\na,03/04/2015 17:05,137\n")
    refused = run(path)
    assert refused.exit_code != 0 and "--date-order mdy" in refused.output
    assert len(people(path, "--date-order", "mdy")) == 1
    path.write_text("id,time,gl\na,6/30/2015 16:50,153\na,yesterday,137\n")
    assert "line 3, column time" in run(path).output


def test_readings_of_any_year_are_measured_since_nothing_of_them_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "orbit.csv"
    table.write_text("time,glucose mg/dL\n1961-04-12 07:05,112\n1961-04-12 07:10,118\n", encoding="utf-8")
    (one,) = people(table)
    assert (one["from"], one["metrics"]["mean_mg_dl"]) == ("1961-04-12T07:05:00", 115.0)


def test_the_samples_with_an_expected_parse_are_measured_whole(shared_data: Path) -> None:
    folder = shared_data / "import_samples" / "sugar_sugar"
    found = people(folder / "Clarity_Export_synthetic.csv", folder / "FreeStyle_Libre_3_synthetic.csv")
    assert [one["sufficiency"]["readings"] for one in found] == [3922, 4548]


def test_readings_too_far_apart_for_episodes_are_not_counted_as_none(tmp_path: Path) -> None:
    table = tmp_path / "hourly.csv"
    lines = [f"2024-03-04 {hour:02}:00,{50 if hour == 9 else 110}" for hour in range(24)]
    table.write_text("\n".join(["time,glucose mg/dL", *lines]) + "\n", encoding="utf-8")
    (one,) = people(table)
    assert one["metrics"]["below_54_percent"] == pytest.approx(100 / 24)
    assert one["episodes"]["very_low"] == {
        "count": None,
        "per_day": None,
        "mean_minutes": None,
        "mean_mg_dl": None,
        "each": [],
    }


def test_values_in_mmol_l_are_not_taken_for_mg_dl_where_no_unit_was_said(tmp_path: Path) -> None:
    """A mean of 6 mg/dL, and all of it below 54, would be told without a word."""
    file = tmp_path / "mmol.csv"
    file.write_text("id,time,gl\na,2024-03-01 00:00,NA\na,2024-03-01 00:05,5.6\na,2024-03-01 00:10,11.2\n")
    refused = run(file)
    assert refused.exit_code == 1
    assert "mmol.csv: line 3, column gl: expected mg/dL, 10 or more" in refused.output
    assert "--unit mmol/L" in refused.output
    (one,) = people(file, "--unit", "mmol/L")
    assert one["metrics"]["mean_mg_dl"] == pytest.approx(8.4 * 18.0156)
