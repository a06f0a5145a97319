"""AMQP 1.0, as Proton's own client and spoiled bytes see it."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from proton import Message, symbol
from proton.utils import LinkDetached

from islet.decode.iothub_twins import Twin
from islet.decode.telemetry import Arrival
from islet.gateways.amqp_device import Telemetry
from islet.gateways.intake import Told
from islet.gateways.presence import MOST_MODULES
from islet.model.topics import Topic
from islet.store.devices_base import Address, Command
from tests.gateways.amqp_peer import (
    ACCEPTED,
    COMMANDS,
    EVENTS,
    REJECTED,
    RELEASED,
    TWIN,
    admitted,
    batch,
    opening_bytes,
    sasl_plain,
    threaded,
    transfer_bytes,
)
from tests.gateways.door import PATIENCE_S, Door, device_token, reading
from tests.gateways.test_gateways_fuzz import spoiled

ROUNDS = int(os.environ.get("ISLET_FUZZ_ROUNDS", "60"))


async def test_a_message_is_accepted_once_it_is_in_the_log_and_not_before(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        door.log.gate.clear()
        fields = {"properties": {"kind": "a", "urgent": True}, "content_type": symbol("application/json")}
        sending = asyncio.create_task(peer.send(EVENTS, reading(), **fields))
        await threaded(door.log.entered.wait, PATIENCE_S)
        await asyncio.sleep(0.05)
        assert not sending.done()
        door.log.gate.set()
        assert await sending == ACCEPTED
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_a_message_that_the_log_could_not_take_is_released(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        door.log.error = OSError("disk full")
        assert await peer.send(EVENTS, reading()) == RELEASED
        door.log.error = None
        assert await peer.send(EVENTS, reading()) == ACCEPTED


async def test_a_reading_that_is_none_is_accepted_and_a_dead_letter_with_its_properties(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        assert await peer.send(EVENTS, b"nonsense") == ACCEPTED
    assert len(door.rows(Topic.DEAD_LETTERS)) == 1


def event(value: float, **fields: Any) -> Message:
    return Message(body=reading(value), inferred=True, **fields)


async def test_a_batch_is_accepted_once_all_its_messages_are_in_the_log(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        sent = batch(event(100), event(110), Message(body=b"?", inferred=True, content_type=symbol("text/plain")))
        door.log.gate.clear()
        sending = asyncio.create_task(peer.send_raw(EVENTS, sent))
        await threaded(door.log.entered.wait, PATIENCE_S)
        await asyncio.sleep(0.05)
        assert not sending.done()
        door.log.gate.set()
        assert await sending == ACCEPTED
        assert await peer.send_raw(EVENTS, batch(event(120))) == ACCEPTED
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [100, 110, 120]
    assert "text/plain" in str(door.rows(Topic.DEAD_LETTERS)[0]["body"])


async def test_a_batch_of_which_the_log_could_not_take_one_is_released(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        door.log.error = OSError("disk full")
        assert await peer.send_raw(EVENTS, batch(event(100), event(110))) == RELEASED


@pytest.mark.parametrize(("error", "outcome"), [(None, ACCEPTED), (OSError("disk full"), RELEASED)])
def test_a_batch_is_offered_as_one_and_holds_its_link_while_the_log_is_crowded(
    error: Exception | None, outcome: int
) -> None:
    offered, happened = list[tuple[int, Told[Any], Any]](), list[object]()

    class Crowded:
        def offer_all(self, arrivals: Sequence[Arrival], told: Told[Any], given: Any, beside_bytes: int = 0) -> bool:
            offered.append((len(arrivals), told, given))
            return True

    line = SimpleNamespace(hold=lambda: happened.append("held"), let_go=lambda: happened.append("let go"))
    telemetry = Telemetry(*(cast(Any, one) for one in (None, line, None, Crowded())))
    telemetry.end = lambda _, state, __=None: happened.append(int(state))  # type: ignore[method-assign, assignment]
    telemetry.offer([Arrival("cgm-1", "p-1", b"")] * 2, cast(Any, None))
    [(together, told, given)] = offered
    assert (together, happened) == (2, ["held"])
    told(given, error)
    assert happened == ["held", "let go", outcome]


async def test_a_batch_with_a_message_that_is_none_is_rejected_whole(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        spoiled = batch(event(100), event(110))[:-1] + b"\xff" * 3
        assert await peer.send_raw(EVENTS, spoiled) == REJECTED
        many = batch(*[Message(body=b"", inferred=True)] * 501)
        assert await peer.send_raw(EVENTS, many) == REJECTED
    assert not door.rows(Topic.GLUCOSE_READINGS) and not door.rows(Topic.DEAD_LETTERS)


READING_SECTION = b"\x00\x53\x75\xa0" + bytes([len(reading())]) + reading()


@pytest.mark.parametrize(
    "found",
    [
        "005373c00b07404040404040a302ffff",  # a content type that is no UTF-8
        "005373c00401a10180",  # a message id that is no UTF-8
        "005374d10000000a0000000273ffffffff40",  # a property named by a character beyond Unicode
        "005374a10162",  # properties that are a text
        "005372a10162",  # annotations that are a text
    ],
)
async def test_a_message_whose_fields_cannot_be_read_is_rejected(door: Door, amqp: int, found: str) -> None:
    """Found by fuzzing: Proton takes them, and raises when they are read."""
    async with admitted(amqp, device_token(door.add_device())) as peer:
        assert await peer.send_raw(EVENTS, bytes.fromhex(found) + READING_SECTION) == REJECTED
        assert await peer.send(EVENTS, reading()) == ACCEPTED


async def test_an_address_that_is_no_text_closes_its_connection_only(
    door: Door, amqp: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Found by fuzzing: Proton raises when it is read."""
    async with admitted(amqp, device_token(door.add_device())) as steady:
        peer, writer = await asyncio.open_connection("127.0.0.1", amqp)
        writer.write(opening_bytes(["$cbs"]).replace(b"$cbs", b"\xff\xfe\xfd\xfc"))
        async with asyncio.timeout(PATIENCE_S):
            await peer.read()
        writer.close()
        assert await steady.send(EVENTS, reading()) == ACCEPTED
    assert not [record for record in caplog.records if record.exc_info], "an exception got out"


