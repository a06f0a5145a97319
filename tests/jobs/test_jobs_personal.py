"""Whose forecasts are corrected after a night, by what, until when, and under which model."""

from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from islet.engine.in_force import Rules
from islet.engine.references import references
from islet.engine.rulebook import RuleBook, forecast_by
from islet.engine.tables import FORECASTS
from islet.forecast.network import MEDIAN
from islet.forecast.personal import JOB, Fitted, decode_fitted
from islet.forecast.replay import replayed
from islet.forecast.serving import SHIPPED, Choice, shipped
from islet.jobs.base import Progress, Stopped
from islet.jobs.personal import KEPT_US, MOST_A_NIGHT, PersonalJob
from islet.jobs.schedule import Schedule
from islet.log.base import Append
from islet.model.ahead import LOOKS_BACK_US, corrections
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import Meal
from islet.model.job_runs import decode_kept
from islet.model.people import Patient
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us
from islet.model.topics import Topic
from islet.store.base import EntryKind
from islet.store.registry import SqliteRegistry
from tests.jobs.clinic import KEY, NIGHT_US, Clinic

A_DAY = 288
ZONE = ZoneInfo("UTC")
quiet: Progress = lambda done, of: None  # noqa: E731


def trace(clinic: Clinic, patient: str, mg_dl: NDArray[np.float64], end_us: int = NIGHT_US) -> None:
    """Readings every five minutes, the last one before the end."""
    begin_us = end_us - len(mg_dl) * 5 * MINUTE_US
    rows = [
        ReadingRow(patient, "cgm", begin_us + k * 5 * MINUTE_US, round(10 * value), 0.0, 0, 0, 0)
        for k, value in enumerate(mg_dl.tolist())
    ]
    clinic.commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])
    clinic.follow()


def tides(days: int, seed: int = 0) -> NDArray[np.float64]:
    """Glucose that goes up and down with the day by more than a pooled model expects."""
    at = np.arange(days * A_DAY)
    return 160 + 70 * np.sin(2 * np.pi * at / A_DAY) + np.random.default_rng(seed).normal(0, 2, len(at))


def turned(days: int) -> NDArray[np.float64]:
    """Glucose that, five days ago, began to go up when it went down before."""
    mg_dl = tides(days)
    mg_dl[-5 * A_DAY :] = 320 - mg_dl[-5 * A_DAY :]
    return mg_dl


def job(clinic: Clinic, most: int = MOST_A_NIGHT) -> Schedule:
    """With one job, as the platform has it."""
    jobs = [PersonalJob(clinic.store, clinic.registry, most)]
    return Schedule(jobs, clinic.registry, clinic.commit, clinic.now, zone=ZONE, hour=3)


def learnt(clinic: Clinic) -> Fitted:
    body = clinic.registry.entry(EntryKind.JOB, JOB)
    return decode_fitted(None if body is None else bytes(decode_kept(body).result))


def served_with(rules: Rules) -> dict[str, bytes]:
    """The lines that the engine is given, by patient."""
    found = {id: one.lines for id, one in rules.reference(FORECASTS).patients.items() if one.lines}
    assert not any(
        one.lines for name in rules.references if name != FORECASTS for one in rules.reference(name).patients.values()
    )
    return found


