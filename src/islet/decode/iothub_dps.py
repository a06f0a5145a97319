"""How the Device Provisioning Service writes things into MQTT, on the same listener as IoT Hub.

Source: MicrosoftDocs azure-docs, iot-mqtt-connect-to-iot-dps.md.
"""

import re
from typing import NamedTuple

from islet.decode.iothub import is_api_version, request_id
from islet.errors import ProtocolError

RESPONSES = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/?"
_STATUS = "$dps/registrations/GET/iotdps-get-operationstatus/?"
_USERNAME = re.compile(r"([^/]+)/registrations/([^/]+)/api-version=([^&]*)(?:&.*)?", re.DOTALL)
_SCOPE = re.compile(r"[A-Za-z0-9\-]{1,64}")
REGISTRATION_ID = re.compile(r"[A-Za-z0-9\-._:]{1,128}")


class Registrant(NamedTuple):
    """Who wants to register: the ID scope of this installation, and an id of its own."""

    scope: str
    id: str


class Request(NamedTuple):
    """What it asks: to be registered (`operation` is ""), or how an operation went."""

    rid: str
    operation: str = ""


def is_registrant(username: str) -> bool:
    """Whether a user name is one of provisioning, not of a device."""
    return "/registrations/" in username


def parse_registrant(username: str) -> Registrant:
    """ID scope and registration id of a user name. Raises ProtocolError.

    >>> parse_registrant("islet/registrations/pump-1/api-version=2019-03-31&ClientVersion=x")
    Registrant(scope='islet', id='pump-1')
    """
    found = _USERNAME.fullmatch(username)
    if found is None or not is_api_version(found[3]):
        raise ProtocolError("user name: expected {ID scope}/registrations/{registration id}/api-version={date}")
    return check_registrant(found[1], found[2])


def parse_resource(text: str) -> Registrant | None:
    """Who a token's resource, or the address of an AMQP link, is about; None: it is none of provisioning.

    >>> parse_resource("islet/registrations/pump-1")
    Registrant(scope='islet', id='pump-1')
    """
    parts = text.split("/")
    if len(parts) != 3 or parts[1] != "registrations":
        return None
    try:
        return check_registrant(parts[0], parts[2])
    except ProtocolError:
        return None


def check_registrant(scope: str, id: str) -> Registrant:
    """Raises ProtocolError for what cannot be an ID scope or a registration id."""
    if not _SCOPE.fullmatch(scope) or not REGISTRATION_ID.fullmatch(id):
        raise ProtocolError("provisioning: expected an ID scope, and an id of 1 to 128 of A-Z a-z 0-9 - . _ :")
    return Registrant(scope, id)


def parse_request(topic: str) -> Request:
    """What is asked on a topic. Raises ProtocolError for any other.

    >>> parse_request("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=7&operationId=4.a")
    Request(rid='7', operation='4.a')
    """
    if topic.startswith(_REGISTER):
        return Request(request_id(topic))
    if topic.startswith(_STATUS):
        for part in topic.partition("?")[2].split("&"):
            name, _, value = part.partition("=")
            if name == "operationId" and value:
                return Request(request_id(topic), value)
    raise ProtocolError("provisioning: expected one of its two topics")


def response_topic(status: int, rid: str, retry_after_s: int | None = None) -> str:
    """The topic of an answer."""
    later = "" if retry_after_s is None else f"&retry-after={retry_after_s}"
    return f"$dps/registrations/res/{status}/?$rid={rid}{later}"
