"""A shard of patients as a stream processor sees it: bytes of state and records in, bytes and documents out.

The only place where a driver for many machines meets the engine's state, step and snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import pyarrow as pa

from islet.engine.rules import Plan, Reference, Rule, plan
from islet.engine.snapshot import dump, load
from islet.engine.step import EngineState, step, tick
from islet.log.kafka_records import batch_of
from islet.model.batch import RECEIVED, int64_column
from islet.model.time import MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ShardRules:
    """What all shards work by; goes over the network to those who run them."""

    rules: tuple[Rule, ...]
    reference: Reference
    ring_readings: int
    lateness_us: int
    grace_us: int

    @classmethod
    def of(cls, rules: Sequence[Rule], reference: Reference, settings: Settings) -> Self:
        """Rules, who they look at, and the limits that the settings name."""
        return cls(
            rules=tuple(rules),
            reference=reference,
            ring_readings=settings.ring_readings,
            lateness_us=int(settings.lateness_min * MINUTE_US),
            grace_us=int(settings.silence_grace_s * SECOND_US),
        )

    @cached_property
    def plan(self) -> Plan:
        """The rules made ready; once in each process."""
        return plan(self.rules)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "plan"}


class Shard:
    """The engine's state for some patients."""

    def __init__(self, rules: ShardRules, saved: bytes | None) -> None:
        """As it was when it was saved; with nobody in it when it never was. Raises LogDamaged for other bytes."""
        self._rules = rules
        limits = {"lateness_us": rules.lateness_us, "grace_us": rules.grace_us}
        if saved is None:
            self._state = EngineState(ring_readings=rules.ring_readings, **limits)
        else:
            self._state = load(saved, ring_readings=rules.ring_readings, **limits)

    def take_in(self, values: Sequence[bytes]) -> list[pa.RecordBatch]:
        """The readings in records of the log, in its order (n values, at least one), and then a look at the clock;
        what follows as documents.

        The clock is the log's own: the newest `received_at_us` that came in. A backlog is so read without calling
        anybody silent, and the same records say the same whenever they are read. Where nothing comes in for a whole
        shard, nobody is called silent: then it is not the patients who are.
        """
        readings = batch_of(Topic.GLUCOSE_READINGS, values)
        now_us = int(int64_column(readings, RECEIVED.name).max())
        outputs = (
            step(self._state, readings, self._rules.reference, self._rules.plan),
            tick(self._state, now_us, self._rules.reference, self._rules.plan),
        )
        return [output.said.documents() for output in outputs if len(output.said)]

    def saved(self) -> bytes:
        """The state, to go on from."""
        return dump(self._state)
