"""The usual way in plain Python: a dict of deques. `python -m benchmarks.peers.plain INPUT OUTPUT`."""

import sys
from collections import deque
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.data import LIMIT_MG_DL, MINUTE_US


def main(input: Path, output: Path) -> None:
    windows: dict[str, deque[tuple[int, int]]] = {}
    limit = 10 * LIMIT_MG_DL
    for number, file in enumerate(sorted(input.glob("*.parquet"))):
        patients, _, times_us, tenths = pq.read_table(file).to_pydict().values()
        flagged = []
        for patient, time_us, value in zip(patients, times_us, tenths, strict=True):
            window = windows.get(patient)
            if window is None:
                window = windows[patient] = deque()
            window.append((time_us, value))
            while window[0][0] < time_us - 10 * MINUTE_US:
                window.popleft()
            flagged.append(value > limit or sum(one for _, one in window) > limit * len(window))
        table = pa.table(
            {"patient": patients, "time_us": times_us, "version": [number] * len(flagged), "flagged": flagged}
        )
        pq.write_table(table, output / file.name, compression="none")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
