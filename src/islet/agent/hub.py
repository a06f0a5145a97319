"""The device's side of IoT Hub over one connection: twin, desired changes, methods, commands."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote

import msgspec

from islet.access.sas import ConnectionString
from islet.agent.disk import QueueFull
from islet.agent.mqtt_client import Address, MqttClient
from islet.decode.iothub import (
    DESIRED_CHANGES,
    METHODS,
    TWIN_GET,
    TWIN_REPORT,
    TWIN_RESPONSES,
    Identity,
    parse_properties,
    request_id,
)
from islet.decode.iothub_twins import JsonObject, parse_object
from islet.decode.mqtt_packets import Publish
from islet.errors import BadInput, IsletError, ProtocolError
from islet.model.time import Now

ANSWER_WITHIN_S: Final = 30.0
_TWIN_ANSWER: Final = re.compile(r"\$iothub/twin/res/(\d+)/")
_METHOD: Final = re.compile(r"\$iothub/methods/POST/([^/]+)/")

OnCommand = Callable[[str, bytes], None]
"""Message id ("" without one) and body; has the command durable when it returns."""
OnMethod = Callable[[str, str, bytes], Awaitable[tuple[int, bytes]]]
"""Request id, name and payload of a call; gives status and answer."""


class HubRefused(IsletError):
    """The front door answered a twin request with an error, or not at all."""


class Hub:
    """A connection that is up; `client` sends the events. `desired_changed` is set when the twin is to be read."""

    def __init__(self, on_command: OnCommand, on_method: OnMethod) -> None:
        self._on_command, self._on_method = on_command, on_method
        self._answers: dict[str, asyncio.Future[tuple[int, bytes]]] = {}
        self._requests = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._commands = ""
        self.desired_changed = asyncio.Event()
        self.client: MqttClient

    @classmethod
    async def connect(
        cls,
        address: Address,
        credentials: ConnectionString,
        now: Now,
        *,
        token_lasts_s: int,
        on_command: OnCommand,
        on_method: OnMethod,
    ) -> "Hub":
        """A hub that has let the device in and knows what it wants to hear. Raises as `MqttClient.connect` does."""
        hub = cls(on_command, on_method)
        identity = Identity(credentials.device, credentials.module)
        hub._commands = identity.commands.removesuffix("#")
        waiting: list[Publish] = []  # commands may come before CONNACK was seen by us
        take: Callable[[Publish], None] = waiting.append
        hub.client = await MqttClient.connect(
            address, credentials, now, token_lasts_s=token_lasts_s, on_message=lambda packet: take(packet)
        )
        take = hub._take
        for packet in waiting:
            hub._take(packet)
        await hub.client.subscribe((identity.commands, TWIN_RESPONSES, DESIRED_CHANGES, METHODS))
        return hub

    async def desired(self) -> JsonObject:
        """The desired properties, with `$version`. Raises HubRefused and ConnectionLost."""
        twin = parse_object(await self._ask(TWIN_GET, b" "))
        desired = twin.get("desired")
        return desired if isinstance(desired, dict) else {}

    async def report(self, patch: JsonObject) -> None:
        """Merge into the reported properties. Raises HubRefused and ConnectionLost."""
        await self._ask(TWIN_REPORT, msgspec.json.encode(patch))

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        await self.client.close()

    async def _ask(self, topic: str, body: bytes) -> bytes:
        self._requests += 1
        rid = str(self._requests)
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._answers[rid] = answer
        try:
            self.client.say(f"{topic}?$rid={rid}", body)
            async with asyncio.timeout(ANSWER_WITHIN_S):  # wait_for of Python 3.11 may lose a cancellation
                status, content = await answer
        except TimeoutError:
            raise HubRefused("twin: expected an answer; none came") from None
        finally:
            del self._answers[rid]
        if status not in (200, 204):
            raise HubRefused(f"twin: expected 200 or 204; got {status}")
        return content

    def _take(self, packet: Publish) -> None:
        topic = packet.topic
        try:
            if topic.startswith(self._commands):
                properties = parse_properties(topic.removeprefix(self._commands))
                self._on_command(properties.get("$.mid", ""), packet.payload)
            elif topic.startswith("$iothub/twin/res/"):
                self._take_answer(packet)
            elif topic.startswith(DESIRED_CHANGES.removesuffix("#")):
                self.desired_changed.set()
            elif topic.startswith(METHODS.removesuffix("#")):
                call = asyncio.create_task(self._call(packet))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        except (BadInput, ProtocolError):
            pass  # not ours to repair; acknowledged, or it would come for ever
        except QueueFull:
            return  # it could not be written down: the hub has it still, and brings it to the next connection
        if packet.qos:
            self.client.acknowledge(packet.packet_id)

    def _take_answer(self, packet: Publish) -> None:
        found = _TWIN_ANSWER.match(packet.topic)
        answer = self._answers.get(request_id(packet.topic))
        if found is not None and answer is not None and not answer.done():
            answer.set_result((int(found[1]), packet.payload))

    async def _call(self, packet: Publish) -> None:
        found = _METHOD.match(packet.topic)
        if found is None:
            return
        rid = request_id(packet.topic)
        try:
            status, answer = await self._on_method(rid, unquote(found[1]), packet.payload)
        except BadInput as error:
            status, answer = 400, msgspec.json.encode({"reason": str(error)})
        except QueueFull as full:
            status, answer = 503, msgspec.json.encode({"reason": str(full)})
        self.client.say(f"$iothub/methods/res/{status}/?$rid={rid}", answer)
