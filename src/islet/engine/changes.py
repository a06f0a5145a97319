"""Changes of alerts: numbers as the kernel gives them, records for people, documents for the log.

The records are made only when somebody asks; a backlog of years is mostly counted and written.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.documents import AT, DEVICE, KIND, ONSET, PATIENT, REPLACED_BY, ROW, RULE, VALUE, documents
from islet.engine.ids import Ids
from islet.engine.said import KINDS
from islet.engine.series import NEVER
from islet.engine.state import RuleName
from islet.model.alerts import AlertChange, alert_id
from islet.model.batch import DOCUMENTS_SCHEMA, column_of, text_column

_OF_A_RECORD: Final = [KIND, RULE, ONSET, AT, DEVICE, VALUE, REPLACED_BY]


class Changes:
    """Changes (n,) in the order in which they are said. `patients` and `devices` only ever grow, so what stands here
    keeps its meaning."""

    def __init__(self, numbers: NDArray[np.int64], patients: Ids, devices: Ids, rules: Sequence[RuleName]) -> None:
        """`numbers`: (n, CHANGE_WIDTH), see `islet.engine.said`."""
        self._numbers, self._patients, self._devices, self._rules = numbers, patients, devices, rules

    def __len__(self) -> int:
        return len(self._numbers)

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        counts: list[int] = np.bincount(self._numbers[:, KIND], minlength=len(KINDS)).tolist()
        return dict(zip(KINDS, counts, strict=True))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Per change (n,), the row of the batch that caused it; -1 where it was the time."""
        return self._numbers[:, ROW]

    @cached_property
    def records(self) -> list[AlertChange]:
        """The changes as the model's records."""
        if len(self) == 0:
            return []
        patients = self._patients.texts(self._numbers[:, PATIENT])
        devices = self._devices.texts(np.maximum(self._numbers[:, DEVICE], 0))
        named = self._rules
        return [
            AlertChange(
                change=KINDS[kind],
                rule=named[rule].name,
                patient=patient,
                onset_us=onset_us,
                at_us=at_us,
                severity=named[rule].severity,
                device=device if number >= 0 else "",
                glucose_tenths=tenths if number >= 0 else None,
                replaced_by="" if replaced_by == NEVER else alert_id(named[rule].name, patient, replaced_by),
            )
            for patient, device, kind, rule, onset_us, at_us, number, tenths, replaced_by in zip(
                patients, devices, *self._numbers.T[_OF_A_RECORD].tolist(), strict=True
            )
        ]

    def documents(self) -> pa.RecordBatch:
        """The changes as rows of DOCUMENTS_SCHEMA, for the alerts topic."""
        patients, kinds, bodies = documents(self._numbers, self._patients, self._devices, self._rules)
        by_nobody = _nothing(len(self))
        times = column_of(np.ascontiguousarray(self._numbers[:, AT]))
        return pa.RecordBatch.from_arrays([patients, by_nobody, times, kinds, bodies], schema=DOCUMENTS_SCHEMA)


@lru_cache(maxsize=8)
def _nothing(count: int) -> "pa.StringArray":
    """Texts (count,) without letters."""
    return text_column(np.zeros(count + 1, np.int32), np.empty(0, np.uint8))
