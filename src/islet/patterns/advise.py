"""From findings to advice: lows before highs, nothing that contradicts another, nothing without evidence."""

from collections.abc import Iterator, Sequence
from typing import Final

from islet.metrics.ranges import STANDARD, Goals
from islet.patterns.advice.foods import foods_to_choose
from islet.patterns.advice.rules import RULES, Rule
from islet.patterns.findings import Advice, Confidence, Evidence, Figure, Finding, PersonDays, Priority

_SURE: Final[tuple[Confidence, ...]] = ("not_enough", "low", "moderate", "high")


def advise(findings: Sequence[Finding], person: PersonDays, goals: Goals = STANDARD) -> list[Advice]:
    """What to do or to talk about, in order of priority.

    Each advice has the events that its findings show. Where two would pull one part of life in different directions, the one
    that comes first in the table (lows before highs) stays. A finding that is not sure enough gives none, unless it is of
    lows: those are told with low confidence.
    """
    given: list[Advice] = []
    taken: dict[str, int] = {}
    for rule in sorted(RULES, key=lambda one: one.priority):
        if rule.goals and goals.name not in rule.goals:
            continue
        for finding in list(_occasions(rule, findings))[: rule.at_most]:
            does = [(part.format(subject=finding.subject), direction) for part, direction in rule.does]
            if any(taken.get(part, direction) != direction for part, direction in does):
                continue
            taken.update(does)
            given.append(_advice(rule, finding, findings, person))
    return given


def _occasions(rule: Rule, findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings that call for a rule, in the order in which they were found."""
    for finding in findings:
        concern = finding.severity != "none" or rule.no_concern
        sure = finding.confidence != "not_enough" or rule.priority is Priority.LOWS
        if (
            finding.pattern == rule.patterns[0]
            and concern
            and sure
            and finding.evidence
            and _fits(rule, finding, findings)
        ):
            yield finding


def _fits(rule: Rule, finding: Finding, findings: Sequence[Finding]) -> bool:
    """What a rule asks for beside its pattern."""
    if rule.name == "exercise_that_helps":  # lowers glucose for sure, and there are highs to lower
        change = finding.figures[0] if finding.figures else None
        lowers = change is not None and change.high is not None and change.high < 0.0
        return lowers and any(one.pattern == "time_above" and one.severity != "none" for one in findings)
    return rule.name != "keep_going" or any(one.value > 1 for one in finding.figures if one.name == "present_days")


def _advice(rule: Rule, finding: Finding, findings: Sequence[Finding], person: PersonDays) -> Advice:
    others = [one for one in findings if one.pattern in rule.patterns[1:] and one.severity != "none" and one.evidence]
    rests_on = (finding, *others)
    evidence = {(one.from_us, one.to_us, one.kind): one for each in rests_on for one in each.evidence}
    subject = finding.subject
    return Advice(
        rule=rule.name,
        priority=rule.priority,
        confidence=max("low", finding.confidence, key=_SURE.index),
        source=rule.source,
        findings=tuple(dict.fromkeys(one.pattern for one in rests_on)),
        evidence=tuple(sorted(evidence.values(), key=_when)),
        subject=subject,
        foods=_foods(findings, person, subject) if rule.foods else (),
        figures=(*finding.figures, Figure(name="n", value=finding.n), Figure(name="of", value=finding.of)),
        clinician=rule.clinician,
    )


def _foods(findings: Sequence[Finding], person: PersonDays, subject: str) -> tuple[str, ...]:
    chosen = foods_to_choose(findings, person.preferences)
    return tuple(food for food in chosen if not _alike(food, subject))


def _alike(food: str, subject: str) -> bool:
    """Whether one is the other, or a kind of it."""
    return bool(subject) and (food in subject or subject in food)


def _when(evidence: Evidence) -> tuple[int, int, str]:
    return evidence.from_us, evidence.to_us, evidence.kind
