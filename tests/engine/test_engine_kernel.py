"""Machine code on the disk is used again, but never after a change of the engine."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from islet.engine import kernel

_SOURCE = """
from islet.engine.kernel import kernel

@kernel
def double(value):
    return 2 * value
"""


def _fresh(file: Path) -> Any:
    """The kernel of a module in `file` as a new process would have it, called once."""
    spec = importlib.util.spec_from_file_location("kernel_of_a_test", file)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.double(21) == 42
    return module.double


def test_a_kernel_is_compiled_again_when_any_file_of_the_engine_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kernel_of_a_test.py"
    file.write_text(_SOURCE)
    hits = [sum(_fresh(file).stats.cache_hits.values()) for _ in range(2)]
    monkeypatch.setattr(kernel, "_SOURCES", "another version")
    hits += [sum(_fresh(file).stats.cache_hits.values()) for _ in range(2)]
    assert hits == [0, 1, 0, 1]
