"""The tables that a rule is written over, and what is behind each of their columns.

A stream is one quantity: what a device measures, a whole number in fixed point per instant. Every table but the
silences' belongs to the stream of the quantity that a rule mentions.
"""

from dataclasses import dataclass
from itertools import cycle
from typing import Final

from islet.engine.program import CONTEXT_COLUMNS, CONTEXT_SCALE
from islet.model.ahead import AHEAD_MIN, COLUMNS, GLUCOSE_COLUMNS
from islet.model.time import MINUTE_US


@dataclass(frozen=True, slots=True)
class Stream:
    """A quantity: integers are `scale` to its unit and lie between `low` and `high`. `words`: it is a text, and its
    integers are the places of these words."""

    name: str
    scale: int
    low: int
    high: int
    words: tuple[str, ...] = ()


STATUSES: Final = ("ok", "warm_up", "sensor_failed", "sensor_expired", "calibration_needed", "signal_lost")
"""What a device says of itself (`islet.model.events.DeviceStatus`), in the order of the stream's integers."""

PROMPTS: Final = ("prompted", "measured", "missed")
"""What became of a request to measure (`islet.model.events.Prompt`), in the order of the stream's integers."""

GLUCOSE: Final = Stream("glucose_mg_dl", 10, 0, 15_000)
STREAMS: Final = (
    GLUCOSE,
    Stream("pulse_bpm", 10, 0, 3_000),
    Stream("systolic_mm_hg", 10, 0, 3_000),
    Stream("diastolic_mm_hg", 10, 0, 3_000),
    Stream("battery_percent", 10, 0, 1_000),
    Stream("status", 1, 0, len(STATUSES) - 1, STATUSES),
    Stream("prompt", 1, 0, len(PROMPTS) - 1, PROMPTS),
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """The value of a stream."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Context:
    """What people do: column `place` of CONTEXT_COLUMNS; NULL in rows of readings."""

    place: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is foretold: column `place` of `islet.model.ahead`, at most `high`; NULL where nothing is. `ahead_us`: how
    far ahead, where it is glucose; else 0."""

    place: int
    high: int
    ahead_us: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """A column of patients: a number, `scale` integers to its unit, between bounds (integers)."""

    name: str
    scale: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Named:
    """A column that is no number: patient, device, ts, local_ts, time_min, minutes_since, profile."""

    name: str


Column = Quantity | Context | Forecast | Limit | Named


@dataclass(frozen=True, slots=True)
class Table:
    """`sparse`: it has rows in which the quantity is NULL, so counting rows is not counting values."""

    columns: dict[str, Column]
    sparse: bool


def _table(*columns: str, sparse: bool, more: dict[str, Column] | None = None) -> Table:
    streams = {stream.name: Quantity(stream) for stream in STREAMS}
    return Table({name: streams.get(name) or Named(name) for name in columns} | (more or {}), sparse)


_EVERYWHERE: Final = ("patient", "device", "ts", "local_ts", "time_min")
_CONTEXT: Final[dict[str, Column]] = {name: Context(place) for place, name in enumerate(CONTEXT_COLUMNS)}

FORECAST_HIGH: Final = 65_535
"""A forecast of glucose lies between 0 and this, in tenths of mg/dL."""
_PERCENT_HIGH: Final = 1_000
_AHEAD_US: Final = dict(zip(GLUCOSE_COLUMNS, cycle(minutes * MINUTE_US for minutes in AHEAD_MIN), strict=False))
_AHEAD: Final[dict[str, Column]] = {
    name: Forecast(place, FORECAST_HIGH if name in GLUCOSE_COLUMNS else _PERCENT_HIGH, _AHEAD_US.get(name, 0))
    for place, name in enumerate(COLUMNS)
}

FORECASTS: Final = "forecasts"
"""The table, and the stream, of what is foretold."""

TABLES: Final = {
    "readings": _table(*_EVERYWHERE, "glucose_mg_dl", sparse=False),
    FORECASTS: _table(*_EVERYWHERE, "glucose_mg_dl", sparse=False, more=_AHEAD),
    "timeline": _table(*_EVERYWHERE, "glucose_mg_dl", sparse=True, more=_CONTEXT),
    "vitals": _table(*_EVERYWHERE, "pulse_bpm", "systolic_mm_hg", "diastolic_mm_hg", sparse=True),
    "device_readings": _table(*_EVERYWHERE, "battery_percent", "status", "prompt", sparse=True),
    "last_readings": _table("patient", "device", "ts", "minutes_since", sparse=False),
}

PATIENTS: Final[dict[str, Column]] = {
    "profile": Named("profile"),
    "low_mg_dl": Limit("low_mg_dl", 10, 0, 15_000),
    "high_mg_dl": Limit("high_mg_dl", 10, 0, 15_000),
}
"""Columns of patients that are there without any rule: what they are treated as, and their target range."""

MOST_VALUES: Final = 4_096
"""Values, or events, that a window holds at most; the kernel keeps no more."""

CONTEXT_HIGH: Final = tuple(
    MOST_VALUES * most * scale for most, scale in zip((100_000, 500, 500, 1_440), CONTEXT_SCALE, strict=True)
)
"""What the events of a window add up to at most (`islet.model.events` limits one event)."""

HISTORY_TABLES: Final = ("readings", "care_events", "vitals", "patients", "days", "clock")
"""What a rule with `every` may read: the last days of everybody (`islet.engine.history_tables`). `patients` has `today`
as well: the patient's last complete local day, a DATE, and `day_end_ts`, the instant at which it ended; `clock` one row
with `now_ts`; `readings` has `method` as well; `days` is made of the sensor's (`islet.engine.oracle.DAYS`)."""

HISTORY_COLUMNS: Final = frozenset(
    [
        "method",
        "time_zone",
        "today",
        "day_end_ts",
        "now_ts",
        "day",
        "readings",
        "active_percent",
        "mean_mg_dl",
        "tbr_percent",
        "tir_percent",
        "tar_percent",
    ]
)
"""Columns that these tables have beside those of TABLES and PATIENTS. No parameter may be called so: it is a column of
`patients` beside them."""
