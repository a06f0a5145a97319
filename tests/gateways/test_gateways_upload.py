"""Files that devices upload: what was said is there after a restart, and nobody writes or reads what is not theirs."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from islet.model.time import HOUR_US
from islet.store.device_file_rows import MOST_BLOCKS, MOST_UNDER_WAY, Bounds, FileState
from islet.store.device_files import DeviceFiles
from tests.gateways.calls import as_device, as_policy, calls
from tests.gateways.clock import Clock
from tests.gateways.door import NOW_US, PATIENCE_S, Door
from tests.gateways.hub import listening

WHOLE = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture
async def door(clock: Clock) -> AsyncIterator[Door]:
    async with Door.opened(wall_now=clock) as opened:
        yield opened


async def begun(door: Door, http: httpx.AsyncClient, name: str = "day.csv", device: str = "cgm-1") -> dict[str, str]:
    answer = await http.post(f"/devices/{device}/files", json={"blobName": name}, headers=as_device(door, device))
    assert answer.status_code == 200, answer.text
    info: dict[str, str] = answer.json()
    return info


def address(info: dict[str, str], more: str = "") -> str:
    return f"https://{info['hostName']}/{info['containerName']}/{info['blobName']}{info['sasToken']}{more}"


async def put(http: httpx.AsyncClient, url: str, content: Any, **headers: str) -> tuple[int, str]:
    """As a storage client does: with no credential but what is in the address."""
    http.headers.pop("authorization", None)
    answer = await http.request(
        "PUT",
        url,
        content=content,
        params=httpx.URL(url).params,
        headers=WHOLE | {k.replace("_", "-"): v for k, v in headers.items()},
    )
    return answer.status_code, answer.headers.get("x-ms-error-code", "")


def block(number: int) -> str:
    return base64.b64encode(b"%04d" % number).decode()


def block_list(*numbers: int, where: str = "Latest") -> str:
    return f"<BlockList>{''.join(f'<{where}>{block(one)}</{where}>' for one in numbers)}</BlockList>"


async def end(door: Door, http: httpx.AsyncClient, id: str, *, success: bool = True, device: str = "cgm-1") -> int:
    body = {"correlationId": id, "isSuccess": success, "statusCode": 200, "statusDescription": ""}
    answer = await http.post(f"/devices/{device}/files/notifications", json=body, headers=as_device(door, device))
    return answer.status_code


def there(files: DeviceFiles, patient: str = "p-1") -> dict[str, bytes]:
    return {file.name: b"".join(files.content(file)) for file in files.of_patient(patient)}


def pieces(files: DeviceFiles) -> list[Path]:
    return list(files._folder.iterdir())


async def test_what_was_put_is_sealed_on_the_disk_and_there_after_a_restart(
    door: Door, http: httpx.AsyncClient
) -> None:
    files, content = door.device_files, b"glucose;" * 100_000
    info = await begun(door, http, "a/b c.csv")
    assert await put(http, address(info), content) == (201, "")
    assert await end(door, http, info["correlationId"]) == 204
    assert content[:64] not in b"".join(path.read_bytes() for path in pieces(files))
    assert {path.stat().st_mode & 0o077 for path in pieces(files)} == {0}
    again = DeviceFiles(Path(files._readers._path), files._folder, bytes(32), files.bounds)
    try:
        assert there(again) == {"a/b c.csv": content}
        again.tidy(NOW_US, 0)
        assert there(again) == {"a/b c.csv": content}
    finally:
        again.close()


async def test_blocks_before_and_after_a_restart_make_one_file(door: Door, http: httpx.AsyncClient) -> None:
    info = await begun(door, http)
    for number in (2, 1, 7):
        url = address(info, f"&comp=block&blockid={block(number)}")
        assert (await put(http, url, f"old {number},"))[0] == 201
    files = door.device_files
    door.device_files = DeviceFiles(Path(files._readers._path), files._folder, bytes(32), files.bounds)
    try:
        async with calls(door) as later:
            url = address(info, f"&comp=block&blockid={block(2)}")
            assert (await put(later, url, b"new 2"))[0] == 201  # the block is sent again
            assert (await put(later, address(info, "&comp=blocklist"), block_list(1, 2)))[0] == 201
            assert there(door.device_files) == {"day.csv": b"old 1,new 2"}
            assert len(pieces(files)) == 2
            assert (await put(later, address(info, f"&comp=block&blockid={block(3)}"), b",3"))[0] == 201
            assert (await put(later, address(info, "&comp=blocklist"), block_list(2, 3)))[0] == 201
            assert there(door.device_files) == {"day.csv": b"new 2,3"}
            assert (await put(later, address(info, "&comp=blocklist"), "<BlockList/>"))[0] == 201
            assert (there(door.device_files), pieces(files)) == ({"day.csv": b""}, [])
    finally:
        door.device_files.close()
        door.device_files = files


@pytest.mark.parametrize(
    "name", ["", "..", "a/../b", "/etc/passwd", "a//b", "a/", "x?y", "x#y", "a\\b", "\0", "x" * 1025]
)
async def test_a_name_that_is_no_name_is_refused(door: Door, http: httpx.AsyncClient, name: str) -> None:
    answer = await http.post("/devices/cgm-1/files", json={"blobName": name}, headers=as_device(door))
    assert answer.status_code == 400
    assert answer.headers["iothub-errorcode"] == "ArgumentInvalid"


async def test_the_first_way_of_iot_hub_is_served_too(door: Door, http: httpx.AsyncClient) -> None:
    answer = await http.get("/devices/cgm-1/files/a/day.csv", headers=as_device(door))
    info = answer.json()
    assert (answer.status_code, info["blobName"]) == (200, "cgm-1/a/day.csv")
    assert (await put(http, address(info), b"x"))[0] == 201


async def test_only_the_device_itself_announces_and_closes(door: Door, http: httpx.AsyncClient) -> None:
    info, other = await begun(door, http), as_device(door, "cgm-2")
    body = {"blobName": "x", "isSuccess": True}
    for path in ("/devices/cgm-1/files", f"/devices/cgm-1/files/notifications/{info['correlationId']}"):
        for headers in ({"Authorization": ""}, other, as_policy(door, "registryReadWrite"), as_policy(door, "service")):
            assert (await http.post(path, json=body, headers=headers)).status_code == 401
    assert await end(door, http, info["correlationId"], device="cgm-2") == 400
    assert await end(door, http, "none") == 400
    assert (await put(http, address(info), b"x"))[0] == 201


async def test_the_host_is_where_the_device_came_to(door: Door, http: httpx.AsyncClient) -> None:
    for host, told in (("hub.example:8443", "hub.example:8443"), ("[::1]:443", "[::1]:443"), ("a/b@c", "hub.example")):
        answer = await http.post(
            "/devices/cgm-1/files", json={"blobName": "x"}, headers=as_device(door) | {"Host": host}
        )
        assert answer.json()["hostName"] == told


async def test_a_token_writes_its_own_file_until_it_expires_and_does_nothing_else(
    door: Door, http: httpx.AsyncClient, clock: Clock
) -> None:
    info, other = await begun(door, http), await begun(door, http, "other.csv")
    foreign = await begun(door, http, "foreign.csv", "cgm-2")
    url, refused = address(info), (403, "AuthenticationFailed")
    sig = url[url.index("&sig=") :]
    changed = [
        address({**info, "blobName": "cgm-1/other.csv"}),
        address({**info, "blobName": "cgm-2/foreign.csv"}),
        address({**info, "sasToken": other["sasToken"]}),
        address({**info, "sasToken": foreign["sasToken"]}),
        url.replace(info["correlationId"], other["correlationId"]),
        url.replace("&se=2026", "&se=2027"),
        url.replace(sig, f"&sig={sig[6:]}{sig[5]}"),
        url.replace(sig, "&sig=%ff%00"),
        url.replace(sig, ""),
        url.partition("?")[0],
        f"{url.partition('?')[0]}?si=../../etc/passwd&sig=x",
    ]
    for one in changed:
        assert await put(http, one, b"x") == refused, one
    for method in ("GET", "HEAD", "DELETE", "POST", "OPTIONS"):
        assert (await http.request(method, url)).status_code == 405
    assert (await put(http, url, b"x"))[0] == 201
    clock.now_us += HOUR_US
    assert await put(http, url, unread()) == refused
    assert there(door.device_files) == {"day.csv": b"x", "other.csv": b"", "foreign.csv": b""}


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"patient": "p-2"}, {"patient": ""}, {"generation_id": "2"}, None]
)
async def test_a_device_that_may_no_longer_send_writes_nothing_from_that_moment(
    door: Door, http: httpx.AsyncClient, change: dict[str, object] | None
) -> None:
    info = await begun(door, http)

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        if change is None:
            door.registry.delete_device("cgm-1")
        else:
            door.change_device("cgm-1", **change)
        yield b"x" * 300_000
        raise AssertionError("it was read on")

    assert await put(http, address(info), body()) == (403, "AuthenticationFailed")
    assert await put(http, address(info), b"x") == (403, "AuthenticationFailed")
    assert (there(door.device_files), pieces(door.device_files)) == ({"day.csv": b""}, [])


async def unread() -> AsyncIterator[bytes]:
    raise AssertionError("it was read")
    yield b""


async def chunked(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


async def test_what_is_beyond_the_bounds_is_refused_and_leaves_nothing(door: Door, http: httpx.AsyncClient) -> None:
    files = door.device_files
    files.bounds, too_large = Bounds(file_bytes=1000, device_bytes=2500), (413, "RequestBodyTooLarge")
    info = await begun(door, http)
    assert await put(http, address(info), b"x" * 1001) == too_large
    assert await put(http, address(info), chunked(400, 400, 400)) == too_large
    one, two = (address(info, f"&comp=block&blockid={block(number)}") for number in (1, 2))
    assert (await put(http, one, b"x" * 600))[0] == 201
    assert await put(http, two, b"x" * 600) == too_large
    assert (await put(http, one, b"y" * 1000))[0] == 201  # in place of the one before
    assert (await put(http, address(info, "&comp=blocklist"), block_list(1)))[0] == 201
    assert len(pieces(files)) == 1
    assert (await put(http, address(await begun(door, http, "2")), b"x" * 1000))[0] == 201
    third = await begun(door, http, "3")
    assert await put(http, address(third), b"x" * 600) == too_large
    assert (await put(http, address(third), b"x" * 500))[0] == 201
    full = await http.post("/devices/cgm-1/files", json={"blobName": "4"}, headers=as_device(door))
    assert (full.status_code, full.headers["iothub-errorcode"]) == (403, "DeviceMaximumActiveFileUploadLimitExceeded")
    assert sum(map(len, there(files).values())) == 2500


async def test_a_device_has_ten_uploads_under_way_at_most_and_each_so_many_blocks(
    door: Door, http: httpx.AsyncClient, clock: Clock
) -> None:
    some = [await begun(door, http, str(number)) for number in range(MOST_UNDER_WAY)]
    body, own = {"blobName": "x"}, as_device(door)
    assert (await http.post("/devices/cgm-1/files", json=body, headers=own)).status_code == 403
    await begun(door, http, device="cgm-2")
    assert await end(door, http, some[0]["correlationId"]) == 204
    assert (await http.post("/devices/cgm-1/files", json=body, headers=own)).status_code == 200
    with door.device_files._change() as writer:
        rows = [(f"p{number}", some[1]["correlationId"], block(number)) for number in range(MOST_BLOCKS)]
        writer.executemany("INSERT INTO device_file_piece VALUES (?, ?, ?, NULL, 0)", rows)
    url = address(some[1], f"&comp=block&blockid={block(MOST_BLOCKS)}")
    assert await put(http, url, b"x") == (409, "BlockCountExceedsLimit")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (block_list(2), "InvalidBlockList"),
        (block_list(1, 1), "InvalidBlockList"),
        (block_list(1, where="Committed"), "InvalidBlockList"),
        (block_list(1, where="Oldest"), "InvalidXmlDocument"),
        ("<BlockList><Latest>no base64</Latest></BlockList>", "InvalidInput"),
        ("<Blocks/>", "InvalidXmlDocument"),
        ("", "InvalidXmlDocument"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><BlockList/>', "InvalidXmlDocument"),
        (f"<BlockList>{'<Latest>MQ==</Latest>' * (MOST_BLOCKS + 1)}</BlockList>", "InvalidXmlDocument"),
        ("<BlockList><Latest><Latest>MQ==</Latest></Latest></BlockList>", "InvalidXmlDocument"),
    ],
)
async def test_a_list_of_blocks_that_are_not_there_is_refused(
    door: Door, http: httpx.AsyncClient, body: str, code: str
) -> None:
    info = await begun(door, http)
    assert (await put(http, address(info, f"&comp=block&blockid={block(1)}"), b"x"))[0] == 201
    assert await put(http, address(info, "&comp=blocklist"), body) == (400, code)
    assert (await put(http, address(info, "&comp=blocklist"), block_list(1, where="Uncommitted")))[0] == 201


async def test_what_is_not_understood_is_refused(door: Door, http: httpx.AsyncClient) -> None:
    info = await begun(door, http)
    assert await put(http, address(info, "&comp=page"), b"x") == (400, "InvalidInput")
    assert await put(http, address(info, "&comp=block&blockid=!"), b"x") == (400, "InvalidInput")
    assert await put(http, address(info), b"x", x_ms_blob_type="PageBlob") == (400, "UnsupportedHeader")
    assert await put(http, address(info), b"x", x_ms_structured_body="XSM/1.0") == (400, "UnsupportedHeader")
    assert await put(http, address(info), b"x", content_md5="nonsense") == (400, "Md5Mismatch")
    assert pieces(door.device_files) == []
    assert (await put(http, address(info), b"x", content_md5="ndTkYSaMgDT1yFZOFVxnpg=="))[0] == 201  # md5sum says so
    assert await put(http, address(info), b"y", if_none_match="*") == (409, "BlobAlreadyExists")
    assert there(door.device_files) == {"day.csv": b"x"}


async def test_an_upload_is_closed_once_and_for_good(door: Door, http: httpx.AsyncClient) -> None:
    files, closed = door.device_files, (403, "AuthenticationFailed")
    good, bad, empty = [await begun(door, http, name) for name in ("good", "bad", "empty")]
    for info in (good, bad):
        assert (await put(http, address(info), b"x"))[0] == 201
    for _ in range(2):
        assert await end(door, http, good["correlationId"]) == 204
        assert await end(door, http, bad["correlationId"], success=False) == 204
        assert await end(door, http, empty["correlationId"]) == 204
    assert await end(door, http, good["correlationId"], success=False) == 204
    for info in (good, bad, empty):
        assert await put(http, address(info), b"y") == closed
        assert await put(http, address(info, "&comp=blocklist"), block_list()) == closed
    states = {file.name: (file.state, file.bytes) for file in files.of_patient("p-1")}
    failed = (FileState.FAILED, None)
    assert states == {"good": (FileState.COMPLETE, 1), "bad": failed, "empty": failed}
    assert (there(files)["good"], len(pieces(files))) == (b"x", 1)
    taken = files.take_notification(NOW_US)
    assert taken is not None
    assert (taken[1].name, taken[1].bytes, files.take_notification(NOW_US)) == ("good", 1, None)
    files.end_notification(taken[0], heard=False)
    again = files.take_notification(NOW_US)
    assert again is not None
    files.end_notification(again[0], heard=True)
    assert files.take_notification(NOW_US + 2 * HOUR_US) is None


@pytest.mark.parametrize("nth", [1, 2])
async def test_nothing_is_acknowledged_that_the_disk_has_not_taken(
    door: Door, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The first sync is the content's, the second that of its name; the database is told after both."""
    info, synced = await begun(door, http), 0

    def fail(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        assert [file.bytes for file in door.device_files.of_patient("p-1")] == [None]
        if synced == nth:
            raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    assert await put(http, address(info), b"x") == (503, "ServerBusy")
    assert synced == nth
    assert (there(door.device_files), pieces(door.device_files)) == ({"day.csv": b""}, [])


async def test_an_upload_that_is_cut_leaves_nothing_and_can_be_sent_again(door: Door, http: httpx.AsyncClient) -> None:
    info = await begun(door, http)
    async with listening(door, "127.0.0.1", 0) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        path = address(info).removeprefix("https://hub.example")
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: 9000000\r\n\r\n"
        writer.write(head.encode() + b"x" * 3_000_000)
        await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            while not pieces(door.device_files):
                await asyncio.sleep(0.01)
            writer.transport.abort()
            while pieces(door.device_files):
                await asyncio.sleep(0.01)
    assert there(door.device_files) == {"day.csv": b""}
    assert (await put(http, address(info), b"again"))[0] == 201
    assert there(door.device_files) == {"day.csv": b"again"}


async def test_what_is_over_goes_and_what_is_kept_stays(door: Door, http: httpx.AsyncClient) -> None:
    files = door.device_files
    half, confirmed, nothing = [await begun(door, http, name) for name in ("half", "confirmed", "nothing")]
    for info in (half, confirmed):
        assert (await put(http, address(info), b"x"))[0] == 201
    assert (await put(http, address(nothing, f"&comp=block&blockid={block(1)}"), b"x"))[0] == 201
    assert await end(door, http, confirmed["correlationId"]) == 204
    stray, fresh = files._folder / "stray", files._folder / "fresh"
    for path in (stray, fresh):
        path.write_bytes(b"")
        os.utime(path, (NOW_US / 1e6, NOW_US / 1e6))
    files.tidy(NOW_US, 0)
    assert len(there(files)) == 3
    os.utime(fresh, (NOW_US / 1e6 + 3600, NOW_US / 1e6 + 3600))
    files.tidy(NOW_US + HOUR_US + 1, 0)
    states = {file.name: file.state for file in files.of_patient("p-1")}
    assert states == {"half": FileState.UNCONFIRMED, "confirmed": FileState.COMPLETE}
    assert (stray.exists(), fresh.exists(), len(pieces(files))) == (False, True, 3)
    assert await end(door, http, half["correlationId"]) == 204  # late, and yet
    assert {file.name: file.state for file in files.of_patient("p-1")}["half"] is FileState.COMPLETE
    files.tidy(NOW_US + 3 * HOUR_US, NOW_US + 1)
    assert (there(files), [path.name for path in pieces(files)]) == ({}, [])
