"""Changes as rows for the log, written all at once: each one's patient, its kind, and its document, the bytes that
`islet.model.codec.encode_change` gives.

What does not depend on the change is made by the codec beforehand: the beginning for each kind and rule, the severity,
how each byte of an id stands in JSON.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.ids import Ids
from islet.engine.index import SHORT, WORD, Table
from islet.engine.kernel import Int, inlined, kernel, put_word, word_at
from islet.engine.said import KINDS
from islet.engine.series import NEVER
from islet.engine.state import RuleName
from islet.model.alerts import Severity
from islet.model.batch import text_column

KIND, RULE, PATIENT, ONSET, AT, DEVICE, VALUE, REPLACED_BY, ROW = range(9)
"""Columns of a change, see `islet.engine.said`."""

_LITERALS: Final = (
    '","onset_us":',
    ',"at_us":',
    ',"device":"',
    '"',
    ',"glucose_tenths":',
    ',"replaced_by":"',
    "~",
    "}",
)
_ONSET_US, _AT_US, _DEVICE, _QUOTE, _TENTHS, _REPLACED_BY, _TILDE, _END = range(len(_LITERALS))
_KINDS_AT: Final = len(_LITERALS)
_RULES_AT: Final = _KINDS_AT + len(KINDS)
_LONGEST_ESCAPE: Final = 6
_HALF: Final = np.uint64(10**8)
"""Two halves of a number are turned into digits side by side."""
_NUMBERS: Final = 4 * 20
"""Bytes of the four numbers of a document, at most."""
_OF_AN_ID: Final = 3 * WORD
"""Bytes that there is room for in the first place; ids that are longer make it more."""


class Words(NamedTuple):
    """Texts, one behind the other and with a word to read behind the last one: the literals, the kinds, and for each
    rule its name, its severity, and how a document of each kind begins; `ends` (n + 1,). `escaped` (256, 6): how a byte of a text
    stands in JSON, `lengths` (256,): in how many bytes. `longest`: bytes of a document without ids and numbers, at most."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]
    escaped: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    longest: int


class Texts(NamedTuple):
    """Room for texts (n,): where each begins and the last ends (n + 1,), and their bytes."""

    ends: NDArray[np.int32]
    text: NDArray[np.uint8]

    def column(self) -> "pa.StringArray":
        return text_column(self.ends, self.text[: self.ends[-1]])


def documents(
    changes: NDArray[np.int64], patients: Ids, devices: Ids, rules: Sequence[RuleName]
) -> tuple["pa.StringArray", "pa.StringArray", "pa.StringArray"]:
    """Of changes (n, CHANGE_WIDTH): the patients, the kinds, and the documents (n,)."""
    words = _words(tuple(rules))
    known, of_devices = patients.table(0, 0), devices.table(0, 0)
    an_id, kinds = _OF_AN_ID, _room(len(changes), words.longest)
    while True:
        names = _room(len(changes), an_id)
        bodies = _room(len(changes), 3 * an_id * _LONGEST_ESCAPE + words.longest + _NUMBERS)
        if _write(changes, known, of_devices, words, names, kinds, bodies):
            return names.column(), kinds.column(), bodies.column()
        an_id *= 4


def _room(count: int, each: int) -> Texts:
    """For texts (count,) of at most so many bytes on the average."""
    return Texts(np.zeros(count + 1, np.int32), np.empty(count * each + WORD, np.uint8))


@lru_cache(maxsize=32)
def _words(rules: tuple[RuleName, ...]) -> Words:
    texts = [*_LITERALS, *KINDS]
    longest = len("".join(_LITERALS))
    for rule in rules:
        name = _inside(rule.name)
        severity = (
            "" if rule.severity is Severity.NOTICE else f',"severity":{msgspec.json.encode(rule.severity).decode()}'
        )
        heads = [f'{{"change":"{kind}","rule":"{name}","patient":"' for kind in KINDS]
        texts += [name, severity, *heads]
        longest = max(longest, len("".join([*_LITERALS, name, severity, max(heads, key=len)]).encode()))
    encoded = [text.encode() for text in texts]
    escaped = [_inside(chr(byte)).encode() if byte < 128 else bytes([byte]) for byte in range(256)]
    return Words(
        np.frombuffer(b"".join([*encoded, bytes(WORD)]), np.uint8),
        np.cumsum([0, *map(len, encoded)]),
        np.frombuffer(b"".join(one.ljust(_LONGEST_ESCAPE) for one in escaped), np.uint8).reshape(256, -1),
        np.array([len(one) for one in escaped]),
        longest,
    )


def _inside(text: str) -> str:
    """What stands between the quotes in JSON."""
    return msgspec.json.encode(text).decode()[1:-1]


@inlined
def _put(text: NDArray[np.uint8], at: Int, words: Words, word: Int) -> Int:
    """Write one of the words, eight bytes at a time; where it ends."""
    length: Int = words.ends[word + 1] - words.ends[word]
    for k in range(0, length, WORD):
        put_word(text, at + k, word_at(words.text, words.ends[word] + k))
    return at + length


