"""What Microsoft's SDKs for Java write and expect over HTTPS, otherwise than those for Python and Node."""

import json

import httpx
import pytest

from tests.gateways.calls import as_device
from tests.gateways.door import Door
from tests.gateways.issued import issue

BOX = "/devices/cgm-1/messages/devicebound"
CALL = {"methodName": "measure", "responseTimeoutInSeconds": 5}


async def test_words_count_in_any_case(door: Door, http: httpx.AsyncClient) -> None:
    made = await http.put("/devices/cgm-1", json={"deviceId": "cgm-1", "status": "Enabled"})
    assert (made.status_code, made.json()["status"]) == (200, "enabled")
    lines = [
        {"id": "cgm-1", "importMode": "Update", "status": "Disabled"},
        {"id": "cgm-2", "importMode": "CreateOrUpdate", "status": "Enabled"},
    ]
    assert (await http.post("/devices", json=lines)).status_code == 200
    assert {device.id: device.enabled for device in door.registry.devices()} == {"cgm-1": False, "cgm-2": True}


@pytest.mark.parametrize("path", ["/twins/cgm-1", "/twins/cgm-1/modules/m1"])
async def test_a_twin_is_patched_by_a_post_that_says_so(door: Door, http: httpx.AsyncClient, path: str) -> None:
    door.add_device()
    await http.put("/devices/cgm-1/modules/m1", json={"deviceId": "cgm-1", "moduleId": "m1"})
    patch, says = {"tags": {"ward": 4}}, {"X-HTTP-Method-Override": "PATCH"}
    assert (await http.post(path, json=patch)).status_code == 405
    assert (await http.post(path, json=patch, headers=says | as_device(door))).status_code == 401
    assert (await http.post(path, json=patch, headers=says)).json()["tags"] == {"ward": 4}
    assert (await http.post(path, json=patch, headers=says | {"If-Match": "stale"})).status_code == 412


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/twins/cgm-1/methods", 404103),
        ("/twins/cgm-9/methods", 404001),
        ("/twins/cgm-1/modules/m9/methods", 404010),
        ("/digitaltwins/cgm-1/commands/measure", 404103),
    ],
)
async def test_a_call_that_reaches_nobody_says_why_by_its_number(
    door: Door, http: httpx.AsyncClient, path: str, code: int
) -> None:
    door.add_device()
    answer = await http.post(path, json=CALL)
    told = json.loads(answer.json()["Message"])
    assert (answer.status_code, told["errorCode"], answer.json()["ExceptionMessage"]) == (404, code, "")
    assert told["message"] and told["trackingId"] and told["timestampUtc"].endswith("Z")


async def test_a_command_is_rejected_over_https(door: Door, http: httpx.AsyncClient) -> None:
    device, to = as_device(door), {"iothub-to": "/devices/cgm-1/messages/deviceBound"}
    await http.post("/messages/deviceBound", content=b"buzz", headers=to)
    lock = (await http.get(BOX, headers=device)).headers["ETag"].strip('"')
    assert (await http.delete(f"{BOX}/{lock}", params={"?reject": "true"}, headers=device)).status_code == 204
    assert [dead["outcome"] for dead in (await http.get("/devices/cgm-1/commands/dead")).json()] == ["Rejected"]


async def test_enrollments_are_told_as_the_provisioning_service_tells_them(http: httpx.AsyncClient) -> None:
    own = issue("pump-7")
    pair = {"primary": {"certificate": own.pem.decode()}}
    x509 = {"type": "x509", "x509": {"clientCertificates": pair}}
    made = await http.put("/enrollments/pump-7", json={"registrationId": "pump-7", "attestation": x509})
    info = made.json()["attestation"]["x509"]["clientCertificates"]["primary"]["info"]
    assert (info["subjectName"], info["issuerName"], info["version"]) == ("CN=pump-7", "CN=pump-7", 3)
    assert (info["sha1Thumbprint"], info["serialNumber"]) == (own.sha1.upper(), f"{own.certificate.serial_number:X}")
    assert info["notBeforeUtc"] < info["notAfterUtc"] and info["notAfterUtc"].endswith("Z")
    for path, item in (("enrollments", "Enrollment"), ("enrollmentGroups", "EnrollmentGroup")):
        listed = await http.post(f"/{path}/query", json={"query": "SELECT * FROM enrollments"})
        assert (listed.status_code, listed.headers["x-ms-item-type"]) == (200, item)
