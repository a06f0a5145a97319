"""How an enrolled device gets its credentials: it registers itself, as at the Device Provisioning Service.

Source: MicrosoftDocs azure-docs, iot-mqtt-connect-to-iot-dps.md.
"""

import asyncio
import re
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from islet.access.sas import ConnectionString, make_token
from islet.agent.mqtt_client import TOKEN_LASTS_S, Address, MqttClient
from islet.decode.iothub import Identity
from islet.decode.iothub_dps import RESPONSES
from islet.decode.mqtt_packets import Connect, Publish
from islet.errors import AccessDenied, IsletError
from islet.model.time import SECOND_US, Now

ANSWERS_WITHIN_S: Final = 60.0
_API_VERSION: Final = "2019-03-31"
_ANSWER: Final = re.compile(r"\$dps/registrations/res/(\d+)/\?\$rid=\d+(?:&retry-after=(\d+))?")


class _Assigned(Struct, rename="camel"):
    assigned_hub: str = ""
    device_id: str = ""


class _Answer(Struct, rename="camel"):
    operation_id: str = ""
    status: str = ""
    state: _Assigned | None = field(name="registrationState", default=None)


async def register(address: Address, scope: str, id: str, key: str, now: Now) -> ConnectionString:
    """The credentials of the device that the registration id `id` stands for, with its enrollment's key (of a group, the
    derived one). Raises AccessDenied for a key that is not enrolled, ConnectionLost and IsletError."""
    answers: asyncio.Queue[Publish] = asyncio.Queue()
    expires_s = now() // SECOND_US + TOKEN_LASTS_S
    hello = Connect(
        client_id=id,
        username=f"{scope}/registrations/{id}/api-version={_API_VERSION}&ClientVersion=islet",
        password=make_token(f"{scope}/registrations/{id}", key, expires_s, "registration").encode(),
        clean_session=True,
    )
    client = await MqttClient.greet(address, hello, Identity(id), on_message=answers.put_nowait)
    async with client:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await client.subscribe((RESPONSES,))
                assigned = await _assigned(client, answers, id)
        except TimeoutError:
            raise IsletError("registration: expected an answer within a minute; none came") from None
    return ConnectionString(host=assigned.assigned_hub, device=assigned.device_id, key=key)


async def _assigned(client: MqttClient, answers: "asyncio.Queue[Publish]", id: str) -> _Assigned:
    body = msgspec.json.encode({"registrationId": id})
    topic, rid = "$dps/registrations/PUT/iotdps-register/?$rid=1", 1
    while True:
        client.say(topic, body)
        packet = await answers.get()
        found = _ANSWER.match(packet.topic)
        status = int(found[1]) if found else 0
        answer = _decoded(packet.payload)
        if status == 200 and answer.status == "assigned" and answer.state is not None:
            return answer.state
        if 300 <= status < 429 or status == 0:
            raise AccessDenied("the registration was refused; is the device enrolled, and not registered otherwise?")
        await asyncio.sleep(int(found[2] or 3) if found else 3)
        rid += 1
        if answer.operation_id:
            operation = quote(answer.operation_id, safe="")
            topic = f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation}"
            body = b" "


def _decoded(payload: bytes) -> _Answer:
    try:
        return msgspec.json.decode(payload, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Answer()
