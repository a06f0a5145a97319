"""Commands that did not get to their device: what the page of devices tells of them, and sending one again."""

from collections.abc import Callable
from typing import Any, Final

from islet.errors import NotFound
from islet.model.translated import mark as _
from islet.store.devices_base import DeadCommand, Outcome
from islet.web.alarm_figures import minute
from islet.web.context import WebContext, WebDevices
from islet.web.sessions import Viewer

SHOWN: Final = 100
_MESSAGE_ID: Final = "$.mid"

_OUTCOMES: Final = {
    Outcome.EXPIRED: _("not fetched in time"),
    Outcome.TOO_OFTEN: _("given back too often"),
    Outcome.REJECTED: _("rejected by the device"),
    Outcome.PURGED: _("taken back by a service"),
}


def dead_rows(devices: WebDevices, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """The newest, newest first, as they are told to who runs the installation: not what they say."""
    return [_row(one, text) for one in devices.mailboxes.dead_commands(limit=SHOWN)]


def _row(one: DeadCommand, text: Callable[[str], str]) -> dict[str, Any]:
    return {
        "number": one.number,
        "device": one.address.device,
        "id": one.command.properties.get(_MESSAGE_ID, ""),
        "bytes": len(one.command.body),
        "sent": minute(one.enqueued_us),
        "ended": minute(one.ended_us),
        "outcome": text(_OUTCOMES[one.outcome]),
    }


def send_again(context: WebContext, devices: WebDevices, viewer: Viewer, number: str) -> None:
    """Put one of those that are told of into its device's mailbox again, for an hour.

    Raises NotFound, also where the device is gone or another one has its id now, and MailboxFull.
    """
    found = [one for one in devices.mailboxes.dead_commands(limit=SHOWN) if str(one.number) == number]
    to = found[0].address if found else None
    device = None if to is None else context.registry.device(to.device)
    if to is None or device is None or device.generation_id != to.generation:
        raise NotFound("no such dead command, or its device is gone")
    again = devices.mailboxes.resend_command(found[0].number, to, devices.wall_now())
    devices.waits(to)
    action = f"sent a dead command again, as {again}"
    context.registry.note(action, "device", to.device, by=viewer.name, at_us=context.now())
