"""What the tables of rules over the whole history look like, and whether DuckDB can run such a rule: it is asked over
tables of that form without a row."""

import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from islet.engine.frontmatter import line_of
from islet.engine.oracle import run
from islet.engine.program import CONTEXT_COLUMNS
from islet.engine.rules import Rule
from islet.engine.sql import first_line
from islet.errors import RuleRefused

INSTANT: Final = pa.timestamp("us")
GLUCOSE: Final = pa.decimal128(9, 1)
AMOUNT: Final = pa.decimal128(9, 2)
NUMBER: Final = pa.decimal128(12, 3)
_WITHIN_S: Final = 5.0
"""Tables without a row need milliseconds; what takes longer calculates something out of nothing."""
_BYTE_ORDER_MARK: Final = "\ufeff"

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
    """Raises RuleRefused, with what DuckDB says, for a rule with `every` that it cannot run, or for one beside whose
    parameters it could not run another one any more. `beside`: the rules whose parameters it may use."""
    others = [one for one in beside if one.name != rule.name]
    if rule.every:
        _ask(rule, [*others, rule])
    for other in others:
        both = sorted(name for name in rule.parameters if re.search(rf"\b{name}\b", other.sql, re.IGNORECASE))
        if other.every and both:
            try:
                _ask(other, [*others, rule])
            except RuleRefused:
                line = line_of(rule.sql, rf"\[parameters\.{both[0]}\]")
                reason = f"parameter {both[0]}: {other.name} has a column of that name; choose another"
                raise RuleRefused(reason, line=line) from None


def _ask(rule: Rule, all_rules: Sequence[Rule]) -> None:
    parameters = [name for one in all_rules for name in one.parameters]
    tables = empty_tables(list(dict.fromkeys(parameters)))
    columns = run(f"DESCRIBE {rule.sql.removeprefix(_BYTE_ORDER_MARK)}", tables, within_s=_WITHIN_S)
    kinds = {str(name).lower(): str(kind) for name, kind, *_ in columns}
    first = first_line(rule.sql)
    if kinds.get("patient") != "VARCHAR":
        raise RuleRefused(f"patient: expected the id of a patient; got {kinds.get('patient')}", line=first)
    if kinds.get("ts") not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        raise RuleRefused(f"ts: expected an instant, such as day_end_ts; got {kinds.get('ts')}", line=first)
