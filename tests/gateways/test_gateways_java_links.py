"""What Microsoft's SDKs for Java expect of connections, otherwise than those for Python and Node."""

import asyncio
import base64
import uuid

import pytest
from proton import Message, symbol

from islet.access.sas import make_token
from islet.decode.iothub import parse_properties
from islet.decode.mqtt_packets import Publish, Suback, Subscribe
from islet.gateways.amqp_messages import file_json
from islet.store.device_file_rows import FileNotification
from islet.store.devices_base import Command
from tests.gateways.amqp_peer import ACCEPTED, AmqpPeer, admitted, threaded
from tests.gateways.door import HUB, NOW_S, PATIENCE_S, Door, device_token
from tests.gateways.hub import listening, wall_now

MANAGEMENT = "device-messages/$management"
METHODS = "/devices/cgm-1/methods/devicebound"


async def test_all_properties_of_a_command_stand_after_the_first_escaped_dollar(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(Subscribe(1, (("devices/cgm-1/messages/devicebound/#", 1),)))
    assert await peer.receive() == Suback(1, (1,))
    sent = {"kind": "a b", "$.mid": "m 1", "$.to": "/devices/cgm-2"}
    await door.exchange.send(door.address(device), Command(body=b"buzz", properties=sent))
    got = await peer.receive()
    assert isinstance(got, Publish) and "$" not in got.topic
    bag = parse_properties(got.topic[got.topic.index("%24") :])
    assert (bag["kind"], bag["$.mid"], bag["iothub-ack"]) == ("a b", "m 1", "none")
    assert bag["$.to"] == "/devices/cgm-1/messages/deviceBound"


async def _called(peer: AmqpPeer, door: Door) -> "tuple[Message, asyncio.Task[tuple[int, bytes]]]":
    receiver = await peer.receiver(METHODS)
    address = door.address(door.registry.devices()[0])
    calling = asyncio.create_task(door.exchange.invoke(address, "measure", b"1", answer_s=PATIENCE_S))
    return await threaded(receiver.receive, PATIENCE_S), calling


async def test_a_method_over_amqp_has_a_uuid_and_a_late_answer_of_another_connection_is_none(
    door: Door, amqp: int
) -> None:
    token = device_token(door.add_device())
    async with admitted(amqp, token) as peer:
        first, calling = await _called(peer, door)
        assert isinstance(first.correlation_id, uuid.UUID)
    with pytest.raises(Exception, match="went away"):
        await calling
    async with admitted(amqp, token) as peer:
        second, calling = await _called(peer, door)
        for asked, status in ((first, 500), (second, 201)):
            answer = {"correlation_id": asked.correlation_id, "properties": {"IoThub-status": status}}
            assert await peer.send(METHODS, b'"done"', **answer) == ACCEPTED
        assert await calling == (201, b'"done"')


async def test_a_message_that_is_too_large_is_told_as_that(door: Door, amqp: int) -> None:
    device = door.add_device()
    large = Message(body=b" " * 262_145, inferred=True, address="/devices/cgm-1/messages/devicebound")
    for token, place in (
        (device_token(device), "/devices/cgm-1/messages/events"),
        (door.policy_token("service"), "/messages/devicebound"),
    ):
        async with admitted(amqp, token) as peer:
            sender = await peer.sender(place)
            delivery = await threaded(sender.send, large, error_states=())
            assert delivery.remote.condition.name == symbol("amqp:link:message-size-exceeded")


@pytest.mark.parametrize(
    ("target", "protocol"),
    [
        (b"https://hub.example/$iothub/websocket?iothub-no-client-cert=true", b"AMQPWSB10"),
        (b"/mqtt", b"mqtt"),  # of the provisioning client, which names no path
        (b"https://hub.example/$servicebus/websocket", b"AMQPWSB10"),  # of the client for Event Hubs
    ],
)
async def test_a_websocket_is_opened_by_its_whole_address_or_none(target: bytes, protocol: bytes) -> None:
    async with Door.opened(wall_now=wall_now) as door, listening(door, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET " + target + b" HTTP/1.1\r\nHost: hub.example\r\n"
            b"Connection: Upgrade,Keep-Alive\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + protocol + b"\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        writer.close()


async def test_a_module_may_wait_for_commands(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device, module="m1")
    peer.send(Subscribe(1, (("devices/cgm-1/modules/m1/messages/devicebound/#", 1),)))
    assert await peer.receive() == Suback(1, (1,))
    other = await door.connected(device, module="m2")
    other.send(Subscribe(1, (("devices/cgm-1/modules/m1/messages/devicebound/#", 1),)))
    assert await other.receive() is None


def test_the_time_of_a_file_has_no_part_of_a_second() -> None:
    told = FileNotification(device="cgm-1", name="a.csv", bytes=1, changed_us=1_499_999, at_us=2_500_000)
    shown = file_json(told, "hub.example")
    assert (shown["lastUpdatedTime"], shown["enqueuedTimeUtc"]) == (
        "1970-01-01T00:00:01+00:00",
        "1970-01-01T00:00:02.500000Z",
    )


def event_hub_token(door: Door, policy: str) -> str:
    """As the client for Event Hubs signs it, with the text of the key."""
    text = base64.b64encode((door.registry.secret(f"policy/{policy}") or "").encode()).decode()
    return make_token(f"amqp://{HUB}/device-messages", text, NOW_S + 60, policy)


async def test_a_reader_asks_before_it_has_shown_a_token_with_one_in_the_question() -> None:
    async with Door.opened(keeps_messages=True) as door, admitted(await door.amqp.listen("127.0.0.1", 0)) as peer:
        answers, questions = await peer.receiver(MANAGEMENT), await peer.sender(MANAGEMENT)
        about = {"operation": "READ", "type": "com.microsoft:eventhub", "name": "device-messages"}
        for token, status in (
            ("", 401),
            (event_hub_token(door, "device"), 401),
            (event_hub_token(door, "service"), 200),
        ):
            question = Message(id="1", reply_to="me", properties={**about, "security_token": token})
            await threaded(questions.send, question)
            answer = await threaded(answers.receive, PATIENCE_S)
            assert (answer.properties["status-code"], answer.body is None) == (status, status != 200)
