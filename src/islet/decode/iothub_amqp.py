"""Addresses of IoT Hub's AMQP links.

Source: MicrosoftDocs azure-docs, iot-hub-amqp-support.md.
"""

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote

from islet.decode.event_hub import ELSEWHERE, ENTITY, RUNTIME
from islet.decode.iothub import DEVICE_ID, Identity
from islet.decode.iothub_dps import Registrant
from islet.decode.iothub_dps import parse_resource as parse_registration
from islet.errors import NotFound

_URL = re.compile(r"(?:amqps?|sb)://[^/]*(?=/|$)", re.IGNORECASE)
_EVENTS = re.compile(rf"/?({ELSEWHERE}|{ENTITY})/(\$management|ConsumerGroups/.+)", re.IGNORECASE | re.DOTALL)
_DEVICE = re.compile(r"/devices/([^/]+)(?:/modules/([^/]+))?(/.+)", re.DOTALL)


class Place(StrEnum):
    """What a link is for."""

    TOKENS = "$cbs"
    TELEMETRY = "/messages/events"
    COMMANDS = "/messages/devicebound"
    TWIN = "/twin"
    METHODS = "/methods/devicebound"
    SEND = "to devices"
    FEEDBACK = "feedback"
    FILES = "uploaded files"
    EVENTS = "devices' messages"
    REGISTRATION = "{ID scope}/registrations/{id}"
    RUNTIME = "what there is of them"
    EVENTS_ELSEWHERE = "devices' messages, at IoT Hub's own address"


class Endpoint(NamedTuple):
    """One end of a link: for a device's places with the device or module, for one that registers itself with what it
    calls itself; `tail` is what stands behind the name of the Event Hub."""

    place: Place
    identity: Identity | None = None
    tail: str = ""
    registrant: Registrant | None = None


_SERVICE = {
    "/messages/devicebound": Place.SEND,
    "/messages/servicebound/feedback": Place.FEEDBACK,
    "/messages/servicebound/filenotifications": Place.FILES,
}
_OWN = {place.value: place for place in (Place.TELEMETRY, Place.COMMANDS, Place.TWIN, Place.METHODS)}


def parse_address(text: str) -> Endpoint:
    """What an address names; with or without the host, in any case but the device's id. Raises NotFound.

    >>> parse_address("amqps://hub.example/devices/pump-1/messages/deviceBound").identity
    Identity(device='pump-1', module='')
    """
    path = _URL.sub("", text)
    if path.strip("/").lower() == "$cbs":
        return Endpoint(Place.TOKENS)
    if path.strip("/").lower() == RUNTIME:  # of the Event Hub that the request names
        return Endpoint(Place.RUNTIME, tail=RUNTIME)
    if path.strip("/").lower() == ELSEWHERE:  # of who asks for the Event Hub's name first
        return Endpoint(Place.EVENTS_ELSEWHERE)
    if path.lower() in _SERVICE:
        return Endpoint(_SERVICE[path.lower()])
    events = _EVENTS.fullmatch(path.rstrip("/"))
    if events is not None:
        return _of_events(events[1], events[2])
    registrant = parse_registration(path.lstrip("/"))
    if registrant is not None:
        return Endpoint(Place.REGISTRATION, registrant=registrant)
    found = _DEVICE.fullmatch(path)
    place = _OWN.get(found[3].rstrip("/").lower()) if found else None
    if found is None or place is None:
        raise NotFound("expected an address of IoT Hub")
    return Endpoint(place, _identity(found[1], found[2] or ""))


def _of_events(name: str, tail: str) -> Endpoint:
    if name.lower() != ENTITY:
        return Endpoint(Place.EVENTS_ELSEWHERE, tail=tail)
    return Endpoint(Place.RUNTIME if tail.lower() == RUNTIME else Place.EVENTS, tail=tail)


def parse_receiver(to: str) -> str:
    """The device in a command's `to`. Raises NotFound.

    >>> parse_receiver("/devices/pump%201/messages/devicebound")
    Traceback (most recent call last):
    ...
    islet.errors.NotFound: expected a device id
    """
    endpoint = parse_address(to)
    if endpoint.place is not Place.COMMANDS or endpoint.identity is None or endpoint.identity.module:
        raise NotFound("expected /devices/{id}/messages/devicebound")
    return endpoint.identity.device


def _identity(device: str, module: str) -> Identity:
    device, module = unquote(device), unquote(module)
    if not DEVICE_ID.fullmatch(device) or (module and not DEVICE_ID.fullmatch(module)):
        raise NotFound("expected a device id")
    return Identity(device, module)


def parse_resource(resource: str) -> Identity | None:
    """The device or module that a token's resource names; None: the hub, or a part of it."""
    parts = resource.split("/")[1:]
    if len(parts) >= 4 and parts[0] == "devices" and parts[2] == "modules":
        return Identity(parts[1], parts[3])
    return Identity(parts[1]) if len(parts) >= 2 and parts[0] == "devices" else None
