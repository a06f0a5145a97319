"""The gateways are tested on the event loop that they are run with."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import uvloop

from tests.gateways.calls import calls
from tests.gateways.door import Door


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


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
