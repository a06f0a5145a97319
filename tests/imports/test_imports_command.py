"""`islet import` on a data directory: what it says, what it appends, and that a second time changes nothing."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from islet.cli import main
from islet.log.base import Log
from islet.model.codec import encode_event
from islet.model.events import AnyEvent
from islet.model.topics import Topic
from islet.opened import opened_log, opened_registry
from islet.settings import Settings

TABLE = (
    "time,glucose (mg/dL),carbs,device\n2024-03-04 07:05,112,,A\n2024-03-04 07:10,Low,45,A\n2024-03-04 07:10,118,,A\n"
)


def run(data_dir: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(main, ["--data-dir", str(data_dir), *map(str, words)])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    assert run(folder, "patients", "add", "p-1", "--time-zone", "Asia/Shanghai").exit_code == 0
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "table.csv"
    file.write_text(TABLE, encoding="utf-8")
    return file


def rows(log: Log, topic: Topic) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for partition, offset in enumerate(log.begin(topic)):
        piece = log.read(topic, partition, offset)
        found += piece.batch.to_pylist() if piece else []
    return found


def in_log(data_dir: Path) -> dict[Topic, list[dict[str, object]]]:
    with opened_log(Settings(data_dir=data_dir)) as log:
        return {topic: rows(log, topic) for topic in Topic}


def test_an_import_says_what_is_in_the_file_and_appends_it_in_the_patients_time_zone(
    data_dir: Path, table: Path
) -> None:
    done = run(data_dir, "import", table, "--patient", "p-1")
    assert done.exit_code == 0
    assert "table with headings; 1 meal, 2 reading" in done.output
    assert "2024-03-04 07:05+08:00 to 2024-03-04 07:10+08:00, time zone Asia/Shanghai" in done.output
    assert "glucose in mg/dL; 1 below or above" in done.output
    assert "left out: 1, first in line 4: the same device and instant" in done.output
    assert "3 events are new in the log, 0 were there already" in done.output
    log = in_log(data_dir)
    first, second = log[Topic.GLUCOSE_READINGS]
    assert (first["patient"], first["device"], first["time_us"]) == ("p-1", "table-A", 1_709_507_100_000_000)
    assert (second["range"], second["value"]) == (-1, 40.0)
    assert [one["type"] for one in log[Topic.CARE_EVENTS]] == ["meal"]


def test_importing_twice_changes_nothing(data_dir: Path, table: Path) -> None:
    run(data_dir, "import", table, "--patient", "p-1")
    before = in_log(data_dir)
    again = run(data_dir, "import", table, "--patient", "p-1")
    assert "0 events are new in the log, 3 were there already" in again.output
    assert in_log(data_dir) == before


def test_an_import_is_in_the_audit_trail_also_where_it_ends_half_way(
    data_dir: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("islet.imports._CHUNK", 2)
    encoded = list[AnyEvent]()

    def failing(event: AnyEvent) -> bytes:
        encoded.append(event)
        if len(encoded) > 2:
            raise OSError("the disk is full")
        return encode_event(event)

    monkeypatch.setattr("islet.imports.encode_event", failing)
    assert run(data_dir, "import", table, "--patient", "p-1").exit_code
    monkeypatch.undo()
    run(data_dir, "import", table, "--patient", "p-1")
    with opened_registry(Settings(data_dir=data_dir)) as registry:
        lines = [(line.action, line.kind, line.id) for line in registry.audit() if "import" in line.action]
    assert sorted(lines) == [("imported 1 events", "patient", "p-1"), ("imported 2 events", "patient", "p-1")]


def test_what_was_imported_is_in_exports_and_trials_of_rules_though_no_platform_has_run(
    data_dir: Path, table: Path, tmp_path: Path
) -> None:
    """The store is behind the log then; an export "of all that is kept" was empty."""
    run(data_dir, "patients", "add", "p-2")
    run(data_dir, "import", table, "--patient", "p-1")
    assert "1 episode" in run(data_dir, "rules", "try", "urgent_low", "--patient", "p-1").output
    run(data_dir, "import", table, "--patient", "p-2")
    assert run(data_dir, "patients", "export", "p-2", tmp_path / "p-2.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "p-2.zip") as archive:
        assert len(archive.read("events.jsonl").splitlines()) == 3


def test_patterns_of_a_patient_are_of_what_was_imported_though_no_platform_has_run(
    data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "day.csv"
    rows = "".join(
        f"2024-03-04 {minute // 60:02}:{minute % 60:02},{60 + minute // 10}\n" for minute in range(0, 1440, 5)
    )
    file.write_text("time,glucose (mg/dL)\n" + rows, encoding="utf-8")
    run(data_dir, "import", file, "--patient", "p-1")
    told = json.loads(run(data_dir, "patterns", "--patient", "p-1", "--json").output)
    assert "time_below" in {one["pattern"] for one in told["findings"]}


def test_a_longer_export_later_adds_only_what_is_new(data_dir: Path, table: Path) -> None:
    run(data_dir, "import", table, "--patient", "p-1")
    table.write_text(TABLE + "2024-03-04 07:15,121,,A\n", encoding="utf-8")
    assert "1 events are new in the log, 3 were there" in run(data_dir, "import", table, "--patient", "p-1").output


def test_a_preview_appends_nothing(data_dir: Path, table: Path) -> None:
    done = run(data_dir, "import", table, "--patient", "p-1", "--preview")
    assert "2 reading" in done.output
    assert not any(in_log(data_dir).values())


def test_nothing_is_imported_from_a_file_with_an_error_and_the_other_files_are(
    data_dir: Path, table: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(TABLE + "2024-03-04 07:20,much,,B\n", encoding="utf-8")
    done = run(data_dir, "import", wrong, table, "--patient", "p-1")
    assert done.exit_code == 1
    assert "wrong.csv: line 5, column glucose (mg/dL): expected a number" in done.output
    assert "nothing was imported from wrong.csv" in done.output
    assert {one["device"] for one in in_log(data_dir)[Topic.GLUCOSE_READINGS]} == {"table-A"}


def test_a_reading_that_no_body_has_refuses_the_file_because_the_unit_must_be_wrong(
    data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "unit.csv"
    file.write_text("time,glucose\n2024-03-04 07:05,6.2\n", encoding="utf-8")
    done = run(data_dir, "import", file, "--patient", "p-1", "--unit", "mg/dL")
    assert (done.exit_code, "line 2: glucose: expected a value between 10 and 1500" in done.output) == (1, True)


def test_what_is_dated_before_1900_or_in_the_future_is_left_out_with_the_reason(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "clock.csv"
    dates = ("1900-01-01", "2024-03-04", "2999-01-01")  # the first is still 1899 in UTC
    file.write_text("time,glucose mg/dL\n" + "".join(f"{day} 07:05,112\n" for day in dates), encoding="utf-8")
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert "first in line 2: before 1900" in done.output
    assert "first in line 4: in the future" in done.output
    log = in_log(data_dir)
    assert (len(log[Topic.GLUCOSE_READINGS]), len(log[Topic.DEAD_LETTERS])) == (1, 0)


def test_what_is_as_old_as_people_is_imported_once_at_the_clock_of_its_time_and_stays(
    data_dir: Path, tmp_path: Path
) -> None:
    """China's clocks were an hour ahead in the summer of 1989; instants by GNU date."""
    file = tmp_path / "old.csv"
    file.write_text("time,glucose mg/dL,carbs\n1961-04-12 07:05,112,30\n1989-07-01 07:05,118,\n", encoding="utf-8")
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert "1961-04-12 07:05+08:00 to 1989-07-01 07:05+09:00, time zone Asia/Shanghai" in done.output
    assert "3 events are new in the log, 0 were there already" in done.output
    log = in_log(data_dir)
    assert [one["time_us"] for one in log[Topic.GLUCOSE_READINGS]] == [-275_273_700_000_000, 615_247_500_000_000]
    assert [one["time_us"] for one in log[Topic.CARE_EVENTS]] == [-275_273_700_000_000]
    assert log[Topic.DEAD_LETTERS] == []
    again = run(data_dir, "import", file, "--patient", "p-1")
    assert "0 events are new in the log, 3 were there already" in again.output
    assert in_log(data_dir) == log
    assert "2 readings" in run(data_dir, "store", "rebuild").output
    assert "2 readings" in run(data_dir, "store", "rebuild").output
    said = ("--patient", "p-1", "--form", "json", "--out", "-")
    newest = json.loads(run(data_dir, "report", "seven-day", *said).output)
    assert (newest["period"]["last"], newest["glucose"]["mean_mg_dl"]) == ("1989-07-01", 118.0)
    oldest = json.loads(run(data_dir, "report", "seven-day", "--to", "1961-04-12", *said).output)
    assert (oldest["period"]["first"], oldest["glucose"]["mean_mg_dl"]) == ("1961-04-06", 112.0)
    assert [len(day["acts"]) for day in oldest["days"]][-1] == 1


