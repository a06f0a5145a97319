"""A report in the form that is asked for: which kinds and forms there are, and how a file of each is called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from islet.metrics.ranges import Goals
from islet.reports.document import Found, Programme, SevenDay
from islet.reports.html import programme_html, seven_day_html
from islet.reports.pdf import pdf_of
from islet.reports.programme import programme
from islet.reports.recorded import Recorded
from islet.reports.seven_day import TARGETS, seven_day
from islet.reports.tables import as_csv, as_json
from islet.reports.voice import Voice

Kind = Literal["seven-day", "programme"]
Form = Literal["html", "pdf", "csv", "json"]
KINDS: Final[tuple[Kind, ...]] = ("seven-day", "programme")
FORMS: Final[tuple[Form, ...]] = ("html", "pdf", "csv", "json")
MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}


Search = Callable[[Recorded, "Wish", Voice], Sequence[Found]]
"""Looks for patterns and advice in the days that a report is of, and says them in its language."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for. `last`: the last day of the period; `days`: of a week's report, 7 or 14."""

    kind: Kind
    last: date
    days: int = 7
    target: str = "standard"

    @property
    def goals(self) -> Goals:
        return TARGETS[self.target]


def written(recorded: Recorded, wish: Wish, form: Form, voice: Voice, *, found: Search | None = None) -> bytes:
    """The report as a file. Raises SettingError for a PDF where WeasyPrint is not installed."""
    report = document(recorded, wish, found=found and found(recorded, wish, voice))
    if form == "json":
        return as_json(report)
    if form == "csv":
        return as_csv(report).encode("utf-8-sig")  # spreadsheets take it for another encoding else
    html = seven_day_html(report, voice) if isinstance(report, SevenDay) else programme_html(report, voice)
    return pdf_of(html) if form == "pdf" else html.encode()


def document(recorded: Recorded, wish: Wish, *, found: Sequence[Found] | None = None) -> SevenDay | Programme:
    """What the report says."""
    if wish.kind == "programme":
        return programme(recorded, wish.goals, last=wish.last, found=found or ())
    return seven_day(recorded, wish.goals, days=wish.days, last=wish.last, found=found or ())


def file_name(recorded: Recorded, wish: Wish, form: Form) -> str:
    """As p-1_seven-day_2026-03-02.html; of letters, digits, dots, hyphens and underscores."""
    person = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in recorded.id
    )
    return f"{person or 'person'}_{wish.kind}_{wish.last.isoformat()}.{form}"
