"""One person's glucose by the hour: what nightly jobs read, as it is a hundred times less than the readings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOURS: int = 24
"""Hours of a day on the clock; a day on which the clock is changed has two of one hour, or one less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """Sums over the readings of each hour in ascending order; hours without a reading are absent.

    hour (n,) int64, hours since 1970-01-01 00:00 on the clock that was asked for (a person's local one); readings (n,)
    int64; sum_tenths and sum_squares (n,) int64, of glucose in tenths of mg/dL; below_70 and above_180 (n,) int64, how
    many readings lay outside of 70 to 180 mg/dL (3.9 to 10.0 mmol/L, by the unit that was sent). Every sensor counts, fingersticks do not.
    """

    hour: NDArray[np.int64]
    readings: NDArray[np.int64]
    sum_tenths: NDArray[np.int64]
    sum_squares: NDArray[np.int64]
    below_70: NDArray[np.int64]
    above_180: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.hour)

    @property
    def day(self) -> NDArray[np.int64]:
        """The day (n,) of each hour, days since 1970-01-01 on the same clock."""
        return self.hour // HOURS


COLUMNS: tuple[str, ...] = ("hour", "readings", "sum_tenths", "sum_squares", "below_70", "above_180")


def hours_of(columns: NDArray[np.int64]) -> Hours:
    """Hours from a table (n, 6) in the order of COLUMNS."""
    return Hours(**dict(zip(COLUMNS, np.ascontiguousarray(columns.T), strict=True)))


def joined_hours(pieces: list[Hours]) -> Hours:
    """Pieces that follow each other as one; of no pieces, no hours."""
    if not pieces:
        return hours_of(np.empty((0, len(COLUMNS)), np.int64))
    return Hours(**{name: np.concatenate([getattr(one, name) for one in pieces]) for name in COLUMNS})
