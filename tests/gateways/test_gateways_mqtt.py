"""The MQTT front door over real sockets: who is let in, what is acknowledged when, what closes a connection."""

import json
from functools import partial
from typing import Any

import pytest

from islet.access.sas import make_token, new_key
from islet.decode.mqtt_packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode,
)
from islet.model.topics import Topic
from tests.gateways.door import HUB, NOW_S, Door, hello, reading, telemetry


async def test_a_reading_is_acknowledged_and_is_then_in_the_log(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(telemetry(device, reading(6.7, unit="mmol/L"), 7))
    assert await peer.receive() == Puback(7)
    [row] = door.rows(Topic.GLUCOSE_READINGS)
    assert (row["patient"], row["device"], row["glucose_tenths"]) == ("p-1", "cgm-1", 1207)
    assert door.intake.counts() == {"accepted": 1, "failed": 0}


async def test_puback_comes_only_after_the_commit(door: Door) -> None:
    """The answer to a later ping comes first while the log is held up."""
    device = door.add_device()
    peer = await door.connected(device)
    door.log.gate.clear()
    peer.send(telemetry(device, reading(), 1), Pingreq())
    assert await peer.receive() == Pingresp()
    assert door.rows(Topic.GLUCOSE_READINGS) == []
    door.log.gate.set()
    assert await peer.receive() == Puback(1)


async def test_a_failed_commit_closes_without_puback(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    door.log.error = OSError("the disk is full")
    peer.send(telemetry(device, reading(), 1), telemetry(device, reading(), 2))
    assert await peer.receive() is None
    assert door.intake.failed >= 1
    door.log.error = None
    again = await door.connected(device)
    again.send(telemetry(device, reading(), 1))
    assert await again.receive() == Puback(1)


async def test_acknowledgements_keep_the_order_of_the_messages(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    ids = list(range(1, 1001))
    peer.send(*(telemetry(device, reading(100 + number / 100), number) for number in ids))
    assert [await peer.receive() for _ in ids] == [Puback(number) for number in ids]
    values = [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]
    assert values == [100 + number / 100 for number in ids]


async def test_a_bad_payload_is_acknowledged_kept_aside_and_the_stream_goes_on(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(telemetry(device, b"?", 1, "%24.ct=text%2Fplain"), telemetry(device, reading(), 2))
    assert [await peer.receive(), await peer.receive()] == [Puback(1), Puback(2)]
    [letter] = door.rows(Topic.DEAD_LETTERS)
    body = json.loads(str(letter["body"]))
    assert (letter["type"], letter["device"], body["content_type"]) == ("json", "cgm-1", "text/plain")
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 1
    assert door.intake.counts() == {"accepted": 1, "failed": 0, "dead_json": 1}


async def test_qos_0_is_taken_and_not_acknowledged(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(telemetry(device, reading(101), 0), telemetry(device, reading(102), 5))
    assert await peer.receive() == Puback(5)
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [101, 102]


async def test_either_key_opens(door: Door) -> None:
    device = door.add_device()
    await door.connected(device, key=device.primary_key)
    await door.connected(device, key=device.secondary_key)


async def test_a_module_and_a_policy_may_act_for_the_device(door: Door) -> None:
    device = door.add_device()
    module = await door.connected(device, module="m1")
    gateway = await door.connected(device, token=door.policy_token("device"))
    assert door.mqtt.connected == 2
    module.send(Publish("devices/cgm-1/modules/m1/messages/events/", reading(101), 1, 1))
    gateway.send(telemetry(device, reading(102), 2))
    assert [await module.receive(), await gateway.receive()] == [Puback(1), Puback(2)]


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("wrong key", {"key": new_key()}),
        ("expired", {"expires_s": NOW_S}),
        ("another resource", {"token": "other"}),
        ("a policy that may not", {"token": "service"}),
        ("not a token", {"token": "x"}),
        ("another hub", {"hub": "other.example"}),
    ],
)
async def test_bad_credentials_are_refused_with_code_5(door: Door, why: str, changes: dict[str, Any]) -> None:
    device = door.add_device()
    if changes.get("token") == "other":
        changes = {"token": make_token(f"{HUB}/devices/cgm-10", device.primary_key, NOW_S + 60)}
    elif changes.get("token") == "service":
        changes = {"token": door.policy_token("service")}
    peer = await door.peer()
    peer.send(hello(device, **changes))
    assert (await peer.receive(), await peer.receive()) == (Connack(5), None)
    assert (door.mqtt.connected, door.mqtt.refused) == (0, 1)


async def test_a_stranger_a_disabled_device_and_one_without_password_are_refused(door: Door) -> None:
    device = door.add_device()
    door.change_device("cgm-1", enabled=False)
    door.add_device("cgm-2")
    token = make_token(f"{HUB}/devices/cgm-3", new_key(), NOW_S + 60)
    nameless = Connect(client_id="cgm-2", username=f"{HUB}/cgm-2/?api-version=2021-04-12")
    stranger = Connect(client_id="cgm-3", username=f"{HUB}/cgm-3/?api-version=2021-04-12", password=token.encode())
    for connect in (hello(device), nameless, stranger):
        peer = await door.peer()
        peer.send(connect)
        assert (await peer.receive(), await peer.receive()) == (Connack(5), None)


async def test_other_versions_and_client_ids_get_the_codes_of_the_standard(door: Door) -> None:
    peer = await door.peer()
    peer.send_bytes(encode(Connect(client_id="a")).replace(b"MQTT\x04", b"MQTT\x06"))
    assert (await peer.receive(), await peer.receive()) == (Connack(1), None)
    peer = await door.peer()
    peer.send(Connect(client_id=""))
    assert (await peer.receive(), await peer.receive()) == (Connack(2), None)


async def test_the_newest_connection_of_a_device_wins(door: Door) -> None:
    device = door.add_device()
    older = await door.connected(device)
    newer = await door.connected(device)
    assert await older.receive() is None
    newer.send(Pingreq())
    assert await newer.receive() == Pingresp()
    assert door.mqtt.connected == 1


@pytest.mark.parametrize(
    "packet",
    [
        Publish("devices/cgm-2/messages/events/", b"x", 1, 1),
        Publish("devices/cgm-10/messages/events/", b"x", 1, 1),
        Publish("anything", b"x"),
        Publish("devices/cgm-1/messages/events/%zz=1", b"x", 1, 1),
        Publish("$iothub/twin/DELETE/?$rid=1", b"", 1, 1),
        Publish("$iothub/methods/res/ok/?$rid=1", b"", 1, 1),
        Publish("$iothub/methods/res/200/", b"", 1, 1),
        Subscribe(1, (("#", 0),)),
        Subscribe(1, (("devices/cgm-2/messages/devicebound/#", 0),)),
        Connect(client_id="cgm-1"),
        Connack(0),
    ],
)
async def test_a_violation_closes_that_connection_only(door: Door, packet: Packet) -> None:
    device, other = door.add_device(), door.add_device("cgm-9")
    peer, beside = await door.connected(device), await door.connected(other)
    peer.send(packet)
    assert await peer.receive() is None
    beside.send(telemetry(other, reading(), 3))
    assert await beside.receive() == Puback(3)
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_the_first_packet_must_be_connect_and_bytes_must_be_mqtt(door: Door) -> None:
    for data in (encode(Pingreq()), b"GET / HTTP/1.1\r\n\r\n", bytes(64)):
        peer = await door.peer()
        peer.send_bytes(data)
        assert await peer.receive() is None


async def test_iot_hubs_subscriptions_are_granted_and_an_empty_twin_is_there(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(Subscribe(1, (("$iothub/twin/res/#", 0), ("devices/cgm-1/messages/devicebound/#", 2))))
    assert await peer.receive() == Suback(1, (0, 1))
    peer.send(Publish("$iothub/twin/GET/?$rid=r1", b" ", 1, 2))
    assert await peer.receive() == Puback(2)
    twin = await peer.receive()
    assert isinstance(twin, Publish) and twin.topic == "$iothub/twin/res/200/?$rid=r1"
    assert json.loads(twin.payload) == {"desired": {"$version": 1}, "reported": {"$version": 1}}
    peer.send(Unsubscribe(3, ("$iothub/twin/res/#",)), Publish("$iothub/twin/GET/?$rid=r2", b"", 1, 4))
    answers = [await peer.receive(), await peer.receive()]
    assert Unsuback(3) in answers and Puback(4) in answers
    peer.send(Pingreq())
    assert await peer.receive() == Pingresp()


async def test_a_twin_request_behind_telemetry_is_acknowledged_in_turn(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    door.log.gate.clear()
    peer.send(telemetry(device, reading(), 1), Publish("$iothub/twin/GET/?$rid=r", b"", 1, 2), Pingreq())
    assert await peer.receive() == Pingresp()
    door.log.gate.set()
    assert [await peer.receive(), await peer.receive()] == [Puback(1), Puback(2)]


async def test_acknowledgements_keep_their_order_however_the_messages_are_received(door: Door) -> None:
    """Requests between readings while nothing is committed yet; then some that come alone, each like the one before."""
    device = door.add_device()
    peer = await door.connected(device)
    twin = partial(Publish, "$iothub/twin/GET/?$rid=r", b"", 1)
    door.log.gate.clear()
    for packet in (telemetry(device, reading(101), 1), twin(2), telemetry(device, reading(102), 3), twin(4), twin(5)):
        peer.send(packet, Pingreq())
        assert await peer.receive() == Pingresp()
    door.log.gate.set()
    assert [await peer.receive() for _ in range(5)] == [Puback(number) for number in range(1, 6)]
    alone = [telemetry(device, reading(100 + number), number) for number in range(6, 10)]
    for packet in (*alone, *map(twin, range(10, 13))):
        peer.send(packet)
        assert await peer.receive() == Puback(packet.packet_id)
    assert door.rows(Topic.DEAD_LETTERS) == []
    values = [101, 102, *range(106, 110)]
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == values


async def test_what_came_before_a_violation_is_in_the_log_and_the_will_behind_it(door: Door) -> None:
    device = door.add_device()
    will = Will(topic="devices/cgm-1/messages/events/", payload=reading(113), qos=1)
    peer = await door.connected(device, will=will)
    peer.send(telemetry(device, reading(111), 1), telemetry(device, reading(112), 2), Publish("any/topic", b"", 1, 3))
    assert await peer.receive() is None
    await door.intake.settled()
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [111, 112, 113]


async def test_the_will_of_a_device_that_vanishes_is_telemetry_that_of_one_that_says_goodbye_is_not(door: Door) -> None:
    device = door.add_device()
    will = Will(topic="devices/cgm-1/messages/events/", payload=reading(111), qos=1)
    polite = await door.connected(device, will=will)
    polite.send(Disconnect())
    assert await polite.receive() is None
    abrupt = await door.connected(device, will=will)
    abrupt.hang_up()
    after = await door.connected(device)
    after.send(telemetry(device, reading(112), 1))
    assert await after.receive() == Puback(1)
    await door.intake.settled()
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)].count(111) == 1


async def test_the_will_of_a_device_that_may_no_longer_is_not_telemetry(door: Door) -> None:
    will = Will(topic="devices/cgm-1/messages/events/", payload=reading(111), qos=1)
    peer = await door.connected(door.add_device(), will=will)
    door.change_device("cgm-1", enabled=False)
    assert await peer.receive() is None
    await door.intake.settled()
    assert not door.rows(Topic.GLUCOSE_READINGS)


async def test_a_will_for_another_device_is_refused(door: Door) -> None:
    device = door.add_device()
    peer = await door.peer()
    peer.send(hello(device, will=Will(topic="devices/cgm-2/messages/events/", payload=b"")))
    assert (await peer.receive(), await peer.receive()) == (Connack(5), None)


async def test_a_silent_device_is_disconnected_after_one_and_a_half_keep_alives(door: Door) -> None:
    peer = await door.connected(door.add_device(), keep_alive_s=1)
    assert await peer.receive() is None


async def test_a_connection_ends_with_its_token(door: Door) -> None:
    """The wall's clock stands 50 ms before the second at which the token expires."""
    peer = await door.connected(door.add_device(), expires_s=NOW_S + 1)
    assert await peer.receive() is None


@pytest.mark.parametrize("changes", [{"enabled": False}, {"primary_key": new_key()}, {"generation_id": "2"}])
async def test_a_device_that_may_no_longer_is_disconnected(door: Door, changes: dict[str, object]) -> None:
    peer = await door.connected(door.add_device())
    door.change_device("cgm-1", **changes)
    await door.mqtt.refresh()
    assert await peer.receive() is None


async def test_readings_go_to_the_patient_whom_the_device_is_assigned_to_now(door: Door) -> None:
    device = door.add_device(patient="")
    peer = await door.connected(device)
    peer.send(telemetry(device, reading(101), 1))
    assert await peer.receive() == Puback(1)
    door.change_device("cgm-1", patient="p-1")
    await door.mqtt.refresh()
    peer.send(telemetry(device, reading(102), 2))
    assert await peer.receive() == Puback(2)
    assert [row["type"] for row in door.rows(Topic.DEAD_LETTERS)] == ["unassigned"]
    assert [(row["patient"], row["value"]) for row in door.rows(Topic.GLUCOSE_READINGS)] == [("p-1", 102)]


async def test_a_flood_is_held_back_while_the_log_is_slow_and_nothing_is_lost() -> None:
    """With the log held up, only what fits the bounds is taken from the socket; then all of it arrives."""
    async with Door.opened(most_bytes=20_000) as door:
        device = door.add_device()
        peer = await door.connected(device)
        door.log.gate.clear()
        ids = list(range(1, 5001))
        padding = "x" * 1000
        for number in ids:
            peer.send(telemetry(device, reading(100 + number / 100, padding=padding), number))
        other = await door.connected(door.add_device("cgm-2"))
        other.send(Pingreq())
        assert await other.receive() == Pingresp()
        assert door.intake.outstanding < 1000
        door.log.gate.set()
        assert [await peer.receive() for _ in ids] == [Puback(number) for number in ids]
        assert len(door.rows(Topic.GLUCOSE_READINGS)) == len(ids)


async def test_stopping_acknowledges_what_is_under_way_then_closes_and_refuses_newcomers(door: Door) -> None:
    device = door.add_device()
    peer = await door.connected(device)
    peer.send(*(telemetry(device, reading(), number) for number in range(1, 101)), Pingreq())
    packets = [await peer.receive()]
    while packets[-1] != Pingresp():
        packets.append(await peer.receive())
    await door.mqtt.stop()
    while packets[-1] is not None:
        packets.append(await peer.receive())
    assert [packet for packet in packets if isinstance(packet, Puback)] == [Puback(number) for number in range(1, 101)]
    with pytest.raises(ConnectionRefusedError):
        await door.peer()
