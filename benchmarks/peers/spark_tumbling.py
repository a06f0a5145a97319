"""`python -m benchmarks.peers.spark_tumbling INPUT OUTPUT`: windows side by side."""

import sys
from pathlib import Path

from benchmarks.peers.spark_windows import main

main(Path(sys.argv[1]), Path(sys.argv[2]), "10 minutes")
