"""What a report is made of: one person's readings, what they wrote down, and laboratory values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from functools import cached_property
from typing import Final

import numpy as np

from islet.metrics.people import DAY_US, People, person_of
from islet.model.events import AnyEvent, Hba1c, Reading
from islet.model.series import Series
from islet.model.time import EPOCH, to_us
from islet.model.units import glucose_tenths, glucose_unit

_RANGES: Final = {"below": -1, "within": 0, "above": 1}
_FIRST_DAY: Final = EPOCH.date()


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One person's readings and events in ascending order of time, and the zone of their clock; `label` is what their
    carers call them, "" where a report is to be without a name."""

    id: str
    label: str = ""
    series: Series
    events: tuple[AnyEvent, ...] = ()
    zone: tzinfo = UTC

    @cached_property
    def people(self) -> People:
        """The readings on their wall clock, as the metrics take them."""
        return person_of(self.series, zone=self.zone, id=self.id)

    def between(self, first: date, last: date) -> "Recorded":
        """Readings and events of whole days of the wall clock, both included."""
        begin_us, end_us = day_us(first), day_us(last) + DAY_US
        kept = (self.people.clock_us >= begin_us) & (self.people.clock_us < end_us)
        series, flags = self.series, self.series.in_mmol_l
        return replace(
            self,
            series=Series(
                time_us=series.time_us[kept],
                glucose_tenths=series.glucose_tenths[kept],
                range=series.range[kept],
                in_mmol_l=None if flags is None else flags[kept],
            ),
            events=tuple(one for one in self.events if begin_us <= self.clock_us(one.time) < end_us),
        )

    def clock_us(self, instant: datetime) -> int:
        """The wall clock at an instant, in µs as in `People`."""
        return to_us(instant.astimezone(self.zone).replace(tzinfo=UTC))

    def last_day(self) -> date | None:
        """The day of the newest reading, None without readings."""
        return None if not len(self.series) else day_of(int(self.people.clock_us.max()))


def day_us(day: date) -> int:
    """Midnight of a day of the wall clock, in µs."""
    return (day - _FIRST_DAY).days * DAY_US


def day_of(clock_us: int) -> date:
    """The day of a wall clock in µs."""
    return date.fromordinal(_FIRST_DAY.toordinal() + clock_us // DAY_US)


@dataclass(kw_only=True)
class _Readings:
    """The rows of a series while it is put together."""

    time_us: list[int] = field(default_factory=list)
    tenths: list[int] = field(default_factory=list)
    range: list[int] = field(default_factory=list)
    mmol: list[bool] = field(default_factory=list)


def recorded_of(
    events: Iterable[AnyEvent], *, id: str, label: str = "", zone: tzinfo | None = None, labs: Sequence[Hba1c] = ()
) -> Recorded:
    """The person of events in any order, as an importer gives them: readings of a sensor make the series, of two at
    one instant the first; fingersticks are left out. Without a `zone` it is the one that the readings' times are in.
    Raises BadInput for a reading that cannot be, as the decoder of devices does.
    """
    rows, others = _Readings(), list[AnyEvent](labs)
    own: tzinfo | None = None
    for one in events:
        if not isinstance(one, Reading):
            others.append(one)
        elif one.method == "cgm":
            own = own or one.time.tzinfo
            unit = glucose_unit(one.unit)
            rows.time_us.append(to_us(one.time))
            rows.tenths.append(glucose_tenths(one.value, unit))
            rows.range.append(_RANGES[one.range])
            rows.mmol.append(unit == "mmol/L")
    return Recorded(
        id=id,
        label=label,
        series=_series(rows),
        events=tuple(sorted(others, key=lambda one: one.time)),
        zone=zone or own or UTC,
    )


def _series(rows: _Readings) -> Series:
    time_us, first = np.unique(np.array(rows.time_us, np.int64), return_index=True)
    return Series(
        time_us=time_us,
        glucose_tenths=np.array(rows.tenths, np.int32)[first],
        range=np.array(rows.range, np.int8)[first],
        in_mmol_l=np.array(rows.mmol, np.bool_)[first],
    )
