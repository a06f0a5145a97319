"""Microsoft's own SDKs for Python, unmodified, at our front door over TLS: devices over MQTT, services over HTTPS."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient as SyncClient
from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.device.exceptions import CredentialError

from islet.access.sas import new_key
from islet.decode.iothub_twins import ServiceTwin
from islet.model.topics import Topic
from islet.store.devices_base import Command, Module
from tests.conftest import Missing, own_host
from tests.gateways.door import reading
from tests.gateways.hub import Hub

HOST = own_host(83)
READINGS = 1000
PATIENCE_S = 20.0
_SERVICE = Path(__file__).with_name("service_sdk.py")


def client(hub: Hub, text: str, kind: Any = IoTHubDeviceClient, **more: Any) -> Any:
    return kind.create_from_connection_string(
        text,
        server_verification_cert=hub.certificates.authority.read_text(),
        **{"connection_retry": False, "auto_connect": False, **more},
    )


def message(value: float) -> Message:
    return Message(reading(value), content_encoding="utf-8", content_type="application/json")  # type: ignore[no-untyped-call]


async def set_handler(sdk: Any, name: str, handler: Any) -> None:
    """In a thread: the SDK blocks the loop, in which the server is, until it is subscribed."""
    await asyncio.to_thread(setattr, sdk, name, handler)


def in_this_loop(handler: Any) -> Any:
    """The SDK calls handlers in a thread of its own."""
    loop = asyncio.get_running_loop()
    return lambda value: loop.call_soon_threadsafe(handler, value)


async def test_a_thousand_readings_of_the_sdk_are_in_the_log_once_each(hub: Hub) -> None:
    sdk = client(hub, hub.device_text(hub.door.add_device()))
    await sdk.connect()
    try:
        async with asyncio.TaskGroup() as sending:
            for number in range(READINGS):
                one = message(100 + number / 10)
                one.message_id = f"m {number}"
                one.custom_properties["kind"] = "a/b+c&d=e"
                sending.create_task(sdk.send_message(one))
    finally:
        await sdk.shutdown()
    values = sorted(float(str(row["value"])) for row in hub.door.rows(Topic.GLUCOSE_READINGS))
    assert values == [100 + number / 10 for number in range(READINGS)]
    assert hub.door.rows(Topic.DEAD_LETTERS) == []


@pytest.mark.parametrize("websockets", [False, True])
async def test_the_sdk_gets_commands_its_twin_and_methods(hub: Hub, websockets: bool) -> None:
    device = hub.door.add_device()
    address, exchange = hub.door.address(device), hub.door.exchange
    sdk = client(hub, hub.device_text(device), websockets=websockets)
    commands: asyncio.Queue[Any] = asyncio.Queue()
    patches: asyncio.Queue[Any] = asyncio.Queue()

    async def answer(request: Any) -> None:
        response = MethodResponse.create_from_method_request(request, 201, {"got": request.payload})
        await sdk.send_method_response(response)

    await sdk.connect()
    try:
        await set_handler(sdk, "on_message_received", in_this_loop(commands.put_nowait))
        await set_handler(sdk, "on_twin_desired_properties_patch_received", in_this_loop(patches.put_nowait))
        await set_handler(sdk, "on_method_request_received", answer)
        properties = {"$.mid": "m 1", "$.ct": "text/plain", "kind": "a/b c"}
        async with asyncio.timeout(PATIENCE_S):
            await exchange.send(address, Command(body=b"buzz", properties=properties, ack="full"))
            got = await commands.get()
            assert (got.data, got.message_id, got.content_type) == (b"buzz", "m 1", "text/plain")
            assert (got.custom_properties["kind"], got.ack) == ("a/b c", "full")
            await sdk.patch_twin_reported_properties({"battery": 80})
            assert await exchange.invoke(address, "measure", b'{"a":1}', answer_s=5.0, connect_s=5.0) == (
                201,
                b'{"got": {"a": 1}}',
            )
            twin = await sdk.get_twin()
            assert twin == {"desired": {"$version": 1}, "reported": {"battery": 80, "$version": 2}}
            await exchange.change_twin(address, ServiceTwin(desired={"every_s": 60}))
            assert await patches.get() == {"every_s": 60, "$version": 2}
            await sdk.send_message(message(100))
    finally:
        await sdk.shutdown()
    assert hub.door.devices.pending_commands() == {}
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_the_sdk_renews_its_token_and_comes_back_after_the_connection_was_dropped(hub: Hub) -> None:
    """It renews two minutes before the token's end."""
    device = hub.door.add_device()
    sdk = client(hub, hub.device_text(device), sastoken_ttl=121, connection_retry=True, connection_retry_interval=1)
    await sdk.connect()
    try:
        async with asyncio.timeout(PATIENCE_S):
            first = hub.door.exchange.presence.link("cgm-1")
            while hub.door.exchange.presence.link("cgm-1") in (first, None):
                await asyncio.sleep(0.02)
            second = hub.door.exchange.presence.link("cgm-1")
            assert second is not None
            second.replaced()
            while not sdk.connected or hub.door.exchange.presence.link("cgm-1") in (second, None):
                await asyncio.sleep(0.02)
            await sdk.send_message(message(100))
    finally:
        await sdk.shutdown()
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_the_sdk_of_modules_is_served(hub: Hub) -> None:
    device = hub.door.add_device()
    module = Module(device="cgm-1", id="m1", generation_id="9", primary_key=new_key(), secondary_key=new_key())
    hub.door.devices.create_module(module)
    sdk = client(hub, hub.device_text(device, "m1", module.primary_key), IoTHubModuleClient)
    await sdk.connect()
    try:
        await sdk.patch_twin_reported_properties({"a": 1})
        await sdk.send_message(message(100))
        assert (await sdk.get_twin())["reported"] == {"a": 1, "$version": 2}
    finally:
        await sdk.shutdown()


