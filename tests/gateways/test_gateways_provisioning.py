"""Devices that register themselves: Microsoft's SDKs for Python and Node, with keys and certificates."""

import asyncio
import base64
import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.iot.device import X509
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient
from azure.iot.device.exceptions import ClientError, ConnectionFailedError, CredentialError

from islet.access.sas import derived_key, make_token, new_key
from islet.gateways.enrollments import Enrollment, find_enrollment, put_enrollment
from islet.model.topics import Topic
from islet.store.base import EntryKind
from islet.store.registry import SqliteRegistry
from tests.conftest import Missing, own_host
from tests.gateways.calls import as_device, as_policy
from tests.gateways.door import ID_SCOPE, Door, reading
from tests.gateways.hub import Hub, wall_now
from tests.gateways.issued import issue
from tests.gateways.node_sdk import Script, require_node

HOST = own_host(89)
PATIENCE_S = 30.0
VERSION = {"api-version": "2021-10-01"}
REFUSED = (CredentialError, ClientError, ConnectionFailedError)


async def enroll(hub: Hub, path: str, **body: Any) -> dict[str, Any]:
    """Put an enrollment or a group through the service's door; what was answered."""
    kind, id = path.split("/")
    name = "registrationId" if kind == "enrollments" else "enrollmentGroupId"
    async with httpx.AsyncClient(base_url=f"https://{HOST}", verify=str(hub.certificates.authority)) as http:
        key = hub.door.registry.secret("policy/registryReadWrite") or ""
        token = make_token(HOST, key, wall_now() // 1_000_000 + 60, "registryReadWrite")
        headers = {"Authorization": token}
        answer = await http.put(f"/{path}", json={name: id, **body}, params=VERSION, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def keys(primary: str | None = None) -> dict[str, Any]:
    return {"type": "symmetricKey", "symmetricKey": {"primaryKey": primary}}


def signed(*certificates: bytes, kind: str = "signingCertificates") -> dict[str, Any]:
    primary = {"certificate": base64.b64encode(certificates[0]).decode()}
    return {"type": "x509", "x509": {kind: {"primary": primary}}}


def by_key(hub: Hub, id: str, key: str, scope: str = ID_SCOPE) -> Any:
    return ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=HOST,
        registration_id=id,
        id_scope=scope,
        symmetric_key=key,
        server_verification_cert=hub.certificates.authority.read_text(),
    )


async def registered(client: Any) -> str:
    """The id of the device that the client has become."""
    async with asyncio.timeout(PATIENCE_S):
        result = await client.register()
    assert (result.status, result.registration_state.assigned_hub) == ("assigned", HOST)
    return str(result.registration_state.device_id)


async def test_a_device_registers_by_a_key_of_its_own_or_of_its_group_and_sends(hub: Hub, missing: Missing) -> None:
    require_node(missing)
    key = new_key()
    first = {"tags": {"ward": 4}, "properties": {"desired": {"every_s": 60}}}
    await enroll(hub, "enrollments/cgm-1", attestation=keys(key), deviceId="cgm-one", patient="p-1", initialTwin=first)
    group = await enroll(hub, "enrollmentGroups/line-7", attestation=keys(), patient="p-1")
    own_key = derived_key(group["attestation"]["symmetricKey"]["primaryKey"], "pump-1")
    arguments = (HOST, ID_SCOPE, "pump-1", own_key, str(hub.certificates.authority))
    script = await Script.started(hub, "provision.js", *arguments)
    try:
        assert await registered(by_key(hub, "cgm-1", key)) == "cgm-one"
        async with asyncio.timeout(PATIENCE_S):
            assert await script.said() == {"hub": HOST, "device": "pump-1"}
            assert await script.ended() == 0
    finally:
        script.kill()
    device = hub.door.registry.device("cgm-one")
    assert device is not None and device.patient == "p-1"
    twin = hub.door.devices.twin(hub.door.address(device))
    assert (twin.tags, twin.desired.values) == ({"ward": 4}, {"every_s": 60})
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1  # Node's
    assert hub.door.mqtt.connected == 0


async def test_a_device_registers_by_a_certificate_of_its_groups_authority_and_sends(hub: Hub, tmp_path: Path) -> None:
    root = issue("Factory", authority=True)
    await enroll(hub, "enrollmentGroups/factory", attestation=signed(root.pem), patient="p-1")
    pump = issue("pump-1", root)
    x509 = X509(*pump.files(tmp_path))  # type: ignore[no-untyped-call]
    authority = hub.certificates.authority.read_text()
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        HOST, "pump-1", ID_SCOPE, x509, server_verification_cert=authority
    )
    assert await registered(client) == "pump-1"
    sdk = IoTHubDeviceClient.create_from_x509_certificate(
        x509, HOST, "pump-1", server_verification_cert=authority, connection_retry=False
    )
    await sdk.connect()
    await sdk.send_message(reading().decode())
    await sdk.shutdown()
    assert len(hub.door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_who_is_not_enrolled_is_refused_and_no_device_is_taken_over(hub: Hub) -> None:
    key, group_key = new_key(), new_key()
    before = hub.door.add_device("cgm-1")
    await enroll(hub, "enrollmentGroups/line-7", attestation=keys(group_key))
    await enroll(hub, "enrollments/off-1", attestation=keys(key), provisioningStatus="disabled")
    strangers = {
        "pump-1": derived_key(group_key, "pump-2"),  # a member's key is no other member's
        "pump-2": group_key,
        "off-1": key,
        "pump-3": new_key(),
    }
    clients = [by_key(hub, id, wrong) for id, wrong in strangers.items()]
    clients.append(by_key(hub, "pump-2", derived_key(group_key, "pump-2"), scope="elsewhere"))
    for outcome in await asyncio.gather(*(client.register() for client in clients), return_exceptions=True):
        assert isinstance(outcome, REFUSED)
    with pytest.raises(ClientError):  # caused by its ServiceError
        await by_key(hub, "cgm-1", derived_key(group_key, "cgm-1")).register()
    assert hub.door.registry.devices() == [before]


async def test_enrollments_are_made_read_changed_and_removed_with_their_etags(door: Door, http: Any) -> None:
    body = {"registrationId": "cgm-1", "attestation": keys()}
    made = (await http.put("/enrollments/cgm-1", json=body)).json()
    key = made["attestation"]["symmetricKey"]["primaryKey"]
    assert (made["deviceId"], made["provisioningStatus"]) == ("cgm-1", "enabled")
    assert (await http.put("/enrollments/cgm-1", json=body)).status_code == 409
    read = await http.get("/enrollments/cgm-1")
    assert read.headers["etag"] == f'"{made["etag"]}"'
    assert read.json()["attestation"] == {"type": "symmetricKey", "symmetricKey": {}}  # keys are shown once
    shown = await http.post("/enrollments/cgm-1/attestationmechanism")
    assert shown.json()["symmetricKey"]["primaryKey"] == key
    body["provisioningStatus"] = "disabled"
    assert (await http.put("/enrollments/cgm-1", json=body, headers={"If-Match": '"other"'})).status_code == 412
    changed = (await http.put("/enrollments/cgm-1", json=body, headers={"If-Match": made["etag"]})).json()
    assert changed["provisioningStatus"] == "disabled"
    assert changed["attestation"]["symmetricKey"]["primaryKey"] == key
    assert [one["registrationId"] for one in (await http.post("/enrollments/query")).json()] == ["cgm-1"]
    assert (await http.post("/enrollmentGroups/query")).json() == []
    assert (await http.delete("/enrollments/cgm-1")).status_code == 204
    assert (await http.get("/enrollments/cgm-1")).status_code == 404
    for headers in (as_device(door, "cgm-2"), as_policy(door, "service"), as_policy(door, "device")):
        assert (await http.put("/enrollments/cgm-1", json=body, headers=headers)).status_code == 401
    assert (await http.put("/enrollments/x", json=body, headers=as_policy(door, "registryRead"))).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"registrationId": "other"},
        {"attestation": {"type": "tpm"}},
        {"attestation": keys("short")},
        {"attestation": {"type": "x509", "x509": {}}},
        {"attestation": signed(b"no certificate", kind="clientCertificates")},
        {"deviceId": "a/b"},
        {"patient": "nobody"},
        {"initialTwin": {"tags": {"a.b": 1}}},
    ],
)
async def test_what_is_no_enrollment_is_400(http: Any, change: dict[str, Any]) -> None:
    body = {"registrationId": "cgm-1", "attestation": keys(), **change}
    assert (await http.put("/enrollments/cgm-1", json=body)).status_code == 400


async def test_a_group_wants_the_certificate_of_an_authority(http: Any) -> None:
    body = {"enrollmentGroupId": "g", "attestation": signed(issue("no authority").pem)}
    assert (await http.put("/enrollmentGroups/g", json=body)).status_code == 400


def test_keys_of_enrollments_are_not_in_the_audit_trail(tmp_path: Path) -> None:
    key = new_key()
    with contextlib.closing(SqliteRegistry(tmp_path / "store.db", bytes(32))) as registry:
        for enrollment in (Enrollment(keys=(key, key), etag="1"), Enrollment(keys=(key, key), etag="2"), None):
            put_enrollment(registry, EntryKind.ENROLLMENT, "cgm-1", enrollment, by="test", at_us=0)
            assert find_enrollment(registry, EntryKind.ENROLLMENT, "cgm-1") == enrollment
        trail = registry.audit()
        assert [line.action for line in trail] == ["added", "changed", "removed"]
        assert key not in "".join(line.before + line.after for line in trail)
        assert not registry.secret("enrollment/cgm-1")
