"""Short streams that one can read: boundaries, hysteresis, late, double and conflicting readings, gaps, full rings."""

import pytest

from islet.engine.reference import PatientReference, Reference
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_change
from tests.engine.streams import (
    EVERYTHING,
    REAL_PATIENTS,
    SHIPPED,
    Engine,
    Point,
    glucose,
    looking_at,
    mask,
    short,
)


@pytest.mark.parametrize(("mg_dl", "alarm"), [(69, True), (69.9, True), (70, False), (71, False)])
def test_low_is_below_70_and_not_at_70(mg_dl: float, alarm: bool) -> None:
    engine = Engine()
    engine.read(Point(0, mg_dl))
    assert ("low~p1@0" in engine.episodes()) == alarm


@pytest.mark.parametrize(("mg_dl", "alarm"), [(55, True), (55.1, False), (40, True)])
def test_urgent_low_is_at_55_and_below(mg_dl: float, alarm: bool) -> None:
    engine = Engine()
    engine.read(Point(0, mg_dl))
    assert ("urgent_low~p1@0" in engine.episodes()) == alarm


@pytest.mark.parametrize(("mg_dl", "alarm"), [(250, False), (250.1, True), (400, True)])
def test_high_is_above_250(mg_dl: float, alarm: bool) -> None:
    engine = Engine()
    engine.read(Point(0, mg_dl))
    assert ("high~p1@0" in engine.episodes()) == alarm


def test_an_alert_opens_once_an_episode_and_clears_only_at_its_own_threshold() -> None:
    engine = Engine()
    engine.read(*(Point(5 * i, v) for i, v in enumerate([80, 69, 65, 70, 74.9, 69, 75, 69])))
    assert short(engine.said) == [
        ("opened", "low", 5, 5),
        ("cleared", "low", 5, 30),
        ("opened", "low", 35, 35),
    ]


def test_an_alert_carries_the_reading_that_opened_it() -> None:
    engine = Engine()
    engine.read(Point(0, 80), Point(5, 52.3, device="left arm"))
    opened = next(change for change in engine.said if change.rule == "urgent_low")
    assert (opened.device, opened.glucose_tenths, opened.at_us, opened.severity) == (
        "left arm",
        523,
        300_000_000,
        "urgent",
    )


def test_the_seed_rule_opens_on_the_average_of_10_minutes_ends_included() -> None:
    engine = Engine(reference=EVERYTHING)
    engine.read(Point(0, 115), Point(5, 100), Point(10, 101))  # (115 + 100 + 101) / 3 = 105.33
    assert "seed_demonstration~p1@0" in engine.episodes()  # a window of one: 115 is above 105
    engine = Engine(reference=EVERYTHING)
    engine.read(Point(0, 105), Point(5, 105), Point(10, 105), Point(15, 105.1))
    assert list(engine.episodes()) == ["seed_demonstration~p1@15"]


def test_the_seed_rule_is_off_for_real_patients() -> None:
    engine = Engine(reference=looking_at(mask(()), {"toy": mask({"simulated"})}))
    engine.read(Point(0, 200, patient="p1"), Point(0, 200, patient="toy"))
    assert list(engine.episodes()) == ["seed_demonstration~toy@0"]


def test_a_late_reading_moves_the_onset_and_retracts_the_alert_in_favour_of_the_new_one() -> None:
    engine = Engine()
    engine.read(Point(0, 90), Point(10, 60))
    engine.said.clear()
    engine.read(Point(5, 65))
    assert short(engine.said) == [("opened", "low", 5, 5), ("retracted", "low", 10, 10)]
    assert engine.said[1].replaced_by == engine.said[0].id


def test_a_late_reading_splits_an_episode_in_two() -> None:
    engine = Engine()
    engine.read(Point(0, 60), Point(10, 60))
    engine.read(Point(5, 80))
    assert engine.episodes() == {"low~p1@0": (0, 5), "low~p1@10": (10, None)}


