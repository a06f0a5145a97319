"""Claim codes: a device gets its key for one, once, in time, and not by guessing."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from islet.errors import AccessDenied, AlreadyExists, BadInput, NotFound
from islet.gateways.claims import code_hash, make_claim, redeem
from islet.model.time import HOUR_US, MINUTE_US
from islet.store.base import EntryKind
from tests.gateways.calls import as_policy, calls
from tests.gateways.dict_registry import DictRegistry
from tests.gateways.door import NOW_US, Door

PSEUDONYM = "p-0123456789abcdef"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door.opened() as opened:
        yield opened


def claim(registry: DictRegistry, device: str = "pump-1", patient: str = "", **more: int) -> str:
    return make_claim(registry, device, patient, by="wang", now_us=NOW_US, **more)


def test_a_code_is_random_typed_easily_and_kept_as_a_hash() -> None:
    registry = DictRegistry()
    codes = {claim(registry, f"pump-{number}") for number in range(100)}
    assert len(codes) == 100
    assert all(re.fullmatch(r"[2-9A-HJ-NP-Z]{4}(-[2-9A-HJ-NP-Z]{4}){2}", code) for code in codes)
    kept = registry.entries(EntryKind.CLAIM)
    assert set(kept) == {code_hash(code) for code in codes}
    assert not any(code.encode() in body for code in codes for body in kept.values())


def test_it_is_redeemed_once_however_it_is_typed() -> None:
    registry = DictRegistry()
    code = claim(registry)
    device = redeem(registry, f" {code.lower().replace('-', ' ')}", PSEUDONYM, now_us=NOW_US + HOUR_US - 1)
    assert (device.id, device.patient, len(device.primary_key)) == ("pump-1", PSEUDONYM, 44)
    assert registry.device("pump-1") == device and registry.patient(PSEUDONYM) is not None
    with pytest.raises(AccessDenied):
        redeem(registry, code, PSEUDONYM, now_us=NOW_US)


def test_it_ends_with_its_life() -> None:
    registry = DictRegistry()
    code = claim(registry, life_us=MINUTE_US)
    with pytest.raises(AccessDenied):
        redeem(registry, code, PSEUDONYM, now_us=NOW_US + MINUTE_US)
    make_claim(registry, "pump-2", "", by="wang", now_us=NOW_US + HOUR_US)
    assert len(registry.entries(EntryKind.CLAIM)) == 1, "expired ones are forgotten"


def test_nobody_takes_over_a_patient_or_a_device_that_is_there() -> None:
    registry = DictRegistry()
    first, second = claim(registry), claim(registry, "pump-2")
    redeem(registry, first, PSEUDONYM, now_us=NOW_US)
    with pytest.raises(AccessDenied):
        redeem(registry, second, PSEUDONYM, now_us=NOW_US)
    with pytest.raises(BadInput):
        redeem(registry, second, "anna", now_us=NOW_US)
    with pytest.raises(AlreadyExists):
        claim(registry)
    with pytest.raises(NotFound):
        claim(registry, "pump-3", "nobody")


async def test_of_two_that_come_together_one_gets_the_key(door: Door) -> None:
    async with calls(door) as hub:
        made = await hub.post("/claims", json={"deviceId": "pump-1", "patient": "p-1"})
        assert made.status_code == 200
        body = {"code": made.json()["code"]}
        got = await asyncio.gather(
            *(hub.post("/claims/redeem", json=body, headers={"Authorization": ""}) for _ in range(5))
        )
    assert sorted(one.status_code for one in got) == [200, 401, 401, 401, 401]
    (credentials,) = (one.json() for one in got if one.status_code == 200)
    device = door.registry.device("pump-1")
    assert device is not None
    assert (credentials["primaryKey"], credentials["patient"]) == (device.primary_key, "p-1")


@pytest.mark.parametrize(("policy", "status"), [("service", 401), ("registryRead", 401), ("registryReadWrite", 200)])
async def test_only_who_may_write_the_registry_makes_one(door: Door, policy: str, status: int) -> None:
    async with calls(door) as hub:
        made = await hub.post("/claims", json={"deviceId": "pump-1"}, headers=as_policy(door, policy))
    assert made.status_code == status


async def test_wrong_codes_are_slowed_down_and_right_ones_are_not(door: Door) -> None:
    async def tried(hub: httpx.AsyncClient, code: str) -> int:
        return (await hub.post("/claims/redeem", json={"code": code})).status_code

    async with calls(door) as hub:
        for number in range(12):
            assert await tried(hub, claim_of(door, f"pump-{number}")) == 200
        assert [await tried(hub, "ABCD-ABCD-ABCD") for _ in range(12)] == [401] * 10 + [429] * 2
        assert await tried(hub, claim_of(door, "pump-99")) == 200, "what others do at an address makes nobody wait"
        assert await tried(hub, "ABCD-ABCD-ABCD") == 429


def claim_of(door: Door, device: str) -> str:
    return make_claim(door.registry, device, "p-1", by="wang", now_us=NOW_US)
