"""Many people at once: make them, and let an interval of time pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from islet.model.events import AnyEvent, Exercise, Insulin, Meal
from islet.model.time import MINUTE_US, from_us
from islet.simulate.chance import PERSON, SENSOR, keys, traits
from islet.simulate.day import DRINK_CARBS_G, Act, acts_buffer, live, make_days
from islet.simulate.person import SPREADS, advance, dawn_at, make_bodies
from islet.simulate.profiles import PROFILE, PROFILES, plans
from islet.simulate.sensor import NoiseFilter, make_sensors, measure, noise_filter

_DAY_MIN = 1440
_STEPS_PER_MIN = 1


@dataclass(kw_only=True, slots=True)
class Population:
    """n people, their sensors and their days. `tick` changes the arrays in place.

    profile (n,) int8 is the index into `profiles`; bodies, days and sensors are records of BODY, DAY and SENSOR, (n,);
    plans has one record of PLAN per profile. `time_us` is how far they have lived.
    """

    profiles: tuple[str, ...]
    profile: NDArray[np.int8]
    plans: NDArray[np.void]
    bodies: NDArray[np.void]
    days: NDArray[np.void]
    sensors: NDArray[np.void]
    noise: NoiseFilter
    time_us: int
    interval_min: int

    def __len__(self) -> int:
        return len(self.profile)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """What came of one interval.

    At its end, `time_us`: glucose_mg_dl (n,) float32, the truth in blood; cgm_mg_dl (n,) float32, what the sensor
    shows, whole mg/dL, NaN where it shows nothing; range (n,) int8: -1 the sensor says LOW, 1 HIGH, 0 a value.
    At its start, `acts_us`: acts (k,), records of ACTS: who did what and how much, in the order of persons.
    """

    time_us: int
    glucose_mg_dl: NDArray[np.float32]
    cgm_mg_dl: NDArray[np.float32]
    range: NDArray[np.int8]
    acts_us: int
    acts: NDArray[np.void]


def make_population(
    n: int, seed: int, *, profiles: Sequence[str] = PROFILES, start_us: int, interval_min: int = 3
) -> Population:
    """n people of `profiles` in turn, at rest and fasting at `start_us`, with sensors that read every `interval_min`.

    Person i depends on the seed, the profiles, the start and i, not on n. They come to the middle of their lives
    after about a day. Raises KeyError for an unknown profile.
    """
    profile = (np.arange(n) % len(profiles)).astype(np.int8)
    plan = plans(tuple(PROFILE[name] for name in profiles))
    minute = start_us // MINUTE_US
    persons = keys(seed, PERSON, n)
    return Population(
        profiles=tuple(profiles),
        profile=profile,
        plans=plan,
        bodies=make_bodies(plan[profile], traits(persons, SPREADS)),
        days=make_days(persons, profile, plan, minute),
        sensors=make_sensors(keys(seed, SENSOR, n), minute),
        noise=noise_filter(interval_min),
        time_us=start_us,
        interval_min=interval_min,
    )


def tick(population: Population) -> Tick:
    """Let one interval pass for everybody. Changes the population; O(n), about 0.2 µs a person."""
    n = len(population)
    start_us = population.time_us
    minute, minutes = start_us // MINUTE_US, population.interval_min
    glucose, cgm, beyond = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int8)
    acts = acts_buffer(n)
    count = live(population.days, population.plans, population.bodies, minute, minutes, acts)
    advance(population.bodies, dawn_at(minute % _DAY_MIN), minutes, _STEPS_PER_MIN, glucose)
    measure(population.sensors, population.bodies, minute + minutes, population.noise, cgm, beyond)
    population.time_us = start_us + minutes * MINUTE_US
    return Tick(
        time_us=population.time_us,
        glucose_mg_dl=glucose,
        cgm_mg_dl=cgm,
        range=beyond,
        acts_us=start_us,
        acts=acts[:count].copy(),
    )


def care_events(tick: Tick) -> Iterator[tuple[int, AnyEvent]]:
    """The acts of a tick as (person, event), as a person would have entered them."""
    time = from_us(tick.acts_us)
    for person, act, amount in tick.acts.tolist():
        match Act(act):
            case Act.MEAL:
                yield person, Meal(time=time, carbs_g=amount)
            case Act.RESCUE:
                yield person, Meal(time=time, carbs_g=amount, text="fast carbs against a low")
            case Act.DRINK:
                yield person, Meal(time=time, carbs_g=DRINK_CARBS_G, text=f"a drink with {amount:g} g of alcohol")
            case Act.BOLUS:
                yield person, Insulin(time=time, dose_u=amount, kind="bolus")
            case Act.CORRECTION:
                yield person, Insulin(time=time, dose_u=amount, kind="correction")
            case Act.EXERCISE:
                yield person, Exercise(time=time, duration_min=amount)
