"""What is said of an upload, in the words of people: kinds of events, why lines were left out, what is wrong and what
to do."""

from collections.abc import Callable, Mapping
from typing import Final

from islet.model.translated import mark as _
from islet.web.upload_told import Wrong

KINDS: Final[Mapping[str, str]] = {
    "reading": _("sensor readings"),
    "capillary reading": _("fingersticks"),
    "meal": _("meals"),
    "insulin": _("insulin doses"),
    "exercise": _("bouts of exercise"),
    "medication": _("medicines taken"),
    "vital": _("pulse or blood pressure values"),
    "device_status": _("device messages"),
    "note": _("notes"),
    "hba1c": _("HbA1c values"),
}
LEFT_OUT: Final[Mapping[str, str]] = {
    "a reading below 10 or above 1500 mg/dL": _("a reading below 10 or above 1500 mg/dL"),
    "before 1900": _("before 1900"),
    "in the future": _("in the future"),
    "the same device and instant as an earlier reading": _("the same device and instant as an earlier reading"),
    "a record of another kind, or without a value": _("a record of another kind, or without a value"),
    "a sensor's error code instead of a value": _("a sensor's error code instead of a value"),
    "a treatment without a value": _("a treatment without a value"),
    "a workout without a duration": _("a workout without a duration"),
    "an entry without a value (calibration)": _("an entry without a value (calibration)"),
    "at rest, or not worn": _("at rest, or not worn"),
    "insulin without a dose": _("insulin without a dose"),
    "no date and time in column 1": _("no date and time in column 1"),
    "no event": _("no event"),
    "a record of another person": _("a record of another person"),
    "a record without a value": _("a record without a value"),
    "a food without a time": _("a food without a time"),
    "a reading without a value": _("a reading without a value"),
    "a row without a reading, a meal or a delivered bolus": _("a row without a reading, a meal or a delivered bolus"),
    "a row without a value": _("a row without a value"),
    "a sensor reading without a value": _("a sensor reading without a value"),
    "a sum of the day": _("a sum of the day"),
}
_ASKS: Final[Mapping[str, str]] = {
    "date_order": _("The dates can be read in two ways, and nothing in the file decides. Choose their order below."),
    "unit": _("The file does not say the unit of glucose, or one that is not known. Choose it below."),
    "mapping": _("Which column is the time, and which the glucose? Write their headings below."),
    "meal_time": _("A meal has no time of day in the file. Say below when it usually is."),
    "time_zone": _("The times are local. Say below where."),
    "people": _("Several people stand in one table. Write below who of them is meant, as the table names them."),
    "format": _(
        "This is no export that is known here, and no table with headings such as time and glucose. If it is a table, "
        "write the headings of these columns below."
    ),
}
"""Questions that a person can answer; the file can be read then."""
_SAYS: Final[Mapping[str, str]] = {
    "empty": _("The file is empty, or holds nothing that can be imported."),
    "time": _("A date or time cannot be read."),
    "value": _("There is something else than what is expected there."),
    "schema": _("There is a value that cannot be."),
    "glucose_range": _("The values cannot be glucose in this unit: the unit or the column is wrong."),
    "encoding": _("The text of the file cannot be read: save it as UTF-8."),
    "json": _("The file ends too early or is damaged (JSON)."),
    "xml": _("The file ends too early or is damaged (XML)."),
    "packed": _("The file is packed (gzip). Unpack it first."),
    "archive": _("The archive is damaged, has a password, or holds too many files."),
    "too_large": _("The file is too large to be read at once. Export fewer months at a time."),
}
_OTHER: Final = _("The file cannot be read.")
_PLACE: Final = _("Line {line}, column {column}.")
_LINE: Final = _("Line {line}.")
REFUSED: Final[Mapping[str, str]] = {
    "empty": _("Choose a file first."),
    "many": _("Too many files at a time: send at most 50."),
    "time_zone": _("This time zone is not known; write it as Asia/Shanghai."),
    "choice": _("This time or heading is not known."),
    "state": _("This is not possible now. Look at the state of the upload."),
    "too_large": _(
        "These files are too large: an upload may hold {megabytes} MB. Send them one by one, or as a zip archive."
    ),
    "busy": _("Four uploads of yours are being sent or read. Wait until one of them is done."),
    "full": _("Too many uploads are waiting to be confirmed. Try again in half an hour."),
}
UNREADABLE: Final = _("This could not be read as an upload. Try again.")


def left_out(text: Callable[[str], str], reason: str) -> str:
    """Why lines were left out; a kind of the file's own stays in front as it is."""
    kind, colon, rest = reason.rpartition(": ")
    return f"{kind}{colon}{text(LEFT_OUT.get(rest, rest))}"


def question(wrong: Wrong | None) -> bool:
    """Whether it is one that a person can answer."""
    return wrong is not None and wrong.reason in _ASKS


def sentence(text: Callable[[str], str], wrong: Wrong) -> str:
    """What is wrong, where, and what to do."""
    said = text(_ASKS.get(wrong.reason) or _SAYS.get(wrong.reason) or _OTHER)
    if wrong.line is None:
        return said
    place = text(_PLACE if wrong.column else _LINE).format(line=wrong.line, column=wrong.column)
    return f"{place} {said}"
