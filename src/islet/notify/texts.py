"""What a message says: which rule, which patient (by id), since when. No name, no value, no advice.

A push text is shown on locked screens and passes through other people's servers; whoever reads it opens the portal.
"""

from collections.abc import Callable
from typing import Final

from islet.model.alerts import AlertChange
from islet.model.time import MINUTE_US, iso

Texts = Callable[[AlertChange], tuple[str, str]]
"""Title and text for a change; the outbox is given one."""

Translate = Callable[[str], str]
"""A catalogue: the sentence in the reader's language (`gettext`); an unknown sentence comes back as it is."""

TITLES: Final = {
    "urgent_low": "Urgent low",
    "low": "Low",
    "high": "High",
    "no_data": "No data",
    "seed_demonstration": "Demonstration rule",
}
"""The title of each shipped rule; other rules are called by their name."""

SENTENCES: Final = {
    "opened": "{title}: alert for patient {patient} since {since}. Open the portal.",
    "cleared": "{title}: the alert for patient {patient} since {since} has ended. Open the portal.",
    "retracted": "{title}: the alert for patient {patient} since {since} is withdrawn: readings that came late show "
    "that it did not occur. Open the portal.",
}


def english(sentence: str) -> str:
    """The catalogue of the language that the sentences are written in."""
    return sentence


def texts_in(translate: Translate = english) -> Texts:
    """The standard texts in the catalogue's language. Times are UTC to the minute, and say so.

    >>> change = AlertChange(change="opened", rule="low", patient="p-7", onset_us=0, at_us=0)
    >>> texts_in()(change)[1]
    'Low: alert for patient p-7 since 1970-01-01 00:00 UTC. Open the portal.'
    """

    def texts(change: AlertChange) -> tuple[str, str]:
        title = translate(TITLES.get(change.rule, change.rule.replace("_", " ")))
        sentence = translate(SENTENCES[change.change])
        return title, sentence.format(title=title, patient=change.patient, since=_minute(change.onset_us))

    return texts


def _minute(instant_us: int) -> str:
    return iso(instant_us - instant_us % MINUTE_US)[:16].replace("T", " ") + " UTC"
