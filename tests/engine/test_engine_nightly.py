"""Rules over the history as they are asked each night: out of a real store, by DuckDB, said once."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from islet.engine.history_check import empty_tables
from islet.engine.history_tables import LOOK_BACK_DAYS, Person, history_tables
from islet.engine.in_force import Rules
from islet.engine.nightly import ask, due, ended
from islet.engine.oracle import run
from islet.engine.parameters import Override, resolved
from islet.engine.rulebook import RuleBook
from islet.engine.rules import load_rules
from islet.log.base import Slice
from islet.model.alerts import AlertChange
from islet.model.batch import METHOD_CODES, DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change, encode_event
from islet.model.events import AnyEvent, Meal, Method, Vital
from islet.model.people import Patient, Role
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us, to_us
from islet.model.topics import TOPIC_OF_TYPE, Topic
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore

NIGHT_US = to_us(datetime(2026, 6, 15, 3, 0, tzinfo=UTC))
MIDNIGHT_US = to_us(datetime(2026, 6, 15, tzinfo=UTC))
SHIPPED = load_rules()
EVENTS = {rule.name for rule in SHIPPED if rule.every}


class Clinic:
    """A store, and a rule book, that are filled by hand."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path / "derived.db", bytes(32))
        self.registry = SqliteRegistry(path / "store.db", bytes(32))
        self.book = RuleBook(self.registry, SHIPPED)
        self._offsets = {topic: count(0) for topic in Topic}

    def close(self) -> None:
        self.store.close()
        self.registry.close()

    @property
    def rules(self) -> Rules:
        return self.book.current()

    def wears(
        self,
        patient: Patient,
        days: Sequence[int],
        *,
        until_us: int = MIDNIGHT_US,
        mg_dl: int = 100,
        method: Method = "cgm",
    ) -> Patient:
        """Readings each five minutes of the days that are so many before `until_us` (1: the last one)."""
        self.registry.put_patient(patient)
        times = [until_us - day * DAY_US + n * 5 * MINUTE_US for day in days for n in range(288)]
        code = METHOD_CODES.index(method)
        rows = [ReadingRow(patient.id, method, t, mg_dl * 10, float(mg_dl), 0, 0, code) for t in sorted(times)]
        self._apply(Topic.GLUCOSE_READINGS, readings_batch(rows))
        return patient

    def did(self, patient: str, *events: AnyEvent) -> None:
        for event in events:
            topic = TOPIC_OF_TYPE[type(event).__struct_config__.tag]  # type: ignore[index]
            body = encode_event(event).decode()
            self._apply(topic, documents_batch([DocumentRow(patient, "phone", to_us(event.time), "-", body)]))

    def say(self, changes: Sequence[AlertChange]) -> None:
        """Take what was found into the store, as the log's follower does."""
        rows = [DocumentRow(c.patient, "", c.at_us, c.change, encode_change(c).decode()) for c in changes]
        if rows:
            self._apply(Topic.ALERTS, documents_batch(rows))

    def ask(self, *names: str, at_us: int = NIGHT_US) -> list[tuple[str, str, str, int]]:
        """What is said when these rules are asked; the store knows it afterwards."""
        asked = [self.rules.rule(name) for name in names]
        answer = ask(self.store, self.rules, self.registry.patients(), asked, at_us)
        self.say(answer.changes)
        return [(change.change, change.rule, change.patient, change.at_us) for change in answer.changes]

    def table(self, name: str, *patients: Patient) -> list[dict[str, object]]:
        people = [Person.at(NIGHT_US, one, resolved(self.rules.plan, self.rules.layers, one)) for one in patients]
        found = history_tables(self.store, self.rules.plan, people, NIGHT_US, frozenset({name}))
        rows: list[dict[str, object]] = found[name].to_pylist()
        return rows

    def _apply(self, topic: Topic, batch: pa.RecordBatch) -> None:
        received = pa.array(np.full(batch.num_rows, NIGHT_US))
        offset = next(self._offsets[topic])
        self._offsets[topic] = count(offset + batch.num_rows)
        given = batch.append_column("received_at_us", received)
        self.store.apply([Slice(topic=topic, partition=0, offset=offset, batch=given)])


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with closing(Clinic(tmp_path)) as one:
        yield one


