"""Configurations: kept with etags, given to those who meet the condition, the higher priority first."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from islet.decode.iothub_twins import ServiceTwin
from islet.store.devices_base import Address
from tests.gateways.calls import as_policy
from tests.gateways.door import Door

PATIENCE_S = 10.0


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Two devices in ward 4 and one in ward 5."""
    async with Door.opened() as opened:
        for number, ward in enumerate((4, 4, 5)):
            device = opened.add_device(f"cgm-{number}")
            await opened.exchange.change_twin(opened.address(device), ServiceTwin(tags={"ward": ward}))
        yield opened


def body(id: str, wanted: Any, **more: Any) -> dict[str, Any]:
    content = {"deviceContent": {"properties.desired": wanted}}
    return {"id": id, "content": content, "targetCondition": "tags.ward = 4", "priority": 10, **more}


async def put(http: httpx.AsyncClient, wanted: dict[str, Any], etag: str = "") -> httpx.Response:
    headers = {"If-Match": etag} if etag else {}
    return await http.put(f"/configurations/{wanted['id']}", json=wanted, headers=headers)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.01)


def desired(door: Door, id: str) -> Any:
    return door.devices.twin(Address(id, "1")).desired.values


async def test_a_configuration_is_made_read_changed_and_removed_with_its_etag(
    door: Door, http: httpx.AsyncClient
) -> None:
    wanted = body("slow", {"every_s": 300}, labels={"of": "ward"})
    made = (await put(http, wanted)).json()
    assert {key: made[key] for key in wanted} == wanted
    assert (await put(http, wanted)).status_code == 409
    assert (await put(http, {**wanted, "priority": 20}, '"other"')).status_code == 412
    changed = await put(http, {**made, "priority": 20}, made["etag"])
    assert (changed.json()["priority"], changed.json()["createdTimeUtc"]) == (20, made["createdTimeUtc"])
    assert (await put(http, body("slow", {"every_s": 1}), "*")).status_code == 400  # content stays
    assert [one["id"] for one in (await http.get("/configurations", params={"top": 5})).json()] == ["slow"]
    assert (await http.get("/configurations/slow")).json()["content"] == wanted["content"]
    assert (await http.delete("/configurations/slow")).status_code == 204
    gone = await http.get("/configurations/slow")
    assert (gone.status_code, gone.headers["iothub-errorcode"]) == (404, "ConfigurationNotFound")


async def test_those_who_meet_the_condition_get_it_at_once_and_the_others_when_they_do(
    door: Door, http: httpx.AsyncClient
) -> None:
    metrics = {"queries": {"slow": "SELECT deviceId FROM devices WHERE properties.desired.every_s = 300"}}
    await put(http, body("slow", {"every_s": 300}, metrics=metrics))
    await until(lambda: desired(door, "cgm-1") == {"every_s": 300})
    assert (desired(door, "cgm-0"), desired(door, "cgm-2")) == ({"every_s": 300}, {})
    await door.exchange.change_twin(Address("cgm-2", "1"), ServiceTwin(tags={"ward": 4}))
    await until(lambda: desired(door, "cgm-2") == {"every_s": 300})
    await until(lambda: door.configurations.counts("slow").metrics == {"slow": 3})
    shown = (await http.get("/configurations/slow")).json()
    assert shown["systemMetrics"]["results"] == {"targetedCount": 3, "appliedCount": 3}
    assert shown["metrics"]["results"] == {"slow": 3}
    assert door.devices.twin(Address("cgm-0", "1")).desired.version == 2  # written once, however often it is looked at


async def test_of_two_the_higher_priority_wins_and_the_rest_of_the_other_holds(
    door: Door, http: httpx.AsyncClient
) -> None:
    await put(http, body("high", {"every_s": 60}, priority=9))
    await put(http, body("low", {"every_s": 300, "unit": "mmol/L"}, priority=1))
    await until(lambda: desired(door, "cgm-0") == {"every_s": 60, "unit": "mmol/L"})
    await http.delete("/configurations/high")
    await until(lambda: desired(door, "cgm-0") == {"every_s": 300, "unit": "mmol/L"})
    await http.delete("/configurations/low")
    await asyncio.sleep(0.1)
    assert desired(door, "cgm-0") == {"every_s": 300, "unit": "mmol/L"}


async def test_a_path_goes_into_the_tree_and_modules_have_configurations_of_their_own(
    door: Door, http: httpx.AsyncClient
) -> None:
    assert (await http.put("/devices/cgm-0/modules/pump", json={"deviceId": "cgm-0", "moduleId": "pump"})).is_success
    content = {"moduleContent": {"properties.desired.basal.rate": {"u_per_h": 0.5}}}
    target = "from devices.modules where moduleId = 'pump'"
    answer = await put(http, {"id": "basal", "content": content, "targetCondition": target})
    assert answer.status_code == 200, answer.text
    module = door.devices.module("cgm-0", "pump")
    assert module is not None
    of = Address("cgm-0", module.generation_id, "pump")
    await until(lambda: door.devices.twin(of).desired.values == {"basal": {"rate": {"u_per_h": 0.5}}})
    assert desired(door, "cgm-0") == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": {}},
        {"content": {"modulesContent": {"$edgeAgent": {"properties.desired": {}}}}},
        {"content": {"deviceContent": {"properties.reported": {"a": 1}}}},
        {"content": {"deviceContent": {"properties.desired.": 1}}},
        {"content": {"deviceContent": {"properties.desired": {"$a": 1}}}},
        {"targetCondition": "ward ="},
        {"targetCondition": "from devices.modules where moduleId = 'x'"},
        {"metrics": {"queries": {"n": "SELECT"}}},
        {"priority": "high"},
        {"id": "other"},
    ],
)
async def test_what_could_not_be_applied_is_refused(http: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await http.put("/configurations/slow", json={**body("slow", {"a": 1}), **wrong})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (400, "ArgumentInvalid")


async def test_queries_are_tested_and_only_who_may_command_devices_is_let_in(
    door: Door, http: httpx.AsyncClient
) -> None:
    asked = {
        "targetCondition": "tags.ward =",
        "customMetricQueries": {"good": "SELECT * FROM devices", "bad": "SELECT"},
    }
    answer = (await http.post("/configurations/testQueries", json=asked)).json()
    assert answer["targetConditionError"].startswith("query: expected")
    assert list(answer["customMetricQueryErrors"]) == ["bad"]
    refused = await http.put(
        "/configurations/slow", json=body("slow", {}), headers=as_policy(door, "registryReadWrite")
    )
    assert refused.status_code == 401