async def test_a_message_in_two_data_sections_is_one(door: Door, amqp: int) -> None:
    body = reading(100)
    halves = b"".join(b"\x00\x53\x75\xa0" + bytes([len(half)]) + half for half in (body[:20], body[20:]))
    async with admitted(amqp, device_token(door.add_device())) as peer:
        assert await peer.send_raw(EVENTS, halves) == ACCEPTED
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [100]


@pytest.mark.parametrize(("until_s", "waits"), [(9.2e15, True), (1e12, True), (1.0, False), (-9.2e15, False)])
async def test_a_command_is_answered_however_long_it_may_wait(
    door: Door, amqp: int, until_s: float, waits: bool
) -> None:
    device = door.add_device()
    async with admitted(amqp, door.policy_token("service")) as peer, asyncio.timeout(PATIENCE_S):
        sent = await peer.send("/messages/devicebound", b"x", address=COMMANDS, expiry_time=until_s)
    assert sent == ACCEPTED
    assert len(await door.exchange.take(door.address(device), 5)) == waits


async def test_a_command_is_completed_rejected_or_released(door: Door, amqp: int) -> None:
    device = door.add_device()
    for body in (b"one", b"two", b"three"):
        command = Command(body=body, properties={"$.mid": "m", "$.ct": "text/plain", "kind": "k"}, ack="full")
        await door.exchange.send(door.address(device), command)
    async with admitted(amqp, device_token(device)) as peer:
        receiver = await peer.receiver(COMMANDS)
        first = await threaded(receiver.receive, PATIENCE_S)
        assert (bytes(first.body), first.id, first.content_type) == (b"one", "m", "text/plain")
        assert (first.properties, first.address) == ({"kind": "k", "iothub-ack": "full"}, COMMANDS)
        await threaded(receiver.accept)
        await threaded(receiver.receive, PATIENCE_S)
        await threaded(receiver.reject)
        third = await threaded(receiver.receive, PATIENCE_S)
        await threaded(receiver.release)
        again = await threaded(receiver.receive, PATIENCE_S)
        assert (bytes(again.body), third.delivery_count, again.delivery_count) == (b"three", 0, 1)
    await asyncio.sleep(0.1)
    (letter,) = await door.exchange.take_one(door.address(device))  # not answered: it waits for the next connection
    assert letter.command.body == b"three"
    assert [dead.command.body for dead in door.devices.dead_commands("cgm-1")] == [b"two"]


async def test_a_newer_connection_of_the_device_wins_through_any_door(door: Door, amqp: int) -> None:
    device = door.add_device()
    async with admitted(amqp, device_token(device)) as first, admitted(amqp, device_token(device)) as second:
        sender = await first.sender(EVENTS)
        await second.sender(EVENTS)
        with pytest.raises(LinkDetached, match="stolen"):
            await threaded(sender.send, Message(body=reading(), inferred=True))
        peer = await door.connected(device)  # MQTT
        with pytest.raises(LinkDetached, match="stolen"):
            await threaded(second.connection.wait, lambda: False, timeout=PATIENCE_S)
        assert door.exchange.presence.online() == {"cgm-1"}
        peer.hang_up()


