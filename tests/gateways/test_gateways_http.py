"""The HTTPS front door: statuses, conditions and error bodies as IoT Hub's clients expect them."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from islet.access.sas import make_token, new_key
from islet.gateways.http import BATCH_TYPE
from islet.gateways.registry_files import RegistryFiles
from islet.model.topics import Topic
from tests.gateways.calls import VERSION, app, as_device, as_policy, calls
from tests.gateways.door import HUB, NOW_S, Door, reading

DEEP = b'{"deep":' * 5_000 + b"1" + b"}" * 5_000
EVENTS = "/devices/cgm-1/messages/events"


async def test_a_message_is_204_and_in_the_log(door: Door, http: httpx.AsyncClient) -> None:
    answer = await http.post(EVENTS, content=reading(6.7, unit="mmol/L"), headers=as_device(door))
    assert (answer.status_code, answer.content) == (204, b"")
    [row] = door.rows(Topic.GLUCOSE_READINGS)
    assert (row["patient"], row["device"], row["glucose_tenths"]) == ("p-1", "cgm-1", 1207)


async def test_the_answer_waits_for_the_commit(door: Door, http: httpx.AsyncClient) -> None:
    door.log.gate.clear()
    posting = asyncio.create_task(http.post(EVENTS, content=reading(), headers=as_device(door)))
    await asyncio.to_thread(door.log.entered.wait, 10)
    assert not posting.done()
    door.log.gate.set()
    assert (await posting).status_code == 204


async def test_a_commit_that_fails_is_503_and_nothing_is_there(door: Door, http: httpx.AsyncClient) -> None:
    door.log.error = OSError("the disk is full")
    answer = await http.post(EVENTS, content=reading(), headers=as_device(door))
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (503, "ServiceUnavailable")
    assert door.rows(Topic.GLUCOSE_READINGS) == []


async def test_a_bad_payload_is_204_and_a_dead_letter_with_its_content_type(
    door: Door, http: httpx.AsyncClient
) -> None:
    headers = {**as_device(door), "iothub-contenttype": "text/csv", "iothub-app-line": "7"}
    assert (await http.post(EVENTS, content=b"?", headers=headers)).status_code == 204
    [letter] = door.rows(Topic.DEAD_LETTERS)
    assert (letter["type"], json.loads(str(letter["body"]))["content_type"]) == ("json", "text/csv")


async def test_json_that_is_nested_too_deep_is_refused_at_every_path(door: Door, tmp_path: Path) -> None:
    door.add_device()
    answers = {}
    async with calls(door, RegistryFiles(tmp_path)) as http:
        for route in app(door, RegistryFiles(tmp_path)).routes:
            assert isinstance(route, Route)
            path = re.sub(r"{\w+}", "cgm-1", route.path)
            for method in {"POST", "PUT", "PATCH"} & (route.methods or set()):
                headers = {"If-Match": "*", "Content-Type": BATCH_TYPE} | (as_device(door) if path == EVENTS else {})
                answer = await http.request(method, path, content=DEEP, headers=headers)
                answers[f"{method} {path}"] = answer.status_code
    assert max(answers.values()) < 500, answers
    assert list(answers.values()).count(400) >= 28, "each of those that take JSON, with and without a slash at the end"


async def test_a_batch_is_taken_whole(door: Door, http: httpx.AsyncClient) -> None:
    batch = [
        {"body": base64.b64encode(reading(101)).decode(), "properties": {"iothub-messageid": "1"}},
        {"body": reading(102).decode(), "base64Encoded": False},
        {"body": base64.b64encode(b"?").decode()},
    ]
    headers = {**as_device(door), "Content-Type": BATCH_TYPE}
    assert (await http.post(EVENTS, content=json.dumps(batch), headers=headers)).status_code == 204
    assert [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)] == [101, 102]
    assert len(door.rows(Topic.DEAD_LETTERS)) == 1
    assert (await http.post(EVENTS, content=b"[]", headers=headers)).status_code == 204


@pytest.mark.parametrize("content", [b"{}", b"?", b'[{"body":"not base64!"}]', b'[{"properties":{}}]'])
async def test_a_batch_that_is_none_is_400(door: Door, http: httpx.AsyncClient, content: bytes) -> None:
    answer = await http.post(EVENTS, content=content, headers={**as_device(door), "Content-Type": BATCH_TYPE})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")


async def test_a_body_of_256_kib_is_taken_and_one_byte_more_is_413(door: Door, http: httpx.AsyncClient) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 1024):
            yield bytes(min(1024, size - start))

    largest = 256 * 1024
    assert (await http.post(EVENTS, content=chunks(largest), headers=as_device(door))).status_code == 204
    answer = await http.post(EVENTS, content=chunks(largest + 1), headers=as_device(door))
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (413, "MessageTooLarge")


async def test_a_crowded_log_is_429(http: httpx.AsyncClient, door: Door) -> None:
    async with Door.opened(most_bytes=100) as small, calls(small) as client:
        small.log.gate.clear()
        first = asyncio.create_task(client.post(EVENTS, content=reading(), headers=as_device(small)))
        await asyncio.to_thread(small.log.entered.wait, 10)
        second = await client.post(EVENTS, content=reading(), headers=as_device(small))
        assert (second.status_code, second.headers["Retry-After"]) == (429, "1")
        small.log.gate.set()
        assert (await first).status_code == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", EVENTS),
        ("GET", "/devices/cgm-1/messages/deviceBound"),
        ("PUT", "/devices/cgm-1"),
        ("GET", "/devices/cgm-1"),
        ("DELETE", "/devices/cgm-1"),
        ("GET", "/devices"),
        ("GET", "/devices/"),
        ("GET", "/statistics/devices"),
        ("GET", "/statistics/service"),
    ],
)
async def test_every_path_wants_an_api_version_and_a_token(
    door: Door, http: httpx.AsyncClient, method: str, path: str
) -> None:
    door.add_device()
    for version in ("", "latest"):
        answer = await http.request(method, path, params={"api-version": version})
        assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")
    strangers = [
        "",
        make_token(HUB, new_key(), NOW_S + 60, "iothubowner"),
        door.policy_token("service"),
        door.policy_token("iothubowner", f"{HUB}/devices/cgm-10"),
    ]
    for token in strangers:
        answer = await http.request(method, path, headers={"Authorization": token})
        assert (answer.status_code, answer.headers["iothub-errorcode"]) == (401, "IotHubUnauthorizedAccess")


async def test_one_device_may_not_send_for_another_nor_look_at_the_registry(
    door: Door, http: httpx.AsyncClient
) -> None:
    headers = as_device(door, "cgm-2")
    door.add_device("cgm-1")
    assert (await http.post(EVENTS, content=reading(), headers=headers)).status_code == 401
    assert (await http.get("/devices/cgm-2", headers=headers)).status_code == 401


async def test_a_policy_that_may_only_read_does_not_write(door: Door, http: httpx.AsyncClient) -> None:
    door.add_device()
    reader = {"Authorization": door.policy_token("registryRead")}
    assert (await http.get("/devices/cgm-1", headers=reader)).status_code == 200
    body = {"deviceId": "cgm-2"}
    assert (await http.put("/devices/cgm-2", json=body, headers=reader)).status_code == 401
    assert (await http.delete("/devices/cgm-1", headers=reader)).status_code == 401


async def test_a_device_is_registered_once_with_keys_of_its_own(door: Door, http: httpx.AsyncClient) -> None:
    params = {"api-version": "2016-02-03"}
    answer = await http.put("/devices/cgm-1", json={"deviceId": "cgm-1", "patient": "p-1"}, params=params)
    assert answer.status_code == 200
    device = door.registry.device("cgm-1")
    assert device is not None and device.patient == "p-1"
    assert answer.headers["ETag"] == f'"{device.etag}"'
    shown = answer.json()
    assert shown["authentication"]["symmetricKey"] == {
        "primaryKey": device.primary_key,
        "secondaryKey": device.secondary_key,
    }
    assert (shown["status"], shown["connectionState"], shown["patient"]) == ("enabled", "Disconnected", "p-1")
    assert len(base64.b64decode(device.primary_key)) == 32 and device.primary_key != device.secondary_key
    again = await http.put("/devices/cgm-1", json={"deviceId": "cgm-1"}, params=params)
    assert (again.status_code, again.headers["iothub-errorcode"]) == (409, "DeviceAlreadyExists")
    message = "ErrorCode:DeviceAlreadyExists;A device with ID 'cgm-1' is already registered."
    assert again.json()["Message"] == message and "Tracking ID:" in again.json()["ExceptionMessage"]
    assert door.registry.device("cgm-1") == device


async def test_two_who_register_at_once_do_not_both_succeed(door: Door, http: httpx.AsyncClient) -> None:
    calls = [http.put("/devices/cgm-1", json={"deviceId": "cgm-1"}) for _ in range(5)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*calls))
    assert statuses == [200, 409, 409, 409, 409]


async def test_a_device_may_bring_its_keys(door: Door, http: httpx.AsyncClient) -> None:
    keys = {"primaryKey": new_key(), "secondaryKey": new_key()}
    body = {"deviceId": "cgm-1", "authentication": {"type": "sas", "symmetricKey": keys}}
    assert (await http.put("/devices/cgm-1", json=body)).json()["authentication"]["symmetricKey"] == keys


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"?",
        b"[]",
        b"{}",
        b'{"deviceId":"cgm-2"}',
        b'{"deviceId":"cgm-1","status":"asleep"}',
        b'{"deviceId":"cgm-1","patient":"p-404"}',
        b'{"deviceId":"cgm-1","authentication":{"type":"selfSigned"}}',
        b'{"deviceId":"cgm-1","authentication":{"symmetricKey":{"primaryKey":"short"}}}',
    ],
)
async def test_a_body_that_is_no_device_is_400_and_registers_nothing(
    door: Door, http: httpx.AsyncClient, body: bytes
) -> None:
    answer = await http.put("/devices/cgm-1", content=body)
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")
    assert door.registry.devices() == []


async def test_a_device_id_with_other_letters_is_400(http: httpx.AsyncClient) -> None:
    assert (await http.put("/devices/a%20b", json={"deviceId": "a b"})).status_code == 400


async def test_an_update_needs_the_present_etag_and_keeps_what_it_does_not_name(
    door: Door, http: httpx.AsyncClient
) -> None:
    before = door.add_device()
    body = {"deviceId": "cgm-1", "status": "disabled", "statusReason": "lost"}
    assert (await http.put("/devices/cgm-1", json=body, headers={"If-Match": '"stale"'})).status_code == 412
    answer = await http.put("/devices/cgm-1", json=body, headers={"If-Match": f'"{before.etag}"'})
    assert answer.status_code == 200
    after = door.registry.device("cgm-1")
    assert after is not None and not after.enabled and after.status_reason == "lost"
    assert (after.patient, after.primary_key, after.generation_id) == (
        before.patient,
        before.primary_key,
        before.generation_id,
    )
    assert after.etag != before.etag
    assert (await http.put("/devices/cgm-1", json=body, headers={"If-Match": "*"})).status_code == 200
    unassigned = {"deviceId": "cgm-1", "patient": ""}
    assert (await http.put("/devices/cgm-1", json=unassigned, headers={"If-Match": "*"})).json()["patient"] == ""
    absent = await http.put("/devices/cgm-2", json={"deviceId": "cgm-2"}, headers={"If-Match": "*"})
    assert (absent.status_code, absent.headers["iothub-errorcode"]) == (404, "DeviceNotFound")


async def test_a_device_is_removed_if_it_is_the_one_that_was_meant(door: Door, http: httpx.AsyncClient) -> None:
    device = door.add_device()
    assert (await http.delete("/devices/cgm-1", headers={"If-Match": '"stale"'})).status_code == 412
    assert (await http.delete("/devices/cgm-1", headers={"If-Match": device.etag})).status_code == 204
    for method in ("GET", "DELETE"):
        answer = await http.request(method, "/devices/cgm-1")
        assert (answer.status_code, answer.headers["iothub-errorcode"]) == (404, "DeviceNotFound")


async def test_devices_are_listed_with_and_without_the_slash_and_counted(door: Door, http: httpx.AsyncClient) -> None:
    for number in range(3):
        door.add_device(f"cgm-{number}")
    door.change_device("cgm-2", enabled=False)
    for path in ("/devices", "/devices/"):
        assert [device["deviceId"] for device in (await http.get(path)).json()] == ["cgm-0", "cgm-1", "cgm-2"]
    assert len((await http.get("/devices", params={"top": "2", **VERSION})).json()) == 2
    for top in ("0", "1001", "x", "１"):
        assert (await http.get("/devices", params={"top": top, **VERSION})).status_code == 400
    peer = await door.connected(door.add_device("cgm-9"))
    assert (await http.get("/devices/cgm-9")).json()["connectionState"] == "Connected"
    assert (await http.get("/statistics/devices")).json() == {
        "totalDeviceCount": 4,
        "enabledDeviceCount": 3,
        "disabledDeviceCount": 1,
    }
    assert (await http.get("/statistics/service")).json() == {"connectedDeviceCount": 1}
    peer.hang_up()


async def test_no_command_waits_for_a_device(door: Door, http: httpx.AsyncClient) -> None:
    for box in ("devicebound", "deviceBound"):
        assert (await http.get(f"/devices/cgm-1/messages/{box}", headers=as_device(door))).status_code == 204
    assert (await http.get("/devices/cgm-1/messages/inbox", headers=as_device(door))).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/devices/cgm-1/messages/events"),
        ("POST", "/claims/redeem"),
        ("PUT", "/devices/cgm-1"),
        ("POST", "/devices"),
        ("PATCH", "/twins/cgm-1"),
        ("POST", "/twins/cgm-1/methods"),
        ("PUT", "/enrollments/a"),
        ("PUT", "/jobs/v2/a"),
    ],
)
async def test_a_body_that_is_nested_deeper_than_can_be_read_is_400(
    door: Door, http: httpx.AsyncClient, method: str, path: str
) -> None:
    headers = {"content-type": "application/vnd.microsoft.iothub.json", **as_device(door)}
    deep = b'{"more":' * 5_000 + b"1" + b"}" * 5_000
    content = b"[" + deep + b"]" if path in ("/devices", "/devices/cgm-1/messages/events") else deep
    if "messages" not in path:
        headers = as_policy(door, "iothubowner")
    assert (await http.request(method, path, content=content, headers=headers)).status_code == 400


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30, "00001" + "0" * 5_000, "\N{ARABIC-INDIC DIGIT ONE}"])
async def test_a_number_that_is_none_or_of_thousands_of_digits_is_400(
    door: Door, http: httpx.AsyncClient, number: str
) -> None:
    door.add_device()
    for method, path, query in (
        ("GET", "/devices", {"top": number}),
        ("GET", "/configurations", {"top": number}),
        ("GET", "/devices/cgm-1/commands/dead", {"top": number}),
        ("GET", "/devices/cgm-1/commands/dead", {"before": number}),
        ("POST", f"/devices/cgm-1/commands/dead/{number}/resend", {}),
    ):
        answer = await http.request(method, path, params=query)
        assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid"), path
        assert "expected a number from 1 to" in answer.text


@pytest.mark.parametrize("seconds", ["1e308", "1e300", "-1", "0"])
async def test_a_claim_code_that_lives_for_ever_or_not_at_all_is_400(http: httpx.AsyncClient, seconds: str) -> None:
    answer = await http.post("/claims", content=f'{{"deviceId":"d-9","expiresInSeconds":{seconds}}}')
    assert (answer.status_code, "from a minute to seven days" in answer.text) == (400, True)
