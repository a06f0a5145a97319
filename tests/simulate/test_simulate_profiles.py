"""Outcomes of the five profiles, over 60 people each and six days after one to settle."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from islet.model.time import DAY_US
from islet.simulate import PROFILES, make_population, tick
from islet.simulate.day import Act

_PEOPLE, _DAYS, _PER_DAY = 60, 6, 480


@dataclass(frozen=True)
class Lives:
    """Blood glucose and CGM of one profile, (k, 60) every 3 min from midnight; its acts as (k, person, act, amount)."""

    glucose: NDArray[np.float32]
    cgm: NDArray[np.float32]
    acts: list[tuple[int, int, int, float]]

    @property
    def mean(self) -> float:
        return float(self.glucose.mean())

    @property
    def within_sd(self) -> float:
        return float(self.glucose.std(axis=0).mean())

    def below(self, mg_dl: float) -> float:
        return 100.0 * float((self.glucose < mg_dl).mean())

    def above(self, mg_dl: float) -> float:
        return 100.0 * float((self.glucose > mg_dl).mean())

    def per_day(self, act: Act) -> float:
        return sum(row[2] == act for row in self.acts) / (_PEOPLE * _DAYS)


@pytest.fixture(scope="module")
def lives() -> Iterator[dict[str, Lives]]:
    width = len(PROFILES)
    population = make_population(_PEOPLE * width, 2004, start_us=20_000 * DAY_US)
    for _ in range(_PER_DAY):
        tick(population)
    ticks = [tick(population) for _ in range(_DAYS * _PER_DAY)]
    acts = [(k, *act) for k, one in enumerate(ticks) for act in one.acts.tolist()]
    yield {
        name: Lives(
            np.array([one.glucose_mg_dl[i::width] for one in ticks]),
            np.array([one.cgm_mg_dl[i::width] for one in ticks]),
            [(k, person // width, act, amount) for k, person, act, amount in acts if person % width == i],
        )
        for i, name in enumerate(PROFILES)
    }


def test_the_diabetic_is_high_nearly_half_of_the_time(lives: dict[str, Lives]) -> None:
    diabetic = lives["diabetic"]
    assert diabetic.mean == pytest.approx(178.0, abs=8.0)
    assert diabetic.above(180.0) == pytest.approx(45.0, abs=6.0)
    assert diabetic.below(70.0) < 3.0
    assert 45.0 < diabetic.within_sd < 65.0


def test_the_athlete_stays_in_range(lives: dict[str, Lives]) -> None:
    athlete = lives["athlete"]
    assert athlete.mean == pytest.approx(96.0, abs=5.0)
    assert athlete.within_sd < 22.0
    assert athlete.above(180.0) < 2.0
    assert athlete.below(54.0) < 0.1


def test_the_athlete_is_lower_after_exercise_than_before(lives: dict[str, Lives]) -> None:
    athlete = lives["athlete"]
    sport = [(k, person, round(minutes / 3)) for k, person, act, minutes in athlete.acts if act == Act.EXERCISE]
    inside = [(k, person, length) for k, person, length in sport if k >= 20 and k + length + 20 < len(athlete.glucose)]
    change = [
        athlete.glucose[k + length : k + length + 10, person].mean() - athlete.glucose[k - 10 : k, person].mean()
        for k, person, length in inside
    ]
    assert len(inside) > 200
    assert np.mean(change) < -6.0
    assert np.mean(np.array(change) < 0.0) > 0.7


def test_the_party_goer_varies_far_more_than_the_athlete(lives: dict[str, Lives]) -> None:
    party_goer = lives["party-goer"]
    assert party_goer.within_sd > 2.5 * lives["athlete"].within_sd
    assert party_goer.mean == pytest.approx(147.0, abs=10.0)
    assert 4.0 < party_goer.below(70.0) < 12.0
    assert 20.0 < party_goer.above(180.0) < 35.0


def test_the_party_goer_is_low_on_the_morning_after_drinking(lives: dict[str, Lives]) -> None:
    party_goer = lives["party-goer"]
    out = np.zeros((_DAYS, _PEOPLE), bool)
    for k, person, act, _ in party_goer.acts:
        if act == Act.DRINK and k % _PER_DAY > 18 * 20:
            out[k // _PER_DAY, person] = True
    low = (party_goer.glucose < 70.0).reshape(_DAYS, _PER_DAY, _PEOPLE)[:, 5 * 20 : 10 * 20].mean(axis=1)
    after_drinking, after_rest = low[1:][out[:-1]].mean(), low[1:][~out[:-1]].mean()
    assert after_drinking > 2.0 * after_rest
    assert after_drinking > 0.08


def test_the_low_glucose_person_is_low_for_nearly_a_third_of_the_time(lives: dict[str, Lives]) -> None:
    low = lives["low-glucose"]
    assert low.below(70.0) == pytest.approx(29.0, abs=5.0)
    assert 3.0 < low.below(54.0) < 15.0
    assert low.per_day(Act.RESCUE) > 0.7


def test_the_elderly_person_is_steady_and_somewhat_high(lives: dict[str, Lives]) -> None:
    elderly = lives["elderly"]
    assert elderly.mean == pytest.approx(131.0, abs=6.0)
    assert elderly.within_sd < 23.0
    assert elderly.below(70.0) < 0.1
    assert lives["athlete"].mean + 20.0 < elderly.mean < lives["diabetic"].mean - 20.0


def test_only_people_with_type_1_diabetes_inject(lives: dict[str, Lives]) -> None:
    assert {name for name in PROFILES if lives[name].per_day(Act.BOLUS) > 0.0} == {
        "diabetic",
        "party-goer",
        "low-glucose",
    }
    assert {name for name in PROFILES if lives[name].per_day(Act.DRINK) > 0.0} == {"party-goer"}
    assert {name for name in PROFILES if lives[name].per_day(Act.EXERCISE) > 0.0} == {"diabetic", "athlete"}


def test_everybody_eats_three_to_four_times_a_day(lives: dict[str, Lives]) -> None:
    for name in PROFILES:
        assert 2.8 < lives[name].per_day(Act.MEAL) < 4.2


def test_the_sensor_is_about_as_wrong_as_sensors_are(lives: dict[str, Lives]) -> None:
    """Mean absolute relative difference; current sensors are at 7 to 10 % in their makers' studies."""
    for one in lives.values():
        difference = np.nanmean(np.abs(one.cgm - one.glucose) / one.glucose)
        assert 0.04 < difference < 0.10
