"""What clients in Go expect of connections, those of plain AMQP and older ones, otherwise than Microsoft's present ones.

Tried by hand: for Go azeventhubs 2.0 and amenzhinsky/iothub 0.7, for Rust azure_messaging_eventhubs 0.16, for Node 1.7.
"""

import asyncio
from typing import Any

import pytest
from proton import ConnectionException, Link, Message, Terminus, symbol
from proton.reactor import AtMostOnce, LinkOption
from proton.utils import LinkDetached

from islet.store.devices_base import Command
from tests.gateways.amqp_peer import ACCEPTED, COMMANDS, EVENTS, TWIN, AmqpPeer, admitted, threaded
from tests.gateways.door import HUB, PATIENCE_S, Door, device_token
from tests.gateways.hub import listening, wall_now
from tests.gateways.test_gateways_event_hub import EVENTS as PARTITION
from tests.gateways.test_gateways_event_hub import OF_P_1, bodies, received, send


class Modes(LinkOption):  # type: ignore[misc]  # Proton's annotations are not read
    """How both ends settle."""

    def __init__(self, sender: int, receiver: int) -> None:
        self._modes = sender, receiver

    def apply(self, link: Link) -> None:
        link.snd_settle_mode, link.rcv_settle_mode = self._modes


MODES = [
    (sender, receiver)
    for sender in (Link.SND_UNSETTLED, Link.SND_SETTLED, Link.SND_MIXED)
    for receiver in (Link.RCV_FIRST, Link.RCV_SECOND)
]


async def _opened(peer: AmqpPeer, address: str, modes: tuple[int, int], *, sends: bool) -> Any:
    make = peer.connection.create_sender if sends else peer.connection.create_receiver
    return await threaded(make, address, name=f"{sends}{modes}", options=[Modes(*modes)])


