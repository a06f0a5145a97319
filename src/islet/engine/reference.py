"""What the engine knows of patients beside their values: which rules look at them, their limits, their zone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

NO_ZONES: Final[NDArray[np.int64]] = np.zeros((1, 1, 2), np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientReference:
    """One patient: the bits of the rules that look at them, their parameters, and the number of their time zone.

    `parameters`: integers in fixed point, in the order of the plan's parameter columns. `lines`: what their forecasts are
    corrected by, as in `islet.model.ahead.corrections`; empty for nothing. `erased`: nobody looks at them, and what is
    remembered of them is forgotten.
    """

    mask: int
    parameters: tuple[int, ...] = ()
    zone: int = 0
    lines: bytes = b""
    erased: bool = False


ERASED: Final = PatientReference(mask=0, erased=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What tells a reference from the one before, of version `since`: those who differ, as they are now."""

    since: str
    patients: Mapping[str, PatientReference]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """All patients of one stream's plan; `otherwise` for those not named. Replaced as a whole when something changes.

    `zones` (z, k, 2): per time zone, ascending, from when on (µs since 1970, UTC) the local clock is how far ahead
    (µs); the first row holds for all time before too. Rows beyond a zone's last are copies of it. Number 0 is UTC.
    Two references with the same `version` are the same. `changes`: the last ones that led to this one, the newest last.
    """

    version: str = ""
    otherwise: PatientReference
    patients: Mapping[str, PatientReference] = field(default_factory=dict)
    zones: NDArray[np.int64] = field(default_factory=lambda: NO_ZONES, compare=False)
    changes: tuple[Change, ...] = field(default=(), compare=False, repr=False)

    @cached_property
    def erased(self) -> frozenset[str]:
        """The patients who are to be forgotten."""
        return frozenset(patient for patient, known in self.patients.items() if known.erased)

    def of(self, patient: str) -> PatientReference:
        return self.patients.get(patient, self.otherwise)

    def changed_since(self, version: str) -> Mapping[str, PatientReference] | None:
        """Those who differ from the reference of that version, as they are now; None where that is not known."""
        if not version:
            return None
        if version == self.version:
            return {}
        found: dict[str, PatientReference] = {}
        for change in reversed(self.changes):
            found = {**change.patients, **found}
            if change.since == version:
                return found
        return None

    def is_same(self, other: "Reference") -> bool:
        """Whether they say the same; those with a version are known by it."""
        if self.version and other.version:
            return self.version == other.version
        return self == other and np.array_equal(self.zones, other.zones)
