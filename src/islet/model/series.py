"""One person's glucose over time: the only array type of metrics, forecasts and charts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Readings of one patient in ascending order of time, one per instant; gaps are simply absent rows.

    time_us (n,) int64 µs; glucose_tenths (n,) int32, tenths of mg/dL; range (n,) int8: -1 the sensor said LOW,
    1 HIGH, 0 a value. in_mmol_l (n,) bool: which were sent in mmol/L, None where that is not known. All are of one
    length, which may be 0.
    """

    time_us: NDArray[np.int64]
    glucose_tenths: NDArray[np.int32]
    range: NDArray[np.int8]
    in_mmol_l: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def glucose_mg_dl(self) -> NDArray[np.float64]:
        """Glucose (n,) in mg/dL."""
        return self.glucose_tenths / 10.0
