"""What the engine said of some entries, until that is durable; and what it has done so far."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from islet.engine.shard import Taken
from islet.model.time import SECOND_US
from islet.model.topics import Topic


class Said:
    """Something said, and what is true once it is durable: the offsets up to which entries count as taken in, and the
    instant of the last tick."""

    def __init__(self, taken: Taken, offsets: dict[Topic, list[int]], tick_us: int) -> None:
        self.offsets, self.tick_us, self.durable_us = offsets, tick_us, 0
        self._received_us = taken.received_us

    def durable_at(self, now_us: int) -> None:
        self.durable_us = now_us

    def waited_s(self, durable_us: int) -> Iterator[float]:
        """For each change that an entry caused, the time since the entry was received."""
        for received_us in self._received_us:
            for instant_us in received_us.tolist():
                yield (durable_us - instant_us) / SECOND_US


@dataclass(kw_only=True, slots=True)
class Counters:
    """What the engine has done since it started (replay after a restart not counted)."""

    readings: int = 0
    evaluations: int = 0
    duplicates: int = 0
    conflicts: int = 0
    history: int = 0
    overflows: int = 0
    opened: int = 0
    cleared: int = 0
    retracted: int = 0
    snapshots: int = 0
    snapshot_bytes: int = 0

    def add(self, taken: Taken) -> None:
        self.history += taken.long_ago
        for output in taken.outputs:
            self.readings += output.readings
            self.evaluations += output.evaluations
            self.duplicates += output.duplicates
            self.conflicts += output.conflicts
            self.history += output.history
            self.overflows += output.overflows
            for kind, count in output.said.counts().items() if len(output.said) else ():
                setattr(self, kind, getattr(self, kind) + count)

    def counts(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}
