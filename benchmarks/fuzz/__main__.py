"""`python -m benchmarks.fuzz [name …]`: each decoder for ISLET_FUZZ_SECONDS (600 by default), with ISLET_FUZZ_SEED.

Findings are written to build/fuzz, printed, and end it with 1; they belong into the decoder's tests."""

import os
import sys
import time
import traceback
import warnings

from benchmarks.fuzz.doors import DOORS
from benchmarks.fuzz.files import FILES
from benchmarks.fuzz.nightscout import NIGHTSCOUT
from benchmarks.fuzz.protocols import PROTOCOLS
from benchmarks.fuzz.run import fuzz, keep
from islet.operations import logs

TARGETS = [*PROTOCOLS, *NIGHTSCOUT, *DOORS, *FILES]


def main() -> int:
    warnings.simplefilter("ignore")  # of certificates that will be refused one day
    logs.configure("critical", "json")
    names = sys.argv[1:] or [target.name for target in TARGETS]
    seconds = float(os.environ.get("ISLET_FUZZ_SECONDS", "600"))
    seed = int(os.environ.get("ISLET_FUZZ_SEED", str(time.time_ns())))
    unknown = sorted(set(names) - {target.name for target in TARGETS})
    if unknown:
        print(f"there is no decoder {unknown[0]!r}; there are: {', '.join(target.name for target in TARGETS)}")
        return 2
    failed = False
    for target in TARGETS:
        if target.name in names:
            done = fuzz(target, seconds, seed)
            print(f"{target.name:<14} {done.tried:>12,} inputs in {seconds:g} s, seed {seed}", flush=True)
            for data, error in done.findings:
                failed = True
                print(f"  {keep(target, data)}: {data[:200]!r}")
                traceback.print_exception(error)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
