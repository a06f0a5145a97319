"""Real exports: each parses to what another program made of it (`*_unified.csv`), or to counts taken from the file."""

import csv
from collections import Counter
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from islet.cli import main
from islet.decode.imports.detect import detected
from islet.decode.imports.found import Choices, Found, Item
from islet.model.codec import events_in
from islet.model.events import Insulin, Meal, Medication, Note, Reading
from islet.model.time import from_us, to_us
from islet.model.topics import Topic
from islet.opened import opened_log
from islet.settings import Settings

ZONED = Choices(zone=ZoneInfo("UTC"))


def read(file: Path, choices: Choices = ZONED) -> tuple[str, list[Item]]:
    with file.open("rb") as stream:
        found = detected(stream, mapped=bool(choices.mapping))
        return found.name, list(found.read(stream, choices))


def written(time_us: int) -> str:
    return from_us(time_us).strftime("%Y-%m-%dT%H:%M:%S.000")


def as_unified(item: Found) -> tuple[str, str, float, bool]:
    event = item.event
    at = written(to_us(event.time))
    if isinstance(event, Reading):
        return at, "EGV_READ", 39.0 if event.range == "below" else event.value, event.range != "within"
    assert isinstance(event, Insulin)
    return at, {"bolus": "INS_FAST", "basal": "INS_SLOW"}[event.kind], event.dose_u, False


def unified(folder: Path, name: str) -> Counter[tuple[str, str, float, bool]]:
    """What another program made of the export."""
    with (folder / f"{name}_unified.csv").open(encoding="utf-8") as file:
        return Counter(
            (
                row["datetime"],
                row["event_type"],
                float(row["glucose"] or row["insulin_slow"] or row["insulin_fast"]),
                row["quality"] == "1",
            )
            for row in csv.DictReader(file)
        )


@pytest.mark.parametrize("name", ["Clarity_Export_synthetic", "FreeStyle_Libre_3_synthetic"])
def test_an_export_gives_what_its_unified_file_holds_row_for_row(shared_data: Path, name: str) -> None:
    folder = shared_data / "import_samples" / "sugar_sugar"
    _, items = read(folder / f"{name}.csv")
    ours = Counter(as_unified(item) for item in items if isinstance(item, Found))
    theirs = unified(folder, name)
    assert len(theirs) > 3000
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("Clarity_Export_synthetic", {}),
        ("FreeStyle_Libre_3_synthetic", {("1961-04-14T20:38:00.000", "EGV_READ", 142.0, False): 1}),
    ],
    ids=["clarity", "libre"],
)
def test_an_export_of_1961_is_imported_as_its_unified_file_has_it_row_for_row(
    shared_data: Path, tmp_path: Path, name: str, left_out: dict[tuple[str, str, float, bool], int]
) -> None:
    """Of two scans in one minute the first: one device and one instant make one reading."""
    folder = shared_data / "import_samples" / "sugar_sugar"
    for words in ("patients add p-1 --time-zone UTC", f"import {folder / name}.csv --patient p-1"):
        done = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words.split()])
        assert done.exit_code == 0, done.output
    with opened_log(Settings(data_dir=tmp_path)) as log:
        readings, events = (log.read(topic, 0, 0, 100_000) for topic in (Topic.GLUCOSE_READINGS, Topic.CARE_EVENTS))
    rows = [] if readings is None else readings.batch.to_pylist()
    ours = Counter(
        (written(row["time_us"]), "EGV_READ", 39.0 if row["range"] < 0 else row["value"], row["range"] != 0)
        for row in rows
    )
    ours += Counter(
        as_unified(Found(0, "", event))
        for event in events_in(row["body"] for row in ([] if events is None else events.batch.to_pylist()))
    )
    theirs = unified(folder, name)
    assert all(at.startswith("1961-04") for at, *_ in theirs)
    assert ours <= theirs
    assert theirs - ours == left_out