def test_a_late_reading_joins_two_episodes_and_reopens_the_first() -> None:
    engine = Engine(reference=EVERYTHING)
    engine.read(Point(0, 116), Point(11, 100), Point(12, 116))
    assert engine.episodes() == {"seed_demonstration~p1@0": (0, 11), "seed_demonstration~p1@12": (12, None)}
    engine.said.clear()
    engine.read(Point(5, 120))  # (120 + 100) / 2 = 110 at minute 11
    assert [c.change for c in engine.said] == ["opened", "retracted"]
    assert engine.episodes() == {"seed_demonstration~p1@0": (0, None)}


def test_a_double_changes_nothing_and_another_value_for_the_same_reading_is_a_conflict() -> None:
    engine = Engine()
    engine.read(Point(0, 60))
    assert engine.read(Point(0, 60)).duplicates == 1
    output = engine.read(Point(0, 90))
    assert (output.conflicts, output.changes) == (1, [])
    assert engine.episodes() == {"low~p1@0": (0, None)}


def test_two_devices_at_one_instant_are_two_readings_and_one_breach_is_enough() -> None:
    for pair in ([Point(0, 60, "a"), Point(0, 90, "b")], [Point(0, 90, "b"), Point(0, 60, "a")]):
        engine = Engine()
        assert engine.read(*pair).duplicates == 0
        assert engine.episodes() == {"low~p1@0": (0, None)}


def test_a_reading_at_the_lateness_bound_revises_and_one_beyond_is_history() -> None:
    engine = Engine()
    engine.read(Point(0, 90), Point(20, 90))
    assert engine.read(Point(4.99, 50)).history == 1
    assert "low~p1@4.99" not in engine.episodes()
    assert engine.read(Point(5, 50)).history == 0
    assert "low~p1@5" in engine.episodes()


def test_one_patients_history_does_not_depend_on_anothers_newest() -> None:
    engine = Engine()
    engine.read(Point(1000, 90, patient="p1"))
    assert engine.read(Point(0, 60, patient="p2")).history == 0


@pytest.mark.parametrize(("gap", "silent"), [(20, False), (20.1, True)])
def test_a_gap_of_more_than_20_minutes_was_a_silence_even_if_nobody_looked(gap: float, silent: bool) -> None:
    engine = Engine()
    engine.read(Point(0, 90))
    engine.read(Point(gap, 90))
    assert engine.episodes() == ({"no_data~p1@20": (20, gap)} if silent else {})


def test_silence_opens_by_the_time_once_dated_by_the_last_reading_and_ends_with_the_next() -> None:
    engine = Engine()
    engine.read(Point(0, 90))
    assert engine.tick(19.9).changes == []
    assert short(engine.tick(25).changes) == [("opened", "no_data", 20, 20)]
    assert engine.tick(30).changes == []
    assert short(engine.read(Point(40, 90)).changes) == [("cleared", "no_data", 20, 40)]


def test_silence_is_retracted_when_a_delayed_reading_shows_that_it_never_was() -> None:
    engine = Engine()
    engine.read(Point(0, 90))
    engine.tick(25)
    engine.said.clear()
    engine.read(Point(15, 90))
    assert short(engine.said) == [("retracted", "no_data", 20, 20)]


def test_a_delayed_reading_that_is_followed_by_silence_itself_takes_its_alert_over() -> None:
    engine = Engine()
    engine.read(Point(0, 90))
    engine.tick(40)
    engine.said.clear()
    engine.read(Point(15, 90))
    assert short(engine.said) == [("opened", "no_data", 35, 35), ("retracted", "no_data", 20, 20)]
    assert engine.said[1].replaced_by == engine.said[0].id


def test_a_rule_can_be_switched_off_for_a_patient_while_its_silence_lasts() -> None:
    engine = Engine()
    engine.read(Point(0, 90))
    engine.tick(25)
    engine.reference = looking_at(REAL_PATIENTS.otherwise.mask, {"p1": 0})
    assert short(engine.tick(30).changes) == [("cleared", "no_data", 20, 30)]
    engine.reference = REAL_PATIENTS
    assert short(engine.tick(31).changes) == [("opened", "no_data", 20, 20)]


