"""The engine's state as bytes and back: tidied, column by column, compressed with zstd."""

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.memory import aligned
from islet.engine.pool import END, LIMIT, UNIT
from islet.engine.reference import PatientReference, Reference
from islet.engine.series import SERIES
from islet.engine.state import Ended, EngineState, RuleName
from islet.errors import LogDamaged

VERSION: Final = 4
_SERIES_COLUMNS: Final = tuple(name for name in SERIES.names or () if name not in ("profile", "row", "first"))


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """An array: its type, its size in bytes, and its bytes under zstd."""

    dtype: str
    size: int
    data: bytes


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Saved(_Version, frozen=True, kw_only=True):
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
    columns: dict[str, _Column]


def dump(state: EngineState) -> bytes:
    """The state between two steps. The state is tidied, which changes nothing that it will ever say."""
    state.tidy()
    series = state.series[: len(state.patients)]
    used = int(state.heap[END]) * UNIT
    columns: dict[str, NDArray[Any]] = {name: series[name] for name in _SERIES_COLUMNS}
    columns["pool"] = state.pool[:used]
    columns["zones"] = state.reference.zones
    for name, ids in (("patients", state.patients), ("devices", state.devices)):
        ends, columns[f"{name}_text"] = ids.columns()
        columns[f"{name}_lengths"] = np.diff(ends)
    return msgspec.msgpack.encode(
        _Saved(
            version=VERSION,
            now_us=state.now_us,
            window_us=state.window_us,
            context_us=state.context_us,
            rules=state.rules,
            ended=state.ended,
            reference_version=state.reference.version,
            otherwise=state.reference.otherwise,
            patients=dict(state.reference.patients),
            zones=state.reference.zones.shape,
            heap=tuple(_anywhere(state.heap).tolist()),
            columns={name: _packed(column) for name, column in columns.items()},
        )
    )


def load(data: bytes, *, lateness_us: int, grace_us: int = 0) -> EngineState:
    """The state that was dumped. Raises LogDamaged for bytes that are not a state of this version."""
    try:
        version = msgspec.msgpack.decode(data, type=_Version).version
        if version != VERSION:
            raise LogDamaged(f"the engine's snapshot has version {version}, not {VERSION}; remove it to replay")
        saved = msgspec.msgpack.decode(data, type=_Saved)
        columns = {name: _unpacked(column) for name, column in saved.columns.items()}
    except (msgspec.MsgspecError, ValueError, TypeError, OSError) as error:
        raise LogDamaged(
            f"the engine's snapshot does not decode: {type(error).__name__}; remove it to replay"
        ) from None
    state = EngineState(lateness_us=lateness_us, grace_us=grace_us)
    state.now_us, state.window_us, state.context_us = saved.now_us, saved.window_us, saved.context_us
    state.rules, state.ended = saved.rules, saved.ended
    state.devices.numbers_of_text(_ends(columns["devices_lengths"]), columns["devices_text"])
    state.patients.numbers_of_text(_ends(columns["patients_lengths"]), columns["patients_text"])
    state.reference = Reference(
        version=saved.reference_version,
        otherwise=saved.otherwise,
        patients=saved.patients,
        zones=columns["zones"].reshape(saved.zones),
    )
    state.make_series(0)
    series = state.series[: len(state.patients)]
    for name in _SERIES_COLUMNS:
        series[name] = columns[name]
    state.pool = aligned(len(columns["pool"]) + len(columns["pool"]) // 16, np.dtype(np.uint32))
    state.pool[: len(columns["pool"])] = columns["pool"]
    state.heap[:] = saved.heap
    state.heap[LIMIT] = len(state.pool) // UNIT
    return state


def _anywhere(heap: NDArray[np.int64]) -> NDArray[np.int64]:
    """The heap without what only tells how much room there is."""
    heap = heap.copy()
    heap[LIMIT] = 0
    return heap


def _ends(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _packed(column: NDArray[Any]) -> _Column:
    raw = np.ascontiguousarray(column).view(np.uint8).reshape(-1)
    data = pa.compress(raw.data, codec="zstd", asbytes=True)
    return _Column(column.dtype.str, raw.nbytes, data)


def _unpacked(column: _Column) -> NDArray[Any]:
    raw = pa.decompress(column.data, decompressed_size=column.size, codec="zstd", asbytes=True)
    return np.frombuffer(raw, np.dtype(column.dtype))
