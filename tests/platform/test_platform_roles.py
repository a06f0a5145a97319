"""Which parts run where."""

from dataclasses import replace
from pathlib import Path

from islet.app import opened_platform
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
