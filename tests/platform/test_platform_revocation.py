"""What is taken away ends within a second for whoever is connected: pages' streams, the log's, and devices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
import paho.mqtt.client as paho
from msgspec import structs

from islet.access.sas import make_token, new_key
from islet.clock import wall_us
from islet.model.people import Device, Kind, Role, User
from islet.model.permissions import Consent, Permission, Verb
from islet.model.time import DAY_US, SECOND_US
from islet.opened import opened_registry
from islet.store import people
from islet.store.base import Registry
from islet.store.consents import set_consent, set_consent_on_paper
from islet.store.grants import grant, make_key, put_group, revoke, revoke_key
from islet.store.hub_policies import Which, policy_key, renew_key
from islet.store.patient_groups import assign_group, put_members
from tests.platform.inside import HASH, HUB, Inside, inside

SOON_S = 1.0
PATIENCE_S = 10.0
LIVE, LOG = "/live", "/api/log/glucose_readings/stream"
Act = Callable[[Registry, int], None]


def _allow(registry: Registry, now_us: int, issued_to: str, **more: object) -> Permission:
    wanted = structs.replace(Permission(id="", issued_to=issued_to, principal_for="p-2"), **more)
    return grant(registry, wanted, by="test", at_us=now_us)


def end_sessions(registry: Registry, now_us: int) -> None:
    people.end_sessions(registry, "anna-0", by="test", at_us=now_us)


def disable_user(registry: Registry, now_us: int) -> None:
    people.set_enabled(registry, "anna-1", False, by="test", at_us=now_us)


def withdraw_consent(registry: Registry, now_us: int) -> None:
    set_consent(registry, "anna-2", "p-1", given=False, by="patient", at_us=now_us)


def withdraw_on_paper(registry: Registry, now_us: int) -> None:
    said = Consent(
        user="anna-4", patient="p-1", given=False, at_us=now_us, by="t", signed_by="m", signed_on="2026-01-02"
    )
    set_consent_on_paper(registry, said)


def invite_anew(registry: Registry, now_us: int) -> None:
    people.invite(registry, "anna-5", now_us + DAY_US, by="test", at_us=now_us)


def take_patient_away(registry: Registry, now_us: int) -> None:
    people.put_person(registry, "anna-3", patients=(), by="test", at_us=now_us)


def refuse_role(registry: Registry, now_us: int) -> None:
    _allow(registry, now_us, f"role/{Role.CARE_PARTNER}", principal_for="", authorized=False, action=Verb.SUBSCRIBE)


@asynccontextmanager
async def stream(one: Inside, path: str, token: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """An open stream of server-sent events; its first bytes have come."""
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=one.url, timeout=PATIENCE_S, headers=headers, verify=False) as client,
        client.stream("GET", path) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.aiter_raw()
        assert b"retry" in await anext(pieces)
        yield pieces


async def until_end_s(pieces: AsyncIterator[bytes], act: Callable[[], None]) -> float:
    """How long the stream goes on after the act, which another process does (it has a connection of its own)."""
    await asyncio.to_thread(act)
    began_s = perf_counter()
    async with asyncio.timeout(PATIENCE_S):
        async for _ in pieces:
            pass
    return perf_counter() - began_s


def elsewhere(one: Inside, act: Act) -> Callable[[], None]:
    """The act by another process: the registry is opened anew."""

    def run() -> None:
        with opened_registry(one.platform.settings) as registry:
            act(registry, one.platform.now())

    return run


async def test_a_page_hears_no_more_within_a_second(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        acts = (end_sessions, disable_user, withdraw_consent, take_patient_away, withdraw_on_paper, invite_anew)
        for number, act in enumerate((*acts, refuse_role)):
            user = User(name=f"anna-{number}", role=Role.CARE_PARTNER, password_hash=HASH, patients=("p-1",))
            one.platform.registry.put_user(user)
            set_consent(one.platform.registry, user.name, "p-1", given=True, by="p-1", at_us=one.platform.now())
            async with stream(one, LIVE, one.session(user.name)) as pieces:
                assert await until_end_s(pieces, elsewhere(one, act)) < SOON_S, act.__name__

    await inside(tmp_path, visit)


async def test_a_key_that_is_revoked_and_the_tokens_made_with_it_read_no_more(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        now_us = one.platform.now()
        id, key = make_key(one.platform.registry, Role.APPLICATION, now_us + DAY_US, None, "", by="test", at_us=now_us)
        async with one.client(key) as client:
            token = (await client.post("/api/token")).json()["access_token"]
        async with stream(one, LOG, key) as by_key, stream(one, LOG, token) as by_token:
            ended = elsewhere(one, lambda registry, now_us: revoke_key(registry, id, by="test", at_us=now_us))
            assert await until_end_s(by_key, ended) < SOON_S
            async with asyncio.timeout(SOON_S):
                async for _ in by_token:
                    pass
        for credential in (key, token):
            async with one.client(credential) as client:
                assert (await client.get("/api/patients")).status_code == 401

    await inside(tmp_path, visit)


async def test_a_permission_that_is_revoked_or_over_ends_what_lived_by_it(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        registry, now_us = one.platform.registry, one.platform.now()
        put_group(registry, "cover", ("user/auditor",), by="test", at_us=now_us)
        given = _allow(registry, now_us, "group/cover", action=Verb.SUBSCRIBE)
        async with stream(one, f"{LIVE}?patient=p-2", one.session(Role.AUDITOR)) as pieces:
            act = elsewhere(one, lambda registry, now_us: revoke(registry, given.id, by="test", at_us=now_us))
            assert await until_end_s(pieces, act) < SOON_S
        _allow(registry, one.platform.now(), "user/auditor", expires_us=one.platform.now() + SECOND_US)
        async with stream(one, f"{LIVE}?patient=p-2", one.session(Role.AUDITOR)) as pieces:
            assert await until_end_s(pieces, lambda: None) < 1.0 + SOON_S

    await inside(tmp_path, visit)


async def test_who_has_a_group_hears_no_more_of_a_patient_who_leaves_it(tmp_path: Path) -> None:
    def leave(registry: Registry, now_us: int) -> None:
        put_members(registry, "t1", remove=["p-2"], by="test", at_us=now_us)

    def take_away(registry: Registry, now_us: int) -> None:
        assign_group(registry, "nurse", "t1", given=False, by="test", at_us=now_us)

    async def visit(one: Inside) -> None:
        registry, now_us = one.platform.registry, one.platform.now()
        registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash=HASH))
        assign_group(registry, "nurse", "t1", given=True, by="test", at_us=now_us)
        token = one.session("nurse")
        for patient, act in (("p-2", leave), ("p-1", take_away)):
            async with one.client(token) as client, stream(one, f"{LIVE}?patient={patient}", token) as pieces:
                assert (await client.get(f"/patients/{patient}")).status_code == 200
                assert await until_end_s(pieces, elsewhere(one, act)) < SOON_S, act.__name__
                assert (await client.get(f"/patients/{patient}")).status_code == 403

    await inside(tmp_path, visit)


def disable(id: str, registry: Registry, now_us: int) -> None:
    _change(registry, id, enabled=False)


def rotate(id: str, registry: Registry, now_us: int) -> None:
    _change(registry, id, primary_key=new_key())


def refuse_device(id: str, registry: Registry, now_us: int) -> None:
    _allow(registry, now_us, f"{Kind.DEVICE}/{id}", principal_for="p-1", authorized=False, action=Verb.SEND)


def _change(registry: Registry, id: str, **changes: object) -> None:
    device = registry.device(id)
    assert device is not None
    after = structs.replace(device, **changes)
    registry.change_device(after, "changed", etag=device.etag, by="test", at_us=0)


@asynccontextmanager
async def device_client(
    one: Inside, id: str, transport: str, token: str = ""
) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """paho as that device (with a token of its own where none is given); gives what waits for the end of its connection,
    and when that was."""
    connected, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    client = paho.Client(client_id=id, transport=transport)
    client.ws_set_options(path="/$iothub/websocket")
    client.username_pw_set(f"{HUB}/{id}/?api-version=2021-04-12", token or one.device_token(id))
    client.on_connect = lambda *_: loop.call_soon_threadsafe(connected.set)
    client.on_disconnect = lambda *_: loop.call_soon_threadsafe(gone.set)
    port = one.mqtt_port if transport == "tcp" else one.http_port
    await asyncio.to_thread(client.connect, "127.0.0.1", port)
    client.loop_start()

    async def ended() -> float:
        await asyncio.wait_for(gone.wait(), PATIENCE_S)
        return perf_counter()

    try:
        await asyncio.wait_for(connected.wait(), PATIENCE_S)
        assert client.is_connected()
        yield ended
    finally:
        await asyncio.to_thread(client.loop_stop)


async def test_a_device_is_disconnected_within_a_second(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        async def goes(act: Callable[[str, Registry, int], None], transport: str) -> None:
            id = f"{transport}-{act.__name__}"
            one.platform.registry.create_device(Device(id=id, patient="p-1", primary_key=new_key()))
            async with device_client(one, id, transport) as ended:
                await asyncio.to_thread(elsewhere(one, partial(act, id)))
                began_s = perf_counter()
                assert await ended() - began_s < SOON_S, id

        acts = (disable, rotate, refuse_device)
        await asyncio.gather(*(goes(act, transport) for act in acts for transport in ("tcp", "websockets")))

    await inside(tmp_path, visit)


def renew_primary(registry: Registry, now_us: int) -> None:
    renew_key(registry, "device", Which.PRIMARY, by="test", at_us=now_us)


async def test_what_a_renewed_key_of_a_hub_policy_has_signed_is_refused_within_a_second(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        secondary = policy_key(one.platform.registry, "device", Which.SECONDARY)
        with_secondary = make_token(HUB, secondary, wall_us() // SECOND_US + 600, "device")
        with_primary = one.policy_token("device")
        async with (
            device_client(one, "cgm-1", "tcp", with_primary) as ended,
            device_client(one, "cgm-2", "tcp", with_secondary) as other,
        ):
            await asyncio.to_thread(elsewhere(one, renew_primary))
            began_s = perf_counter()
            assert await ended() - began_s < SOON_S
            going_on = asyncio.ensure_future(other())
            for token, status in ((with_primary, 401), (with_secondary, 204), (one.policy_token("device"), 204)):
                async with one.client(token, scheme="") as client:
                    sent = await client.post("/devices/cgm-1/messages/events", content=b"{}")
                assert sent.status_code == status
            assert not going_on.done()
            going_on.cancel()
        (line,) = (line for line in one.platform.registry.audit() if line.kind == "hub_policy")
        assert (line.by, line.id) == ("test", "device")
        assert with_primary not in line.after and policy_key(one.platform.registry, "device") not in line.after

    await inside(tmp_path, visit)


async def test_what_is_changed_on_the_page_of_a_device_holds_within_a_second(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        async def change(id: str, path: str = "", **fields: str) -> int:
            device = one.platform.registry.device(id)
            assert device is not None
            async with one.client(one.session("administrator")) as client:
                answer = await client.post(f"/registry/{id}{path}", data={"etag": device.etag, **fields})
            return answer.status_code

        for id, path, fields in (("d-1", "", {"act": "disable"}), ("d-2", "/keys", {"key": "primary"})):
            one.platform.registry.create_device(Device(id=id, patient="p-1", primary_key=new_key()))
            with_old = one.device_token(id)
            async with device_client(one, id, "tcp") as ended:
                assert await change(id, path, **fields) in (200, 303)
                began_s = perf_counter()
                assert await ended() - began_s < SOON_S, fields
            async with one.client(with_old, scheme="") as client:
                assert (await client.post(f"/devices/{id}/messages/events", content=b"{}")).status_code == 401
        assert await change("d-1", act="enable") == 303
        for id in ("d-1", "d-2"):
            async with one.client(one.device_token(id), scheme="") as client:
                assert (await client.post(f"/devices/{id}/messages/events", content=b"{}")).status_code == 204

    await inside(tmp_path, visit)
