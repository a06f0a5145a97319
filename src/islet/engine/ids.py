"""A persistent index of ids: text to dense number, learnt as ids are seen, a whole Arrow column at a time.

Readings name a patient and a device. A device is hardly ever another than the patient's last one, so that one is
compared first, and the index of devices is asked only when it is not the same.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.index import RECORD, WORD, Table, Texts, find, look_up, look_up_pairs, place_all, write_texts
from islet.engine.memory import aligned

_AT_ONCE: Final = 65_536
"""Rows of a look-up: there is room for as many new ids, which is not worth more memory than that."""
_MANY: Final = 4_096
_FEW: Final = 64
_FIRST_SLOTS: Final = 1_024
_SPARE: Final = 16
"""Times what is needed is what is reserved, hardly ever to be copied because it grew."""
_FULLEST: Final = 5 / 8
"""Of the slots; more would make the probing long."""
_MOST_SLOTS: Final = 1 << 31
_T = TypeVar("_T", bound=np.generic)
_NO_TEXT: Final = np.zeros(2 * WORD, np.uint8)
_WORDS: Final = np.dtype(np.uint64)


class Ids:
    """Ids in the order in which they were first seen; number 0 is the first one."""

    def __init__(self, *, hashed: bool = False) -> None:
        """`hashed`: `hashes` are kept."""
        self._count = 0
        self._hashed = hashed
        self._slots = np.zeros(_FIRST_SLOTS, np.uint32)
        self._records = aligned(RECORD * _FIRST_SLOTS // 2, _WORDS).reshape(-1, RECORD)
        self._hashes = np.zeros(_FIRST_SLOTS // 2 if hashed else 0, np.uint64)
        self._text = np.zeros(2 * WORD, np.uint8)
        self._used = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> str:
        """The id with that number."""
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self.texts(np.array([number]))[0]

    def texts(self, numbers: NDArray[np.int64]) -> list[str]:
        """The ids (n,) with these numbers."""
        found: list[str] = self.column(numbers).to_numpy(zero_copy_only=False).tolist()
        return found

    def column(self, numbers: NDArray[np.int64]) -> "pa.Array[Any]":
        """The same as an Arrow column."""
        ends, text = _written(self._table(), numbers)
        return pa.LargeStringArray.from_buffers(len(numbers), pa.py_buffer(ends.data), pa.py_buffer(text.data))

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """A hash (at least n,) of each id that depends on nothing but the id: an order that everybody agrees on."""
        return self._hashes

    @property
    def nbytes(self) -> int:
        """Memory that is used."""
        each = WORD * (RECORD + self._hashed)
        return each * self._count + int(self._used[0]) + self._slots.nbytes

    @property
    def known(self) -> "Known":
        """The ids of now, which others are added to."""
        return Known(self._table(), self._count)

    def numbers(self, ids: "pa.Array[Any]") -> NDArray[np.int64]:
        """The number (n,) of each id in an Arrow text column without nulls; ids not seen before get new ones."""
        found = np.empty(len(ids), np.int64)
        for start, stop in _pieces(len(ids)):
            self._look_up(texts_of(ids.slice(start, stop - start)), found[start:stop])
        return found

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The number (n,) of each id; -1 for one not seen before, which stays so."""
        found = np.empty(len(ids), np.int64)
        find(self._table(), texts_of(pa.array(ids, pa.string())), found)
        return found

    def numbers_of_text(self, ends: NDArray[np.int64], text: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number (n,) of each id; id i is text[ends[i] : ends[i + 1]]."""
        found = np.empty(len(ends) - 1, np.int64)
        self._look_up(_readable(ends.astype(np.int32), text), found)
        return found

    def table(self, more_ids: int, more_bytes: int) -> Table:
        """The index with room for that many new ids, so that a kernel never has to grow anything."""
        need = self._count + more_ids
        if need > len(self._records):
            if self._hashed:
                self._hashes = _grown(self._hashes, _SPARE * need)
            known, self._records = self._records, aligned(RECORD * _SPARE * need, _WORDS).reshape(-1, RECORD)
            self._records[: len(known)] = known
        need_bytes = int(self._used[0]) + more_bytes + WORD
        if need_bytes > len(self._text):  # of which nothing is touched unless there are long ids
            self._text = _grown(self._text, _SPARE * need_bytes)
        if need > len(self._slots) * _FULLEST:
            size = 1 << int(need / _FULLEST).bit_length()
            if size > _MOST_SLOTS:
                raise OverflowError(f"expected at most {int(_MOST_SLOTS * _FULLEST):,} ids")
            self._slots = np.zeros(size, np.uint32)
            place_all(self._table(), self._count)
        return self._table()

    def _table(self) -> Table:
        return Table(self._slots, self._records, self._hashes, self._text, self._used)

    def _look_up(self, texts: Texts, found: NDArray[np.int64]) -> None:
        table = self.table(len(found), int(texts.ends[-1]) - int(texts.ends[0]))
        self._count = int(look_up(table, self._count, texts, found))


class Known(NamedTuple):
    """The first `many` ids of an index. What it says of them never changes; any thread may read it."""

    table: Table
    many: int

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """All of them in the order of their numbers: where each begins and the last ends (n + 1,), and the UTF-8 text."""
        return _written(self.table, np.arange(self.many))


class Pairs:
    """The numbers of patients and devices that occur together. Which device a patient had last stands in the patient's
    record: there can be one `Pairs` of some patients."""

    def __init__(self, patients: Ids, devices: Ids) -> None:
        self._patients, self._devices = patients, devices

    def numbers(
        self, patients: "pa.Array[Any]", devices: "pa.Array[Any]"
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number (n,) of each patient and of each device; those not seen before get new ones."""
        found = np.empty((2, len(patients)), np.int64)
        for start, stop in _pieces(len(patients)):
            self._look_up(
                texts_of(patients.slice(start, stop - start)), texts_of(devices.slice(start, stop - start)),
                found[0, start:stop], found[1, start:stop],
            )  # fmt: skip
        return found[0], found[1]

    def _look_up(
        self, patients: Texts, devices: Texts, patients_found: NDArray[np.int64], devices_found: NDArray[np.int64]
    ) -> None:
        count = len(patients_found)
        known_patients = self._patients.table(count, int(patients.ends[-1]) - int(patients.ends[0]))
        known_devices = self._devices.table(count, int(devices.ends[-1]) - int(devices.ends[0]))
        counts = len(self._patients), len(self._devices)
        n_patients, n_devices = look_up_pairs(
            known_patients, known_devices, *counts, patients, devices, patients_found, devices_found
        )
        self._patients._count, self._devices._count = int(n_patients), int(n_devices)


def _written(table: Table, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    ends = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum((table.records[numbers, -1] >> 32).astype(np.int64), out=ends[1:])
    text = np.empty(int(ends[-1]) + WORD, np.uint8)
    write_texts(table, np.ascontiguousarray(numbers), ends, text)
    return ends, text[: ends[-1]]


def _pieces(rows: int) -> list[tuple[int, int]]:
    """Where the look-ups of so many rows begin and end. The last rows of many are one of their own: behind the texts
    of all others there is something to read, so that only these few have to be copied (`_readable`)."""
    last = max(rows - _FEW, 0) if rows > _MANY else rows
    starts = [*range(0, last, _AT_ONCE), *([last] if last < rows else [])]
    return list(zip(starts, [*starts[1:], rows], strict=True)) if rows else []


def texts_of(ids: "pa.Array[Any]") -> Texts:
    """A column of texts without nulls as kernels read it."""
    column = ids if ids.type == pa.string() else ids.cast(pa.string())
    if len(column) == 0:
        return _readable(np.zeros(1, np.int32), _NO_TEXT)
    _, ends, text = column.buffers()
    if ends is None or column.null_count:
        raise ValueError("ids: expected a text column without nulls")
    return _readable(
        np.frombuffer(memoryview(ends), np.int32)[column.offset : column.offset + len(column) + 1],
        np.frombuffer(memoryview(text or b""), np.uint8),
    )


def _readable(ends: NDArray[np.int32], text: NDArray[np.uint8]) -> Texts:
    """The texts with a word to read behind the last one; one type, whatever memory they came from."""
    if len(text) < int(ends[-1]) + WORD:
        text = np.concatenate([text[ends[0] : ends[-1]], _NO_TEXT])
        ends = ends - ends[0]
    ends, text = ends.view(), text.view()
    ends.flags.writeable = text.flags.writeable = False
    return Texts(ends, text)


def _grown(array: NDArray[_T], size: int) -> NDArray[_T]:
    larger = aligned(size, array.dtype)
    larger[: len(array)] = array
    return larger