@pytest.mark.parametrize(
    ("path", "format", "readings", "others", "unit"),
    [
        ("agata/dexcom_example.xlsx", "clarity", 3806, 0, "mg/dL"),
        ("iglu_python/dexcom_eur_01.xlsx", "clarity", 3853, 0, "mmol/L"),
        ("sugar_sugar/bigideas_001_Dexcom_001.csv", "clarity", 10, 0, "mg/dL"),
        ("agata/freestyle_libre_example.xlsx", "libreview", 1419, 0, "mg/dL"),
        ("iglu_python/libre_amer_01.csv", "libreview", 1339, 0, "mg/dL"),
        ("agata/eversense_example.xlsx", "eversense", 1428, 0, "mg/dL"),
        ("glooko/cgm_data_1.csv", "glooko", 288, 0, "mg/dL"),
        ("glooko/cgm-sample.csv", "glooko", 20, 0, "mmol/L"),
        ("glooko/bg_data_1.csv", "glooko", 21, 0, "mg/dL"),
        ("glooko/carbs_data_1.csv", "glooko", 0, 15, ""),
        ("glooko/insulin_data_1.csv", "glooko", 0, 76, ""),
        ("glooko/alarms_data_1.csv", "glooko", 0, 14, ""),
        ("tidepool/example-from-j-jellyfish.xlsx", "tidepool-workbook", 1337, 761, "mmol/L"),
        ("tidepool/example-from-j-jellyfish.json", "tidepool", 976, 691, "mmol/L"),
        ("sugar_sugar/bigideas_001_Food_Log_001.csv", "big-ideas", 0, 3, ""),
        ("sugar_sugar/d1namo_001_food.csv", "table", 0, 2, ""),
        ("sugar_sugar/d1namo_001_insulin.csv", "table", 0, 5, ""),
    ],
)
def test_a_sample_is_known_for_what_it_is_and_gives_all_its_rows(
    shared_data: Path, path: str, format: str, readings: int, others: int, unit: str
) -> None:
    name, items = read(shared_data / "import_samples" / path)
    events = [item.event for item in items if isinstance(item, Found)]
    found = [event for event in events if isinstance(event, Reading)]
    assert (name, len(found), len(events) - len(found)) == (format, readings, others)
    assert {event.unit for event in found} == ({unit} if unit else set())


def test_high_and_low_of_clarity_are_kept_at_the_limits_of_the_sensor(shared_data: Path) -> None:
    _, items = read(shared_data / "import_samples" / "iglu_python" / "dexcom_eur_01.xlsx")
    readings = [item.event for item in items if isinstance(item, Found) and isinstance(item.event, Reading)]
    beyond = Counter((event.range, event.value) for event in readings if event.range != "within")
    assert beyond == {("above", 22.2): 27, ("below", 2.2): 2}  # counted in the workbook


def test_data_sets_without_a_unit_in_the_file_are_read_when_a_person_says_it(shared_data: Path) -> None:
    folder = shared_data / "import_samples" / "sugar_sugar"
    said = Choices(zone=ZoneInfo("Europe/Zurich"), unit="mmol/L")
    _, items = read(folder / "d1namo_001_glucose.csv", said)
    methods = Counter(i.event.method for i in items if isinstance(i, Found) and isinstance(i.event, Reading))
    assert methods == {"cgm": 13, "capillary": 1}
    mapped = Choices(
        zone=ZoneInfo("UTC"), unit="mg/dL", date_order="mdy", mapping={"time": "Timestamp", "glucose": "Dexcom GL"}
    )
    _, items = read(folder / "cgmacros_CGMacros_CGMacros-001_CGMacros-001.csv", mapped)
    first = next(item.event for item in items if isinstance(item, Found))
    assert isinstance(first, Reading)
    assert (first.value, first.time.isoformat()) == (108.0, "2020-05-10T12:00:00+00:00")


def test_the_125_shanghai_workbooks_hold_what_their_paper_counts(shared_data: Path) -> None:
    kinds: Counter[str] = Counter()
    files = sorted((shared_data / "shanghai").glob("Shanghai_T?DM/*.xls*"))
    for file in files:
        group = file.parent.name[-4:-2]
        rows: set[tuple[str, int]] = set()
        _, items = read(file, Choices())
        for item in items:
            if isinstance(item, Found):
                event, line = item.event, item.line
                if isinstance(event, Reading):
                    kinds[event.method] += 1
                elif isinstance(event, Meal):
                    kinds["meal"] += 1
                elif isinstance(event, Medication):
                    rows.add(("drugs " + group, line))
                elif (isinstance(event, Insulin) and event.name != "CSII") or (
                    isinstance(event, Note) and event.text.startswith("s.c.")
                ):
                    rows.add(("insulin " + group, line))
        kinds.update(what for what, _ in rows)
    assert len(files) == 125
    assert (kinds["cgm"], kinds["meal"]) == (127_982, 4_344)
    assert (kinds["insulin T1"], kinds["insulin T2"]) == (371, 827)
    assert (kinds["drugs T1"], kinds["drugs T2"]) == (144, 2_166)


def test_t1d_uom_and_big_ideas_are_read_whole(shared_data: Path) -> None:
    counts: Counter[str] = Counter()
    for file in [
        *sorted((shared_data / "t1d_uom").glob("**/UoM*2307.csv")),
        *sorted((shared_data / "bigideas").glob("*_001.csv")),
    ]:
        name, items = read(file, Choices(zone=ZoneInfo("Europe/London")))
        counts[name] += sum(isinstance(item, Found) for item in items)
        with file.open(encoding="utf-8-sig") as lines:
            assert len(items) == sum(1 for line in lines if line.strip(", \n")) - 1
    assert counts.keys() == {"t1d-uom", "big-ideas", "clarity"}
