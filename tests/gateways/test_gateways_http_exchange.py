"""Commands, twins, methods, modules, bulk changes and queries over HTTPS, as IoT Hub's clients expect them."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from islet.access.sas import new_key
from islet.decode.iothub_twins import ServiceTwin
from islet.decode.mqtt_packets import Pingreq, Pingresp, Publish, Suback, Subscribe, Will
from islet.model.people import Patient
from islet.model.topics import Topic
from islet.store.devices_base import MOST_PENDING, Command, Module
from tests.gateways.calls import VERSION, as_device, as_policy
from tests.gateways.door import Door

BOX = "/devices/cgm-1/messages/devicebound"
TO = {"iothub-to": "/devices/cgm-1/messages/deviceBound"}
FEEDBACK = "/messages/serviceBound/feedback"


async def send(http: httpx.AsyncClient, **headers: str) -> None:
    answer = await http.post("/messages/deviceBound", content=b"buzz", headers=TO | headers)
    assert answer.status_code == 204, answer.text


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["iothub-errorcode"]


async def test_a_command_is_fetched_with_its_properties_and_completed(door: Door, http: httpx.AsyncClient) -> None:
    device = as_device(door)
    properties = {"iothub-messageid": "m 1", "iothub-app-kind": "a=b", "iothub-ack": "full"}
    await send(http, **properties)
    answer = await http.get(BOX, headers=device)
    assert (answer.status_code, answer.content) == (200, b"buzz")
    assert properties.items() <= dict(answer.headers).items()
    assert answer.headers["iothub-to"] == "/devices/cgm-1/messages/deviceBound"
    assert answer.headers["iothub-deliverycount"] == "0"
    assert (answer.headers["iothub-sequencenumber"], answer.headers["iothub-expiry"]) == (
        "1",
        "2026-11-21T09:03:00.950000Z",
    )
    assert (await http.get("/devices/cgm-1/messages/deviceBound/", headers=device)).status_code == 204
    lock = answer.headers["ETag"].strip('"')
    assert (await http.delete(f"{BOX}/{lock}", headers=device)).status_code == 204
    assert error(await http.delete(f"{BOX}/{lock}", headers=device)) == (412, "DeviceMessageLockLost")
    [told] = (await http.get(FEEDBACK)).json()
    assert (told["originalMessageId"], told["statusCode"], told["deviceId"]) == ("m 1", "Success", "cgm-1")


async def test_text_that_a_header_cannot_hold_is_encoded(door: Door, http: httpx.AsyncClient) -> None:
    device = as_device(door)
    address = door.address(door.registry.devices()[0])
    await door.exchange.send(address, Command(body=b"", properties={"wörd": "zwölf\r\nSet-Cookie: x"}))
    answer = await http.get(BOX, headers=device)
    assert answer.headers["iothub-app-w%C3%B6rd"] == "zw%C3%B6lf%0D%0ASet-Cookie: x"


async def test_a_command_is_abandoned_and_comes_again_or_rejected_and_is_dead(
    door: Door, http: httpx.AsyncClient
) -> None:
    device = as_device(door)
    await send(http, **{"iothub-ack": "negative", "iothub-messageid": "m1"})
    lock = (await http.get(BOX, headers=device)).headers["ETag"].strip('"')
    assert (await http.post(f"{BOX}/{lock}/abandon", headers=device)).status_code == 204
    again = await http.get(BOX, headers=device)
    assert again.headers["iothub-deliverycount"] == "1"
    lock = again.headers["ETag"].strip('"')
    reject = {**VERSION, "reject": ""}
    assert (await http.delete(f"{BOX}/{lock}", params=reject, headers=device)).status_code == 204
    assert error(await http.post(f"{BOX}/{lock}/abandon", headers=device)) == (412, "DeviceMessageLockLost")
    batch = await http.get(FEEDBACK)
    assert [one["statusCode"] for one in batch.json()] == ["Rejected"]
    assert batch.headers["content-type"].startswith("application/vnd.microsoft.iothub.feedback.json")
    assert (await http.get(FEEDBACK)).status_code == 204
    lock = batch.headers["ETag"].strip('"')
    assert (await http.post(f"{FEEDBACK}/{lock}/abandon")).status_code == 204
    lock = (await http.get(FEEDBACK)).headers["ETag"].strip('"')
    assert (await http.delete(f"{FEEDBACK}/{lock}")).status_code == 204
    assert error(await http.delete(f"{FEEDBACK}/{lock}")) == (412, "DeviceMessageLockLost")
    [dead] = (await http.get("/devices/cgm-1/commands/dead")).json()
    assert (dead["outcome"], dead["properties"], dead["body"]) == ("Rejected", {"$.mid": "m1"}, "YnV6eg==")
    path = f"/devices/cgm-1/commands/dead/{dead['sequenceNumber']}/resend"
    assert (await http.post(path)).status_code == 204
    assert (await http.post(path)).status_code == 404
    assert (await http.get(BOX, headers=device)).content == b"buzz"


async def test_no_more_than_fifty_wait_and_a_purge_ends_them(door: Door, http: httpx.AsyncClient) -> None:
    door.add_device()
    for _ in range(MOST_PENDING):
        await send(http)
    answer = await http.post("/messages/deviceBound", content=b"", headers=TO)
    assert error(answer) == (403, "DeviceMaximumQueueDepthExceeded")
    assert (await http.get("/devices/cgm-1")).json()["cloudToDeviceMessageCount"] == MOST_PENDING
    purged = await http.delete("/devices/cgm-1/commands")
    assert purged.json() == {"deviceId": "cgm-1", "moduleId": None, "totalMessagesPurged": MOST_PENDING}
    line = door.registry.audit()[-1]
    assert (line.action, line.kind, line.id) == (f"purged {MOST_PENDING} commands", "device", "cgm-1") and line.by
    assert len((await http.get("/devices/cgm-1/commands/dead", params={**VERSION, "top": "7"})).json()) == 7


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"iothub-to": ""}, b"", 400),
        ({"iothub-to": "/devices/cgm-1"}, b"", 400),
        ({"iothub-to": "/devices/cgm-2/messages/deviceBound"}, b"", 404),
        ({"iothub-ack": "maybe"}, b"", 400),
        ({"iothub-expiry": "soon"}, b"", 400),
        ({}, bytes(256 * 1024 + 1), 413),
        ({"iothub-app-a": "x" * 16_384}, b"", 413),
        ({}, bytes(256 * 1024), 204),
    ],
)
async def test_what_is_no_command_is_refused(
    door: Door, http: httpx.AsyncClient, headers: dict[str, str], body: bytes, status: int
) -> None:
    door.add_device()
    answer = await http.post("/messages/deviceBound", content=body, headers=TO | headers)
    assert answer.status_code == status


async def test_a_device_reaches_its_own_mailbox_only(door: Door, http: httpx.AsyncClient) -> None:
    other = as_device(door, "cgm-2")
    door.add_device("cgm-1")
    await send(http)
    for method, path in (("GET", BOX), ("DELETE", f"{BOX}/x"), ("POST", f"{BOX}/x/abandon")):
        assert (await http.request(method, path, headers=other)).status_code == 401


SERVICE_PATHS = [
    ("POST", "/messages/deviceBound"),
    ("DELETE", "/devices/cgm-1/commands"),
    ("GET", "/devices/cgm-1/commands/dead"),
    ("POST", "/devices/cgm-1/commands/dead/1/resend"),
    ("GET", FEEDBACK),
    ("DELETE", f"{FEEDBACK}/x"),
    ("POST", f"{FEEDBACK}/x/abandon"),
    ("POST", "/devices/query"),
    ("GET", "/twins/cgm-1"),
    ("PATCH", "/twins/cgm-1"),
    ("PUT", "/twins/cgm-1"),
    ("POST", "/twins/cgm-1/methods"),
    ("GET", "/twins/cgm-1/modules/m1"),
    ("POST", "/twins/cgm-1/modules/m1/methods"),
]
REGISTRY_PATHS = [
    ("POST", "/devices"),
    ("GET", "/devices/cgm-1/modules"),
    ("GET", "/devices/cgm-1/modules/m1"),
    ("PUT", "/devices/cgm-1/modules/m1"),
    ("DELETE", "/devices/cgm-1/modules/m1"),
]


@pytest.mark.parametrize(("method", "path"), SERVICE_PATHS + REGISTRY_PATHS)
async def test_who_has_not_the_right_is_refused(door: Door, http: httpx.AsyncClient, method: str, path: str) -> None:
    strangers = [as_device(door), as_policy(door, "device"), {"Authorization": ""}]
    strangers.append(as_policy(door, "registryReadWrite" if (method, path) in SERVICE_PATHS else "service"))
    for headers in strangers:
        answer = await http.request(method, path, headers=headers)
        assert error(answer) == (401, "IotHubUnauthorizedAccess")


async def test_a_twin_is_merged_replaced_and_guarded_by_its_etag(door: Door, http: httpx.AsyncClient) -> None:
    door.add_device()
    twin = (await http.get("/twins/cgm-1")).json()
    assert (twin["deviceId"], twin["status"], twin["version"], twin["tags"]) == ("cgm-1", "enabled", 1, {})
    patch = {"tags": {"ward": 4, "bed": 2}, "properties": {"desired": {"every_s": 60}}}
    answer = await http.patch("/twins/cgm-1", json=patch, headers={"If-Match": f'"{twin["etag"]}"'})
    assert answer.status_code == 200
    assert error(await http.patch("/twins/cgm-1", json=patch, headers={"If-Match": twin["etag"]})) == (
        412,
        "PreconditionFailed",
    )
    again = await http.put("/twins/cgm-1", json=answer.json() | {"tags": {"ward": 5}}, headers={"If-Match": '"*"'})
    shown = again.json()
    assert (shown["tags"], shown["properties"]["desired"]["every_s"]) == ({"ward": 5}, 60)
    assert shown["properties"]["desired"]["$version"] == 3
    assert again.headers["ETag"] == f'"{shown["etag"]}"'
    bodies: list[Any] = [{"tags": 1}, {"properties": {"desired": {"a b": 1}}}, []]
    for wrong in bodies:
        assert error(await http.patch("/twins/cgm-1", json=wrong)) == (400, "ArgumentInvalid")
    assert error(await http.get("/twins/cgm-2")) == (404, "DeviceNotFound")
    assert (await http.delete("/devices/cgm-1")).status_code == 204
    door.add_device()
    assert (await http.get("/twins/cgm-1")).json()["tags"] == {}


async def test_a_method_reaches_the_device_and_its_answer_comes_back(door: Door, http: httpx.AsyncClient) -> None:
    peer = await door.connected(door.add_device())
    call = {"methodName": "measure", "payload": {"in_s": 5}, "responseTimeoutInSeconds": 30}
    assert error(await http.post("/twins/cgm-1/methods", json=call)) == (404, "DeviceNotOnline")
    peer.send(Subscribe(1, (("$iothub/methods/POST/#", 0),)))
    assert await peer.receive() == Suback(1, (0,))
    for answer, shown in ((b'{"ok":true}', {"ok": True}), (b"", None), (b"\xff", "\ufffd")):
        calling = asyncio.create_task(http.post("/twins/cgm-1/methods", json=call))
        asked = await peer.receive()
        assert isinstance(asked, Publish) and json.loads(asked.payload) == {"in_s": 5}
        rid = asked.topic.partition("$rid=")[2]
        peer.send(Publish(f"$iothub/methods/res/200/?$rid={rid}", answer))
        got = await calling
        assert (got.status_code, got.json()) == (200, {"status": 200, "payload": shown})


async def test_a_device_that_does_not_answer_is_504(
    door: Door, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = await door.connected(door.add_device())
    peer.send(Subscribe(1, (("$iothub/methods/POST/#", 0),)))
    assert await peer.receive() == Suback(1, (0,))
    invoke = door.exchange.invoke

    async def soon(*args: Any, answer_s: float, **more: Any) -> tuple[int, bytes]:
        assert answer_s == 5
        return await invoke(*args, answer_s=0.02, **more)

    monkeypatch.setattr(door.exchange, "invoke", soon)
    answer = await http.post("/twins/cgm-1/methods", json={"methodName": "m", "responseTimeoutInSeconds": 5})
    assert error(answer) == (504, "GatewayTimeout")


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"methodName": ""},
        {"methodName": "m", "responseTimeoutInSeconds": 4},
        {"methodName": "m", "connectTimeoutInSeconds": 301},
        [],
    ],
)
async def test_a_call_that_is_none_is_400(door: Door, http: httpx.AsyncClient, call: Any) -> None:
    door.add_device()
    assert error(await http.post("/twins/cgm-1/methods", json=call)) == (400, "ArgumentInvalid")


async def test_many_devices_are_changed_at_once_each_by_its_mode(door: Door, http: httpx.AsyncClient) -> None:
    key = new_key()
    first = door.add_device("cgm-1")
    door.add_device("cgm-2")
    items: list[dict[str, Any]] = [
        {"id": "cgm-3", "importMode": "create", "authentication": {"symmetricKey": {"primaryKey": key}}},
        {"id": "cgm-1", "importMode": "updateIfMatchETag", "eTag": first.etag, "status": "disabled"},
        {"id": "cgm-4", "importMode": "createOrUpdate", "patient": "p-1"},
        {"id": "cgm-2", "importMode": "delete"},
    ]
    answer = await http.post("/devices/", json=items)
    assert (answer.status_code, answer.json()) == (200, {"isSuccessful": True, "errors": [], "warnings": []})
    devices = {device.id: device for device in door.registry.devices()}
    assert devices.keys() == {"cgm-1", "cgm-3", "cgm-4"}
    assert (devices["cgm-3"].primary_key, devices["cgm-4"].patient) == (key, "p-1")
    assert not devices["cgm-1"].enabled
    wrong = [
        {"id": "cgm-3", "importMode": "create"},
        {"id": "cgm-9", "importMode": "update"},
        {"id": "cgm-3", "importMode": "deleteIfMatchETag", "eTag": "stale"},
        {"id": "a b", "importMode": "create"},
        {"id": "cgm-5", "importMode": "create"},
    ]
    answer = await http.post("/devices", json=wrong)
    assert answer.status_code == 400 and not answer.json()["isSuccessful"]
    codes = [(one["deviceId"], one["errorCode"]) for one in answer.json()["errors"]]
    assert codes == [("cgm-3", 409001), ("cgm-9", 404001), ("cgm-3", 412002), ("a b", 400004)]
    assert door.registry.device("cgm-5") is not None
    contents: list[Any] = [[{"id": "a", "importMode": "?"}], [{"id": "a"}] * 101, {}]
    for content in contents:
        assert error(await http.post("/devices", json=content)) == (400, "ArgumentInvalid")


async def test_modules_are_made_changed_and_removed_like_devices(door: Door, http: httpx.AsyncClient) -> None:
    path, body = "/devices/cgm-1/modules/m1", {"deviceId": "cgm-1", "moduleId": "m1"}
    assert (await http.put(path, json=body)).status_code == 404
    door.add_device()
    made = await http.put(path, json=body)
    assert (made.status_code, made.json()["moduleId"], made.json()["connectionState"]) == (201, "m1", "Disconnected")
    assert (await http.put(path, json=body)).status_code == 409
    assert (await http.put(path, json=body, headers={"If-Match": "stale"})).status_code == 412
    changed = await http.put(path, json=body | {"managedBy": "us"}, headers={"If-Match": made.headers["ETag"]})
    assert (changed.status_code, changed.json()["managedBy"]) == (200, "us")
    assert changed.json()["authentication"] == made.json()["authentication"]
    assert [one["moduleId"] for one in (await http.get("/devices/cgm-1/modules")).json()] == ["m1"]
    assert (await http.patch("/twins/cgm-1/modules/m1", json={"tags": {"a": 1}})).json()["tags"] == {"a": 1}
    assert (await http.get("/twins/cgm-1/modules/m1")).json()["moduleId"] == "m1"
    assert (await http.delete(path, headers={"If-Match": "stale"})).status_code == 412
    assert (await http.delete(path)).status_code == 204
    for gone in (path, "/twins/cgm-1/modules/m1"):
        assert (await http.get(gone)).status_code == 404
    wrong = body | {"moduleId": "m2"}
    assert (await http.put(path, json=wrong)).status_code == 400


async def test_devices_are_queried_by_tag_page_by_page(door: Door, http: httpx.AsyncClient) -> None:
    for number in range(5):
        device = door.add_device(f"cgm-{number}")
        await door.exchange.change_twin(door.address(device), ServiceTwin(tags={"ward": number % 2}))
    door.devices.create_module(Module(device="cgm-1", id="m1"))

    async def ask(query: str, **headers: str) -> httpx.Response:
        return await http.post("/devices/query", json={"query": query}, headers=headers)

    everything = await ask("SELECT * FROM devices")
    assert [one["deviceId"] for one in everything.json()] == [f"cgm-{number}" for number in range(5)]
    assert (everything.headers["x-ms-item-type"], "x-ms-continuation" in everything.headers) == ("Twin", False)
    query = "select deviceId from devices where tags.ward = 0"
    page = await ask(query, **{"x-ms-max-item-count": "2"})
    assert page.json() == [{"deviceId": "cgm-0"}, {"deviceId": "cgm-2"}]
    rest = await ask(query, **{"x-ms-max-item-count": "2", "x-ms-continuation": page.headers["x-ms-continuation"]})
    assert rest.json() == [{"deviceId": "cgm-4"}] and "x-ms-continuation" not in rest.headers
    assert (await ask("SELECT COUNT() AS n FROM devices WHERE tags.ward = 1")).json() == [{"n": 2}]
    assert [one["deviceId"] for one in (await ask("SELECT TOP 2 * FROM devices")).json()] == ["cgm-0", "cgm-1"]
    query = "SELECT tags.ward AS ward, COUNT() AS n FROM devices GROUP BY tags.ward"
    page = await ask(query, **{"x-ms-max-item-count": "1"})
    assert (page.json(), page.headers["x-ms-item-type"]) == ([{"ward": 0, "n": 3}], "Raw")
    rest = await ask(query, **{"x-ms-continuation": page.headers["x-ms-continuation"]})
    assert rest.json() == [{"ward": 1, "n": 2}] and "x-ms-continuation" not in rest.headers
    modules = (await ask("SELECT * FROM devices.modules")).json()
    assert [(one["deviceId"], one["moduleId"]) for one in modules] == [("cgm-1", "m1")]
    for wrong in ("", "DROP TABLE devices", "SELECT * FROM devices WHERE tags.ward ="):
        assert error(await ask(wrong)) == (400, "ArgumentInvalid")
    assert (await ask(query, **{"x-ms-max-item-count": "0"})).status_code == 400
    assert (await ask(query, **{"x-ms-continuation": "?"})).status_code == 400


async def test_a_device_shows_when_it_was_last_there_through_either_door(door: Door, http: httpx.AsyncClient) -> None:
    async def shown(path: str) -> tuple[str, str]:
        found = (await http.get(path)).json()
        return found["connectionState"], found["lastActivityTime"]

    device, never, now = door.add_device(), "0001-01-01T00:00:00Z", "2026-11-21T08:03:00.950000Z"
    assert await shown("/devices/cgm-1") == ("Disconnected", never)
    await http.post("/devices/cgm-1/messages/events", content=b"{}", headers=as_device(door))
    assert await shown("/devices/cgm-1") == await shown("/twins/cgm-1") == ("Disconnected", now)
    peer = await door.connected(device)
    assert await shown("/devices/cgm-1") == ("Connected", now)
    assert (await http.get("/devices")).json()[0]["connectionStateUpdatedTime"] == now
    peer.hang_up()
    (twin,) = (await http.post("/devices/query", json={"Query": "SELECT * FROM devices"})).json()  # as clients in Go
    assert twin["lastActivityTime"] == now


@pytest.mark.parametrize("act", ["removed", "given new keys", "registered with keys of its own"])
async def test_a_module_whose_credential_is_good_no_more_is_disconnected_within_a_second(
    door: Door, http: httpx.AsyncClient, act: str
) -> None:
    path, body = "/devices/cgm-1/modules/m1", {"deviceId": "cgm-1", "moduleId": "m1"}
    device, key = door.add_device(), ""
    if not act.startswith("registered"):
        key = (await http.put(path, json=body)).json()["authentication"]["symmetricKey"]["primaryKey"]
    will = Will(topic="devices/cgm-1/modules/m1/messages/events/", payload=b"?")
    peer = await door.connected(device, module="m1", key=key, will=will)
    steady = await door.connected(device)
    if act == "removed":
        assert (await http.delete(path)).status_code == 204
    else:
        new = {"type": "sas", "symmetricKey": {"primaryKey": new_key(), "secondaryKey": new_key()}}
        condition = {} if not key else {"If-Match": "*"}
        assert (await http.put(path, json=body | {"authentication": new}, headers=condition)).status_code in (200, 201)
    async with asyncio.timeout(1.0):
        assert await peer.receive() is None
    steady.send(Pingreq())
    assert await steady.receive() == Pingresp()
    assert not door.rows(Topic.DEAD_LETTERS), "the will of one who may no longer is nobody's telemetry"


async def test_the_audit_trail_says_which_policy_changed_which_device_and_whose_it_is(
    door: Door, http: httpx.AsyncClient
) -> None:
    door.registry.put_patient(Patient(id="p-2"))
    body = {"deviceId": "pump-1", "patient": "p-1"}
    await http.put("/devices/pump-1", json=body)
    await http.put("/devices/pump-1", json=body | {"patient": "p-2"}, headers={"If-Match": "*"})
    await http.put("/devices/pump-1/modules/m1", json={"deviceId": "pump-1", "moduleId": "m1"})
    await http.delete("/devices/pump-1/modules/m1")
    headers = as_policy(door, "registryReadWrite")
    await http.post("/devices", json=[{"id": "pump-1", "importMode": "delete"}], headers=headers)
    assert [(line.by, line.action, f"{line.kind} {line.id}") for line in door.registry.audit()] == [
        ("iothubowner", "added, assigned to p-1", "device pump-1"),
        ("iothubowner", "changed, assigned to p-2", "device pump-1"),
        ("iothubowner", "added", "module pump-1/m1"),
        ("iothubowner", "removed", "module pump-1/m1"),
        ("registryReadWrite", "removed", "device pump-1"),
    ]
