"""What the tables of rules over the whole history look like, and whether DuckDB can run such a rule: it is asked over
tables of that form without a row."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from islet.engine.oracle import run
from islet.engine.program import CONTEXT_COLUMNS
from islet.engine.rules import Rule
from islet.errors import RuleRefused

INSTANT: Final = pa.timestamp("us")
GLUCOSE: Final = pa.decimal128(9, 1)
AMOUNT: Final = pa.decimal128(9, 2)
NUMBER: Final = pa.decimal128(12, 3)
VITALS: Final = ("pulse_bpm", "systolic_mm_hg", "diastolic_mm_hg")

_WHO_AND_WHEN: Final[dict[str, Any]] = {
    "patient": pa.utf8(),
    "device": pa.utf8(),
    "ts": INSTANT,
    "local_ts": INSTANT,
}
_PATIENTS: Final[dict[str, Any]] = {
    "patient": pa.utf8(),
    "profile": pa.utf8(),
    "time_zone": pa.utf8(),
    "today": pa.date32(),
    "day_end_ts": INSTANT,
    "low_mg_dl": NUMBER,
    "high_mg_dl": NUMBER,
}


def empty_tables(parameters: Sequence[str]) -> dict[str, pa.Table]:
    """The tables of `islet.engine.history_tables` without a row."""
    forms: dict[str, dict[str, Any]] = {
        "patients": _PATIENTS | dict.fromkeys(parameters, NUMBER),
        "clock": {"now_ts": INSTANT},
        "readings": _WHO_AND_WHEN | {"method": pa.utf8(), "glucose_mg_dl": GLUCOSE},
        "care_events": _WHO_AND_WHEN | dict.fromkeys(CONTEXT_COLUMNS, AMOUNT),
        "vitals": _WHO_AND_WHEN | dict.fromkeys(VITALS, GLUCOSE),
    }
    return {name: pa.schema(list(form.items())).empty_table() for name, form in forms.items()}


def check_asked(rule: Rule, beside: Sequence[Rule] = ()) -> None:
    """Raises RuleRefused, with what DuckDB says, for a rule with `every` that it cannot run. `beside`: the rules whose
    parameters it may use."""
    if not rule.every:
        return
    parameters = [name for one in (*beside, rule) for name in one.parameters]
    tables = empty_tables(list(dict.fromkeys(parameters)))
    columns = run(f"DESCRIBE {_select(rule.sql)}", tables)
    kinds = {str(name).lower(): str(kind) for name, kind, *_ in columns}
    if kinds.get("patient") != "VARCHAR":
        raise RuleRefused(f"patient: expected the id of a patient; got {kinds.get('patient')}", line=1)
    if kinds.get("ts") not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        raise RuleRefused(f"ts: expected an instant, such as day_end_ts; got {kinds.get('ts')}", line=1)


def _select(text: str) -> str:
    return text[text.index("*/") + 2 :]
