"""How Azure IoT Hub writes things into MQTT: client ids, user names, topics and property bags.

Device ids stand in topics as they are; everything else is percent-encoded (RFC 3986; a space is %20, a plus is a
plus). Source: MicrosoftDocs azure-docs, iot-mqtt-connect-to-iot-hub.md.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from islet.errors import ProtocolError

DEVICE_ID = re.compile(r"[A-Za-z0-9\-.+%_#*?!(),=@$']{1,128}")
_API_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?")
_MODEL_ID = re.compile(r"dtmi(:[A-Za-z](\w*[A-Za-z0-9])?)+(;[1-9][0-9]{0,8}(\.[0-9]{1,6})?)?", re.ASCII)
_MOST_MODEL_ID = 2048
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

TWIN_GET = "$iothub/twin/GET/"
TWIN_REPORT = "$iothub/twin/PATCH/properties/reported/"
TWIN_RESPONSES = "$iothub/twin/res/#"
DESIRED_CHANGES = "$iothub/twin/PATCH/properties/desired/#"
METHODS = "$iothub/methods/POST/#"
_METHOD_ANSWER = re.compile(r"\$iothub/methods/res/(-?[0-9]{1,9})/\?")


class Identity(NamedTuple):
    """A device, or a module of it."""

    device: str
    module: str = ""

    @property
    def client_id(self) -> str:
        return f"{self.device}/{self.module}" if self.module else self.device

    @property
    def path(self) -> str:
        """`devices/{id}` or `devices/{id}/modules/{module}`: the front of its topics and of its token's resource."""
        return f"devices/{self.device}/modules/{self.module}" if self.module else f"devices/{self.device}"

    @property
    def telemetry_topic(self) -> str:
        """The topic of what it sends, without a property bag."""
        return f"{self.path}/messages/events/"

    @property
    def filters(self) -> frozenset[str]:
        """The only topic filters that it may subscribe to. The SDK for Java has a module wait for commands, too."""
        inputs = (f"{self.path}/inputs/#",) if self.module else ()
        return frozenset((*inputs, self.commands, TWIN_RESPONSES, DESIRED_CHANGES, METHODS))

    @property
    def commands(self) -> str:
        """The filter of what services send to it."""
        return f"{self.path}/messages/devicebound/#"


class Username(NamedTuple):
    """What a device says in CONNECT's user name."""

    host: str
    client_id: str
    api_version: str
    model_id: str = ""
    """The model that it follows (a DTMI of Plug and Play); "" where it names none."""


def parse_identity(client_id: str) -> Identity:
    """Device and module of an MQTT client id. Raises ProtocolError when it is neither form."""
    device, slash, module = client_id.partition("/")
    if not DEVICE_ID.fullmatch(device) or (slash and not DEVICE_ID.fullmatch(module)):
        raise ProtocolError("client id: expected a device id, or device id/module id")
    return Identity(device, module)


def parse_username(text: str) -> Username:
    """Host, client id, api-version and model id of a user name, in any of the forms that SDKs send.

    Raises ProtocolError when one of the first two is missing, and for a version or a model id that is none. The client
    type is not kept.

    >>> parse_username("hub.example/sensor-1/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3ASensor%3B1")[2:]
    ('2021-04-12', 'dtmi:com:example:Sensor;1')
    >>> parse_username("hub.example/sensor-1/m/api-version=2016-11-14").client_id
    'sensor-1/m'
    """
    path, mark, query = text.partition("/?")
    if not mark:  # SDKs before 2017 leave the question mark out, and that for Node up to 1.0 says no version
        path, _, query = text.rpartition("/") if "=" in text else (text.removesuffix("/"), "", "")
    host, _, client_id = path.partition("/")
    said = {name: value for part in query.split("&") for name, _, value in [part.partition("=")]}
    version, model_id = said.get("api-version", ""), _unquoted(said.get("model-id", ""))
    if not host or not client_id or (version and not is_api_version(version)):
        raise ProtocolError("user name: expected {host}/{client id}/?api-version={date}")
    if model_id and not is_model_id(model_id):
        raise ProtocolError("user name: expected a model id such as dtmi:com:example:Sensor;1")
    return Username(host, client_id, version, model_id)


def is_model_id(text: str) -> bool:
    """Whether it is a Digital Twin Model Identifier (DTDL v2 and v3), of at most 2,048 characters."""
    return len(text) <= _MOST_MODEL_ID and _MODEL_ID.fullmatch(text) is not None


def is_api_version(text: str) -> bool:
    """Whether it is a date, as all api-versions are; which one makes no difference here."""
    return _API_VERSION.fullmatch(text) is not None


def parse_properties(bag: str) -> dict[str, str]:
    """Names and values of a property bag; system properties keep their `$` (`$.ct`), a bare name has the value "".

    A trailing slash is the topic's, not the bag's. Raises ProtocolError for an encoding that is not RFC 3986 of UTF-8.

    >>> parse_properties("%24.mid=a%20b&sport=run+walk&empty=&null")
    {'$.mid': 'a b', 'sport': 'run+walk', 'empty': '', 'null': ''}
    """
    properties = {}
    for part in bag.removesuffix("/").split("&"):
        name, _, value = part.partition("=")
        if name:
            properties[_unquoted(name)] = _unquoted(value)
    return properties


def _unquoted(text: str) -> str:
    """Both sides are decoded: the Python SDK writes `%24.mid` for `$.mid`."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise ProtocolError("property bag: expected two hexadecimal digits after %")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ProtocolError("property bag: expected percent-encoded UTF-8") from None


def format_properties(properties: Mapping[str, str]) -> str:
    """A property bag as IoT Hub writes it; `parse_properties` gives the same back.

    The SDK for Java finds a command's properties by the first `%24`, and what comes before is lost to it.

    >>> format_properties({"$.mid": "a b", "sport": "run"})
    '%24.mid=a%20b&sport=run'
    """
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in properties.items())


def request_id(topic: str) -> str:
    """`$rid` of a twin request, as it came (it goes back unchanged). Raises ProtocolError without one."""
    for part in topic.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if name in ("$rid", "%24rid") and value:
            return value
    raise ProtocolError("topic: expected a request id, ?$rid=…")


def twin_response(status: int, rid: str, version: int | None = None) -> str:
    """The topic of an answer to a twin request; with the version that a report made."""
    return f"$iothub/twin/res/{status}/?$rid={rid}" + ("" if version is None else f"&$version={version}")


def desired_topic(version: int) -> str:
    """The topic on which a device is told of new desired properties."""
    return f"$iothub/twin/PATCH/properties/desired/?$version={version}"


def method_topic(name: str, rid: str) -> str:
    """The topic of a method call. The SDK for Node decodes no name, and commands of Plug and Play components have a
    star in theirs.

    >>> method_topic("sensor*blink", "7")
    '$iothub/methods/POST/sensor*blink/?$rid=7'
    """
    return f"$iothub/methods/POST/{quote(name, safe='*')}/?$rid={rid}"


def parse_method_answer(topic: str) -> tuple[int, str]:
    """Status and request id of an answer to a method call. Raises ProtocolError.

    >>> parse_method_answer("$iothub/methods/res/200/?$rid=7")
    (200, '7')
    """
    answer = _METHOD_ANSWER.match(topic)
    if answer is None:
        raise ProtocolError("method: expected $iothub/methods/res/{status}/?$rid=…")
    return int(answer[1]), request_id(topic)


def command_topic(device: str, properties: Mapping[str, str]) -> str:
    """The topic of a command to a device, its properties at the end."""
    return f"devices/{device}/messages/devicebound/{format_properties(properties)}"
