"""All that the engine remembers of one stream."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.engine.adopt import move, move_rules, tidy
from islet.engine.frontmatter import Rule
from islet.engine.ids import Ids, Pairs
from islet.engine.memory import aligned, forget
from islet.engine.pool import BEGIN, END, FROM, GIVEN_BACK, LIMIT, ROOM, UNIT, UPTO, new_heap
from islet.engine.program import Features, Program
from islet.engine.reference import ERASED, PatientReference, Reference
from islet.engine.series import LONGEST_HORIZON_US, NEVER, SERIES, UNTOUCHED, Bounds, Memory, Profiles
from islet.engine.windows import Windows, windows_of
from islet.model.ahead import EATEN_US, LOOKS_BACK_US, Corrections, Foreteller, corrections
from islet.model.alerts import Severity

_UNITS_A_PATIENT: Final = 2
_SPARE: Final = 16
_LEAST: Final = 1 << 25
"""Memory reserves so many times what is in use, a pool this many units: room to tidy into, and hardly ever to be copied
because it grew. What is not touched costs nothing."""
_AHEAD: Final = 1 << 20
"""At most so many units (32 MB) of a pool are made ready before they are needed, and half of what is in use."""
_WORTH_IT: Final = 3
"""A pool is tidied when one unit in so many lies in a block that was given back."""
_AT_ONCE: Final = 64
_ROWS: Final = 32
_MOST_AT_ONCE: Final = 2_048
"""A step tidies that many series and one for so many of its rows, some milliseconds' worth at most."""
_NOBODY: Final = Reference(otherwise=PatientReference(mask=0))


class Ruled(Protocol):
    """What a state needs of a plan of one stream (`islet.engine.rules.StreamPlan`)."""

    @property
    def rules(self) -> tuple[Rule, ...]: ...

    @property
    def features(self) -> Features: ...

    @property
    def program(self) -> Program: ...

    @property
    def foreteller(self) -> Foreteller | None: ...


class RuleName(NamedTuple):
    """A rule as the state remembers it: enough to end its alerts when it is no more."""

    name: str
    severity: Severity


class Ended(NamedTuple):
    """An alert that ran when its rule was taken out of the plan; the next tick says that it is over."""

    rule: RuleName
    patient: int
    onset_us: int


