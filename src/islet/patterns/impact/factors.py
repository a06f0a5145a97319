"""What may move glucose: the events of a person, sorted into factors with an amount each."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from islet.model.insulins import is_mealtime
from islet.patterns.course import E_, Course, Noted, noted_evidence
from islet.patterns.findings import Evidence, Kind
from islet.patterns.insulin.names import drug_class

FactorKind = Literal["carbs", "meal", "rescue", "insulin", "exercise", "medication", "note"]
_CARBS_PER: Final = 10.0
_KNOWN_SHARE: Final = 0.8
_LONGEST_NOTE: Final = 40
_NUMBER: Final = re.compile(r"\d")
"""A note with a number is a measurement or a setting, not something that happened again."""


class Factor(Struct, frozen=True, kw_only=True):
    """One thing that happened several times. clock_us: when, wall clock; amounts: how much each time, in `per` (10 g, 1 U,
    one bout …). reacts: whether people do it because of their glucose, so that its impact cannot be read off."""

    kind: FactorKind
    subject: str
    per: str
    clock_us: tuple[int, ...]
    amounts: tuple[float, ...]
    evidence: tuple[Evidence, ...]
    reacts: bool = False

    def __len__(self) -> int:
        return len(self.clock_us)


def factors(course: Course) -> list[Factor]:
    """All factors of a person, however rare, in a fixed order."""
    found = [*_meals(course), *_insulin(course)]
    exercise = _grouped(((one.event.kind.strip().lower(), one) for one in course.exercise), "exercise", "exercise")
    drugs = ((drug_class(one.event.name) or one.event.name.strip().lower(), one) for one in course.medication)
    notes = ((one.event.text.strip().lower(), one) for one in course.notes)
    short = ((text, one) for text, one in notes if text and len(text) <= _LONGEST_NOTE and not _NUMBER.search(text))
    return [*found, *exercise, *_grouped(drugs, "medication", "medication"), *_grouped(short, "note", "reading")]


def _meals(course: Course) -> Iterable[Factor]:
    meals = [one for index, one in enumerate(course.meals) if index not in course.rescues]
    known = [one for one in meals if one.event.carbs_g]
    if known and len(known) >= _KNOWN_SHARE * len(meals):
        grams = [float(one.event.carbs_g or 0.0) / _CARBS_PER for one in known]
        yield _factor("carbs", "", "10 g", known, grams, "meal")
    elif meals:
        yield _factor("meal", "", "meal", meals, [1.0] * len(meals), "meal")
    rescues = [course.meals[index] for index in sorted(course.rescues)]
    if rescues:
        yield _factor("rescue", "", "meal", rescues, [1.0] * len(rescues), "meal", reacts=True)


def _insulin(course: Course) -> Iterable[Factor]:
    doses = [one for one in course.insulin if is_mealtime(one.event) and one.event.dose_u > 0.0]
    if doses:
        yield _factor("insulin", "", "1 U", doses, [one.event.dose_u for one in doses], "insulin", reacts=True)


def _grouped(named: Iterable[tuple[str, Noted[E_]]], kind: FactorKind, shown: Kind) -> list[Factor]:
    groups: dict[str, list[Noted[E_]]] = defaultdict(list)
    for name, one in named:
        groups[name].append(one)
    return [_factor(kind, name, kind, group, [1.0] * len(group), shown) for name, group in sorted(groups.items())]


def _factor(
    kind: FactorKind,
    subject: str,
    per: str,
    noted: list[Noted[E_]],
    amounts: list[float],
    shown: Kind,
    *,
    reacts: bool = False,
) -> Factor:
    evidence = (noted_evidence(shown, one, amount, "", subject) for one, amount in zip(noted, amounts, strict=True))
    return Factor(
        kind=kind,
        subject=subject,
        per=per,
        clock_us=tuple(one.clock_us for one in noted),
        amounts=tuple(float(np.round(amount, 2)) for amount in amounts),
        evidence=tuple(evidence),
        reacts=reacts,
    )
