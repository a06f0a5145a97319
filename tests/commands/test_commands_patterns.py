"""`islet patterns`: of a file and of a patient; in words and as JSON; in both languages."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from islet.cli import main

DAYS = 7


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A week with a low each night at three, and rice at noon."""
    lines = ["time,glucose (mg/dL),carbs,food"]
    for minute in range(0, DAYS * 1440, 5):
        day, hour, rest = minute // 1440, minute % 1440 // 60, minute % 60
        when = f"2024-03-{day + 1:02} {hour:02}:{rest:02}"
        glucose = 60 if hour == 3 and rest < 30 else 180 + rest if hour == 13 else 110
        lines.append(f"{when},{glucose},{'60' if (hour, rest) == (12, 0) else ''},")
    file = tmp_path / "week.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_files_patterns_come_with_advice_and_lows_come_first(table: Path) -> None:
    result = run("patterns", "--file", table, "--zone", "Asia/Shanghai")
    assert result.exit_code == 0, result.output
    assert "Lows at night" in result.output
    advice = [line for line in result.output.splitlines() if line[:1].isdigit()]
    assert "Look at your glucose before you go to bed" in advice[0]


def test_json_has_every_finding_with_its_evidence(table: Path) -> None:
    document = json.loads(run("patterns", "--file", table, "--json").output)
    low = next(one for one in document["findings"] if one["pattern"] == "night_lows")
    assert (low["n"], len(low["evidence"])) == (DAYS, DAYS)
    assert document["advice"][0]["evidence"]


def test_it_speaks_chinese_and_mmol(table: Path) -> None:
    result = run("patterns", "--file", table, "--language", "zh-CN", "--unit", "mmol/L")
    assert "夜间低血糖" in result.output
    assert "3.3 mmol/L" in result.output


def test_a_patient_of_the_platform_has_the_same_findings_as_their_file(table: Path, tmp_path: Path) -> None:
    data = ("--data-dir", tmp_path / "data")
    assert run(*data, "patients", "add", "p-1", "--time-zone", "Asia/Shanghai").exit_code == 0
    assert run(*data, "import", table, "--patient", "p-1").exit_code == 0
    assert run(*data, "store", "rebuild").exit_code == 0
    stored = run(*data, "patterns", "--patient", "p-1", "--json")
    assert stored.exit_code == 0, stored.output
    filed = json.loads(run("patterns", "--file", table, "--zone", "Asia/Shanghai", "--json").output)
    assert json.loads(stored.output)["findings"] == filed["findings"]


def test_what_is_not_there_is_refused_in_one_sentence(table: Path, tmp_path: Path) -> None:
    nobody = run("--data-dir", tmp_path / "data", "patterns", "--patient", "p-9")
    assert nobody.exit_code == 1 and "there is no patient 'p-9'" in nobody.output
    assert run("patterns").exit_code == 2
    assert "--zone" in run("patterns", "--file", table, "--zone", "Mars").output


def test_readings_hours_apart_are_said_to_be_too_few_to_find_anything(tmp_path: Path) -> None:
    file = tmp_path / "hourly.csv"
    rows = [f"2024-03-04 {hour:02}:00,{50 if hour % 3 else 110}" for hour in range(24)]
    file.write_text("\n".join(["time,glucose (mg/dL)", *rows]) + "\n", encoding="utf-8")
    assert run("patterns", "--file", file).output.strip().endswith("or they are too far apart.")
    assert "读数间隔太长" in run("patterns", "--file", file, "--language", "zh-CN").output
