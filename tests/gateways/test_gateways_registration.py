"""Devices that register themselves over HTTPS and AMQP, in the Device Provisioning Service's words."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from proton import ConnectionException, ProtonException

from islet.access.sas import make_token, new_key
from islet.decode.iothub_twins import ServiceTwin
from islet.gateways.enrollments import Enrollment, Grant, put_enrollment
from islet.model.time import HOUR_US
from islet.model.topics import Topic
from islet.store import device_changes
from islet.store.base import EntryKind
from tests.gateways.amqp_peer import ACCEPTED, REJECTED, AmqpPeer, threaded
from tests.gateways.calls import as_device
from tests.gateways.door import HUB, ID_SCOPE, NOW_S, NOW_US, PATIENCE_S, Door, reading
from tests.gateways.issued import issue

REGISTRATION = f"{ID_SCOPE}/registrations/cgm-1"
KEY = new_key()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """One device may register itself."""
    async with Door.opened() as opened:
        enrollment = Enrollment(device="cgm-one", patient="p-1", keys=(KEY, new_key()), desired={"every_s": 60})
        put_enrollment(opened.registry, EntryKind.ENROLLMENT, "cgm-1", enrollment, by="test", at_us=NOW_US)
        yield opened


def token(key: str = KEY, resource: str = REGISTRATION, expires_s: int = NOW_S + 60) -> str:
    return make_token(resource, key, expires_s, "registration")


def check_assigned(door: Door, told: dict[str, Any]) -> None:
    state = told["registrationState"]
    assert (told["status"], state["assignedHub"], state["deviceId"]) == ("assigned", HUB, "cgm-one")
    device = door.registry.device("cgm-one")
    assert device is not None and (device.primary_key, device.patient) == (KEY, "p-1")
    assert door.devices.twin(door.address(device)).desired.values == {"every_s": 60}


async def test_a_device_registers_over_https_asks_how_it_went_and_sends(door: Door, http: httpx.AsyncClient) -> None:
    own = {"Authorization": token()}
    body = {"registrationId": "cgm-1", "payload": {"a": 1}}
    before = await http.get(f"/{REGISTRATION}/operations/4.cgm-1", headers=own)
    assert before.status_code == 404
    assert (await http.post(f"/{REGISTRATION}", json=body, headers=own)).status_code == 404
    taken = await http.put(f"/{REGISTRATION}/register", json=body, headers=own)
    assert (taken.status_code, taken.headers["retry-after"]) == (202, "1")
    assert taken.json()["status"] == "assigning"
    told = await http.get(f"/{REGISTRATION}/operations/{taken.json()['operationId']}", headers=own)
    check_assigned(door, told.json())
    state = await http.post(f"/{REGISTRATION}", json=body, headers=own)
    assert state.json() | {"lastUpdatedDateTimeUtc": ""} == told.json()["registrationState"] | {
        "lastUpdatedDateTimeUtc": ""
    }
    assert (await http.post(f"/{REGISTRATION}", headers={"Authorization": token(new_key())})).status_code == 401
    assert (await http.get(f"/{REGISTRATION}/operations/4.cgm-2", headers=own)).status_code == 404
    sent = await http.post("/devices/cgm-one/messages/events", content=reading(), headers=as_device(door, "cgm-one"))
    assert sent.status_code == 204
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_the_first_twin_is_given_also_after_a_failure_and_never_over_what_a_service_wrote(
    door: Door, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    own = {"Authorization": token()}
    with monkeypatch.context() as patch:
        patch.setattr(door.devices, "change_twin", full)
        assert (await http.put(f"/{REGISTRATION}/register", headers=own)).status_code == 503
    device = door.registry.device("cgm-one")
    assert device is not None
    for wanted in (60, 5):
        assert (await http.put(f"/{REGISTRATION}/register", headers=own)).status_code == 202
        assert door.devices.twin(door.address(device)).desired.values == {"every_s": wanted}
        door.devices.change_twin(door.address(device), ServiceTwin(desired={"every_s": 5}), NOW_US)


async def test_over_https_only_who_is_enrolled_registers(door: Door, http: httpx.AsyncClient) -> None:
    strangers = [
        token(new_key()),
        token(expires_s=NOW_S - 1),
        token(resource=f"{ID_SCOPE}/registrations/cgm-2"),
        door.policy_token("iothubowner"),
        "",
    ]
    for stranger in strangers:
        answer = await http.put(f"/{REGISTRATION}/register", headers={"Authorization": stranger})
        assert answer.status_code == 401
    other = await http.put("/elsewhere/registrations/cgm-1/register", headers={"Authorization": token()})
    odd = await http.put(f"/{ID_SCOPE}/registrations/a b/register", headers={"Authorization": token()})
    assert (other.status_code, odd.status_code) == (401, 400)
    assert door.registry.devices() == []


async def plain(port: int, given: str) -> AmqpPeer:
    """A connection by SASL PLAIN, as the SDK for Node makes it. Raises what Proton does where it is not let in."""
    return await AmqpPeer.connected(port, allowed_mechs="PLAIN", user=REGISTRATION, password=given)


async def asked(peer: AmqpPeer, kind: str, operation: str = "") -> tuple[int, dict[str, Any] | None]:
    """How a request ended, and what was answered where it was accepted."""
    answers = await peer.receiver(REGISTRATION)
    properties = {"iotdps-operation-type": kind, "iotdps-operation-id": operation}
    ended = await peer.send(REGISTRATION, b"{}", properties=properties, correlation_id="c1")
    told: dict[str, Any] | None = None
    if ended == ACCEPTED:
        answer: Any = await threaded(answers.receive, PATIENCE_S)
        assert (answer.correlation_id, answer.properties["retry-after"]) == ("c1", "1")
        told = json.loads(bytes(answer.body))
    await threaded(answers.close)
    return ended, told


async def test_a_device_registers_over_amqp_and_asks_how_it_went(door: Door, amqp: int) -> None:
    peer = await plain(amqp, token())
    try:
        assert await asked(peer, "iotdps-get-operationstatus", "4.cgm-1") == (REJECTED, None)
        _, taken = await asked(peer, "iotdps-register")
        assert taken is not None and taken["status"] == "assigning"
        _, told = await asked(peer, "iotdps-get-operationstatus", taken["operationId"])
        assert told is not None
        check_assigned(door, told)
        assert await asked(peer, "iotdps-forget") == (REJECTED, None)
        put_enrollment(door.registry, EntryKind.ENROLLMENT, "cgm-1", None, by="test", at_us=NOW_US)
        assert await asked_again(peer) == "amqp:unauthorized-access"
    finally:
        await peer.close()


async def asked_again(peer: AmqpPeer) -> str:
    """With what a link is refused."""
    with pytest.raises(ProtonException) as refused:
        await peer.receiver(REGISTRATION)
    return str(refused.value.condition)


async def test_over_amqp_only_who_is_enrolled_gets_links_and_no_other_device_s(door: Door, amqp: int) -> None:
    for stranger in (token(new_key()), token(expires_s=NOW_S - 1)):
        with pytest.raises(ConnectionException):
            await plain(amqp, stranger)
    nobody = await AmqpPeer.connected(amqp)
    registrant = await plain(amqp, token())
    try:
        with pytest.raises(ProtonException):
            await nobody.sender(REGISTRATION)
        for address in (f"{ID_SCOPE}/registrations/cgm-2", "/devices/cgm-one/messages/events", "/messages/devicebound"):
            with pytest.raises(ProtonException):
                await registrant.sender(address)
    finally:
        await asyncio.gather(nobody.close(), registrant.close())
    assert door.registry.devices() == []


async def test_an_enrollment_that_was_read_may_be_sent_back_without_its_certificates(http: httpx.AsyncClient) -> None:
    pair = {"primary": {"certificate": issue("Factory", authority=True).pem.decode()}}
    body = {"enrollmentGroupId": "g", "attestation": {"type": "x509", "x509": {"signingCertificates": pair}}}
    made = (await http.put("/enrollmentGroups/g", json={**body, "patient": "p-1"})).json()
    del made["patient"]
    back = {**made, "provisioningStatus": "disabled"}
    changed = await http.put("/enrollmentGroups/g", json=back, headers={"If-Match": made["etag"]})
    assert changed.status_code == 200, changed.text
    assert changed.json()["attestation"] == made["attestation"]
    assert (changed.json()["provisioningStatus"], changed.json()["patient"]) == ("disabled", "p-1")


async def test_who_registers_again_while_they_are_disabled_stays_disabled(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrollment = Enrollment(patient="p-1")

    def grant() -> Grant:
        return Grant("pump-1", "individual/pump-1", enrollment, (new_key(), new_key()), "", NOW_US + HOUR_US)

    door.enrollments.register(grant())
    change_device = door.registry.change_device

    def after_somebody_else(*given: Any, **more: Any) -> None:
        monkeypatch.undo()
        device_changes.disable(door.registry, "pump-1", "lost", by="admin", at_us=NOW_US)
        change_device(*given, **more)

    monkeypatch.setattr(door.registry, "change_device", after_somebody_else)
    again = grant()
    device, is_new = door.enrollments.register(again)
    assert not is_new and device == door.registry.device("pump-1")
    assert (device.enabled, device.status_reason, device.primary_key) == (False, "lost", again.keys[0])
    actions = [line.action for line in door.registry.audit()]
    assert actions == ["added", "disabled: lost", "given a new credential"]
