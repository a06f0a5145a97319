"""The tables that a rule is written over, and what is behind each of their columns.

A stream is one quantity: what a device measures, a whole number in fixed point per instant. Every table but the
silences' belongs to the stream of the quantity that a rule mentions.
"""

from dataclasses import dataclass
from typing import Final

from islet.engine.program import CONTEXT_COLUMNS, CONTEXT_SCALE


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
    """Glucose so many microseconds from now, as the readings up to now foretell it."""

    ahead_us: int


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


AHEAD_MIN: Final = (10, 20, 30, 40, 50, 60)
_EVERYWHERE: Final = ("patient", "device", "ts", "local_ts", "time_min")
_CONTEXT: Final[dict[str, Column]] = {name: Context(place) for place, name in enumerate(CONTEXT_COLUMNS)}
_AHEAD: Final[dict[str, Column]] = {f"glucose_in_{n}_min_mg_dl": Forecast(n * 60_000_000) for n in AHEAD_MIN}

TABLES: Final = {
    "readings": _table(*_EVERYWHERE, "glucose_mg_dl", sparse=False),
    "forecasts": _table(*_EVERYWHERE, "glucose_mg_dl", sparse=False, more=_AHEAD),
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

FORECAST_HIGH: Final = 65_535
"""A forecast lies between 0 and this, in tenths of mg/dL."""

HISTORY_TABLES: Final = ("readings", "care_events", "vitals", "patients", "days", "clock")
"""What a rule with `every` may read: the last days of everybody (`islet.engine.history_tables`). `patients` has `today`
as well: the patient's last complete local day, a DATE, and `day_end_ts`, the instant at which it ended; `clock` one row
with `now_ts`; `days` is made of `readings` (`islet.engine.oracle.DAYS`)."""
