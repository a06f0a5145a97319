"""The engine's state as bytes and back: only what is used, column by column, compressed with zstd."""

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.rules import Reference
from islet.engine.step import EngineState
from islet.engine.windows import ENTRY
from islet.errors import LogDamaged

VERSION: Final = 1
_PATIENTS_AT_ONCE: Final = 10_000
_PATIENT_COLUMNS: Final = ("count", "evicted_us", "received_us", "base_active")
_ENTRY_COLUMNS: Final = ("time_us", "tenths", "device", "active")


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """An array: its type, its size in bytes, and its bytes under zstd."""

    dtype: str
    size: int
    data: bytes


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    now_us: int
    rule_names: tuple[str, ...]
    otherwise: int
    masks: dict[str, int]
    ring_readings: int
    columns: dict[str, _Column]


def dump(state: EngineState) -> bytes:
    """The state between two steps."""
    patients = len(state.patients)
    series = state.series[:patients]
    entries = _in_order(state.rings, series["head"], series["count"])
    columns: dict[str, NDArray[Any]] = {name: series[name] for name in _PATIENT_COLUMNS}
    columns |= {name: entries[name] for name in _ENTRY_COLUMNS}
    columns["time_us"] = np.diff(columns["time_us"], prepend=np.int64(0))
    columns["base_onset"] = state.base_onset[:patients]
    for name, ids in (("patients", state.patients), ("devices", state.devices)):
        columns[f"{name}_ends"], columns[f"{name}_text"] = ids.columns()
    return msgspec.msgpack.encode(
        _Saved(
            version=VERSION,
            now_us=state.now_us,
            rule_names=state.rule_names,
            otherwise=state.reference.otherwise,
            masks=dict(state.reference.masks),
            ring_readings=state.rings.shape[1],
            columns={name: _packed(column) for name, column in columns.items()},
        )
    )


def load(data: bytes, *, ring_readings: int, lateness_us: int, grace_us: int = 0) -> EngineState:
    """The state that was dumped, with the rings as long as asked for now (never shorter than what they hold).

    Raises LogDamaged for bytes that are not a state of this version.
    """
    try:
        saved = msgspec.msgpack.decode(data, type=_Saved)
        columns = {name: _unpacked(column) for name, column in saved.columns.items()}
    except (msgspec.MsgspecError, ValueError, TypeError, OSError) as error:
        raise LogDamaged(
            f"the engine's snapshot does not decode: {type(error).__name__}; remove it to replay"
        ) from None
    if saved.version != VERSION:
        raise LogDamaged(f"the engine's snapshot has version {saved.version}, not {VERSION}; remove it to replay")
    counts = columns["count"]
    size = max(ring_readings, int(counts.max(initial=0)))
    state = EngineState(ring_readings=size, lateness_us=lateness_us, grace_us=grace_us)
    state.now_us = saved.now_us
    state.rule_names = saved.rule_names
    state.base_onset = np.zeros((0, len(saved.rule_names)), np.int64)
    state.reference = Reference(otherwise=saved.otherwise, masks=saved.masks)
    state.devices.numbers_of_text(columns["devices_ends"], columns["devices_text"])
    state.patients.numbers_of_text(columns["patients_ends"], columns["patients_text"])
    state.make_series(0)
    _restore(state, columns, counts)
    return state


def _restore(state: EngineState, columns: dict[str, NDArray[Any]], counts: NDArray[np.int32]) -> None:
    patients = len(counts)
    series = state.series[:patients]
    for name in _PATIENT_COLUMNS:
        series[name] = columns[name]
    state.base_onset[:patients] = columns["base_onset"].reshape(patients, state.base_onset.shape[1])
    entries = np.zeros(int(counts.sum()), ENTRY)
    for name in _ENTRY_COLUMNS:
        entries[name] = np.cumsum(columns[name]) if name == "time_us" else columns[name]
    used = np.arange(state.rings.shape[1])[None, :] < counts[:, None]
    state.rings[:patients][used] = entries
    last = np.cumsum(counts) - 1
    series["newest_us"][counts > 0] = entries["time_us"][last[counts > 0]]


def _packed(column: NDArray[Any]) -> _Column:
    raw = np.ascontiguousarray(column).tobytes()
    data = pa.compress(raw, codec="zstd", asbytes=True)
    return _Column(column.dtype.str, len(raw), data)


def _unpacked(column: _Column) -> NDArray[Any]:
    raw = pa.decompress(column.data, decompressed_size=column.size, codec="zstd", asbytes=True)
    return np.frombuffer(raw, np.dtype(column.dtype))


def _in_order(rings: NDArray[np.void], heads: NDArray[np.int32], counts: NDArray[np.int32]) -> NDArray[np.void]:
    """All entries (n,) of all rings, each ring from its oldest on."""
    places = np.arange(rings.shape[1])
    pieces = [np.empty(0, rings.dtype)]
    for start in range(0, len(counts), _PATIENTS_AT_ONCE):
        some = slice(start, start + _PATIENTS_AT_ONCE)
        patient, place = np.nonzero(places < counts[some, None])
        pieces.append(rings[some][patient, (heads[some][patient] + place) % rings.shape[1]])
    return np.concatenate(pieces)
