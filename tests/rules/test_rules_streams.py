"""Each shipped rule on short streams, through the real engine: what begins an alert, what ends it, and what does not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from islet.engine.rules import load_rules, plan
from islet.engine.tables import PROMPTS, STATUSES
from tests.rules.asked import episodes
from tests.rules.streams import Event, Stream, Value

PLAN = plan(load_rules())


class Case(NamedTuple):
    """`expected`: begin and end of each alert, in minutes; None: it goes on. `now`: the time is looked at then."""

    rule: str
    what: str
    stream: Stream
    expected: list[tuple[float, float | None]]
    now: float | None = None


def _every(minutes: float, *values: float, start: float = 0, events: Sequence[Event] = (), zone: str = "UTC",
           quantity: str = "glucose_mg_dl", known: Mapping[str, float] | None = None) -> Stream:  # fmt: skip
    """Values at equal distances."""
    found = [Value(start + minutes * place, value) for place, value in enumerate(values)]
    return Stream(found, events, quantity, {"p1": dict(known)} if known else {}, zone)


def _glucose(*values: float, **known: float) -> Stream:
    return _every(5, *values, known=known)


def _vital(quantity: str, *values: float, **known: float) -> Stream:
    return _every(10, *values, quantity=quantity, known=known)


def _line(begin: float, per_minute: float, n: int = 6) -> list[float]:
    return [begin + 5 * per_minute * place for place in range(n)]


def _status(*words: str) -> Stream:
    return _every(10, *(STATUSES.index(word) for word in words), quantity="status")


def _prompts(*words: str) -> Stream:
    return _every(10, *(PROMPTS.index(word) for word in words), quantity="prompt")


_MEAL = Event(0, "carbs_g", 40)
_RISE = [100, 102, 104, 108, 116, 124, 132]

CASES = [
    Case("urgent_low", "55 is urgent", _glucose(60, 56, 55, 57), [(10, None)]),
    Case("urgent_low", "it ends at 60, not at 59.9", _glucose(54, 59.9, 60, 70), [(0, 10)]),
    Case("urgent_low", "55.1 is not", _glucose(70, 55.1, 70), []),
    Case("urgent_low", "noise around 55 is one alert", _glucose(55, 57, 54, 58, 61), [(0, 20)]),
    Case("urgent_low_soon", "a fast fall", _glucose(120, 105, 90, 75), [(10, None)]),
    Case("urgent_low_soon", "it ends when it has turned", _glucose(100, 85, 70, 80, 95, 110), [(10, 15)]),
    Case("urgent_low_soon", "a slow fall is not", _glucose(100, 98, 96, 94), []),
    Case("urgent_low_soon", "two readings foretell nothing", _glucose(90, 70), []),
    Case("low_soon", "a fall towards the limit", _glucose(110, 100, 90, 80), [(10, None)]),
    Case("low_soon", "it ends when it is low", _glucose(100, 90, 80, 69), [(10, 15)]),
    Case("low_soon", "a patient's own limit counts", _glucose(130, 124, 118, 112, low_alarm_mg_dl=100), [(15, None)]),
    Case("low_soon", "flat is not", _glucose(72, 72, 72, 72), []),
    Case("high_soon", "a rise towards the limit", _glucose(200, 215, 230, 245), [(10, None)]),
    Case("high_soon", "it ends when it is high", _glucose(215, 230, 245, 255), [(10, 15)]),
    Case("high_soon", "flat is not", _glucose(248, 248, 248, 248), []),
    Case("low", "below 70", _glucose(71, 70, 69), [(10, None)]),
    Case("low", "70 is not low", _glucose(80, 70, 70.1), []),
    Case("low", "it ends at 75, not at 74.9", _glucose(69, 74.9, 75), [(0, 10)]),
    Case("low", "a patient's own limit, and its hysteresis", _glucose(81, 79.9, 84.9, 85, low_alarm_mg_dl=80), [(5, 15)]),
    Case("high", "above 250", _glucose(250, 250.1), [(5, None)]),
    Case("high", "it ends at 240, not at 240.1", _glucose(260, 240.1, 240), [(0, 10)]),
    Case("high", "a patient's own limit", _glucose(180, 181, 170, high_alarm_mg_dl=180), [(5, 10)]),
    Case("rising_2", "exactly 2 a minute", _glucose(*_line(100, 2)), [(10, None)]),
    Case("rising_2", "1.9 a minute is not", _glucose(*_line(100, 1.9)), []),
    Case("rising_2", "it ends below 1.5", _glucose(100, 110, 120, 130, 132, 133, 134), [(10, 25)]),
    Case("rising_2", "two readings are not enough", _glucose(100, 150), []),
    Case("rising_3", "exactly 3 a minute", _glucose(*_line(100, 3)), [(10, None)]),
    Case("rising_3", "2.9 a minute is not", _glucose(*_line(100, 2.9)), []),
    Case("rising_3", "a gap ends it", Stream([*_every(5, *_line(100, 3)).values, Value(60, 200)]), [(10, 60)]),
    Case("falling_2", "exactly 2 a minute", _glucose(*_line(200, -2)), [(10, None)]),
    Case("falling_2", "1.9 a minute is not", _glucose(*_line(200, -1.9)), []),
    Case("falling_2", "a rise is not", _glucose(*_line(100, 4)), []),
    Case("falling_3", "exactly 3 a minute", _glucose(*_line(200, -3)), [(10, None)]),
    Case("falling_3", "2.9 a minute is not", _glucose(*_line(200, -2.9)), []),
    Case("falling_3", "it ends when it slows down", _glucose(200, 185, 170, 155, 150, 149, 148), [(10, 20)]),
    Case("sticky_high", "two hours above 240", _glucose(*[250] * 25), [(110, None)]),
    Case("sticky_high", "240 is not above", _glucose(*[240] * 25), []),
    Case("sticky_high", "61 of movement is not flat", _glucose(*[250, 311] * 13), []),
    Case("sticky_high", "a higher target range", _glucose(*[250] * 25, high_mg_dl=200), []),
    Case("sticky_high", "it ends 50 above the range", _glucose(*[250] * 24, 231, 230), [(110, 125)]),
    Case("no_data", "20 minutes", _glucose(100, 100), [(25, None)], now=25),
    Case("no_data", "one minute less", _glucose(100, 100), [], now=24.9),
    Case("no_data", "the next reading ends it", Stream([Value(0, 100), Value(40, 100)]), [(20, 40)], now=41),
    Case("no_data_followers", "15 minutes", _glucose(100, 100), [(20, None)], now=20),
    Case("no_data_followers", "one minute less", _glucose(100, 100), [], now=19.9),
    Case("no_data_followers", "readings every 15 minutes are none", _every(15, 100, 100, 100), [], now=40),
    Case("night_low", "a quarter of an hour", _glucose(80, 69, 68, 67, 66, 66), [(20, None)]),
    Case("night_low", "one reading above is a new beginning", _glucose(69, 68, 70, 67, 66), []),
    Case("night_low", "at noon nobody sleeps", _every(5, 69, 68, 67, 66, 66, start=720), []),
    Case("night_low", "the night is the patient's", _every(5, 69, 68, 67, 66, 66, start=300, zone="Asia/Tokyo"), []),
    Case("night_low", "noon here is night there", _every(5, 69, 68, 67, 66, start=900, zone="Asia/Tokyo"), [(915, None)]),
    Case("low_after_exercise", "below 90 after half an hour", _every(5, 95, 89, start=60, events=[Event(0, "exercise_min", 30)]), [(65, None)]),
    Case("low_after_exercise", "90 is not", _every(5, 90, 90, start=60, events=[Event(0, "exercise_min", 30)]), []),
    Case("low_after_exercise", "29 minutes are not", _every(5, 89, 89, start=60, events=[Event(0, "exercise_min", 29)]), []),
    Case("low_after_exercise", "two bouts add up, for six hours", _every(5, 89, 89, 100, start=355, events=[Event(0, "exercise_min", 20), Event(10, "exercise_min", 20)]), [(355, 365)]),
    Case("low_after_exercise", "after six hours it is over", _every(5, 89, 89, start=361, events=[Event(0, "exercise_min", 60)]), []),
    Case("falling_with_insulin", "a fall with a bolus", _every(5, *_line(120, -1, 4), events=[Event(0, "bolus_u", 4)]), [(10, None)]),
    Case("falling_with_insulin", "a sixth of six units is one", _every(5, *_line(120, -1, 4), start=220, events=[Event(0, "bolus_u", 6)]), [(230, None)]),
    Case("falling_with_insulin", "a sixth of less is not", _every(5, *_line(120, -1, 4), start=220, events=[Event(0, "bolus_u", 5.9)]), []),
    Case("falling_with_insulin", "no bolus", _glucose(*_line(120, -1, 4)), []),
    Case("falling_with_insulin", "a slow fall", _every(5, *_line(118, -0.9, 4), events=[Event(0, "bolus_u", 4)]), []),
    Case("falling_with_insulin", "it ends when the fall does", _every(5, 119, 113, 107, 107, 107, 107, events=[Event(0, "bolus_u", 4)]), [(10, 20)]),
    Case("missed_bolus", "a meal and a rise", _every(5, *_RISE, events=[_MEAL]), [(25, None)]),
    Case("missed_bolus", "a bolus in time", _every(5, *_RISE, events=[_MEAL, Event(2, "bolus_u", 3)]), []),
    Case("missed_bolus", "a bolus ends it", _every(5, *_RISE, events=[_MEAL, Event(29, "bolus_u", 3)]), [(25, 30)]),
    Case("missed_bolus", "a snack is not a meal", _every(5, *_RISE, events=[Event(0, "carbs_g", 19.9)]), []),
    Case("missed_bolus", "no rise", _every(5, *[100] * 8, events=[_MEAL]), []),
    Case("compression_low", "a notch at night", _glucose(100, 95, 60, 58, 62, 90, 95), [(25, None)]),
    Case("compression_low", "a low that stays", _glucose(100, 95, 60, 58, 62, 60, 61), []),
    Case("compression_low", "a notch at noon", _every(5, 100, 95, 60, 58, 62, 90, start=720), []),
    Case("compression_low", "it ends with the hour", _every(15, 100, 60, 90, 95, 95, 95, 95), [(30, 75)]),
    Case("stuck_sensor", "an hour of one value", _glucose(*[112] * 13), [(50, None)]),
    Case("stuck_sensor", "a tenth makes the difference", _glucose(*[112, 112.1] * 7), []),
    Case("stuck_sensor", "it ends with another value", _glucose(*[112] * 12, 113), [(50, 60)]),
    Case("stuck_sensor", "LOW is always 40", _glucose(*[40] * 13), []),
    Case("impossible_jump", "71 in five minutes", _glucose(100, 171, 171), [(5, 10)]),
    Case("impossible_jump", "70 in five minutes", _glucose(100, 170, 100), []),
    Case("impossible_jump", "after a gap anything may be", _every(20, 100, 300), []),
    Case("pulse_high", "131", _vital("pulse_bpm", 130, 131, 121, 120), [(10, 30)]),
    Case("pulse_high", "130", _vital("pulse_bpm", 130, 129), []),
    Case("pulse_high", "a patient's own limit", _vital("pulse_bpm", 111, pulse_high_bpm=110), [(0, None)]),
    Case("pulse_low", "40", _vital("pulse_bpm", 41, 40, 44, 45), [(10, 30)]),
    Case("pulse_low", "41", _vital("pulse_bpm", 41, 60), []),
    Case("pulse_low", "a patient's own limit", _vital("pulse_bpm", 49, pulse_low_bpm=50), [(0, None)]),
    Case("systolic_high", "181", _vital("systolic_mm_hg", 180, 181, 171, 170), [(10, 30)]),
    Case("systolic_high", "180", _vital("systolic_mm_hg", 180), []),
    Case("systolic_high", "a patient's own limit", _vital("systolic_mm_hg", 141, systolic_high_mm_hg=140), [(0, None)]),
    Case("systolic_low", "90", _vital("systolic_mm_hg", 91, 90, 99, 100), [(10, 30)]),
    Case("systolic_low", "91", _vital("systolic_mm_hg", 91), []),
    Case("systolic_low", "a patient's own limit", _vital("systolic_mm_hg", 99, systolic_low_mm_hg=100), [(0, None)]),
    Case("diastolic_high", "121", _vital("diastolic_mm_hg", 120, 121, 116, 115), [(10, 30)]),
    Case("diastolic_high", "120", _vital("diastolic_mm_hg", 120), []),
    Case("diastolic_high", "a patient's own limit", _vital("diastolic_mm_hg", 91, diastolic_high_mm_hg=90), [(0, None)]),
    Case("battery_low", "19", _vital("battery_percent", 20, 19, 29, 30), [(10, 30)]),
    Case("battery_low", "20", _vital("battery_percent", 20), []),
    Case("battery_low", "a patient's own limit", _vital("battery_percent", 39, battery_low_percent=40), [(0, None)]),
    Case("sensor_fault", "failed, until it is well", _status("ok", "sensor_failed", "signal_lost", "ok"), [(10, 30)]),
    Case("sensor_fault", "expired, until the next warms up", _status("sensor_expired", "warm_up"), [(0, 10)]),
    Case("sensor_fault", "other words are none", _status("warm_up", "calibration_needed", "signal_lost"), []),
    Case("missed_prompt", "missed, until one is answered", _prompts("prompted", "missed", "prompted", "measured"), [(10, 30)]),
    Case("missed_prompt", "one that still waits is not missed", _prompts("measured", "prompted"), []),
    Case("missed_prompt", "two in a row are one alert", _prompts("missed", "prompted", "missed"), [(0, None)]),
    Case("seed_demonstration", "116", _glucose(100, 116, 94), [(5, 10)]),
    Case("seed_demonstration", "an average of 105.1", _glucose(105, 105.2), [(5, None)]),
    Case("seed_demonstration", "115, and an average of 105", _glucose(95, 115, 105), []),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.what}")
def test_a_rule_says_what_its_stream_deserves(case: Case) -> None:
    assert episodes(PLAN, case.rule, case.stream, case.now) == case.expected


def test_every_rule_of_a_stream_has_three_streams() -> None:
    counted = {rule.name: sum(case.rule == rule.name for case in CASES) for rule in PLAN.rules if not rule.every}
    assert {name: count for name, count in counted.items() if not 3 <= count <= 6} == {}
