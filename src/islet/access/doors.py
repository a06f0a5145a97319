"""Every door there is, and what one has to be allowed at it: the matrix of the documentation, and of the test that tries
each door as everybody. A door that is not in this table fails that test.

The doors themselves ask `decide`; this table says what they have to ask.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from islet.access.actions import Action


class Open(StrEnum):
    """What does not depend on who asks, or not on a decision about one thing."""

    ANYBODY = "anybody"
    """Says nothing of anybody."""
    LOGGED_IN = "logged in"
    """Shows everyone what is theirs: their own account, or the patients whom they may see."""
    LINK = "who has the link"
    """The link, or the secret in a header, is the credential; it was given to one recipient for one thing."""
    SELF = "the person themselves"
    """Logged in with a password; not with a key, and not as somebody else."""
    HERE = "this machine, and `metrics_networks`"
    KEY = "who has a key"
    """A key of an application or a person, and no other credential."""


class Credential(StrEnum):
    """What is taken at the door; any other is as good as none."""

    PORTAL = "session or key"
    HUB = "token of a hub policy"
    DEVICE = "token or certificate of the device, or token of a hub policy"
    NONE = "none"


class Door(Struct, frozen=True, kw_only=True):
    """One way in. `method` is HTTP's, or what a client of the other protocols does; `about`: the decision is asked about
    the patient (of the alert, of the device) that the address or the form names."""

    protocol: str
    method: str
    address: str
    needs: Action | Open
    credential: Credential
    about: bool = False


def _portal(needs: Action | Open, *addresses: str, about: bool = False) -> list[Door]:
    credential = Credential.NONE if needs in (Open.ANYBODY, Open.LINK, Open.HERE) else Credential.PORTAL
    return _http(needs, credential, *addresses, about=about)


def _http(needs: Action | Open, credential: Credential, *addresses: str, about: bool = False) -> list[Door]:
    return [
        Door(protocol="http", method=method, address=path, needs=needs, credential=credential, about=about)
        for method, path in (address.split(" ", 1) for address in addresses)
    ]


def _hub(needs: Action, *addresses: str) -> list[Door]:
    return _http(needs, Credential.HUB, *addresses)


def _device(protocol: str, *addresses: str) -> list[Door]:
    return [
        Door(
            protocol=protocol,
            method=method,
            address=address,
            needs=Action.SEND_EVENTS,
            credential=Credential.DEVICE,
            about=True,
        )
        for method, address in (one.split(" ", 1) for one in addresses)
    ]


_TWINS: Final = ("/twins/{id}", "/twins/{id}/modules/{module}")
_ENROLLED: Final = ("/enrollments", "/enrollmentGroups")

PAGES: Final = [
    *_portal(Open.ANYBODY, "GET /login", "POST /login", "POST /login/code", "POST /logout", "GET /static"),
    *_portal(Open.ANYBODY, "POST /settings", "GET /push.js", "GET /schema/event.json", "GET /healthz", "GET /readyz"),
    *_portal(Open.HERE, "GET /metrics"),
    *_portal(Open.LINK, "GET /acknowledge/{token}", "POST /acknowledge/{token}", "POST /telegram"),
    *_portal(Open.LINK, "GET /invitation/{token}", "POST /invitation/{token}"),
    *_portal(Open.LOGGED_IN, "GET /", "GET /alerts", "GET /account"),
    *_portal(Open.ANYBODY, "GET /login/provider", "GET /login/provider/back"),
    *_portal(Open.SELF, "POST /account", "POST /account/push", "POST /account/provider"),
    *_portal(Open.SELF, "GET /account/second-factor", "POST /account/second-factor"),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}", "GET /patients/{id}/rules", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/export.zip", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/policy", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/patterns", "GET /api/patients/{id}/patterns", about=True),
    *_portal(Action.SET_PATIENT_RULES, "POST /patients/{id}/patterns", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/files", "GET /patients/{id}/files/{file}", about=True),
    *_portal(Action.ENTER_EVENTS, "POST /patients/{id}/files/{file}", about=True),
    *_portal(Action.VIEW_OPERATIONS, "GET /files", "GET /files/{file}"),
    *_portal(Action.WRITE_REGISTRY, "POST /files/{file}"),
    *_portal(Action.VIEW_OPERATIONS, "GET /device-jobs"),
    *_portal(Action.WRITE_REGISTRY, "POST /device-jobs"),
    *_portal(Action.COMMAND_DEVICES, "POST /device-jobs/commands"),
    *_portal(Action.READ_REGISTRY, "GET /registry", "GET /registry/{id}"),
    *_portal(Action.WRITE_REGISTRY, "POST /registry/{id}", "POST /registry/{id}/keys"),
    *_portal(Action.WRITE_REGISTRY, "POST /registry/{id}/app"),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/reports", "GET /patients/{id}/reports/{kind}.{form}", about=True),
    *_portal(Action.ENTER_EVENTS, "POST /patients/{id}/hba1c", "POST /patients/{id}/diary", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /patients/{id}/diary", about=True),
    *_portal(Action.ENTER_EVENTS, "GET /patients/{id}/import", "POST /patients/{id}/import", about=True),
    *_portal(
        Action.ENTER_EVENTS,
        "GET /patients/{id}/import/{upload}",
        "POST /patients/{id}/import/{upload}",
        about=True,
    ),
    *_portal(Action.SET_PATIENT_RULES, "POST /patients/{id}/rules", "POST /patients/{id}/policy", about=True),
    *_portal(Action.READ_RULES, "GET /rules", "GET /rules/groups/{tag}", "GET /policy"),
    *_portal(Action.ADMINISTER, "POST /rules", "POST /rules/groups/{tag}", "POST /policy"),
    *_portal(Action.VIEW_COHORTS, "GET /cohorts"),
    *_portal(Action.VIEW_OPERATIONS, "GET /operations"),
    *_portal(Action.ADMINISTER, "GET /permissions", "POST /permissions"),
    *_portal(Action.ADMINISTER, "GET /people", "POST /people", "GET /people/{name:path}", "POST /people/{name:path}"),
    *_portal(Action.ADMINISTER, "GET /hub-policies", "POST /hub-policies"),
    *_portal(Action.ADMINISTER, "GET /patients/{id}/erase", "POST /patients/{id}/erase"),
    *_portal(Action.ADMINISTER, "GET /groups", "POST /groups"),
    *_portal(Action.IMPERSONATE, "POST /impersonate"),
    *_portal(Action.GIVE_CONSENT, "GET /consents"),
    *_portal(Action.GIVE_CONSENT, "POST /consents", about=True),
    *_portal(Action.VIEW_AUDIT, "GET /audit"),
    *_portal(Action.VIEW_MASKED, "GET /research"),
]
PROGRAMS: Final = [
    *_portal(
        Open.LOGGED_IN,
        "GET /api/clock",
        "GET /api/patients",
        "GET /api/alerts",
        "GET /api/alerts/past",
        "GET /api/troubles",
    ),
    *_portal(Open.LOGGED_IN, "GET /live"),
    *_portal(Open.KEY, "POST /api/token"),
    *_portal(Action.VIEW_PATIENT, "GET /api/patients/{id}/on-board", "GET /api/patients/{id}/hba1c", about=True),
    *_portal(Action.VIEW_PATIENT, "GET /api/patients/{id}/series", "GET /api/alerts/{id}/deliveries", about=True),
    *_portal(
        Action.VIEW_PATIENT, "GET /api/patients/{id}/reports/{kind}", "GET /api/patients/{id}/forecast", about=True
    ),
    *_portal(Action.VIEW_PATIENT, "GET /api/patients/{id}/metrics", about=True),
    *_portal(Action.ENTER_EVENTS, "POST /api/patients/{id}/imports", about=True),
    *_portal(
        Action.ENTER_EVENTS,
        "GET /api/patients/{id}/imports/{upload}",
        "PUT /api/patients/{id}/imports/{upload}",
        "DELETE /api/patients/{id}/imports/{upload}",
        "POST /api/patients/{id}/imports/{upload}/confirm",
        about=True,
    ),
    *_portal(Action.ACKNOWLEDGE, "POST /api/alerts/{id}/acknowledge", "POST /api/alerts/{id}/snooze", about=True),
    *_portal(Action.VIEW_MASKED, "GET /api/research/patients", "GET /api/research/patients/{pseudonym}/series"),
    *_portal(Action.CONSUME_LOG, "GET /api/log/{topic}", "GET /api/log/{topic}/stream"),
    *_portal(Action.CONSUME_LOG, "POST /api/log/{topic}/cursor/{name}"),
]
HUB: Final = [
    *_hub(Action.READ_REGISTRY, "GET /devices", "GET /devices/{id}", "GET /statistics/devices"),
    *_hub(Action.READ_REGISTRY, "GET /statistics/service", "GET /devices/{id}/modules"),
    *_hub(Action.READ_REGISTRY, "GET /devices/{id}/modules/{module}"),
    *_hub(Action.WRITE_REGISTRY, "POST /devices", "PUT /devices/{id}", "DELETE /devices/{id}"),
    *_hub(Action.WRITE_REGISTRY, "PUT /devices/{id}/modules/{module}", "DELETE /devices/{id}/modules/{module}"),
    *(door for path in _ENROLLED for door in _hub(Action.READ_REGISTRY, f"POST {path}/query", f"GET {path}/{{id}}")),
    *(
        door
        for path in _ENROLLED
        for door in _hub(Action.WRITE_REGISTRY, f"PUT {path}/{{id}}", f"DELETE {path}/{{id}}")
    ),
    *(door for path in _ENROLLED for door in _hub(Action.WRITE_REGISTRY, f"POST {path}/{{id}}/attestationmechanism")),
    *_hub(Action.COMMAND_DEVICES, "GET /jobs/v2/query", "GET /jobs/v2/{id}"),
    *_hub(Action.COMMAND_DEVICES, "PUT /jobs/v2/{id}", "POST /jobs/v2/{id}/cancel"),
    *_hub(Action.COMMAND_DEVICES, "GET /configurations", "GET /configurations/{id}", "PUT /configurations/{id}"),
    *_hub(Action.COMMAND_DEVICES, "DELETE /configurations/{id}", "POST /configurations/testQueries"),
    *_hub(Action.READ_REGISTRY, "GET /jobs", "GET /jobs/{id}"),
    *_hub(Action.WRITE_REGISTRY, "POST /jobs/create", "DELETE /jobs/{id}"),
    *_hub(Action.WRITE_REGISTRY, "POST /claims"),
    *_portal(Open.LINK, "POST /claims/redeem", "PUT /{scope}/registrations/{id}/register"),
    *_portal(Open.LINK, "GET /{scope}/registrations/{id}/operations/{operation}", "POST /{scope}/registrations/{id}"),
    *_hub(Action.COMMAND_DEVICES, "POST /messages/{box}", "GET /messages/{box}/feedback"),
    *_hub(Action.COMMAND_DEVICES, "DELETE /messages/{box}/feedback/{lock_token}"),
    *_hub(Action.COMMAND_DEVICES, "POST /messages/{box}/feedback/{lock_token}/abandon"),
    *_hub(Action.COMMAND_DEVICES, "DELETE /devices/{id}/commands", "GET /devices/{id}/commands/dead"),
    *_hub(Action.COMMAND_DEVICES, "POST /devices/{id}/commands/dead/{number}/resend", "POST /devices/query"),
    *(door for path in _TWINS for door in _hub(Action.COMMAND_DEVICES, f"GET {path}", f"PATCH {path}", f"PUT {path}")),
    *(door for path in _TWINS for door in _hub(Action.COMMAND_DEVICES, f"POST {path}", f"POST {path}/methods")),
    *_hub(Action.COMMAND_DEVICES, "GET /digitaltwins/{id}", "PATCH /digitaltwins/{id}"),
    *_hub(Action.COMMAND_DEVICES, "POST /digitaltwins/{id}/commands/{name}"),
    *_hub(Action.COMMAND_DEVICES, "POST /digitaltwins/{id}/components/{part}/commands/{name}"),
]
DEVICES: Final = [
    *_device("http", "POST /devices/{id}/messages/events", "GET /devices/{id}/messages/{box}"),
    *_device("http", "DELETE /devices/{id}/messages/{box}/{lock_token}"),
    *_device("http", "POST /devices/{id}/files", "GET /devices/{id}/files/{name:path}"),
    *_device("http", "POST /devices/{id}/files/notifications", "POST /devices/{id}/files/notifications/{correlation}"),
    *_portal(Open.LINK, "PUT /device-files/{name:path}"),
    *_portal(
        Open.LINK, "GET /api/v1/{kind}", "GET /api/v1/{kind}/{which}", "POST /api/v1/{kind}", "PUT /api/v1/{kind}"
    ),
    *_portal(
        Open.LINK,
        "DELETE /api/v1/treatments",
        "DELETE /api/v1/treatments.json",
        "DELETE /api/v1/treatments/{which}",
    ),
    *_portal(
        Open.LINK, "GET /pebble", "GET /api/v2/properties", "GET /api/v2/properties/{names:path}", "GET /api/v2/{kind}"
    ),
    *_portal(Open.LINK, "GET /api/v2/{kind}/{which}"),
    *_portal(Open.ANYBODY, "GET /api/v3/version"),
    *_portal(
        Open.LINK,
        "GET /api/v2/authorization/request/{secret}",
        "GET /api/v3/status",
        "GET /api/v3/lastModified",
        "GET /api/v3/{collection}",
        "POST /api/v3/{collection}",
        "GET /api/v3/{collection}/history",
        "GET /api/v3/{collection}/history/{since}",
        "GET /api/v3/{collection}/{identifier:path}",
        "PUT /api/v3/{collection}/{identifier:path}",
        "PATCH /api/v3/{collection}/{identifier:path}",
        "DELETE /api/v3/{collection}/{identifier:path}",
    ),
    *_portal(Open.LINK, "GET /socket.io", "POST /socket.io"),
    Door(
        protocol="websocket",
        method="socket.io",
        address="/socket.io",
        needs=Open.LINK,
        credential=Credential.NONE,
    ),
    *_device("http", "POST /devices/{id}/messages/{box}/{lock_token}/abandon"),
    *_device("websocket", "MQTT /$iothub/websocket", "AMQPWSB10 /$iothub/websocket"),
    *_device("websocket", "MQTT /$servicebus/websocket", "AMQPWSB10 /$servicebus/websocket"),
    *_device("websocket", "MQTT /mqtt", "AMQPWSB10 /mqtt"),
    *_device(
        "mqtt", "connect {id}", "publish devices/{id}/messages/events/", "subscribe devices/{id}/messages/devicebound/#"
    ),
    *_device("mqtt", "publish $iothub/twin/GET/", "publish $iothub/twin/PATCH/properties/reported/"),
    *_device("mqtt", "subscribe $iothub/twin/res/#", "subscribe $iothub/twin/PATCH/properties/desired/#"),
    *_device("mqtt", "subscribe $iothub/methods/POST/#", "publish $iothub/methods/res/"),
    *_device("amqp", "send /devices/{id}/messages/events", "receive /devices/{id}/messages/devicebound"),
    *_device("amqp", "send /devices/{id}/twin", "receive /devices/{id}/twin"),
    *_device("amqp", "send /devices/{id}/methods/devicebound", "receive /devices/{id}/methods/devicebound"),
    *(
        Door(protocol=protocol, method=method, address=address, needs=Open.LINK, credential=Credential.NONE)
        for protocol, method, address in (
            ("mqtt", "connect", "{scope}/registrations/{id}"),
            ("amqp", "send", "{scope}/registrations/{id}"),
            ("amqp", "receive", "{scope}/registrations/{id}"),
        )
    ),
]
SERVICES: Final = [
    Door(
        protocol="amqp",
        method=method,
        address=address,
        needs=needs,
        credential=Credential.HUB,
    )
    for needs, method, address in (
        (Action.COMMAND_DEVICES, "send", "/messages/devicebound"),
        (Action.COMMAND_DEVICES, "receive", "/messages/servicebound/feedback"),
        (Action.COMMAND_DEVICES, "receive", "/messages/servicebound/filenotifications"),
        (Action.CONSUME_LOG, "send", "/device-messages/$management"),
        (Action.CONSUME_LOG, "receive", "/device-messages/$management"),
        (Action.CONSUME_LOG, "receive", "/device-messages/ConsumerGroups/{group}/Partitions/{partition}"),
    )
]
DOORS: Final[dict[str, list[Door]]] = {
    "Pages": PAGES,
    "For programs": PROGRAMS,
    "The hub, for services": [*HUB, *SERVICES],
    "The hub, for devices": DEVICES,
}


def doors(protocol: str) -> list[Door]:
    """All doors of one protocol."""
    return [door for many in DOORS.values() for door in many if door.protocol == protocol]
