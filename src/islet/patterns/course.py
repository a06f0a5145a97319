"""A person's days on their own clock: glucose at even steps, and what they wrote down beside it; each made once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from islet.metrics.episodes import Episodes, episodes
from islet.metrics.grid import Grid, day_grid
from islet.metrics.people import People, person_of, wall_clock_us
from islet.metrics.ranges import Goals
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Medication, Note
from islet.model.time import DAY_US, EPOCH, HOUR_US, MINUTE_US, to_us
from islet.patterns.findings import Evidence, Kind, PersonDays

Floats = NDArray[np.float64]
_SUFFICIENT: Final = 0.7
"""Share of a stretch that has to have glucose for the stretch to count, as in the international consensus."""
_RESCUE_BEFORE_US: Final = 20 * MINUTE_US
_NIGHT_END_H: Final = 6
E_ = TypeVar("E_", bound=AnyEvent)


@dataclass(frozen=True, slots=True)
class Noted(Generic[E_]):
    """An event with its place on the person's wall clock (µs since 1970-01-01 of that clock)."""

    event: E_
    clock_us: int

    @property
    def time_us(self) -> int:
        """The instant."""
        return to_us(self.event.time)


@dataclass(frozen=True)
class Course:
    """`person` with the thresholds of `goals`. Everything is in wall clock, as `metrics.people.People` has it.

    What the grid is: `metrics.grid.Grid`, gaps of more than 45 min are NaN. Without two readings it is empty.
    """

    person: PersonDays
    goals: Goals

    @cached_property
    def people(self) -> People:
        """The person, as metrics take them."""
        return person_of(self.person.series, zone=self.person.zone, id=self.person.id)

    @cached_property
    def grid(self) -> Grid:
        """Even steps of the sensor's own distance; values are those that thresholds see (`same_side_mg_dl`)."""
        return day_grid(self.people.judged)

    @cached_property
    def step_us(self) -> int:
        """The distance of points; 0 where there is no grid."""
        return int(self.grid.step_min[0]) * MINUTE_US

    @property
    def glucose(self) -> Floats:
        """Glucose in mg/dL (m,), whole days, NaN where there is none."""
        return self.grid.glucose_mg_dl

    @cached_property
    def clock_us(self) -> NDArray[np.int64]:
        """The wall clock of each point (m,)."""
        return self.midnight_us + (np.arange(len(self.glucose), dtype=np.int64) + 1) * self.step_us

    @cached_property
    def midnight_us(self) -> int:
        """The begin of the first day."""
        return int(self.grid.midnight_us[0])

    @cached_property
    def day_count(self) -> int:
        """Days of the grid; the last may be without a value."""
        return 0 if self.step_us == 0 else len(self.glucose) * self.step_us // DAY_US

    @cached_property
    def by_day(self) -> Floats:
        """Glucose (days, points of a day)."""
        return self.glucose.reshape(self.day_count, -1) if self.day_count else np.empty((0, 1))

    @cached_property
    def full_days(self) -> NDArray[np.int64]:
        """Which days have glucose for at least 70 % of their points."""
        return np.flatnonzero(np.isfinite(self.by_day).mean(axis=1) >= _SUFFICIENT)

    def sums_by_day(self, *columns: NDArray[Any]) -> Floats:
        """Sums over the readings of each day (days with readings, columns), of columns (n,) by reading. What is made of all
        of them is what metrics make of the readings; the grid fills gaps and so differs a little."""
        _, day = np.unique(self.people.clock_us // DAY_US, return_inverse=True)
        return np.stack([np.bincount(day, column) for column in columns], axis=1)

    @cached_property
    def meals(self) -> tuple[Noted[Meal], ...]:
        """Everything eaten, carbs against a low included."""
        return tuple(self._noted(Meal))

    @cached_property
    def insulin(self) -> tuple[Noted[Insulin], ...]:
        """Insulin given."""
        return tuple(self._noted(Insulin))

    @cached_property
    def exercise(self) -> tuple[Noted[Exercise], ...]:
        """Bouts of exercise."""
        return tuple(self._noted(Exercise))

    @cached_property
    def medication(self) -> tuple[Noted[Medication], ...]:
        """Drugs taken."""
        return tuple(self._noted(Medication))

    @cached_property
    def notes(self) -> tuple[Noted[Note], ...]:
        """What was written down otherwise."""
        return tuple(self._noted(Note))

    @cached_property
    def entries_us(self) -> NDArray[np.int64]:
        """The wall clock of everything that was written down (k,), ascending."""
        kinds = (self.meals, self.insulin, self.exercise, self.medication, self.notes)
        return np.sort(np.array([one.clock_us for noted in kinds for one in noted], np.int64))

    @cached_property
    def rescues(self) -> frozenset[int]:
        """Which of the meals (by index) were eaten in, or up to 20 min after, glucose below the range, or below 70 mg/dL
        where that begins lower (in pregnancy): what is eaten then is eaten against a low."""
        low = max(self.goals.low_mg_dl, 70.0)
        found = (
            index
            for index, meal in enumerate(self.meals)
            if np.any(self.values(meal.clock_us - _RESCUE_BEFORE_US, meal.clock_us) < low)
        )
        return frozenset(found)

    @cached_property
    def lows(self) -> Episodes:
        """Episodes below the range, of at least 15 min."""
        return episodes(self.grid, -self.goals.low_mg_dl)

    @cached_property
    def very_lows(self) -> Episodes:
        """Episodes below 54 mg/dL."""
        return episodes(self.grid, -54.0)

    @cached_property
    def highs(self) -> Episodes:
        """Episodes above the range."""
        return episodes(self.grid, self.goals.high_mg_dl)

    def values(self, from_us: int, to_us: int) -> Floats:
        """The glucose of points with from <= clock <= to, NaN among them; empty outside of the grid."""
        return self.glucose[self.places(from_us, to_us)]

    def places(self, from_us: int, to_us: int) -> slice:
        """The points with from <= clock <= to."""
        if self.step_us == 0:
            return slice(0, 0)
        first = -((self.midnight_us - from_us) // self.step_us) - 1
        last = (to_us - self.midnight_us) // self.step_us - 1
        return slice(max(0, first), max(0, last + 1))

    def known(self, from_us: int, to_us: int, share: float = _SUFFICIENT) -> Floats:
        """The glucose from <= clock <= to without gaps; empty where less than `share` of it is there."""
        if self.step_us == 0:
            return np.empty(0)
        values = self.values(from_us, to_us)
        kept = values[np.isfinite(values)]
        expected = max(1, (to_us - from_us) // self.step_us)
        return kept if len(kept) >= share * expected else kept[:0]

    def at(self, clock_us: int) -> float:
        """Glucose at a wall clock in mg/dL, linear between points; NaN where it is not known."""
        if self.step_us == 0:
            return float("nan")
        place = (clock_us - self.midnight_us) / self.step_us - 1.0
        left = int(np.floor(place))
        if left < 0 or left + 1 >= len(self.glucose):
            return float("nan")
        share = place - left
        value = (
            self.glucose[left] if share == 0.0 else self.glucose[left] * (1 - share) + self.glucose[left + 1] * share
        )
        return float(value)

    def nights(self) -> Iterator[tuple[int, int, Floats]]:
        """Each night, 00:00 to 06:00, with 70 % of its glucose: its begin and end on the clock, and its values."""
        for day in range(self.day_count):
            begin = self.midnight_us + day * DAY_US
            end = begin + _NIGHT_END_H * HOUR_US
            values = self.known(begin, end)
            if len(values):
                yield begin, end, values

    def instant_us(self, clock_us: int) -> int:
        """The instant at which the person's clock shows that; the first of two."""
        naive = EPOCH + timedelta(microseconds=clock_us)
        return to_us(naive.replace(tzinfo=self.person.zone))

    def stretch(self, kind: Kind, from_us: int, to_us: int, value: float, unit: str = "mg/dL") -> Evidence:
        """Evidence of a stretch of the wall clock."""
        begin, end = self.instant_us(from_us), self.instant_us(to_us)
        return Evidence(kind=kind, from_us=begin, to_us=end, value=round(value, 1), unit=unit)

    def episode(self, kind: Kind, found: Episodes, index: int) -> Evidence:
        """Evidence of an episode; the value is its extreme."""
        begin, end = int(found.begin_us[index]), int(found.end_us[index])
        return self.stretch(kind, begin, end, float(found.extreme_mg_dl[index]))

    def _noted(self, kind: type[E_]) -> Iterator[Noted[E_]]:
        chosen = sorted((one for one in self.person.events if isinstance(one, kind)), key=lambda one: one.time)
        clocks = wall_clock_us(np.array([to_us(one.time) for one in chosen], np.int64), self.person.zone)
        return (Noted(one, int(clock)) for one, clock in zip(chosen, clocks, strict=True))


def noted_evidence(
    kind: Kind, noted: Noted[E_], value: float | None = None, unit: str = "", text: str = ""
) -> Evidence:
    """Evidence of an event."""
    rounded = None if value is None else round(value, 1)
    return Evidence(kind=kind, from_us=noted.time_us, to_us=noted.time_us, value=rounded, unit=unit, text=text)