def test_who_is_foretold_wrongly_is_corrected_the_next_day_and_better_and_others_are_not(clinic: Clinic) -> None:
    for name in ("tides", "turned", "new", "nobody"):
        clinic.add(name, time_zone="Asia/Shanghai")
    trace(clinic, "tides", tides(14))
    trace(clinic, "turned", turned(14))
    trace(clinic, "new", tides(1))
    run = job(clinic).run(JOB)
    assert run.counts == {"people": 4, "learnt": 4, "corrected": 1}
    book = RuleBook(clinic.registry)
    lines = book.current().lines
    assert lines.keys() == served_with(book.current()).keys() == {"tides"}

    trace(clinic, "tides", tides(15, seed=1)[-A_DAY:], NIGHT_US + DAY_US)
    series = clinic.store.series("tides", NIGHT_US - LOOKS_BACK_US, NIGHT_US + DAY_US)
    day = replayed(series, NIGHT_US, NIGHT_US + DAY_US - HOUR_US)
    minute = ((day.time_us + 8 * HOUR_US) % DAY_US // MINUTE_US).astype(np.float32)
    plain = shipped().forecast(day.history, minute).quantiles[:, :, MEDIAN]
    mine = corrections([lines["tides"]] * len(day))
    better = shipped().forecast(day.history, minute, corrections=mine).quantiles[:, :, MEDIAN]
    assert np.abs(better - day.came).mean() < 0.9 * np.abs(plain - day.came).mean()
    assert (plain == shipped().forecast(day.history, minute).quantiles[:, :, MEDIAN]).all()


def test_lines_are_served_and_dropped_without_a_restart_and_survive_one(clinic: Clinic, tmp_path: Path) -> None:
    clinic.add("anna")
    trace(clinic, "anna", tides(14))
    book = RuleBook(clinic.registry)
    before = book.current()
    assert not before.lines
    job(clinic).run(JOB)
    after = book.current()
    assert served_with(after).keys() == {"anna"} and len(after.lines["anna"]) == 288
    assert after.reference(FORECASTS).version != before.reference(FORECASTS).version
    assert after.plan is before.plan  # nothing is compiled anew
    again = SqliteRegistry(tmp_path / "store.db", KEY)
    assert served_with(RuleBook(again).current()) == served_with(after)
    again.close()


def test_another_model_has_nobodys_lines(clinic: Clinic) -> None:
    clinic.add("anna")
    trace(clinic, "anna", tides(14))
    schedule = job(clinic)
    schedule.run(JOB)
    book = RuleBook(clinic.registry)
    assert served_with(book.current())
    forecast_by(clinic.registry, Choice(model="ar2", since_us=1), by="admin")
    assert not served_with(book.current()) and not book.current().lines
    assert schedule.run(JOB).counts == {"people": 0, "learnt": 0, "corrected": 0}
    assert learnt(clinic) == Fitted()
    forecast_by(clinic.registry, Choice(model=SHIPPED, since_us=2), by="admin")
    assert not served_with(book.current())
    schedule.run(JOB)
    assert served_with(book.current()).keys() == {"anna"}


def test_lines_that_another_networks_misses_taught_are_forgotten(clinic: Clinic) -> None:
    clinic.add("anna")
    trace(clinic, "anna", tides(14))
    one = PersonalJob(clinic.store, clinic.registry)
    found = one.run(NIGHT_US, None, quiet)
    of_before = decode_fitted(found.result)
    others = msgspec.json.encode(Fitted(model="another", people=of_before.people))
    none = PersonalJob(clinic.store, clinic.registry, 0).run(NIGHT_US, others, quiet)
    assert decode_fitted(none.result) == Fitted(model=shipped().fingerprint)
    assert one.run(NIGHT_US, others, quiet).result == one.run(NIGHT_US, found.result, quiet).result == found.result


def test_lines_go_with_the_person(clinic: Clinic) -> None:
    clinic.add("anna")
    trace(clinic, "anna", tides(14))
    job(clinic).run(JOB)
    kept = learnt(clinic).people["anna"]
    everybody = Fitted(model=shipped().fingerprint, people={"anna": kept, "gone": kept})
    found = PersonalJob(clinic.store, clinic.registry).run(NIGHT_US, msgspec.json.encode(everybody), quiet)
    assert decode_fitted(found.result).people.keys() == {"anna"}
    body = clinic.registry.entry(EntryKind.JOB, JOB)
    assert body is not None
    altered = body.replace(b'"anna"', b'"gone"')
    clinic.registry.put_entry(EntryKind.JOB, JOB, altered, by="islet", at_us=1)
    assert not RuleBook(clinic.registry).current().lines  # not even until the next night
    rules = RuleBook(clinic.registry).current()
    assert not references(rules.plan, rules.layers, [], lines=rules.lines)[FORECASTS].patients


def test_of_many_people_those_are_learnt_who_have_waited_longest(clinic: Clinic) -> None:
    for number in range(5):
        clinic.add(f"p-{number}")
    one, kept = PersonalJob(clinic.store, clinic.registry, 2), b"null"
    for night in range(3):
        found = one.run(NIGHT_US + night * DAY_US, kept, quiet)
        assert found.counts["learnt"] == 2
        kept = found.result
    ages = [learnt.learnt_us - NIGHT_US for learnt in decode_fitted(kept).people.values()]
    assert len(ages) == 5 and sorted(ages).count(2 * DAY_US) == 2
    late = PersonalJob(clinic.store, clinic.registry, 0).run(NIGHT_US + KEPT_US, kept, quiet)
    left = [learnt.learnt_us - NIGHT_US for learnt in decode_fitted(late.result).people.values()]
    assert sorted(left) == [age for age in sorted(ages) if age > 0] != sorted(ages)


def test_carbs_that_were_entered_do_not_count_as_misses(clinic: Clinic) -> None:
    for name in ("told", "untold"):
        clinic.add(name)
        trace(clinic, name, tides(14))
    meals = [Meal(time=from_us(NIGHT_US - (k * 3 + 1) * HOUR_US), carbs_g=60) for k in range(100)]
    rows = [
        DocumentRow("told", "phone", NIGHT_US - (k * 3 + 1) * HOUR_US, "meal", encode_event(meal).decode())
        for k, meal in enumerate(meals)
    ]
    clinic.commit.commit(appends=[Append(topic=Topic.CARE_EVENTS, batch=documents_batch(rows))])
    clinic.follow()
    job(clinic).run(JOB)
    found = learnt(clinic).people
    assert found["told"].lines and found["untold"].lines and found["told"].lines != found["untold"].lines


def test_the_trail_says_that_lines_changed_and_not_to_what_and_the_run_can_be_stopped(clinic: Clinic) -> None:
    clinic.add("anna")
    trace(clinic, "anna", tides(14))
    job(clinic).run(JOB)
    (line,) = [line for line in clinic.registry.audit() if line.id == JOB]
    assert (line.by, line.kind, line.action, line.before, line.after) == ("islet", "job", "added", "", "")

    def stop(done: int, of: int) -> None:
        assert (done, of) == (0, 1)
        raise Stopped("the process ends")

    with pytest.raises(Stopped):
        PersonalJob(clinic.store, clinic.registry).run(NIGHT_US, None, stop)


def test_a_person_has_no_lines_of_a_sensor_that_says_low_or_reads_too_seldom(clinic: Clinic) -> None:
    clinic.registry.put_patient(Patient(id="low"))
    clinic.registry.put_patient(Patient(id="seldom"))
    begin_us = NIGHT_US - 14 * DAY_US
    lows = [ReadingRow("low", "cgm", begin_us + k * 5 * MINUTE_US, 400, 40.0, 0, -1, 0) for k in range(14 * A_DAY)]
    few = [ReadingRow("seldom", "cgm", begin_us + k * HOUR_US, 1200, 120.0, 0, 0, 0) for k in range(14 * 24)]
    for rows in (lows, few):
        clinic.commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])
    clinic.follow()
    assert job(clinic).run(JOB).counts["corrected"] == 0
