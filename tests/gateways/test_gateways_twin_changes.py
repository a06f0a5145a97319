"""The news of changed twins waits for the log within bounds, and whoever looks at the metrics sees what became of it."""

from collections.abc import Callable

import pytest
from structlog.testing import CapturingLogger

from islet.decode.iothub_twins import Twin
from islet.gateways import twin_changes
from islet.gateways.twin_changes import TwinChanges
from islet.log.base import Commit
from islet.log.group_commit import Done
from islet.store.devices_base import Address
from tests.gateways.door import HUB, NOW_US


class Writer:
    """One that asks its source only when a test does."""

    def __init__(self) -> None:
        self.source: Callable[[int], tuple[Commit, Done] | None] = lambda _: None

    def add_source(self, source: Callable[[int], tuple[Commit, Done] | None], /) -> None:
        self.source = source

    def wake(self, *, plenty: bool = False) -> None: ...

    def group(self, error: Exception | None = None) -> list[str]:
        """What is pending, once the log has taken it or has failed."""
        found = self.source(NOW_US)
        assert found is not None
        found[1](error)
        return [str(device) for device in found[0].appends[0].batch.column("device").to_pylist()]


def report(changes: TwinChanges, *devices: str) -> None:
    for device in devices:
        changes.reported(Address(device, "1"), {"battery": 80}, Twin())


def test_what_the_log_has_no_room_for_is_dropped_counted_and_said_once_a_flood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, writer = CapturingLogger(), Writer()
    monkeypatch.setattr(twin_changes, "_log", log)
    changes = TwinChanges(writer, lambda _: "p-1", HUB, lambda: NOW_US, most_bytes=3_000)
    report(changes, *"abcdef")
    assert changes.counts() == {"told": 0, "failed": 0, "dropped": 3}
    assert writer.group() == ["d", "e", "f"], "the oldest are dropped"
    report(changes, *"abc")
    assert writer.group(OSError("the disk is full")) == ["a", "b", "c"]
    assert changes.counts() == {"told": 3, "failed": 3, "dropped": 3}
    report(changes, *"abcd")
    assert [call.args[0] for call in log.calls] == ["changes_dropped", "commit_failed", "changes_dropped"]
    assert writer.group() == ["b", "c", "d"] and writer.source(NOW_US) is None
