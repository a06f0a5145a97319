"""The log in memory holds the contract."""

import pytest

from islet.log.memory import MemoryLog
from tests.log.contract import LogContract, OpenLog


class TestMemoryLog(LogContract):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        return lambda partitions: MemoryLog(partitions=partitions)
