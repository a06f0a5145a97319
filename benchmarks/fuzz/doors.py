"""Connections of devices that have been let in, inside a whole front door: bytes in any cut, and no exception gets out."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from benchmarks.fuzz.mqtt import SMALL
from benchmarks.fuzz.spoil import cut
from benchmarks.fuzz.target import Check, Target
from islet.decode.mqtt5_packets import encode5
from islet.decode.mqtt_packets import encode
from islet.model.people import Device
from tests.gateways.amqp_peer import opening_bytes, sasl_plain, transfer_bytes
from tests.gateways.door import Door, device_token, hello, hello5
from tests.gateways.test_gateways_fuzz import some_packets, some_packets5

_DEVICE = "cgm-1"
_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_KNOWN = Device(id=_DEVICE, patient="p-1", generation_id="1", primary_key=_KEY)
_PLACES = ("messages/events", "twin", "methods/devicebound", "messages/devicebound")


class _Transport(asyncio.Transport):
    """Takes what is written. `protocol` gets what is received."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self._closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def write(self, data: Any) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close


@contextlib.contextmanager
def _open(connection: Callable[[Door], asyncio.Protocol]) -> Iterator[Check]:
    """A door in a loop of its own; each check is a connection."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        door = runner.run(stack.enter_async_context(Door.opened()))
        door.registry.create_device(_KNOWN)
        door.mqtt.turnstile.refusal_s = door.amqp.turnstile.refusal_s = lambda _: None  # type: ignore[method-assign, assignment]
        failed: list[BaseException] = []
        runner.get_loop().set_exception_handler(
            lambda _, context: failed.append(context.get("exception") or RuntimeError(context["message"]))
        )

        async def one(data: bytes, rng: Random) -> None:
            peer = _Transport(connection(door))
            peer.protocol.connection_made(peer)
            try:
                for piece in cut(data, rng):
                    peer.protocol.data_received(piece)
                    await asyncio.sleep(0)
            finally:
                peer.protocol.connection_lost(None)
            if failed:
                raise failed.pop()

        try:
            yield lambda data, rng: runner.run(one(data, rng))
        finally:
            runner.run(stack.aclose())


def _mqtt_seeds() -> list[bytes]:
    packets = [encode(packet) for packet in some_packets(_KNOWN)]
    first = encode(hello(_KNOWN))
    return [first + b"".join(packets[:7]), *(first + packet for packet in packets)]


def _mqtt5_seeds() -> list[bytes]:
    packets = [encode5(packet) for packet in some_packets5(_KNOWN)]
    first = encode5(hello5(_KNOWN))
    return [first + b"".join(packets[:7]), *(first + packet for packet in packets)]


def _amqp_seeds() -> list[bytes]:
    sasl = sasl_plain(f"\0{_DEVICE}@sas.hub\0{device_token(_KNOWN)}".encode())
    addresses = [f"/devices/{_DEVICE}/{place}" for place in _PLACES]
    return [sasl + opening_bytes([*addresses, "$cbs"]) + transfer_bytes(5, 10), sasl + opening_bytes(["$cbs"])]


DOORS = [
    Target("mqtt-door", opened=lambda: _open(lambda door: door.mqtt.connection()), seeds=_mqtt_seeds(), tokens=SMALL),
    Target("mqtt5-door", opened=lambda: _open(lambda door: door.mqtt.connection()), seeds=_mqtt5_seeds(), tokens=SMALL),
    Target("amqp-door", opened=lambda: _open(lambda door: door.amqp.connection()), seeds=_amqp_seeds(), tokens=SMALL),
]
