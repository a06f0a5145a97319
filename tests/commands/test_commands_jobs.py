"""`islet jobs` on a data directory."""

from pathlib import Path

from click.testing import CliRunner, Result

from islet.cli import main
from islet.opened import opened_registry
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


def test_a_job_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    refused = run(tmp_path, "run", "sleep")
    assert refused.exit_code == 1
    assert "changes, cohorts, summaries, history_rules, personal" in refused.output
