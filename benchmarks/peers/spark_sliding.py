"""`python -m benchmarks.peers.spark_sliding INPUT OUTPUT`: a window begins each minute."""

import sys
from pathlib import Path

from benchmarks.peers.spark_windows import main

main(Path(sys.argv[1]), Path(sys.argv[2]), "1 minute")
