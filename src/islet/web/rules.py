"""The rules for people: what each looks for, whether it is on and with which limits; and forms for those who may change
that, for everybody, a group or one patient."""

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from islet.access.decide import Action
from islet.engine.parameters import Layer, Override
from islet.engine.rulebook import RuleBook
from islet.engine.standing import Place, standings
from islet.errors import BadInput, NotFound
from islet.web.answers import page, render
from islet.web.context import WebContext
from islet.web.forms import fields_of, posted
from islet.web.pages import visible_patient
from islet.web.rule_cards import Entered, Refused, cards_for, needed
from islet.web.sessions import Viewer

_LONGEST_FIELD = 200
_PATHS = ("/rules", "/rules/groups/{tag}", "/patients/{id}/rules")


def routes(context: WebContext) -> list[Route]:
    """None where the process has no rule book."""
    if context.rules is None:
        return []
    found: list[Route] = []
    for path in _PATHS:
        found += [page(context, path, show), posted(context, path, _changed)]
    return found


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """All rules at one place."""
    return _page(context, request, viewer, _place(context, request, viewer))


def change(context: WebContext, request: Request, viewer: Viewer, entered: Entered) -> Response:
    """Keep what was entered for one rule, and show the page again; with what is wrong beside the field where it is."""
    place = _place(context, request, viewer)
    viewer.require(*needed(place))
    book = _book(context)
    standing = next((one for one in standings(book.current(), place) if one.rule.name == entered.rule), None)
    if standing is None:
        raise NotFound("there is no such rule")
    view = cards_for(context, request, viewer, place)
    try:
        enabled, parameters = view.read(standing, entered)
        override = Override(
            rule=entered.rule,
            layer=place.layer,
            of=place.of,
            enabled=enabled,
            parameters=parameters,
            author=viewer.name,
            set_us=context.now(),
        )
        book.set(override, viewer.user.role)
    except Refused as refused:
        return _page(context, request, viewer, place, entered, refused.errors)
    except BadInput as error:
        return _page(context, request, viewer, place, entered, {"": str(error)})
    return RedirectResponse(f"{request.url.path}?saved={entered.rule}#{entered.rule}", 303)


def _place(context: WebContext, request: Request, viewer: Viewer) -> Place:
    """Raises AccessDenied for those who may not see it, and NotFound."""
    if "id" in request.path_params:
        return Place.one(visible_patient(context, viewer, request.path_params["id"]))
    viewer.require(Action.READ_RULES)
    if "tag" not in request.path_params:
        return Place.everybody()
    tag = request.path_params["tag"]
    if tag not in _groups(context, viewer):
        raise NotFound("no patient whom you may see has this tag")
    return Place.group(tag)


def _groups(context: WebContext, viewer: Viewer) -> list[str]:
    """The tags of the patients whom the viewer may see; for who sets rules of groups also those of nobody for which
    something is set."""
    layer: Layer = "group"
    audience = viewer.audience
    patients = (one for one in context.registry.patients() if audience is None or one.id in audience)
    tags = {tag for patient in patients for tag in patient.tags}
    if viewer.may(Action.ADMINISTER):
        tags |= {one.of for one in _book(context).current().overrides if one.layer == layer}
    return sorted(tags)


def _page(
    context: WebContext,
    request: Request,
    viewer: Viewer,
    place: Place,
    entered: Entered | None = None,
    errors: Mapping[str, str] | None = None,
) -> Response:
    view = cards_for(context, request, viewer, place)
    found = standings(view.rules, place)
    many = viewer.may(Action.READ_RULES)
    values = {
        "sections": view.sections(found, entered, errors or {}),
        "broken": view.rules.broken if many and place.layer == "deployment" else (),
        "groups": _groups(context, viewer) if many and place.layer != "patient" else [],
        "place": place,
        "may": view.may,
        "total": len(found),
        "on": sum(one.on for one in found),
        "saved": "" if errors else request.query_params.get("saved", ""),
    }
    return render(context, request, viewer, "rules.html", values, data={}, status=400 if errors else 200)


def _book(context: WebContext) -> RuleBook:
    assert context.rules is not None, "routes are made only where there is a rule book"
    return context.rules


async def _changed(context: WebContext, request: Request, viewer: Viewer) -> Response:
    entered = _entered(dict(await fields_of(request, longest=_LONGEST_FIELD)))
    return await run_in_threadpool(change, context, request, viewer, entered)


def _entered(fields: Mapping[str, str]) -> Entered:
    levels = {name.removeprefix("level."): text.strip() for name, text in fields.items() if name.startswith("level.")}
    return Entered(rule=fields.get("rule", ""), enabled=fields.get("enabled", ""), levels=levels, back="back" in fields)
