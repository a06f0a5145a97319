"""The page on which a patient says who may follow them, and what administrators see and enter of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from islet.access.actions import Action
from islet.access.decide import decide
from islet.errors import AccessDenied, NotFound
from islet.model.permissions import Consent
from islet.store.consents import Following, State, followings, set_consent, set_consent_on_paper
from islet.web.alarm_figures import minute
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.sessions import Viewer, own_viewer
from islet.web.texts import reason

_MOST_NAMES: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Follower:
    """A care partner as the patient sees them. `may`: what access decides; `reason`: why, in the reader's language."""

    following: Following
    may: bool
    reason: str


def routes(context: WebContext) -> list[BaseRoute]:
    return [page(context, "/consents", show), form(context, "/consents", change)]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Who follows the patient who is logged in, to be ended by them at once, and who asks to."""
    viewer.require(Action.GIVE_CONSENT)
    mine = sorted(viewer.audience_for(Action.GIVE_CONSENT) or ())
    text = words(language_of(request, viewer.user)).text
    values = {
        "followers": [_follower(context, text, one) for one in followings(context.registry, mine) if one.user.enabled],
        "mine": mine,
        "said": request.query_params.get("said", ""),
        "minute": minute,
    }
    return render(context, request, viewer, "consents.html", values, data={})


def change(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    patient, name = fields.get("patient", ""), fields.get("name", "").strip()
    viewer.require(Action.GIVE_CONSENT, patient)
    if viewer.by:
        raise AccessDenied("nobody gives consent for a patient")
    own_viewer(viewer)
    given = fields.get("act") == "give"
    try:
        set_consent(context.registry, name, patient, given=given, by=viewer.name, at_us=context.now())
    except NotFound:  # no more is told of who has an account
        return RedirectResponse("/consents?said=unknown", 303)
    return RedirectResponse("/consents?said=kept", 303)


def asking(context: WebContext, viewer: Viewer) -> list[str]:
    """The names of those who ask to follow the patients whom the viewer gives consent for: the first few, and "…"."""
    if not viewer.may(Action.GIVE_CONSENT):
        return []
    mine = viewer.audience_for(Action.GIVE_CONSENT) or ()
    found = followings(context.registry, mine)
    names = [one.user.name for one in found if one.state is State.ASKED and one.user.enabled]
    return names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], "…"]


def enter_paper(context: WebContext, viewer: Viewer, fields: Mapping[str, str], *, given: bool) -> None:
    """A patient's word on paper, from an administrator's form. Raises BadInput, NotFound, AccessDenied."""
    said = Consent(
        user=fields.get("name", "").strip(),
        patient=fields.get("patient", "").strip(),
        given=given,
        at_us=context.now(),
        by=viewer.name,
        signed_by=fields.get("signed_by", "").strip(),
        signed_on=fields.get("signed_on", ""),
    )
    set_consent_on_paper(context.registry, said)


def _follower(context: WebContext, text: Callable[[str], str], one: Following) -> Follower:
    principal = context.principals.of_user(one.user, context.now())
    decision = decide(principal, Action.VIEW_PATIENT, one.patient)
    return Follower(following=one, may=decision.allowed, reason=reason(text, decision.reason))