async def test_a_twin_that_is_no_object_is_400_and_the_link_goes_on(door: Door, amqp: int) -> None:
    device = door.add_device()
    async with admitted(amqp, device_token(device)) as peer:
        receiver, sender = await peer.receiver(TWIN), await peer.sender(TWIN)
        for body, status in ((b"[1]", 400), (b'{"battery": 80}', 200)):
            patch = Message(body=body, inferred=True, correlation_id="7")
            patch.annotations = {symbol("operation"): "PATCH", symbol("resource"): "/properties/reported"}
            await threaded(sender.send, patch)
            answer = await threaded(receiver.receive, PATIENCE_S)
            assert (answer.correlation_id, answer.annotations["status"]) == ("7", status)
    assert door.devices.twin(door.address(device)).reported.values == {"battery": 80}


async def test_a_message_that_is_too_large_is_rejected_or_closes_its_link(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        assert await peer.send(EVENTS, b" " * 262_145) == REJECTED
        with pytest.raises(LinkDetached, match="size-exceeded"):
            await peer.send(EVENTS, b" " * 400_000)
    async with admitted(amqp, device_token(door.registry.devices()[0])) as peer:
        assert await peer.send(EVENTS, b" " * 262_144) == ACCEPTED


async def test_a_flood_is_held_back_while_the_log_is_slow() -> None:
    async with Door.opened(most_bytes=300) as door:
        port = await door.amqp.listen("127.0.0.1", 0)
        door.log.gate.clear()
        plain = b"\0cgm-1@sas.hub\0" + device_token(door.add_device()).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sasl_plain(plain) + opening_bytes([EVENTS]))
        await _quiet(reader)
        for first in (0, 8):
            writer.write(transfer_bytes(1, 8, first))
            await _quiet(reader)
        assert door.intake.outstanding == 8  # the second eight wait in the socket
        door.log.gate.set()
        while len(door.rows(Topic.DEAD_LETTERS)) < 16:
            await asyncio.sleep(0.01)
        writer.close()
        await door.amqp.stop()


async def test_a_device_is_attached_as_so_many_modules_and_no_more(door: Door, amqp: int) -> None:
    async with admitted(amqp, device_token(door.add_device())) as peer:
        places = [f"/devices/cgm-1/modules/m{number}/messages/events" for number in range(MOST_MODULES + 1)]
        first, *_ = [await peer.sender(place) for place in places[:-1]]
        with pytest.raises(LinkDetached, match="unauthorized-access"):
            await peer.sender(places[-1])
        await threaded(first.close)
        await peer.sender(places[-1])
        door.change_device("cgm-1", patient="")  # all are looked at again, and stay
        await asyncio.sleep(0.7)
        assert await peer.send(EVENTS, reading()) == ACCEPTED


async def test_a_flood_of_twin_requests_is_held_back_and_all_are_answered(door: Door, amqp: int) -> None:
    waiting: list[int] = []
    look = door.exchange.twin

    def counted(of: Address) -> "asyncio.Future[Twin]":
        asked = look(of)
        waiting.append(sum(not one.done() for one in under_way) + 1)
        under_way.append(asked)
        return asked

    under_way: list[asyncio.Future[Twin]] = []
    door.exchange.twin = counted  # type: ignore[method-assign]
    async with admitted(amqp, device_token(door.add_device())) as peer:
        sender, receiver = await peer.sender(TWIN), await peer.receiver(TWIN, 400)

        def flood() -> None:
            request = Message(annotations={symbol("operation"): "GET", symbol("resource"): "/"}, correlation_id="1")
            for _ in range(300):
                sender.link.send(request)
            for _ in range(300):
                receiver.receive(PATIENCE_S)

        await threaded(flood)
    assert len(under_way) == 300
    assert max(waiting) < 300


async def test_bytes_that_are_spoiled_cost_nobody_else_anything(
    door: Door, amqp: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = Random(20_261_121)
    good, bad = door.add_device(), door.add_device("cgm-bad")
    own = "/devices/cgm-bad"
    addresses = [f"{own}/messages/events", f"{own}/twin", f"{own}/methods/devicebound", "$cbs"]
    plain = b"\0cgm-bad@sas.hub\0" + device_token(bad).encode()
    opening, transfers = sasl_plain(plain) + opening_bytes(addresses), transfer_bytes(len(addresses), 8)
    async with admitted(amqp, device_token(good)) as steady:
        sender = await steady.sender(EVENTS)
        for number in range(ROUNDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", amqp)
            writer.write(opening if number % 3 else spoiled(opening, rng))
            if number % 3:
                await _quiet(reader)
                writer.write(spoiled(transfers, rng) if number > 1 else transfers)
            await _quiet(reader)
            writer.transport.abort()
            if number % 10 == 0:
                await threaded(sender.send, Message(body=reading(100 + number % 100), inferred=True))
    assert door.rows(Topic.DEAD_LETTERS), "the bytes were good before they were spoiled"
    assert len([row for row in door.rows(Topic.GLUCOSE_READINGS) if row["device"] == "cgm-1"]) == ROUNDS // 10
    assert "Traceback" not in capsys.readouterr().out


async def _quiet(reader: asyncio.StreamReader) -> None:
    """Read what comes until there is no more for now."""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(0.02):
            while await reader.read(65_536):
                pass
