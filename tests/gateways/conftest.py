"""The gateways are tested on the event loop that they are run with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import uvloop

from islet.store.sqlite import SqliteStore
from tests.conftest import Missing, need_ports
from tests.gateways.aaps import Aaps
from tests.gateways.calls import calls
from tests.gateways.clock import Clock
from tests.gateways.door import Door
from tests.gateways.hub import AMQP_PORT, HTTPS_PORT, MQTT_PORT, Hub, opened_hub
from tests.gateways.nightscout import Night


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A front door on loopback whose log takes everything."""
    async with Door.opened() as opened:
        yield opened


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    """Calls as the hub's owner, unless a request says otherwise."""
    async with calls(door) as client:
        yield client


@pytest.fixture
async def amqp(door: Door) -> AsyncIterator[int]:
    """The port of the door's AMQP listener."""
    port = await door.amqp.listen("127.0.0.1", 0)
    yield port
    await door.amqp.stop()


@pytest.fixture
async def hub(request: pytest.FixtureRequest, missing: Missing, tmp_path: Path) -> AsyncIterator[Hub]:
    """A hub at the usual ports of the module's HOST, for SDKs that know no others."""
    host = request.module.HOST
    need_ports(missing, host, MQTT_PORT, AMQP_PORT, HTTPS_PORT)
    async with opened_hub(host, tmp_path) as opened:
        yield opened


@pytest.fixture
async def night(door: Door, tmp_path: Path) -> AsyncIterator[Night]:
    with contextlib.closing(SqliteStore(tmp_path / "derived.db", bytes(32))) as store:
        one = Night(door, store)
        async with one.http:
            yield one


@pytest.fixture
async def aaps(night: Night) -> AsyncIterator[Aaps]:
    night.let_read()
    one = Aaps(night, night.secret)
    async with one.http:
        yield one
