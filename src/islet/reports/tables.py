"""Reports as JSON, and as a CSV of one number a row. English keys, mg/dL and percent, whatever the page's language."""

import csv
import io
from collections.abc import Iterator
from typing import Final

import msgspec

from islet.reports.document import Goal, Programme, SevenDay, Window

_HEAD: Final = ("part", "when", "name", "value", "unit")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # so do Chinese ones

Cell = str | float | int | None
Row = tuple[str, str, str, Cell, str]


def as_json(report: SevenDay | Programme) -> bytes:
    """The document as it is, with its kind. What there is not is null."""
    kind = "seven_day" if isinstance(report, SevenDay) else "programme"
    return msgspec.json.encode({"report": kind, "not_a_medical_device": True} | msgspec.to_builtins(report))


def as_csv(report: SevenDay | Programme) -> str:
    """Rows of part, when (a day or a local time, "" for the whole period), name, value and unit, with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_HEAD)
    for part, when, name, value, unit in _rows(report):
        writer.writerow((part, when, safe(name), _plain(value), safe(unit)))
    return out.getvalue()


def _rows(report: SevenDay | Programme) -> Iterator[Row]:
    period = report.period
    yield "report", "", "note", "Not a medical device", ""
    yield "report", "", "person", report.id, ""
    yield "report", "", "from", period.first.isoformat(), ""
    yield "report", "", "to", period.last.isoformat(), ""
    yield "report", "", "time_zone", period.time_zone, ""
    yield "report", "", "target", report.target, ""
    enough = report.sufficiency
    yield "readings", "", "count", enough.readings, ""
    yield "readings", "", "active", enough.active_percent, "%"
    yield "readings", "", "days", enough.days_with_readings, "days"
    for band in report.bands:
        yield "range", "", band.name, band.percent, "%"
        yield "range", "", band.name, band.minutes_a_day, "min a day"
    yield from (row for goal in report.goals for row in _goal(goal))
    yield from _glucose(report)
    yield from _week(report) if isinstance(report, SevenDay) else _months(report)


def _goal(goal: Goal) -> Iterator[Row]:
    yield "goal", "", goal.name, goal.percent, "%"
    yield "goal", "", f"{goal.name}_{goal.aim}", goal.bound_percent, "%"
    yield "goal", "", f"{goal.name}_met", None if goal.met is None else str(goal.met).lower(), ""


def _glucose(report: SevenDay | Programme) -> Iterator[Row]:
    found = report.glucose
    yield "glucose", "", "mean", found.mean_mg_dl, "mg/dL"
    yield "glucose", "", "sd", found.sd_mg_dl, "mg/dL"
    yield "glucose", "", "cv", found.cv_percent, "%"
    yield "glucose", "", "gmi", found.gmi_percent, "%"
    yield "glucose", "", "gri", found.gri, ""
    yield "glucose", "", "lbgi", found.lbgi, ""


def _week(report: SevenDay) -> Iterator[Row]:
    for hour in report.profile:
        for name in ("p5", "p25", "p50", "p75", "p95"):
            yield "profile", f"{hour.hour:02}:30", name, getattr(hour, name), "mg/dL"
    for day in report.days:
        yield "day", day.date.isoformat(), "active", day.active_percent, "%"
        yield "day", day.date.isoformat(), "mean", day.mean_mg_dl, "mg/dL"
        yield "day", day.date.isoformat(), "in_range", day.bands[2] if day.bands else None, "%"
        for act in day.acts:
            yield act.kind, act.at.isoformat(), act.text, act.amount, act.unit if act.amount is not None else ""
    for episode in report.episodes:
        yield "episode", episode.begin.isoformat(), f"{episode.kind}_minutes", episode.minutes, "min"
        yield "episode", episode.begin.isoformat(), f"{episode.kind}_extreme", episode.extreme_mg_dl, "mg/dL"
    for lab in report.labs:
        yield "hba1c", lab.day.isoformat(), "hba1c", lab.percent, "%"


def _months(report: Programme) -> Iterator[Row]:
    for part, windows in (("phase", report.phases), ("window", report.windows)):
        for window in windows:
            yield from _window(part, window)
    for one in report.labs:
        when = one.lab.day.isoformat()
        yield "hba1c", when, "hba1c", one.lab.percent, "%"
        yield "hba1c", when, "gmi_before", one.gmi_percent, "%"
        yield "hba1c", when, "gap", one.gap, "percentage points"


def _window(part: str, window: Window) -> Iterator[Row]:
    when = f"{window.first.isoformat()}/{window.last.isoformat()}"
    yield part, when, "mean", window.mean_mg_dl, "mg/dL"
    for name in ("active", "cv", "gmi", "in_range", "below", "below_54", "above", "above_250"):
        yield part, when, name, getattr(window, f"{name}_percent"), "%"


def _plain(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else safe(str(value))


def safe(words: str) -> str:
    """What a person wrote never becomes a formula of a spreadsheet."""
    return f"'{words}" if words.startswith(_FORMULA) else words
