"""What the pages of the registry tell of devices: never a key, and of commands not what they say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from islet.access.decide import Action
from islet.decode.iothub_twins import JsonObject
from islet.model.people import Device
from islet.model.time import DAY_US
from islet.model.topics import Topic
from islet.model.translated import mark as _
from islet.store.devices_base import Address, Letter
from islet.web.alarm_figures import minute
from islet.web.context import WebContext, WebDevices
from islet.web.sessions import Viewer

AUTHENTICATION: Final = {
    "sas": _("key"),
    "selfSigned": _("its own certificate"),
    "certificateAuthority": _("an authority's certificate"),
}
_BATTERY_DAYS: Final = 7
_STATUSES: Final = 20
"""Of the patient's devices that are looked through, newest first, for one with a battery."""
_MESSAGE_ID: Final = "$.mid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A device in the list. `seen`: when it was there last, "" for never; `battery`: as "84 %", "" where not known.
    `patient_shown`: whether the reader may see the patient's page."""

    id: str
    patient: str
    patient_shown: bool
    enabled: bool
    connected: bool
    seen: str
    authentication: str
    battery: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A command in a mailbox. `given_out`: the device has it and has not said what becomes of it."""

    id: str
    bytes: int
    sent: str
    expires: str
    deliveries: int
    given_out: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TwinView:
    """Tags and both configurations as JSON in lines; "" for an empty one."""

    tags: str
    desired: str
    desired_version: int
    reported: str
    reported_version: int


class _Status(msgspec.Struct):
    battery_percent: float | None = None


def row(context: WebContext, devices: WebDevices, viewer: Viewer, device: Device, text: Callable[[str], str]) -> Row:
    activity = devices.activities.activity(device.id).get((device.id, ""))
    return Row(
        id=device.id,
        patient=device.patient,
        patient_shown=_is_shown(viewer, device.patient),
        enabled=device.enabled,
        connected=activity is not None and activity.connected,
        seen="" if activity is None else minute(activity.seen_us),
        authentication=text(AUTHENTICATION[device.authentication]),
        battery=_battery(context, viewer, device),
    )


def waiting(devices: WebDevices, device: Device) -> list[Waiting]:
    """What its mailbox holds, the oldest first."""
    letters = devices.mailboxes.waiting_commands(_address(device), devices.wall_now())
    return [_waiting(letter) for letter in letters]


def twin_view(devices: WebDevices, device: Device) -> TwinView:
    twin = devices.twins.twin(_address(device))
    return TwinView(
        tags=_lines(twin.tags),
        desired=_lines(twin.desired.values),
        desired_version=twin.desired.version,
        reported=_lines(twin.reported.values),
        reported_version=twin.reported.version,
    )


def _address(device: Device) -> Address:
    return Address(device.id, device.generation_id)


def _is_shown(viewer: Viewer, patient: str) -> bool:
    return bool(patient) and viewer.may(Action.VIEW_PATIENT, patient)


def _battery(context: WebContext, viewer: Viewer, device: Device) -> str:
    """Of the last week, as far as the reader may see whose it is."""
    if not _is_shown(viewer, device.patient):
        return ""
    now_us = context.now()
    statuses = context.store.documents(
        Topic.DEVICE_READINGS, device.patient, now_us - _BATTERY_DAYS * DAY_US, now_us + DAY_US, _STATUSES
    )
    for status in statuses:
        if status.device == device.id and status.type == "device_status":
            percent = msgspec.json.decode(status.body, type=_Status).battery_percent
            if percent is not None:
                return f"{percent:.0f} %"
    return ""


def _waiting(letter: Letter) -> Waiting:
    return Waiting(
        id=letter.command.properties.get(_MESSAGE_ID, ""),
        bytes=len(letter.command.body),
        sent=minute(letter.enqueued_us),
        expires=minute(letter.expires_us),
        deliveries=letter.deliveries,
        given_out=bool(letter.lock_token),
    )


def _lines(values: JsonObject) -> str:
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() if values else ""
