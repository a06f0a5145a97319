"""The device side in the encrypted file holds its contract, also when the process is killed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from islet.errors import KeyUnavailable
from islet.model.people import Device
from islet.store.devices import SqliteDevices
from islet.store.devices_base import Address, Devices
from islet.store.registry import SqliteRegistry
from tests.store.devices_contract import NOW_US, PUMP, DevicesContract, Reopen, command

KEY = bytes(range(32))
_ROUNDS = 3
_WRITER = """
import os, sys
from itertools import count
from pathlib import Path
from islet.store.devices import SqliteDevices
from islet.store.devices_base import Address, Command
devices = SqliteDevices(Path(sys.argv[1]), bytes(range(32)))
for number in count():
    devices.put_command(Address(f"{os.getpid()}-{number // 40}", "7"), Command(body=b"x"), 1)
    devices.report(Address(f"{os.getpid()}", "7"), {"n": number}, 1)
    print(number, flush=True)
"""


class TestSqliteDevices(DevicesContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[list[SqliteDevices]]:
        opened = [SqliteDevices(tmp_path / "store.db", KEY)]
        yield opened
        opened[-1].close()

    @pytest.fixture
    def devices(self, opened: list[SqliteDevices]) -> Devices:
        return opened[-1]

    @pytest.fixture
    def reopen(self, opened: list[SqliteDevices], tmp_path: Path) -> Reopen:
        def again() -> Devices:
            opened[-1].close()
            opened.append(SqliteDevices(tmp_path / "store.db", KEY))
            return opened[-1]

        return again


def test_it_lives_in_the_registrys_file_and_opens_with_its_key_only(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(SqliteRegistry(path, KEY)) as registry, closing(SqliteDevices(path, KEY)) as devices:
        registry.create_device(Device(id="pump-1", generation_id="7"))
        devices.put_command(PUMP, command("a secret"), NOW_US)
        assert devices.pending_commands() == {"pump-1": 1}
    assert b"a secret" not in path.read_bytes()
    with pytest.raises(KeyUnavailable):
        SqliteDevices(path, bytes(32))


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for _ in range(_ROUNDS):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(100)]
            writer.kill()
            said += writer.stdout.read().splitlines(keepends=True)
        acknowledged = sum(line.endswith("\n") for line in said)
        with closing(SqliteDevices(path, KEY)) as devices:
            mine = [
                count for device, count in devices.pending_commands().items() if device.startswith(f"{writer.pid}-")
            ]
            assert acknowledged <= sum(mine) <= acknowledged + 1
            newest = devices.twin(Address(f"{writer.pid}", "7")).reported.values["n"]
            assert newest in (acknowledged - 1, acknowledged)
