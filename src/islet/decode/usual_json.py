"""One reading in its usual form from JSON to numbers, in machine code; see `usual.py`."""

from typing import Final, NamedTuple

import numpy as np

from islet.decode.usual_text import (
    MASKS,
    NOT_JSON,
    NOWHERE,
    WORD,
    Bytes,
    Words,
    as_word,
    read_number,
    read_time,
    skip_space,
)
from islet.model.batch import METHOD_CODES, RANGE_CODES, UNIT_CODES
from islet.model.compiled import part
from islet.model.units import POSSIBLE_GLUCOSE_MG_DL, glucose_mg_dl

_TYPE, _TIME, _VALUE, _UNIT, _METHOD, _RANGE, _PATIENT, _SCHEMA = (1 << bit for bit in range(8))
_REQUIRED: Final = _TYPE | _TIME | _VALUE | _UNIT
_NO_FIELD: Final = 0
_FIRST_SCHEMA: Final = ord("1")

_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE = (ord(sign) for sign in '":,{}')
_LONGEST_PATIENT: Final = 64
_IN_PATIENT: Final = np.array([byte < NOT_JSON and (chr(byte).isalnum() or chr(byte) in "_-") for byte in range(256)])

_MG_DL, _MMOL_L = UNIT_CODES.index("mg/dL"), UNIT_CODES.index("mmol/L")
_CGM, _CAPILLARY = METHOD_CODES.index("cgm"), METHOD_CODES.index("capillary")
_WITHIN, _BELOW, _ABOVE = RANGE_CODES["within"], RANGE_CODES["below"], RANGE_CODES["above"]
_MG_DL_PER: Final = np.array([glucose_mg_dl(1.0, unit) for unit in UNIT_CODES])
_LOW, _HIGH = POSSIBLE_GLUCOSE_MG_DL


class Row(NamedTuple):
    """What a reading says; when it is not `usual`, the rest means nothing."""

    usual: bool
    time_us: int
    glucose_tenths: int
    value: float
    unit: int
    range: int
    method: int


_NOT_USUAL: Final = Row(False, 0, 0, 0.0, 0, 0, 0)

# Texts as words, with their closing quotation mark where it fits; and the bits that make the letters of units small.
_KEY_TYPE, _KEY_TIME, _KEY_VALUE, _KEY_UNIT = as_word('type"'), as_word('time"'), as_word('value"'), as_word('unit"')
_KEY_METHOD, _KEY_RANGE, _KEY_PATIENT = as_word('method"'), as_word('range"'), as_word('patient"')
_KEY_SCHEMA: Final = as_word('schema"')
_TEXT_READING, _TEXT_CGM, _TEXT_CAPILLAR, _TEXT_Y = (
    as_word('reading"'),
    as_word('cgm"'),
    as_word("capillar"),
    as_word('y"'),
)
_TEXT_WITHIN, _TEXT_BELOW, _TEXT_ABOVE = as_word('within"'), as_word('below"'), as_word('above"')
_TEXT_MG_DL, _SMALL_MG_DL = as_word('mg/dl"'), as_word("  \0  ")
_TEXT_MMOL_L, _SMALL_MMOL_L = as_word('mmol/l"'), as_word("    \0 ")


