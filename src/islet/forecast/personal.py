"""A person's own correction of the pooled forecast: learnt each night from their last days, bounded, and none unless it
helps.

For each horizon a line says by how much the pooled median will miss the person, from what is known at the time (`given`).
The lines are those of least squares over what the forecasts missed in the last DAYS days, held towards nought as if as
many again as PRIOR had missed nothing. Those of each day are judged on the next, of which they have seen nothing, as they
would have been served: a horizon at which they were not better by a margin over the last JUDGED_DAYS is left as it is.
What is added is bounded, so that nothing a faulty sensor teaches can move a forecast by more than BOUND_MG_DL.

Days, hold and margin were chosen on the people whom the shipped model has learnt from, for the least error of which nobody
is served much worse: to forget within the days gained nothing there. The lines of a person are (6, 12) float32: 288 bytes,
and none for who is not helped (docs/decisions/0074-the-personal-correction-served.md).
"""

from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from islet.forecast.network import MEDIAN, Array
from islet.forecast.windows import HORIZON
from islet.model.ahead import CORRECTION_SHAPE
from islet.model.time import DAY_US

DAYS: Final = 14
JUDGED_DAYS: Final = 5
BOUND_MG_DL: Final = 20.0
LEAST_SEEN: Final = 288
"""Forecasts of JUDGED_DAYS that judge the lines: a day of readings every 5 min, three of readings every 15."""
PRIOR: Final = 300.0
INPUTS: Final = CORRECTION_SHAPE[0]
JOB: Final = "personal"
"""Which nightly job learns the lines: its result is a `Fitted`."""
_WILDEST_MG_DL: Final = 40.0  # a miss counts for no more
_BETTER: Final = 0.99  # the corrected error has to be below this share of the plain one
_HALF_HOUR: Final = 5
_BYTES: Final = 4 * CORRECTION_SHAPE[0] * CORRECTION_SHAPE[1]


class Learnt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's lines as they are kept, as of `learnt_us`; empty where none help, or where there is too little to learn."""

    learnt_us: int
    lines: bytes = b""


class Fitted(Struct, frozen=True, kw_only=True):
    """Everybody's lines, by patient, and by its fingerprint the model whose misses they were learnt from."""

    model: str = ""
    people: dict[str, Learnt] = {}


_decoder: Final = msgspec.json.Decoder(Fitted)


def decode_fitted(body: bytes | None) -> Fitted:
    """What the job has found; nothing before its first run."""
    return Fitted() if body is None or body == b"null" else _decoder.decode(body)


def in_force(found: Fitted, model: str) -> dict[str, bytes]:
    """The lines of those who have any that can be, by patient; nobody's where another model forecasts."""
    if not model or found.model != model:
        return {}
    return {patient: one.lines for patient, one in found.people.items() if _can_be(one.lines)}


def _can_be(lines: bytes) -> bool:
    return len(lines) == _BYTES and bool(np.isfinite(np.frombuffer(lines, "<f4")).all())


def given(history: Array, minute: Array, quantiles: Array) -> Array:
    """(n, INPUTS): 1, the level, its last 15 min, what is foretold in 30 min, and the time of day; about 1 each.

    history (n, points) and quantiles (n, 12, 5) mg/dL, minute (n,) of the day; an unknown one is a day without a time.
    """
    now = history[:, -1]
    angle = minute * np.float32(2 * np.pi / 1440)
    columns = (
        np.ones_like(now),
        (now - 120) / 60,
        np.nan_to_num(now - history[:, -4]) / 20,
        (quantiles[:, _HALF_HOUR, MEDIAN] - now) / 20,
        np.nan_to_num(np.sin(angle)),
        np.nan_to_num(np.cos(angle)),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def correction(lines: Array, known: Array) -> Array:
    """What lines (INPUTS, 12) add to all quantiles, (n, 12) mg/dL, by known (n, INPUTS)."""
    said: Array = np.clip(known @ lines, -BOUND_MG_DL, BOUND_MG_DL)
    return said


def fitted(known: Array, missed: Array, age_us: NDArray[np.int64]) -> Array | None:
    """The lines (INPUTS, 12) that helped, with noughts for horizons at which they did not; None where none did.

    known (n, INPUTS) is what was given, missed (n, 12) mg/dL what came less what the pooled median had foretold, age_us
    (n,) how long ago; a day ends now, not at midnight. A row with a NaN, or older than DAYS, teaches nothing.
    """
    taught = np.isfinite(missed).all(axis=1) & np.isfinite(known).all(axis=1)
    known, missed, day = known[taught], missed[taught], age_us[taught] // DAY_US
    moments, cross = PRIOR * np.eye(INPUTS), np.zeros(CORRECTION_SHAPE)
    lines, plain, corrected = np.zeros(CORRECTION_SHAPE, np.float32), np.zeros(HORIZON), np.zeros(HORIZON)
    seen, first = 0, True
    for ago in range(DAYS - 1, -1, -1):
        given_then, missed_then = known[day == ago], missed[day == ago]
        if not len(given_then):
            continue
        if not first and ago < JUDGED_DAYS:
            plain += np.abs(missed_then).sum(axis=0)
            corrected += np.abs(missed_then - correction(lines, given_then)).sum(axis=0)
            seen += len(given_then)
        first = False
        turned = given_then.T.astype(np.float64)
        moments += turned @ given_then
        cross += turned @ np.clip(missed_then, -_WILDEST_MG_DL, _WILDEST_MG_DL)
        lines = np.linalg.solve(moments, cross).astype(np.float32)
    helps = corrected < _BETTER * plain
    if seen < LEAST_SEEN or not helps.any():
        return None
    return lines * helps


def as_bytes(lines: Array | None) -> bytes:
    """Lines as they are kept; empty for none."""
    return b"" if lines is None else lines.astype("<f4").tobytes()
