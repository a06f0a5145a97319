"""Patterns and advice for reports: looked for in the days that a report is of, and said in its language."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

from islet.model.time import from_us
from islet.patterns.advise import advise
from islet.patterns.find import find
from islet.patterns.findings import NO_WISHES, Advice, Finding, PersonDays, Priority, Severity, Wheel, Wishes
from islet.patterns.told import Told, advice_told, told
from islet.reports.document import Found
from islet.reports.forms import Search, Wish
from islet.reports.programme import DAYS as PROGRAMME_DAYS
from islet.reports.recorded import Recorded
from islet.reports.voice import Voice

_MOST_MOVED: Final = 8
Kind = Literal["risk", "moved", "advice"]


def search(wishes: Wishes = NO_WISHES) -> Search:
    """For a person who has said this of themselves."""

    def searched(recorded: Recorded, wish: Wish, voice: Voice) -> Sequence[Found]:
        days = PROGRAMME_DAYS if wish.kind == "programme" else wish.days
        person = _person(recorded.between(wish.last - timedelta(days=days - 1), wish.last), wishes)
        findings = find(person, wish.goals)
        risks = [one for one in findings if one.wheel is Wheel.GLUCOSE and one.severity != "none"]
        return [
            *(_finding("risk", one, person, voice) for one in risks),
            *(_finding("moved", one, person, voice) for one in _moved(findings)[:_MOST_MOVED]),
            *(_advice(one, findings, person, voice) for one in advise(findings, person, wish.goals)),
        ]

    return searched


def _person(recorded: Recorded, wishes: Wishes) -> PersonDays:
    return PersonDays(
        id=recorded.id,
        series=recorded.series,
        events=recorded.events,
        zone=recorded.zone,
        diabetes=wishes.diabetes,
        preferences=wishes.preferences,
        advised=wishes.advised,
    )


def _moved(findings: Sequence[Finding]) -> list[Finding]:
    """What went together with glucose: a concern about food, insulin or exercise, or an impact that is clear of zero."""
    sides = (Wheel.DIET, Wheel.INSULIN, Wheel.EXERCISE)
    concerns = [one for one in findings if one.wheel in sides and one.severity != "none"]
    clear = [one for one in findings if one.wheel is Wheel.IMPACT and one.confidence in ("high", "moderate")]
    lows = [one for one in concerns if one.priority is Priority.LOWS]
    return [*lows, *clear, *(one for one in concerns if one not in lows)]


def _finding(kind: Kind, one: Finding, person: PersonDays, voice: Voice) -> Found:
    said = told(one, voice.text, voice.unit)
    return _found(kind, one.pattern, one.severity, said, one, person)


def _advice(one: Advice, findings: Sequence[Finding], person: PersonDays, voice: Voice) -> Found:
    severity = next(finding.severity for finding in findings if finding.pattern == one.findings[0])
    return _found("advice", one.rule, severity, advice_told(one, voice.text, voice.unit), one, person)


def _found(kind: Kind, name: str, severity: Severity, said: Told, of: Finding | Advice, person: PersonDays) -> Found:
    return Found(
        kind=kind,
        name=name,
        severity=severity,
        title=said.title,
        text=said.sentence,
        evidence=tuple(from_us(one.from_us).astimezone(person.zone) for one in of.evidence),
        confidence=said.confidence,
        source=said.source,
        clinician=isinstance(of, Advice) and of.clinician,
        caveats=said.caveats if isinstance(of, Finding) else (),
    )