def test_a_rule_that_is_switched_off_for_a_patient_ends_its_episode_at_the_next_reading() -> None:
    engine = Engine()
    engine.read(Point(0, 60))
    engine.reference = looking_at(0)
    assert short(engine.read(Point(5, 60)).changes) == [("cleared", "low", 0, 5)]


def test_an_episode_longer_than_what_is_kept_is_cleared_under_its_own_onset() -> None:
    engine = Engine()
    engine.read(Point(0, 90), *(Point(15 * i, 60) for i in range(1, 20)), Point(300, 90))
    assert engine.episodes() == {"low~p1@15": (15, 300)}


def test_rules_may_come_go_and_change_places_while_an_episode_runs() -> None:
    engine = Engine()
    engine.read(Point(0, 60))
    by_name = {rule.name: rule for rule in SHIPPED.rules}
    engine.plan = glucose([by_name["urgent_low"], by_name["low"]])
    engine.reference = looking_at(0b11, of=engine.plan)
    engine.said.clear()
    engine.read(Point(5, 55))
    engine.read(Point(10, 80))
    assert short(engine.said) == [
        ("opened", "urgent_low", 5, 5),
        ("cleared", "urgent_low", 5, 10),
        ("cleared", "low", 0, 10),
    ]


def test_many_readings_of_one_patient_in_one_batch_are_all_evaluated() -> None:
    engine = Engine()
    output = engine.read(*(Point(5 * i, 60 if i % 2 else 90) for i in range(1000)))
    assert output.evaluations == 1000
    assert len(engine.episodes()) == 500


def test_causes_name_the_rows_behind_the_changes() -> None:
    engine = Engine()
    output = engine.read(Point(0, 90), Point(0, 60, patient="p2"), Point(5, 90), Point(6, 60))
    assert dict(zip((c.patient for c in output.changes), output.causes, strict=True)) == {"p1": 3, "p2": 1}
    assert engine.tick(60).causes == [-1, -1]


def test_no_readings_give_no_output() -> None:
    output = Engine().read()
    assert (output.changes, output.evaluations) == ([], 0)


def test_the_documents_of_changes_are_their_records_in_the_log_s_words() -> None:
    engine = Engine(reference=EVERYTHING)
    engine.read(Point(0, 90), Point(10, 50, 'left "arm"'), Point(0, 260, patient="Zoë"))
    output = engine.read(Point(5, 52, 'left "arm"'), Point(40, 120, patient="Zoë"))
    documents = output.said.documents()
    assert {change.change for change in output.changes} == {"opened", "cleared", "retracted"}
    assert documents.equals(
        documents_batch(
            [DocumentRow(c.patient, "", c.at_us, c.change, encode_change(c).decode()) for c in output.changes]
        )
    )
    assert Engine().read().said.documents().num_rows == 0


def test_patients_for_whom_a_windows_rule_is_off_do_not_change_those_for_whom_it_is_on() -> None:
    both = Engine(reference=looking_at(mask(()), {f"toy{n}": mask({"simulated"}) for n in range(0, 300, 2)}))
    alone = Engine(reference=EVERYTHING)
    for minute in (0, 5, 10):
        points = [Point(minute, 95 + (7 * n + minute) % 22, patient=f"toy{n}") for n in range(300)]
        both.read(*points)
        alone.read(*points[::2])
    assert both.episodes() == alone.episodes() != {}


def test_a_reference_with_fewer_parameters_than_the_rules_ask_for_is_refused() -> None:
    ready = SHIPPED
    assert ready.parameters
    engine = Engine(ready, Reference(otherwise=PatientReference(mask=1)))
    with pytest.raises(ValueError, match=f"expected {len(ready.parameters)} parameters for each patient"):
        engine.read(Point(0, 60))
    nobody = Engine(ready, Reference(otherwise=PatientReference(mask=0)))
    assert nobody.read(Point(0, 60)).changes == []
