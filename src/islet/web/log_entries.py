"""Entries of the log as JSON-ready records, made column by column."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from islet.log.base import Slice
from islet.model.batch import METHOD_CODES, RANGE_CODES, UNIT_CODES, int64_column
from islet.model.topics import Topic
from islet.web.updates import Audience

_RANGES: Final = {code: name for name, code in RANGE_CODES.items()}


def entries_of(
    piece: Slice, audience: Audience, erased: Collection[str], limit: int
) -> tuple[Sequence[dict[str, object]], int]:
    """The first `limit` entries as JSON-ready records, those of other patients left out; and the next offset. `erased`: the
    patients who are nobody's."""
    batch = piece.batch.slice(0, limit)
    offsets = np.arange(piece.offset, piece.offset + batch.num_rows)
    next_offset = piece.offset + batch.num_rows
    gone = {str(patient) for patient in batch["patient"].unique().to_pylist()}
    gone = gone & set(erased) if audience is None else gone - audience | gone.intersection(erased)
    if gone:
        shown = pc.invert(pc.is_in(batch["patient"], pa.array(sorted(gone), pa.utf8())))
        offsets = offsets[shown.to_numpy(zero_copy_only=False)]
        batch = batch.filter(shown)
    columns: dict[str, Sequence[object]] = {
        "offset": offsets.tolist(),
        "patient": batch["patient"].to_pylist(),
        "device": batch["device"].to_pylist(),
        "time": _instants(batch, "time_us"),
        "received_at": _instants(batch, "received_at_us"),
        **(_reading_columns(batch) if piece.topic is Topic.GLUCOSE_READINGS else _document_columns(batch)),
    }
    names = tuple(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)], next_offset


def _reading_columns(batch: pa.RecordBatch) -> dict[str, Sequence[object]]:
    return {
        "type": ["reading"] * batch.num_rows,
        "value": batch["value"].to_pylist(),
        "unit": [UNIT_CODES[code] for code in int64_column(batch, "unit").tolist()],
        "glucose_mg_dl": (int64_column(batch, "glucose_tenths") / 10).tolist(),
        "range": [_RANGES[code] for code in int64_column(batch, "range").tolist()],
        "method": [METHOD_CODES[code] for code in int64_column(batch, "method").tolist()],
    }


def _document_columns(batch: pa.RecordBatch) -> dict[str, Sequence[object]]:
    columns = batch.select(["type", "body"]).to_pydict()
    return {"type": columns["type"], "body": [msgspec.Raw(body.encode()) for body in columns["body"]]}


def _instants(batch: pa.RecordBatch, name: str) -> list[str]:
    """RFC 3339 with microseconds, in UTC."""
    instants = int64_column(batch, name).astype("datetime64[us]")
    texts: list[str] = np.datetime_as_string(instants, timezone="UTC").tolist()
    return texts
