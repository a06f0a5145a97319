"""Run all benchmarks, or those that are named: `python -m benchmarks [simulate storage … forecast.speed]`."""

import subprocess
import sys
import time

ALL = (
    "simulate",
    "storage",
    "engine",
    "path",
    "gateway",
    "door",
    "latency",
    "metrics",
    "nights",
    "patterns",
    "reports",
    "forecast.speed",
    "serving",
)


def main() -> int:
    names = sys.argv[1:] or list(ALL)
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 2
    failed = []
    for number, name in enumerate(names, start=1):
        print(f"\n== {name} ({number} of {len(names)})", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
