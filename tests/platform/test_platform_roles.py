"""Which parts run where."""

from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from islet.access.passwords import verify_password
from islet.app import opened_platform
from islet.opened import first_administrator, opened_registry
from islet.settings import Settings


def test_where_spark_evaluates_the_role_engine_looks_after_late_history_clocks_and_forecasts_only(
    tmp_path: Path,
) -> None:
    embedded = Settings(data_dir=tmp_path, roles=("engine",), log_level="error")
    for settings, expected in (
        (embedded, ["engine", "backfill", "clocks", "drift"]),
        (replace(embedded, engine="spark"), ["backfill", "clocks", "drift"]),
    ):
        with opened_platform(settings) as platform:
            assert [worker.name for worker in platform.workers] == expected
            platform.commit.close()


def test_of_processes_that_start_at_once_one_shows_a_password_and_it_lets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        monkeypatch.setattr(registry, "users", list)  # each looks before the other has made anybody
        shown = [first_administrator(registry), first_administrator(registry)]
        admin = registry.user("admin")
    assert shown[0] is not None and shown[1] is None
    assert admin is not None and verify_password(admin.password_hash, shown[0])


def test_housekeeping_that_has_failed_is_well_again_when_its_work_is_done_not_when_the_next_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that was restarted left /healthz at 503 for a minute, for which Kubernetes restarts a process."""
    errors, compacted = [OSError("the broker is away")], Event()

    def compact() -> int:
        if errors:
            raise errors.pop()
        compacted.set()
        return 0

    with opened_platform(Settings(data_dir=tmp_path, roles=("store",), log_level="error")) as platform:
        monkeypatch.setattr(platform.log, "compact", compact)
        (housekeeping,) = (worker for worker in platform.workers if worker.name == "housekeeping")
        housekeeping.start()
        assert compacted.wait(20.0)
        until = monotonic() + 20.0
        while housekeeping.failing and monotonic() < until:
            pass
        assert (housekeeping.failing, housekeeping.failures) == (False, 1)
        housekeeping.stop()
        platform.stop()
        assert housekeeping.join()
        platform.commit.close()
