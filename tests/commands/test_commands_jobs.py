"""`islet jobs` on a data directory."""

from pathlib import Path

from click.testing import CliRunner, Result

from islet.cli import main
from islet.log.base import Append, Commit
from islet.model.batch import ReadingRow, readings_batch
from islet.model.topics import Topic
from islet.opened import opened_log, opened_registry, opened_store
from islet.settings import Settings
from islet.store.base import EntryKind


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--data-dir", str(data_dir), "jobs", *words])


def test_a_job_is_listed_run_by_hand_and_then_listed_with_its_last_run(tmp_path: Path) -> None:
    before = run(tmp_path, "list").output.splitlines()
    assert [line.split("\t")[0] for line in before] == ["changes", "cohorts", "summaries", "history_rules", "personal"]
    assert all("never ran" in line for line in before)
    done = run(tmp_path, "run", "changes")
    assert (done.exit_code, done.output.split()[0]) == (0, "done")
    assert "0 people, 0 open" in run(tmp_path, "list").output
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        assert registry.entries(EntryKind.JOB).keys() == {"changes"}


def test_a_job_by_hand_and_the_counts_of_the_store_are_about_all_that_the_log_holds(tmp_path: Path) -> None:
    """As after an import while no platform runs: days that the store has not read yet are not days without a sensor."""
    settings = Settings(data_dir=tmp_path)
    for time_us in (60_000_000, 120_000_000):
        row = ReadingRow("p-1", "cgm-1", time_us, 1000, 100.0, 0, 0, 0)
        with opened_log(settings) as log:
            append = Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch([row]))
            log.commit([Commit(received_at_us=time_us, appends=[append])])
        if time_us == 60_000_000:
            assert run(tmp_path, "run", "changes").exit_code == 0
            with opened_store(settings) as store:
                assert store.counts()["readings"] == 1
    counts = CliRunner().invoke(main, ["--data-dir", str(tmp_path), "store", "counts"])
    assert "readings\t2" in counts.output


def test_a_job_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    refused = run(tmp_path, "run", "sleep")
    assert refused.exit_code == 1
    assert "changes, cohorts, summaries, history_rules, personal" in refused.output
