"""A person's day: meals, boluses with their errors, sport, drinks, and carbs against a low.

The plan of a day is a function of the person's key and the date. What has been done of it is one record of DAY.
Instants are whole minutes since the epoch; hours of the day are of UTC.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from islet.model.compiled import kernel
from islet.model.units import MG_DL_PER_MMOL_L
from islet.simulate import chance
from islet.simulate.profiles import MEALS, MealPlan

DAY: Final = np.dtype(
    [
        ("key", np.uint64),
        ("profile", np.int8),
        ("meal", np.int8),  # the next one: its number, date and minute
        ("meal_date", np.int32),
        ("meal_minute", np.int32),
        ("bolus_minute", np.int32),  # of a bolus that is still to come
        ("bolus_u", np.float32),  # 0: there is none
        ("sport_date", np.int32),  # the next one
        ("sport_minute", np.int32),
        ("sport_end", np.int32),
        ("night", np.int32),  # date of the evening of the next drink
        ("drinks_taken", np.int8),
        ("drink_minute", np.int32),
        ("rescue_minute", np.int32),  # no further rescue carbs before, no correction before
        ("correction_minute", np.int32),
        ("wobble", np.float32),  # of the sensitivity, in its standard deviations
    ]
)


class Act(IntEnum):
    """What a person did; beside it, what the amount of an act is."""

    MEAL = 0  # g of carbohydrate
    RESCUE = 1  # g of carbohydrate
    DRINK = 2  # g of alcohol
    BOLUS = 3  # U
    CORRECTION = 4  # U
    EXERCISE = 5  # min


ACTS: Final = np.dtype([("person", np.int32), ("act", np.int8), ("amount", np.float32)])
_MOST_ACTS = len(Act)  # of one person in one interval

_DAY_MIN = 1440
_HOUR, _SHARE, _CARBS_G = (MealPlan._fields.index(name) for name in ("hour", "share", "carbs_g"))
_LATE_MEAL = MEALS - 1
_MEAL_APART_MIN = 30
_LEAST_MEAL_G = 5.0
_BOLUS_STEP_U = 0.5  # of an insulin pen
_TARGET_MMOL_L = 6.5
_RESCUE_APART_MIN = 20
_RESCUE_SIZE_SD = 0.2
_CORRECTION_APART_MIN = 150  # from any bolus: what was given must work first
_NOTICE_HIGH_MIN = 45.0  # a high is noticed by chance, after this long on average
DRINK_CARBS_G: Final = 10.0  # as in a beer
_DRINK_G = 14.0  # a United States standard drink
_DRINK_APART_MIN = 25
_SENSITIVITY_MIN = 720.0  # how long a person stays more or less sensitive than usual


def make_days(
    keys: NDArray[np.uint64], profile: NDArray[np.int8], plans: NDArray[np.void], minute: int
) -> NDArray[np.void]:
    """Days (n,) that begin at a minute since the epoch, with nothing done yet; profile (n,) is an index into plans."""
    days = np.zeros(len(keys), DAY)
    days["key"] = keys
    days["profile"] = profile
    # yesterday's evening may reach into today
    for name in ("meal_date", "sport_date", "night"):
        days[name] = minute // _DAY_MIN - 2
    _pass_over(days, plans, minute)
    return days


@kernel
def _pass_over(days: NDArray[np.void], plans: NDArray[np.void], minute: int) -> None:
    """Leave undone what lies before a minute."""
    for i in range(len(days)):
        day = days[i]
        plan = plans[day.profile]
        while day.meal_minute < minute:
            _next_meal(day, plan)
        while day.sport_minute < minute:
            _next_sport(day, plan)
        while day.drink_minute < minute:
            _next_evening(day, plan)


def acts_buffer(n: int) -> NDArray[np.void]:
    """Room for what n people can do in one interval."""
    return np.empty(n * _MOST_ACTS, ACTS)


@kernel
def live(
    days: NDArray[np.void],
    plans: NDArray[np.void],
    bodies: NDArray[np.void],
    minute: int,
    minutes: int,
    acts: NDArray[np.void],
) -> int:
    """Do what falls into [minute, minute + minutes): set the bodies' inputs, write `acts`, give how many.

    Changes `days` and `bodies`. Acts of one person come together, persons in order.
    """
    count = 0
    steady = np.exp(-minutes / _SENSITIVITY_MIN)
    shake = np.sqrt(1.0 - steady * steady)
    for i in range(len(days)):
        day, body = days[i], bodies[i]
        plan = plans[day.profile]
        day.wobble = steady * day.wobble + shake * chance.normal(day.key, chance.SENSITIVITY, minute)
        body.now_sensitivity = np.exp(plan.sensitivity_sd * day.wobble)
        count = _follow_plan(day, plan, body, minute, minute + minutes, acts, count, i)
        count = _look_at_sensor(day, plan, body, minute, minutes, acts, count, i)
    return count


@kernel
def _follow_plan(
    day: Any, plan: Any, body: Any, minute: int, end: int, acts: NDArray[np.void], count: int, person: int
) -> int:
    """Do what the clock says: meals, their boluses, sport, drinks."""
    if day.meal_minute < end:
        count = _note(acts, count, person, Act.MEAL, _eat(day, plan, body, minute))
    if day.bolus_u > 0.0 and day.bolus_minute < end:
        count = _note(acts, count, person, Act.BOLUS, _inject(day, body, minute))
    if plan.sport_share > 0.0:
        count = _note(acts, count, person, Act.EXERCISE, _train(day, plan, body, minute, end))
    if plan.night_out_share > 0.0 and day.drink_minute < end:
        count = _note(acts, count, person, Act.DRINK, _drink(day, plan, body, minute))
    return count


@kernel
def _look_at_sensor(
    day: Any, plan: Any, body: Any, minute: int, minutes: int, acts: NDArray[np.void], count: int, person: int
) -> int:
    """Do what the glucose asks for: carbs against a low, insulin against a high."""
    tissue_mg_dl = body.interstitial_mmol_l * MG_DL_PER_MMOL_L
    if tissue_mg_dl < plan.rescue_below_mg_dl:
        count = _note(acts, count, person, Act.RESCUE, _rescue(day, plan, body, minute, minutes))
    if tissue_mg_dl > plan.correct_above_mg_dl and body.basal_mu_min > 0.0:
        count = _note(acts, count, person, Act.CORRECTION, _correct(day, plan, body, minute, minutes))
    return count


@kernel
def _note(acts: NDArray[np.void], count: int, person: int, act: int, amount: float) -> int:
    """Write down an act if there was one; the number of acts so far."""
    if amount <= 0.0:
        return count
    acts[count].person = person
    acts[count].act = act
    acts[count].amount = amount
    return count + 1


@kernel
def _eat(day: Any, plan: Any, body: Any, minute: int) -> float:
    """The carbs of the meal that is due, 0 if it is left out; then on to the next meal."""
    carbs_g = 0.0
    # the late meal and the drinks of an evening hang on one and the same draw
    wanted = plan.meals[day.meal][_SHARE] > chance.uniform(day.key, chance.MEAL_TAKEN + day.meal, day.meal_date)
    if day.meal == _LATE_MEAL:
        wanted = wanted and _goes_out(day, plan, day.meal_date)
    if wanted:
        size = 1.0 + plan.meal_size_sd * chance.normal(day.key, chance.MEAL_SIZE + day.meal, day.meal_date)
        size *= body.weight_kg / plan.weight_kg
        carbs_g = float(max(_LEAST_MEAL_G, np.round(plan.meals[day.meal][_CARBS_G] * size)))
        body.meal_g += carbs_g
        _plan_bolus(day, plan, body, minute, carbs_g)
    _next_meal(day, plan)
    return carbs_g


@kernel
def _next_meal(day: Any, plan: Any) -> None:
    before = day.meal_minute
    day.meal += 1
    if day.meal == MEALS:
        day.meal = 0
        day.meal_date += 1
    late = plan.meal_time_sd_min * chance.normal(day.key, chance.MEAL_TIME + day.meal, day.meal_date)
    planned = day.meal_date * _DAY_MIN + int(plan.meals[day.meal][_HOUR] * 60.0 + late)
    day.meal_minute = max(planned, before + _MEAL_APART_MIN)


@kernel
def _plan_bolus(day: Any, plan: Any, body: Any, minute: int, carbs_g: float) -> None:
    """Decide on a bolus for a meal, as a person does: by counting, by the sensor, sometimes late or not at all."""
    if body.basal_mu_min == 0.0 or chance.uniform(day.key, chance.BOLUS_FORGOTTEN, minute) < plan.forgotten_share:
        return
    counted_g = carbs_g * max(0.0, 1.0 + plan.counting_sd * chance.normal(day.key, chance.COUNTING, minute))
    above = body.interstitial_mmol_l - _TARGET_MMOL_L
    dose_u = plan.dose_factor * counted_g / body.carbs_g_per_u + plan.correction_share * above / body.mmol_l_per_u
    dose_u = _in_pen_steps(dose_u)
    if dose_u > 0.0:
        day.bolus_u += dose_u
        delay = 2.0 * plan.bolus_delay_min * chance.uniform(day.key, chance.BOLUS_DELAY, minute)
        day.bolus_minute = minute + int(delay)


@kernel
def _in_pen_steps(dose_u: float) -> float:
    return float(np.round(dose_u / _BOLUS_STEP_U)) * _BOLUS_STEP_U


@kernel
def _inject(day: Any, body: Any, minute: int) -> float:
    """The dose in U of the bolus that is due."""
    body.bolus_u += day.bolus_u
    day.bolus_u = 0.0
    day.correction_minute = minute + _CORRECTION_APART_MIN
    return float(body.bolus_u)


@kernel
def _train(day: Any, plan: Any, body: Any, minute: int, end: int) -> float:
    """The minutes of sport that begin now, 0 if none; holds the effort while it lasts."""
    length = 0.0
    if day.sport_minute < end:
        if chance.uniform(day.key, chance.SPORT_TAKEN, day.sport_date) < plan.sport_share:
            length = np.round(
                plan.sport_min * (0.75 + 0.5 * chance.uniform(day.key, chance.SPORT_LENGTH, day.sport_date))
            )
            day.sport_end = minute + int(length)
        _next_sport(day, plan)
    body.effort_bpm = plan.effort_bpm if minute < day.sport_end else 0.0
    return length


@kernel
def _next_sport(day: Any, plan: Any) -> None:
    day.sport_date += 1
    late = plan.meal_time_sd_min * chance.normal(day.key, chance.SPORT_TIME, day.sport_date)
    day.sport_minute = day.sport_date * _DAY_MIN + int(plan.sport_hour * 60.0 + late)


@kernel
def _goes_out(day: Any, plan: Any, date: int) -> bool:
    return bool(chance.uniform(day.key, chance.NIGHT_OUT, date) < plan.night_out_share)


@kernel
def _drink(day: Any, plan: Any, body: Any, minute: int) -> float:
    """The alcohol in g of the drink that is due, 0 if there is none; then on to the next."""
    wanted = 0
    if _goes_out(day, plan, day.night):
        wanted = int(plan.drinks * (0.5 + chance.uniform(day.key, chance.DRINKS, day.night)) + 0.5)
    if day.drinks_taken >= wanted:
        _next_evening(day, plan)
        return 0.0
    body.drink_g += _DRINK_G
    body.meal_g += DRINK_CARBS_G
    day.drinks_taken += 1
    day.drink_minute = (
        minute + _DRINK_APART_MIN + int(_DRINK_APART_MIN * chance.uniform(day.key, chance.DRINK_PAUSE, minute))
    )
    return _DRINK_G


@kernel
def _next_evening(day: Any, plan: Any) -> None:
    day.night += 1
    day.drinks_taken = 0
    late = plan.meal_time_sd_min * chance.normal(day.key, chance.DRINK_TIME, day.night)
    day.drink_minute = day.night * _DAY_MIN + int(plan.drink_hour * 60.0 + late)


@kernel
def _rescue(day: Any, plan: Any, body: Any, minute: int, minutes: int) -> float:
    """The carbs in g that a person takes against a low, once it is noticed; 0 before."""
    if minute < day.rescue_minute or chance.uniform(day.key, chance.RESCUE, minute) * plan.reaction_min > minutes:
        return 0.0
    carbs_g = np.round(plan.rescue_g * (1.0 + _RESCUE_SIZE_SD * chance.normal(day.key, chance.RESCUE_SIZE, minute)))
    body.rescue_g += carbs_g
    day.rescue_minute = minute + _RESCUE_APART_MIN
    return float(carbs_g)


@kernel
def _correct(day: Any, plan: Any, body: Any, minute: int, minutes: int) -> float:
    """The insulin in U that a person takes against a high, once it is noticed; 0 before."""
    if (
        minute < day.correction_minute
        or chance.uniform(day.key, chance.CORRECTION, minute) * _NOTICE_HIGH_MIN > minutes
    ):
        return 0.0
    above = body.interstitial_mmol_l - _TARGET_MMOL_L
    dose_u = _in_pen_steps(plan.correction_share * above / body.mmol_l_per_u)
    body.bolus_u += dose_u
    day.correction_minute = minute + _CORRECTION_APART_MIN
    return dose_u
