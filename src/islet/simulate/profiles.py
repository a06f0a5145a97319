"""Five kinds of people: how their bodies differ, what they eat, and how well they look after themselves.

All numbers are calibrated here, against the outcomes that `tests/simulate/test_simulate_profiles.py` states; they are
people of a demonstration, not a model of any group of patients.
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

MEALS: Final = 5  # breakfast, lunch, snack, dinner, and what is eaten late on a night out


class MealPlan(NamedTuple):
    """One meal of the day; hours are of UTC, beyond 24 after midnight."""

    hour: float
    share: float  # of days on which it is eaten; the late meal only ever on nights out
    carbs_g: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One kind of person. Spreads are standard deviations."""

    name: str

    # the body
    fasting_mg_dl: float
    fasting_sd_mg_dl: float
    weight_kg: float
    secretion: float = 0.0  # of the beta cells, mU/min per kg and mmol/L above their threshold; 0 in type 1 diabetes
    sensitivity: float = 1.0  # to insulin, times the mean of Hovorka's people
    sensitivity_sd: float = 0.1  # of its logarithm, over days
    dawn: float = 0.1  # how much more glucose the liver makes at half past six

    # the day
    meals: tuple[MealPlan, MealPlan, MealPlan, MealPlan, MealPlan]
    meal_time_sd_min: float = 30.0
    meal_size_sd: float = 0.25  # share of carbs_g
    sport_share: float = 0.0  # of days with sport
    sport_hour: float = 17.5
    sport_min: float = 45.0
    effort_bpm: float = 0.0  # pulse above rest during sport
    night_out_share: float = 0.0  # of evenings
    drinks: float = 0.0  # on a night out, on average
    drink_hour: float = 21.0

    # the treatment
    dose_factor: float = 1.0  # of the bolus that would cancel the meal
    counting_sd: float = 0.2  # of the carbs as they are counted
    forgotten_share: float = 0.0  # of boluses
    bolus_delay_min: float = 0.0
    correction_share: float = 0.0  # of the dose that would bring a high glucose down, with a meal or alone
    correct_above_mg_dl: float = 250.0
    rescue_below_mg_dl: float = 65.0
    rescue_g: float = 15.0
    reaction_min: float = 15.0  # from low to rescue carbs, on average


def _meals(*rows: tuple[float, float, float]) -> tuple[MealPlan, MealPlan, MealPlan, MealPlan, MealPlan]:
    breakfast, lunch, snack, dinner, late = (MealPlan(*row) for row in rows)
    return breakfast, lunch, snack, dinner, late


_NEVER = (25.5, 0.0, 0.0)

_ALL: Final = (
    Profile(
        name="diabetic",
        fasting_mg_dl=172.0,
        fasting_sd_mg_dl=15.0,
        weight_kg=76.0,
        sensitivity_sd=0.15,
        dawn=0.2,
        meals=_meals((7.5, 0.95, 50.0), (12.5, 0.95, 65.0), (16.0, 0.5, 20.0), (19.0, 1.0, 70.0), _NEVER),
        sport_share=0.2,
        sport_min=30.0,
        effort_bpm=35.0,
        dose_factor=0.67,
        counting_sd=0.2,
        forgotten_share=0.04,
        bolus_delay_min=5.0,
        correction_share=0.6,
    ),
    Profile(
        name="athlete",
        fasting_mg_dl=90.0,
        fasting_sd_mg_dl=5.0,
        weight_kg=70.0,
        secretion=0.2,
        sensitivity=1.4,
        meals=_meals((7.0, 1.0, 80.0), (12.5, 1.0, 90.0), (15.5, 0.8, 35.0), (20.0, 1.0, 95.0), _NEVER),
        sport_share=0.85,
        sport_hour=17.5,
        sport_min=75.0,
        effort_bpm=75.0,
    ),
    Profile(
        name="party-goer",
        fasting_mg_dl=132.0,
        fasting_sd_mg_dl=12.0,
        weight_kg=72.0,
        sensitivity_sd=0.15,
        dawn=0.15,
        meals=_meals((10.0, 0.6, 45.0), (13.5, 0.95, 70.0), (17.0, 0.4, 30.0), (20.0, 0.95, 75.0), (25.5, 0.8, 70.0)),
        meal_time_sd_min=50.0,
        meal_size_sd=0.4,
        night_out_share=0.55,
        drinks=5.0,
        dose_factor=0.85,
        counting_sd=0.3,
        forgotten_share=0.1,
        bolus_delay_min=10.0,
        correction_share=0.6,
        correct_above_mg_dl=240.0,
        reaction_min=25.0,
    ),
    Profile(
        name="low-glucose",
        fasting_mg_dl=100.0,
        fasting_sd_mg_dl=8.0,
        weight_kg=66.0,
        sensitivity_sd=0.25,
        meals=_meals((7.5, 0.9, 45.0), (12.5, 0.9, 55.0), (16.0, 0.4, 15.0), (19.0, 0.95, 60.0), _NEVER),
        dose_factor=1.15,
        counting_sd=0.3,
        correction_share=0.5,
        rescue_below_mg_dl=54.0,
        reaction_min=45.0,
    ),
    Profile(
        name="elderly",
        fasting_mg_dl=118.0,
        fasting_sd_mg_dl=7.0,
        weight_kg=72.0,
        secretion=0.1,
        sensitivity=0.8,
        meals=_meals((7.5, 1.0, 40.0), (12.0, 1.0, 50.0), (15.5, 0.6, 15.0), (18.0, 1.0, 45.0), _NEVER),
        meal_time_sd_min=15.0,
        meal_size_sd=0.15,
    ),
)

PROFILES: Final = tuple(profile.name for profile in _ALL)
"""Their names, in the order in which a population takes turns."""

PROFILE: Final = {profile.name: profile for profile in _ALL}

PLAN: Final = np.dtype(
    [
        (field.name, np.float32, (MEALS, len(MealPlan._fields)) if field.name == "meals" else ())
        for field in fields(Profile)
        if field.name != "name"
    ]
)
"""A profile as the kernels read it: its fields but the name, `meals` as (MEALS, 3)."""


def plans(profiles: tuple[Profile, ...]) -> NDArray[np.void]:
    """Profiles as records of PLAN, (len(profiles),)."""
    rows = [tuple(getattr(profile, name) for name in PLAN.names or ()) for profile in profiles]
    return np.array(rows, dtype=PLAN)
