"""Who is told of a patient's alarms: the policy as a form, whom each step reaches, and how many alarms there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.decide import Action
from islet.contacts.book import EVERYONE
from islet.errors import BadInput
from islet.model.alerts import Severity
from islet.model.people import Patient
from islet.model.translated import mark as _
from islet.notify.policy import INSTALLATION, USER, Step
from islet.notify.recipients import Contact, reached
from islet.web.alarm_figures import BURDEN_DAYS, patient_burden
from islet.web.alarms import alarms_of
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import fields_of, posted
from islet.web.languages import language_of, words
from islet.web.pages import visible_patient
from islet.web.policy_form import Form, Row, entered_policy, form_of
from islet.web.sessions import Viewer
from islet.web.texts import CHANNELS, SEVERITIES

_MOST_FIELDS: Final = 300
_LONGEST_FIELD: Final = 100
_PATHS: Final = ("/policy", "/patients/{id}/policy")


WHO: Final = {
    "patient": _("The patient"),
    "care_partner": _("Care partners"),
    "clinician": _("Clinicians"),
    "operator": _("Administrators"),
    INSTALLATION: _("This installation"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """A step in words: whom it reaches now."""

    row: Row
    people: Sequence[str]


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no outbox."""
    if context.alarms is None:
        return []
    found: list[BaseRoute] = []
    for path in _PATHS:
        found += [page(context, path, show), posted(context, path, _changed)]
    return found


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The policy in force, as a form for those who may change it."""
    patient = _patient(context, request, viewer)
    policy, own = alarms_of(context).book.policy(patient.id if patient else EVERYONE)
    return _page(context, request, viewer, patient, form_of(policy), own)


async def _changed(context: WebContext, request: Request, viewer: Viewer) -> Response:
    fields = await fields_of(request, longest=_LONGEST_FIELD, most=_MOST_FIELDS)
    return await run_in_threadpool(_change, context, request, viewer, fields)


def _change(context: WebContext, request: Request, viewer: Viewer, fields: Sequence[tuple[str, str]]) -> Response:
    """Keep what was entered, or take the patient's own policy away; and show it again, with what is wrong."""
    patient = _patient(context, request, viewer)
    viewer.require(*_needed(patient))
    book, of = alarms_of(context).book, patient.id if patient else EVERYONE
    before = book.policy(of)[0]
    names = _rule_names(context)
    try:
        policy = None if ("back", "1") in fields else entered_policy(fields, before)
        book.set_policy(of, policy, rules=names, by=viewer.name, at_us=context.now())
    except BadInput as error:
        return _page(context, request, viewer, patient, Form.again(fields), True, str(error))
    return RedirectResponse(f"{request.url.path}?saved=1", 303)


def _page(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    patient: Patient | None,
    form: Form,
    own: bool,
    error: str = "",
) -> Response:
    text = words(language_of(request, viewer.user)).text
    may = viewer.may(*_needed(patient))
    values = {
        "patient": patient,
        "form": form,
        "reach": _reach(context, text, patient, form),
        "own": own,
        "may": may,
        "error": error,
        "saved": not error and "saved" in request.query_params,
        "who": {name: text(title) for name, title in WHO.items()} | _users(context, text, patient),
        "channels": {"": text(_("Every channel"))}
        | {name: text(title) for name, title in CHANNELS.items() if name in _channels(context)},
        "severities": {name: text(title) for name, title in SEVERITIES.items() if name != Severity.NOTICE},
        "burden": None if patient is None else patient_burden(context, patient),
        "burden_days": BURDEN_DAYS,
        "titles": _titles(context, request, viewer),
    }
    return render(context, request, viewer, "policy.html", values, data={}, status=400 if error else 200)


def _patient(context: WebContext, request: Request, viewer: Viewer) -> Patient | None:
    """None for the policy of all who have none of their own. Raises AccessDenied, NotFound."""
    if "id" in request.path_params:
        return visible_patient(context, viewer, request.path_params["id"])
    viewer.require(Action.READ_RULES)
    return None


def _needed(patient: Patient | None) -> tuple[Action, str | None]:
    """What one has to be allowed in order to change it: who may set a patient's rules may say who hears of them."""
    return (Action.ADMINISTER, None) if patient is None else (Action.SET_PATIENT_RULES, patient.id)


def _rule_names(context: WebContext) -> list[str]:
    return [] if context.rules is None else [rule.name for rule in context.rules.current().plan.rules]


def _titles(context: WebContext, request: Request, viewer: Viewer) -> Mapping[str, str]:
    return {} if context.rules is None else context.rules.current().titles(language_of(request, viewer.user))


def _channels(context: WebContext) -> list[str]:
    """Those that are set up, and those that somebody has."""
    alarms = alarms_of(context)
    return [*alarms.channels, *{contact.channel for contact in alarms.book.everybody()}]


def _contacts(context: WebContext, patient: Patient | None) -> Sequence[Contact]:
    return [] if patient is None else alarms_of(context).book.about(patient.id).contacts


def _users(context: WebContext, text: Callable[[str], str], patient: Patient | None) -> dict[str, str]:
    """People by name, of those who have a contact and may see the patient."""
    names = sorted({contact.user for contact in _contacts(context, patient) if contact.user})
    return {f"{USER}{name}": name for name in names}


def _reach(context: WebContext, text: Callable[[str], str], patient: Patient | None, form: Form) -> list[Reach]:
    """The steps in words; of everybody's policy nobody can say whom it reaches."""
    contacts = _contacts(context, patient)
    found = []
    for row in form.rows:
        step = Step(who=row.who, channel=row.channel, contact=row.contact)
        lanes = reached(step, contacts) if row.who else []
        found.append(
            Reach(
                row=row,
                people=[
                    text(_("{who} ({channel})")).format(
                        who=lane.recipient, channel=text(CHANNELS.get(lane.channel, lane.channel))
                    )
                    for lane in lanes
                ],
            )
        )
    return found
