"""How alarms reach the person who is logged in: addresses, this browser, consent to names and values, a test."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from islet.errors import BadInput, NotFound, SettingError
from islet.model.time import MINUTE_US
from islet.model.translated import mark as _
from islet.notify.health import Health
from islet.notify.recipients import Contact, Lane
from islet.web.alarm_figures import minute
from islet.web.alarms import alarms_of
from islet.web.answers import async_api, json_response, page, render
from islet.web.bodies import json_body
from islet.web.context import WebContext
from islet.web.forms import form
from islet.web.languages import language_of, words
from islet.web.pages import known_zone
from islet.web.sessions import Viewer, own_viewer
from islet.web.texts import CHANNELS

SELF_SERVICE: Final = ("telegram", "email", "ntfy")
"""Channels whose addresses people enter for themselves. Those of webhooks and Apprise hold secrets or name any host:
an administrator enters them on the command line."""
MOST_CONTACTS: Final = 20
_LARGEST_SUBSCRIPTION: Final = 8_000
_LONGEST_FIELD: Final = 300
_TEST_EVERY_US: Final = MINUTE_US  # an address can be anybody's
_WORKER: Final = Path(__file__).parent / "static" / "push.js"


_ADDRESSES: Final = {
    "telegram": _("Number of the chat (write to the bot; it cannot begin)"),
    "email": _("E-mail address"),
    "ntfy": _("ntfy topic, which is a secret"),
}
_SAID: Final = {
    "kept": _("Saved"),
    "removed": _("Removed"),
    "tested": _("A test is on its way."),
    "just": _("A test was sent a moment ago; wait a minute."),
    "address": _("This is not an address that the channel takes."),
    "many": _("There are too many addresses; remove one first."),
}


class _Subscribed(Struct, frozen=True, kw_only=True):
    """What the page's script sends: the browser's subscription, and its time zone."""

    subscription: msgspec.Raw
    time_zone: str = "UTC"


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A contact as its person sees it: never the address."""

    contact: Contact
    succeeded: str
    failed: str
    reason: str
    confirmed: str


def routes(context: WebContext) -> list[BaseRoute]:
    """None where the process has no outbox."""
    if context.alarms is None:
        return []

    def worker(request: Request) -> Response:
        """From the root, because a worker is in charge of what lies below its own address."""
        return FileResponse(_WORKER, media_type="text/javascript")

    return [
        page(context, "/account", show),
        form(context, "/account", _changed, longest=_LONGEST_FIELD, shown_at="/account"),
        async_api(context, "/account/push", subscribe, ("POST",)),
        Route("/push.js", worker, methods=["GET"]),
    ]


def show(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """The viewer's contacts, with whether each works."""
    text = words(language_of(request, viewer.user)).text
    alarms = alarms_of(context)
    health = {Lane(one.channel, one.recipient): one for one in alarms.outbox.health()}
    said = request.query_params.get("said", "")
    values = {
        "cards": [_card(one, health) for one in alarms.book.of(viewer.user.name)],
        "addresses": {name: text(_ADDRESSES[name]) for name in SELF_SERVICE if name in alarms.channels},
        "titles": {name: text(title) for name, title in CHANNELS.items()},
        "push": bool(alarms.push_key),
        "said": text(_SAID.get(said, "")),
        "failed": said in ("address", "many", "just"),
    }
    data: dict[str, object] = {"push_key": alarms.push_key}
    return render(context, request, viewer, "account.html", values, data=data)


def _changed(context: WebContext, request: Request, viewer: Viewer, fields: Mapping[str, str]) -> Response:
    own_viewer(viewer)  # an address outlives the key that it came with, and what is removed wakes nobody any more
    return RedirectResponse(f"/account?said={quote(_change(context, viewer, fields))}", 303)


def _change(context: WebContext, viewer: Viewer, fields: Mapping[str, str]) -> str:
    """What was done, as a key of _SAID."""
    act, now_us, by = fields.get("act", ""), context.now(), viewer.name
    alarms = alarms_of(context)
    if act == "add":
        return _add(context, viewer, fields)
    contact = _own(context, viewer, Lane(fields.get("channel", ""), fields.get("id", "")))
    if act == "remove":
        alarms.book.remove(contact.lane, by=by, at_us=now_us)
        return "removed"
    if act == "test":
        tested_us = [one.tested_us or 0 for one in alarms.outbox.health() if one[:2] == contact.lane]
        if any(now_us - at_us < _TEST_EVERY_US for at_us in tested_us):
            return "just"
        alarms.outbox.test(contact, now_us)
        return "tested"
    if act != "keep":
        raise BadInput("account: expected add, keep, remove or test", reason="form")
    wishes = structs.replace(contact, shows_name="shows_name" in fields, shows_value="shows_value" in fields)
    alarms.book.put(structs.replace(wishes, language="", enabled=True), by=by, at_us=now_us)
    return "kept"


def _add(context: WebContext, viewer: Viewer, fields: Mapping[str, str]) -> str:
    channel, address = fields.get("channel", ""), fields.get("address", "").strip()
    if channel not in SELF_SERVICE or channel not in alarms_of(context).channels:
        raise BadInput("account: this channel is not set up, or an administrator has to enter it", reason="form")
    return _keep_new(context, viewer, channel, address, fields.get("time_zone", "UTC"))


def _keep_new(context: WebContext, viewer: Viewer, channel: str, address: str, time_zone: str) -> str:
    alarms, user = alarms_of(context), viewer.user.name
    mine = alarms.book.of(user)
    if len(mine) >= MOST_CONTACTS:
        return "many"
    known = next((one for one in mine if (one.channel, one.address) == (channel, address)), None)
    id = known.id if known else f"{user} {secrets.token_hex(2)}"
    zone = known_zone(time_zone)
    contact = known or Contact(id=id, channel=channel, address=address, user=user, time_zone=zone)
    contact = structs.replace(contact, language="", enabled=True, disabled_reason="")
    try:
        alarms.check(contact)
    except SettingError:
        return "address"
    alarms.book.put(contact, by=viewer.name, at_us=context.now())
    return "kept"


async def subscribe(context: WebContext, request: Request, viewer: Viewer) -> Response:
    """Keep this browser's subscription: {"subscription": {…}, "time_zone": "Europe/Vienna"}."""
    own_viewer(viewer)
    expected = "push: expected a subscription as JSON"
    most = _LARGEST_SUBSCRIPTION
    given = await json_body(request, _Subscribed, expected=expected, reason="push", most_bytes=most)
    try:
        subscription = json.dumps(json.loads(bytes(given.subscription)), sort_keys=True)
    except (ValueError, RecursionError):
        raise BadInput(expected, reason="push") from None
    if "webpush" not in alarms_of(context).channels:
        raise BadInput("push: Web Push is not set up here", reason="push")
    said = await run_in_threadpool(_keep_new, context, viewer, "webpush", subscription, given.time_zone)
    return json_response({"said": said}, 200 if said == "kept" else 400)


def _own(context: WebContext, viewer: Viewer, lane: Lane) -> Contact:
    """Raises NotFound for anybody else's."""
    found = alarms_of(context).book.contact(lane)
    if found is None or found.user != viewer.user.name:
        raise NotFound("there is no such contact")
    return found


def _card(contact: Contact, health: Mapping[Lane, Health]) -> Card:
    known = health.get(contact.lane)
    return Card(
        contact=contact,
        succeeded=minute(known.succeeded_us) if known else "",
        failed=minute(known.failed_us) if known and known.failures else "",
        reason=contact.disabled_reason or (known.reason if known and known.failures else ""),
        confirmed=minute(known.confirmed_us) if known else "",
    )
