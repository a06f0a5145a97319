"""Acts of services on one device are in the audit trail before they are done: who, which device, what kind, and never what
was said."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from islet.access.actions import Action
from islet.access.doors import HUB as HUB_DOORS
from islet.gateways.trail import Trail
from islet.store.base import Act
from islet.store.devices_base import MOST_PENDING, Address, Command, Module
from tests.conftest import Missing
from tests.gateways.calls import as_device, as_policy
from tests.gateways.dict_registry import DictRegistry
from tests.gateways.door import NOW_US, Door

SECRET = "seventeen-units"
TO = {"iothub-to": "/devices/cgm-1/messages/deviceBound"}
ARGUMENTS = json.dumps({"dose": SECRET}).encode()
METHOD = {"methodName": SECRET, "payload": {"dose": SECRET}}
TAGS, DESIRED = {"tags": {"said": SECRET}}, {"properties": {"desired": {"said": SECRET}}}
OVERRIDE = {"X-HTTP-Method-Override": "PATCH"}
"""How the SDK for Java patches."""
ACTS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    ("POST", "/messages/deviceBound", {"content": SECRET.encode(), "headers": TO}, "command", "device", "cgm-1"),
    ("PATCH", "/twins/cgm-1", {"json": TAGS}, "tags", "device", "cgm-1"),
    ("PATCH", "/twins/cgm-1", {"json": DESIRED}, "configuration", "device", "cgm-1"),
    ("POST", "/twins/cgm-1", {"json": TAGS, "headers": OVERRIDE}, "tags", "device", "cgm-1"),
    ("PUT", "/twins/cgm-1", {"json": TAGS | DESIRED}, "tags and configuration", "device", "cgm-1"),
    ("PATCH", "/twins/cgm-1", {"json": {"tags": None}}, "tags", "device", "cgm-1"),
    ("POST", "/twins/cgm-1/methods", {"json": METHOD}, "method", "device", "cgm-1"),
    ("PATCH", "/twins/cgm-1/modules/m-1", {"json": DESIRED}, "configuration", "module", "cgm-1/m-1"),
    (
        "POST",
        "/twins/cgm-1/modules/m-1",
        {"json": DESIRED, "headers": OVERRIDE},
        "configuration",
        "module",
        "cgm-1/m-1",
    ),
    ("PUT", "/twins/cgm-1/modules/m-1", {"json": DESIRED}, "configuration", "module", "cgm-1/m-1"),
    ("POST", "/twins/cgm-1/modules/m-1/methods", {"json": METHOD}, "method", "module", "cgm-1/m-1"),
    (
        "PATCH",
        "/digitaltwins/cgm-1",
        {"json": [{"op": "add", "path": "/said", "value": SECRET}]},
        "configuration",
        "device",
        "cgm-1",
    ),
    ("POST", f"/digitaltwins/cgm-1/commands/{SECRET}", {"content": ARGUMENTS}, "method", "device", "cgm-1"),
    (
        "POST",
        f"/digitaltwins/cgm-1/components/c/commands/{SECRET}",
        {"content": ARGUMENTS},
        "method",
        "device",
        "cgm-1",
    ),
]
OTHERWISE_NOTED = ("/jobs/", "/configurations", "/devices/{id}/commands")
"""Acts with lines of their own."""
NO_ACTS = ("/devices/query", "/configurations/testQueries", "/messages/{box}/feedback")


def lines(door: Door) -> list[tuple[str, str, str, str]]:
    return [(line.by, line.action, line.kind, line.id) for line in door.registry.audit()]


def add(door: Door) -> Address:
    device = door.add_device()
    door.devices.create_module(Module(device="cgm-1", id="m-1", generation_id="7"))
    return door.address(device)


@pytest.mark.parametrize(("method", "path", "sent", "kind", "thing", "id"), ACTS)
async def test_each_act_is_one_line_without_what_was_said(
    door: Door, http: httpx.AsyncClient, method: str, path: str, sent: dict[str, Any], kind: str, thing: str, id: str
) -> None:
    add(door)
    headers = sent.pop("headers", {}) | as_policy(door, "service")
    answer = await http.request(method, path, headers=headers, **sent)
    assert answer.status_code in (200, 202, 204) or answer.headers["iothub-errorcode"] == "DeviceNotOnline"
    assert lines(door) == [("service", f"allowed: {kind}", thing, id)]
    assert SECRET not in str(door.registry.audit())


def test_every_door_through_which_services_act_on_one_device_is_tried_here() -> None:
    def pattern(path: str) -> str:
        return path.replace("{id}", "cgm-1").replace("{module}", "m-1").replace("{box}", "deviceBound")

    acting = {
        (door.method, pattern(door.address).replace("{name}", SECRET).replace("{part}", "c"))
        for door in HUB_DOORS
        if door.needs is Action.COMMAND_DEVICES
        and door.method != "GET"
        and not door.address.startswith((*OTHERWISE_NOTED, *NO_ACTS))
    }
    assert acting == {(method, path) for method, path, *_ in ACTS}


async def test_the_line_is_there_though_the_mailbox_is_full(door: Door, http: httpx.AsyncClient) -> None:
    of = add(door)
    for _ in range(MOST_PENDING):
        await door.exchange.send(of, Command(body=b""))
    answer = await http.post("/messages/deviceBound", content=b"x", headers=TO)
    assert answer.headers["iothub-errorcode"] == "DeviceMaximumQueueDepthExceeded"
    assert lines(door) == [("iothubowner", "allowed: command", "device", "cgm-1")]


async def test_what_cannot_be_noted_is_not_done(
    door: Door, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = add(door)

    def full(acts: list[Act]) -> None:
        raise OSError("database or disk is full")

    monkeypatch.setattr(door.registry, "note_all", full)
    sent = await http.post("/messages/deviceBound", content=b"x", headers=TO)
    changed = await http.patch("/twins/cgm-1", json=TAGS)
    assert (sent.status_code, changed.status_code) == (503, 503)
    assert door.devices.waiting_commands(of, NOW_US) == [] and door.devices.twin(of).tags == {}


async def test_who_may_not_command_devices_is_noted_once_in_a_while_and_does_nothing(
    door: Door, http: httpx.AsyncClient
) -> None:
    of = add(door)
    reader = as_policy(door, "registryRead")
    for _ in range(3):
        answer = await http.post("/messages/deviceBound", content=b"x", headers=TO | reader)
        assert answer.status_code == 401
    assert (await http.patch("/twins/cgm-1", json=TAGS, headers=reader)).status_code == 401
    assert (await http.put("/devices/cgm-9", json={"deviceId": "cgm-9"}, headers=reader)).status_code == 401
    await door.authenticator.trail.note("later", "test", "", "test")  # nobody waits for the lines before
    refused = "refused: the hub policy does not grant this"
    wanted = ("messages/devicebound", "twins/cgm-1", "devices/cgm-9")
    assert lines(door)[:-1] == [("registryRead", refused, "request", one) for one in wanted]
    assert door.devices.waiting_commands(of, NOW_US) == [] and door.devices.twin(of).tags == {}


async def test_what_a_device_does_itself_is_not_audited(door: Door, http: httpx.AsyncClient) -> None:
    of = add(door)
    await http.post("/devices/cgm-1/messages/events", content=b"{}", headers=as_device(door))
    await http.get("/devices/cgm-1/messages/devicebound", headers=as_device(door))
    await door.exchange.report(of, {"firmware": "2.1"})
    assert lines(door) == []


async def test_commands_over_amqp_are_lines_with_the_policy_that_sent_them(door: Door, missing: Missing) -> None:
    try:
        from proton.utils import LinkDetached

        from tests.gateways.amqp_peer import ACCEPTED, REJECTED, SEND, admitted
    except ImportError:
        missing("python-qpid-proton")

    add(door)
    to = "/devices/cgm-1/messages/devicebound"
    port = await door.amqp.listen("127.0.0.1", 0)
    async with admitted(port, door.policy_token("service")) as peer:
        for _ in range(2):
            assert await peer.send(SEND, SECRET.encode(), address=to) == ACCEPTED
        assert await peer.send(SEND, b"x", address=to.replace("cgm-1", "nobody")) == REJECTED
    assert lines(door) == [("service", "allowed: command", "device", "cgm-1")] * 2
    assert SECRET not in str(door.registry.audit())
    async with admitted(port, door.policy_token("registryRead")) as peer:
        with pytest.raises(LinkDetached):
            await peer.sender(SEND)
    await door.amqp.stop()
    assert lines(door)[2:] == [
        ("registryRead", "refused: the hub policy does not grant this", "request", "messages/devicebound")
    ]


async def test_lines_that_come_together_are_written_together_in_their_order() -> None:
    groups: list[int] = []

    class Counting(DictRegistry):
        def note_all(self, acts: Sequence[Act]) -> None:
            groups.append(len(acts))
            super().note_all(acts)

    registry = Counting()
    trail = Trail(registry, lambda: NOW_US)
    asked = [trail.note("allowed: command", "device", f"cgm-{number}", "service") for number in range(600)]
    asked[1].cancel()  # whose caller has gone
    await asyncio.gather(*asked, return_exceptions=True)
    assert groups == [256, 256, 88]
    assert [line.id for line in registry.audit()] == [f"cgm-{number}" for number in range(600)]
    await trail.note("allowed: command", "device", "later", "service")
    assert groups[3:] == [1]
