"""What a message says: which rule, which patient (by id), since when. No name, no value, no advice.

A push text is shown on locked screens and passes through other people's servers; whoever reads it opens the portal.
"""

from collections.abc import Callable
from typing import Final

from islet.model.alerts import AlertChange
from islet.model.time import MINUTE_US, iso

Texts = Callable[[AlertChange], tuple[str, str]]
"""Title and text for a change; the outbox is given one."""

Titles = Callable[[str], str]
"""What people call a rule, by its name, in the messages' language."""

Translate = Callable[[str], str]
"""A catalogue: the sentence in the reader's language (`gettext`); an unknown sentence comes back as it is."""


def _(sentence: str) -> str:
    """Marks a sentence for the catalogue; it is the sentence itself, in English."""
    return sentence


TITLES: Final = {
    "urgent_low": _("Urgent low"),
    "low": _("Low glucose"),
    "high": _("High glucose"),
    "no_data": _("No data"),
    "pattern_change": _("Days have changed"),
    "seed_demonstration": _("Demonstration rule"),
}
"""The title of a rule where nobody gives another; the rest are called by their name."""

SENTENCES: Final = {
    "opened": _("{title}: alert for patient {patient} since {since}. Open the portal."),
    "cleared": _("{title}: the alert for patient {patient} since {since} has ended. Open the portal."),
    "retracted": _(
        "{title}: the alert for patient {patient} since {since} is withdrawn: readings that came late show "
        "that it did not occur. Open the portal."
    ),
}


def texts_in(translate: Translate = _, titles: Titles | None = None) -> Texts:
    """The standard texts in the catalogue's language. Times are UTC to the minute, and say so.

    >>> change = AlertChange(change="opened", rule="low", patient="p-7", onset_us=0, at_us=0)
    >>> texts_in()(change)[1]
    'Low glucose: alert for patient p-7 since 1970-01-01 00:00 UTC. Open the portal.'
    """

    def texts(change: AlertChange) -> tuple[str, str]:
        plain = TITLES.get(change.rule, change.rule.replace("_", " "))
        title = translate(plain) if titles is None else titles(change.rule)
        sentence = translate(SENTENCES[change.change])
        return title, sentence.format(title=title, patient=change.patient, since=_minute(change.onset_us))

    return texts


def _minute(instant_us: int) -> str:
    return iso(instant_us - instant_us % MINUTE_US)[:16].replace("T", " ") + " UTC"
