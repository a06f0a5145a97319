"""Last wills of MQTT 5, which may wait a while."""

import asyncio

from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt5_packets import (
    Disconnect5,
    Will5,
)
from islet.decode.mqtt5_properties import Properties
from tests.gateways.door import Door, reading
from tests.gateways.peer5 import (
    EVENTS,
    gone,
    values,
)


def a_will(delay_s: int, value: float = 111) -> Will5:
    properties = Properties(will_delay_s=delay_s, content_type="application/json")
    return Will5(topic=EVENTS, payload=reading(value), qos=1, properties=properties)


async def test_a_will_with_a_delay_is_said_when_it_is_over(door: Door) -> None:
    peer = await door.connected5(door.add_device(), will=a_will(1), properties=Properties(session_expiry_s=60))
    peer.hang_up()
    await gone(door)
    assert await values(door) == []
    async with asyncio.timeout(5):
        while not await values(door):
            await asyncio.sleep(0.05)


async def test_a_will_is_not_said_of_one_who_is_back_before_its_delay_is_over(door: Door) -> None:
    device, kept = door.add_device(), Properties(session_expiry_s=60)
    peer = await door.connected5(device, will=a_will(1), properties=kept)
    peer.hang_up()
    await gone(door)
    back = await door.connected5(device, present=True, properties=kept)
    await asyncio.sleep(1.2)
    back.send(Disconnect5())
    assert await back.receive() is None
    assert await values(door) == []


async def test_a_will_is_said_at_once_where_the_session_ends_or_the_server(door: Door) -> None:
    """No expiry: with the connection; Clean Start: with the new one; what waits when the server stops: then."""
    device, kept = door.add_device(), Properties(session_expiry_s=60)
    (await door.connected5(device, will=a_will(50, 101))).hang_up()
    await gone(door)
    assert await values(door) == [101]
    (await door.connected5(device, will=a_will(50, 102), properties=kept)).hang_up()
    await gone(door)
    again = await door.connected5(device, will=a_will(50, 103), properties=kept, clean_session=True)
    assert await values(door) == [101, 102]
    again.send(Disconnect5(Code.GOODBYE_WITH_WILL))
    assert await again.receive() is None
    assert await values(door) == [101, 102]
    await door.mqtt.stop()
    assert await values(door) == [101, 102, 103]


async def test_a_will_that_waits_is_not_said_of_a_device_that_may_not_any_more(door: Door) -> None:
    device = door.add_device()
    (await door.connected5(device, will=a_will(50), properties=Properties(session_expiry_s=60))).hang_up()
    await gone(door)
    door.change_device("cgm-1", enabled=False)
    await door.mqtt.stop()
    assert await values(door) == []
