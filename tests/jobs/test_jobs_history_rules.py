"""The job that asks the rules about whole days: when, of whom, and what it says without DuckDB."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from islet.engine import oracle
from islet.engine.rulebook import RuleBook
from islet.jobs.base import Finding
from islet.jobs.history_rules import HistoryRulesJob
from islet.model.people import Patient
from islet.model.time import DAY_US, MINUTE_US
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore

NIGHT_US = 20_000 * DAY_US + 180 * MINUTE_US
MINE = '/*\nname = "mine"\ntitle = "Mine"\nseverity = "notice"\nenabled = "all"\nevery = "{every}"\n*/\n'
EVERYBODY = "SELECT patient, day_end_ts AS ts FROM patients"


class House:
    """A job with three patients, and one rule of the installation's own beside the shipped ones."""

    def __init__(self, path: Path) -> None:
        self.registry = SqliteRegistry(path / "store.db", bytes(32))
        self.store = SqliteStore(path / "derived.db", bytes(32))
        self.book = RuleBook(self.registry)
        for name in ("anna", "ben", "cleo"):
            self.registry.put_patient(Patient(id=name))
        self.job = HistoryRulesJob(self.store, self.registry, self.book.current)
        self.told: list[tuple[int, int]] = []

    def add(self, every: str, sql: str = EVERYBODY) -> None:
        self.book.add(MINE.format(every=every) + sql, by="wang", at_us=1)

    def run(self, night: int, before: Finding | None = None) -> Finding:
        given = None if before is None else before.result
        return self.job.run(NIGHT_US + night * DAY_US, given, lambda done, of: self.told.append((done, of)))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def said(finding: Finding) -> list[tuple[str, str]]:
    return [(change.rule, change.patient) for change in finding.changes]


def test_everybody_is_asked_about_and_the_run_counts_what_it_did(house: House) -> None:
    house.add("1 day")
    finding = house.run(0)
    assert said(finding) == [("mine", "anna"), ("mine", "ben"), ("mine", "cleo")]
    assert finding.counts == {"people": 3, "rules": 4, "refused": 0, "opened": 3, "cleared": 0}
    assert house.told == [(0, 3)]


def test_the_same_night_again_finds_the_same(house: House) -> None:
    house.add("1 day")
    assert house.run(0) == house.run(0)


def test_a_rule_of_every_three_days_is_left_out_for_two(house: House) -> None:
    house.add("3 days")
    first = house.run(0)
    assert [house.run(night, first).counts["rules"] for night in (1, 2, 3)] == [3, 3, 4]


def test_a_rule_that_is_refused_is_counted_and_asked_again_the_next_night(house: House) -> None:
    house.add("3 days", "SELECT patient, CAST(patient AS TIMESTAMP) AS ts FROM patients")
    first = house.run(0)
    assert first.counts["refused"] == 1
    assert "mine" not in json.loads(first.result)
    assert house.run(1, first).counts["rules"] == 4


def test_a_rule_that_costs_too_much_is_not_asked_about_the_next_people(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("islet.jobs.history_rules.AT_ONCE", 1)
    monkeypatch.setattr("islet.engine.nightly._WITHIN_S", 2.0)  # enough for the others on a busy machine
    many = "(SELECT UNNEST(RANGE(100000)) AS i)"
    house.add("3 days", f"{EVERYBODY}, {many} AS a, {many} AS b WHERE a.i * b.i % 7 > 9")
    run = Mock(wraps=oracle.run)
    monkeypatch.setattr("islet.engine.oracle.run", run)
    first = house.run(0)
    assert sum(many in call.args[0] for call in run.call_args_list) == 1, "of three people"
    assert (first.counts["refused"], first.counts["opened"]) == (1, 0)
    assert house.run(1, first).counts["rules"] == 4, "it is asked again the next night"


def test_a_rule_that_is_no_more_is_forgotten(house: House) -> None:
    house.add("1 day")
    first = house.run(0)
    house.book.remove("mine", by="wang", at_us=2)
    assert json.loads(house.run(1, first).result).keys() == {"cgm_use_low", "tir_drop", "few_readings"}
