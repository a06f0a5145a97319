"""The rule that the documentation shows is one that can run, and so are the commands around it."""

import re
from pathlib import Path

from click.testing import CliRunner

from islet import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-rule.md"


def test_the_rule_that_is_shown_goes_through_the_commands_that_are_shown(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (shown,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "slowly_high.sql"
    file.write_text(shown, encoding="utf-8")
    commands = re.findall(r"^    islet (rules .*?)(?:  +#.*)?$", page, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["check", "try", "add", "set", "set", "reset", "remove"]
    for command in ("patients add p-1 --tags pregnant", *commands):
        words = re.findall(r'"[^"]*"|\S+', command.replace("slowly_high.sql", str(file)))
        result = CliRunner().invoke(cli.main, ["--data-dir", str(tmp_path), *(word.strip('"') for word in words)])
        assert result.exit_code == 0, (command, result.output)
