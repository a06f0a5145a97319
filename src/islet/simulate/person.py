"""A person's body: how glucose answers to food, insulin, sport, drink and the time of day.

The model is Hovorka et al. 2004 (doi:10.1088/0967-3334/25/4/010), Physiol. Meas. 25:905-920, with its constants. As in
Wilinska et al. 2010 (doi:10.1177/193229681000400117) people differ in all of them; the sizes of the differences are
ours. Sport is shaped after Dalla Man et al. 2009 (doi:10.1177/193229680900300107). Beta cells, counter-regulation,
dawn and alcohol are ours, and so are all constants marked "calibrated here". Nothing here is meant for decisions about
treatment.

A body is one record of BODY: what it is, what state it is in, and what the coming interval does to it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from islet.model.compiled import kernel
from islet.model.units import MG_DL_PER_MMOL_L

_TRAITS = (
    "weight_kg",
    "distribution_l",  # of glucose, VG
    "insulin_l",  # volume of insulin, VI
    "liver_mmol_min",  # endogenous production at zero insulin, EGP0
    "brain_mmol_min",  # uptake that needs no insulin, F01
    "transport",  # sensitivities to insulin per mU/L: SIT, SID, SIE
    "disposal",
    "production",
    "gut_min",  # time to the peak of absorption, tmax,G and tmax,I
    "depot_min",
    "basal_mu_min",  # insulin infused all the time
    "secretion_mu_min",  # of the beta cells per mmol/L above their threshold
    "threshold_mmol_l",
    "dawn",  # share by which the liver makes more at dawn
    "carbs_g_per_u",  # the bolus that would cancel a meal, and what a unit takes down
    "mmol_l_per_u",
)
_STATES = (
    "q1_mmol",  # glucose: accessible, not accessible
    "q2_mmol",
    "x1",  # insulin's action on transport, disposal, production
    "x2",
    "x3",
    "s1_mu",  # insulin under the skin, and in plasma
    "s2_mu",
    "insulin_mu_l",
    "d1_mmol",  # glucose in the gut
    "d2_mmol",
    "interstitial_mmol_l",
    "effort_now_bpm",
    "after_sport",  # how much of the after-effect of sport is there, 0 to 1
    "stomach_alcohol_g",
    "alcohol_g",
    "alcohol_effect",  # how much of the liver's production alcohol holds back, 0 to 1
)
_INPUTS = (
    "now_sensitivity",  # times the body's own
    "meal_g",
    "rescue_g",  # carbs that need no digestion
    "bolus_u",
    "effort_bpm",
    "drink_g",  # alcohol
)
BODY: Final = np.dtype([(name, np.float32) for name in (*_TRAITS, *_STATES, *_INPUTS)])
"""One person. Inputs but sensitivity and effort are amounts, taken once by the next `advance`."""

# Hovorka 2004, table 1
_K12 = 0.066  # 1/min
_KA1, _KA2, _KA3 = 0.006, 0.06, 0.03  # 1/min
_KE = 0.138  # 1/min, elimination of insulin
_KIDNEY_MMOL_L, _KIDNEY_PER_MIN = 9.0, 0.003
_BRAIN_SATED_MMOL_L = 4.5
_ABSORBED_SHARE = 0.8
_MMOL_PER_G = 1000.0 / 180.156
_MEANS: Final = {  # Hovorka 2004, per kg where _PER_KG says so; SD of the logarithm, calibrated here
    "distribution_l": (0.16, 0.1),
    "insulin_l": (0.12, 0.1),
    "liver_mmol_min": (0.0161, 0.1),
    "brain_mmol_min": (0.0097, 0.1),
    "transport": (51.2e-4, 0.2),
    "disposal": (8.2e-4, 0.2),
    "production": (520e-4, 0.2),
    "gut_min": (40.0, 0.15),
    "depot_min": (55.0, 0.15),
}
_PER_KG = ("distribution_l", "insulin_l", "liver_mmol_min", "brain_mmol_min")
SPREADS: Final = len(_MEANS) + 2
"""How many standard normal numbers make a body: the above, weight and fasting glucose."""

_INTERSTITIAL_MIN = 8.0  # lag of tissue behind blood; 6 to 11 min in Basu et al. 2013, doi:10.2337/db13-1132
_EFFORT_MIN = 5.0  # Dalla Man 2009: how fast effort takes hold
_EFFORT_HALF_BPM = 25.0  # calibrated here, as all that follows
_EFFORT_UPTAKE = 1.8e-4  # 1/min per bpm above rest
_AFTER_SPORT_GAIN = 0.8
_AFTER_SPORT_RISE_MIN, _AFTER_SPORT_FALL_MIN = 60.0, 600.0
_COUNTER_MMOL_L, _COUNTER_PER_MMOL_L = 3.7, 0.35  # glucagon and adrenaline against a low
_ALCOHOL_GUT_MIN = 30.0
_ALCOHOL_CLEARED_G_MIN, _ALCOHOL_HALF_G = 0.13, 5.0  # about 8 g an hour
_ALCOHOL_EFFECT_MIN = 150.0  # slow, so that the low comes hours after the last drink
# Stronger than the 12 % that Siler et al. 1998 measured in fasted healthy men (doi:10.1152/ajpendo.1998.275.5.E897),
# so that the morning lows of Turner et al. 2001 in type 1 diabetes (doi:10.2337/diacare.24.11.1888) come about.
_ALCOHOL_STRENGTH = 0.55
_DAWN_MINUTE, _DAWN_WIDTH_MIN = 390.0, 100.0


def make_bodies(plans: NDArray[np.void], spreads: NDArray[np.float64]) -> NDArray[np.void]:
    """Bodies (n,) that rest at their fasting glucose, from one plan each (n,) and normal numbers (n, SPREADS)."""
    bodies = np.zeros(len(plans), BODY)
    bodies["weight_kg"] = plans["weight_kg"] * np.exp(0.12 * spreads[:, -1])
    for column, (name, (mean, spread)) in enumerate(_MEANS.items()):
        bodies[name] = mean * np.exp(spread * spreads[:, column])
    for name in _PER_KG:
        bodies[name] *= bodies["weight_kg"]
    # a liver that makes less than the brain takes could not hold any fasting glucose
    np.maximum(bodies["liver_mmol_min"], 1.3 * bodies["brain_mmol_min"], out=bodies["liver_mmol_min"])
    for name in ("transport", "disposal", "production"):
        bodies[name] *= plans["sensitivity"]
    bodies["dawn"] = plans["dawn"]
    bodies["now_sensitivity"] = 1.0
    fasting = (plans["fasting_mg_dl"] + plans["fasting_sd_mg_dl"] * spreads[:, -2]) / MG_DL_PER_MMOL_L
    rest(bodies, fasting, plans["secretion"])
    return bodies


def rest(bodies: NDArray[np.void], fasting_mmol_l: NDArray[np.float64], secretion: NDArray[np.float32]) -> None:
    """Give bodies (n,) the insulin that holds them at a fasting glucose (n,), and put them into that steady state.

    Where `secretion` is 0 a pump gives it; else beta cells do, and their threshold is set.
    """
    insulin = _fasting_insulin(bodies, fasting_mmol_l)
    supply = _KE * insulin * bodies["insulin_l"]
    own = secretion > 0.0
    bodies["secretion_mu_min"] = secretion * bodies["weight_kg"]
    bodies["basal_mu_min"] = np.where(own, 0.0, supply)
    bodies["threshold_mmol_l"] = fasting_mmol_l - supply / np.where(own, bodies["secretion_mu_min"], np.inf)
    bodies["s1_mu"] = bodies["s2_mu"] = bodies["basal_mu_min"] * bodies["depot_min"]
    bodies["insulin_mu_l"] = insulin
    for state, trait in (("x1", "transport"), ("x2", "disposal"), ("x3", "production")):
        bodies[state] = bodies[trait] * insulin
    bodies["q1_mmol"] = fasting_mmol_l * bodies["distribution_l"]
    bodies["q2_mmol"] = bodies["x1"] * bodies["q1_mmol"] / (_K12 + bodies["x2"])
    bodies["interstitial_mmol_l"] = fasting_mmol_l
    _set_doses(bodies, insulin)


def _fasting_insulin(bodies: NDArray[np.void], glucose_mmol_l: NDArray[np.float64]) -> NDArray[np.float64]:
    """Plasma insulin (n,) in mU/L at which all derivatives are zero: the positive root of a quadratic.

    From EGP0(1 - SIE·I) = F + Q1·SIT·SID·I² / (k12 + SID·I), with F what brain and kidneys take.
    """
    brain = bodies["brain_mmol_min"] * np.minimum(1.0, glucose_mmol_l / _BRAIN_SATED_MMOL_L)
    kidney = _KIDNEY_PER_MIN * np.maximum(0.0, glucose_mmol_l - _KIDNEY_MMOL_L) * bodies["distribution_l"]
    liver, disposal, production = bodies["liver_mmol_min"], bodies["disposal"], bodies["production"]
    surplus = np.maximum(liver - brain - kidney, 0.05 * liver)
    a = liver * production * disposal + glucose_mmol_l * bodies["distribution_l"] * bodies["transport"] * disposal
    b = liver * production * _K12 - surplus * disposal
    root: NDArray[np.float64] = (np.sqrt(b * b + 4.0 * a * surplus * _K12) - b) / (2.0 * a)
    return root


def _set_doses(bodies: NDArray[np.void], insulin_mu_l: NDArray[np.float64]) -> None:
    """What a unit does to first order about the fasting state: an area of insulin times the slope of its effect."""
    area_per_u = 1000.0 / (_KE * bodies["insulin_l"])
    outflow = _K12 + bodies["disposal"] * insulin_mu_l
    slope = bodies["q1_mmol"] * bodies["transport"] * bodies["disposal"] * insulin_mu_l * (outflow + _K12) / outflow**2
    mmol_per_u = area_per_u * (slope + bodies["liver_mmol_min"] * bodies["production"])
    bodies["carbs_g_per_u"] = mmol_per_u / (_ABSORBED_SHARE * _MMOL_PER_G)
    bodies["mmol_l_per_u"] = mmol_per_u / bodies["distribution_l"]


def dawn_at(minute_of_day: float) -> float:
    """How far the dawn is on, 0 to 1."""
    return float(np.exp(-0.5 * ((minute_of_day - _DAWN_MINUTE) / _DAWN_WIDTH_MIN) ** 2))


@kernel
def advance(
    bodies: NDArray[np.void], dawn: float, minutes: int, steps_per_min: int, glucose_mg_dl: NDArray[np.float32]
) -> None:
    """Live through `minutes` and write the blood glucose at their end, (n,).

    Changes `bodies`: takes their inputs, then Euler steps. At one step a minute the error is below 1 mg/dL.
    """
    dt = 1.0 / steps_per_min
    for i in range(len(bodies)):
        body = bodies[i]
        _take_inputs(body)
        for _ in range(minutes * steps_per_min):
            _step(body, dawn, dt)
        glucose_mg_dl[i] = body.q1_mmol / body.distribution_l * MG_DL_PER_MMOL_L


@kernel
def _take_inputs(body: Any) -> None:
    body.d1_mmol += _ABSORBED_SHARE * _MMOL_PER_G * body.meal_g
    body.d2_mmol += _ABSORBED_SHARE * _MMOL_PER_G * body.rescue_g
    body.s1_mu += 1000.0 * body.bolus_u
    body.stomach_alcohol_g += body.drink_g
    body.meal_g = body.rescue_g = body.bolus_u = body.drink_g = 0.0


@kernel
def _step(body: Any, dawn: float, dt: float) -> None:
    """One Euler step of Hovorka's equations (and ours)."""
    q1, q2, x1, x2, x3, insulin = body.q1_mmol, body.q2_mmol, body.x1, body.x2, body.x3, body.insulin_mu_l
    glucose = q1 / body.distribution_l
    effort, after = body.effort_now_bpm, body.after_sport
    boost = 1.0 + _AFTER_SPORT_GAIN * after
    liver = max(0.0, 1.0 - x3) * (1.0 + body.dawn * dawn) * (1.0 - body.alcohol_effect)
    liver += _COUNTER_PER_MMOL_L * max(0.0, _COUNTER_MMOL_L - glucose)
    brain = body.brain_mmol_min * min(1.0, glucose / _BRAIN_SATED_MMOL_L)
    kidney = _KIDNEY_PER_MIN * max(0.0, glucose - _KIDNEY_MMOL_L) * body.distribution_l
    gut = body.d2_mmol / body.gut_min
    moved, back = x1 * boost * q1, _K12 * q2
    taken = brain + kidney + _EFFORT_UPTAKE * effort * q1
    body.q1_mmol = q1 + dt * (body.liver_mmol_min * liver + gut + back - moved - taken)
    body.q2_mmol = q2 + dt * (moved - back - x2 * boost * q2)
    acting = insulin * body.now_sensitivity
    body.x1 = x1 + dt * _KA1 * (body.transport * acting - x1)
    body.x2 = x2 + dt * _KA2 * (body.disposal * acting - x2)
    body.x3 = x3 + dt * _KA3 * (body.production * acting - x3)
    under_skin = body.s1_mu / body.depot_min
    arriving = body.s2_mu / body.depot_min
    secreted = body.secretion_mu_min * max(0.0, glucose - body.threshold_mmol_l)
    body.insulin_mu_l = insulin + dt * ((arriving + secreted) / body.insulin_l - _KE * insulin)
    body.s1_mu += dt * (body.basal_mu_min - under_skin)
    body.s2_mu += dt * (under_skin - arriving)
    chewed = body.d1_mmol / body.gut_min
    body.d1_mmol -= dt * chewed
    body.d2_mmol += dt * (chewed - gut)
    body.interstitial_mmol_l += dt * (glucose - body.interstitial_mmol_l) / _INTERSTITIAL_MIN
    _step_sport(body, dt)
    _step_alcohol(body, dt)


@kernel
def _step_sport(body: Any, dt: float) -> None:
    effort, after = body.effort_now_bpm, body.after_sport
    hold = effort**4 / (effort**4 + _EFFORT_HALF_BPM**4)
    body.effort_now_bpm = effort + dt * (body.effort_bpm - effort) / _EFFORT_MIN
    body.after_sport = after + dt * (hold * (1.0 - after) / _AFTER_SPORT_RISE_MIN - after / _AFTER_SPORT_FALL_MIN)


@kernel
def _step_alcohol(body: Any, dt: float) -> None:
    stomach, blood = body.stomach_alcohol_g, body.alcohol_g
    cleared = _ALCOHOL_CLEARED_G_MIN * blood / (blood + _ALCOHOL_HALF_G)
    held_back = _ALCOHOL_STRENGTH * blood / (blood + _ALCOHOL_HALF_G)
    body.stomach_alcohol_g = stomach - dt * stomach / _ALCOHOL_GUT_MIN
    body.alcohol_g = blood + dt * (stomach / _ALCOHOL_GUT_MIN - cleared)
    body.alcohol_effect += dt * (held_back - body.alcohol_effect) / _ALCOHOL_EFFECT_MIN
