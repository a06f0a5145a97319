"""People of a demonstration: physiology, sensors and days, seeded and reproducible. Pure."""

from islet.simulate.population import Population, Tick, care_events, make_population, tick
from islet.simulate.profiles import PROFILES

__all__ = ["PROFILES", "Population", "Tick", "care_events", "make_population", "tick"]
