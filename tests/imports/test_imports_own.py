"""Islet's own export is imported again: another installation then has the same, under another id."""

import csv
import io
import json
import zipfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from islet.cli import main
from islet.decode.imports.detect import FORMATS
from islet.decode.imports.parts import Part
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.exports import export_patient
from islet.imports import Known, append
from islet.log.base import Append, Commit, Log
from islet.log.memory import MemoryLog
from islet.model.codec import encode_event
from islet.model.events import (
    AnyEvent,
    DeviceStatus,
    Exercise,
    Hba1c,
    Insulin,
    Meal,
    Medication,
    Note,
    Prompt,
    Reading,
    Vital,
)
from islet.model.people import Patient
from islet.model.time import DAY_US, to_us
from islet.model.topics import STORED, Topic
from islet.opened import opened_log, opened_registry, opened_store
from islet.settings import Settings
from islet.store.base import Store
from islet.store.follow import Follower
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore
from tests.imports.given import UTC as CHOICES
from tests.imports.given import items

BEGIN = datetime(2026, 2, 3, tzinfo=UTC)
NOW_US = to_us(BEGIN) + 10 * DAY_US
KEY = bytes(32)
OTHER_EVENTS = st.sampled_from(
    [
        Vital(time=BEGIN, pulse_bpm=71),
        Vital(time=BEGIN, systolic_mm_hg=121.5, diastolic_mm_hg=80),
        Meal(time=BEGIN, carbs_g=45, text='rice, "hot"\nand 米饭'),
        Insulin(time=BEGIN, dose_u=3.25, kind="bolus", name="lispro"),
        Exercise(time=BEGIN, duration_min=30, intensity="light"),
        Medication(time=BEGIN, name="metformin", dose=500, dose_unit="mg"),
        DeviceStatus(time=BEGIN, battery_percent=12),
        Note(time=BEGIN, text="slept badly"),
        Hba1c(time=BEGIN, value=53, unit="mmol/mol"),
        Prompt(time=BEGIN, id="a", state="missed"),
    ]
)
READINGS = st.one_of(
    st.builds(Reading, time=st.just(BEGIN), value=st.integers(40, 400).map(float), unit=st.just("mg/dL")),
    st.builds(
        Reading,
        time=st.just(BEGIN),
        value=st.integers(22, 222).map(lambda tenths: tenths / 10),
        unit=st.just("mmol/L"),
        method=st.sampled_from(["cgm", "capillary"]),
        range=st.sampled_from(["within", "below", "above"]),
    ),
)
TOLD = st.lists(
    st.tuples(
        st.integers(0, 2_000_000), st.sampled_from(["cgm-1", "meter 2,=x", ""]), st.one_of(READINGS, OTHER_EVENTS)
    ),
    min_size=1,
    max_size=30,
)


def sent(log: Log, store: Store, patient: str, told: list[tuple[int, str, AnyEvent]]) -> None:
    """As a device sends it; each event so many seconds behind BEGIN, some with a part of a second."""
    arrivals = []
    for seconds, device, event in told:
        at = BEGIN + timedelta(seconds=seconds / 3)
        document = json.loads(encode_event(event)) | {"time": at.isoformat(), "patient": patient}
        arrivals.append(Arrival(device, patient, json.dumps(document).encode()))
    decoded = decode_arrivals(arrivals, NOW_US, 0)
    assert not decoded.dead
    log.commit([Commit(received_at_us=NOW_US, appends=[Append(topic=t, batch=b) for t, b in decoded.batches.items()])])
    followed(log, store)


def followed(log: Log, store: Store) -> None:
    follower = Follower(log, store)
    while follower.run_once(0.0):
        pass


def kept(store: Store, patient: str) -> tuple[object, ...]:
    """All that is told of a patient, without the patient's id."""
    readings = store.readings(patient).to_pydict()
    del readings["patient"]
    documents = []
    for topic in STORED:
        if topic not in (Topic.GLUCOSE_READINGS, Topic.ALERTS):
            for one in store.documents(topic, patient, 0, NOW_US):
                body = json.loads(one.body)
                body.pop("patient", None)
                documents.append((topic, one.device, one.time_us, one.type, sorted(body.items())))
    return readings, sorted(documents, key=str)