def test_an_unknown_patient_zone_or_column_is_refused_in_a_sentence(data_dir: Path, table: Path) -> None:
    assert "no patient 'p-2'" in run(data_dir, "import", table, "--patient", "p-2").output
    assert "--zone: expected a name" in run(data_dir, "import", table, "--patient", "p-1", "--zone", "Wien").output
    assert "--mapping: expected" in run(data_dir, "import", table, "--patient", "p-1", "--mapping", "sugar=x").output


def test_a_mapping_reads_a_table_whose_headings_say_nothing(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "ours.csv"
    file.write_text("wann;wert\n04.03.2024 07:05;6,2\n", encoding="utf-8")
    said = ("--mapping", "time=wann", "--mapping", "glucose=wert", "--unit", "mmol/L", "--date-order", "dmy")
    assert "1 events are new" in run(data_dir, "import", file, "--patient", "p-1", *said).output


def test_a_single_reading_that_no_body_has_is_left_out_with_its_line(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "fault.csv"
    rows = "".join(f"2024-03-04 07:{minute:02},{112 if minute else 2}\n" for minute in range(12))
    file.write_text("time,glucose mg/dL\n" + rows, encoding="utf-8")
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert "left out: 1, first in line 2: a reading below 10 or above 1500 mg/dL" in done.output
    assert "11 events are new" in done.output


def test_the_exports_in_an_archive_are_imported_and_its_other_files_left_out(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/cgm.csv", TABLE)
        archive.writestr("data/insulin.csv", "time,insulin\n2024-03-04 07:06,4\n")
        archive.writestr("letter.txt", "Dear reader\n")
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert (done.exit_code, "export.zip/letter.txt: left out" in done.output) == (0, True)
    log = in_log(data_dir)
    assert len(log[Topic.GLUCOSE_READINGS]) == 2
    assert sorted(str(one["type"]) for one in log[Topic.CARE_EVENTS]) == ["insulin", "meal"]


def test_an_archive_that_is_broken_is_refused_in_a_sentence(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cgm.csv", TABLE * 50)
    whole = bytearray(file.read_bytes())
    whole[60:70] = b"0123456789"
    file.write_bytes(whole)
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert (done.exit_code, "expected a zip archive that is whole" in done.output) == (1, True)
    assert not any(in_log(data_dir).values())


def test_a_file_of_which_all_is_left_out_says_why(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "clock.csv"
    file.write_text("time,glucose mg/dL\n1900-01-01 07:05,112\n1900-01-01 07:10,115\n", encoding="utf-8")
    done = run(data_dir, "import", file, "--patient", "p-1")
    assert (done.exit_code, "clock.csv: the file holds nothing that can be imported" in done.output) == (1, True)
    assert "left out: 2, first in line 2: before 1900" in done.output