def utc(*parts: int) -> datetime:
    """As a table holds it: without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


def override(rule: str, of: str, *, on: bool | None = None, **parameters: float) -> Override:
    layer = "patient" if of else "deployment"
    return Override(rule=rule, layer=layer, of=of, enabled=on, parameters=parameters, author="wang", set_us=1)  # type: ignore[arg-type]


def test_a_sensor_worn_too_little_is_said_once_and_ended_when_it_is_worn_again(clinic: Clinic) -> None:
    clinic.wears(Patient(id="anna"), range(7, 20))
    clinic.wears(Patient(id="ben"), range(1, 20))
    opened = ("opened", "cgm_use_low", "anna", MIDNIGHT_US)
    assert clinic.ask("cgm_use_low") == [opened]
    assert clinic.ask("cgm_use_low") == []
    clinic.wears(Patient(id="anna"), range(1, 5))
    assert clinic.ask("cgm_use_low") == [("cleared", "cgm_use_low", "anna", MIDNIGHT_US)]
    assert [alert.active for alert in clinic.store.alerts()] == [False]


def test_a_meter_does_not_make_up_for_a_sensor_that_is_not_worn(clinic: Clinic) -> None:
    clinic.wears(Patient(id="anna"), range(7, 20))
    clinic.wears(Patient(id="anna"), range(1, 7), method="capillary")
    assert clinic.ask("cgm_use_low") == [("opened", "cgm_use_low", "anna", MIDNIGHT_US)]
    assert {row["method"] for row in clinic.table("readings", Patient(id="anna"))} == {"cgm", "capillary"}


def test_the_day_that_counts_is_the_patients_own(clinic: Clinic) -> None:
    shanghai = Patient(id="ling", time_zone="Asia/Shanghai")
    end_us = MIDNIGHT_US - 8 * HOUR_US  # of 14 June there
    clinic.wears(shanghai, range(7, 20), until_us=end_us)
    assert clinic.ask("cgm_use_low", at_us=end_us - HOUR_US) == [("opened", "cgm_use_low", "ling", end_us - DAY_US)]
    person = Person.at(end_us, shanghai, resolved(clinic.rules.plan, clinic.rules.layers, shanghai))
    assert (str(person.today), person.day_end_us) == ("2026-06-14", end_us)


def test_only_those_are_looked_at_for_whom_the_rule_is_on_and_with_their_own_limit(clinic: Clinic) -> None:
    for name in ("anna", "ben", "cleo"):
        clinic.wears(Patient(id=name), range(7, 20))
    clinic.book.set(override("cgm_use_low", "ben", on=False), Role.ADMINISTRATOR)
    clinic.book.set(override("cgm_use_low", "cleo", cgm_use_percent=50), Role.ADMINISTRATOR)
    assert [patient for _, _, patient, _ in clinic.ask("cgm_use_low")] == ["anna"]


def test_switching_the_rule_off_ends_what_runs(clinic: Clinic) -> None:
    clinic.wears(Patient(id="anna"), range(7, 20))
    clinic.ask("cgm_use_low")
    clinic.book.set(override("cgm_use_low", "anna", on=False), Role.ADMINISTRATOR)
    assert clinic.ask("cgm_use_low") == [("cleared", "cgm_use_low", "anna", NIGHT_US)]


def test_alerts_of_a_rule_that_is_no_more_are_ended(clinic: Clinic) -> None:
    clinic.wears(Patient(id="anna"), range(7, 20))
    clinic.ask("cgm_use_low")
    assert ended(clinic.store, (), NIGHT_US) == []
    (change,) = ended(clinic.store, {"cgm_use_low"}, NIGHT_US + DAY_US)
    assert (change.change, change.patient, change.at_us) == ("cleared", "anna", NIGHT_US + DAY_US)


def test_a_rule_that_duckdb_refuses_stops_no_other(clinic: Clinic) -> None:
    clinic.wears(Patient(id="anna"), range(7, 20))
    front = '/*\nname = "bad"\ntitle = "Bad"\nseverity = "notice"\nevery = "1 day"\n*/\n'
    clinic.book.add(front + "SELECT patient, CAST(patient AS TIMESTAMP) AS ts FROM patients", by="wang", at_us=1)
    asked = [clinic.rules.rule(name) for name in ("bad", "cgm_use_low")]
    answer = ask(clinic.store, clinic.rules, clinic.registry.patients(), asked, NIGHT_US)
    assert answer.refused == {"bad"}
    assert [change.rule for change in answer.changes] == ["cgm_use_low"]


def test_a_rule_that_costs_too_much_stops_no_other(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.engine.nightly._WITHIN_S", 0.3)
    clinic.wears(Patient(id="anna"), range(7, 20))
    front = '/*\nname = "dear"\ntitle = "Dear"\nseverity = "notice"\nevery = "1 day"\n*/\n'
    joined = (
        "FROM readings AS a, readings AS b, readings AS c WHERE a.glucose_mg_dl > b.glucose_mg_dl + c.glucose_mg_dl"
    )
    clinic.book.add(front + f"SELECT a.patient, MAX(a.ts) AS ts {joined} GROUP BY a.patient", by="wang", at_us=1)
    asked = [clinic.rules.rule(name) for name in ("dear", "cgm_use_low")]
    answer = ask(clinic.store, clinic.rules, clinic.registry.patients(), asked, NIGHT_US)
    assert (answer.refused, answer.costly) == ({"dear"}, {"dear"})
    assert [change.rule for change in answer.changes] == ["cgm_use_low"]


@pytest.mark.parametrize(("after_h", "rules"), [(23, EVENTS), (25, EVENTS), (17.9, set()), (18, EVENTS)])
def test_a_rule_is_asked_each_night_though_a_night_is_an_hour_shorter(
    clinic: Clinic, after_h: float, rules: set[str]
) -> None:
    asked_us = dict.fromkeys(EVENTS, NIGHT_US)
    assert {rule.name for rule in due(clinic.rules, {}, NIGHT_US)} == EVENTS
    assert {rule.name for rule in due(clinic.rules, asked_us, NIGHT_US + round(after_h * HOUR_US))} == rules


def test_the_tables_hold_what_the_store_holds_by_the_patients_clock(clinic: Clinic) -> None:
    anna = clinic.wears(Patient(id="anna", time_zone="Europe/Vienna", low_mg_dl=80), [1], mg_dl=123)
    at = from_us(MIDNIGHT_US - HOUR_US)
    clinic.did("anna", Meal(time=at, carbs_g=40.5), Vital(time=at, pulse_bpm=61, systolic_mm_hg=120))
    first = clinic.table("readings", anna)[0]
    assert (first["ts"], str(first["glucose_mg_dl"])) == (utc(2026, 6, 14), "123.0")
    assert first["local_ts"] == utc(2026, 6, 14, 2)
    (meal,) = clinic.table("care_events", anna)
    assert (meal["device"], meal["local_ts"]) == ("phone", utc(2026, 6, 15, 1))
    assert (str(meal["carbs_g"]), meal["bolus_u"], meal["exercise_min"]) == ("40.50", None, None)
    vitals = clinic.table("vitals", anna)
    assert [(str(v["pulse_bpm"]), str(v["systolic_mm_hg"])) for v in vitals] == [("61.0", "None"), ("None", "120.0")]
    (row,) = clinic.table("patients", anna)
    assert (row["today"], row["day_end_ts"]) == (date(2026, 6, 14), utc(2026, 6, 14, 22))
    assert (row["low_mg_dl"], row["cgm_use_percent"]) == (80, 70)
    assert clinic.table("clock", anna) == [{"now_ts": utc(2026, 6, 15, 3)}]


def test_a_rule_sees_a_quarter_of_a_year_and_nothing_older(clinic: Clinic) -> None:
    anna = clinic.wears(Patient(id="anna"), [LOOK_BACK_DAYS + 1, LOOK_BACK_DAYS, 1])
    days = {str(row["ts"])[:10] for row in clinic.table("readings", anna)}
    begin = utc(2026, 6, 15) - timedelta(days=LOOK_BACK_DAYS)
    assert days == {str(begin)[:10], "2026-06-14"}


def test_every_table_can_be_asked_where_there_is_nothing_in_it(clinic: Clinic) -> None:
    anna = Patient(id="anna")
    clinic.registry.put_patient(anna)
    people = [Person.at(NIGHT_US, anna, resolved(clinic.rules.plan, clinic.rules.layers, anna))]
    names = frozenset({"readings", "care_events", "vitals", "patients", "days", "clock"})
    tables = history_tables(clinic.store, clinic.rules.plan, people, NIGHT_US, names)
    empty = empty_tables(list(clinic.rules.plan.parameters))
    assert {name: table.schema for name, table in tables.items()} == {
        name: table.schema for name, table in empty.items()
    }
    counts = {name: run(f"SELECT COUNT(*) FROM {name}", tables)[0][0] for name in sorted(names)}
    assert counts == {"care_events": 0, "clock": 1, "days": 0, "patients": 1, "readings": 0, "vitals": 0}
