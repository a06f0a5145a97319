"""Machine code on the disk is used again, but never after a change of any file of its room."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from islet.model import compiled

_SOURCE = """
from islet.model.compiled import kernel

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


def test_a_kernel_is_compiled_again_when_any_file_of_its_room_has_changed(tmp_path: Path) -> None:
    file, beside = tmp_path / "kernel_of_a_test.py", tmp_path / "part_of_a_test.py"
    file.write_text(_SOURCE)
    hits = [sum(_fresh(file).stats.cache_hits.values()) for _ in range(2)]
    beside.write_text("THREE = 3\n")
    compiled._sources.cache_clear()  # as in a new process
    hits += [sum(_fresh(file).stats.cache_hits.values()) for _ in range(2)]
    assert hits == [0, 1, 0, 1]
