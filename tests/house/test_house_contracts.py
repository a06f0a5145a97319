"""The rules of the house can fail: each lint is shown to see a violation that is planted in a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its configuration, without what is built."""
    ignored = shutil.ignore_patterns("__pycache__", "vendor", "*.mo")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, module: str, line: str) -> None:
    file = copy / "src" / "islet" / module
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")


def contracts(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    environment = {"PYTHONPATH": str(copy / "src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("model/units.py", "import islet.log.base", "Floors"),
        ("web/context.py", "import islet.gateways.intake", "Floors"),
        ("decode/mqtt.py", "import socket", "Pure rooms"),
        ("engine/evaluate.py", "import time", "Pure rooms"),
        ("patterns/days.py", "import time", "Pure rooms"),
        ("jobs/cohorts.py", "import islet.web.app", "Floors"),
        ("metrics/mage.py", "import socket", "Pure rooms"),
        ("metrics/mage.py", "import islet.decode.shanghai", "Floors"),
        ("notify/schedule.py", "import time", "Pure rooms"),
        ("web/pages.py", "import islet.store.sqlite", "Nobody but the menu"),
        ("log/base.py", "import islet.log.group_commit", "No room imports itself"),
    ],
)
def test_a_planted_import_breaks_its_contract(copy: Path, module: str, line: str, contract: str) -> None:
    plant(copy, module, line)
    outcome = contracts(copy)
    assert outcome.returncode != 0
    broken = [report for report in outcome.stdout.splitlines() if "BROKEN" in report]
    assert any(report.startswith(contract) for report in broken), outcome.stdout


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("import time\n_PLANTED = time.time()", "TID251"),
        ("import random\n_PLANTED = random.random()", "TID251"),
        ("from datetime import datetime\n_PLANTED = datetime.now()", "DTZ005"),
        ("print('planted')", "T201"),
    ],
)
def test_reading_a_clock_or_rolling_dice_outside_of_app_is_seen(copy: Path, line: str, rule: str) -> None:
    plant(copy, "engine/step.py", line)
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "src"]
    outcome = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert rule in outcome.stdout


def test_every_plug_on_the_menu_can_be_loaded() -> None:
    from islet.menu import PLUGS, plug

    assert all(callable(plug(kind, name)) for kind, names in PLUGS.items() for name in names)
