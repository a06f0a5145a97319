"""What the pages say of the repository is so: paths, commands, settings, and code that is shown."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from islet.cli import main
from islet.engine.rules import load_rules, plan, read_rule
from islet.metrics.table import METRICS
from islet.patterns.pattern_texts import PATTERNS
from islet.settings import passed_over

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_ASKED = re.compile(r"environ(?:\.get\(|\[)\"(ISLET_\w+)\"")
_SETTING = re.compile(r"ISLET_[A-Z_]*[A-Z]")
_ROOTED = re.compile(r"`((?:src|tests|tools|docs|benchmarks|requirements)/[^`<>*\s]*)`")


def blocks(language: str, pages: list[Path] = PAGES) -> Iterator[tuple[Path, str]]:
    """Fenced blocks of a language, with their page."""
    for page in pages:
        for text in re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            yield page, text


def test_every_path_that_is_named_exists() -> None:
    named = {(page, path) for page in PAGES for path in _ROOTED.findall(page.read_text(encoding="utf-8"))}
    assert named, "the pages name paths"
    assert [(page.name, path) for page, path in named if not (ROOT / path).exists()] == []


def test_every_command_that_is_shown_exists() -> None:
    shown = [line for _, text in blocks("sh") for line in text.splitlines() if "islet " in line]
    shown += [text for page in PAGES for text in re.findall(r"`(islet [^`]+)`", page.read_text(encoding="utf-8"))]
    assert shown, "the pages show commands"
    assert [line for line in shown if not _is_a_command(line)] == []


def _is_a_command(line: str) -> bool:
    words = shlex.split(line[line.index("islet ") :], comments=True)[1:]
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words.pop(0))
        if found is None:
            return False
        command = found
    if command.context_settings.get("ignore_unknown_options"):  # another program reads them
        return True
    options = {option for parameter in command.params for option in parameter.opts}
    return all(word in options for word in words if word.startswith("--"))


def test_every_metric_is_defined_on_its_page_and_no_other() -> None:
    page = (ROOT / "docs" / "explanation" / "metrics.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)) == sorted(
        metric.name for metric in METRICS
    )


def test_every_pattern_is_on_its_page_and_no_other() -> None:
    page = (ROOT / "docs" / "explanation" / "patterns.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)) == sorted(PATTERNS)


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    shown = [
        line.partition("#")[0] for _, text in blocks("sh") for line in text.splitlines() if line.startswith("make ")
    ]
    shown += [text for page in PAGES for text in re.findall(r"`(make [a-z -]+)`", page.read_text(encoding="utf-8"))]
    assert {word for line in shown for word in line.split()[1:]} <= targets


def test_every_setting_in_the_environment_exists() -> None:
    files = [*PAGES, *ROOT.glob("deploy/**/*"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    shown = {name for file in files if file.is_file() for name in _SETTING.findall(file.read_text("utf-8"))}
    assert passed_over(dict.fromkeys(shown, "")) == []


def test_what_tests_and_tools_read_from_the_environment_is_not_taken_for_a_slip() -> None:
    files = [file for folder in ("benchmarks", "tests", "tools") for file in (ROOT / folder).glob("**/*.py")]
    asked = {name for file in files for name in _ASKED.findall(file.read_text("utf-8"))}
    assert "ISLET_SHARED_DATA" in asked
    assert passed_over(dict.fromkeys(asked, "")) == []


@pytest.mark.parametrize("shown", [pytest.param(text, id=page.name) for page, text in blocks("python")])
def test_python_that_is_shown_compiles(shown: str) -> None:
    compile(shown, "<docs>", "exec")


def test_the_rule_that_is_shown_can_be_planned() -> None:
    page = ROOT / "docs" / "how-to" / "add-a-rule.md"
    ((_, text),) = blocks("sql", [page])
    rule = read_rule(text)
    assert plan([*load_rules(), rule]).rules[-1].name == rule.name


def test_every_dependency_is_in_the_decision_record() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^a-z0-9-]", requirement)[0] for requirement in project["dependencies"]]
    record = (ROOT / "docs" / "decisions" / "0008-dependencies.md").read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf"\b{name}\b", record)] == []


def test_the_labels_stand_where_they_must() -> None:
    for page in ("docs/README.md", "docs/explanation/safety.md", "SECURITY.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").replace("> ", "").split())
        assert "not a medical device" in text
        assert "Dosing decisions should not be made based on this device." in text
