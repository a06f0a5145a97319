"""A device that was removed while it is connected leaves nothing behind."""

from contextlib import closing
from pathlib import Path

import pytest

from islet.errors import NotFound
from islet.gateways.exchange import Exchange
from islet.store.devices import SqliteDevices
from islet.store.devices_base import Address


async def test_what_a_removed_device_reports_is_not_kept(tmp_path: Path) -> None:
    there = {"cgm-1", "cgm-2"}
    with closing(SqliteDevices(tmp_path / "store.db", bytes(32))) as devices:
        exchange = Exchange(devices, lambda: 0, is_registered=there.__contains__)
        try:
            there.discard("cgm-2")
            await exchange.report(Address("cgm-1", "g"), {"battery": 80})
            with pytest.raises(NotFound):
                await exchange.report(Address("cgm-2", "g"), {"battery": 80})
        finally:
            await exchange.close()
        assert [of.device for of in devices.twins()] == ["cgm-1"]
