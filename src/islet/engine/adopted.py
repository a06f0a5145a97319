"""What the engine came to know of patients since its state was saved last, in one of the log's states.

A replay has to meet each entry with what was known when it was taken in. Where rules change, the state is saved before
anything else is taken in; but for each patient who gets another limit that would take seconds where there are a million.
So of few patients it is kept what they are known by from which entry on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import msgspec
import numpy as np
from msgspec import Struct

from islet.engine.reference import ERASED, Change, PatientReference, Reference
from islet.engine.references import FEW
from islet.engine.rules import Plan
from islet.log.base import Log
from islet.model.topics import Topic

ADOPTED: Final = "engine/adopted"
"""The state blob: a list of Adopted, the newest last."""
_MOST_BYTES: Final = 1 << 20
"""Of the list, which is written again with each; then the state is saved."""

ByStream = Mapping[str, Reference]


class InForce(Protocol):
    """Rules: `islet.engine.in_force.Rules`."""

    @property
    def plan(self) -> Plan: ...

    @property
    def references(self) -> ByStream: ...


class Rulebook(Protocol):
    """Knows which are in force: `islet.engine.rulebook.RuleBook`."""

    def current(self) -> InForce:
        """The same object until something changes."""

    def is_current(self, rules: InForce) -> bool:
        """Whether `current` would give these; must be quick."""


class Then:
    """The rules as they were when a state was saved."""

    def __init__(self, plan: Plan, references: ByStream) -> None:
        self.plan, self.references = plan, references


class Differing(Struct, frozen=True, kw_only=True):
    """A stream's patients who became known otherwise, from the reference of version `since` to that of `version`. `zones`:
    the bytes of its table of int64, `shape` its shape."""

    since: str
    version: str
    patients: dict[str, PatientReference]
    zones: bytes
    shape: tuple[int, ...]

    def applied_to(self, reference: Reference) -> Reference:
        """The reference with these. Raises ValueError where it is another one than that of before."""
        if reference.version != self.since:
            raise ValueError("expected the reference of before")
        return replace(
            reference,
            version=self.version,
            patients={**reference.patients, **self.patients},
            zones=np.frombuffer(self.zones, np.int64).reshape(self.shape),
            changes=(Change(since=self.since, patients=self.patients),),
        )


class Adopted(Struct, frozen=True, kw_only=True):
    """The `number`-th change, which came when entries up to `offsets` had been taken in, by partition, and the last look
    at the time was that of `tick_us`. `streams`: those that differ."""

    number: int
    offsets: dict[Topic, list[int]]
    tick_us: int
    streams: dict[str, Differing]

    def applied_to(self, references: ByStream) -> dict[str, Reference]:
        """The references with this change. Raises ValueError where they are not those of before."""
        changed = {name: one.applied_to(references[name]) for name, one in self.streams.items() if name in references}
        return {**references, **changed}


def differing(before: ByStream, now: ByStream) -> dict[str, Differing] | None:
    """By stream, what few patients became known by; None where that is not known, or is more, or somebody was erased."""
    if before.keys() != now.keys():
        return None
    found = {}
    for name, reference in now.items():
        if reference.is_same(before[name]):
            continue
        patients = reference.changed_since(before[name].version)
        if patients is None or len(patients) > FEW or ERASED in patients.values():
            return None
        found[name] = Differing(
            since=before[name].version,
            version=reference.version,
            patients=dict(patients),
            zones=np.ascontiguousarray(reference.zones).tobytes(),
            shape=reference.zones.shape,
        )
    return found


def is_same(before: ByStream, now: ByStream) -> bool:
    """Whether they say the same of everybody."""
    return before.keys() == now.keys() and all(one.is_same(before[name]) for name, one in now.items())


class Changes:
    """The list of one engine's log. `number`: of the next change; a state that is saved now has those before."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept = self._read()
        self.number = self._kept[-1].number + 1 if self._kept else 0

    def from_(self, number: int) -> Sequence[Adopted]:
        """Those that a state which was saved before change `number` does not have, in order."""
        self.number = max(self.number, number)
        return [one for one in self._kept if one.number >= number]

    def with_one(
        self, offsets: Mapping[Topic, list[int]], tick_us: int, streams: dict[str, Differing], *, saved: int
    ) -> bytes | None:
        """The list with another change, to be kept before it is adopted, and without those that the state has which was
        saved before change `saved`; None where it would be too long."""
        one = Adopted(number=self.number, offsets=dict(offsets), tick_us=tick_us, streams=streams)
        kept = [*(other for other in self._kept if other.number >= saved), one]
        blob = msgspec.msgpack.encode(kept)
        if len(blob) > _MOST_BYTES:
            return None
        self._kept, self.number = kept, self.number + 1
        return blob

    def forget(self) -> bool:
        """After a state was saved that has them all; whether there were any."""
        forgotten, self._kept = self._kept, []
        return bool(forgotten)

    def _read(self) -> list[Adopted]:
        try:
            return msgspec.msgpack.decode(self._log.state(ADOPTED) or b"\x90", type=list[Adopted])
        except msgspec.MsgspecError:  # of another version, as the saved state will be
            return []
