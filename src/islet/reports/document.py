"""What a report says, as records: every picture and number of a page, in mg/dL, percent and local time. Also its JSON."""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

BandName = Literal["very_low", "low", "in_range", "high", "very_high"]
GoalName = Literal["in_range", "below_low", "below_54", "above_high", "above_250"]
PartName = Literal["night", "morning", "afternoon", "evening"]
Aim = Literal["over", "under"]
Missing = Literal["", "days", "readings"]
"""Why there is no GMI: fewer than 14 days, or below 70 % of the readings of 14 days; "" where there is one."""
ActKind = Literal["meal", "insulin", "exercise", "medication", "note"]
EpisodeKind = Literal["low", "very_low", "extended_low", "high", "very_high", "extended_high"]


class Period(Struct, frozen=True, kw_only=True):
    """Whole days of the person's wall clock, both included."""

    first: date
    last: date
    time_zone: str

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


class Sufficiency(Struct, frozen=True, kw_only=True):
    """How much there is. readings, and every how many minutes there is one (None with fewer than two); the share of the
    period's readings that are there; on how many of its days there are some. hours: of glucose that the readings make; of
    less than a day nothing is told about days. short: below 14 days or 70 %, so that shares may be chance. Warming up of a
    sensor and days before the first reading count as missing."""

    readings: int
    hours: float
    step_min: int | None
    active_percent: float
    days_with_readings: int
    days: int
    short: bool


class Band(Struct, frozen=True, kw_only=True):
    """Share of readings in a range, in percent of readings, and the minutes of a day that it would be. from_mg_dl is
    included; None where the band is open. A share is None without readings."""

    name: BandName
    from_mg_dl: float | None
    to_mg_dl: float | None
    percent: float | None
    minutes_a_day: float | None


class Goal(Struct, frozen=True, kw_only=True):
    """A share that the consensus has a goal for. `met` is None with too few readings to say."""

    name: GoalName
    percent: float | None
    aim: Aim
    bound_percent: float
    met: bool | None


class Glucose(Struct, frozen=True, kw_only=True):
    """Of all readings of the period; None where there are too few (indices that grade: below 70 %). gmi_percent is of the last 14 days or more, and
    gmi_missing says why there is none."""

    mean_mg_dl: float | None
    sd_mg_dl: float | None
    cv_percent: float | None
    gmi_percent: float | None
    gmi_missing: Missing
    gri: float | None
    gri_zone: str
    lbgi: float | None
    lowest_mg_dl: float | None
    highest_mg_dl: float | None


class Hour(Struct, frozen=True, kw_only=True):
    """An hour of the usual day: how many readings, and their percentiles after smoothing (None without readings)."""

    hour: int
    readings: int
    p5: float | None
    p25: float | None
    p50: float | None
    p75: float | None
    p95: float | None


class DayPart(Struct, frozen=True, kw_only=True):
    """A part of the day over all days: shares below, in and above the target range, and the mean."""

    name: PartName
    from_hour: int
    to_hour: int
    readings: int
    mean_mg_dl: float | None
    below_percent: float | None
    in_range_percent: float | None
    above_percent: float | None


class Episode(Struct, frozen=True, kw_only=True):
    """At least 15 min beyond a level, ended by 15 min back. kind is the gravest that it reached."""

    kind: EpisodeKind
    begin: datetime
    minutes: int
    extreme_mg_dl: float
    night: bool


class Act(Struct, frozen=True, kw_only=True):
    """What a person wrote down. amount in `unit` (g, U, min, or a drug's own); text is theirs."""

    kind: ActKind
    at: datetime
    amount: float | None
    unit: str
    text: str


class Point(Struct, frozen=True, array_like=True):
    """A reading: minutes since the day's midnight, and mg/dL."""

    minute: float
    mg_dl: float


class Left(Struct, frozen=True, array_like=True):
    """What is still to come at a minute of the day: mealtime insulin in U and carbs in g, by the models of
    `islet.patterns.on_board`."""

    minute: int
    insulin_u: float
    carbs_g: float


class Day(Struct, frozen=True, kw_only=True):
    """One day. bands: shares of the five bands in percent, very low first; empty without readings. runs: the curve, in
    pieces without a gap. on_board: from midnight to midnight; empty where nothing was. low_episodes: None where there are
    no readings, or they are more than 45 min apart."""

    date: date
    readings: int
    active_percent: float
    mean_mg_dl: float | None
    bands: tuple[float, ...]
    runs: tuple[tuple[Point, ...], ...]
    acts: tuple[Act, ...]
    on_board: tuple[Left, ...]
    low_episodes: int | None


class Before(Struct, frozen=True, kw_only=True):
    """The days before, as many: None where they have too little (below 70 % of readings)."""

    first: date
    last: date
    mean_mg_dl: float
    cv_percent: float
    in_range_percent: float
    below_percent: float
    above_percent: float


class Lab(Struct, frozen=True, kw_only=True):
    """A laboratory's HbA1c in percent (NGSP), and the day when the blood was drawn."""

    day: date
    percent: float


class Found(Struct, frozen=True, kw_only=True):
    """A pattern or an advice, in the reader's language: what, how sure, on what days it rests, what else may be behind it,
    and who says so."""

    kind: Literal["risk", "moved", "advice"]
    name: str
    severity: Literal["serious", "moderate", "mild", "none"]
    title: str
    text: str
    evidence: tuple[datetime, ...]
    confidence: str
    source: str
    clinician: bool = False
    caveats: tuple[str, ...] = ()


class Report(Struct, frozen=True, kw_only=True):
    """What every report says: of whom, by which goals, of which days, how much there is, and the measures of all of it."""

    id: str
    label: str
    target: str
    low_mg_dl: float
    high_mg_dl: float
    period: Period
    sufficiency: Sufficiency
    bands: tuple[Band, ...]
    goals: tuple[Goal, ...]
    glucose: Glucose
    found: tuple[Found, ...] = ()


class SevenDay(Report, frozen=True, kw_only=True):
    """A report of a week or two."""

    profile: tuple[Hour, ...]
    parts: tuple[DayPart, ...]
    episodes: tuple[Episode, ...]
    days: tuple[Day, ...]
    before: Before | None
    labs: tuple[Lab, ...]


class Window(Struct, frozen=True, kw_only=True):
    """Fourteen days that end with `last`, or a phase. shares in percent; None with too little (below 70 % active)."""

    first: date
    last: date
    active_percent: float
    mean_mg_dl: float | None
    cv_percent: float | None
    gmi_percent: float | None
    in_range_percent: float | None
    below_percent: float | None
    below_54_percent: float | None
    above_percent: float | None
    above_250_percent: float | None


class LabGap(Struct, frozen=True, kw_only=True):
    """A laboratory value beside the GMI of the readings before it: gap = GMI - HbA1c in percentage points, None where the
    readings are too few. days: how many days before the draw the GMI is of; active_percent: of these."""

    lab: Lab
    days: int
    active_percent: float
    gmi_percent: float | None
    gap: float | None


class Programme(Report, frozen=True, kw_only=True):
    """A report of three months. rolling: a window a day; phases: thirty days each, the oldest first."""

    rolling: tuple[Window, ...]
    windows: tuple[Window, ...]
    phases: tuple[Window, ...]
    labs: tuple[LabGap, ...]
