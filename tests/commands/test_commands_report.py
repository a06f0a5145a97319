"""`islet report` and `islet patients hba1c`: from a file without a server, from a data directory, for everybody."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from islet import cli
from islet.operations.locks import only_one

HEAD = "time,glucose mg/dL,carbs g\n"


def islet(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli.main, ["--data-dir", str(folder / "data"), *words])


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two days of readings every five minutes, in range but for the last hour."""
    file = tmp_path / "diary.csv"
    rows = [
        f"2026-03-{2 + i // 288:02} {i % 288 // 12:02}:{i % 12 * 5:02},{250 if i >= 564 else 120},\n"
        for i in range(576)
    ]
    file.write_text(HEAD + "".join(rows), encoding="utf-8")
    return file


def test_a_file_becomes_a_report_without_a_server(tmp_path: Path, export: Path) -> None:
    out = tmp_path / "out"
    words = ("report", "seven-day", "--file", str(export), "--zone", "Europe/Vienna", "--out", str(out))
    result = islet(
        tmp_path, *words, "--form", "html", "--form", "csv", "--form", "json", "--name", "Ada", "--unit", "mmol/L"
    )
    assert result.exit_code == 0, result.output
    names = [f"diary_seven-day_2026-03-03.{form}" for form in ("csv", "html", "json")]
    assert sorted(path.name for path in out.iterdir()) == names
    assert not (tmp_path / "data").exists()
    found = json.loads((out / names[2]).read_text(encoding="utf-8"))
    assert found["sufficiency"]["readings"] == 576
    assert found["bands"][3]["percent"] == pytest.approx(100 * 12 / 576)
    assert found["period"]["time_zone"] == "Europe/Vienna"
    page = (out / names[1]).read_text(encoding="utf-8")
    assert "Ada" in page and "3.9–10.0 mmol/L" in page
    assert (out / names[1]).stat().st_mode & 0o077 == 0
    with (out / names[0]).open(encoding="utf-8-sig", newline="") as lines:
        assert {row["part"] for row in csv.DictReader(lines)} >= {"range", "goal", "profile", "day"}


def test_a_shanghai_workbook_is_read_with_its_own_zone(tmp_path: Path, shared_data: Path) -> None:
    file = shared_data / "shanghai" / "Shanghai_T1DM" / "1006_2_20210303.xlsx"
    result = islet(tmp_path, "report", "seven-day", "--file", str(file), "--form", "json", "--days", "14", "--out", "-")
    found = json.loads(result.stdout)
    assert found["period"] == {"first": "2021-03-02", "last": "2021-03-15", "time_zone": "Asia/Shanghai"}
    assert sum(act["kind"] == "insulin" for day in found["days"] for act in day["acts"]) > 20


def test_a_patient_of_the_data_directory_has_both_reports_at_once_after_an_import(tmp_path: Path, export: Path) -> None:
    assert islet(tmp_path, "patients", "add", "p-1", "--label", "Ada Example").exit_code == 0
    assert islet(tmp_path, "patients", "add", "p-2").exit_code == 0
    assert islet(tmp_path, "import", str(export), "--patient", "p-1").exit_code == 0
    drawn = islet(tmp_path, "patients", "hba1c", "p-1", "53", "--unit", "mmol/mol", "--drawn", "2026-03-03")
    assert drawn.exit_code == 0, drawn.output
    week = islet(tmp_path, "report", "seven-day", "--patient", "p-1", "--out", "-")
    assert "HbA1c from the laboratory" in week.stdout
    assert "Ada" not in week.stdout  # a label never leaves the portal
    months = islet(tmp_path, "report", "programme", "--patient", "p-1", "--form", "json", "--out", "-")
    assert json.loads(months.stdout)["labs"][0]["lab"]["percent"] == pytest.approx(7.0, abs=0.01)
    everybody = islet(tmp_path, "report", "seven-day", "--all", "--out", str(tmp_path / "all"))
    assert "1 files in" in everybody.output and "1 patients have no readings" in everybody.output
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["p-1_seven-day_2026-03-03.html"]
    assert "entered HbA1c" in islet(tmp_path, "audit", "list").output


def test_while_a_platform_runs_its_store_is_read_and_not_written(tmp_path: Path, export: Path) -> None:
    islet(tmp_path, "patients", "add", "p-1")
    islet(tmp_path, "import", str(export), "--patient", "p-1")
    with only_one(tmp_path / "data", ["store"]):
        result = islet(tmp_path, "report", "seven-day", "--patient", "p-1", "--out", "-", "--to", "2026-03-03")
    assert "No readings in this period." in result.stdout  # the platform has not followed the log yet
    later = islet(tmp_path, "report", "seven-day", "--patient", "p-1", "--out", "-")
    assert "No readings in this period." not in later.stdout


def test_somebody_without_readings_has_a_report_that_says_so(tmp_path: Path) -> None:
    islet(tmp_path, "patients", "add", "p-1")
    result = islet(tmp_path, "report", "seven-day", "--patient", "p-1", "--out", "-", "--to", "2026-03-08")
    assert "No readings in this period." in result.stdout
    assert "Mar 8, 2026" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "seven-day"), "say whom"),
        (("report", "programme", "--all", "--patient", "p-1"), "say whom"),
        (("report", "programme", "--patient", "nobody"), "there is no patient"),
        (("report", "seven-day", "--all", "--out", "-"), "a folder"),
        (("patients", "hba1c", "nobody", "7", "--drawn", "2026-01-01"), "there is no patient"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    result = islet(tmp_path, *words)
    assert result.exit_code != 0
    assert said in result.output


def test_a_file_that_is_no_export_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear doctor", encoding="utf-8")
    result = islet(tmp_path, "report", "seven-day", "--file", str(file))
    assert result.exit_code == 1
    assert "letter.txt: line 1" in result.output
