"""What a message says: which rule, which patient (by id), since when. No name and no value without consent; no advice.

A push text is shown on locked screens and passes through other people's servers; whoever reads it opens the portal.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from islet.model.time import MINUTE_US, iso
from islet.model.translated import mark as _
from islet.model.units import glucose_in
from islet.notify.base import Kind
from islet.notify.recipients import Contact

Translate = Callable[[str], str]
"""A catalogue: the sentence in the reader's language (`gettext`); an unknown sentence comes back as it is."""


class Said(Struct, frozen=True, kw_only=True):
    """What a message is about. `name` and `glucose_tenths` (when it began) are used only for who has consent."""

    kind: Kind
    rule: str = ""
    patient: str = ""
    since_us: int = 0
    name: str = ""
    glucose_tenths: int | None = None
    by: str = ""


Titles = Callable[[str], str]
"""What people call a rule, by its name."""

Wording = Callable[[Said, Contact | None], tuple[str, str]]
"""Title and text for one recipient; None is a recipient of whom nothing is known."""


SENTENCES: Final = {
    Kind.OPENED: _("{title}: alert for patient {patient} since {since}. Open the portal."),
    Kind.REPEATED: _(
        "{title}: the alert for patient {patient} since {since} goes on and needs an answer. Open the portal."
    ),
    Kind.CLEARED: _("{title}: the alert for patient {patient} since {since} has ended. Open the portal."),
    Kind.RETRACTED: _(
        "{title}: the alert for patient {patient} since {since} is withdrawn: what came late or was "
        "corrected shows that it did not occur. Open the portal."
    ),
    Kind.ACKNOWLEDGED: _(
        "{title}: the alert for patient {patient} since {since} was acknowledged by {by}. It has not ended. "
        "Open the portal."
    ),
    Kind.SUPERSEDED: _(
        "{title}: a more urgent alert for patient {patient} has taken the place of this one, since {since}. "
        "Open the portal."
    ),
}
VALUE: Final = _("Glucose when it began: {value} {unit}.")
FORETOLD: Final = _("Dosing decisions are not to be made from a forecast.")
SOMEBODY: Final = _("somebody")

OPERATION_TITLES: Final = {
    Kind.TEST: _("Test alarm"),
    Kind.ENGINE_SILENT: _("Alarms are not working"),
    Kind.ENGINE_BACK: _("Alarms are working again"),
}
OPERATION_SENTENCES: Final = {
    Kind.TEST: _("This is a test. Nobody is in danger. It shows that alarms reach you here; acknowledge it."),
    Kind.ENGINE_SILENT: _(
        "The part that raises alarms has not worked since {since}. Nobody is warned until it does. Look at it now."
    ),
    Kind.ENGINE_BACK: _("The part that raises alarms, which had stopped at {since}, is working again."),
}


def _by_name(rule: str) -> str:
    return rule.replace("_", " ").capitalize()


def _never(rule: str) -> bool:
    return False


def texts_in(translate: Translate = _, titles: Titles = _by_name, foretells: Callable[[str], bool] = _never) -> Wording:
    """The standard texts in the catalogue's language; `titles` gives a rule's in that language (by its name where it
    has none). Times are UTC to the minute, and say so. Of rules that `foretells` says look at a forecast, the text says
    what it is not for.

    >>> said = Said(kind=Kind.OPENED, rule="low", patient="p-7", glucose_tenths=620, name="Ada")
    >>> texts_in()(said, None)[1]
    'Low: alert for patient p-7 since 1970-01-01 00:00 UTC. Open the portal.'
    """

    def texts(said: Said, contact: Contact | None) -> tuple[str, str]:
        since = _minute(said.since_us)
        if said.kind in OPERATION_TITLES:
            sentence = translate(OPERATION_SENTENCES[said.kind])
            return translate(OPERATION_TITLES[said.kind]), sentence.format(since=since)
        title = titles(said.rule)
        text = translate(SENTENCES[said.kind]).format(
            title=title, patient=_patient(said, contact), since=since, by=_by(said, contact) or translate(SOMEBODY)
        )
        value = _value(said, contact)
        more = [translate(VALUE).format(**value)] if value else []
        if foretells(said.rule):
            more.append(translate(FORETOLD))
        return title, " ".join([text, *more])

    return texts


def _patient(said: Said, contact: Contact | None) -> str:
    return said.name if contact is not None and contact.shows_name and said.name else said.patient


def _by(said: Said, contact: Contact | None) -> str:
    """Who answered is a person's name, too."""
    return said.by if contact is not None and contact.shows_name else ""


def _value(said: Said, contact: Contact | None) -> dict[str, str]:
    if contact is None or not contact.shows_value or said.glucose_tenths is None or said.kind is Kind.RETRACTED:
        return {}
    value = glucose_in(contact.unit, said.glucose_tenths / 10)
    return {"value": f"{value:g}" if contact.unit == "mg/dL" else f"{value:.1f}", "unit": contact.unit}


def _minute(instant_us: int) -> str:
    return iso(instant_us - instant_us % MINUTE_US)[:16].replace("T", " ") + " UTC"
