"""The generated reference: fresh, whole, and shown to fail when it is not."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from islet import cli
from islet.settings import Settings
from tools import docs


def test_the_reference_pages_say_what_the_code_says() -> None:
    assert docs.stale() == [], "run `make docs`"


def test_a_page_that_was_changed_by_hand_or_left_over_is_stale(tmp_path: Path) -> None:
    docs.write(tmp_path)
    assert docs.stale(tmp_path) == []
    settings = tmp_path / "settings.md"
    settings.write_text(settings.read_text(encoding="utf-8").replace("port", "Port", 1), encoding="utf-8")
    (tmp_path / "rules.md").unlink()
    (tmp_path / "old.md").write_text("", encoding="utf-8")
    assert docs.stale(tmp_path) == ["old.md", "rules.md", "settings.md"]


@pytest.mark.parametrize("name", ["telegram_token", "page_max_age_min", "speed"])
def test_every_setting_is_listed(name: str) -> None:
    assert hasattr(Settings(), name)
    assert f"| `{name}` |" in docs.settings()


def test_the_access_matrix_is_that_of_the_decisions() -> None:
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in _table_lines()}
    assert rows["`view_patient`"] == ["yes", "own", "own", "own", "–", "–", "own", "–"]
    assert rows["`send_events`"] == [*["–"] * 7, "own"]


def _table_lines() -> list[str]:
    return [line for line in docs.access().split("## Rights")[0].splitlines() if line.startswith("| `")]


def test_the_schema_describes_every_kind_of_event() -> None:
    schema = json.loads(docs.documents()["event.schema.json"])
    for kind in schema["discriminator"]["mapping"]:
        assert f"\n## {kind}\n" in docs.events()


def test_every_command_in_the_help_has_its_page() -> None:
    listed = CliRunner().invoke(cli.main, ["--help"]).output
    for command in cli.main.list_commands(click.Context(cli.main)):
        assert command in listed
        assert f"\n## islet {command}\n" in docs.cli()