async def test_the_sdk_that_blocks_is_served(hub: Hub) -> None:
    sdk = client(hub, hub.device_text(hub.door.add_device()), SyncClient)

    def use() -> Any:
        try:
            sdk.connect()
            sdk.send_message(message(100))
            sdk.patch_twin_reported_properties({"battery": 80})
            return sdk.get_twin()
        finally:
            sdk.shutdown()

    assert (await asyncio.to_thread(use))["reported"] == {"battery": 80, "$version": 2}
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_the_sdk_with_a_wrong_key_is_refused(hub: Hub) -> None:
    sdk = client(hub, hub.device_text(hub.door.add_device(), key=new_key()))
    try:
        with pytest.raises(CredentialError):
            await sdk.connect()
    finally:
        await sdk.shutdown()
    assert (hub.door.mqtt.connected, hub.door.mqtt.refused) == (0, 1)


async def test_the_sdk_of_services_manages_devices_twins_and_methods(hub: Hub, missing: Missing) -> None:
    """In a process of its own: it has its own certificate store, set by the environment."""
    device = hub.door.add_device()
    sdk = client(hub, hub.device_text(device))

    async def answer(request: Any) -> None:
        response = MethodResponse.create_from_method_request(request, 200, request.payload)
        await sdk.send_method_response(response)

    await sdk.connect()
    await set_handler(sdk, "on_method_request_received", answer)
    try:
        environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(hub.certificates.authority)}
        command = [sys.executable, str(_SERVICE), hub.service_text(), str(hub.certificates.authority)]
        result = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60
        )
    finally:
        await sdk.shutdown()
    if result.returncode == 77:
        missing("azure-iot-hub")
    assert result.returncode == 0, result.stderr
    (letter,) = await hub.door.exchange.take_one(hub.door.address(device))
    assert (letter.command.body, letter.command.properties) == (b"buzz", {"$.mid": "m 1", "kind": "a/b c"})