def exported(store: Store, folder: Path, patient: str = "p-1") -> zipfile.ZipFile:
    made = io.BytesIO()
    with closing(SqliteRegistry(folder / "store.db", KEY)) as registry:
        export_patient(store, registry, Patient(id=patient, label="Ada"), made, now_us=NOW_US)
    return zipfile.ZipFile(made)


@given(TOLD)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.hypothesis
def test_what_is_imported_again_is_the_same(tmp_path_factory: pytest.TempPathFactory, told: Any) -> None:
    folder = tmp_path_factory.mktemp("own")
    log, other = MemoryLog(partitions=1), MemoryLog(partitions=1)
    with closing(SqliteStore(folder / "store.db", KEY)) as store, closing(SqliteStore(folder / "b.db", KEY)) as second:
        sent(log, store, "p-1", told)
        archive = exported(store, folder)
        content = archive.read("events.jsonl")
        part = Part("events.jsonl", len(content), io.BytesIO(content), archived=False)

        def write(appends: Any) -> None:
            other.commit([Commit(received_at_us=NOW_US, appends=appends)])

        known = Known(other, "p-9")
        for _ in append(
            part, CHOICES, FORMATS["islet"], known=known, write=write, now_us=NOW_US, progress=lambda done: None
        ):
            pass
        followed(other, second)
        assert kept(second, "p-9") == kept(store, "p-1")
        table = list(csv.DictReader(io.StringIO(archive.read("readings.csv").decode(), newline="")))
        assert [(row["device"], float(row["value"])) for row in table] == list(
            zip(*(store.readings("p-1").to_pydict()[name] for name in ("device", "value")), strict=True)
        )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            '{"type":"reading","time":"2026-02-03T00:00:00Z","value":"much","unit":"mg/dL","device":"a"}',
            "line 2: event",
        ),
        ('{"type":"reading","time":"2026-02-03T00:00:00Z","value":100,"unit":"mg/dL"}', "line 2: expected an event"),
        ('{"type":"dream","time":"2026-02-03T00:00:00Z","device":"a"}', "line 2: event"),
        ('{"type":"reading"', "line 2: "),
        ("[" * 100_000, "line 2: "),
        (
            '{"type":"reading","time":"2026-02-03T00:00:00Z","value":100,"unit":"mg/dL","device":"%s"}' % ("D" * 129),
            "line 2: expected a device",
        ),
        (
            '{"type":"reading","time":"2026-02-03T00:00:00Z","value":100,"unit":"mg/dL","device":"a\\u202eb"}',
            "line 2: expected a device",
        ),
    ],
)
def test_a_line_that_is_no_event_is_named(line: str, problem: str) -> None:
    good = '{"type":"reading","time":"2026-02-03T00:00:00Z","value":100,"unit":"mg/dL","device":"a"}'
    assert len(items(f"\ufeff{good}\n\n", format="islet")) == 1
    with pytest.raises(BadInput, match=problem):
        items(f"{good}\n{line}\n", format="islet")


def test_the_whole_zip_is_taken_by_the_command_and_twice_changes_nothing(tmp_path: Path) -> None:
    one, other, file = tmp_path / "one", tmp_path / "other", tmp_path / "p-1.zip"

    def run(folder: Path, *words: str | Path) -> str:
        done = CliRunner().invoke(main, ["--data-dir", str(folder), *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    run(one, "patients", "add", "p-1", "--label", "Ada")
    with opened_log(Settings(data_dir=one)) as log, opened_store(Settings(data_dir=one)) as store:
        told = [(600 * k, "cgm-1", Reading(time=BEGIN, value=100.0 + k, unit="mg/dL")) for k in range(30)]
        sent(log, store, "p-1", [*told, (7, "phone", Meal(time=BEGIN, carbs_g=30))])
        before = kept(store, "p-1")
    run(one, "patients", "export", "p-1", file)
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["about.json", "events.jsonl", "readings.csv"]
        assert json.loads(archive.read("about.json"))["patient"]["label"] == "Ada"
    run(other, "patients", "add", "p-9")
    for _ in range(2):
        run(other, "import", file, "--patient", "p-9")
    with opened_log(Settings(data_dir=other)) as log, opened_store(Settings(data_dir=other)) as store:
        followed(log, store)
        assert kept(store, "p-9") == before
    with opened_registry(Settings(data_dir=one)) as registry:
        assert ("exported", "patient", "p-1") in {(line.action, line.kind, line.id) for line in registry.audit()}