@inlined
def _put_number(text: NDArray[np.uint8], at: Int, number: Int) -> Int:
    if number < 0:
        text[np.uint64(at)] = ord("-")
        at += 1
        number = -number
    high, low = np.uint64(number) // _HALF, np.uint64(number) % _HALF
    if high == 0:
        return _put_digits(text, at, low)
    at = _put_digits(text, at, high // _HALF) if high >= _HALF else at
    at = _put_half(text, at, high % _HALF) if high >= _HALF else _put_digits(text, at, high)
    return _put_half(text, at, low)


@inlined
def _put_digits(text: NDArray[np.uint8], at: Int, number: np.uint64) -> Int:
    end: Int = at + 1
    more = np.uint64(10)
    while number >= more:
        end += 1
        more *= np.uint64(10)
    for k in range(end - 1, at - 1, -1):
        text[np.uint64(k)] = ord("0") + number % np.uint64(10)
        number //= np.uint64(10)
    return end


@inlined
def _put_half(text: NDArray[np.uint8], at: Int, number: np.uint64) -> Int:
    """Eight digits."""
    for k in range(at + 7, at - 1, -1):
        text[np.uint64(k)] = ord("0") + number % np.uint64(10)
        number //= np.uint64(10)
    return at + 8


@inlined
def _put_id(text: NDArray[np.uint8], at: Int, table: Table, number: Int, words: Words) -> Int:
    """Write an id as it stands in a text of JSON."""
    known = np.uint64(number)
    length = np.int64(table.records[known, 3] >> np.uint64(32))
    start = np.int64(table.records[known, 0])
    for k in range(length):
        if length > SHORT:
            byte = np.uint64(table.text[start + k])
        else:
            byte = (table.records[known, k // WORD] >> np.uint64(8 * (k % WORD))) & np.uint64(0xFF)
        for j in range(words.lengths[byte]):
            text[np.uint64(at)] = words.escaped[byte, j]
            at += 1
    return at


@inlined
def _put_plain(text: NDArray[np.uint8], at: Int, table: Table, number: Int) -> Int:
    """Write an id as it is, eight bytes at a time; where it ends."""
    known = np.uint64(number)
    length = np.int64(table.records[known, 3] >> np.uint64(32))
    start = np.int64(table.records[known, 0])
    for k in range(0, length, WORD):
        put_word(text, at + k, word_at(table.text, start + k) if length > SHORT else table.records[known, k // WORD])
    return at + length


@inlined
def _length(table: Table, number: Int) -> Int:
    return np.int64(table.records[np.uint64(number), 3] >> np.uint64(32))


@kernel
def _write(
    changes: NDArray[np.int64], patients: Table, devices: Table, words: Words, names: Texts, kinds: Texts, bodies: Texts
) -> bool:
    """Write all of them; False where there is not the room."""
    at: Int = 0
    of_name: Int = 0
    of_kind: Int = 0
    text = bodies.text
    for n in range(len(changes)):
        change = changes[n]
        ids = _length(patients, change[PATIENT])
        escaped = _LONGEST_ESCAPE * (2 * ids + (_length(devices, change[DEVICE]) if change[DEVICE] >= 0 else 0))
        if of_name + ids + WORD > len(names.text) or at + escaped + words.longest + _NUMBERS + WORD > len(text):
            return False
        of_name = _put_plain(names.text, of_name, patients, change[PATIENT])
        of_kind = _put(kinds.text, of_kind, words, _KINDS_AT + change[KIND])
        of_rule: Int = _RULES_AT + change[RULE] * (2 + len(KINDS))
        at = _put(text, at, words, of_rule + 2 + change[KIND])
        at = _put_id(text, at, patients, change[PATIENT], words)
        at = _put_number(text, _put(text, at, words, _ONSET_US), change[ONSET])
        at = _put_number(text, _put(text, at, words, _AT_US), change[AT])
        at = _put(text, at, words, of_rule + 1)
        if change[DEVICE] >= 0:
            if devices.records[change[DEVICE], 3] >> np.uint64(32):
                at = _put_id(text, _put(text, at, words, _DEVICE), devices, change[DEVICE], words)
                at = _put(text, at, words, _QUOTE)
            at = _put_number(text, _put(text, at, words, _TENTHS), change[VALUE])
        if change[REPLACED_BY] != NEVER:
            at = _put(text, _put(text, at, words, _REPLACED_BY), words, of_rule)
            at = _put_id(text, _put(text, at, words, _TILDE), patients, change[PATIENT], words)
            at = _put_number(text, _put(text, at, words, _TILDE), change[REPLACED_BY])
            at = _put(text, at, words, _QUOTE)
        at = _put(text, at, words, _END)
        names.ends[n + 1], kinds.ends[n + 1], bodies.ends[n + 1] = of_name, of_kind, at
    return True
