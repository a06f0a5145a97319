"""Files that devices upload with Microsoft's own SDKs, unmodified, for Node and for Python."""

import asyncio
import base64
import gc
import hashlib
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.iot.device import X509
from azure.iot.device import IoTHubDeviceClient as SyncClient
from azure.iot.device.aio import IoTHubDeviceClient

from islet.store.device_file_rows import DeviceFile, FileState
from tests.conftest import Missing, own_host
from tests.gateways.hub import Hub
from tests.gateways.issued import issue
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(87)
PATIENCE_S = 30.0
LARGE = 9 * 1024 * 1024


def stored(hub: Hub) -> list[tuple[DeviceFile, bytes]]:
    files = hub.door.device_files
    return [(file, b"".join(files.content(file))) for file in files.of_patient("p-1")]


@pytest.fixture(autouse=True)
def connections_closed(hub: Hub) -> Iterator[None]:
    """The SDK for Python leaves its connections to the garbage, and a listener that stops waits for them."""
    yield
    gc.collect()


@pytest.mark.parametrize("transport", ["mqtt", "amqp", "http"])
async def test_the_sdk_for_node_uploads_and_services_hear_of_it(hub: Hub, transport: str, missing: Missing) -> None:
    require_node(missing)
    device = hub.door.add_device()
    texts = hub.device_text(device), hub.service_text()
    script = await Script.started(hub, "upload.js", transport, *texts, str(hub.certificates.authority))
    md5 = base64.b64encode(hashlib.md5(b"a,b\n1,2\n", usedforsecurity=False).digest()).decode()
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"uploaded": LARGE}
            assert await script.said() == {"put": 201, "md5": md5}
            assert await script.said() == {"read": 405, "late": [403, "AuthenticationFailed"]}
            assert await script.said() == {"wrong": "refused"}
            heard = [["cgm-1", "cgm-1/logs/day 22.bin", LARGE], ["cgm-1", "cgm-1/small.csv", 8]]
            assert await script.said() == {"heard": heard}
            assert await script.ended() == 0
    finally:
        script.kill()
    found = {(file.name, file.state): content for file, content in stored(hub)}
    assert found == {
        ("logs/day 22.bin", FileState.COMPLETE): b"ab" * (LARGE // 2),
        ("small.csv", FileState.COMPLETE): b"a,b\n1,2\n",
    }


def trusting(hub: Hub) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=hub.certificates.authority)


def put(hub: Hub, info: Mapping[str, Any], content: bytes) -> int:
    url = f"https://{info['hostName']}/{info['containerName']}/{info['blobName']}{info['sasToken']}"
    headers = {"x-ms-blob-type": "BlockBlob"}
    return httpx.put(url, content=content, headers=headers, verify=trusting(hub)).status_code


def sdk_of(hub: Hub, kind: Any, text: str) -> Any:
    authority = hub.certificates.authority.read_text()
    return kind.create_from_connection_string(text, server_verification_cert=authority)


async def test_the_sdk_for_python_uploads(hub: Hub) -> None:
    device = hub.door.add_device()
    sdk = sdk_of(hub, IoTHubDeviceClient, hub.device_text(device))
    try:
        info = await sdk.get_storage_info_for_blob("day.csv")
        assert (info["blobName"], info["hostName"]) == ("cgm-1/day.csv", HOST)
        assert await asyncio.to_thread(put, hub, info, b"one") == 201
        await sdk.notify_blob_upload_status(info["correlationId"], True, 200, "done")
    finally:
        await sdk.shutdown()
    assert [(file.state, content) for file, content in stored(hub)] == [(FileState.COMPLETE, b"one")]


async def test_the_sdk_for_python_that_blocks_uploads_and_says_that_it_failed(hub: Hub) -> None:
    device = hub.door.add_device()

    def upload() -> None:
        sdk = sdk_of(hub, SyncClient, hub.device_text(device))
        try:
            info = sdk.get_storage_info_for_blob("day.csv")
            assert put(hub, info, b"one") == 201
            sdk.notify_blob_upload_status(info["correlationId"], False, 500, "broken")
        finally:
            sdk.shutdown()

    await asyncio.to_thread(upload)
    assert [(file.state, content) for file, content in stored(hub)] == [(FileState.FAILED, b"")]
    assert hub.door.device_files.take_notification(hub.door.exchange.wall_now()) is None


async def test_a_device_with_a_certificate_uploads(hub: Hub, tmp_path: Path) -> None:
    own = issue("any name")
    device = hub.door.add_device()
    changes = {
        "authentication": "selfSigned",
        "primary_key": "",
        "secondary_key": "",
        "primary_thumbprint": own.sha1.upper(),
    }
    hub.door.change_device(device.id, **changes)
    sdk = IoTHubDeviceClient.create_from_x509_certificate(
        x509=X509(*own.files(tmp_path)),  # type: ignore[no-untyped-call]
        hostname=HOST,
        device_id=device.id,
        server_verification_cert=hub.certificates.authority.read_text(),
    )
    try:
        info = await sdk.get_storage_info_for_blob("day.csv")
        assert await asyncio.to_thread(put, hub, info, b"one") == 201
        await sdk.notify_blob_upload_status(info["correlationId"], True, 200, "done")
    finally:
        await sdk.shutdown()
    assert [(file.state, content) for file, content in stored(hub)] == [(FileState.COMPLETE, b"one")]


async def test_the_storage_library_for_python_uploads_whole_and_in_blocks(hub: Hub, missing: Missing) -> None:
    try:
        from azure.storage.blob import BlobClient
    except ImportError:
        missing("azure-storage-blob")
    device = hub.door.add_device()

    def upload(name: str, content: bytes, **options: Any) -> None:
        sdk = sdk_of(hub, SyncClient, hub.device_text(device))
        try:
            info = sdk.get_storage_info_for_blob(name)
            url = f"https://{info['hostName']}/{info['containerName']}/{info['blobName']}{info['sasToken']}"
            trusted = str(hub.certificates.authority)
            with BlobClient.from_blob_url(url, connection_verify=trusted, **options) as blob:
                blob.upload_blob(content)
            sdk.notify_blob_upload_status(info["correlationId"], True, 201, "")
        finally:
            sdk.shutdown()

    await asyncio.to_thread(upload, "day 1+2.csv", b"one")
    await asyncio.to_thread(upload, "a/b%41.bin", b"x" * 3_000_000, max_single_put_size=1, max_block_size=1_000_000)
    found = {file.name: content for file, content in stored(hub)}
    assert found == {"day 1+2.csv": b"one", "a/b%41.bin": b"x" * 3_000_000}
