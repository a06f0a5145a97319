"""A clinic over real parts: log in memory, encrypted store and registry on disk, a clock that stands until moved."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.alerts import Alert, AlertChange
from islet.model.batch import ReadingRow, readings_batch
from islet.model.codec import decode_change
from islet.model.people import Patient
from islet.model.time import DAY_US, HOUR_US, to_us
from islet.model.topics import Topic
from islet.store.follow import Follower
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore

KEY = bytes(range(32))
NIGHT_US = to_us(datetime(2026, 3, 2, 3, 0, tzinfo=UTC))
LAST_DAY = NIGHT_US // DAY_US - 1
"""The last day that is over, in UTC."""


class Clinic:
    """`days` puts hourly readings of somebody into the log, from which the store takes them."""

    def __init__(self, folder: Path) -> None:
        self.now_us = NIGHT_US
        self.log = MemoryLog(partitions=2)
        self.store = SqliteStore(folder / "store.db", KEY)
        self.registry = SqliteRegistry(folder / "store.db", KEY)
        self.commit = GroupCommit(self.log, self.now, within_s=0.0)
        self._follower = Follower(self.log, self.store)

    def now(self) -> int:
        return self.now_us

    def close(self) -> None:
        self.commit.close()
        self.registry.close()
        self.store.close()

    def add(self, patient: str, *, time_zone: str = "UTC") -> None:
        self.registry.put_patient(Patient(id=patient, time_zone=time_zone))

    def days(self, patient: str, mg_dl: NDArray[np.float64] | Sequence[float], *, last: int = LAST_DAY) -> None:
        """One reading an hour, `mg_dl` of each day (n,) or of each hour (n, 24), up to the end of the day `last` (UTC)."""
        table = np.asarray(mg_dl, np.float64)
        if table.ndim == 1:
            table = np.repeat(table[:, None], 24, axis=1)
        start_us = (last - len(table) + 1) * DAY_US
        rows = [
            ReadingRow(patient, "cgm", start_us + i * HOUR_US, round(value * 10), value, 0, 0, 0)
            for i, value in enumerate(table.ravel().tolist())
        ]
        self.commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(rows))])
        self.follow()

    def follow(self) -> None:
        while self._follower.run_once(0.0):
            pass

    def alerts(self, *, active_only: bool = True) -> list[Alert]:
        self.follow()
        return self.store.alerts(active_only=active_only)

    def said(self) -> list[AlertChange]:
        """All alert changes in the log."""
        changes = list[AlertChange]()
        for partition in range(self.log.partitions):
            offset = 0
            while (piece := self.log.read(Topic.ALERTS, partition, offset)) is not None:
                changes += [decode_change(str(body)) for body in piece.batch.column("body").to_pylist()]
                offset = piece.next_offset
        return changes