async def test_a_link_settles_as_its_peer_asks(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        for modes in MODES:
            for sends, address in ((True, EVENTS), (False, COMMANDS)):
                opened = await _opened(peer, address, modes, sends=sends)
                assert (opened.link.remote_snd_settle_mode, opened.link.remote_rcv_settle_mode) == modes
                await threaded(opened.close)


async def test_a_refused_link_has_neither_end_and_settles_as_its_peer_asks(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        for sends in (True, False):
            with pytest.raises(LinkDetached, match="unauthorized-access") as caught:
                await _opened(peer, "/devices/cgm-2/messages/events", MODES[3], sends=sends)
            link = caught.value.link
            assert (link.remote_snd_settle_mode, link.remote_rcv_settle_mode) == MODES[3]
            assert [end.type for end in (link.remote_source, link.remote_target)] == [Terminus.UNSPECIFIED] * 2


async def test_a_command_for_who_answers_nothing_is_told_once(door: Door, amqp: int) -> None:
    device = door.add_device()
    async with admitted(amqp, device_token(device)) as peer:
        link = await threaded(peer.connection.create_receiver, COMMANDS, 10, options=AtMostOnce())
        await door.exchange.send(door.address(device), Command(body=b"buzz"))
        assert bytes((await threaded(link.receive, PATIENCE_S)).body) == b"buzz"
        async with asyncio.timeout(PATIENCE_S):
            while door.devices.pending_commands():
                await asyncio.sleep(0)


async def test_an_answer_about_the_twin_that_says_nothing_more_has_no_body(door: Door, amqp: int) -> None:
    """The SDK for Node 1.7 ended where it had an empty one, which is no JSON."""
    async with admitted(amqp, device_token(door.add_device())) as peer:
        answers, questions = await peer.receiver(TWIN), await peer.sender(TWIN)
        question = Message(body=b'{"battery": 80}', inferred=True, correlation_id="1")
        question.annotations = {symbol("operation"): "PATCH", symbol("resource"): "/properties/reported"}
        await threaded(questions.send, question)
        answer = await threaded(answers.receive, PATIENCE_S)
        assert (answer.annotations[symbol("status")], answer.body) == (200, None)


async def _with_key(door: Door, name: str, key: str) -> AmqpPeer:
    port = await door.amqp.listen("127.0.0.1", 0)
    return await AmqpPeer.connected(port, allowed_mechs="PLAIN", user=name, password=key)


async def test_a_reader_shows_a_policys_name_and_its_key() -> None:
    """As Event Hubs have it beside tokens: generic clients of AMQP make none."""
    async with Door.opened(keeps_messages=True) as door:
        await send(door, b"x")
        peer = await _with_key(door, "service", door.registry.secret("policy/service") or "")
        assert bodies(await received(peer)) == [b"x"]
        for address in ("/messages/servicebound/feedback", COMMANDS):  # of IoT Hub, which wants a token
            with pytest.raises(LinkDetached, match="unauthorized-access"):
                await peer.receiver(address)
        await peer.close()


@pytest.mark.parametrize(
    ("name", "of"), [("service", "device"), ("other", "service"), ("", "service"), ("service", "")]
)
async def test_a_key_that_is_not_the_policys_is_refused(name: str, of: str) -> None:
    async with Door.opened(keeps_messages=True) as door:
        with pytest.raises(ConnectionException, match="Authentication failed"):
            await _with_key(door, name or "x", door.registry.secret(f"policy/{of}") or "AAAA")


async def test_the_key_of_a_policy_that_may_not_read_reads_nothing() -> None:
    async with Door.opened(keeps_messages=True) as door:
        peer = await _with_key(door, "device", door.registry.secret("policy/device") or "")
        with pytest.raises(LinkDetached, match="unauthorized-access"):
            await peer.receiver(PARTITION.format(OF_P_1))
        await peer.close()


async def test_who_asks_iot_hub_for_its_messages_is_told_the_event_hubs_name() -> None:
    """amenzhinsky/iothub takes what stands between the port and the last slash for the name."""
    async with (
        Door.opened(keeps_messages=True) as door,
        admitted(await door.amqp.listen("127.0.0.1", 0), door.policy_token("service")) as peer,
    ):
        with pytest.raises(LinkDetached, match="redirect") as caught:
            await peer.receiver("messages/events/")
        info = caught.value.link.remote_condition.info
        assert info[symbol("address")] == f"amqps://{HUB}:5671/device-messages/"


async def test_a_token_of_event_hubs_is_answered_as_there_and_iot_hubs_as_at_iot_hub() -> None:
    """azure_messaging_eventhubs for Rust takes 202 alone, the SDK for Node 200 alone."""
    async with (
        Door.opened(keeps_messages=True) as door,
        admitted(await door.amqp.listen("127.0.0.1", 0)) as peer,
    ):
        for resource, status in ((f"sb://{HUB}/device-messages", 202), (HUB, 200)):
            assert await peer.put_token(door.policy_token("service", resource)) == status
        assert await peer.put_token(door.policy_token("service", f"sb://{HUB}")[:-1]) == 401


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [("eventhub", "georeplication_factor", 1), ("partition", "last_enqueued_sequence_number_epoch", -1)],
)
async def test_what_there_is_to_read_is_told_whole(kind: str, name: str, value: int) -> None:
    """azeventhubs 2.0 takes no answer without the first, azure_messaging_eventhubs 0.16 for Rust none without the second."""
    async with (
        Door.opened(keeps_messages=True) as door,
        admitted(await door.amqp.listen("127.0.0.1", 0), door.policy_token("service")) as peer,
    ):
        answers, questions = await peer.receiver("$management"), await peer.sender("$management")
        question = Message(id="1", reply_to="me")
        about = {"operation": "READ", "type": f"com.microsoft:{kind}", "name": "device-messages", "partition": "0"}
        question.properties = about
        assert int((await threaded(questions.send, question)).remote_state) == ACCEPTED
        assert (await threaded(answers.receive, PATIENCE_S)).body[name] == value


async def test_amqp_through_a_websocket_has_the_standards_name_too() -> None:
    async with Door.opened(wall_now=wall_now) as door, listening(door, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /$servicebus/websocket HTTP/1.1\r\nHost: hub.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: amqp\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-protocol: amqp\r\n" in answer.lower()
        writer.close()
