"""What a search for patterns is given (one person's days) and what it gives (findings, and advice that rests on them).

A finding says what was seen, how often and how sure, and shows every event that it rests on. None of it says why.
"""

from dataclasses import dataclass
from datetime import tzinfo
from enum import IntEnum, StrEnum
from typing import Final, Literal

from msgspec import Struct

from islet.model.events import AnyEvent
from islet.model.series import Series

Diabetes = Literal["type_1", "type_2", "gestational", "unknown"]
Severity = Literal["serious", "moderate", "mild", "none"]
"""How much it matters; "none" is news without a concern, or good news."""
Confidence = Literal["high", "moderate", "low", "not_enough"]
"""How sure: from the number of occasions and the interval. "not_enough": too few to say anything; figures may be empty."""
Kind = Literal["low", "high", "reading", "night", "day", "meal", "insulin", "exercise", "medication", "gap"]


class Wheel(StrEnum):
    """The side of life that a pattern is about."""

    GLUCOSE = "glucose"
    INSULIN = "insulin"
    DIET = "diet"
    EXERCISE = "exercise"
    MOTIVATION = "motivation"
    IMPACT = "impact"


class Priority(IntEnum):
    """In which order to read: lows before highs (AACE 2021)."""

    LOWS = 1
    HIGHS = 2
    VARIABILITY = 3
    HABITS = 4
    FACTS = 5


class Figure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number with its unit ("mg/dL", "%", "min", "h", "g", "U", "days", "points", or "" for a count or an index).

    low and high: the 90 % interval, None where there is none.
    """

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something in the data: from_us <= t <= to_us (instants; the same for an event), the number that counts, and what the
    person wrote (a meal's text, a drug's name), which is theirs and not to be translated."""

    kind: Kind
    from_us: int
    to_us: int
    value: float | None = None
    unit: str = ""
    text: str = ""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One pattern that was looked for, with what was seen.

    pattern: its name, a key of `pattern_texts.PATTERNS`. subject: which food, slot, kind of exercise, drug or day, "" where there is
    only one. figures: the first is the one to show. n: occasions that it was seen on, of `of` occasions looked at (nights,
    meals …). evidence: those n occasions, oldest first. confounders: keys of `pattern_texts.CONFOUNDERS`: what else may be behind
    it. source: what the definition comes from.
    """

    pattern: str
    wheel: Wheel
    priority: Priority
    severity: Severity
    confidence: Confidence
    source: str
    n: int
    of: int
    subject: str = ""
    figures: tuple[Figure, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    confounders: tuple[str, ...] = ()

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, None where there is none."""
        return next((one for one in self.figures if one.name == name), None)


class Advice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to do, or to talk about.

    rule: its name, a key of `advice_texts.ADVICE`. findings: the patterns that it rests on; evidence: the events of those. subject:
    as of the finding. foods: of the person's own, to choose from. figures: what its text names. clinician: to be discussed
    with one before anything is changed; never a dose.
    """

    rule: str
    priority: Priority
    confidence: Confidence
    source: str
    findings: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    subject: str = ""
    foods: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    clinician: bool = False


class Preferences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person likes and does not like to eat, and must not; words as they would write them, in any language."""

    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()
    allergies: tuple[str, ...] = ()
    cuisine: Literal["", "chinese", "western"] = ""


class Advised(Struct, frozen=True, kw_only=True):
    """Advice (its rule) that a person took up at an instant."""

    rule: str
    at_us: int


NO_PREFERENCES: Final = Preferences()


class Wishes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person (or their clinician) has said of themselves, as it is kept: kind of diabetes, food, advice taken up."""

    diabetes: Diabetes = "unknown"
    preferences: Preferences = Preferences()
    advised: tuple[Advised, ...] = ()


NO_WISHES: Final = Wishes()


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonDays:
    """Everything that is looked at: one person's readings (of a week to three months; more is slower, not better) and what
    they wrote down, in ascending order of time; the zone of their clock; and who they are, as far as it is known."""

    id: str
    series: Series
    events: tuple[AnyEvent, ...] = ()
    zone: tzinfo
    diabetes: Diabetes = "unknown"
    preferences: Preferences = NO_PREFERENCES
    advised: tuple[Advised, ...] = ()