@part
def read_row(
    text: Bytes, words: Words, at: int, end: int, patient: int, patient_length: int, earliest_us: int, latest_us: int
) -> Row:
    """The reading in text[at:end] of the patient whom text[patient:patient + patient_length] names, dated within both
    bounds, inclusive.

    text[end] must be NOT_JSON or above, and two words more must be there to read.
    """
    time_us, value, unit, range_code, method, seen = 0, 0.0, _MG_DL, _WITHIN, _CGM, 0
    at = skip_space(text, at)
    going_on = text[at] == _OPEN
    while going_on:
        field, at = _key(text, words, skip_space(text, at + 1))
        if field == _NO_FIELD or seen & field:
            return _NOT_USUAL
        seen |= field
        if field == _TIME and text[at] == _QUOTE:
            time_us, at = read_time(text, words, at + 1)
        elif field == _VALUE:
            value, at = read_number(text, at)
        elif field == _PATIENT:
            at = _after_patient(text, at, patient, patient_length)
        elif field == _SCHEMA:
            at = at + 1 if text[at] == _FIRST_SCHEMA else NOWHERE
        else:
            code, at = _code(text, words, at, field)
            if field == _UNIT:
                unit = code
            elif field == _RANGE:
                range_code = code
            elif field == _METHOD:
                method = code
        if at == NOWHERE:
            return _NOT_USUAL
        at = skip_space(text, at)
        going_on = text[at] == _COMMA
    if text[at] != _CLOSE or skip_space(text, at + 1) != end or seen & _REQUIRED != _REQUIRED:
        return _NOT_USUAL
    mg_dl = value * _MG_DL_PER[unit]
    if not (_LOW <= mg_dl <= _HIGH and earliest_us <= time_us <= latest_us and patient_length):
        return _NOT_USUAL
    return Row(True, time_us, int(np.rint(mg_dl * 10.0)), value, unit, range_code, method)


@part
def _key(text: Bytes, words: Words, at: int) -> tuple[int, int]:
    """Which field the key at `at` names, and where its value begins."""
    if text[at] != _QUOTE:
        return _NO_FIELD, NOWHERE
    at += 1
    field, length = _field(words[at])
    at = skip_space(text, at + length)
    if text[at] != _COLON:
        return _NO_FIELD, NOWHERE
    return field, skip_space(text, at + 1)


@part
def _field(word: np.uint64) -> tuple[int, int]:
    """Which field a key is, and its length with the quotation mark."""
    five, six, seven = word & MASKS[5], word & MASKS[6], word & MASKS[7]
    if five == _KEY_TYPE:
        return _TYPE, 5
    if five == _KEY_TIME:
        return _TIME, 5
    if six == _KEY_VALUE:
        return _VALUE, 6
    if five == _KEY_UNIT:
        return _UNIT, 5
    if word == _KEY_PATIENT:
        return _PATIENT, 8
    if seven == _KEY_METHOD:
        return _METHOD, 7
    if six == _KEY_RANGE:
        return _RANGE, 6
    if seven == _KEY_SCHEMA:
        return _SCHEMA, 7
    return _NO_FIELD, 0


@part
def _code(text: Bytes, words: Words, at: int, field: int) -> tuple[int, int]:
    """The code of the text at `at` in one of the fields that know few texts, and where it goes on."""
    if text[at] != _QUOTE:
        return 0, NOWHERE
    at += 1
    word = words[at]
    if field == _TYPE and word == _TEXT_READING:
        return 0, at + 8
    if field == _UNIT and (word | _SMALL_MG_DL) & MASKS[6] == _TEXT_MG_DL:
        return _MG_DL, at + 6
    if field == _UNIT and (word | _SMALL_MMOL_L) & MASKS[7] == _TEXT_MMOL_L:
        return _MMOL_L, at + 7
    if field == _METHOD and word & MASKS[4] == _TEXT_CGM:
        return _CGM, at + 4
    if field == _METHOD and word == _TEXT_CAPILLAR and words[at + WORD] & MASKS[2] == _TEXT_Y:
        return _CAPILLARY, at + 10
    if field == _RANGE and word & MASKS[7] == _TEXT_WITHIN:
        return _WITHIN, at + 7
    if field == _RANGE and word & MASKS[6] == _TEXT_BELOW:
        return _BELOW, at + 6
    if field == _RANGE and word & MASKS[6] == _TEXT_ABOVE:
        return _ABOVE, at + 6
    return 0, NOWHERE


@part
def _after_patient(text: Bytes, at: int, patient: int, length: int) -> int:
    """Where it goes on behind the text at `at` when it is that patient's, and may name one."""
    if text[at] != _QUOTE or not 1 <= length <= _LONGEST_PATIENT:
        return NOWHERE
    at += 1
    for k in range(length):
        if text[at + k] != text[patient + k] or not _IN_PATIENT[text[at + k]]:
            return NOWHERE
    return at + length + 1 if text[at + length] == _QUOTE else NOWHERE
