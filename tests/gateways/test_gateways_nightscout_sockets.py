"""Nightscout's web sockets: apps are told of changes of their own patient, where they may read, and as soon as they may not, no
more. The clients are socket.io's own, for Node and for Python."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
import socketio
from msgspec import structs
from starlette.applications import Starlette

from islet.gateways.nightscout_apps import NightscoutApps
from islet.gateways.nightscout_feed import Listener, NightscoutFeed, Told
from islet.gateways.nightscout_sockets import NightscoutSockets
from islet.model.time import DAY_US, MINUTE_US, SECOND_US, iso
from islet.operations.http_server import HttpListener
from islet.store.app_secrets import end_app_secret, new_app_secret
from islet.store.base import EntryKind
from islet.store.grants import revoke
from tests.conftest import Missing
from tests.gateways.aaps import AT_MS, SGV
from tests.gateways.door import NOW_US
from tests.gateways.nightscout import Night, sha1
from tests.gateways.node_sdk import Script, require_node

PATIENCE_S = 10.0
COLLECTIONS = ["devicestatus", "entries", "food", "profile", "treatments"]


class Site:
    """The sockets at a port of loopback."""

    def __init__(self, night: Night, *, patience_s: float = 20.0) -> None:
        door = night.door
        apps = NightscoutApps(door.authenticator, door.registry, door.exchange.presence, lambda: night.now_us)
        self.night = night
        self.sockets = NightscoutSockets(
            door.authenticator, apps, night.store, lambda: night.now_us, patience_s=patience_s
        )
        self.listener = HttpListener(Starlette(routes=self.sockets.routes()), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.port}"

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, night: Night, *, patience_s: float = 20.0) -> AsyncIterator["Site"]:
        site = cls(night, patience_s=patience_s)
        await site.listener.start()
        try:
            yield site
        finally:
            await site.sockets.stop()
            await site.listener.stop()

    def later(self, by_us: int = 10 * SECOND_US) -> None:
        """What was sent is in the store, and so long ago."""
        self.night.follow()
        self.night.now_us += by_us
        self.night.door.received_us = self.night.now_us


class App:
    """A client in Python that has connected to /storage."""

    def __init__(self) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.gone = asyncio.Event()
        for event in ("create", "update", "delete"):
            self.client.on(event, self._heard(event), namespace="/storage")
        self.client.on("disconnect", self._left, namespace="/storage")

    def _heard(self, event: str) -> Any:
        async def heard(said: Any) -> None:
            await self.told.put((event, said))

        return heard

    async def _left(self, _: object = None) -> None:
        self.gone.set()

    async def subscribed(self, site: Site, secret: str, *transports: str, **asked: object) -> Any:
        ways = list(transports) or ["websocket"]
        await self.client.connect(site.url, namespaces=["/storage"], transports=ways)
        return await self.client.call("subscribe", {"accessToken": secret, **asked}, namespace="/storage")

    async def next(self) -> tuple[str, Any]:
        return await asyncio.wait_for(self.told.get(), PATIENCE_S)

    async def values(self, count: int) -> list[int]:
        return [(await self.next())[1]["doc"]["sgv"] for _ in range(count)]


@pytest.fixture
async def site(night: Night) -> AsyncIterator[Site]:
    async with Site.opened(night) as opened:
        yield opened


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    yield app
    await app.client.disconnect()


@pytest.mark.parametrize("transports", ["polling,websocket", "websocket", "polling"])
async def test_socket_io_for_node_is_told_what_comes_and_what_was_withdrawn(
    missing: Missing, site: Site, transports: str
) -> None:
    require_node(missing)
    night = site.night
    night.let_read()
    script = await Script.started(None, "nightscout.js", site.url, night.secret, transports)
    try:
        async with asyncio.timeout(PATIENCE_S):
            granted = [one for one in COLLECTIONS if one != "food"]
            assert await script.said() == {"storage": {"success": True, "collections": granted}}
            assert await script.said() == {"alarm": {"success": True, "message": "Subscribed for alarms"}}
            await night.http.post("/entries", json=SGV)
            [bolus] = (await night.http.post("/treatments", json=[{"insulin": 4, "eventType": "Bolus"}])).json()
            site.later()
            entry, treatment = (await script.said())["create"], (await script.said())["create"]
            assert (entry["colName"], entry["doc"]["sgv"], entry["doc"]["date"]) == ("entries", 112, AT_MS)
            assert (treatment["colName"], treatment["doc"]["insulin"]) == ("treatments", 4)
            assert treatment["doc"]["identifier"] == bolus["_id"]
            assert treatment["doc"]["srvModified"] == NOW_US // 1000
            await night.http.delete(f"/treatments/{bolus['_id']}")
            site.later()
            assert await script.said() == {"delete": {"colName": "treatments", "identifier": bolus["_id"]}}
            await site.sockets.stop()
            assert (await script.said())["disconnected"] in ("transport close", "transport error")
    finally:
        script.kill()


async def test_what_history_does_not_tell_yet_is_told_and_nothing_twice(site: Site, app: App) -> None:
    """An app that has subscribed asks HISTORY for what it missed, and that leaves out the last two seconds."""
    site.night.let_read()
    await site.night.http.post("/entries", json=SGV)
    site.later(SECOND_US)
    assert (await app.subscribed(site, site.night.secret))["collections"] == COLLECTIONS
    site.later(2 * SECOND_US)
    assert await app.values(1) == [112]
    for n in range(3):
        await site.night.http.post("/entries", json={**SGV, "sgv": 120 + n, "date": AT_MS + 60_000 * (n + 1)})
        site.later()
        assert await app.values(1) == [120 + n]
    assert app.told.empty()


async def test_a_reading_of_long_ago_is_told_too(site: Site, app: App) -> None:
    site.night.let_read()
    await app.subscribed(site, site.night.secret)
    await site.night.http.post("/entries", json={**SGV, "date": AT_MS - 30 * DAY_US // 1000})
    site.later(2 * MINUTE_US)
    assert await app.values(1) == [112]


async def test_a_socket_tells_of_its_own_patient_and_only_to_who_may_read(site: Site, app: App) -> None:
    night = site.night
    patient = night.door.registry.patient("p-1")
    assert patient is not None
    night.door.registry.put_patient(structs.replace(patient, id="p-2"))
    night.door.add_device("other", "p-2")
    other = new_app_secret(night.door.registry, "other", by="test", now_us=NOW_US)
    refused = App()
    for secret, why in ((night.secret, "Unauthorized"), ("guess", "Missing or bad"), ("", "Missing or bad")):
        said = await refused.subscribed(site, secret)
        assert (said["success"], said["message"].startswith(why)) == (False, True)
        if secret:
            await refused.client.disconnect()
            refused = App()
    night.let_read("other", "p-2")
    assert (await app.subscribed(site, other, collections=["entries", "nonsense"]))["collections"] == ["entries"]
    await night.http.post("/entries", json=SGV)
    await night.http.post("/entries", json={**SGV, "sgv": 287}, headers=sha1(other))
    await night.http.post("/treatments", json={"carbs": 5, "eventType": "Carb Correction"}, headers=sha1(other))
    site.later()
    assert await app.values(1) == [287]
    site.later(2 * MINUTE_US)
    await night.http.post("/entries", json={**SGV, "sgv": 288, "date": AT_MS + 60_000}, headers=sha1(other))
    site.later()
    assert await app.values(1) == [288]
    assert app.told.empty() and refused.told.empty()
    await refused.client.disconnect()


@pytest.mark.parametrize("way", ["permission", "secret", "device", "moved"])
async def test_who_may_not_read_any_more_is_told_nothing_and_let_go_within_a_second(
    site: Site, app: App, way: str
) -> None:
    night, registry = site.night, site.night.door.registry
    night.let_read()
    await app.subscribed(site, night.secret)
    await night.http.post("/entries", json=SGV)
    match way:
        case "permission":
            [id] = registry.entries(EntryKind.PERMISSION)
            revoke(registry, id, by="test", at_us=NOW_US)
        case "secret":
            end_app_secret(registry, "phone", by="test", now_us=NOW_US)
        case "device":
            night.door.change_device("phone", enabled=False)
        case _:
            night.door.change_device("phone", patient="")
    site.later()
    async with asyncio.timeout(1.0):
        await app.gone.wait()
    assert app.told.empty() and site.sockets.listening == 0


async def test_a_secret_that_is_taken_away_while_it_is_looked_up_lets_nobody_listen(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    night, said, asked = site.night, NightscoutApps.said, count()
    night.let_read()

    async def slowly(apps: NightscoutApps, secret: str) -> object:
        found = await said(apps, secret)
        if next(asked) == 0:
            end_app_secret(night.door.registry, "phone", by="test", now_us=NOW_US)
            await asyncio.sleep(1.2)  # the registry's change has been looked at
        return found

    monkeypatch.setattr(NightscoutApps, "said", slowly)
    await app.subscribed(site, night.secret)
    async with asyncio.timeout(1.0):
        await app.gone.wait()


async def test_who_does_not_say_who_they_are_is_let_go(night: Night, app: App) -> None:
    async with Site.opened(night, patience_s=0.2) as site:
        await app.client.connect(site.url, namespaces=["/storage"], transports=["websocket"])
        async with asyncio.timeout(PATIENCE_S):
            await app.gone.wait()


async def test_strangers_are_few_and_an_app_has_few_sessions(site: Site, app: App) -> None:
    night = site.night
    night.let_read()
    many = [App() for _ in range(10)]
    for one in many:
        assert (await one.subscribed(site, night.secret))["success"]
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(many[0].gone.wait(), many[1].gone.wait())
    assert not any(one.gone.is_set() for one in many[2:])
    async with httpx.AsyncClient(base_url=site.url) as http:
        answers = [(await http.get("/socket.io/?EIO=4&transport=polling")).status_code for _ in range(202)]
        assert answers == [200] * 200 + [503] * 2
        with pytest.raises(socketio.exceptions.ConnectionError):
            await app.subscribed(site, night.secret)
    await night.http.post("/entries", json=SGV)
    site.later()
    assert await many[9].values(1) == [112]
    for one in many:
        await one.client.disconnect()


async def test_what_is_no_message_ends_nothing_but_itself_and_is_no_page_of_the_log(
    site: Site, app: App, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    site.night.let_read()
    await app.subscribed(site, site.night.secret)
    caplog.set_level(logging.DEBUG)
    capfd.readouterr()
    async with httpx.AsyncClient(base_url=site.url) as http:
        for body in (
            b"",
            b"4" + b"[" * 9_000,
            b"40/nowhere,",
            b'42/storage,["subscribe",1]',
            b"\xff\xfe",
            b"9",
            b"451-x",
        ):
            opened = await http.get("/socket.io/?EIO=4&transport=polling")
            sid = opened.text.split('"sid":"')[1].split('"')[0]
            where = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
            assert (await http.post(where, content=b"40/storage,")).status_code == 200
            assert (await http.post(where, content=body)).status_code in (200, 400)
        assert (await http.post("/socket.io/?EIO=4&transport=polling&sid=x", content=b"1")).status_code == 400
        assert (await http.post(where, content=b"4" * 20_000)).status_code == 413
        assert (await http.post(where, content=b"6", timeout=PATIENCE_S)).status_code == 400
    await site.night.http.post("/entries", json=SGV)
    site.later()
    assert await app.values(1) == [112]
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


async def test_an_app_is_let_in_again_with_the_token_that_it_was_given(site: Site, app: App) -> None:
    night = site.night
    night.let_read()
    given = (await night.http.get(f"https://localhost/api/v2/authorization/request/{night.secret}")).json()["token"]
    assert (await app.subscribed(site, given))["success"]
    sent = f'{{"type":"insulin","time":"{iso(NOW_US)}","dose_u":4,"kind":"bolus"}}'
    await night.send("phone", sent.encode())
    site.later()
    event, said = await app.next()
    assert (event, said["doc"]["insulin"]) == ("create", 4)


async def test_a_patient_whose_news_cannot_be_read_is_nobody_elses_fault(
    site: Site, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    night, broken = site.night, App()
    night.let_read()
    night.door.add_device("other")
    night.let_read("other")
    await broken.subscribed(site, new_app_secret(night.door.registry, "other", by="test", now_us=NOW_US))
    await app.subscribed(site, night.secret)
    well = NightscoutFeed.news

    def news(feed: NightscoutFeed, listener: Listener, now_us: int) -> list[Told]:
        if listener.device.id == "other":
            raise OSError("the disk")
        return well(feed, listener, now_us)

    monkeypatch.setattr(NightscoutFeed, "news", news)
    await night.http.post("/entries", json=SGV)
    site.later()
    assert await app.values(1) == [112]
    assert broken.told.empty()
    monkeypatch.undo()
    assert await broken.values(1) == [112]
    await broken.client.disconnect()