class EngineState:
    """Series, pool and ids. Whoever changes it between steps keeps to `adopt` and `tidy`."""

    def __init__(self, *, lateness_us: int, grace_us: int = 0) -> None:
        """`lateness_us`: how far behind the newest a reading still revises. `grace_us`: how long after a reading came
        in nobody is called silent."""
        self.lateness_us = lateness_us
        self.grace_us = grace_us
        self.now_us = NEVER  # the last tick
        self.said = 0  # changes of the last step
        self.window_us = 0  # how far back values and context matter, by the plan
        self.context_us = 0
        self.rules: tuple[RuleName, ...] = ()
        self.ended: list[Ended] = []
        self._program: Program | None = None
        self.windows: Windows  # of the plan
        self.reference = _NOBODY
        self._parameters = 0  # columns that the plan asks for
        self._rows = {_NOBODY.otherwise: 0}  # the profiles
        self._profile_of: dict[str, int] = {}
        self._erased = -1  # the profile of those who are to be forgotten; -1 where nobody is
        self.profiles = _profiles([_NOBODY.otherwise], _NOBODY, 0)
        self.corrections: Corrections | None = None  # of the profiles
        self.patients = Ids()
        self.devices = Ids(hashed=True)
        self.pairs = Pairs(self.patients, self.devices)
        self.series: NDArray[np.void] = aligned(0, SERIES)
        self.pool = _words(UNIT)
        self.heap = new_heap(UNIT)
        self._tidied = range(0)  # series that this round of tidying has to move yet
        self._touched = 0  # units of the pool from which on nothing was ever used
        self._ready = 0  # units of the pool up to which the memory behind the end was asked for

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.lateness_us, self.window_us + self.lateness_us, self.context_us, self.now_us)

    @property
    def memory(self) -> Memory:
        """For a kernel, which gives the pool back."""
        return Memory(self.series, self.pool, self.heap, self.devices.hashes, self.profiles, self.bounds)

    @property
    def nbytes(self) -> int:
        """Memory that is used, the ids included."""
        heap = self.heap
        own = SERIES.itemsize * len(self.patients) + 4 * UNIT * int(heap[END] - heap[BEGIN] + heap[UPTO] - heap[FROM])
        lines = 0 if self.corrections is None else self.corrections.lines.nbytes
        return own + lines + self.patients.nbytes + self.devices.nbytes

    def adopt(self, plan: Ruled, reference: Reference) -> None:
        """Work by this plan and reference from now on. Bits follow their rule's name; a new rule begins with nothing;
        alerts of a rule that is no more end with the next tick."""
        if plan.program is not self._program:
            self._take_over(plan)
        too_few = self._parameters > self.profiles.parameters.shape[1]
        if reference is self.reference and not too_few:
            return
        few = None if too_few else reference.changed_since(self.reference.version)
        same = not too_few and reference.is_same(self.reference)
        self.reference = reference
        if few is not None and ERASED not in few.values():
            self._change_profiles(few)
        elif not same:
            self._look_up_profiles(0)
            self.forget_erased()

    def _take_over(self, plan: Ruled) -> None:
        windows = windows_of(plan.features, plan.program.registers, foretold=plan.foreteller is not None)
        window_us, context_us = windows.longest_us, plan.features.context_us
        if plan.foreteller is not None:
            window_us, context_us = max(window_us, LOOKS_BACK_US), max(context_us, EATEN_US)
        if max(window_us, context_us) + self.lateness_us > LONGEST_HORIZON_US:
            raise ValueError(f"windows and lateness: expected at most {LONGEST_HORIZON_US} µs together")
        rules = tuple(RuleName(rule.name, rule.severity) for rule in plan.rules)
        if rules != self.rules:
            self._move_rules(rules)
        self.window_us, self.context_us = window_us, context_us
        self.windows = windows
        self._parameters = int(plan.program.parameters[:, 0].max(initial=-1)) + 1
        self._program = plan.program

    def make_series(self, before: int) -> None:
        """A series for each patient that is new; there were `before`."""
        count = len(self.patients)
        if count > len(self.series):
            self.reserve(count)
        if count > before:
            self.series[before:count] = _blank(0)
            self._look_up_profiles(before)

    def reserve(self, patients: int) -> None:
        """Room for that many patients."""
        series = aligned(_SPARE * patients, SERIES)
        known = self.series.view(np.uint8)  # NumPy copies records by field
        series.view(np.uint8)[: len(known)] = known
        self.series = series
        self._make_room(_UNITS_A_PATIENT * (patients - len(self.patients)))

    def make_room(self, rows: int) -> None:
        """Room in the pool for what that many rows usually need; a kernel makes more when it has to."""
        self._make_room(rows)
        heap = self.heap
        if not self._tidied and heap[GIVEN_BACK] * _WORTH_IT > max(heap[END] - heap[BEGIN], ROOM):
            self.begin_to_tidy()
        if self._tidied:
            self.go_on_tidying(min(_AT_ONCE + rows // _ROWS, _MOST_AT_ONCE))

    def growth(self) -> NDArray[np.uint32] | None:
        """The words that blocks will come from next, where their memory has yet to be found; once for each."""
        heap = self.heap
        end = int(heap[END])
        limit, used = int(heap[LIMIT]), end - int(heap[BEGIN]) + int(heap[UPTO] - heap[FROM])
        ahead = min(_AHEAD, used // 2)
        if min(end + ahead // 2, limit) <= self._ready:
            return None
        begin, self._ready = max(end, self._ready), min(end + ahead, limit)
        self._touched = max(self._touched, self._ready)
        return self.pool[UNIT * begin : UNIT * self._ready]

    def fill_pool(self, heap: NDArray[np.int64], words: NDArray[np.uint32]) -> None:
        """What another pool had from the first to the last unit in use (of `heap`, which is not being tidied)."""
        begin, end = int(heap[BEGIN]), int(heap[END])
        self.pool = _words(UNIT * max(_LEAST, _SPARE * (end - begin), end), UNIT * end)
        self.pool[UNIT * begin : UNIT * end] = words
        self.heap, self._tidied, self._touched, self._ready = heap, range(0), 0, 0
        heap[LIMIT] = len(self.pool) // UNIT

    def tidy(self) -> None:
        """Forget what is not needed any more, and put what stays side by side, at the pool's begin."""
        live = self._live() + ROOM
        into = _words(UNIT * max(_LEAST, _SPARE * live), UNIT * 2 * live)
        heap = new_heap(len(into))
        self.pool = tidy(self.memory, len(self.patients), into, heap)
        self.heap, self._tidied, self._touched, self._ready = heap, range(0), 0, 0

    def forget_free(self) -> None:
        """Give memory around what is used back to the system. A round of tidying leaves it, as the next one may want it:
        to touch memory anew takes much longer than to use it again."""
        if not self._tidied:
            forget(self.pool, UNIT, UNIT * int(self.heap[BEGIN]))
            forget(self.pool, UNIT * int(self.heap[END]), UNIT * self._touched)
            self._touched = self._ready = 0

    def _live(self) -> int:
        """Units that are in use, at most."""
        heap = self.heap
        return int(heap[END] - heap[BEGIN] - heap[GIVEN_BACK] + heap[UPTO] - heap[FROM])

    def _make_room(self, units: int) -> None:
        heap, end = self.heap, int(self.heap[END]) + units
        if end <= heap[LIMIT] or heap[END] <= heap[FROM]:  # a kernel goes on behind what is being moved
            return
        begin, used = int(min(heap[BEGIN], heap[FROM] or heap[BEGIN])) * UNIT, int(heap[END]) * UNIT
        pool = _words(UNIT * max(_LEAST, _SPARE * (self._live() + units), end + units), UNIT * (end + units))
        pool[begin:used] = self.pool[begin:used]
        self.pool, self._ready = pool, 0
        heap[LIMIT] = len(pool) // UNIT

    def begin_to_tidy(self) -> None:
        """Have new blocks come from elsewhere, from the pool's begin where that is free, until all series are moved."""
        begin, need = int(self.heap[BEGIN]), self._live() * 5 // 4 + ROOM
        if begin > need:
            heap = new_heap(UNIT * begin)
        else:
            self._make_room(need)
            heap = new_heap(len(self.pool), int(self.heap[END]))
        heap[FROM], heap[UPTO] = begin, self.heap[END]
        self.heap, self._tidied, self._ready = heap, range(len(self.patients)), 0

    def go_on_tidying(self, count: int) -> None:
        """Move that many series more; what they leave is free when all are moved."""
        heap, some = self.heap, self._tidied[:count]
        self.pool = move(self.memory, some.start, some.stop)
        self._tidied = self._tidied[count:]
        if self._tidied:
            return
        begin, end = int(heap[FROM]), int(heap[UPTO])
        self._touched = max(self._touched, end)
        if heap[BEGIN] < begin < heap[END]:  # the new blocks lie on both sides
            heap[GIVEN_BACK] += end - begin
        heap[FROM] = heap[UPTO] = 0
        heap[LIMIT] = len(self.pool) // UNIT

    def _move_rules(self, rules: tuple[RuleName, ...]) -> None:
        place_of = {rule.name: place for place, rule in enumerate(rules)}
        places = np.array([place_of.get(rule.name, -1) for rule in self.rules], np.int64)
        self.pool, ended = move_rules(self.memory, len(self.patients), places)
        self.ended += [Ended(self.rules[rule], patient, onset) for rule, patient, onset in ended.tolist()]
        self.rules = rules

    def forget_erased(self) -> None:
        """Of those whom the reference calls erased keep nothing but the id, here and in the pool: also of entries that came
        later, from before the erasure."""
        if self._erased < 0:
            return
        series = self.series[: len(self.patients)]
        anything = (series["run"] | series["episodes"] | series["context"]) != 0
        gone = np.flatnonzero(anything & (series["profile"] == self._erased))
        if not len(gone):
            return
        series[gone] = _blank(self._erased)
        numbers = set(gone.tolist())
        self.ended = [one for one in self.ended if one.patient not in numbers]
        self.tidy()

    def _look_up_profiles(self, begin: int) -> None:
        """Set the profiles of the patients from number `begin` on."""
        reference = self.reference
        if begin == 0:
            rows = dict.fromkeys([reference.otherwise, *reference.patients.values()])
            self._rows = {row: place for place, row in enumerate(rows)}
            self._profile_of = {patient: self._rows[row] for patient, row in reference.patients.items()}
            self._erased = self._rows.get(ERASED, -1)
            self._set_profiles()
        mine = self.series["profile"][begin : len(self.patients)]
        if not self._profile_of:
            mine[:] = 0
            return
        texts = self.patients.texts(np.arange(begin, len(self.patients)))
        mine[:] = [self._profile_of.get(text, 0) for text in texts]

    def _change_profiles(self, changed: Mapping[str, PatientReference]) -> None:
        """Set those of a few patients; rows that nobody has any more stay until all are looked up."""
        if not changed:
            return
        new = [row for row in dict.fromkeys(changed.values()) if row not in self._rows]
        self._rows |= {row: place for place, row in enumerate(new, len(self._rows))}
        if new:
            self._set_profiles()
        profiles = {patient: self._rows[row] for patient, row in changed.items()}
        self._profile_of |= profiles
        numbers = self.patients.find(list(profiles))
        known = numbers >= 0
        self.series["profile"][numbers[known]] = np.array(list(profiles.values()))[known]

    def _set_profiles(self) -> None:
        """The kernels' tables of the rows."""
        self.profiles = _profiles(list(self._rows), self.reference, self._parameters)
        self.corrections = corrections([row.lines for row in self._rows])


def _blank(profile: int) -> NDArray[np.void]:
    """The series of a patient of whom nothing has come."""
    blank = np.zeros((), SERIES)
    blank["newest_us"] = blank["received_us"] = NEVER
    blank["first"], blank["profile"] = UNTOUCHED, profile
    return blank


def _words(most: int, least: int = 0) -> NDArray[np.uint32]:
    """A pool, smaller where the system does not let one reserve what one may never use."""
    try:
        return aligned(most, np.dtype(np.uint32))
    except OSError:
        return aligned(max(least, 1), np.dtype(np.uint32))


def _profiles(rows: Sequence[PatientReference], reference: Reference, parameters: int) -> Profiles:
    """The kernels' table. Raises ValueError where a rule would look at a patient of whom a parameter is missing."""
    width = max([parameters, *(len(row.parameters) for row in rows)])
    if any(row.mask and len(row.parameters) < width for row in rows):
        raise ValueError(f"reference: expected {width} parameters for each patient at whom a rule looks")
    rows = [replace(row, parameters=(*row.parameters, *[0] * (width - len(row.parameters)))) for row in rows]
    return Profiles(
        np.array([row.mask for row in rows], np.int64),
        np.array([row.parameters for row in rows], np.int64).reshape(len(rows), width),
        np.array([row.zone for row in rows], np.int64),
        np.array(reference.zones, np.int64, order="C"),  # one that may be written to, or the kernels are compiled anew
    )
