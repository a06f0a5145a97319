"""The engine's state as bytes and back.

A state is copied between two steps, which takes as long as the memory does. The copy becomes pieces whenever there is
time, in any thread: a head, then column by column what they hold, a few MB at a time, compressed with zstd.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.ids import Known
from islet.engine.memory import Room
from islet.engine.pool import BEGIN, END, FROM, GIVEN_BACK, LIMIT, UNIT, UPTO
from islet.engine.reference import PatientReference, Reference
from islet.engine.series import MOST_READINGS, SERIES
from islet.engine.state import Ended, EngineState, RuleName
from islet.errors import LogDamaged

VERSION: Final = 6
_SERIES_COLUMNS: Final = tuple(name for name in SERIES.names or () if name not in ("profile", "row", "first"))
_PIECE_BYTES: Final = 1 << 22
"""Of a column in one piece, before it is compressed."""


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Head(_Version, frozen=True, kw_only=True):
    now_us: int
    window_us: int
    context_us: int
    rules: tuple[RuleName, ...]
    ended: list[Ended]
    reference_version: str
    otherwise: PatientReference
    patients: dict[str, PatientReference]
    zones: tuple[int, ...]
    heap: tuple[int, ...]
    columns: list[tuple[str, str, int]]
    """Name, type and size in bytes of each, in the order in which they follow."""


class StateCopy(NamedTuple):
    """A state as it was between two steps, which goes on without it."""

    now_us: int
    window_us: int
    context_us: int
    rules: tuple[RuleName, ...]
    ended: list[Ended]
    reference: Reference
    heap: NDArray[np.int64]
    series: NDArray[np.void]
    pool: NDArray[np.uint32]
    """From unit heap[BEGIN] to before heap[END]."""
    patients: Known
    devices: Known

    @property
    def nbytes(self) -> int:
        """Of memory that was copied."""
        return self.series.nbytes + self.pool.nbytes

    def pieces(self) -> Iterator[bytes]:
        """The copy as bytes."""
        columns: dict[str, NDArray[Any]] = {"pool": self.pool, "zones": self.reference.zones}
        columns |= {name: self.series[name] for name in _SERIES_COLUMNS}
        for name, ids in (("patients", self.patients), ("devices", self.devices)):
            ends, columns[f"{name}_text"] = ids.columns()
            columns[f"{name}_lengths"] = np.diff(ends)
        yield msgspec.msgpack.encode(
            _Head(
                version=VERSION,
                now_us=self.now_us,
                window_us=self.window_us,
                context_us=self.context_us,
                rules=self.rules,
                ended=self.ended,
                reference_version=self.reference.version,
                otherwise=self.reference.otherwise,
                patients=dict(self.reference.patients),
                zones=self.reference.zones.shape,
                heap=tuple(self.heap.tolist()),
                columns=[(name, column.dtype.str, column.nbytes) for name, column in columns.items()],
            )
        )
        for column in columns.values():
            raw = np.ascontiguousarray(column).view(np.uint8).reshape(-1)
            for begin in range(0, len(raw), _PIECE_BYTES):
                yield pa.compress(raw[begin : begin + _PIECE_BYTES].data, codec="zstd", asbytes=True)


def copied(state: EngineState, room: Room) -> StateCopy:
    """The state between two steps, which keeps no memory any more that it does not use."""
    state.forget_erased()
    state.forget_free()
    heap = _at_rest(state.heap)
    return StateCopy(
        now_us=state.now_us,
        window_us=state.window_us,
        context_us=state.context_us,
        rules=state.rules,
        ended=list(state.ended),
        reference=state.reference,
        heap=heap,
        series=room.copy(state.series[: len(state.patients)].view(np.uint8)).view(SERIES),  # else copied by field
        pool=room.copy(state.pool[heap[BEGIN] * UNIT : heap[END] * UNIT]),
        patients=state.patients.known,
        devices=state.devices.known,
    )


def _at_rest(heap: NDArray[np.int64]) -> NDArray[np.int64]:
    """The heap when it is not being tidied, without what only tells how much room there is."""
    heap = heap.copy()
    live = heap[END] - heap[BEGIN] - heap[GIVEN_BACK] + heap[UPTO] - heap[FROM]
    if heap[UPTO]:
        heap[BEGIN], heap[END] = min(heap[BEGIN], heap[FROM]), max(heap[END], heap[UPTO])
    heap[GIVEN_BACK] = heap[END] - heap[BEGIN] - live
    heap[[LIMIT, FROM, UPTO]] = 0
    return heap


def dump(state: EngineState) -> list[bytes]:
    """The state between two steps, the same for the same readings; it is tidied, which changes nothing that it will
    ever say."""
    state.tidy()
    return list(copied(state, Room()).pieces())


def load(pieces: Iterable[bytes], *, lateness_us: int, grace_us: int = 0) -> EngineState:
    """The state of which these are the (first) pieces. Raises LogDamaged for bytes that are not a state of this
    version."""
    pieces = iter(pieces)
    try:
        head, columns = _read(pieces)
    except (msgspec.MsgspecError, ValueError, TypeError, OSError, StopIteration) as error:
        raise LogDamaged(
            f"the engine's snapshot does not decode: {type(error).__name__}; remove it to replay"
        ) from None
    state = EngineState(lateness_us=lateness_us, grace_us=grace_us)
    state.now_us, state.window_us, state.context_us = head.now_us, head.window_us, head.context_us
    state.rules, state.ended = head.rules, head.ended
    state.devices.numbers_of_text(_ends(columns["devices_lengths"]), columns["devices_text"])
    state.patients.numbers_of_text(_ends(columns["patients_lengths"]), columns["patients_text"])
    state.reference = Reference(
        version=head.reference_version,
        otherwise=head.otherwise,
        patients=head.patients,
        zones=columns["zones"].reshape(head.zones),
    )
    state.make_series(0)
    series = state.series[: len(state.patients)]
    for name in _SERIES_COLUMNS:
        series[name] = columns[name]
    if series["count"].max(initial=0) > MOST_READINGS:
        raise LogDamaged(f"the engine's snapshot has a run of more than {MOST_READINGS} readings; replay the log")
    state.fill_pool(np.array(head.heap, np.int64), columns["pool"])
    return state


def _read(pieces: Iterator[bytes]) -> tuple[_Head, dict[str, NDArray[Any]]]:
    first = next(pieces)
    version = msgspec.msgpack.decode(first, type=_Version).version
    if version != VERSION:
        raise LogDamaged(f"the engine's snapshot has version {version}, not {VERSION}; the log has to be replayed")
    head = msgspec.msgpack.decode(first, type=_Head)
    columns = {}
    for name, kind, size in head.columns:
        raw = np.empty(size, np.uint8)
        for begin in range(0, size, _PIECE_BYTES):
            part = raw[begin : begin + _PIECE_BYTES]
            text: bytes = pa.decompress(next(pieces), decompressed_size=len(part), codec="zstd", asbytes=True)
            part[:] = np.frombuffer(text, np.uint8)
        columns[name] = raw.view(np.dtype(kind))
    return head, columns


def _ends(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
