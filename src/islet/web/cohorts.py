"""The page of cohorts: who has days alike, who fits nowhere, whose days have changed, and everybody side by side. For
clinicians; of their own patients alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from babel import Locale
from babel.dates import format_skeleton
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.model.people import Patient
from islet.model.translated import mark as _
from islet.patterns.changes import Evidence
from islet.patterns.cohorts import Cohort, Cohorts, Member
from islet.patterns.watch import PatternChanges
from islet.store.base import Registry
from islet.web.answers import page, render
from islet.web.cohort_pictures import Picture, picture
from islet.web.comparison import comparison
from islet.web.context import WebContext
from islet.web.languages import Words, language_of, words
from islet.web.nights import day_text, found, people_of, shown
from islet.web.sessions import Viewer

SHOWN_PEOPLE: Final = 300
"""Of one cohort, and of the other lists; how many more there are is said."""
FEWEST_PEOPLE: Final = 5
"""Of a cohort that is shown to who does not see all of them: the middle of fewer tells of each."""

NAMES: Final = {
    "low_night": _("Low at night"),
    "low_morning": _("Low in the morning"),
    "low_afternoon": _("Low in the afternoon"),
    "low_evening": _("Low in the evening"),
    "low_all_day": _("Low all day"),
    "high_night": _("High at night"),
    "high_morning": _("High in the morning"),
    "high_afternoon": _("High in the afternoon"),
    "high_evening": _("High in the evening"),
    "high_all_day": _("High all day"),
    "peak_night": _("Peak at night"),
    "peak_morning": _("Peak in the morning"),
    "peak_afternoon": _("Peak in the afternoon"),
    "peak_evening": _("Peak in the evening"),
    "above_goal": _("Above the goal all day"),
    "steady": _("Steady"),
    "varied": _("Up and down"),
}
METRICS: Final = {
    "mean_mg_dl": _("Mean glucose"),
    "cv_percent": _("Variability (CV)"),
    "tir_percent": _("Time in range"),
    "tbr_percent": _("Time below range"),
    "worn_h": _("Hours with readings a day"),
}
APART: Final = ((0.5, _("The cohorts lie well apart.")), (0.25, _("The cohorts overlap.")))
HARDLY_APART: Final = _("The cohorts hardly differ; take them as a rough order.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A cohort as a viewer sees it. `people` are theirs, nearest to the centroid first."""

    name: str
    count: int
    mean: str
    picture: Picture
    people: Sequence[Patient]


@dataclass(frozen=True, kw_only=True, slots=True)
class Odd:
    """Somebody whose day fits no cohort, and how far it is from the nearest."""

    patient: Patient
    name: str
    distance: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """One metric of somebody's days that has changed."""

    patient: Patient
    metric: str
    since: str
    amount: str


def routes(context: WebContext) -> list[Route]:
    return [page(context, "/cohorts", cohorts)]


def cohorts(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Cohorts, outliers and changes, as last night's jobs found them, of the viewer's patients."""
    viewer.require(Action.VIEW_COHORTS)
    spoken = words(language_of(request, viewer.user))
    people = people_of(context.registry, viewer)
    night, day = found(context.registry, "cohorts", Cohorts)
    members = {id: member for id, member in night.members.items() if id in people}
    unit = viewer.user.unit
    names = _names(night.cohorts, spoken)
    odd = sorted(((one.distance_mg_dl, id) for id, one in members.items() if one.outlier), reverse=True)
    drawn = [one for one in night.cohorts if _is_for(viewer, one, night, people)]
    values = {
        "cards": [_card(one, names[one.id], members, people, unit) for one in drawn],
        "kept_back": FEWEST_PEOPLE if len(drawn) < len(night.cohorts) else 0,
        "odd": [_odd(people[id], members[id], names, unit) for _, id in odd[:SHOWN_PEOPLE]],
        "odd_more": max(0, len(odd) - SHOWN_PEOPLE),
        "changed": _changed(context.registry, people, spoken, unit)[:SHOWN_PEOPLE],
        "total": len(people),
        "grouped": len(members),
        "night": day_text(spoken, day),
        "apart": spoken.text(_apart(night.silhouette)),
        "table": comparison(context.registry, people, spoken, unit, request.query_params.get("by", "")),
    }
    return render(context, request, viewer, "cohorts.html", values, data={})


def _is_for(viewer: Viewer, cohort: Cohort, night: Cohorts, people: Mapping[str, Patient]) -> bool:
    """Whether the middle of a cohort says nothing of one person who is none of the viewer's business."""
    if viewer.audience is None or cohort.size >= FEWEST_PEOPLE:
        return True
    return all(id in people for id, member in night.members.items() if member.cohort == cohort.id)


def _names(cohorts: Sequence[Cohort], spoken: Words) -> dict[int, str]:
    """What each cohort is called, by id; the second of a name has a 2 behind it, and so on."""
    seen = Counter[str]()
    names = {}
    for one in cohorts:
        seen[one.name] += 1
        number = f" {seen[one.name]}" if seen[one.name] > 1 else ""
        names[one.id] = spoken.text(NAMES[one.name]) + number
    return names


def _card(cohort: Cohort, name: str, members: Mapping[str, Member], people: Mapping[str, Patient], unit: str) -> Card:
    mine = sorted((m.distance_mg_dl, id) for id, m in members.items() if m.cohort == cohort.id and not m.outlier)
    return Card(
        name=name,
        count=len(mine),
        mean=shown(unit, sum(cohort.centroid) / len(cohort.centroid)),
        picture=picture(cohort, unit),
        people=[people[id] for _, id in mine[:SHOWN_PEOPLE]],
    )


def _odd(patient: Patient, member: Member, names: Mapping[int, str], unit: str) -> Odd:
    return Odd(patient=patient, name=names[member.cohort], distance=shown(unit, member.distance_mg_dl))


def _changed(registry: Registry, people: Mapping[str, Patient], spoken: Words, unit: str) -> list[Changed]:
    """The open changes, the newest first."""
    changes = found(registry, "changes", PatternChanges)[0].changes
    mine = [(change.onset_day, id, change) for id, change in changes.items() if change.open and id in people]
    return [
        Changed(
            patient=people[id],
            metric=spoken.text(METRICS[one.metric]),
            since=_short_day(spoken, date(1970, 1, 1) + timedelta(days=one.onset_day)),
            amount=_amount(one, unit),
        )
        for _, id, change in sorted(mine, key=lambda each: (-each[0], each[1]))
        for one in change.evidence
    ]


def _amount(one: Evidence, unit: str) -> str:
    if one.metric == "mean_mg_dl":
        return f"{shown(unit, one.before)} → {shown(unit, one.after)} {unit}"
    return f"{one.before:.0f} → {one.after:.0f} {'h' if one.metric == 'worn_h' else '%'}"


def _short_day(spoken: Words, day: date) -> str:
    return format_skeleton("MMMd", day, locale=Locale.parse(spoken.language, sep="-"))


def _apart(silhouette: float) -> str:
    return next((text for least, text in APART if silhouette >= least), HARDLY_APART)
