"""Builds what the wheel carries beside Python: the chart library, which comes from npm and is not in the repository."""

import runpy
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Assets(BuildHookInterface):
    """Runs `tools/assets.py` before a wheel is made, where its files are not there yet and npm is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """`version` is "editable" for a development install, which `make` gives its assets."""
        root = Path(self.root)
        if version == "editable" or (root / "src/islet/web/static/vendor/uPlot.esm.js").exists():
            return
        if shutil.which("npm") is None:
            self.app.display_warning("npm is not here: the portal will have no charts; install Node and build again")
            return
        runpy.run_path(str(root / "tools" / "assets.py"), run_name="__main__")
